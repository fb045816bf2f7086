"""How close a pick comes to the ground truth: arithmetic on loss curves, no training.

A curve is computed in three steps. The losses at every rate of the fine grid are averaged over seeds. The
logarithm of the mean is smoothed by a local quadratic over one octave to both sides; losses above twice the
lowest are clipped to twice the lowest, so that a cliff does not distort the curve next to it. The best rate
is the minimum of the smoothed curve. Between grid rates, losses are interpolated linearly over log2 of the
rate. A diverged lane counts with the loss before training.

Regret is `(loss at the pick - lowest) / (loss at the recipe's own rate - lowest)`: 0 for the best rate, 1 for
keeping the recipe's rate, above 1 for a worse one. If the recipe's own rate cannot be distinguished from the
best, that gap is meaningless; it is therefore at least twice the standard error, over paired seeds, of the
difference between the two. The regret of a pick is clipped at `MOST_REGRET`, so that means exist.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import mean, median
from typing import Any

import numpy as np
from scipy.stats import t as student

from benchmarks.finders.truth import FINE, SEEDS, Lanes

# Losses are clipped at CLIP times the lowest; the smoothing window reaches WINDOW octaves to both sides.
CLIP, WINDOW = 2.0, 1.0
MOST_REGRET = 10.0
# A good pick lies within NEAR octaves of the best (a factor of 2) or has a regret of at most SMALL.
NEAR, SMALL = 1.0, 0.01
LEVEL = 0.95


@dataclass(frozen=True)
class Curve:
    """The ground truth of a task around its best rate.

    Args:
        octaves: log2 of the rates of the fine grid, ascending.
        losses: Array `rate seed`; NaN for a diverged lane.
        start: Loss before training.
        own: The recipe's own rate.
        own_losses: Losses at that rate by seed; NaN for a diverged lane.
    """

    octaves: np.ndarray
    losses: np.ndarray
    start: float
    own: float
    own_losses: np.ndarray

    @property
    def filled(self) -> np.ndarray:
        """The losses, with the loss before training for diverged lanes."""
        return np.where(np.isnan(self.losses), self.start, self.losses)

    @property
    def smooth(self) -> np.ndarray:
        """The smoothed mean at each rate; the mean itself where it is above the clipping bound."""
        means = self.filled.mean(axis=1)
        highest = CLIP * means.min()
        smooth = np.exp(smoothed(self.octaves, np.log(np.minimum(means, highest))))
        return np.where(means >= highest, means, smooth)

    @property
    def best(self) -> float:
        """The best rate."""
        return float(2.0 ** self.octaves[int(np.argmin(self.smooth))])

    @property
    def lowest(self) -> float:
        """The smoothed loss at the best rate."""
        return float(self.smooth.min())

    @property
    def own_loss(self) -> float:
        """The loss at the recipe's own rate: smoothed if the grid covers that rate."""
        return self.loss(self.own) if self.covers(self.own) else float(self._own.mean())

    @property
    def gap(self) -> float:
        """The denominator of regret."""
        return max(self.own_loss - self.lowest, self.noise, np.finfo(float).tiny)

    @property
    def noise(self) -> float:
        """Twice the standard error of the difference between the recipe's own rate and the best."""
        at = int(np.argmin(self.smooth))
        if math.isclose(2.0 ** self.octaves[at], self.own, rel_tol=1e-3):
            at = at + 1 if at + 1 < len(self.octaves) else at - 1  # a neighbour, whose noise is similar
        return 2.0 * standard_error(self._own - self.filled[at])

    @property
    def is_flat(self) -> bool:
        """Whether the recipe's own rate cannot be distinguished from the best."""
        return self.own_loss - self.lowest <= self.noise

    def covers(self, rate: float) -> bool:
        """Return whether a rate lies between grid rates at which no lane diverged."""
        at = math.log2(rate)
        if not self.octaves[0] - 1e-3 <= at <= self.octaves[-1] + 1e-3:
            return False
        step = 1.0 / FINE
        near = np.abs(self.octaves - at) < step - 1e-3
        return not bool(np.isnan(self.losses[near]).any())

    def loss(self, rate: float) -> float:
        """Return the smoothed loss at a rate that the grid covers."""
        return float(np.interp(math.log2(rate), self.octaves, self.smooth))

    def by_seed(self, rate: float) -> np.ndarray:
        """Return each seed's loss at a rate that the grid covers."""
        at = math.log2(rate)
        return np.array([np.interp(at, self.octaves, column) for column in self.filled.T])

    @property
    def _own(self) -> np.ndarray:
        return np.where(np.isnan(self.own_losses), self.start, self.own_losses)


