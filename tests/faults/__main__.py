"""`python -m tests.faults --quick | --gate | --full [--only NAME ...] [--record]`: try faults.

It prints the tally; exit code 1 when a promise was broken.
"""

import argparse
import importlib
import sys

from tests.faults import record
from tests.faults.tally import Line, Trial, run_trial, table

# Module and function of each trial. Modules that use JAX are loaded last, because the first trials fork.
TRIALS = {
    "kills": ("kills", "random_kills"),
    "system-calls": ("system_calls", "every_call"),
    "power": ("power", "power_cuts"),
    "damage": ("damage", "damaged_files"),
    "surroundings": ("surroundings", "surroundings"),
    "killed-runs": ("whole_runs", "killed_runs"),
    "soak": ("whole_runs", "soak"),
    "whole-runs": ("whole_runs", "whole_runs"),
    "sweeps": ("whole_runs", "whole_sweeps"),
    "many-lanes": ("many_lanes", "many_lanes"),
    "damaged-runs": ("damaged_runs", "damaged_runs"),
    "mnist": ("whole_runs", "mnist"),
    "commands": ("commands", "commands"),
    "clocks": ("clocks", "clocks"),
    "filesystems": ("filesystems", "filesystems"),
    "strangers": ("strangers", "strangers"),
    "diverging": ("diverging", "diverging_runs"),
    "fuzzing": ("fuzz", "fuzzed_readers"),
    "guided": ("guided", "guided_readers"),
}


# What the gate of the project tries less often than the quick trial: module, constant, value.
GATE = (
    ("whole_runs", "QUICK_KILLS", 2),
    ("fuzz", "QUICK", 40),
    ("diverging", "EACH_QUICK", 6),
)


def main() -> int:
    """Run the trials that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    size = parser.add_mutually_exclusive_group(required=True)
    size.add_argument("--quick", action="store_true", help="under five minutes")
    size.add_argument("--gate", action="store_true", help="the quick trials with fewer kills and inputs")
    size.add_argument("--full", action="store_true", help="more than an hour")
    parser.add_argument("--only", nargs="+", choices=TRIALS, default=list(TRIALS))
    parser.add_argument(
        "--record",
        action="store_true",
        help="save the tally, and write all saved tallies into docs/durability.md",
    )
    options = parser.parse_args()
    for module, name, value in GATE if options.gate else ():
        setattr(importlib.import_module(f"tests.faults.{module}"), name, value)
    lines = []
    for name in options.only:
        trial_lines = _run(name, options.full)
        lines += trial_lines
        if options.record:
            record.save(name, trial_lines, options.full)
            record.write_page(list(TRIALS))
    print(table(lines))
    broken = sum(line.broken for line in lines)
    print(f"\n{sum(line.tried for line in lines)} tried, {broken} promises broken")
    return 1 if broken else 0


def _run(name: str, full: bool) -> list[Line]:
    module, function = TRIALS[name]
    print(f"{name} ...", file=sys.stderr, flush=True)
    trial = Trial(name, getattr(importlib.import_module(f"tests.faults.{module}"), function))
    return run_trial(trial, full)


if __name__ == "__main__":
    raise SystemExit(main())
