"""Rungs of the learning rate search: how many, how long, and the lanes trained on each.

A rung trains lanes of one length, one for each rate and seed. Every rung is longer than the one before, and
has fewer rates, closer to the best.
"""

import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field

import polars as pl

from thalweg.core.compiler import fast_compilation
from thalweg.core.errors import RecipeError
from thalweg.engine.group import length
from thalweg.insight.cost import graph, trace
from thalweg.insight.cost.flops import count
from thalweg.insight.finder.finding import LANE
from thalweg.insight.trials import Variant, run_trials, validation_only
from thalweg.problem.problem import Problem
from thalweg.recipe.recipe import Recipe, with_rate
from thalweg.run.progress import Progress

# The default budget: what fits in six seconds of training, at least a tenth of the run, at most ten runs
# (`SHARES`). Ten runs locate the best rate about as precisely as any number of seeds can distinguish rates.
SECONDS, LEAST = 6.0, 0.1
# Of a machine that is not measured but assumed, so that neither another one nor other work on this one
# changes what is found: operations a second in products and elsewhere, and seconds of bookkeeping an update.
# About those of lanes on two cores of an EPYC, for which the seconds above were chosen.
PRODUCTS, OTHERS, BOOKKEEPING = 1e11, 5e9, 2e-5
# A search of fewer of those seconds is compiled without optimisation. 400 updates of 13-256-256-2 with
# dropout took 3.0 s of processor time longer so, and their compilation 6.9 s less (a busy EPYC): even at 0.3
# of these seconds.
BRIEF = 0.3
# That budget is rounded down to one of these shares, so that a slightly larger model has the same.
SHARES = (0.1, 0.3, 1.0, 3.0, 10.0)
# A shorter first rung only shows how training starts; then there are fewer rungs. Chosen on the development
# tasks of benchmarks/finders, as are the numbers of lanes and seeds.
FEWEST_STEPS = 8
GROWTH = 3  # length of a rung relative to the one before: eta in Li et al., Hyperband, 2018
MOST_RUNGS = 3
FIRST_LANES, LANES = 9, 5
SEEDS = (2, 1)  # per rate: in the rungs between the first and the last, and in the last
# Lanes have seeds far from those that users choose. A rate that happens to suit the run's own order of
# batches would be luck, and the run is judged on the same validation split.
FIRST_SEED = 1000


@dataclass(frozen=True)
class SearchPlan:
    """The rungs of a search, in order.

    Args:
        steps: Updates of each rung's lanes.
        seeds: Seeds per rate on each rung.
        budget: Lane-steps in all.
    """

    steps: tuple[int, ...]
    seeds: tuple[int, ...]
    budget: int


def check_share(share: float | None) -> None:
    """Reject a share that is not a finite number above 0.

    Raises:
        RecipeError: It is not.
    """
    is_number = isinstance(share, int | float) and not isinstance(share, bool)
    if share is not None and not (is_number and math.isfinite(share) and share > 0):
        raise RecipeError(
            "find_lr", "share must be a number above 0, a share of the run", got=share, hint="try 0.1"
        )


def check_seeds(seeds: int | None) -> None:
    """Reject a number of seeds that is not a whole number of at least 1.

    Raises:
        RecipeError: It is not.
    """
    if seeds is not None and (isinstance(seeds, bool) or not isinstance(seeds, int) or seeds < 1):
        raise RecipeError("find_lr", "seeds must be a whole number of at least 1", got=seeds, hint="try 2")


def assumed_seconds(problem: Problem, recipe: Recipe) -> float:
    """Return the seconds of an update on the assumed machine: from its operations, counted and not timed."""
    whole = count(graph.computation(trace.one_update(trace.shapes(problem, recipe))))
    return BOOKKEEPING + whole.products / PRODUCTS + (whole.total - whole.products) / OTHERS


def default_share(seconds_per_step: float, total: int) -> float:
    """Return the budget, as a share of the run, where the user gives none.

    Args:
        seconds_per_step: Of one update of one lane, on the assumed machine.
        total: Updates of the run.
    """
    share = SECONDS / max(seconds_per_step, 1e-9) / total
    return max([LEAST, *[step for step in SHARES if step <= share]])


def plan_rungs(share: float, total: int, seeds: int | None = None, spent: int = 0) -> SearchPlan:
    """Return as many rungs as the budget allows with a first one of at least `FEWEST_STEPS` updates.

    Args:
        share: The budget, as a share of the run's updates.
        total: Updates of the run.
        seeds: Seeds per rate on every rung but the first; None for `SEEDS`.
        spent: Lane-steps already spent.
    """
    budget = int(share * total + 1e-9)
    for rungs in range(MOST_RUNGS, 0, -1):
        each = (1, *[seeds or (SEEDS[1] if rung == rungs - 1 else SEEDS[0]) for rung in range(1, rungs)])
        lanes = [FIRST_LANES, *[LANES * count for count in each[1:]]]
        lengths = [GROWTH ** (rung - rungs + 1) for rung in range(rungs)]  # relative to the last one's
        cost = sum(count * length for count, length in zip(lanes, lengths, strict=True))
        last = min(total, (budget - spent) / cost)
        steps = tuple(int(last * length + 1e-9) for length in lengths)
        if steps[0] >= FEWEST_STEPS or rungs == 1:
            return SearchPlan(steps, each, budget)
    raise AssertionError("one rung always fits")


@dataclass
class Rungs:
    """Trains the lanes of a search and collects their losses.

    Args:
        problem: The problem; its test split is never read.
        recipe: The recipe of the whole run.
        progress: Receives the progress of each rung.
        brief: Whether the search is so short that a fast compilation is worth more than fast lanes.
        total: Updates of the whole run.
        update_seconds: Of an update, on the assumed machine.
        curve: One row per lane, as in `LearningRateFinding.curve`.
        spent: Lane-steps so far.
    """

    problem: Problem
    recipe: Recipe
    progress: Progress | None = None
    brief: bool = False
    total: int = field(init=False)
    update_seconds: float = field(init=False)
    curve: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=LANE))
    spent: int = 0

    def __post_init__(self) -> None:
        self.total = length(self.problem, self.recipe)
        self.problem = validation_only(self.problem)
        self.update_seconds = assumed_seconds(self.problem, self.recipe)

    def train(self, rates: Sequence[float], seeds: int, steps: int, rung: int) -> None:
        """Train every rate with this many seeds for `steps` updates.

        Raises:
            KeyboardInterrupt: The user interrupted training.
        """
        with fast_compilation() if self.brief else nullcontext():
            trials = run_trials(
                self.problem,
                [Variant(repr(rate), with_rate(self.recipe, rate)) for rate in rates],
                range(FIRST_SEED, FIRST_SEED + seeds),
                steps,
                total=self.total,
                progress=self.progress,
            )
        self.spent += trials.lane_steps
        rows = trials.table.with_columns(
            pl.lit(rung).alias("rung"),
            pl.lit(steps).alias("steps"),
            pl.Series("rate", [rate for rate in rates for _ in range(seeds)]),
        )
        self.curve = pl.concat([self.curve, rows.select(pl.col(name).cast(LANE[name]) for name in LANE)])