def curve_of(lanes: Lanes, seeds: Sequence[int] = SEEDS) -> Curve:
    """Return the curve of a task's lanes, or of some of their seeds."""
    losses = np.array([_row(lanes, rate, seeds) for rate in lanes.grid])
    start = lanes.losses[min(lanes.losses)]  # at the smallest rate the weights have hardly moved
    known = [loss for loss in start.values() if loss is not None]
    return Curve(np.log2(lanes.grid), losses, mean(known), lanes.own, _row(lanes, lanes.own, seeds))


def by_halves(lanes: Lanes) -> dict[str, Any]:
    """Return the scores of the ground truth itself: the best rate by three seeds, scored by the other two.

    No finder can be expected to agree with five seeds better than two subsets of them agree.
    """
    first, others = curve_of(lanes, SEEDS[:3]), curve_of(lanes, SEEDS[3:])
    at = int(np.argmin(first.smooth))
    pick = Pick(first.best, steps=len(first.octaves) * 3 * lanes.task.steps, losses=others.losses[at])
    return score(others, pick, lanes.task.steps)


def smoothed(x: np.ndarray, y: np.ndarray, window: float = WINDOW) -> np.ndarray:
    """Return `y` smoothed by a quadratic around each point, with tricube weights over `window`.

    Reference: Cleveland, Robust Locally Weighted Regression and Smoothing Scatterplots, 1979.
    """
    smooth = np.empty_like(y)
    for at, middle in enumerate(x):
        # Slightly wider than the window, so that its ends have some weight: five points even at a boundary.
        weights = np.clip(1 - np.abs((x - middle) / (1.01 * window)) ** 3, 0, None) ** 3
        smooth[at] = np.polyfit(x - middle, y, 2, w=np.sqrt(weights))[-1]
    return smooth


@dataclass(frozen=True)
class Pick:
    """The pick of a method for a task.

    Args:
        rate: The rate; None if the method needs none (Prodigy).
        low, high: Its interval; None if the method gives none.
        steps: Updates spent on the search.
        losses: Losses of full runs with the pick by seed, if the ground truth does not contain them; NaN for
            a diverged run.
        standing: The status that the method reports.
        seconds: Wall-clock time of the search.
    """

    rate: float | None
    low: float | None = None
    high: float | None = None
    steps: int = 0
    losses: np.ndarray | None = None
    standing: str = ""
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self) | {"losses": None if self.losses is None else self.losses.tolist()}

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> "Pick":
        """Return the pick that `to_dict` wrote."""
        losses = plain["losses"]
        return cls(**plain | {"losses": None if losses is None else np.array(losses, dtype=float)})


