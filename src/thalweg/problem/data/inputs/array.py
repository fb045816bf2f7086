"""`ArrayInputs`: numbers to standardised float32 numbers. Also the checks that every array passes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from thalweg.core.errors import DataError
from thalweg.problem.data.files.binary_images import read_idx
from thalweg.problem.data.files.content import plain_suffix
from thalweg.problem.data.files.numpy_files import read_array, read_npz_inputs
from thalweg.problem.data.inputs import Columns

# The largest float32: training computes in float32.
LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class ArrayInputs(Columns):
    """Standardises arrays along their last axis, in float64, on the host.

    Args:
        shape: Shape of one example.
        mean, scale: One number for each position of the last axis (a single one for examples without axes).
            Inputs enter the model as (x - mean) / scale.
    """

    kind: ClassVar[str] = "array"
    shape: tuple[int, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]

    @classmethod
    def fit(cls, train: np.ndarray, standardise: bool = True) -> Self:
        """Compute mean and scale from the training split."""
        shape = train.shape[1:]
        width = shape[-1] if shape else 1
        if not standardise:
            return cls(shape, (0.0,) * width, (1.0,) * width)
        mean, scale = mean_and_scale(train.reshape(-1, width))
        return cls(shape, tuple(mean.tolist()), tuple(scale.tolist()))

    def inputs(self, raw: Any) -> np.ndarray:
        """Return float32 inputs, `example ...`.

        Raises:
            DataError: The shape differs, or there are values that are not numbers, NaN or inf.
        """
        array = checked_numbers("inputs", raw)
        check_shape(array, self.shape)
        mean = np.asarray(self.mean) if self.shape else self.mean[0]
        scale = np.asarray(self.scale) if self.shape else self.scale[0]
        return ((array - mean) / scale).astype(np.float32)

    def read(self, source: Path | Any, target: str) -> Any:
        """Return the inputs of an npy, npz or idx file, of an array, or of a pair (inputs, targets)."""
        array = read_arrays(source, self.shape)
        # An npy table may still hold its target column, as the training file did.
        is_table = isinstance(source, Path) and plain_suffix(source) == ".npy" and array.ndim == 2
        if is_table and target.startswith("column_") and array.shape[1:] == (sum(self.shape) + 1,):
            return np.delete(array, int(target.removeprefix("column_")), axis=1)
        return array


def read_arrays(source: Path | Any, shape: tuple[int, ...]) -> Any:
    """Return new inputs from a file, or from memory as they are.

    Args:
        source: A path, an array, or a pair (inputs, targets).
        shape: Shape of one example, for the message.

    Raises:
        DataError: The file is not an array file, or is damaged.
    """
    if not isinstance(source, Path):
        return source[0] if isinstance(source, tuple) else source
    if source.name.removesuffix(".gz").endswith("-ubyte"):
        return read_idx(source)
    if plain_suffix(source) == ".npz":
        return read_npz_inputs(source)
    if plain_suffix(source) == ".npy":
        return read_array(source)
    rule = f"the model takes arrays of shape {shape}: npy, npz, idx or pictures"
    raise DataError("predict", rule, got=source.name, hint="save the inputs with np.save")


def mean_and_scale(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of each column in float64; a constant column has scale 1."""
    values = rows.astype(np.float64, copy=False)
    mean = values.mean(axis=0)
    deviation = values.std(axis=0)
    constant = deviation <= 1e-12 * np.maximum(1.0, np.abs(mean))  # float64 rounding of a constant column
    return mean, np.where(constant, 1.0, deviation)


def checked_numbers(who: str, raw: Any) -> np.ndarray:
    """Return `raw` as an array of finite numbers.

    Raises:
        DataError: It has rows of unequal length, or values that are not numbers, NaN or inf.
    """
    try:
        array = np.asarray(raw)
    except ValueError as error:
        rule, hint = f"{who} must be rows of equal shape", "pad or cut the rows to one length"
        raise DataError("data", rule, got=str(error).splitlines()[0], hint=hint) from error
    if array.dtype == bool:
        array = array.astype(np.float32)
    if array.dtype.kind not in "iuf":
        hint = "give a frame or a CSV file for text and categories"
        raise DataError("data", f"{who} must be numbers", got=f"an array of type {array.dtype}", hint=hint)
    if array.ndim == 0:
        rule = f"{who} must have a first axis, the examples"
        raise DataError("data", rule, got=array.item(), hint="wrap it in a list")
    if array.dtype.kind == "f" and not (np.abs(array) <= LARGEST).all():
        _reject_large(who, array)
    return array


def check_shape(array: np.ndarray, shape: tuple[int, ...]) -> None:
    """Reject examples of another shape than those of training."""
    if array.shape[1:] != shape:
        rule = f"every example must have the shape {shape}, as in training"
        got = array.shape[1:]
        hint = f"give an array of shape {('rows', *shape)}".replace("'", "")
        raise DataError("data", rule, got=got, where=f"an array of shape {array.shape}", hint=hint)


def _reject_large(who: str, array: np.ndarray) -> None:
    finite = np.isfinite(array)
    bad, what = (~finite, "NaN or inf") if not finite.all() else (np.abs(array) > LARGEST, "beyond float32")
    first = tuple(int(i) for i in np.argwhere(bad)[0])
    rule = f"{who} must be finite numbers that fit float32"
    got = f"{int(bad.sum())} {what}"
    hint = "fill in or leave out those rows; a CSV file or a frame may hold missing values"
    raise DataError("data", rule, got=got, where=f"the first is {array[first]} at {list(first)}", hint=hint)
