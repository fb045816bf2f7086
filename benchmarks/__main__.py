"""The front door: `python -m benchmarks run [NAME]`, `... finders`, `... peers`, `... report`."""

import argparse
import importlib
import json
import sys
from math import inf
from pathlib import Path
from typing import Any

import psutil

from benchmarks import goals, peers
from benchmarks.machine import machine

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- goals: python -m benchmarks report --readme -->", "<!-- end of goals -->"
BUSY = 20.0  # percent of all cores, just before a benchmark begins; above it a result is marked
RESULTS = Path(__file__).parent / "results"
# Name: module. Each has `run(quick) -> dict`, `table(result) -> str` and a docstring that says what it
# measures.
BENCHMARKS = {
    "digits": "benchmarks.digits",
    "defaults": "benchmarks.defaults",
    "mnist": "benchmarks.mnist",
    "document": "benchmarks.document",
    "frameworks": "benchmarks.frameworks",
    "start": "benchmarks.start",
    "sweep": "benchmarks.sweep",
    "diverging": "benchmarks.diverging",
    "peak": "benchmarks.peak",
    "telemetry": "benchmarks.telemetry",
    "overhead": "benchmarks.overhead",
    "scaling": "benchmarks.scaling",
    "memory": "benchmarks.memory",
    "convolutions": "benchmarks.convolutions",
    "gpt": "benchmarks.gpt",
    "shakespeare": "benchmarks.shakespeare",
    "names": "benchmarks.names",
    "cifar": "benchmarks.cifar",
    "saving": "benchmarks.saving",
    "finders": "benchmarks.finders.scoreboard",
}


def main() -> None:
    """Run what was asked for, print its table, and keep the result as JSON."""
    arguments = _arguments()
    if arguments.command == "peers":
        print(peers.table())
    elif arguments.command == "report":
        report(arguments.readme)
    elif arguments.command == "finders":
        _run_finders(arguments)
    else:
        for name in arguments.name or BENCHMARKS:
            _run(name, arguments.quick)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run benchmarks by name, or all")
    # No `choices`: with `nargs="*"` argparse would hold the empty list against them.
    run.add_argument("name", nargs="*", type=_name, help=", ".join(BENCHMARKS))
    run.add_argument(
        "--quick", action="store_true", help="a short form, to see that it works; nothing is kept"
    )
    commands.add_parser("peers", help="print which peers are installed, and where")
    finders = commands.add_parser("finders", help="the scoreboard of learning-rate finders")
    finders.add_argument("--quick", action="store_true", help="two tasks; nothing is kept")
    finders.add_argument("--development", action="store_true", help="without the tasks set aside; not kept")
    finders.add_argument("--only", nargs="+", default=[], metavar="METHOD", help="with --development: these")
    finders.add_argument("--task", default="", help="with --development: tasks whose name holds this")
    finders.add_argument("--seconds", type=float, default=inf, help="begin no task after so many; call again")
    told = commands.add_parser("report", help="print the goals, and the tables of the results that are kept")
    told.add_argument("--readme", action="store_true", help="write the goals into the README as well")
    return parser.parse_args()


def _name(given: str) -> str:
    if given not in BENCHMARKS:
        raise argparse.ArgumentTypeError(f"no benchmark {given!r}; there are {', '.join(BENCHMARKS)}")
    return given


def report(readme: bool) -> None:
    """Print the goals, then the table of every kept result with its date and machine."""
    results = {name: json.loads(path.read_text()) for name in BENCHMARKS if (path := _kept(name)).exists()}
    said = f"{goals.table(results)}\n\n{_machines(results)}"
    print(f"## Goals\n{said}", end="\n\n")
    for name, result in results.items():
        print(f"## {name}: {_machine(result)}")
        print(importlib.import_module(BENCHMARKS[name]).table(result), end="\n\n")
    if readme:
        _write_readme(said)


def _write_readme(said: str) -> None:
    before, _, rest = README.read_text().partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise SystemExit(f"README.md has no {BEGIN} ... {END}")
    README.write_text(f"{before}{BEGIN}\n{said}\n{END}{after}")


def _machines(results: dict[str, dict[str, Any]]) -> str:
    """Say where the goals' results come from, each machine once."""
    by_machine: dict[str, list[str]] = {}
    for name in dict.fromkeys(goal.source for goal in goals.GOALS):
        if name in results:
            by_machine.setdefault(_machine(results[name]), []).append(f"`{name}`")
    return "  \n".join(f"{', '.join(names)}: {where}." for where, names in by_machine.items())


def _machine(result: dict[str, Any]) -> str:
    """Write date, processor, and the versions of what was compared."""
    where = result["machine"]
    versions = where["versions"] | where.get("peers", {})
    wide = f" ({', '.join(where['vectors'])})" if where.get("vectors") else ""
    marked = ", **measured while other work ran**" if where.get("busy_before", 0) > BUSY else ""
    return (
        f"{where['date']}{marked}, {where['cores']} cores of {where['processor']}{wide}, "
        + f"Python {where['python']}, "
        + ", ".join(f"{name} {version}" for name, version in versions.items())
    )


def _kept(name: str) -> Path:
    return RESULTS / f"{name}.json"


def _run_finders(arguments: argparse.Namespace) -> None:
    if arguments.development:
        scoreboard = importlib.import_module(BENCHMARKS["finders"])
        print(scoreboard.table(scoreboard.develop(arguments.only, arguments.task, arguments.seconds)))
    else:
        _run("finders", arguments.quick, seconds=arguments.seconds)


def _run(name: str, quick: bool, **options: Any) -> None:
    module = importlib.import_module(BENCHMARKS[name])
    # Libraries whose threads wait for each other suffer most from other work: PyTorch was seen twenty times
    # slower on a machine where six processes shared two cores, JAX four times.
    busy = psutil.cpu_percent(interval=2)
    if busy > BUSY:
        print(f"the machine is busy ({busy:.0f} %): figures will favour some over others", file=sys.stderr)
    result = module.run(quick, **options) | {"machine": machine() | {"busy_before": busy}}
    print(module.table(result))
    if quick:
        print("(quick form: not kept)", file=sys.stderr)
        return
    RESULTS.mkdir(exist_ok=True)
    _kept(name).write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
