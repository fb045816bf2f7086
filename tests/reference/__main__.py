"""The long form: `python -m tests.reference` compares runs over all pairs of settings, and prints a tally.

`--rows 40` makes the first 40 rows only (the rows that add most pairs come first), `--from 40` leaves out
those before; `--workers` is the number of processes.
"""

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from tests.reference import design
from tests.reference.trial import Tried, tried


def main(arguments: Sequence[str]) -> int:
    """Make the runs and print the tally; return 1 if any differs."""
    parser = argparse.ArgumentParser("python -m tests.reference", description=__doc__)
    parser.add_argument("--rows", type=int)
    parser.add_argument("--from", type=int, default=0, dest="start")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args(arguments)
    os.environ["JAX_ENABLE_X64"] = "1"
    # Half the time of compilation; values are compared to 1e-9 either way.
    os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
    chosen = list(enumerate(design.rows()))[options.start : options.rows]
    started = time.perf_counter()
    with ProcessPoolExecutor(options.workers, get_context("spawn")) as pool:
        return tally(chosen, pool.map(tried, *zip(*chosen, strict=True)), started)


def tally(chosen: list[tuple[int, design.Row]], reports: Iterable[Tried], started: float) -> int:
    """Print what differs as it comes, and the sums; return 1 if anything differs."""
    missing, made = design.all_pairs(), 0
    possible, counts, bad = len(missing), Counter[str](), 0
    for (number, row), report in zip(chosen, reports, strict=True):
        missing -= set(design.pairs(row))
        made += report.counts["best weights"] + report.counts["final weights"]
        counts += report.counts
        bad += len(report.wrong) + bool(report.error)
        for text in [report.error] * bool(report.error) + report.wrong:
            print(f"row {number} {text}\n    {row}", flush=True)
        print(f"\r{made} runs, {bad} differ", end="" if sys.stdout.isatty() else "\n", flush=True)
    covered = possible - len(missing)
    print(f"\n{len(chosen)} programs, {made} runs, {bad} differ from the reference")
    print(f"{counts.pop('sensitive', 0)} more differ that multiply the errors of rounding, and do not count")
    print(f"{covered} of {possible} pairs of settings ({100 * covered / possible:.1f} %)")
    print(", ".join(f"{count} {name}" for name, count in counts.most_common()))
    print(f"{time.perf_counter() - started:.0f} s")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
