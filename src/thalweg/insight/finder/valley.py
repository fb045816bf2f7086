"""Where the best rate lies: each rung's lanes say where their valley is, and rungs are tied by a drift.

A lane's height is the logarithm of its loss over the lowest of its seed, in units in which 1 is twice that
loss (or the loss before training, where that is less); never above 1. Over x = log2 of the rate a rung's
heights follow a valley with its lowest point at m, of width u to the left and v to the right:

    height = level(seed) + min(1, ((x - m) / u)^2) + noise       (left; v in place of u to the right)
    noise ~ N(0, s^2 + (SLACK height)^2)

so that lanes near the bottom, and pairs of one seed, count most. Summed over widths, noises and levels, a
rung's lanes give the likelihood of m. Over lengths, t = log2 of a rung's share of the run,

    m(t) = m(0) - d t + N(0, LUCK^2 + (WANDER t)^2)

where m(0) is what is wanted, and the drift d is 0 where the best rate does not depend on the length, and 1
for rules whose steps have a size of their own and which have a way to go. Every drift counts by how well it
explains all rungs, so that what the lanes leave open stays open in the answer.

Reference: Bjorck et al., Scaling Optimal LR Across Token Horizons, 2024 (the best rate falls as a power of
the length; d = 0.32 for language models with AdamW).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from jaxtyping import Float

# All numbers here are chosen on the development tasks of benchmarks/finders, where no source is named.
STEP = 0.125  # octaves between the rates that are looked at
WIDTHS = (0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 5.6)  # octaves from the bottom to height 1
NOISES = (0.05, 0.1, 0.2)
SLACK = 0.2  # how far a valley may be from a parabola, as a share of the height
CLIP = 2.0  # losses above so many times the lowest are all alike; as in the scores
# Drifts with their prior weights: of rules whose steps grow with the gradient, and of those whose steps have
# a length of their own, so that rate times steps is how far they go.
DRIFTS = {0.0: 0.45, 0.25: 0.35, 0.5: 0.15, 0.75: 0.05}
OWN_LENGTH = {0.5: 0.1, 0.75: 0.3, 1.0: 0.6}
LUCK, WANDER = 0.7, 0.2
MISLED = 0.04  # how probable it is that the valley of a rung says nothing of that of the run
DRAWN = 500  # places of the bottom, for a band


@dataclass(frozen=True)
class RungLosses:
    """Lanes of one length.

    Args:
        share: Their length as a share of the run's.
        octaves: log2 of their rates.
        seeds: Their seeds.
        losses: What they reached; not finite for one that diverged.
    """

    share: float
    octaves: Float[np.ndarray, " lane"]
    seeds: Float[np.ndarray, " lane"]
    losses: Float[np.ndarray, " lane"]


@dataclass(frozen=True)
class Valley:
    """Where the best rate of the whole run lies.

    Args:
        octaves: log2 of the rates that are looked at, ascending.
        lowest: Probability that the bottom is there.
        heights: What is lost there if the bottom is at the other, `bottom rate`; 1 is twice the lowest loss.
    """

    octaves: Float[np.ndarray, " rate"]
    lowest: Float[np.ndarray, " rate"]
    heights: Float[np.ndarray, "bottom rate"]

    @property
    def expected(self) -> Float[np.ndarray, " rate"]:
        """What each rate is expected to lose."""
        return self.lowest @ self.heights

    @property
    def best(self) -> float:
        """log2 of the rate that is expected to lose least."""
        return float(self.octaves[int(np.argmin(self.expected))])

    def within(self, share: float) -> tuple[float, float]:
        """Return the rates between which the bottom lies with this probability; equal tails are left out."""
        below = np.cumsum(self.lowest)
        ends = np.searchsorted(below, [(1 - share) / 2, (1 + share) / 2])
        low, high = self.octaves[np.minimum(ends, len(below) - 1)]
        return float(low), float(high)

    def chance(self, octave: float, other: float) -> float:
        """Return the probability that the first rate loses less than the second."""
        first, second = (int(np.argmin(np.abs(self.octaves - at))) for at in (octave, other))
        return float(self.lowest @ (self.heights[:, first] < self.heights[:, second]))

    def losses(self, lowest: float, start: float) -> dict[str, np.ndarray]:
        """Return the expected loss at each rate, with its 90 % band, for drawing.

        Args:
            lowest: The lowest loss of the last rung.
            start: The loss before training.
        """
        drawn = np.random.default_rng(0).choice(len(self.lowest), DRAWN, p=self.lowest)
        low, high = np.quantile(self.heights[drawn], [0.05, 0.95], axis=0)
        bands = {"loss": self.expected - self.expected.min(), "low": low, "high": high}
        top = _top(lowest, start)
        return {
            name: lowest * np.exp(top * height) if lowest > 0 else lowest + top * height
            for name, height in bands.items()
        }


def locate(
    rungs: Sequence[RungLosses], start: float, bounds: tuple[float, float], drifts: Mapping[float, float] = DRIFTS
) -> Valley:
    """Return where the best rate of a whole run lies.

    Args:
        rungs: At least one, with at least one lane that has a loss.
        start: The loss before training.
        bounds: log2 of the lowest and the highest rate to look at.
        drifts: How the best rate may move with the length, with prior weights.
    """
    octaves = np.arange(bounds[1], bounds[0] - STEP, -STEP)[::-1]  # never above the highest
    told = [_likelihoods(rung, start, octaves) for rung in rungs]
    bottoms = [likelihood.sum(axis=1) for likelihood in told]
    posterior = np.zeros(len(octaves))
    for drift, weight in drifts.items():
        tied = [
            _at_the_end(one, octaves, rung.share, drift) for one, rung in zip(bottoms, rungs, strict=True)
        ]
        posterior += weight * np.prod(tied, axis=0)
    posterior /= posterior.sum()
    # The valley's shape is the last rung's, as likely as its lanes make it.
    shapes = told[-1].sum(axis=0) / told[-1].sum()
    left, right = (np.array(one) for one in zip(*product(WIDTHS, WIDTHS), strict=True))
    apart = octaves[None, :] - octaves[:, None]
    lost = sum(weight * _height(apart, u, v) for weight, u, v in zip(shapes, left, right, strict=True))
    return Valley(octaves, posterior, np.asarray(lost))


def heights(rung: RungLosses, start: float) -> Float[np.ndarray, " lane"]:
    """Return the lanes' heights above the lowest of their seed; 1 for lanes that diverged.

    Losses that go below zero are taken as they are: then 1 is the loss before training.
    """
    found = np.ones(len(rung.losses))
    for seed in np.unique(rung.seeds):
        came = (rung.seeds == seed) & np.isfinite(rung.losses)
        if came.any():
            losses, lowest = rung.losses[came], float(rung.losses[came].min())
            above = np.log(losses / lowest) if lowest > 0 else losses - lowest
            found[came] = np.minimum(above / _top(lowest, start), 1.0)
    return found


def _top(lowest: float, start: float) -> float:
    """Return what a height of 1 is: in log loss, or in the loss itself where that is not above zero."""
    whole = min(np.log(CLIP), np.log(max(start / lowest, 1.0))) if lowest > 0 else start - lowest
    return max(float(whole), float(np.finfo(np.float32).eps))


def _height(apart: np.ndarray, left: float, right: float) -> np.ndarray:
    return np.minimum(1.0, (apart / np.where(apart < 0, left, right)) ** 2)


def _likelihoods(rung: RungLosses, start: float, octaves: np.ndarray) -> Float[np.ndarray, "bottom shape"]:
    """Return the likelihood of every bottom and shape, summed over noises, up to a common factor."""
    seen, apart = heights(rung, start), rung.octaves[None, :] - octaves[:, None]
    found = np.stack(
        [
            np.logaddexp.reduce(
                [_log(seen - model, noise**2 + (SLACK * model) ** 2, rung.seeds) for noise in NOISES]
            )
            for model in (_height(apart, u, v) for u, v in product(WIDTHS, WIDTHS))
        ],
        axis=1,
    )
    return np.exp(found - found.max())


def _log(rest: np.ndarray, variance: np.ndarray, seeds: np.ndarray) -> Float[np.ndarray, " bottom"]:
    """Return the logarithm of the likelihood of what is left of the heights, with any level for each seed."""
    found = np.zeros(len(rest))
    for seed in np.unique(seeds):
        own, weights = rest[:, seeds == seed], 1 / variance[:, seeds == seed]
        total = weights.sum(axis=1)
        level = (weights * own).sum(axis=1) / total
        squares = (weights * (own - level[:, None]) ** 2).sum(axis=1)
        found += 0.5 * (np.log(weights).sum(axis=1) - np.log(total) - squares)
    return found


def _at_the_end(bottoms: np.ndarray, octaves: np.ndarray, share: float, drift: float) -> np.ndarray:
    """Return the likelihood of the whole run's bottom, from that of a rung's."""
    length = np.log2(share)
    moved = octaves[None, :] - (octaves[:, None] - drift * length)
    wander = np.hypot(WANDER * length, LUCK)
    found = np.exp(-0.5 * (moved / wander) ** 2) @ bottoms
    return (1 - MISLED) * found / found.sum() + MISLED / len(octaves)
