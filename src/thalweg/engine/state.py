"""The state of a lane, and what its steps report.

`State` holds what the next step needs and nothing else; `Info` holds what a reader needs of one step; `Chunk`
collects the info of one dispatch.
"""

from typing import NamedTuple, Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree, UInt32

from thalweg.core.stop_reason import StopReason
from thalweg.core.tree import with_row
from thalweg.engine.program import Program

# Result codes of a lane. A lane that is not RUNNING is frozen.
RUNNING, DIVERGED, STOPPED, STATIONARY = 0, 1, 2, 3
# Why a lane stopped, where the compiled program itself detects it.
REASONS = {DIVERGED: StopReason.DIVERGED, STATIONARY: StopReason.GRADIENT_BELOW}
# What telemetry records of each parameter array: the last axis of `Chunk.layers`, and columns of the log.
LAYER_STATISTICS = ("weight_norm", "gradient_norm", "update_norm")


class State(eqx.Module):
    """The state of one lane (or, with a leading axis on every leaf, of many).

    Args:
        params: Trained arrays.
        model_state: What changes without gradients (batch-norm statistics).
        optimizer: The optimizer's own state.
        schedule: The schedule's own state; empty except for those that watch a metric.
        average: Averaged parameters; empty where the recipe keeps none.
        scale: Dynamic loss scaling; empty except for float16.
        key: Raw data of the lane's key; raw, so that it can be saved as it is.
        step: Updates made.
        code: Result code.
        limit: Loss above which the lane counts as diverged; infinite until the first update sets it.
    """

    params: PyTree
    model_state: PyTree
    optimizer: PyTree
    schedule: PyTree
    average: PyTree
    scale: PyTree
    key: UInt32[Array, "... 2"]
    step: Int[Array, "..."]
    code: Int[Array, "..."]
    limit: Float[Array, "..."]


class Info(eqx.Module):
    """What one step reports.

    Args:
        loss: Mean loss of the batch, before the update.
        learning_rate: The optimizer's first rate at this step.
        gradient_norm: Global norm before clipping; NaN where it was not computed.
        figures: What the problem's objective computes besides its loss, in the order of its `figures`.
    """

    loss: Float[Array, "..."]
    learning_rate: Float[Array, "..."]
    gradient_norm: Float[Array, "..."]
    figures: tuple[Float[Array, "..."], ...] = ()


class Chunk(eqx.Module):
    """What one dispatch reports, per lane.

    Args:
        info: `lane step`; rows from `done` on are unset.
        layers: `lane row path statistic`: the layer statistics of each parameter array.
        layer_steps: `lane row`: the step of each of these rows, -1 where unset.
        done: Steps made, `lane`.
    """

    info: Info
    layers: Float[Array, "lane row path statistic"]
    layer_steps: Int[Array, "lane row"]
    done: Int[Array, " lane"]

    @classmethod
    def empty(cls, program: Program, states: State) -> Self:
        """Return an unset chunk for these lanes."""
        lanes, paths = states.step.shape[0], len(jax.tree.leaves(states.params))
        unset = jnp.full((lanes, program.capacity), jnp.nan, jnp.float32)
        return cls(
            info=Info(unset, unset, unset, (unset,) * len(program.figures)),
            layers=jnp.zeros((lanes, program.statistics, paths, len(LAYER_STATISTICS)), jnp.float32),
            layer_steps=jnp.full((lanes, program.statistics), -1, jnp.int32),
            done=jnp.zeros(lanes, jnp.int32),
        )


class Telemetry(NamedTuple):
    """The table of layer statistics while a dispatch fills it.

    Args:
        rows: Rows written.
        layers: `... row path statistic`.
        steps: `... row`: the step of each, -1 where unset.
    """

    rows: Int[Array, ""]
    layers: Float[Array, "... row path statistic"]
    steps: Int[Array, "... row"]

    def append(self, statistics: Array, step: Array, axis: int = 0) -> "Telemetry":
        """Return the table with one more row, which is at index `rows` of the axis."""
        return Telemetry(
            self.rows + 1,
            with_row(self.layers, statistics, self.rows, axis),
            with_row(self.steps, step, self.rows, axis),
        )


def layer_statistics(before: PyTree, grads: PyTree, after: PyTree) -> Float[Array, "path statistic"]:
    """Return `LAYER_STATISTICS` of the one step between two sets of parameters."""
    updates = jax.tree.map(jnp.subtract, after, before)
    return jnp.stack([_norms(before), _norms(grads), _norms(updates)], axis=-1)


def _norms(tree: PyTree) -> Float[Array, " path"]:
    # vdot, not sum(g * g): measured faster on CPU.
    return jnp.stack([jnp.sqrt(jnp.vdot(leaf, leaf)).astype(jnp.float32) for leaf in jax.tree.leaves(tree)])
