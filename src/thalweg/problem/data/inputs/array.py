"""`ArrayInputs`: numbers in, standardised float32 numbers out. Also the checks that every array passes."""

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from thalweg.core.errors import DataError

# What training computes in can hold no more.
LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class ArrayInputs:
    """Standardises arrays along their last axis, in float64, on the host.

    Args:
        shape: Shape of one example.
        mean, scale: One number for each place of the last axis (a single one for examples without axes).
            Inputs enter as (x - mean) / scale.
    """

    kind: ClassVar[str] = "array"
    shape: tuple[int, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]

    @classmethod
    def fit(cls, train: np.ndarray, standardise: bool = True) -> Self:
        """Take the figures from the training part."""
        shape = train.shape[1:]
        width = shape[-1] if shape else 1
        if not standardise:
            return cls(shape, (0.0,) * width, (1.0,) * width)
        mean, scale = standard_figures(train.reshape(-1, width))
        return cls(shape, tuple(mean.tolist()), tuple(scale.tolist()))

    def inputs(self, raw: Any) -> np.ndarray:
        """Return float32 inputs, `example ...`.

        Raises:
            DataError: Another shape, no numbers, or NaN or inf among them.
        """
        array = checked_numbers("inputs", raw)
        check_shape(array, self.shape)
        mean = np.asarray(self.mean) if self.shape else self.mean[0]
        scale = np.asarray(self.scale) if self.shape else self.scale[0]
        return ((array - mean) / scale).astype(np.float32)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {"shape": list(self.shape), "mean": list(self.mean), "scale": list(self.scale)}

    @classmethod
    def from_dict(cls, given: dict[str, Any]) -> Self:
        """Build from plain values; the inverse of `to_dict`."""
        return cls(tuple(given["shape"]), tuple(given["mean"]), tuple(given["scale"]))


def standard_figures(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of each column in float64; 1 for a column that does not vary."""
    values = rows.astype(np.float64, copy=False)
    mean = values.mean(axis=0)
    deviation = values.std(axis=0)
    steady = deviation <= 1e-12 * np.maximum(1.0, np.abs(mean))  # float64 rounding of a constant column
    return mean, np.where(steady, 1.0, deviation)


def checked_numbers(who: str, raw: Any) -> np.ndarray:
    """Return `raw` as an array of finite numbers.

    Raises:
        DataError: It holds no numbers, has rows of unequal length, or holds NaN or inf.
    """
    try:
        array = np.asarray(raw)
    except ValueError as error:
        raise DataError(
            "data",
            f"{who} must be rows of equal shape",
            got=str(error).splitlines()[0],
            hint="pad or cut the rows to one length",
        ) from error
    if array.dtype == bool:
        array = array.astype(np.float32)
    if array.dtype.kind not in "iuf":
        raise DataError(
            "data",
            f"{who} must be numbers",
            got=f"an array of type {array.dtype}",
            hint="give a frame or a CSV file for text and categories",
        )
    if array.ndim == 0:
        raise DataError(
            "data", f"{who} must have a first axis, the examples", got=array.item(), hint="wrap it in a list"
        )
    if array.dtype.kind == "f" and not (np.abs(array) <= LARGEST).all():
        _refuse_large(who, array)
    return array


def check_shape(array: np.ndarray, shape: tuple[int, ...]) -> None:
    """Refuse examples of another shape than the training ones."""
    if array.shape[1:] != shape:
        raise DataError(
            "data",
            f"every example must have the shape {shape}, as in training",
            got=array.shape[1:],
            where=f"an array of shape {array.shape}",
            hint=f"give an array of shape {('rows', *shape)}".replace("'", ""),
        )


def _refuse_large(who: str, array: np.ndarray) -> None:
    finite = np.isfinite(array)
    bad, what = (~finite, "NaN or inf") if not finite.all() else (np.abs(array) > LARGEST, "beyond float32")
    first = tuple(int(i) for i in np.argwhere(bad)[0])
    raise DataError(
        "data",
        f"{who} must be finite numbers that fit float32",
        got=f"{int(bad.sum())} {what}",
        where=f"the first is {array[first]} at {list(first)}",
        hint="fill or leave out those rows; a CSV file or a frame may hold missing values",
    )
