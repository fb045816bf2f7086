"""Successive halving: at each rung the worse settings are frozen, so that the better ones get the machine.

Reference: Jamieson & Talwalkar, Non-stochastic Best Arm Identification and Hyperparameter Optimization, 2016.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from thalweg.core.errors import RecipeError
from thalweg.core.stop_reason import StopReason
from thalweg.recipe.recipe import Recipe
from thalweg.run.session.lane_states import LaneStates


@dataclass(frozen=True)
class Halving:
    """How losers are frozen.

    Args:
        factor: One in so many settings goes on beyond a rung. 3 is the usual choice (Li et al., Hyperband,
            2018).
        first: Fraction of the way at which the first rung lies; the next are `factor` times as far.
        at_least: Settings that always go on.

    A rung is at the first evaluation from there on. What is compared is the latest validation loss, the mean
    over the seeds of a setting. Schedules are not shortened, so a setting that is slow at first and ahead in
    the end can be lost: that is the price.
    """

    factor: float = 3.0
    first: float = 1 / 9
    at_least: int = 1

    def __post_init__(self) -> None:
        if not self.factor > 1:
            raise RecipeError("halving", "factor must be above 1", got=self.factor)
        if not 0 < self.first < 1:
            raise RecipeError("halving", "first must be a fraction between 0 and 1", got=self.first)
        if self.at_least < 1:
            raise RecipeError("halving", "at_least must be 1 or more", got=self.at_least)

    @property
    def rungs(self) -> list[float]:
        """Fractions of the way, ascending."""
        found, rung = [], self.first
        while rung < 1:
            found.append(rung)
            rung *= self.factor
        return found


def settings(recipes: Sequence[Recipe]) -> list[int]:
    """Return the setting that each lane belongs to: lanes that differ in their seed alone share one."""
    known: dict[str, int] = {}
    return [known.setdefault(repr({**recipe.to_dict(), "seed": 0}), len(known)) for recipe in recipes]


def freeze_losers(courses: Sequence[LaneStates], setting: Sequence[int], halving: Halving) -> None:
    """Freeze the lanes of all but the best settings.

    Args:
        courses: All that are still on their way, at one rung.
        setting: Of each lane, by its number.
        halving: How many go on.
    """
    losses: dict[int, list[float]] = {}
    for course in courses:
        for lane in np.flatnonzero(course.alive):
            loss = float(course.validated[0][lane])
            losses.setdefault(setting[course.labels[lane][0]], []).append(loss)
    means = {which: float(np.mean(found)) for which, found in losses.items()}
    order = sorted(means, key=lambda which: means[which] if np.isfinite(means[which]) else np.inf)
    stay = set(order[: max(halving.at_least, -int(-len(order) // halving.factor))])
    for course in courses:
        which = np.zeros(len(course.stopped), bool)
        for lane in np.flatnonzero(course.alive):
            which[lane] = setting[course.labels[lane][0]] not in stay
        course.stop(which, StopReason.HALVED)
