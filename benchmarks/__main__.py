"""The front door: `python -m benchmarks run NAME`, `python -m benchmarks report`."""

import argparse
import importlib
import json
import sys
from pathlib import Path

from benchmarks.machine import machine

RESULTS = Path(__file__).parent / "results"
# Name: module. Each has `run(quick) -> dict`, `table(result) -> str` and a docstring that says what it
# measures.
BENCHMARKS = {
    "digits": "benchmarks.digits",
    "defaults": "benchmarks.defaults",
    "mnist": "benchmarks.mnist",
}


def main() -> None:
    """Run what was asked for, print its table, and keep the result as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run one benchmark, or all")
    run.add_argument("name", nargs="?", choices=sorted(BENCHMARKS))
    run.add_argument(
        "--quick", action="store_true", help="a short form, to see that it works; nothing is kept"
    )
    commands.add_parser("report", help="print the tables of the results that are kept")
    arguments = parser.parse_args()
    if arguments.command == "report":
        report()
        return
    for name in [arguments.name] if arguments.name else BENCHMARKS:
        _run(name, arguments.quick)


def report() -> None:
    """Print the table of every kept result, with its date and machine."""
    for name, module in BENCHMARKS.items():
        path = RESULTS / f"{name}.json"
        if path.exists():
            result = json.loads(path.read_text())
            print(f"## {name}: {result['machine']['date']}, {result['machine']['processor']}")
            print(importlib.import_module(module).table(result), end="\n\n")


def _run(name: str, quick: bool) -> None:
    module = importlib.import_module(BENCHMARKS[name])
    result = module.run(quick) | {"machine": machine()}
    print(module.table(result))
    if quick:
        print("(quick form: not kept)", file=sys.stderr)
        return
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
