"""Command line: `python -m benchmarks run [NAME]`, `... finders`, `... peers`, `... report`."""

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
BUSY = 20.0  # percent of all cores just before a benchmark starts; results above it are marked
RESULTS = Path(__file__).parent / "results"
# Module of each benchmark. It has `run(quick) -> dict`, `table(result) -> str` and a docstring that says what
# it measures.
BENCHMARKS = {
    "digits": "benchmarks.digits",
    "defaults": "benchmarks.defaults",
    "mnist": "benchmarks.mnist",
    "document": "benchmarks.document",
    "frameworks": "benchmarks.frameworks",
    "start": "benchmarks.start",
    "sweep": "benchmarks.sweep",
    "grid_search": "benchmarks.grid_search",
    "diverging": "benchmarks.diverging",
    "peak": "benchmarks.peak",
    "telemetry": "benchmarks.telemetry",
    "overhead": "benchmarks.overhead",
    "scaling": "benchmarks.scaling",
    "memory": "benchmarks.memory",
    "doors": "benchmarks.doors",
    "serving": "benchmarks.serving",
    "streamed_pictures": "benchmarks.streamed_pictures",
    "streamed_tables": "benchmarks.streamed_tables",
    "mesh": "benchmarks.mesh",
    "host_rows": "benchmarks.host_rows",
    "many_shapes": "benchmarks.many_shapes",
    "convolutions": "benchmarks.convolutions",
    "fusions": "benchmarks.fusions",
    "objectives": "benchmarks.objectives",
    "gpt": "benchmarks.gpt",
    "parts": "benchmarks.parts",
    "shakespeare": "benchmarks.shakespeare",
    "names": "benchmarks.names",
    "cifar": "benchmarks.cifar",
    "saving": "benchmarks.saving",
    "watching": "benchmarks.watching",
    "play": "benchmarks.play",
    "landscape": "benchmarks.landscape",
    "cost": "benchmarks.cost",
    "cost_rivals": "benchmarks.cost_rivals",
    "resident": "benchmarks.resident",
    "recomputation": "benchmarks.recomputation",
    "finders": "benchmarks.finders.scoreboard",
    "tape": "benchmarks.tape.scoreboard",
    "doctor": "benchmarks.doctor.scoreboard",
    "doctor_rivals": "benchmarks.doctor.rivals",
    "race": "benchmarks.race",
    "tables": "benchmarks.tables.scoreboard",
}


def main() -> None:
    """Run the benchmarks named on the command line, print their tables and save the results as JSON."""
    arguments = _arguments()
    if arguments.command == "peers":
        print(peers.table())
    elif arguments.command == "report":
        report(arguments.readme)
    elif arguments.command == "finders":
        _run_finders(arguments)
    elif arguments.command == "tables":
        _run_tables(arguments)
    else:
        for name in arguments.name or BENCHMARKS:
            _run(name, arguments.quick)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run benchmarks by name, or all")
    # Without `choices`, because with `nargs="*"` argparse would check the empty list against them.
    run.add_argument("name", nargs="*", type=_name, help=", ".join(BENCHMARKS))
    run.add_argument(
        "--quick", action="store_true", help="a short form, to check that it works; saves nothing"
    )
    commands.add_parser("peers", help="print which peers are installed, and where")
    finders = commands.add_parser("finders", help="the scoreboard of learning-rate finders")
    finders.add_argument("--quick", action="store_true", help="two tasks; saves nothing")
    finders.add_argument(
        "--development", action="store_true", help="without the tasks set aside; saves nothing"
    )
    finders.add_argument(
        "--only", nargs="+", default=[], metavar="METHOD", help="with --development: only these"
    )
    finders.add_argument("--task", default="", help="with --development: tasks whose name contains this")
    finders.add_argument(
        "--seconds", type=float, default=inf, help="start no task after this time; call again"
    )
    tables = commands.add_parser("tables", help="defaults on public tables, against other libraries")
    tables.add_argument("--quick", action="store_true", help="one small set; saves nothing")
    tables.add_argument(
        "--development", action="store_true", help="without the sets set aside; saves nothing"
    )
    tables.add_argument(
        "--only", nargs="+", default=[], metavar="NAME", help="with --development: only these"
    )
    tables.add_argument("--set", default="", help="with --development: parts of names of sets, a,b")
    tables.add_argument("--divisions", type=int, default=5, help="with --development: of each set")
    tables.add_argument("--seconds", type=float, default=inf, help="start no fit after this time")
    report_parser = commands.add_parser("report", help="print the goals and the tables of all saved results")
    report_parser.add_argument("--readme", action="store_true", help="also write the goals into the README")
    return parser.parse_args()


