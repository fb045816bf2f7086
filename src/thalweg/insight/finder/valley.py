"""Where the best learning rate of the whole run lies, inferred from short lanes.

Over the logarithm of the rate the loss has a valley: it falls, reaches a lowest point and rises again. Each
rung of lanes has such a valley, and from short rungs to the whole run its lowest point drifts.

A lane's height is the logarithm of its loss over the lowest loss of its seed, in units in which 1 is twice
that loss (or the loss before training, if that is less); it is capped at 1. Over x = log2 of the rate, a
rung's heights follow a valley with its lowest point at m, of width u to the left and v to the right:

    height = level(seed) + min(1, ((x - m) / u)^2) + noise       (left; v in place of u to the right)
    noise ~ N(0, s^2 + (SLACK height)^2)

so that lanes near the bottom and pairs of one seed count most. Summed over widths, noises and levels, a
rung's lanes give the likelihood of m. Over lengths, with t = log2 of a rung's share of the run,

    m(t) = m(0) - d t + N(0, LUCK^2 + (WANDER t)^2)

where m(0) is sought. The drift d is 0 where the best rate does not depend on the length of the run, and 1
for rules with steps of a fixed size that are still far from the minimum. Every drift is weighted by how well
it explains all rungs, so that the answer is as uncertain as the evidence.

Reference: Bjorck et al., Scaling Optimal LR Across Token Horizons, 2024 (the best rate falls as a power of
the length; d = 0.32 for language models with AdamW).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from jaxtyping import Float

# Numbers without a source are chosen on the development tasks of benchmarks/finders.
STEP = 0.125  # octaves between candidate rates
WIDTHS = (0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 5.6)  # octaves from the bottom to height 1
NOISES = (0.05, 0.1, 0.2)
SLACK = 0.2  # how far a valley may deviate from a parabola, as a share of the height
CLIP = 2.0  # losses above this many times the lowest count as equal, as in the benchmark's scores
# Possible drifts with their prior weights: for rules whose steps grow with the gradient, and for those whose
# steps have a size of their own, so that the rate times the number of steps is the distance they can go.
DRIFTS = {0.0: 0.45, 0.25: 0.35, 0.5: 0.15, 0.75: 0.05}
OWN_LENGTH = {0.5: 0.1, 0.75: 0.3, 1.0: 0.6}
LUCK, WANDER = 0.7, 0.2
MISLED = 0.04  # probability that a rung's valley says nothing about the run's
DRAWN = 500  # samples of the bottom for the drawn band


@dataclass(frozen=True)
class RungLosses:
    """The lanes of one rung.

    Args:
        share: Their length as a share of the run's.
        octaves: log2 of their rates.
        seeds: Their seeds.
        losses: Their losses; not finite for a lane that diverged.
    """

    share: float
    octaves: Float[np.ndarray, " lane"]
    seeds: Float[np.ndarray, " lane"]
    losses: Float[np.ndarray, " lane"]


@dataclass(frozen=True)
class Valley:
    """The best rate of the whole run as a probability distribution.

    Args:
        octaves: log2 of the candidate rates, ascending.
        lowest: Probability that the bottom of the valley is there.
        heights: Height at each rate if the bottom is at the other, `bottom rate`; 1 is twice the lowest loss.
    """

    octaves: Float[np.ndarray, " rate"]
    lowest: Float[np.ndarray, " rate"]
    heights: Float[np.ndarray, "bottom rate"]

    @property
    def expected(self) -> Float[np.ndarray, " rate"]:
        """Expected height at each rate."""
        return self.lowest @ self.heights

    @property
    def best(self) -> float:
        """log2 of the rate with the lowest expected height."""
        return float(self.octaves[int(np.argmin(self.expected))])

    def within(self, share: float) -> tuple[float, float]:
        """Return the central interval that holds the bottom with this probability."""
        below = np.cumsum(self.lowest)
        ends = np.searchsorted(below, [(1 - share) / 2, (1 + share) / 2])
        low, high = self.octaves[np.minimum(ends, len(below) - 1)]
        return float(low), float(high)

    def chance(self, octave: float, other: float) -> float:
        """Return the probability that the first rate is better than the second."""
        first, second = (int(np.argmin(np.abs(self.octaves - at))) for at in (octave, other))
        return float(self.lowest @ (self.heights[:, first] < self.heights[:, second]))

    def losses(self, lowest: float, start: float) -> dict[str, np.ndarray]:
        """Return the expected loss at each rate with its 90 % band, for drawing.

        Args:
            lowest: The lowest loss of the last rung.
            start: The loss before training.
        """
        drawn = np.random.default_rng(0).choice(len(self.lowest), DRAWN, p=self.lowest)
        low, high = np.quantile(self.heights[drawn], [0.05, 0.95], axis=0)
        bands = {"loss": self.expected - self.expected.min(), "low": low, "high": high}
        unit = _unit(lowest, start)
        return {
            name: lowest * np.exp(unit * height) if lowest > 0 else lowest + unit * height
            for name, height in bands.items()
        }


def locate(
    rungs: Sequence[RungLosses],
    start: float,
    bounds: tuple[float, float],
    drifts: Mapping[float, float] = DRIFTS,
) -> Valley:
    """Return where the best rate of the whole run lies.

    Args:
        rungs: At least one, each with at least one finite loss.
        start: The loss before training.
        bounds: log2 of the lowest and the highest candidate rate.
        drifts: How far the best rate may move with the length, with prior weights.
    """
    octaves = np.arange(bounds[1], bounds[0] - STEP, -STEP)[::-1]  # never above the highest
    likelihoods = [_likelihoods(rung, start, octaves) for rung in rungs]
    bottoms = [likelihood.sum(axis=1) for likelihood in likelihoods]
    posterior = np.zeros(len(octaves))
    for drift, weight in drifts.items():
        moved = [
            _of_whole_run(bottom, octaves, rung.share, drift)
            for bottom, rung in zip(bottoms, rungs, strict=True)
        ]
        posterior += weight * np.prod(moved, axis=0)
    posterior /= posterior.sum()
    # The shape of the valley is that of the last rung, each weighted by its likelihood.
    shapes = likelihoods[-1].sum(axis=0) / likelihoods[-1].sum()
    left, right = (np.array(widths) for widths in zip(*product(WIDTHS, WIDTHS), strict=True))
    distance = octaves[None, :] - octaves[:, None]
    profile = sum(weight * _height(distance, u, v) for weight, u, v in zip(shapes, left, right, strict=True))
    return Valley(octaves, posterior, np.asarray(profile))


def heights(rung: RungLosses, start: float) -> Float[np.ndarray, " lane"]:
    """Return the lanes' heights above the lowest loss of their seed; 1 for lanes that diverged.

    Losses below zero are not put on a logarithmic scale; 1 is then the loss before training.
    """
    result = np.ones(len(rung.losses))
    for seed in np.unique(rung.seeds):
        finite = (rung.seeds == seed) & np.isfinite(rung.losses)
        if finite.any():
            losses, lowest = rung.losses[finite], float(rung.losses[finite].min())
            above = np.log(losses / lowest) if lowest > 0 else losses - lowest
            result[finite] = np.minimum(above / _unit(lowest, start), 1.0)
    return result


def _unit(lowest: float, start: float) -> float:
    """Return what a height of 1 is: in log loss, or in the loss itself where that is not above zero."""
    whole = min(np.log(CLIP), np.log(max(start / lowest, 1.0))) if lowest > 0 else start - lowest
    return max(float(whole), float(np.finfo(np.float32).eps))


def _height(distance: np.ndarray, left: float, right: float) -> np.ndarray:
    return np.minimum(1.0, (distance / np.where(distance < 0, left, right)) ** 2)


def _likelihoods(rung: RungLosses, start: float, octaves: np.ndarray) -> Float[np.ndarray, "bottom shape"]:
    """Return the likelihood of every bottom and shape, summed over noises, up to a common factor."""
    measured, distance = heights(rung, start), rung.octaves[None, :] - octaves[:, None]
    logs = np.stack(
        [
            np.logaddexp.reduce(
                [_log(measured - model, noise**2 + (SLACK * model) ** 2, rung.seeds) for noise in NOISES]
            )
            for model in (_height(distance, u, v) for u, v in product(WIDTHS, WIDTHS))
        ],
        axis=1,
    )
    return np.exp(logs - logs.max())


def _log(residuals: np.ndarray, variance: np.ndarray, seeds: np.ndarray) -> Float[np.ndarray, " bottom"]:
    """Return the log-likelihood of residual heights, with a free level for each seed."""
    total = np.zeros(len(residuals))
    for seed in np.unique(seeds):
        lanes, weights = residuals[:, seeds == seed], 1 / variance[:, seeds == seed]
        weight = weights.sum(axis=1)
        level = (weights * lanes).sum(axis=1) / weight
        squares = (weights * (lanes - level[:, None]) ** 2).sum(axis=1)
        total += 0.5 * (np.log(weights).sum(axis=1) - np.log(weight) - squares)
    return total


def _of_whole_run(bottoms: np.ndarray, octaves: np.ndarray, share: float, drift: float) -> np.ndarray:
    """Return the likelihood of the whole run's bottom, from that of a rung's."""
    length = np.log2(share)
    moved = octaves[None, :] - (octaves[:, None] - drift * length)
    wander = np.hypot(WANDER * length, LUCK)
    likelihood = np.exp(-0.5 * (moved / wander) ** 2) @ bottoms
    return (1 - MISLED) * likelihood / likelihood.sum() + MISLED / len(octaves)
