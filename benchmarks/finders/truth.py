"""The truth of each task: runs of full length on a lane grid, five seeds each, kept so that they run once.

`python -m benchmarks.finders.truth` computes what is missing, task by task, and keeps each at once. A first
pass in steps of a factor of 2, two seeds each, brackets the best rate; a second one in steps of 2^(1/4), five
seeds each, reaches `REACH` octaves to both sides of it, and further where the best turns out to lie near an
end. Rates that somebody picked and that lie outside are run too, and kept likewise.

A lane's loss is the validation loss of the weights that count at its end, which is what a user is given. None
is a lane that diverged.
"""

import argparse
import fcntl
import json
import math
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import thalweg as tw
from benchmarks.finders.set_aside import NAMES, development, set_aside
from benchmarks.finders.tasks import Task, rate_of, with_rate

RESULTS = Path(__file__).parents[1] / "results"
SEEDS = (0, 1, 2, 3, 4)
COARSE_SEEDS = (0, 1)
# Octaves around the task's own rate: eight decades, as unknown problems had best rates from 1e-5 to 10.
OCTAVES = 13
# Steps of the fine grid in an octave, octaves that it reaches to both sides, and steps that a best must keep
# from its ends: the window that smooths it is one octave to both sides, and half of that is seen then.
FINE, REACH, MARGIN = 4, 1.5, 2
MOST_EXTENSIONS = 6


@dataclass
class Lanes:
    """What is known of a task: losses by rate and seed.

    Args:
        task: Which.
        losses: By rate, then by seed; None for a lane that diverged.
        fine: Bounds of the fine grid, as steps of `FINE` in an octave from the task's own rate.
        lane_steps, seconds: What it took.
    """

    task: Task
    losses: dict[float, dict[int, float | None]] = field(default_factory=dict)
    fine: tuple[int, int] = (0, 0)
    lane_steps: int = 0
    seconds: float = 0.0

    @property
    def own(self) -> float:
        """The rate that the task's recipe has."""
        return rate_of(self.task.recipe)

    @property
    def grid(self) -> list[float]:
        """The rates of the fine grid."""
        return [self.at(step) for step in range(self.fine[0], self.fine[1] + 1)]

    def at(self, step: int) -> float:
        """Return a rate of the fine grid."""
        return float(f"{self.own * 2 ** (step / FINE):.6g}") if step else self.own

    def run(self, rates: Iterable[float], seeds: Sequence[int] = SEEDS) -> None:
        """Run the lanes that are missing, all in one call."""
        wanted = dict.fromkeys((rate, seed) for rate in rates for seed in seeds)
        missing = [(rate, seed) for rate, seed in wanted if seed not in self.losses.get(rate, {})]
        if not missing:
            return
        begun = time.perf_counter()
        recipe = self.task.recipe
        recipes = [with_rate(recipe, rate, seed=seed) for rate, seed in missing]
        table = tw.train(self.task.problem(), recipes).table
        for (rate, seed), row in zip(missing, table.iter_rows(named=True), strict=True):
            self.losses.setdefault(rate, {})[seed] = _loss(row)
        self.lane_steps += int(table["steps"].sum())
        self.seconds += time.perf_counter() - begun

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        told = {f"{rate:g}": [seeds.get(s, "") for s in SEEDS] for rate, seeds in sorted(self.losses.items())}
        return {
            "steps": self.task.steps,
            "own": self.own,
            "fine": list(self.fine),
            "lane_steps": self.lane_steps,
            "seconds": round(self.seconds, 1),
            "losses": told,
        }


def kept(task: Task) -> Lanes | None:
    """Return what is kept of a task; None if nothing is, or if it was defined otherwise then."""
    found = read(path(task)).get(task.name)
    if found is None or (found["steps"], found["own"]) != (task.steps, rate_of(task.recipe)):
        return None
    losses = {
        float(rate): {seed: loss for seed, loss in zip(SEEDS, row, strict=True) if loss != ""}
        for rate, row in found["losses"].items()
    }
    return Lanes(task, losses, tuple(found["fine"]), found["lane_steps"], found["seconds"])


