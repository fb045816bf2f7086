"""64 lanes of an example with objectives of its own: killed and resumed, and equal to their runs alone."""

import contextlib
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.faults.bench import Bench, Process, different
from tests.faults.tally import Line
from tests.faults.victim import scratch

LANES, KILLS = 64, 10
EXAMPLES = ("vae", "gan")
EQUAL = "weights, log and test figures, byte for byte"


def many_lanes(full: bool) -> Iterator[Line]:
    """Kill both sweeps until they have ended, and compare their lanes; only in full, as it takes minutes."""
    for name in EXAMPLES:
        killed = Line(
            f"SIGKILL of a sweep of {LANES} lanes of `examples/{name}.py`, until it has ended", EQUAL
        )
        alone = Line(f"{LANES} lanes of `examples/{name}.py` beside {LANES} runs alone", EQUAL)
        if full:
            with scratch() as place:
                _try(Bench(Path(place)), name, killed, alone)
        else:
            killed.skipped = alone.skipped = "only with --full: it takes minutes"
        yield killed
        yield alone


def _try(bench: Bench, name: str, killed: Line, alone: Line) -> None:
    whole, singles, broken = (bench.place / folder for folder in ("whole", "singles", "broken"))
    for _ in range(2):  # the second time, with compiled programs, is the time for the kills
        shutil.rmtree(whole, ignore_errors=True)
        start = time.perf_counter()
        assert _start(bench, whole, name).wait() == 0
        seconds = time.perf_counter() - start
    rng, kills = random.Random(64), 0
    while kills < KILLS:
        shutil.rmtree(broken, ignore_errors=True)
        while _kill(bench, broken, name, rng.uniform(0.3, 1.0) * seconds):
            kills += 1
        for lane in _lanes(whole):
            killed.add(different(lane, broken / "lanes" / lane.name))
    killed.count("kills", kills)
    assert _start(bench, singles, name, "alone").wait() == 0
    for lane in _lanes(whole):
        alone.add(different(singles / lane.name, lane))


def _lanes(sweep: Path) -> list[Path]:
    lanes = sorted((sweep / "lanes").iterdir())
    assert len(lanes) == LANES
    return lanes


def _start(bench: Bench, folder: Path, name: str, *more: str) -> Process:
    return bench.start(str(folder), name, str(LANES), *more, module="tests.faults.example_sweep")


def _kill(bench: Bench, folder: Path, name: str, seconds: float) -> bool:
    """Start or resume the sweep, and kill it after some seconds; return False if it ended before."""
    process = _start(bench, folder, name)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    process.kill()
    code = process.wait()
    assert code in (0, -signal.SIGKILL), f"the sweep ended with {code}"
    return code == -signal.SIGKILL
