"""Rules for the shapes and values of outputs and targets that several losses share."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from thalweg.core.errors import DataError, ModelError
from thalweg.problem.losses.outputs import softmax_like

# The words for targets in a form that a loss does not mean, and for a loss of another task.
ENCODING, MISMATCH = "label_encoding_wrong", "loss_mismatch"


def match_shapes(who: str, outputs: Array, targets: Array) -> tuple[Array, Array]:
    """Return outputs, and targets in their shape and dtype; trailing axes of length one may differ.

    Raises:
        ModelError: The shapes differ otherwise. Broadcasting is never silent: (batch,) against
            (batch, 1) would give batch x batch losses.
    """
    targets = jnp.asarray(targets)
    if _without_trailing_ones(outputs.shape) != _without_trailing_ones(targets.shape):
        raise ModelError(
            who,
            "outputs and targets must have the same shape",
            got=f"outputs {outputs.shape}, targets {targets.shape} (batch first)",
            hint="give the model as many outputs as there are target values",
            cause=MISMATCH if jnp.issubdtype(targets.dtype, jnp.integer) else "head_units_wrong",
        )
    return outputs, targets.reshape(outputs.shape).astype(outputs.dtype)


def check_classes(who: str, outputs: Array, targets: Array) -> None:
    """Check that targets hold one whole number for each row of logits.

    Raises:
        ModelError: Outputs have no axis of classes, or targets do not match the axes before it.
        DataError: Targets are not whole numbers.
    """
    if outputs.ndim < 2:
        raise ModelError(
            who,
            "outputs must be logits, one for each class",
            got=f"shape {outputs.shape} (batch first)",
            hint="for a single logit use the loss binary_cross_entropy",
            cause="head_units_wrong",
        )
    if outputs.shape[:-1] != targets.shape:
        raise ModelError(
            who,
            "takes one class for each row of logits",
            got=f"outputs {outputs.shape}, targets {targets.shape} (batch first)",
            hint="outputs are (batch, classes) or (batch, position, classes), targets lack the last axis",
            cause=ENCODING if jnp.issubdtype(targets.dtype, jnp.integer) else MISMATCH,
        )
    if not jnp.issubdtype(targets.dtype, jnp.integer):
        raise DataError(
            who,
            "classes must be whole numbers",
            got=f"dtype {targets.dtype}",
            hint="cast the targets to int32, or give soft labels in the shape of the outputs",
            cause=MISMATCH,
        )


def check_label_range(who: str, targets: Array, classes: int, ignore: int | None = None) -> None:
    """Check that concrete labels lie in `0..classes - 1`, apart from those equal to `ignore`.

    Raises:
        DataError: One does not.
    """
    values = np.asarray(targets)
    wrong = (values < 0) | (values >= classes)
    if ignore is not None:
        wrong &= values != ignore
    rest = f", and {int(wrong.sum()) - 1} more in this batch"
    hint = "give the model one output for each class"
    reject_first(
        who, f"labels must lie in 0..{classes - 1}", values, wrong, rest=rest, hint=hint, cause=ENCODING
    )


def check_logits(who: str, outputs: Array) -> None:
    """Check that concrete outputs are not probabilities: rows in [0, 1] that all sum to one.

    Raises:
        ModelError: They are.
    """
    if softmax_like(outputs):
        values = np.asarray(outputs, np.float64)
        first = values.reshape(-1, values.shape[-1])[0]
        raise ModelError(
            who,
            "takes logits, and these outputs are probabilities: every row sums to 1",
            got=np.array2string(first, precision=3, threshold=6),
            hint="remove the last softmax of the model; the loss applies it",
            cause="head_double_activation",
        )


def check_probabilities(who: str, targets: Array, *, rows: bool) -> None:
    """Check that concrete targets lie in [0, 1] and, with `rows`, sum to one along the last axis.

    Raises:
        DataError: They do not.
    """
    values = np.asarray(targets, np.float64)
    rule, wrong = "targets must be probabilities, in [0, 1]", ~((values >= 0) & (values <= 1))
    cause = ENCODING if np.array_equal(values, np.round(values)) else MISMATCH
    reject_first(who, rule, values, wrong, hint="give 0 and 1, or shares between them", cause=cause)
    if rows:
        sums = values.sum(axis=-1)
        hint = (
            "divide each row by its sum; for labels that do not exclude each other use binary_cross_entropy"
        )
        rule = "soft labels must sum to 1 over the classes"
        reject_first(who, rule, sums, np.abs(sums - 1) > 1e-3, hint=hint, cause=ENCODING)


def check_finite(who: str, targets: Array) -> None:
    """Check that concrete targets are finite.

    Raises:
        DataError: One is NaN or infinite.
    """
    values = np.asarray(targets)
    wrong = ~np.isfinite(values.astype(np.float64))
    reject_first(
        who, "targets must be finite", values, wrong, hint="leave those rows out", cause="labels_corrupted"
    )


def reject_first(
    who: str,
    rule: str,
    values: np.ndarray,
    wrong: Any,
    *,
    name: str = "target",
    rest: str = "",
    hint: str,
    cause: str | None = None,
) -> None:
    """Raise an error that shows the first value that breaks a rule, if any does.

    Args:
        who, rule, hint, cause: As in `ThalwegError`.
        values: The values.
        wrong: Same shape, True where a value breaks the rule.
        name: What a value is called in the message.
        rest: Appended to the position in the message.

    Raises:
        DataError: At least one value is wrong.
    """
    if not np.any(wrong):
        return
    position = tuple(int(index) for index in np.argwhere(wrong)[0])
    value = values[position].item()
    raise DataError(who, rule, got=value, where=f"{name} {position}{rest}", hint=hint, cause=cause)


def _without_trailing_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    while len(shape) > 1 and shape[-1] == 1:
        shape = shape[:-1]
    return shape
