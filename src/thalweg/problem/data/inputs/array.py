"""`ArrayInputs`: numbers to standardised float32 numbers. Also the checks that every array passes."""

from collections.abc import Callable
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
# A value is far outside if it lies more than this many widths of the training range beyond it. The range is
# at least two standard deviations wide (Popoviciu's inequality), so these are at least 20 of them.
FAR = 10.0
# An example is far inside if its largest value, in relation to those of training, is below this share of the
# smallest such value in training. Numbers of 0..1 among those of 0..255 have 0.004 where 0.2 is low.
NEAR_ZERO = 1 / 20
# Numbers that are compared with the training range: another unit shows in a few examples as in all.
CHECKED = 2_000_000


@dataclass(frozen=True)
class Range:
    """The range of the training inputs, by which numbers in another unit are recognised.

    Args:
        low, high: Smallest and largest value of each column; of images, of all pixels.
        peak: The smallest peak of a training example, 0..1. A peak is the largest magnitude among the
            example's values, each in relation to the largest of its column; all-zero examples have none.
    """

    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    peak: float = 0.0

    @classmethod
    def of(cls, rows: np.ndarray, columns: int) -> Self:
        """Return the range of training inputs, `example ...`, whose last axis has this many columns."""
        flat = rows.reshape(-1, columns)
        low, high = (np.asarray(end, np.float64) for end in (flat.min(axis=0), flat.max(axis=0)))
        peaks = _peaks(_sample(rows), np.maximum(np.abs(low), np.abs(high)))
        peak = float(peaks.min()) if peaks.size else 0.0
        return cls(tuple(low.tolist()), tuple(high.tolist()), peak)

    def check(self, who: str, array: np.ndarray) -> None:
        """Reject inputs in another unit than those of training.

        Raises:
            DataError: Almost all are far above or below the training range (`check_range`), or every example
                is almost zero as no training example is.
        """
        if not self.low or not array.size:
            return
        low, high, sample = np.asarray(self.low), np.asarray(self.high), _sample(array)
        check_range(who, sample, low, high)
        peaks = _peaks(sample, np.maximum(np.abs(low), np.abs(high)))
        if peaks.size and float(peaks.max()) < NEAR_ZERO * self.peak:
            raise _other_unit(who, sample, low, high)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {"low": list(self.low), "high": list(self.high), "peak": self.peak}


UNKNOWN = Range()


def range_from(plain: Any) -> Range:
    """Build a range from its plain values."""
    return Range(tuple(plain["low"]), tuple(plain["high"]), plain["peak"])


