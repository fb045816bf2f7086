"""When lanes stop before their planned end: readings of the clock, of the losses and of the metric.

Divergence and small gradients are seen by the program itself (`engine.step`), patience by `stopping.best`.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from thalweg.core.stop_reason import StopReason
from thalweg.problem.losses.metrics import Metric
from thalweg.recipe.recipe import Recipe

# A reason, as it stands in a result, and the lanes that it holds for.
Reason = tuple[StopReason, Bool[np.ndarray, " lane"]]


class Conditions:
    """The conditions of a recipe that the host looks at, lane by lane; what a recipe leaves off never holds.

    - `seconds`: the lane was trained that long. Lanes of one dispatch share its time by the steps they made
      in it. Looked at after every dispatch (about a third of a second), so a run goes over by less than one.
    - `target`: at an evaluation the metric on the validation part is at least (at most, where lower is
      better) the target.
    - `loss_change_below`: `|L_k - L_(k-1)| < delta`, where `L_k` is the validation loss of the k-th
      evaluation; without a validation part the mean of the training losses of the steps since evaluation
      k-1 (where an evaluation would be). Not before the second.

    A value that is not a number meets no condition.

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
        self._allowed = self._column([recipe.seconds for recipe in recipes], np.inf)
        self._target = self._column([recipe.target for recipe in recipes], np.nan)
        self._change = self._column([recipe.loss_change_below for recipe in recipes], np.nan)
        self._sign = 1.0 if metric.higher_is_better else -1.0
        self.seconds = np.zeros(self._lanes)
        self.loss = np.full(self._lanes, np.nan)
        self._sum, self._steps = np.zeros(self._lanes), np.zeros(self._lanes)

    def memory(self) -> dict[str, np.ndarray]:
        """Return what is remembered from one look to the next, by name, to be saved or written into."""
        return {"seconds": self.seconds, "loss": self.loss, "sum": self._sum, "steps": self._steps}

    def _column(self, values: list[float | None], off: float) -> np.ndarray:
        column = np.full(self._lanes, off)
        column[: len(values)] = [off if value is None else value for value in values]
        return column

    def trained(
        self, seconds: float, done: Int[np.ndarray, " lane"], losses: Float[np.ndarray, "lane step"]
    ) -> Iterator[Reason]:
        """Take in a dispatch; yield reasons and the lanes that they hold for.

        Args:
            seconds: How long it took, in all.
            done: Steps that each lane made in it.
            losses: Of these steps; what lies beyond `done` is not looked at.
        """
        self.seconds += seconds * done / max(1, int(done.sum()))
        self._steps += done
        for lane in np.flatnonzero(done):
            # One after another: where chunks end is the clock's choice, and must not change a bit.
            terms = np.append(self._sum[lane], losses[lane, : done[lane]])
            self._sum[lane] = np.cumsum(terms, dtype=np.float64)[-1]
        yield StopReason.SECONDS, self.seconds >= self._allowed

    def evaluated(self, found: tuple[np.ndarray, np.ndarray] | None) -> Iterator[Reason]:
        """Take in an evaluation of all lanes that run; yield reasons and the lanes that they hold for.

        Args:
            found: Loss and metric on the validation part, `lane`; None where there is none.
        """
        if found is None:
            with np.errstate(invalid="ignore"):
                losses = self._sum / np.where(self._steps > 0, self._steps, np.nan)
        else:
            losses = found[0]
            yield StopReason.TARGET, self._sign * found[1] >= self._sign * self._target
        before, self.loss = self.loss, np.asarray(losses, np.float64)
        self._sum, self._steps = np.zeros(self._lanes), np.zeros(self._lanes)
        with np.errstate(invalid="ignore"):
            yield StopReason.LOSS_CHANGE_BELOW, np.abs(self.loss - before) < self._change
