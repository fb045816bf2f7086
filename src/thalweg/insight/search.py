"""Searching a space of recipes batch by batch: ask for points, train them as lanes, tell what they reached.

Without a study the points are quasi-random, and known from the start. With an Optuna study its sampler is
asked for as many points as there are lanes, all of them are trained together, and it is told before it is
asked again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import polars as pl

from thalweg.core.errors import MissingExtra, RecipeError
from thalweg.core.stop_reason import StopReason
from thalweg.problem.problem import Problem
from thalweg.recipe import vary
from thalweg.recipe.book import default_recipe
from thalweg.recipe.ranges import Range
from thalweg.recipe.recipe import Recipe
from thalweg.run.progress import Progress
from thalweg.run.run import Run, Runs
from thalweg.run.train import train

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Budget:
    """How much is tried.

    Args:
        trials: Points in the space.
        lanes: Points that are trained together. More are quicker; fewer let the sampler learn more often.
        seeds: Every point is trained with each of these, and judged by the mean; None for the recipe's own.
    """

    trials: int = 64
    lanes: int = 16
    seeds: Sequence[int] | None = None

    def __post_init__(self) -> None:
        for name in ("trials", "lanes"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise RecipeError("search", f"{name} must be a whole number from 1 on", got=value)
        if self.seeds is not None and not len(self.seeds):
            raise RecipeError("search", "seeds must have at least one", got=self.seeds)


@dataclass(frozen=True)
class SearchResult:
    """What a search found.

    Args:
        table: One row for each trial: `trial`, `batch`, a column for each setting of the space, `value` (mean
            validation loss; null where a lane diverged), `diverged` (lanes).
        batches: The runs, batch after batch; those of one trial stand together, a lane for each seed.
        recipe: The best trial's recipe; None when every trial diverged.
        study: The study that was asked; None without one.
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
        same = replace_seed(self.recipe, 0)
        runs = [run for batch in self.batches for run in batch if replace_seed(run.recipe, 0) == same]
        return min(runs, key=lambda run: _loss(run.result))


class _Asked(Protocol):
    """Whoever proposes points."""

    def ask(self, count: int) -> list[dict[str, Any]]: ...

    def tell(self, values: Sequence[float | None]) -> None:
        """Hear what the points asked last have reached; None for one that diverged."""
        ...


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
        problem: What is learned; it needs a validation part.
        recipe: What does not vary; None for the data's default.
        space: For each setting what it may be: `(1e-5, 1e-1)`, a logarithmic range; `Range(0, 0.5,
            log=False)`; a list of choices; text as `"1e-5..1e-1:log"`.
        budget: How much is tried.
        study: An Optuna study that minimises; None for a quasi-random search. With its TPE sampler, give
            `TPESampler(constant_liar=True)`, so that the points of a batch keep apart.
        key: Seed of the quasi-random points.
        keep: A folder for the sweeps, one for each batch; None for memory only.
        progress: Who is told how each batch goes.

    Returns:
        The trials as a table, their runs, and the best recipe.

    Raises:
        BadInput: Problem, recipe or space cannot be used.
        MissingExtra: A study is given and Optuna is not installed.

    Example:
        >>> study = optuna.create_study(sampler=optuna.samplers.TPESampler(constant_liar=True, seed=0))
        >>> found = search(problem, recipe, {"lr": (1e-4, 1e-1), "b1": "0.8..0.99:lin"}, study=study)
        >>> found.recipe.optimizer.lr
    """
    if "validation" not in problem.data.splits:
        raise RecipeError("search", "needs a validation part to choose by", got="none")
    base = recipe or default_recipe(problem.data.task, problem.data.train.count())
    seeds = list(budget.seeds) if budget.seeds is not None else [base.seed]
    asked = _QuasiRandom(base, space, budget.trials, key) if study is None else _Optuna(base, space, study)
    rows: list[dict[str, Any]] = []
    batches: list[Runs] = []
    chosen: Recipe | None = None
    lowest = float("inf")
    while len(rows) < budget.trials:
        points = asked.ask(min(budget.lanes, budget.trials - len(rows)))
        recipes = vary.with_rows(base, points)
        lanes = [replace_seed(one, seed) for one in recipes for seed in seeds]
        folder = None if keep is None else Path(keep) / f"batch-{len(batches):03d}"
        batches.append(train(problem, lanes, keep=folder, progress=progress))
        found = [_value(batches[-1], start, len(seeds)) for start in range(0, len(lanes), len(seeds))]
        asked.tell([value for value, _ in found])
        for point, (value, lost) in zip(points, found, strict=True):
            row = {"trial": len(rows), "batch": len(batches) - 1} | {k: _cell(v) for k, v in point.items()}
            rows.append(row | {"value": value, "diverged": lost})
            if value is not None and value < lowest:
                lowest, chosen = value, vary.with_rows(base, [point])[0]
    return SearchResult(
        pl.DataFrame(rows, infer_schema_length=None, strict=False), tuple(batches), chosen, study
    )


def replace_seed(recipe: Recipe, seed: int) -> Recipe:
    """Return a recipe with another seed."""
    return replace(recipe, seed=int(seed))


def _cell(value: Any) -> Any:
    """Return what a table can hold: a number or a name; a whole part with its settings as text."""
    return value if isinstance(value, (str, int, float, bool)) else str(value)


def _value(runs: Runs, start: int, count: int) -> tuple[float | None, int]:
    """Return a trial's mean validation loss over its lanes, None where one diverged; and how many did."""
    results = [runs[lane].result for lane in range(start, start + count)]
    lost = sum(result["stopped"] == StopReason.DIVERGED for result in results)
    mean = float(np.mean([_loss(result) for result in results]))
    return (mean if not lost and np.isfinite(mean) else None), lost


