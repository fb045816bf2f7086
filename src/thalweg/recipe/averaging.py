"""Averages of weights over a run: which weights are evaluated and saved.

The average rides beside training and never changes it. It is kept in at least float32.
"""

import abc
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

from thalweg.core.choice import Choice, number, option
from thalweg.recipe.schedules.schedule import UNITS, Clock


class Mean(NamedTuple):
    """The state of an average.

    Args:
        params: The average so far.
        taken: Weights in it, float32 (float64 beside float64 weights).
    """

    params: PyTree
    taken: Float[Array, ""]


class Average(Choice):
    """How weights are averaged. Final subclasses are registered in `AVERAGES`.

    The engine calls `init(params)` once, `update(state, params, clock)` after every update, with the clock of
    that update and the parameters after it, and `evaluated(state, params)` wherever weights are evaluated or
    saved.
    """

    formula: ClassVar[str]
    when: ClassVar[str]
    reference: ClassVar[str]

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
    """The weights as they are."""

    name: ClassVar[str] = "none"
    formula: ClassVar[str] = "x = w"
    when: ClassVar[str] = "The default; a schedule that falls to zero makes averages superfluous."
    reference: ClassVar[str] = "-"

    def init(self, params: PyTree) -> tuple[()]:
        """Return nothing."""
        del params
        return ()

    def update(self, state: Any, params: PyTree, clock: Clock) -> tuple[()]:
        """Return nothing."""
        del state, params, clock
        return ()

    def evaluated(self, state: Any, params: PyTree) -> PyTree:
        """Return the parameters."""
        del state
        return params


class EMA(Average):
    """An exponential moving average, which follows faster at the beginning.

    Reference: Polyak & Juditsky 1992 (averaging); Tarvainen & Valpola, Mean Teachers, 2017; the early factor
    (1+t)/(10+t) is TensorFlow's.
    """

    name: ClassVar[str] = "ema"
    formula: ClassVar[str] = "x = d x + (1-d) w, d = min(decay, (1+t)/(10+t))"
    when: ClassVar[str] = "Runs with a constant rate, small batches, generative models."
    reference: ClassVar[str] = "Tarvainen & Valpola 2017"

    decay: float = number(
        0.999, low=0.0, high=1.0, doc="Share d that stays at each update.", source="Tarvainen & Valpola 2017"
    )
    ramp: bool = option(True, among=(True, False), doc="Follow faster at the beginning.", source="TensorFlow")

    def init(self, params: PyTree) -> Mean:
        """Return the parameters themselves."""
        return _start(params)

    def update(self, state: Mean, params: PyTree, clock: Clock) -> Mean:
        """Return the average after an update."""
        early = (1.0 + clock.step) / (10.0 + clock.step)
        decay = jnp.minimum(self.decay, early) if self.ramp else self.decay
        return Mean(_towards(state.params, params, 1.0 - decay), state.taken + 1.0)


class Tail(Average):
    """The mean of all weights after `start`.

    Reference: Polyak & Juditsky, Acceleration of Stochastic Approximation by Averaging, 1992; Ruppert 1988.
    """

    name: ClassVar[str] = "tail"
    formula: ClassVar[str] = "x = mean of w after updates start, start+1, ... (counted from 0); x = w before"
    when: ClassVar[str] = "Convex problems with a constant rate."
    reference: ClassVar[str] = "Polyak & Juditsky 1992; Ruppert 1988"

    start: float = number(
        0.5, low=0.0, doc="Where the mean begins, in `unit`.", source="ours: the second half"
    )
    unit: str = option("fraction", among=UNITS, doc="What `start` counts.")

    def init(self, params: PyTree) -> Mean:
        """Return the parameters themselves."""
        return _start(params)

    def update(self, state: Mean, params: PyTree, clock: Clock) -> Mean:
        """Return the mean after an update."""
        return _taken(state, params, clock.step >= clock.steps(self.start, self.unit), follow=True)


class SWA(Average):
    """The mean of one set of weights out of every `every`, after `start`. Pair it with a high constant rate.

    Batch-norm statistics are those of the last weights, not of the mean.

    Reference: Izmailov et al., Averaging Weights Leads to Wider Optima and Better Generalization, 2018.
    """

    name: ClassVar[str] = "swa"
    formula: ClassVar[str] = "x = mean of w after updates s, s+e, s+2e, ... (counted from 1); x = w before"
    when: ClassVar[str] = "The last quarter of a run of a convolutional network, with a constant rate."
    reference: ClassVar[str] = "Izmailov et al. 2018"

    start: float = number(
        0.75, low=0.0, doc="Where the mean begins, in `unit`.", source="Izmailov et al. 2018"
    )
    unit: str = option("fraction", among=UNITS, doc="What `start` counts.")
    every: float = number(
        1.0,
        low=0.0,
        open_low=True,
        doc="Length between weights, in `every_unit`.",
        source="Izmailov et al. 2018",
    )
    every_unit: str = option("epochs", among=UNITS, doc="What `every` counts.")

    def init(self, params: PyTree) -> Mean:
        """Return the parameters themselves."""
        return _start(params)

    def update(self, state: Mean, params: PyTree, clock: Clock) -> Mean:
        """Return the mean after an update."""
        since = clock.step + 1.0 - clock.steps(self.start, self.unit)
        every = jnp.maximum(clock.steps(self.every, self.every_unit), 1.0)
        return _taken(state, params, (since >= 0) & (jnp.mod(since, every) == 0), follow=state.taken == 0)


AVERAGES: dict[str, type[Average]] = {rule.name: rule for rule in (NoAverage, EMA, Tail, SWA)}


def _start(params: PyTree) -> Mean:
    # A copy, for the caller may give the buffers of the parameters away.
    wide = jax.tree.map(lambda w: jnp.array(w, jnp.promote_types(w.dtype, jnp.float32), copy=True), params)
    return Mean(wide, jnp.zeros((), jnp.result_type(jnp.float32, *jax.tree.leaves(wide))))


def _taken(state: Mean, params: PyTree, take: Bool[Array, ""], follow: Bool[Array, ""] | bool) -> Mean:
    """Take weights into the mean, or leave it; while nothing is in it, it is the weights themselves."""
    count = jnp.where(take, state.taken + 1.0, state.taken)
    empty = (state.taken == 0) & follow
    share = jnp.where(take, 1.0 / jnp.maximum(count, 1.0), jnp.where(empty, 1.0, 0.0))
    return Mean(_towards(state.params, params, share), count)


def _towards(mean: PyTree, params: PyTree, share: Float[Array, ""] | float) -> PyTree:
    return jax.tree.map(lambda x, w: (x + share * (w.astype(x.dtype) - x)).astype(x.dtype), mean, params)
