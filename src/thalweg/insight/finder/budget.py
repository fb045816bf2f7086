"""How much may be spent, and on rungs of what length."""

import math
from dataclasses import dataclass

from thalweg.core.errors import RecipeError

# Without a share: what six seconds of training buy, but no less than a tenth of the run, and no more than ten
# runs, which place a best rate about as well as any number of seeds that far can be told apart.
SECONDS, LEAST, MOST = 6.0, 0.1, 10.0
# What seconds buy is rounded down to one of these shares, so that a machine a little slower finds the same.
SHARES = (0.1, 0.3, 1.0, 3.0, 10.0)
# A first rung shorter than this tells of the start alone; then there are fewer rungs. Chosen on the
# development tasks of benchmarks/finders, as are the numbers of lanes and seeds.
FEWEST_STEPS = 8
GROWTH = 3  # of a rung's length over the one before: Li et al., Hyperband, 2018 (their eta)
MOST_RUNGS = 3
FIRST_LANES, LANES = 9, 5
SEEDS = (2, 1)  # of the rungs between, and of the last one


@dataclass(frozen=True)
class SearchPlan:
    """Rungs after another.

    Args:
        steps: Updates of each rung's lanes.
        seeds: Seeds of each rung.
        budget: Lane-steps in all.
    """

    steps: tuple[int, ...]
    seeds: tuple[int, ...]
    budget: int


def check_share(share: float | None) -> None:
    """Refuse a share that is none.

    Raises:
        RecipeError: It is not a finite number above 0.
    """
    whole = isinstance(share, int | float) and not isinstance(share, bool)
    if share is not None and not (whole and math.isfinite(share) and share > 0):
        raise RecipeError(
            "find_lr", "share must be a number above 0, a share of the run", got=share, hint="try 0.1"
        )


def check_seeds(seeds: int | None) -> None:
    """Refuse a number of seeds that is none.

    Raises:
        RecipeError: It is not a whole number from 1 on.
    """
    if seeds is not None and (isinstance(seeds, bool) or not isinstance(seeds, int) or seeds < 1):
        raise RecipeError("find_lr", "seeds must be a whole number from 1 on", got=seeds, hint="try 2")


def bought(seconds_a_step: float, total: int) -> float:
    """Return the share of a run that may be spent where none was named.

    Args:
        seconds_a_step: Of a lane, as measured.
        total: Updates of the run.
    """
    share = SECONDS / max(seconds_a_step, 1e-9) / total
    return max([LEAST, *[one for one in SHARES if one <= min(share, MOST)]])


def planned(share: float, total: int, seeds: int | None = None, spent: int = 0) -> SearchPlan:
    """Return as many rungs as have a first one of `FEWEST_STEPS`, as long as the budget allows.

    Args:
        share: Of the run's updates, to be spent in all.
        total: Updates of the run.
        seeds: Of every rung but the first; None for `SEEDS`.
        spent: Lane-steps that are gone already.
    """
    budget = int(share * total + 1e-9)
    for rungs in range(MOST_RUNGS, 0, -1):
        each = (1, *[seeds or (SEEDS[1] if rung == rungs - 1 else SEEDS[0]) for rung in range(1, rungs)])
        lanes = [FIRST_LANES, *[LANES * count for count in each[1:]]]
        shares = [GROWTH ** (rung - rungs + 1) for rung in range(rungs)]
        cost = sum(count * part for count, part in zip(lanes, shares, strict=True))
        last = min(total, (budget - spent) / cost)
        steps = tuple(int(last * part + 1e-9) for part in shares)
        if steps[0] >= FEWEST_STEPS or rungs == 1:
            return SearchPlan(steps, each, budget)
    raise AssertionError("one rung always fits")
