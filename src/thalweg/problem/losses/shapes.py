"""Shape and value rules that losses share, each with an error that says which was broken."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from thalweg.core.errors import DataError, ModelError

# Softmax in float32 over 1e5 classes sums to 1 within 1e-4; logits do so for a whole batch only by design.
_SUM_TOLERANCE = 1e-4


def matched(who: str, outputs: Array, targets: Array) -> tuple[Array, Array]:
    """Return outputs and targets of one shape; axes of length one at the end may differ.

    Raises:
        ModelError: The shapes differ otherwise. Broadcasting is never silent: (batch,) against
            (batch, 1) would give batch x batch losses.
    """
    targets = jnp.asarray(targets)
    if _squeezed(outputs.shape) != _squeezed(targets.shape):
        raise ModelError(
            who,
            "outputs and targets must have the same shape",
            got=f"outputs {outputs.shape}, targets {targets.shape} (batch first)",
            hint="give the model as many outputs as there are target values",
        )
    return outputs, targets.reshape(outputs.shape).astype(outputs.dtype)


def classes_fit(who: str, outputs: Array, targets: Array) -> None:
    """Check that targets are one whole number for each row of logits.

    Raises:
        ModelError: Outputs have no axis of classes, or another shape than the targets before it.
        DataError: Targets are not whole numbers.
    """
    if outputs.ndim < 2:
        raise ModelError(
            who,
            "outputs must be logits, one for each class",
            got=f"shape {outputs.shape} (batch first)",
            hint="for a single logit use the loss binary_cross_entropy",
        )
    if outputs.shape[:-1] != targets.shape:
        raise ModelError(
            who,
            "takes one class for each row of logits",
            got=f"outputs {outputs.shape}, targets {targets.shape} (batch first)",
            hint="outputs are (batch, classes) or (batch, position, classes), targets lack the last axis",
        )
    if not jnp.issubdtype(targets.dtype, jnp.integer):
        raise DataError(
            who,
            "classes must be whole numbers",
            got=f"type {targets.dtype}",
            hint="cast the targets to int32, or give soft labels of the outputs' shape",
        )


def labels_in_range(who: str, targets: Array, classes: int, ignore: int | None = None) -> None:
    """Check concrete labels.

    Raises:
        DataError: One is negative or not below the number of classes.
    """
    values = np.asarray(targets)
    wrong = (values < 0) | (values >= classes)
    if ignore is not None:
        wrong &= values != ignore
    if wrong.any():
        place = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise DataError(
            who,
            f"labels must lie in 0..{classes - 1}",
            got=values[place].item(),
            where=f"target {place}, and {int(wrong.sum()) - 1} more in this batch",
            hint="give the model one output for each class",
        )


def logits_not_probabilities(who: str, outputs: Array) -> None:
    """Check concrete outputs: rows of numbers in [0, 1] that all sum to one are no logits.

    Raises:
        ModelError: They are probabilities.
    """
    values = np.asarray(outputs, np.float64)
    if values.shape[-1] < 2 or not values.size:
        return
    inside = (values >= 0).all() and (values <= 1).all()
    if inside and np.allclose(values.sum(axis=-1), 1.0, rtol=0, atol=_SUM_TOLERANCE):
        first = values.reshape(-1, values.shape[-1])[0]
        raise ModelError(
            who,
            "takes logits, and these outputs are probabilities: every row sums to 1",
            got=np.array2string(first, precision=3, threshold=6),
            hint="leave out the model's last softmax; the loss applies it",
        )


def probabilities(who: str, targets: Array, *, rows: bool) -> None:
    """Check concrete targets: numbers in [0, 1], and with `rows` summing to one along the last axis.

    Raises:
        DataError: They are not.
    """
    values = np.asarray(targets, np.float64)
    wrong = ~((values >= 0) & (values <= 1))
    if wrong.any():
        place = tuple(int(i) for i in np.argwhere(wrong)[0])
        rule = "targets must be probabilities, in [0, 1]"
        raise DataError(who, rule, got=values[place].item(), where=f"target {place}")
    sums = values.sum(axis=-1) if rows else np.ones(1)
    if not np.allclose(sums, 1.0, rtol=0, atol=1e-3):
        place = tuple(int(i) for i in np.argwhere(np.abs(sums - 1) > 1e-3)[0])
        rule = "soft labels must sum to 1 over the classes"
        raise DataError(who, rule, got=float(sums[place]), where=f"target {place}")


def finite(who: str, targets: Array) -> None:
    """Check concrete targets.

    Raises:
        DataError: One is NaN or infinite.
    """
    values = np.asarray(targets)
    wrong = ~np.isfinite(values.astype(np.float64))
    if wrong.any():
        place = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise DataError(who, "targets must be finite", got=str(values[place]), where=f"target {place}")


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    while len(shape) > 1 and shape[-1] == 1:
        shape = shape[:-1]
    return shape
