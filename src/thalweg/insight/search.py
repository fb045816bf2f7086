"""Searching a space of recipes batch by batch: propose points, train them as lanes, report their losses.

Without a study the points are quasi-random. With an Optuna study, its sampler proposes as many points as
there are lanes; all of them are trained together, and reported before it proposes more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from thalweg.core.arguments import check_fields, checked
from thalweg.core.caller import option
from thalweg.core.errors import BadInput, MissingExtra, RecipeError
from thalweg.insight.trials import Trials, Variant, run_trials
from thalweg.problem.problem import Problem
from thalweg.recipe import vary
from thalweg.recipe.book import default_recipe
from thalweg.recipe.ranges import Range
from thalweg.recipe.recipe import Recipe
from thalweg.run.progress import Progress
from thalweg.run.run import Run, Runs


@dataclass(frozen=True)
class Budget:
    """How much to try.

    Args:
        trials: Points in the space.
        lanes: Points trained together. More is faster; fewer lets the sampler learn more often.
        seeds: Each point is trained with all of these and judged by the mean; None for the recipe's own.
    """

    trials: int = 64
    lanes: int = 16
    seeds: Sequence[int] | None = None

    def __post_init__(self) -> None:
        check_fields(RecipeError, "search", self)
        for name in ("trials", "lanes"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                rule = f"{name} must be a whole number of at least 1"
                raise RecipeError("search", rule, got=value, hint="try 16")
        if self.seeds is not None and not len(self.seeds):
            raise RecipeError("search", "seeds must not be empty", got=self.seeds, hint="try [0, 1]")


@dataclass(frozen=True)
class SearchResult:
    """The result of a search.

    Args:
        table: One row per trial: `trial`, `batch`, a column for each setting of the space, `value` (mean
            validation loss; null where a lane diverged), `diverged` (number of lanes).
        batches: The runs, batch by batch; those of one trial are adjacent, one lane per seed.
        recipe: The best trial's recipe; None where every trial diverged.
        study: The study; None without one.
    """

    table: pl.DataFrame
    batches: tuple[Runs, ...]
    recipe: Recipe | None
    study: Any = None

    @property
    def best(self) -> Run | None:
        """The run with the lowest validation loss among those of the best trial."""
        if self.recipe is None:
            return None
        same = replace(self.recipe, seed=0)
        runs = [run for batch in self.batches for run in batch if replace(run.recipe, seed=0) == same]
        return min(runs, key=_loss)


@checked(BadInput)
def search(
    problem: Problem,
    recipe: Recipe | None,
    space: Mapping[str, Any],
    budget: Budget = Budget(),
    *,
    study: Any = None,
    key: Any = 0,
    keep: Path | str | None = None,
    progress: Progress | None = None,
) -> SearchResult:
    """Search a space for the recipe with the lowest validation loss, many lanes at a time.

    Args:
        problem: What to learn; it needs a validation split.
        recipe: What does not vary; None for the default of the data.
        space: The domain of each setting: `(1e-5, 1e-1)`, a logarithmic range; `Range(0, 0.5, log=False)`; a
            list of choices; text such as `"1e-5..1e-1:log"`.
        budget: How much to try.
        study: An Optuna study that minimises; None for a quasi-random search. For its TPE sampler use
            `TPESampler(constant_liar=True)`, which spreads the points of a batch.
        key: Seed of the quasi-random points.
        keep: A folder for the sweeps, one per batch; None keeps them in memory only.
        progress: Receives the progress of each batch.

    Returns:
        The trials as a table, their runs, and the best recipe.

    Raises:
        BadInput: Problem, recipe or space cannot be used.
        MissingExtra: There is a study but Optuna is not installed.

    Example:
        >>> study = optuna.create_study(sampler=optuna.samplers.TPESampler(constant_liar=True, seed=0))
        >>> result = search(problem, recipe, {"lr": (1e-4, 1e-1), "b1": "0.8..0.99:lin"}, study=study)
        >>> result.recipe.optimizer.lr
    """
    if "validation" not in problem.data.splits:
        hint = f"load the data with {option('validation', 0.1)}"
        raise RecipeError("search", "needs a validation split to choose by", got="none", hint=hint)
    base = recipe or default_recipe(problem.data.task, problem.data.train.count())
    seeds = list(budget.seeds) if budget.seeds is not None else [base.seed]
    sampler = _QuasiRandom(base, space, budget.trials, key) if study is None else _Optuna(base, space, study)
    rows: list[dict[str, Any]] = []
    batches: list[Runs] = []
    recipes: list[Recipe] = []
    while len(rows) < budget.trials:
        points = sampler.ask(min(budget.lanes, budget.trials - len(rows)))
        variants = [
            Variant(str(len(rows) + number), varied)
            for number, varied in enumerate(vary.with_rows(base, points))
        ]
        folder = None if keep is None else Path(keep) / f"batch-{len(batches):03d}"
        trials = run_trials(problem, variants, seeds, keep=folder, progress=progress, strict=False)
        values = [_value(trials, variant.name) for variant in variants]
        sampler.tell([value for value, _ in values])
        for point, (value, diverged) in zip(points, values, strict=True):
            row = {"trial": len(rows), "batch": len(batches)} | {k: _cell(v) for k, v in point.items()}
            rows.append(row | {"value": value, "diverged": diverged})
        batches += trials.sweeps
        recipes += [variant.recipe for variant in variants]
    finite = [row for row in rows if row["value"] is not None]
    best = recipes[min(finite, key=lambda row: row["value"])["trial"]] if finite else None
    table = pl.DataFrame(rows, infer_schema_length=None, strict=False)
    return SearchResult(table, tuple(batches), best, study)


def _cell(value: Any) -> Any:
    """Return a value that a table can hold: a number or a name; a component with its settings as text."""
    return value if isinstance(value, (str, int, float, bool)) else str(value)


def _value(trials: Trials, variant: str) -> tuple[float | None, int]:
    """Return a trial's mean validation loss over its lanes, None where one diverged, and how many did."""
    losses = list(trials.losses(variant).values())
    diverged = trials.table.filter(pl.col("variant") == variant)["diverged_at"].is_not_null().sum()
    usable = [loss for loss in losses if loss is not None]
    return (float(np.mean(usable)) if len(usable) == len(losses) else None), int(diverged)