def _loss(result: Mapping[str, Any]) -> float:
    found = result.get("validation_loss")
    return float("inf") if found is None or found != found else found


class _QuasiRandom:
    """Points of a Sobol sequence; what they reach changes nothing."""

    def __init__(self, recipe: Recipe, space: Mapping[str, Any], trials: int, key: Any):
        self._rows = iter(vary.drawn_rows(recipe, trials, space, key))

    def ask(self, count: int) -> list[dict[str, Any]]:
        """Return the next points."""
        return [next(self._rows) for _ in range(count)]

    def tell(self, values: Sequence[float | None]) -> None:
        """Hear what they reached."""


class _Optuna:
    """Points that a study's sampler proposes."""

    def __init__(self, recipe: Recipe, space: Mapping[str, Any], study: Any):
        optuna = _optuna()
        if list(study.directions) != [optuna.study.StudyDirection.MINIMIZE]:
            raise RecipeError("search", "the study must minimise one value", got=study.directions)
        self._study, self._pruned = study, optuna.trial.TrialState.PRUNED
        self._domains = vary.read_space(space)
        self._distributions = {
            name: _distribution(
                optuna.distributions, given, isinstance(given, Range) and vary.is_whole(recipe, name)
            )
            for name, given in self._domains.items()
        }
        self._trials: list[Any] = []

    def ask(self, count: int) -> list[dict[str, Any]]:
        """Ask for so many points, without telling anything in between."""
        self._trials = [self._study.ask(self._distributions) for _ in range(count)]
        return [
            {name: self._of(name, trial.params[name]) for name in self._domains} for trial in self._trials
        ]

    def tell(self, values: Sequence[float | None]) -> None:
        """Tell the values; a point that diverged was pruned, which samplers take for a bad one."""
        for trial, value in zip(self._trials, values, strict=True):
            self._study.tell(trial, value, state=self._pruned if value is None else None)

    def _of(self, name: str, given: Any) -> Any:
        domain = self._domains[name]
        return given if isinstance(domain, Range) else domain[given]


def _distribution(distributions: Any, given: Range | list[Any], whole: bool) -> Any:
    """Return a range as a distribution; of choices their places, which may be anything."""
    if isinstance(given, list):
        return distributions.CategoricalDistribution(list(range(len(given))))
    if whole:
        return distributions.IntDistribution(round(given.low), round(given.high), log=given.log)
    return distributions.FloatDistribution(given.low, given.high, log=given.log)


def _optuna() -> Any:
    try:
        return import_module("optuna")
    except ImportError as error:
        raise MissingExtra("search", "a study needs Optuna", hint="pip install thalweg[optuna]") from error
