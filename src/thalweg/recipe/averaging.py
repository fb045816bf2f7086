"""Averages of weights over a run: which weights are evaluated and saved.

Averaging never changes training. The average is stored in at least float32.
"""

import abc
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple, Self

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

from thalweg.core.choice import number, option
from thalweg.core.errors import RecipeError
from thalweg.recipe.schedules.schedule import Clock, Timed, unit_of


class Mean(NamedTuple):
    """The state of an average.

    Args:
        params: The average so far.
        taken: Number of weights in it, float32 (float64 with float64 weights).
    """

    params: PyTree
    taken: Float[Array, ""]


class Average(Timed):
    """How weights are averaged. Final subclasses are registered in `AVERAGES`.

    The engine calls `init(params)` once, `update(state, params, clock)` after every update, with its
    clock and the parameters after it, and `evaluated(state, params)` wherever weights are evaluated or saved.
    """

    component: ClassVar[str] = "averaging"
    left: ClassVar[int] = 1
    effect: ClassVar[str] = "no weights are averaged"

    @abc.abstractmethod
    def init(self, params: PyTree) -> Any:
        """Return the state before the first update."""

    @abc.abstractmethod
    def update(self, state: Any, params: PyTree, clock: Clock) -> Any:
        """Return the state after an update."""

    def evaluated(self, state: Any, params: PyTree) -> PyTree:
        """Return the weights to evaluate and save, in the parameters' dtypes."""
        return jax.tree.map(lambda w, mean: mean.astype(w.dtype), params, state.params)


class NoAverage(Average):
    """The weights themselves."""

    name = "none"
    formula = "x = w"
    when = "The default; after a schedule that falls to zero, an average adds nothing."
    reference = "-"

    def init(self, params: PyTree) -> tuple[()]:
        """Return nothing."""
        return ()

    def update(self, state: Any, params: PyTree, clock: Clock) -> tuple[()]:
        """Return nothing."""
        return ()

    def evaluated(self, state: Any, params: PyTree) -> PyTree:
        """Return the parameters."""
        return params


class EMA(Average):
    """An exponential moving average, which follows the weights faster at the beginning."""

    name = "ema"
    formula = "d = min(decay, (1+t)/(10+t)); x = d x + (1-d) w"
    when = "Runs with a constant rate, small batches, generative models."
    reference = (
        "Polyak & Juditsky, Acceleration of Stochastic Approximation by Averaging, 1992; Tarvainen & "
        "Valpola, Mean Teachers, 2017; the early factor (1+t)/(10+t) is TensorFlow's"
    )

    decay: float = number(
        0.999,
        low=0.0,
        high=1.0,
        doc="Share d of the average that stays.",
        source="Tarvainen & Valpola 2017",
    )
    ramp: bool = option(
        True, among=(True, False), doc="Follow the weights faster at the beginning.", source="TensorFlow"
    )

    def __check_init__(self) -> None:
        super().__check_init__()
        if isinstance(self.decay, float) and self.decay == 1.0 and not self.ramp:
            rule = "decay must be below 1 without ramp: the average would stay at the first weights"
            raise RecipeError("ema", rule, got=self.decay, hint="try 0.999")

    def init(self, params: PyTree) -> Mean:
        """Return the parameters themselves."""
        return _copied(params)

    def update(self, state: Mean, params: PyTree, clock: Clock) -> Mean:
        """Return the average after an update."""
        early = (1.0 + clock.step) / (10.0 + clock.step)
        decay = jnp.minimum(self.decay, early) if self.ramp else self.decay
        return Mean(_towards(state.params, params, 1.0 - decay), state.taken + 1.0)

    def shortened(self, share: float) -> Self:
        """Return the average with a decay that is faster by 1 / `share`."""
        return replace(self, decay=self.decay ** (1 / share))


class Tail(Average):
    """The mean of all weights after `start`."""

    name = "tail"
    formula = "x = mean of w after updates start, start+1, ... (counted from 0); x = w before"
    when = "Convex problems with a constant rate."
    reference = "Polyak & Juditsky, Acceleration of Stochastic Approximation by Averaging, 1992; Ruppert 1988"
    lengths = {"start": "unit"}
    inside = ("start",)

    start: float = number(0.5, low=0.0, doc="Start of the mean, in `unit`.", source="ours: the second half")
    unit: str = unit_of("fraction", "`start`")

    def init(self, params: PyTree) -> Mean:
        """Return the parameters themselves."""
        return _copied(params)

    def update(self, state: Mean, params: PyTree, clock: Clock) -> Mean:
        """Return the mean after an update."""
        return _add_if(state, params, clock.step >= clock.steps(self.start, self.unit), follow=True)


class SWA(Average):
    """The mean of the weights after every `every`, from `start` on. Use it with a high constant rate.

    Batch-norm statistics are those of the last weights, not of the mean.
    """

    name = "swa"
    formula = "x = mean of w after updates s, s+e, s+2e, ... (counted from 1); x = w before"
    when = "The last quarter of a run of a convolutional network, with a constant rate."
    reference = "Izmailov et al., Averaging Weights Leads to Wider Optima and Better Generalization, 2018"
    lengths = {"start": "unit", "every": "every_unit"}
    inside = ("start",)

    start: float = number(0.75, low=0.0, doc="Start of the mean, in `unit`.", source="Izmailov et al. 2018")
    unit: str = unit_of("fraction", "`start`")
    every: float = number(
        1.0,
        low=0.0,
        open_low=True,
        doc="Length between two weights of the mean, in `every_unit`.",
        source="Izmailov et al. 2018",
    )
    every_unit: str = unit_of("epochs", "`every`")

    def init(self, params: PyTree) -> Mean:
        """Return the parameters themselves."""
        return _copied(params)

    def update(self, state: Mean, params: PyTree, clock: Clock) -> Mean:
        """Return the mean after an update."""
        since = clock.step + 1.0 - clock.steps(self.start, self.unit)
        every = jnp.maximum(clock.steps(self.every, self.every_unit), 1.0)
        return _add_if(state, params, (since >= 0) & (jnp.mod(since, every) == 0), follow=state.taken == 0)


AVERAGES: dict[str, type[Average]] = {rule.name: rule for rule in (NoAverage, EMA, Tail, SWA)}


def _copied(params: PyTree) -> Mean:
    # A copy, because the caller may donate the buffers of the parameters.
    wide = jax.tree.map(lambda w: jnp.array(w, jnp.promote_types(w.dtype, jnp.float32), copy=True), params)
    return Mean(wide, jnp.zeros((), jnp.result_type(jnp.float32, *jax.tree.leaves(wide))))


def _add_if(state: Mean, params: PyTree, take: Bool[Array, ""], follow: Bool[Array, ""] | bool) -> Mean:
    """Add weights to the mean where `take`; an empty mean is the weights themselves where `follow`."""
    count = jnp.where(take, state.taken + 1.0, state.taken)
    empty = (state.taken == 0) & follow
    share = jnp.where(take, 1.0 / jnp.maximum(count, 1.0), jnp.where(empty, 1.0, 0.0))
    return Mean(_towards(state.params, params, share), count)


def _towards(mean: PyTree, params: PyTree, share: Float[Array, ""] | float) -> PyTree:
    return jax.tree.map(lambda x, w: (x + share * (w.astype(x.dtype) - x)).astype(x.dtype), mean, params)