def _loss(run: Run) -> float:
    loss = run.result.get("validation_loss")
    return float("inf") if loss is None or loss != loss else loss


class _QuasiRandom:
    """Points of a Sobol sequence, regardless of their losses."""

    def __init__(self, recipe: Recipe, space: Mapping[str, Any], trials: int, key: Any):
        self._rows = iter(vary.sample_rows(recipe, trials, space, key))

    def ask(self, count: int) -> list[dict[str, Any]]:
        """Return the next points."""
        return [next(self._rows) for _ in range(count)]

    def tell(self, values: Sequence[float | None]) -> None:
        """Ignore the losses."""


class _Optuna:
    """Points that a study's sampler proposes."""

    def __init__(self, recipe: Recipe, space: Mapping[str, Any], study: Any):
        optuna = _optuna()
        if not isinstance(study, optuna.study.Study):
            hint = "use optuna.create_study(), or leave it out"
            raise RecipeError("search", "study must be an Optuna study", got=study, hint=hint)
        if list(study.directions) != [optuna.study.StudyDirection.MINIMIZE]:
            hint = "create it without directions, which minimises one value"
            raise RecipeError("search", "the study must minimise one value", got=study.directions, hint=hint)
        self._study, self._pruned = study, optuna.trial.TrialState.PRUNED
        self._domains = vary.read_space(space)
        self._distributions = {
            name: _distribution(
                optuna.distributions, domain, isinstance(domain, Range) and vary.is_whole(recipe, name)
            )
            for name, domain in self._domains.items()
        }
        self._trials: list[Any] = []

    def ask(self, count: int) -> list[dict[str, Any]]:
        """Ask for `count` points without reporting anything in between."""
        self._trials = [self._study.ask(self._distributions) for _ in range(count)]
        return [
            {name: self._of(name, trial.params[name]) for name in self._domains} for trial in self._trials
        ]

    def tell(self, values: Sequence[float | None]) -> None:
        """Report the losses; a point that diverged is pruned, which samplers treat as bad."""
        for trial, value in zip(self._trials, values, strict=True):
            self._study.tell(trial, value, state=self._pruned if value is None else None)

    def _of(self, name: str, parameter: Any) -> Any:
        domain = self._domains[name]
        return parameter if isinstance(domain, Range) else domain[parameter]


def _distribution(distributions: Any, domain: Range | list[Any], whole: bool) -> Any:
    """Return a domain as a distribution; choices, which may be any object, are drawn by index."""
    if isinstance(domain, list):
        return distributions.CategoricalDistribution(list(range(len(domain))))
    if whole:
        return distributions.IntDistribution(round(domain.low), round(domain.high), log=domain.log)
    return distributions.FloatDistribution(domain.low, domain.high, log=domain.log)


def _optuna() -> Any:
    try:
        return import_module("optuna")
    except ImportError as error:
        raise MissingExtra("search", "a study needs Optuna", hint="pip install thalweg[optuna]") from error