def _name(name: str) -> str:
    if name not in BENCHMARKS:
        raise argparse.ArgumentTypeError(f"no benchmark {name!r}; the benchmarks are {', '.join(BENCHMARKS)}")
    return name


def report(readme: bool) -> None:
    """Print the goals, then the table of every saved result with its date and machine."""
    results = {name: json.loads(path.read_text()) for name in BENCHMARKS if (path := _kept(name)).exists()}
    text = f"{goals.table(results)}\n\n{_machines(results)}"
    print(f"## Goals\n{text}", end="\n\n")
    for name, result in results.items():
        print(f"## {name}: {_machine(result)}")
        print(importlib.import_module(BENCHMARKS[name]).table(result), end="\n\n")
    if readme:
        _write_readme(text)


def _write_readme(text: str) -> None:
    before, _, rest = README.read_text().partition(BEGIN)
    _, end_mark, after = rest.partition(END)
    if not end_mark:
        raise SystemExit(f"README.md has no {BEGIN} ... {END}")
    README.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


def _machines(results: dict[str, dict[str, Any]]) -> str:
    """Return the dates and machines of the goals' results, each machine once."""
    by_machine: dict[str, list[str]] = {}
    for name in dict.fromkeys(goal.source for goal in goals.GOALS):
        if name in results:
            by_machine.setdefault(_machine(results[name]), []).append(f"`{name}`")
    return "  \n".join(f"{', '.join(names)}: {description}." for description, names in by_machine.items())


def _machine(result: dict[str, Any]) -> str:
    """Return date, processor and versions as text."""
    info = result["machine"]
    versions = info["versions"] | info.get("peers", {})
    vectors = f" ({', '.join(info['vectors'])})" if info.get("vectors") else ""
    busy = ", **measured while other work ran**" if info.get("busy_before", 0) > BUSY else ""
    return (
        f"{info['date']}{busy}, {info['cores']} cores of {info['processor']}{vectors}, "
        + f"Python {info['python']}, "
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


def _run_tables(arguments: argparse.Namespace) -> None:
    if arguments.development:
        scoreboard = importlib.import_module(BENCHMARKS["tables"])
        limits = (arguments.divisions, arguments.seconds)
        print(scoreboard.table(scoreboard.develop(arguments.only, arguments.set, *limits)))
    else:
        _run("tables", arguments.quick, seconds=arguments.seconds)


def _run(name: str, quick: bool, **options: Any) -> None:
    module = importlib.import_module(BENCHMARKS[name])
    # Other work slows libraries whose threads wait for each other most: where six processes shared two cores,
    # PyTorch was twenty times slower, JAX four times.
    busy = psutil.cpu_percent(interval=2)
    if busy > BUSY:
        print(f"the machine is busy ({busy:.0f} %): the comparison will be biased", file=sys.stderr)
    result = module.run(quick, **options) | {"machine": machine() | {"busy_before": busy}}
    print(module.table(result))
    if quick:
        print("(quick form: not saved)", file=sys.stderr)
        return
    RESULTS.mkdir(exist_ok=True)
    _kept(name).write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
