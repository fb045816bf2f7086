"""The clock on the wall jumps during a run, and between start and resume."""

import json
import os
import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from tests.faults.bench import NO_COMPILER, Bench, fault, has_library, small_bench, until_saved
from tests.faults.tally import Line
from tests.faults.victim import scratch

DAY = 86400
MOST_SECONDS = 3600.0  # of a run of half a second


def clocks(full: bool) -> Iterator[Line]:
    """Try jumps in both directions, with one undisturbed run to compare with."""
    jumps = {
        "back a day": {"clock": -DAY},
        "back and forth by ten years at every reading": {"clock": 3650 * DAY, "clock_swings": 1},
        "forward a day": {"clock": DAY},
        "forward a hundred years": {"clock": 36500 * DAY},
        "back to 1970": {"clock": DAY - int(time.time())},
    }
    with scratch() as place:
        bench = small_bench(Path(place))
        for name, jump in list(jumps.items())[: None if full else 2]:
            line = Line(
                f"the clock jumps {name} during `thalweg fit`, and between start and resume",
                "resumed, it equals the undisturbed run: weights, log and test figures, byte for byte; "
                "the seconds that it reports are those of a steady clock",
            )
            if has_library():
                for number in range(5 if full else 1):
                    line.add(_tried(bench, jump, number))
            else:
                line.skipped = NO_COMPILER
            yield line


def _tried(bench: Bench, jump: dict[str, int], number: int) -> str | None:
    """Kill a run under the jump, change the times of its files, and resume under the jump."""
    folder, rng = bench.place / "clock", random.Random(number)
    armed = fault(folder, **jump)
    process = bench.start(*bench.fit(folder), **armed)
    until_saved(folder, process)
    time.sleep(rng.uniform(0, 0.1))
    process.kill()
    process.communicate()
    for path in folder.rglob("*"):
        at = time.time() + rng.choice((-1, 1)) * 365 * DAY
        os.utime(path, (at, at))
    wrong = bench.resume(folder, **armed) or bench.different(folder)
    wrong = wrong or wrong_seconds(json.loads((folder / "result.json").read_text()))
    shutil.rmtree(folder)
    return wrong


def wrong_seconds(result: dict) -> str | None:
    """Return which durations of a result cannot be, or None."""
    seconds = result["seconds"]
    wrong = {name: value for name, value in seconds.items() if not 0 <= value < MOST_SECONDS}
    return f"seconds of {wrong}" if wrong else None
