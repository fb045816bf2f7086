"""`Race`: the result of a race."""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from thalweg.core.shown import Shown
from thalweg.insight.intervals import Estimate, estimate_mean
from thalweg.insight.race.verdict import Pair
from thalweg.recipe import toml
from thalweg.recipe.recipe import Recipe


@dataclass(frozen=True)
class Tried:
    """One training of tuning: its settings by path, and the best figure of its curve (None: diverged)."""

    settings: dict[str, float]
    value: float | None


@dataclass(frozen=True)
class Contestant:
    """One contestant.

    Args:
        name: The optimizer's or the model's.
        recipe: As tuned; None where no training of tuning ended.
        settings: What was tuned, by path.
        values: The figure of each seed at the stop.
        diverged: How many seeds diverged; their figure is the worst that the race saw.
        stop: The update at which it is judged, found in tuning.
        steps, curve: Evaluated updates, and the mean figure at them over the seeds that did not diverge.
        reached: For each such seed the first evaluated update at the race's target; None: never.
        step_seconds: Training time of one update of one lane.
        updates: Updates computed, tuning included.
        tried: What tuning trained.
    """

    name: str
    recipe: Recipe | None
    settings: dict[str, float] | None
    values: tuple[float, ...]
    diverged: int
    stop: int | None
    steps: tuple[float, ...]
    curve: tuple[float, ...]
    reached: tuple[int | None, ...]
    step_seconds: float | None
    updates: int
    tried: tuple[Tried, ...]

    @property
    def estimate(self) -> Estimate | None:
        """The mean figure with its 95 % interval over seeds."""
        return estimate_mean(self.values)

    @property
    def to_target(self) -> float | None:
        """The median of the updates to the target; None where half of the seeds do not reach it."""
        reached = sorted(float("inf") if step is None else step for step in self.reached)
        middle = float(np.median(reached)) if reached else float("inf")
        return middle if np.isfinite(middle) else None

    @property
    def seconds_to_target(self) -> float | None:
        """The same in seconds of training of one lane."""
        known = self.to_target is not None and self.step_seconds is not None
        return self.to_target * self.step_seconds if known else None  # type: ignore[operator]


@dataclass(frozen=True, repr=False)
class Race(Shown):
    """A race.

    Args:
        data: Name of the data.
        metric: What is compared: `loss`, or a metric's name.
        higher_is_better: Its direction.
        contestants: In the order in which they were entered.
        pairs: The verdict on each pair.
        tuning, budget: Trainings of one contestant: to tune it, and in all.
        steps: Updates of one training.
        fast: Whether it was looked at 5, 10 and 20 seeds only.
        level: The chance of any wrong call where there is no difference.
        interrupted: Whether the user ended it.
        target: The figure that all contestants reach on average.
    """

    data: str
    metric: str
    higher_is_better: bool
    contestants: tuple[Contestant, ...]
    pairs: tuple[Pair, ...]
    tuning: int = 0
    budget: int = 0
    steps: int = 0
    fast: bool = False
    level: float = 0.05
    interrupted: bool = False
    target: float | None = None
    environment: dict[str, Any] = field(default_factory=dict)

    @property
    def ranked(self) -> list[Contestant]:
        """The contestants by their mean figure, the best first; those that never trained last."""

        def key(one: Contestant) -> float:
            mean = None if one.estimate is None else one.estimate.mean
            return float("inf") if mean is None else -mean if self.higher_is_better else mean

        return sorted(self.contestants, key=key)

    @property
    def winner(self) -> str | None:
        """The contestant that is better than each other one; None: cannot tell."""
        for one in self.contestants:
            own = [pair for pair in self.pairs if one.name in (pair.first, pair.second)]
            if own and all(pair.winner == one.name for pair in own):
                return one.name
        return None

    @property
    def seeds(self) -> int:
        """Seeds of the race that were trained."""
        return max((len(one.values) for one in self.contestants), default=0)

    @property
    def skewed(self) -> list[Pair]:
        """Pairs with skewed differences."""
        return [pair for pair in self.pairs if pair.skewed]

    def __repr__(self) -> str:
        """Return the winner, and how far the race went."""
        names = ", ".join(one.name for one in self.contestants)
        return f"Race({names} on {self.data}: {self.winner or 'cannot tell'} after {self.seeds} seeds)"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as in race.json."""
        plain = {name: value for name, value in vars(self).items() if name != "contestants"}
        contestants = []
        for one in self.ranked:
            shown = asdict(one) | {"recipe": None if one.recipe is None else toml.write(one.recipe)}
            shown["mean"] = None if one.estimate is None else asdict(one.estimate)
            shown["to_target"] = {"steps": one.to_target, "seconds": one.seconds_to_target}
            contestants.append(shown)
        pairs = [asdict(pair) for pair in self.pairs]
        named = {"winner": self.winner, "seeds": self.seeds}
        return named | plain | {"pairs": pairs, "contestants": contestants}
