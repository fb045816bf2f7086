"""What the next step needs, and nothing else; and the result codes that say how a lane stands."""

import equinox as eqx
from jaxtyping import Array, Float, Int, PyTree, UInt32

from thalweg.core.stop_reason import StopReason

# Result codes of a lane. RUNNING lanes go on; the others are frozen where they are.
RUNNING, DIVERGED, STOPPED, STATIONARY = 0, 1, 2, 3
# Why a lane stopped, where the program itself detected it.
REASONS = {DIVERGED: StopReason.DIVERGED, STATIONARY: StopReason.GRADIENT_BELOW}


class State(eqx.Module):
    """The state of one lane (or, with a leading axis on every leaf, of many).

    Args:
        params: Trained arrays.
        model_state: What changes without gradients (batch-norm statistics).
        optimizer: The optimizer's own state.
        schedule: The schedule's own state; empty but for those that watch a metric.
        average: Averaged parameters; empty where the recipe keeps none.
        scale: Dynamic loss scaling; empty but for float16.
        key: Raw data of the lane's key; raw, so that it can be saved as it is.
        step: Updates made.
        code: Result code.
        limit: Loss above which the lane counts as diverged; infinite until the first step sets it.
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
    """What a reader wants of one step.

    Args:
        loss: Mean loss of the batch, before the update.
        learning_rate: The optimizer's first rate at this step.
        gradient_norm: Global norm before clipping; NaN where it was not taken.
    """

    loss: Float[Array, "..."]
    learning_rate: Float[Array, "..."]
    gradient_norm: Float[Array, "..."]
