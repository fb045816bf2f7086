"""`python -m tests.faults --quick | --full [--only NAME ...] [--json FILE]`: try the faults, print the tally.

Exit code 1 when a promise was broken.
"""

import argparse
import dataclasses
import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.faults.tally import Line, Trial, carried_out, table

# Name: module and function. Modules with JAX are loaded when their turn comes: the first ones fork.
TRIALS = {
    "kills": ("kills", "random_kills"),
    "system-calls": ("system_calls", "every_call"),
    "power": ("power", "power_cuts"),
    "damage": ("damage", "damaged_files"),
    "surroundings": ("surroundings", "surroundings"),
    "whole-runs": ("whole_runs", "whole_runs"),
    "sweeps": ("whole_runs", "whole_sweeps"),
    "fuzzing": ("fuzz", "fuzzed_readers"),
}


def main() -> int:
    """Carry out what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    size = parser.add_mutually_exclusive_group(required=True)
    size.add_argument("--quick", action="store_true", help="under five minutes")
    size.add_argument("--full", action="store_true", help="hours")
    parser.add_argument("--only", nargs="+", choices=TRIALS, default=list(TRIALS))
    parser.add_argument("--json", type=Path, help="keep the tally in this file too")
    asked = parser.parse_args()
    lines = []
    for line in _lines(asked.only, asked.full):
        lines.append(line)
        for seen in line.seen:
            print(f"BROKEN {line.name}: {seen}", file=sys.stderr, flush=True)
    print(table(lines))
    if asked.json is not None:
        asked.json.write_text(json.dumps([dataclasses.asdict(line) for line in lines], indent=1) + "\n")
    broken = sum(line.broken for line in lines)
    print(f"\n{sum(line.tried for line in lines)} tried, {broken} promises broken")
    return 1 if broken else 0


def _lines(names: list[str], full: bool) -> Iterator[Line]:
    for name in names:
        module, function = TRIALS[name]
        print(f"{name} ...", file=sys.stderr, flush=True)
        trial = Trial(name, getattr(importlib.import_module(f"tests.faults.{module}"), function))
        yield from carried_out(trial, full)


if __name__ == "__main__":
    raise SystemExit(main())
