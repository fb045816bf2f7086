"""`View` and `Finding`: what the checks see, and what they say."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from thalweg.insight.doctor.anatomy import Anatomy
from thalweg.insight.doctor.arms import Result
from thalweg.insight.doctor.plan import Move
from thalweg.insight.doctor.probe import MULTIPLES, Probe
from thalweg.insight.doctor.profile import LossProfile
from thalweg.insight.references import References
from thalweg.recipe.recipe import Recipe

TINY = 1e-6
# Difference of outputs, between large and very large values of the last affine map, that rounding explains.
KEPT = 1e-3


@dataclass(frozen=True)
class View:
    """Everything that a check may look at.

    Args:
        anatomy: The problem, opened.
        probe: The network before training.
        profile: The loss; None where it cannot be tried.
        references: Scores of references; None where there are none.
        total, epoch: Updates planned, and in an epoch.
        ceiling: The best that is known to be possible.
        base: The runs as diagnosed; None in static checks.
        after: The network after training; None in static checks.
    """

    anatomy: Anatomy
    probe: Probe
    profile: LossProfile | None
    references: References | None
    total: int
    epoch: int
    ceiling: float = float("nan")
    base: Result | None = None
    after: Probe | None = None

    @property
    def recipe(self) -> Recipe:
        """The recipe that is diagnosed."""
        return self.anatomy.recipe

    @property
    def batch(self) -> int:
        """Rows in a batch."""
        return self.recipe.batch(self.anatomy.problem.data.train.count())

    @property
    def head(self) -> str:
        """Where the last affine map is, for people."""
        return f"model.{self.probe.layers[-1].path}" if self.probe.layers else "model"

    def outputs(self) -> np.ndarray | None:
        """Outputs of the first weights and of changed ones, `row output`; None where they are not known."""
        if self.probe.outputs is None or self.probe.changed is None:
            return None
        width = int(np.prod(self.probe.outputs.shape[1:]))
        every = np.concatenate([self.probe.outputs[None], self.probe.changed])
        every = every.reshape(-1, width)
        return every[np.isfinite(every).all(axis=1)].astype(np.float64)

    def ends(self) -> tuple[float, float]:
        """Return the ends that outputs cannot pass, whatever the weights; infinite where there are none.

        An end is one that the outputs reach and keep, as the last affine map grows.
        """
        swept = self.probe.swept
        if swept is None:
            return -np.inf, np.inf
        by_size = np.asarray(swept, np.float64).reshape(*swept.shape[:2], -1)
        if not np.isfinite(by_size).all():
            by_size = np.where(np.isnan(by_size), np.inf, by_size)
        far, near = by_size[:, [0, -1]], by_size[:, [1, -2]]
        low, high = (float(far.min()), float(near.min())), (float(far.max()), float(near.max()))
        return (
            low[0] if low[0] > low[1] - KEPT else -np.inf,
            high[0] if high[0] < high[1] + KEPT else np.inf,
        )

    @property
    def are_probabilities(self) -> bool:
        """Whether outputs are probabilities whatever the weights: in [0, 1], and of several, with sum 1."""
        outputs = self.outputs()
        if outputs is None or not len(outputs) or outputs.min() < -TINY or outputs.max() > 1 + TINY:
            return False
        several = outputs.shape[1] > 1
        summing = several and np.allclose(outputs.sum(axis=1), 1.0, atol=1e-3)
        return bool(summing or not several or outputs.max() > 0.9)

    @property
    def plain_slope(self) -> bool:
        """Whether outputs change with what the last affine map gives, with a slope."""
        slopes = self.probe.slopes
        return slopes is None or bool(np.any(slopes != 0))

    @property
    def plain_head(self) -> bool:
        """Whether outputs are an affine function of what the last affine map gives: no output activation."""
        swept = self.probe.swept
        if swept is None:
            return not (self.probe.layers and self.probe.layers[-1].activations)
        at = {size: np.asarray(swept[:, MULTIPLES.index(size)], np.float64) for size in (-3.0, 0.0, 1.0, 3.0)}
        up, down, one = (at[size] - at[0.0] for size in (3.0, -3.0, 1.0))
        same = np.allclose(up, 3 * one, rtol=1e-3, atol=1e-4)
        return bool(same and np.allclose(down, -up, rtol=1e-3, atol=1e-4))


@dataclass(frozen=True)
class Finding:
    """A suspected cause.

    Args:
        cause: A word of the vocabulary.
        weight: How strongly it is suspected, 0 to 1.
        why: What was seen, with its numbers.
        moves: Alternatives, each one change or several that belong together, likeliest first.
        certain: Whether it follows from problem and recipe alone.
    """

    cause: str
    weight: float
    why: str
    moves: tuple[tuple[Move, ...], ...] = ()
    certain: bool = False


@dataclass(frozen=True)
class Check:
    """A diagnostic.

    Args:
        name: What it is called.
        sees: What it looks at.
        threshold: When it speaks.
        source: Where the threshold is from.
        run: Returns what it finds.
    """

    name: str
    sees: str
    threshold: str
    source: str
    run: Callable[[View], Iterable[Finding]]
