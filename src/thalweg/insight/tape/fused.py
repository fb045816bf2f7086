"""Softmax and cross-entropy as one op: however it is written, its gradient is `p - y`.

What stands between the logits z and the loss (a maximum, exponentials, a sum, a logarithm, a choice) has a
gradient that is the difference of what the network believes and what is so, p = softmax(z) and y, over the
number of rows; of a sigmoid and the binary cross-entropy likewise. That is checked on the numbers, not
assumed: a value counts as the logits if `p - n dL/dz` is one class per row.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from thalweg.insight.tape.recording import Recording, Value, is_inexact, numbers

# Rounding of a softmax and of its gradient in float32, relative and absolute.
TOLERANCE, ROUNDING = 1e-3, 1e-6
# Where all of p - y is smaller than this, numbers of another origin may agree by chance.
SURE = 1e-3
# Numbers of a value beyond which it is not looked at.
LARGEST = 1_000_000
# Either way, both an exponential and a logarithm stand between the logits and the loss.
_EXPONENTIALS = frozenset({"exp", "exp2", "logistic", "custom_jvp_call"})
_LOGARITHMS = frozenset({"log", "log1p", "custom_jvp_call"})


class Fused(NamedTuple):
    """Softmax and cross-entropy, as one op.

    Args:
        kind: `softmax` or `sigmoid`.
        logits: The value that it starts from.
        rows: n, the number of rows whose mean the loss is; 1 for a sum, or a single row.
        probabilities, targets: p and y, in the shape of the logits.
    """

    kind: str
    logits: Value
    rows: int
    probabilities: Float[np.ndarray, "..."]
    targets: Float[np.ndarray, "..."]


def find_fused(recording: Recording) -> Fused | None:
    """Return the first value whose gradient is `(p - y) / n`, if there is a logarithm or so behind it."""
    output = recording.output
    if output is None or not output.finite or output.op is None:
        return None
    last = [
        max((op.number for op in recording.ops if op.name in names and op.upstream), default=-1)
        for names in (_EXPONENTIALS, _LOGARITHMS)
    ]
    if min(last) < 0:
        return None
    computed = [value for op in recording.ops[: min(last)] for value in op.outputs]
    for value in (*recording.inputs, *computed):
        if value.gradient is not None and 0 < np.prod(value.shape, dtype=int) <= LARGEST:
            found = _of(value)
            if found is not None:
                return found
    return None


def _of(value: Value) -> Fused | None:
    if not is_inexact(value.array) or not value.finite:
        return None
    z, gradient = (numbers(array).astype(np.float64) for array in (value.array, value.gradient))
    if not np.any(gradient) or not np.all(np.isfinite(gradient)):
        return None
    if z.ndim and z.shape[-1] > 1:
        shifted = np.exp(z - z.max(axis=-1, keepdims=True))
        p = shifted / shifted.sum(axis=-1, keepdims=True)
        for count in dict.fromkeys((z.size // z.shape[-1], 1)):
            y = (p - count * gradient).round()
            one_class = np.all((y == 0) | (y == 1)) and np.all(y.sum(axis=-1) == 1)
            if one_class and _same(count * gradient, p - y):
                return Fused("softmax", value, count, p, y)
    p = 1 / (1 + np.exp(-np.clip(z, -500, 500)))
    for count in dict.fromkeys((z.size, 1)):
        y = (p - count * gradient).round()
        if np.all((y == 0) | (y == 1)) and _same(count * gradient, p - y):
            return Fused("sigmoid", value, count, p, y)
    return None


def _same(gradient: Float[np.ndarray, "..."], expected: Float[np.ndarray, "..."]) -> bool:
    """Return whether a gradient is `p - y`, and not just nothing where the network is sure."""
    error = np.abs(gradient - expected)
    return bool(np.all(error <= TOLERANCE * np.abs(expected) + ROUNDING) and np.abs(expected).max() > SURE)