def score(curve: Curve, pick: Pick, run_steps: int) -> dict[str, Any]:
    """Return a pick's scores on a task.

    Returns:
        `octaves` from the best rate (None without a rate), `regret`, `diverged` (whether a seed diverged at
        the pick), `inside` (whether the best rate lies in the interval; None without an interval), `share` of
        a run that the search cost, `no_worse` (than the recipe's own rate, within noise), and the pick.
    """
    losses = _losses(curve, pick)
    diverged = bool(np.isnan(losses).any())
    losses = np.where(np.isnan(losses), curve.start, losses)
    covered = pick.rate is not None and curve.covers(pick.rate)
    loss = curve.loss(pick.rate) if covered and pick.rate is not None else float(losses.mean())
    regret = min(max(loss - curve.lowest, 0.0) / curve.gap, MOST_REGRET)
    octaves = None if pick.rate is None else abs(math.log2(pick.rate / curve.best))
    return {
        "rate": pick.rate,
        "low": pick.low,
        "high": pick.high,
        "best": curve.best,
        "loss": loss,
        "octaves": octaves,
        "regret": regret,
        "good": regret <= SMALL or (octaves is not None and octaves <= NEAR + 1e-9),
        "diverged": diverged,
        "inside": None if pick.low is None or pick.high is None else holds(pick, curve.best),
        "no_worse": no_worse(losses, curve),
        "tied": tied(losses, curve),
        "share": pick.steps / run_steps,
        "standing": pick.standing,
        "seconds": pick.seconds,
    }


def holds(pick: Pick, best: float) -> bool:
    """Return whether the interval contains the best rate, to within half a step of the fine grid."""
    assert pick.low is not None and pick.high is not None
    margin = 2 ** (0.5 / FINE)
    return pick.low / margin <= best <= pick.high * margin


def no_worse(losses: np.ndarray, curve: Curve) -> bool:
    """Return whether losses at a pick are not significantly higher than at the recipe's own rate."""
    difference = losses - np.where(np.isnan(curve.own_losses), curve.start, curve.own_losses)
    return not _is_higher(difference)


def tied(losses: np.ndarray, curve: Curve) -> bool:
    """Return whether losses at a pick are not significantly higher than at the best rate."""
    return not _is_higher(losses - curve.filled[int(np.argmin(curve.smooth))])


def _is_higher(difference: np.ndarray) -> bool:
    """Return whether a mean over paired seeds is above zero, by a two-sided interval of Student's t."""
    reach = student.ppf(0.5 + LEVEL / 2, len(difference) - 1) * standard_error(difference)
    return bool(difference.mean() > reach)


def standard_error(values: np.ndarray) -> float:
    """Return the standard error of a mean."""
    return float(np.std(values, ddof=1) / math.sqrt(len(values)))


def summary(scores: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the figures of a method over all tasks."""
    octaves = [task["octaves"] for task in scores if task["octaves"] is not None]
    inside = [task["inside"] for task in scores if task["inside"] is not None]
    regrets = [task["regret"] for task in scores]
    return {
        "tasks": len(scores),
        "octaves": median(octaves) if octaves else None,
        "within": mean(distance <= NEAR + 1e-9 for distance in octaves) if octaves else None,
        "good": mean(task["good"] for task in scores),
        "regret": median(regrets),
        "regret_mean": mean(regrets),
        "regret_high": float(np.quantile(regrets, 0.9)),
        "inside": mean(inside) if inside else None,
        "diverged": sum(task["diverged"] for task in scores),
        "no_worse": mean(task["no_worse"] for task in scores),
        "tied": mean(task["tied"] for task in scores),
        "share": median(task["share"] for task in scores),
        "share_high": max(task["share"] for task in scores),
    }


def _losses(curve: Curve, pick: Pick) -> np.ndarray:
    if pick.losses is not None:
        return pick.losses
    assert pick.rate is not None
    if math.isclose(pick.rate, curve.own, rel_tol=1e-6):
        return curve.own_losses
    assert curve.covers(pick.rate), f"{pick.rate} is not covered by the curve and was not run"
    return curve.by_seed(pick.rate)


def _row(lanes: Lanes, rate: float, seeds: Sequence[int]) -> np.ndarray:
    by_seed = lanes.losses[rate]
    return np.array([math.nan if (loss := by_seed[seed]) is None else loss for seed in seeds], dtype=float)
