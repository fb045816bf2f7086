"""Weights of examples: what each counts in the loss and the metrics, checked and divided among the splits."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PyTree, Shaped

from thalweg.core.caller import argument
from thalweg.core.errors import DataError
from thalweg.problem.data.inputs.array import plain_array
from thalweg.problem.data.split import Rows, taken


class WeightedRows(Rows):
    """Examples of which some count more than others; targets come as `(targets, weights)`.

    Args:
        weights: What each example counts, float32, `example`: at least 0, with mean 1 over the split.
    """

    weighted: ClassVar[bool] = True

    weights: Shaped[Array | np.ndarray, " example"]

    def batch(self, indices: Int[Array, " batch"]) -> tuple[PyTree, PyTree]:
        """Gather rows by index."""
        inputs, targets = super().batch(indices)
        return inputs, (targets, jnp.asarray(self.weights)[indices])

    def gather(self, indices: np.ndarray) -> tuple[PyTree, PyTree]:
        """Gather rows by index, on the host."""
        targets = taken(self.targets, indices), taken(self.weights, indices)
        return taken(self.inputs, indices), targets

    @property
    def example_weights(self) -> np.ndarray:
        """The weights."""
        return np.asarray(self.weights)

    def fewer(self, most: int) -> "WeightedRows":
        """Return at most `most` evenly spaced rows, whose weights have mean 1 again."""
        rows = super().fewer(most)
        assert isinstance(rows, WeightedRows)
        weights = np.asarray(rows.weights)
        return dataclasses.replace(rows, weights=weights / max(float(weights.mean()), 1e-30))


def checked_weights(weights: Any, count: int, where: str | None = None) -> np.ndarray:
    """Return weights as float64, one for each of `count` examples.

    Raises:
        DataError: They are not numbers, in another number, negative, not finite, or all 0.
    """
    array = plain_array("weights", weights)
    array = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
    who = argument("weights")
    if array.shape != (count,) or array.dtype.kind not in "iufb":
        rule, hint = (
            f"must be {count} numbers, one for each example",
            "give an array, or the name of a column",
        )
        raise DataError(who, rule, got=f"{array.dtype} {array.shape}", where=where, hint=hint)
    values = array.astype(np.float64)
    wrong = ~(np.isfinite(values) & (values >= 0))
    if wrong.any():
        at = int(np.flatnonzero(wrong)[0])
        got, place = f"{values[at]:g}", f"example {at}" if where is None else f"{where}, row {at + 1}"
        rule, hint = "must be finite and at least 0", "a weight of 0 leaves an example out"
        raise DataError(who, rule, got=got, where=place, hint=hint)
    return values


def of_rows(given: Any, labels: int, kept: np.ndarray) -> np.ndarray | None:
    """Return the weights of the examples that are kept, from an array for all; None without weights.

    Args:
        given: The option.
        labels: Number of examples before some were left out.
        kept: Indices of those that are used.

    Raises:
        DataError: They are no weights.
    """
    if given is None:
        return None
    if isinstance(given, str):
        rule, hint = "takes a column of a table, or an array of numbers", "give an array of these examples"
        raise DataError(argument("weights"), rule, got=given, hint=hint)
    return checked_weights(given, labels)[kept]


def weights_by_split(weights: np.ndarray | None, rows: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the weights of the examples of each split, with mean 1; nothing without weights.

    Raises:
        DataError: All weights of a split are 0.
    """
    return {} if weights is None else {name: mean_one(weights[at], name) for name, at in rows.items()}


def mean_one(weights: np.ndarray, split: str) -> np.ndarray:
    """Return weights divided by their mean, float32.

    Raises:
        DataError: All of them are 0.
    """
    mean = float(weights.mean())
    if not mean > 0:
        rule, hint = "must not all be 0 in a split", "give some examples a weight above 0"
        raise DataError(argument("weights"), rule, got="zeros", where=f"{split} split", hint=hint)
    return (weights / mean).astype(np.float32)


def rows_of(inputs: Any, targets: Any, weights: np.ndarray | None) -> Rows:
    """Return a split of examples, some of which may count more than others."""
    return Rows(inputs, targets) if weights is None else WeightedRows(inputs, targets, weights)


def reject_weights(weights: Any) -> None:
    """Refuse weights of data without targets, which only their objective reads.

    Raises:
        DataError: There are some.
    """
    if weights is not None:
        rule, hint = "need targets", "put them into the tree, and multiply each row's loss by them"
        raise DataError(argument("weights"), rule, got="examples without targets", hint=hint)