def keep(lanes: Lanes) -> None:
    """Keep a task's lanes."""
    put(path(lanes.task), {lanes.task.name: lanes.to_dict()})


def put(at: Path, news: Mapping[str, Any]) -> None:
    """Add to a JSON object in a file, whole at any instant; a line for each key, so that changes show.

    Two processes may do so at a time: what the other one wrote stays.
    """
    at.parent.mkdir(exist_ok=True)
    with at.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = read(at) | dict(news)
        lines = ",\n".join(f" {json.dumps(name)}: {json.dumps(known[name])}" for name in sorted(known))
        partial = at.with_suffix(".partial")
        partial.write_text("{\n" + lines + "\n}\n")
        partial.replace(at)


def read(at: Path) -> dict[str, Any]:
    """Return the JSON object of a file; an empty one where there is none."""
    return json.loads(at.read_text()) if at.exists() else {}


def path(task: Task) -> Path:
    """Return where a task's truth is kept; that of the tasks set aside lies apart, out of sight."""
    return RESULTS / ("finders-truth-set-aside.json" if task.name in NAMES else "finders-truth.json")


def compute(task: Task) -> Lanes:
    """Run a task's two passes."""
    lanes = Lanes(task)
    lanes.run([lanes.at(FINE * octave) for octave in range(-OCTAVES, OCTAVES + 1)], COARSE_SEEDS)
    middle = _lowest(lanes, range(-FINE * OCTAVES, FINE * OCTAVES + 1, FINE), COARSE_SEEDS)
    reach = round(FINE * REACH)
    lanes.fine = (middle - reach, middle + reach)
    lanes.run([*lanes.grid, lanes.own])
    for _ in range(MOST_EXTENSIONS):
        low, high = lanes.fine
        best = _lowest(lanes, range(low, high + 1), SEEDS)
        if low + MARGIN <= best <= high - MARGIN:
            break
        lanes.fine = (low - FINE, high) if best < low + MARGIN else (low, high + FINE)
        lanes.run(lanes.grid)
    return lanes


def mean(losses: dict[int, float | None], seeds: Sequence[int] = SEEDS) -> float:
    """Return the mean over seeds; infinite if one diverged, NaN if one was not run."""
    found = [losses.get(seed, math.nan) for seed in seeds]
    return math.inf if None in found else sum(found) / len(found)  # type: ignore[arg-type]


def _lowest(lanes: Lanes, steps: Iterable[int], seeds: Sequence[int]) -> int:
    """Return the step with the lowest mean of itself and its neighbours, so that no lucky one is taken."""
    steps = list(steps)
    means = [mean(lanes.losses[lanes.at(step)], seeds) for step in steps]
    finite = [value for value in means if math.isfinite(value)]
    if not finite:
        return 0
    worst = max(finite)
    padded = [means[0], *means, means[-1]]
    padded = [value if math.isfinite(value) else worst for value in padded]
    smooth = [0.25 * a + 0.5 * b + 0.25 * c for a, b, c in zip(padded, padded[1:], padded[2:], strict=False)]
    return steps[min(range(len(steps)), key=lambda at: smooth[at] if math.isfinite(means[at]) else math.inf)]


def _loss(row: dict[str, Any]) -> float | None:
    loss = row["validation_loss"]
    return None if row["stopped"] == "diverged" or loss is None else float(f"{loss:.6g}")


def main() -> None:
    """Compute what is missing."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.finders.truth", description=__doc__)
    parser.add_argument("--set-aside", action="store_true", help="the tasks set aside; no figure is shown")
    parser.add_argument("--seconds", type=float, default=math.inf, help="begin no task after so many")
    given = parser.parse_args()
    begun = time.perf_counter()
    wanted = set_aside() if given.set_aside else development()
    missing = [task for task in wanted if kept(task) is None]
    for done, task in enumerate(missing):
        if time.perf_counter() - begun > given.seconds:
            raise SystemExit(f"{len(missing) - done} of {len(wanted)} are missing")
        lanes = compute(task)
        keep(lanes)
        print(f"{lanes.seconds:6.1f} s  {lanes.lane_steps:9,} lane-steps  {task.name}", file=sys.stderr)


if __name__ == "__main__":
    main()