@dataclass(frozen=True)
class ArrayInputs(Columns):
    """Standardises arrays along their last axis, in float64, on the host.

    Args:
        shape: Shape of one example.
        mean, scale: One number for each position of the last axis (a single one for examples without axes).
            Inputs enter the model as (x - mean) / scale.
        range: Of the training inputs, by column.
    """

    kind: ClassVar[str] = "array"
    nested: ClassVar[dict[str, Callable[[Any], Any]]] = {"range": range_from}
    shape: tuple[int, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    range: Range = UNKNOWN

    @classmethod
    def fit(cls, train: np.ndarray, standardise: bool = True) -> Self:
        """Compute mean and scale from the training split."""
        shape = train.shape[1:]
        width = shape[-1] if shape else 1
        found = Range.of(train, width)
        if not standardise:
            return cls(shape, (0.0,) * width, (1.0,) * width, found)
        mean, scale = mean_and_scale(train.reshape(-1, width))
        return cls(shape, tuple(mean.tolist()), tuple(scale.tolist()), found)

    def inputs(self, raw: Any) -> np.ndarray:
        """Return float32 inputs, `example ...`.

        Raises:
            DataError: The shape differs, there are values that are not numbers, NaN or inf, or the numbers
                are in another unit than in training.
        """
        array = checked_numbers("inputs", raw)
        check_shape(array, self.shape)
        self.range.check("inputs", array)
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
        return source[0] if isinstance(source, tuple) and len(source) == 2 else source
    if source.name.removesuffix(".gz").endswith("-ubyte"):
        return read_idx(source)
    if plain_suffix(source) == ".npz":
        return read_npz_inputs(source)
    if plain_suffix(source) == ".npy":
        return read_array(source)
    rule = f"the model takes arrays of shape {shape}: npy, npz, idx or pictures"
    raise DataError("predict", rule, got=source.name, hint="save the inputs with np.save")


def check_range(who: str, rows: np.ndarray, low: Any = -1.0, high: Any = 1.0) -> None:
    """Reject inputs almost all of which are far outside the range of training: they have another unit.

    Shifted data pass: a few wild values, rows or columns, or a column that goes on growing. More than half
    of the values in more than half of the rows must lie more than `FAR` widths of the range beyond it.
    Zeros and columns that are constant in training do not count: they are the same in every unit.

    Args:
        who: What they are, for the message.
        rows: `example ... column`.
        low, high: The training range of each column. The defaults are for standardised columns whose range
            is not known: mean and standard deviation take its place, and more than 21 of them are far.

    Raises:
        DataError: They are.
    """
    low, high = np.asarray(low, np.float64), np.asarray(high, np.float64)
    width = high - low
    counts = (rows != 0) & (width > 0)
    far = counts & ((rows > high + FAR * width) | (rows < low - FAR * width))
    axes = tuple(range(1, rows.ndim))
    counted, outside = counts.sum(axis=axes), far.sum(axis=axes)
    telling = counted > 0
    if telling.any() and 2 * np.count_nonzero(2 * outside > counted) > np.count_nonzero(telling):
        raise _other_unit(who, rows, low, high)


def _other_unit(who: str, rows: np.ndarray, low: np.ndarray, high: np.ndarray) -> DataError:
    rule = f"{who} must be in the unit of training"
    got = f"numbers from {float(rows.min()):.4g} to {float(rows.max()):.4g}"
    where = f"training had {float(low.min()):.4g} to {float(high.max()):.4g}"
    hint = "convert them to the unit of the training data, such as 0..255 to 0..1, or metres to feet"
    return DataError("data", rule, got=got, where=where, hint=hint)


def _sample(rows: np.ndarray) -> np.ndarray:
    """Return evenly spaced examples, about `CHECKED` numbers in all."""
    count = max(1, CHECKED // max(1, rows[0].size))
    return rows[:: max(1, -(-rows.shape[0] // count))]


def _peaks(rows: np.ndarray, largest: np.ndarray) -> np.ndarray:
    """Return the peak of each example that is not all zero; see `Range`."""
    shares = np.abs(rows.astype(np.float64)) / np.where(largest > 0, largest, 1.0)
    peaks = shares.reshape(rows.shape[0], -1).max(axis=1)
    return peaks[peaks > 0]


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
    array = plain_array(who, raw)
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


def plain_array(who: str, raw: Any) -> np.ndarray:
    """Return lists, frames and the arrays of any library as an array of NumPy.

    A PyTorch tensor that records gradients is detached, and one of a GPU is copied; PyTorch is not imported.

    Raises:
        DataError: Rows are of unequal length, values are masked, or it cannot be an array.
    """
    if np.ma.isMaskedArray(raw) and np.ma.getmaskarray(raw).any():
        rule, hint = f"{who} must not be missing", "leave those rows out, or fill them in"
        raise DataError("data", rule, got=f"{int(np.ma.getmaskarray(raw).sum())} masked", hint=hint)
    for method in ("detach", "cpu"):
        if hasattr(raw, "requires_grad") and callable(getattr(raw, method, None)):
            raw = getattr(raw, method)()
    try:
        array = np.asarray(raw)
        # float16 of machine learning and the like, which NumPy does not know, read as their values.
        return array.astype(np.float32) if array.dtype.kind == "V" and array.dtype.names is None else array
    except ValueError as error:
        rule, hint = f"{who} must be rows of equal shape", "pad or cut the rows to one length"
        raise DataError("data", rule, got=str(error).splitlines()[0], hint=hint) from error
    except (TypeError, RuntimeError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        hint = "convert them with numpy.asarray first"
        raise DataError("data", f"{who} must be an array", got=reason, hint=hint) from error


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
