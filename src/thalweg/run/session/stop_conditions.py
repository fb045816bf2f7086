"""When lanes stop before their planned end: conditions on the clock, the losses and the metric, and patience.

Divergence and small gradients are detected by the compiled program itself (`engine.step`).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PyTree

from thalweg.core.compiler import jit
from thalweg.core.stop_reason import StopReason
from thalweg.problem.losses.metrics import Metric
from thalweg.recipe.recipe import Recipe

# A reason, and the lanes that it holds for.
Reason = tuple[StopReason, Bool[np.ndarray, " lane"]]


class Conditions:
    """The stop conditions that the host checks, lane by lane. Conditions not set in a recipe never hold.

    - `seconds`: the lane has trained for that long. Lanes of one dispatch share its time by the steps they
      made in it. Checked after every dispatch (about a third of a second), so a run exceeds its limit by less
      than one dispatch.
    - `target`: at an evaluation, the metric on the validation split is at least (at most, where lower is
      better) the target.
    - `loss_change_below`: `|L_k - L_(k-1)| < delta`, where `L_k` is the validation loss of the k-th
      evaluation; without a validation split, the mean training loss of the steps since evaluation k-1 (where
      an evaluation would be). Never before the second.

    NaN meets no condition.

    Args:
        recipes: One for each lane.
        metric: Says which direction is better.
        width: Lanes in the program; those beyond the recipes never stop here.

    Attributes:
        seconds: Training time of each lane, `lane`.
        loss: `L_(k-1)`, `lane`; NaN before the first evaluation.
    """

    def __init__(self, recipes: Sequence[Recipe], metric: Metric, width: int | None = None):
        self._lanes = len(recipes) if width is None else width
        self._allowed = _column([recipe.seconds for recipe in recipes], np.inf, self._lanes)
        self._target = _column([recipe.target for recipe in recipes], np.nan, self._lanes)
        self._change = _column([recipe.loss_change_below for recipe in recipes], np.nan, self._lanes)
        self._sign = 1.0 if metric.higher_is_better else -1.0
        self.seconds = np.zeros(self._lanes)
        self.loss = np.full(self._lanes, np.nan)
        self._sum, self._steps = np.zeros(self._lanes), np.zeros(self._lanes)

    def state_arrays(self) -> dict[str, np.ndarray]:
        """Return what must survive a checkpoint, by name."""
        return {"seconds": self.seconds, "loss": self.loss, "sum": self._sum, "steps": self._steps}

    def load_state_arrays(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Load the arrays that `state_arrays` returned."""
        self.seconds, self.loss = arrays["seconds"], arrays["loss"]
        self._sum, self._steps = arrays["sum"], arrays["steps"]

    def trained(
        self, seconds: float, done: Int[np.ndarray, " lane"], losses: Float[np.ndarray, "lane step"]
    ) -> Iterator[Reason]:
        """Record a dispatch; yield reasons and the lanes that they hold for.

        Args:
            seconds: Duration of the dispatch.
            done: Steps that each lane made in it.
            losses: Loss of these steps; steps beyond `done` are ignored.
        """
        self.seconds += seconds * done / max(1, int(done.sum()))
        self._steps += done
        for lane in np.flatnonzero(done):
            # Summed one after another: the clock chooses where chunks end, which must not change a bit.
            terms = np.append(self._sum[lane], losses[lane, : done[lane]])
            self._sum[lane] = np.cumsum(terms, dtype=np.float64)[-1]
        yield StopReason.SECONDS, self.seconds >= self._allowed

    def evaluated(self, validation: tuple[np.ndarray, np.ndarray] | None) -> Iterator[Reason]:
        """Record an evaluation of all running lanes; yield reasons and the lanes that they hold for.

        Args:
            validation: Loss and metric on the validation split, `lane`; None without a validation split.
        """
        if validation is None:
            with np.errstate(invalid="ignore"):
                losses = self._sum / np.where(self._steps > 0, self._steps, np.nan)
        else:
            losses = validation[0]
            yield StopReason.TARGET, self._sign * validation[1] >= self._sign * self._target
        before, self.loss = self.loss, np.asarray(losses, np.float64)
        self._sum, self._steps = np.zeros(self._lanes), np.zeros(self._lanes)
        with np.errstate(invalid="ignore"):
            yield StopReason.LOSS_CHANGE_BELOW, np.abs(self.loss - before) < self._change


class Best:
    """The best validation loss of every lane so far, the weights behind it, and the lanes' patience.

    Args:
        patience: For each lane, the number of evaluations without a better loss after which it stops; None
            for never.
        width: Lanes in the program; those beyond `patience` never stop here.

    Attributes:
        loss, step: Of the best evaluation, `lane`; infinite and -1 before the first.
        score: What was lowest there, `lane`: the loss, or the metric with its sign.
        waited: Evaluations since then, `lane`.
        weights: Parameters and model state of the best evaluations, stacked along the lane axis; None before
            the first.
    """

    def __init__(self, patience: Sequence[int | None], width: int | None = None):
        lanes = len(patience) if width is None else width
        self._patience = _column(patience, np.inf, lanes)
        self.loss, self.step = np.full(lanes, np.inf), np.full(lanes, -1)
        self.score = np.full(lanes, np.inf)
        self.waited = np.zeros(lanes, int)
        self.weights: Any = None

    def state_arrays(self) -> dict[str, np.ndarray]:
        """Return what must survive a checkpoint besides the weights, by name."""
        return {"loss": self.loss, "step": self.step, "waited": self.waited, "score": self.score}

    def load_state_arrays(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Load the arrays that `state_arrays` returned."""
        self.loss, self.step, self.waited = arrays["loss"], arrays["step"], arrays["waited"]
        self.score = arrays.get("score", self.loss)  # older checkpoints have none: it was the loss

    def observe(
        self,
        losses: np.ndarray,
        steps: np.ndarray,
        weights: PyTree,
        alive: np.ndarray,
        scores: np.ndarray | None = None,
    ) -> None:
        """Record one evaluation of all lanes. What is not finite is never the best.

        Args:
            losses: Validation loss, `lane`.
            steps: Updates made, `lane`.
            weights: Parameters and model state, stacked.
            alive: Lanes that still run; the others are not changed.
            scores: What selects, less is better, `lane`; None for the losses.
        """
        scores = losses if scores is None else scores
        better = alive & np.isfinite(losses) & np.isfinite(scores) & (scores < self.score)
        self.score = np.where(better, scores, self.score)
        replaced = self.weights is None or better.all()
        self.weights = weights if replaced else choose_lanes(better, weights, self.weights)
        self.loss, self.step = np.where(better, losses, self.loss), np.where(better, steps, self.step)
        self.waited = np.where(better, 0, self.waited + alive)

    @property
    def exhausted(self) -> np.ndarray:
        """Lanes whose patience has run out."""
        return self.waited >= self._patience


@jit
def choose_lanes(which: Bool[Array | np.ndarray, " lane"], new: PyTree, old: PyTree) -> PyTree:
    """Return the stacked tree that has `new` in the lanes of `which`, and `old` in the others."""

    def choose(a: Array, b: Array) -> Array:
        return jnp.where(which.reshape(-1, *[1] * (a.ndim - 1)), a, b)

    return jax.tree.map(choose, new, old)


def _column(values: Sequence[float | None], off: float, lanes: int) -> np.ndarray:
    """Return one number for each lane, `off` where there is None."""
    column = np.full(lanes, off)
    column[: len(values)] = [off if value is None else value for value in values]
    return column
