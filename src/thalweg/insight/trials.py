"""Trials: variants of a recipe or a problem, trained together as lanes and compared over the same seeds.

Every comparison by training uses `run_trials`. Lanes with one seed start from the same weights and see
the same batches, so two variants are compared by their differences seed by seed, which vary far less than the
losses themselves.

Trials may be shorter than the run they represent (`recipe.shortened`). They are judged by the validation
loss, or by the training loss where there is no validation split; never by the test split.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from thalweg.core.errors import RecipeError
from thalweg.core.stop_reason import StopReason
from thalweg.engine.group import length
from thalweg.insight.intervals import Estimate, paired_difference
from thalweg.problem.data.folds import FoldedData
from thalweg.problem.data.split import Split
from thalweg.problem.problem import Problem
from thalweg.recipe.recipe import Recipe
from thalweg.run.progress import Progress
from thalweg.run.run import Run, Runs
from thalweg.run.train import train

# Validation examples (windows, for text) that short trials are compared on. All lanes see the same ones, so
# their differences are much more precise than their losses; more would cost more than short lanes do.
MOST_EXAMPLES, MOST_WINDOWS = 2000, 500

SCHEMA: dict[str, type[pl.DataType]] = {
    "variant": pl.String,
    "seed": pl.Int64,
    "loss": pl.Float64,
    "train_loss": pl.Float64,
    "metric": pl.Float64,
    "stopped": pl.String,
    "diverged_at": pl.Int64,
    "steps": pl.Int64,
    "seconds": pl.Float64,
}


@dataclass(frozen=True)
class Variant:
    """One thing to try.

    Args:
        name: Its name in the table, unique among the variants.
        recipe: The recipe of the whole run.
        problem: Where it differs between variants; None for the common one.
    """

    name: str
    recipe: Recipe
    problem: Problem | None = None


@dataclass(frozen=True)
class Trials:
    """The results of `run_trials`.

    Args:
        table: One row per lane, variant by variant: `variant`, `seed`, `loss` (null where the lane diverged),
            `train_loss`, `metric` (on the validation split), `stopped`, `diverged_at` (step), `steps`
            (updates computed, including one that failed), `seconds` (training time of the lane).
        sweeps: The runs, one sweep for each problem.
        steps: Planned updates of each lane; None where each lane had the length of its own recipe.
        seconds: Wall-clock training time, without compilation and evaluation.
    """

    table: pl.DataFrame
    sweeps: tuple[Runs, ...]
    steps: int | None
    seconds: float

    @property
    def lane_steps(self) -> int:
        """Updates computed, added over all lanes: the cost."""
        return int(self.table["steps"].sum())

    def losses(self, variant: str) -> dict[int, float | None]:
        """Return a variant's loss for each seed; None where the lane diverged."""
        rows = self.table.filter(pl.col("variant") == variant)
        return dict(zip(rows["seed"], rows["loss"], strict=True))

    def difference(self, variant: str, baseline: str) -> Estimate | None:
        """Return how much higher a variant's loss is than the baseline's, over the seeds that both have."""
        return paired_difference(self.losses(variant), self.losses(baseline))


