"""The ground truth of each task: full-length runs on a grid of rates, five seeds each, saved to disk.

`python -m benchmarks.finders.truth` computes the missing tasks one by one and saves each immediately. A first
pass in steps of a factor of 2 with two seeds brackets the best rate. A second pass in steps of 2^(1/4) with
five seeds covers `REACH` octaves to both sides of it, and more if the best rate turns out to be near an end.
Rates that a method picked outside this grid are run and saved too.

The loss of a lane is the validation loss of the weights selected at its end, which are the ones that a user
gets. None stands for a diverged lane.
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
# Octaves around the task's own rate: eight decades, because new problems had best rates from 1e-5 to 10.
OCTAVES = 13
# Steps of the fine grid per octave, octaves to both sides, and the least distance, in steps, between the best
# rate and an end of the grid: half of the smoothing window, which is one octave to both sides, then has data.
FINE, REACH, MARGIN = 4, 1.5, 2
MOST_EXTENSIONS = 6


@dataclass
class Lanes:
    """The known losses of a task by rate and seed.

    Args:
        task: The task.
        losses: By rate, then by seed; None for a diverged lane.
        fine: Bounds of the fine grid, in steps of 1 / `FINE` octave from the task's own rate.
        lane_steps, seconds: The cost of the runs.
    """

    task: Task
    losses: dict[float, dict[int, float | None]] = field(default_factory=dict)
    fine: tuple[int, int] = (0, 0)
    lane_steps: int = 0
    seconds: float = 0.0

    @property
    def own(self) -> float:
        """The rate of the task's recipe."""
        return rate_of(self.task.recipe)

    @property
    def grid(self) -> list[float]:
        """The rates of the fine grid."""
        return [self.at(step) for step in range(self.fine[0], self.fine[1] + 1)]

    def at(self, step: int) -> float:
        """Return a rate of the fine grid."""
        return float(f"{self.own * 2 ** (step / FINE):.6g}") if step else self.own

    def run(self, rates: Iterable[float], seeds: Sequence[int] = SEEDS) -> None:
        """Run the missing lanes in one call."""
        requested = dict.fromkeys((rate, seed) for rate in rates for seed in seeds)
        missing = [(rate, seed) for rate, seed in requested if seed not in self.losses.get(rate, {})]
        if not missing:
            return
        start = time.perf_counter()
        recipe = self.task.recipe
        recipes = [with_rate(recipe, rate, seed=seed) for rate, seed in missing]
        table = tw.train(self.task.problem(), recipes).table
        for (rate, seed), row in zip(missing, table.iter_rows(named=True), strict=True):
            self.losses.setdefault(rate, {})[seed] = _loss(row)
        self.lane_steps += int(table["steps"].sum())
        self.seconds += time.perf_counter() - start

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        losses = {
            f"{rate:g}": [seeds.get(s, "") for s in SEEDS] for rate, seeds in sorted(self.losses.items())
        }
        return {
            "steps": self.task.steps,
            "own": self.own,
            "fine": list(self.fine),
            "lane_steps": self.lane_steps,
            "seconds": round(self.seconds, 1),
            "losses": losses,
        }


def kept(task: Task) -> Lanes | None:
    """Return the saved lanes of a task; None if there are none, or if the task's definition has changed."""
    entry = read(path(task)).get(task.name)
    if entry is None or (entry["steps"], entry["own"]) != (task.steps, rate_of(task.recipe)):
        return None
    losses = {
        float(rate): {seed: loss for seed, loss in zip(SEEDS, row, strict=True) if loss != ""}
        for rate, row in entry["losses"].items()
    }
    return Lanes(task, losses, tuple(entry["fine"]), entry["lane_steps"], entry["seconds"])


def keep(lanes: Lanes) -> None:
    """Save the lanes of a task."""
    put(path(lanes.task), {lanes.task.name: lanes.to_dict()})


def put(file: Path, new_entries: Mapping[str, Any]) -> None:
    """Add entries to the JSON object of a file, atomically; one line per key, so that diffs are readable.

    Two processes may do so at the same time; both keep their entries.
    """
    file.parent.mkdir(exist_ok=True)
    with file.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        entries = read(file) | dict(new_entries)
        lines = ",\n".join(f" {json.dumps(name)}: {json.dumps(entries[name])}" for name in sorted(entries))
        partial = file.with_suffix(".partial")
        partial.write_text("{\n" + lines + "\n}\n")
        partial.replace(file)


def read(file: Path) -> dict[str, Any]:
    """Return the JSON object of a file; an empty one if the file does not exist."""
    return json.loads(file.read_text()) if file.exists() else {}


def path(task: Task) -> Path:
    """Return the file of a task's ground truth; the tasks set aside have a file of their own."""
    return RESULTS / ("finders-truth-set-aside.json" if task.name in NAMES else "finders-truth.json")


def compute(task: Task) -> Lanes:
    """Run the two passes of a task."""
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
    values = [losses.get(seed, math.nan) for seed in seeds]
    return math.inf if None in values else sum(values) / len(values)  # type: ignore[arg-type]


def _lowest(lanes: Lanes, steps: Iterable[int], seeds: Sequence[int]) -> int:
    """Return the step with the lowest mean over itself and its neighbours, which averages luck out."""
    steps = list(steps)
    means = [mean(lanes.losses[lanes.at(step)], seeds) for step in steps]
    finite = [value for value in means if math.isfinite(value)]
    if not finite:
        return 0
    worst = max(finite)
    padded = [means[0], *means, means[-1]]
    padded = [value if math.isfinite(value) else worst for value in padded]
    smooth = [0.25 * a + 0.5 * b + 0.25 * c for a, b, c in zip(padded, padded[1:], padded[2:], strict=False)]
    usable = [value if math.isfinite(raw) else math.inf for value, raw in zip(smooth, means, strict=True)]
    return steps[usable.index(min(usable))]


def _loss(row: dict[str, Any]) -> float | None:
    loss = row["validation_loss"]
    return None if row["stopped"] == "diverged" or loss is None else float(f"{loss:.6g}")


def main() -> None:
    """Compute the missing tasks."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.finders.truth", description=__doc__)
    parser.add_argument("--set-aside", action="store_true", help="only the tasks set aside; prints no loss")
    parser.add_argument("--seconds", type=float, default=math.inf, help="start no task after this time")
    arguments = parser.parse_args()
    start = time.perf_counter()
    tasks = set_aside() if arguments.set_aside else development()
    missing = [task for task in tasks if kept(task) is None]
    for done, task in enumerate(missing):
        if time.perf_counter() - start > arguments.seconds:
            raise SystemExit(f"{len(missing) - done} of {len(tasks)} are missing")
        lanes = compute(task)
        keep(lanes)
        print(f"{lanes.seconds:6.1f} s  {lanes.lane_steps:9,} lane-steps  {task.name}", file=sys.stderr)


if __name__ == "__main__":
    main()
