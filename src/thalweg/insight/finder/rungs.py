"""Rungs: lanes of one length, a rate and a seed each, trained with the recipe's own course shortened."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from thalweg.core.stop_reason import StopReason
from thalweg.engine.group import length
from thalweg.insight.finder.finding import LANE
from thalweg.problem.data.split import Split
from thalweg.problem.problem import Problem
from thalweg.recipe.recipe import Recipe, with_rate
from thalweg.run.progress import Progress
from thalweg.run.run import Run
from thalweg.run.train import train

# Examples of the validation part that lanes are compared on: the same for all, so that differences between
# lanes are far surer than either loss, and no more than a short lane is worth. Windows are long.
MOST_EXAMPLES, MOST_WINDOWS = 2000, 500
# Lanes have seeds of their own, far from those that a user gives: a rate that suits the order of batches of
# the run itself, which is then judged on the same validation part, would be luck.
FIRST_SEED = 1000


@dataclass
class Lanes:
    """Trains lanes and keeps what they reached.

    Args:
        problem: What is learned.
        recipe: The recipe of the whole run.
        progress: Who is told how each rung goes.
        total: Updates of the whole run.
        rows: What each lane reached.
        seconds: Wall clock of training, compilation and evaluations left out.
    """

    problem: Problem
    recipe: Recipe
    progress: Progress | None = None
    total: int = field(init=False)
    rows: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.total = length(self.problem, self.recipe)
        self.problem = cut(self.problem)

    @property
    def spent(self) -> int:
        """Lane-steps trained so far."""
        return sum(row["made"] for row in self.rows)

    @property
    def curve(self) -> pl.DataFrame:
        """A row for each lane, as `Finding.curve` has it."""
        rows = [{name: row[name] for name in LANE} for row in self.rows]
        return pl.DataFrame(rows, schema=LANE, orient="row")

    def train(self, rates: Sequence[float], seeds: int, steps: int, rung: int) -> None:
        """Train every rate with as many seeds for `steps` updates.

        Raises:
            KeyboardInterrupt: Somebody interrupted it.
        """
        pairs = [(rate, FIRST_SEED + seed) for rate in rates for seed in range(seeds)]
        short = self.recipe.shortened(steps, self.total)
        recipes = [dataclasses.replace(with_rate(short, rate), seed=seed) for rate, seed in pairs]
        runs = train(self.problem, recipes, progress=self.progress, strict=True)
        if any(run.result["stopped"] == StopReason.INTERRUPTED for run in runs):
            raise KeyboardInterrupt
        workers = runs.result["plan"]["workers"]
        self.seconds += sum(run.result["seconds"]["train"] for run in runs) / workers
        for (rate, seed), run in zip(pairs, runs, strict=True):
            self.rows.append({"rung": rung, "steps": steps, "rate": rate, "seed": seed} | _reached(run))


def cut(problem: Problem) -> Problem:
    """Return the problem without its test part, and with no more validation examples than lanes are worth."""
    data = problem.data
    validation = None if data.validation is None else fewer(data.validation)
    return dataclasses.replace(problem, data=dataclasses.replace(data, validation=validation, test=None))


def fewer(split: Split) -> Split:
    """Return no more examples of a split than lanes are compared by."""
    return split.fewer(MOST_WINDOWS if split.is_text else MOST_EXAMPLES)


def _reached(run: Run) -> dict[str, Any]:
    result = run.result
    lost = result["stopped"] == StopReason.DIVERGED
    reached = result["validation_loss"] if "validation" in run.problem.data.splits else result["train_loss"]
    came = reached is not None and bool(np.isfinite(reached)) and not lost
    return {
        "loss": reached if came else None,
        "train_loss": None if lost else result["train_loss"],
        "stopped": result["stopped"],
        "diverged_at": int(result["steps"]) if lost else None,
        "made": int(result["steps"]) + lost,  # the update that failed was computed too
    }