def run_trials(
    problem: Problem,
    variants: Sequence[Variant],
    seeds: Sequence[int],
    steps: int | None = None,
    *,
    total: int | None = None,
    budget: int | None = None,
    progress: Progress | None = None,
    keep: Path | str | None = None,
    strict: bool = True,
) -> Trials:
    """Train every variant with every seed, as lanes of one sweep.

    Args:
        problem: The common problem; `validation_only` makes trials cheap.
        variants: What to try, at least one, with different names.
        seeds: Seeds of the lanes, the same for every variant.
        steps: Length of each lane in updates, with the recipe shortened to it; None for each recipe's own.
        total: Length of the whole run that `steps` is a part of; None for that of each recipe.
        budget: Lane-steps that may be spent; `steps` is lowered until all lanes fit.
        progress: Receives the progress of training.
        keep: Folder for the sweep; None keeps it in memory only.
        strict: Whether each lane must compute the same bits as alone (see `train`).

    Raises:
        RecipeError: There are no variants or seeds, names repeat, or the budget does not cover one update
            for each lane.
        KeyboardInterrupt: The user interrupted training. Nothing may be concluded from lanes that were cut
            short; what `keep` holds can be resumed.

    Example:
        >>> variants = [Variant("adam", Recipe(Adam())), Variant("sgd", Recipe(SGD()))]
        >>> trials = run_trials(problem, variants, seeds=range(3), steps=200)
        >>> trials.difference("sgd", "adam")
    """
    if isinstance(problem.data, FoldedData):
        rule, hint = "trials are on one division of the data", "use one fold: problem.of_fold(0)"
        raise RecipeError("trials", rule, got=f"{len(problem.data.folds)} folds", hint=hint)
    names = [variant.name for variant in variants]
    count = len(names) * len(seeds)
    if not count or len(set(names)) < len(names):
        hint = "give each variant a name of its own, and seeds such as range(3)"
        raise RecipeError(
            "trials", "need seeds, and variants with different names", got=f"{names}, {seeds}", hint=hint
        )
    if budget is not None and steps is not None:
        steps = min(steps, budget // count)
    if steps is not None and steps < 1:
        rule = f"the budget must cover one update for each of {count} lanes"
        raise RecipeError("trials", rule, got=budget, hint=f"give at least {count} updates")
    rows, sweeps = [], []
    problems = {id(each): each for each in (variant.problem or problem for variant in variants)}
    for number, trial_problem in enumerate(problems.values()):
        lanes = [(variant, int(seed)) for variant in variants for seed in seeds]
        lanes = [(variant, seed) for variant, seed in lanes if (variant.problem or problem) is trial_problem]
        recipes = [
            dataclasses.replace(_at_length(trial_problem, variant.recipe, steps, total), seed=seed)
            for variant, seed in lanes
        ]
        folder = keep if keep is None or len(problems) == 1 else Path(keep) / f"problem-{number}"
        runs = train(trial_problem, recipes, keep=folder, progress=progress, strict=strict)
        if any(run.result["stopped"] == StopReason.INTERRUPTED for run in runs):
            raise KeyboardInterrupt
        split = "validation" if "validation" in trial_problem.data.splits else "train"
        for (variant, seed), run in zip(lanes, runs, strict=True):
            rows.append({"variant": variant.name, "seed": seed} | _measured(run, split))
        sweeps.append(runs)
    table = pl.DataFrame(rows, schema=SCHEMA, orient="row")
    return Trials(table, tuple(sweeps), steps, sum(map(_training_seconds, sweeps)))


def validation_only(problem: Problem) -> Problem:
    """Return the problem without its test split, and with no more validation examples than trials need."""
    data = problem.data
    validation = None if data.validation is None else fewer(data.validation)
    return dataclasses.replace(problem, data=dataclasses.replace(data, validation=validation, test=None))


def fewer(split: Split) -> Split:
    """Return at most as many examples of a split as trials are compared on."""
    return split.fewer(MOST_WINDOWS if split.is_text else MOST_EXAMPLES)


def _at_length(problem: Problem, recipe: Recipe, steps: int | None, total: int | None) -> Recipe:
    return recipe if steps is None else recipe.shortened(steps, total or length(problem, recipe))


def _measured(run: Run, split: str) -> dict[str, Any]:
    """Return the results of a lane, as columns of the table."""
    result = run.result
    diverged = result["stopped"] == StopReason.DIVERGED
    loss, metric = result[f"{split}_loss"], result.get(f"{split}_metric") or {}
    usable = loss is not None and bool(np.isfinite(loss)) and not diverged
    return {
        "loss": loss if usable else None,
        "train_loss": None if diverged else result["train_loss"],
        "metric": metric.get("value"),
        "stopped": result["stopped"],
        "diverged_at": int(result["steps"]) if diverged else None,
        "steps": int(result["steps"]) + diverged,  # the update that failed was computed too
        "seconds": result["seconds"]["train"],
    }


def _training_seconds(runs: Runs) -> float:
    return sum(run.result["seconds"]["train"] for run in runs) / runs.result["plan"]["workers"]
