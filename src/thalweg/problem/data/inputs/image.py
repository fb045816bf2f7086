"""`ImageInputs`: pictures unchanged (uint8 if they are uint8); they are scaled on the device."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from thalweg.core.errors import DataError
from thalweg.problem.data.files import IMAGE
from thalweg.problem.data.files.binary_images import batch_files, idx_files, read_batch, read_idx
from thalweg.problem.data.files.picture_files import PICTURES
from thalweg.problem.data.files.pictures import is_picture_set, names_at, read_pictures
from thalweg.problem.data.files.tar_shards import Shards
from thalweg.problem.data.inputs import Columns
from thalweg.problem.data.inputs.array import (
    FAR,
    UNKNOWN,
    Range,
    check_shape,
    checked_numbers,
    range_from,
    read_arrays,
)

# Brightness is 0..255 in files and 0..1 in many arrays: both are images.
BRIGHTEST = 255
# Smaller grids are more often short sequences or tables of numbers than pictures.
MIN_SIDE = 8
CHANNELS = (1, 3, 4)
# Pictures summed at a time: few enough for exact sums in 32 bits; and their bytes, few enough for the cache.
BLOCK, BLOCK_BYTES = 1024, 2**22


@dataclass(frozen=True)
class ImageInputs(Columns):
    """Checks pictures without changing their numbers.

    Args:
        shape: Shape of one picture, (height, width) or (height, width, channel).
        byte: Whether pictures are uint8 (0..255); otherwise they are float32.
        range: Of the training pictures, over all pixels.
        levels: Brightness in files of more than 8 bits that becomes 0 and 255; None if training had no such
            files.
    """

    kind: ClassVar[str] = IMAGE
    is_image: ClassVar[bool] = True
    shape: tuple[int, ...]
    byte: bool = True
    range: Range = UNKNOWN
    levels: tuple[float, float] | None = None
    nested: ClassVar[dict[str, Callable[[Any], Any]]] = {"range": range_from}

    @classmethod
    def fit(cls, train: np.ndarray) -> Self:
        """Take shape, type and range from the training split."""
        return cls(train.shape[1:], train.dtype == np.uint8, Range.of(train, 1))

    def inputs(self, raw: Any) -> np.ndarray:
        """Return pictures, uint8 or float32, `example height width [channel]`.

        Raises:
            DataError: The shape differs, values are not finite numbers, brightness does not fit a byte, or
                the brightness has another range than in training, such as 0..1 instead of 0..255.
        """
        array = checked_numbers("images", raw)
        check_shape(array, self.shape)
        if array.dtype != np.uint8 and array.size:
            self._check_brightness(array)
        if not (self.byte and array.dtype == np.uint8 and self._many_levels):
            self.range.check("images", array[..., None])
        if not self.byte:
            return array.astype(np.float32, copy=False)
        return array if array.dtype == np.uint8 else np.rint(array).astype(np.uint8)

    @property
    def _many_levels(self) -> bool:
        """Whether bytes cannot be far outside the range of training, or it is not known."""
        return not self.range.low or (self.range.high[0] - self.range.low[0]) * FAR >= BRIGHTEST

    def _check_brightness(self, array: np.ndarray) -> None:
        low, high = array.min(), array.max()
        beyond = self.byte and (low < 0 or high > BRIGHTEST)
        brightest = self.range.high[0] if self.range.high else BRIGHTEST if self.byte else 1.0
        if beyond or (0 < high <= 1 and low >= 0 and brightest > FAR):
            rule = f"must hold brightness values from 0 to {BRIGHTEST}, as in training"
            hint = "multiply by 255, or load the training images in the same form"
            raise DataError("images", rule, got=f"{array.dtype} from {low} to {high}", hint=hint)

    def read(self, source: Path | Any, target: str) -> Any:
        """Return the pictures of files (the test split of idx or CIFAR-10 files), or an array."""
        if isinstance(source, Shards):
            return read_pictures(source, self.shape, self.levels)
        if not isinstance(source, Path):
            return read_arrays(source, self.shape)
        if source.is_dir() and (idx := idx_files(source)):
            return read_idx(idx.get("test_images") or idx["train_images"])
        if source.is_dir() and (batches := batch_files(source))["train"]:
            return np.concatenate([read_batch(path)[0] for path in batches["test"] or batches["train"]])
        if self.file_names(source) is not None:
            return read_pictures(source, self.shape, self.levels)
        return read_arrays(source, self.shape)

    def file_names(self, source: Path | Any) -> list[str] | None:
        """Return the names of the picture files that are read, relative to their folder; None for others."""
        if isinstance(source, Path) and not PICTURES.is_one(source) and not is_picture_set(source):
            return None
        return names_at(source)


def looks_like_images(array: np.ndarray) -> bool:
    """Return whether an array holds pictures: `example height width [channel]`, at least 8 pixels a side.

    Bytes do; floats and integers do if all of them lie in 0..255. Anything else is a plain array, such as
    sequences of features.
    """
    if array.ndim not in (3, 4) or (array.ndim == 4 and array.shape[3] not in CHANNELS):
        return False
    if min(array.shape[1:3]) < MIN_SIDE or array.size == 0:
        return False
    return array.dtype == np.uint8 or bool(array.min() >= 0 and array.max() <= BRIGHTEST)


def brightness_shift_and_scale(train: np.ndarray) -> tuple[Any, Any]:
    """Return (shift, scale) that standardise the training pictures: one number, or one for each channel.

    For bytes the sums are exact integers, so that the result does not depend on the order of the pictures.
    """
    if train.dtype == np.uint8:
        channels = 1 if train.ndim == 3 else train.shape[3]
        return shift_and_scale(_byte_sums(train, channels), train.size // channels, grey=train.ndim == 3)
    axes = tuple(range(train.ndim)) if train.ndim == 3 else (0, 1, 2)
    mean, deviation = (of(axis=axes, dtype=np.float64) for of in (train.mean, train.std))
    return _shift_and_scale(mean, deviation)


def shift_and_scale(sums: np.ndarray, pixels: int, *, grey: bool) -> tuple[Any, Any]:
    """Return (shift, scale) that standardise pictures of bytes.

    Args:
        sums: Exact sums of the bytes of each channel and of their squares, `2 channel`.
        pixels: How many bytes of each channel were added.
        grey: Whether pictures have no axis of channels.
    """
    mean, squares = sums / pixels
    deviation = np.sqrt(np.maximum(squares - mean**2, 0.0))
    return _shift_and_scale(mean[0], deviation[0]) if grey else _shift_and_scale(mean, deviation)


def _shift_and_scale(mean: np.ndarray, deviation: np.ndarray) -> tuple[Any, Any]:
    scale = 1.0 / np.where(deviation > 0, deviation, 1.0)
    return _plain(-np.asarray(mean)), _plain(scale)


def _byte_sums(train: np.ndarray, channels: int) -> np.ndarray:
    """Return the exact sums of the bytes of each channel, and of their squares, `2 channel`."""
    flat = train.reshape(train.shape[0], -1)  # sum over pictures first: long rows are fast
    by_pixel = np.zeros((2, flat.shape[1]), np.uint64)
    count = max(1, min(BLOCK, BLOCK_BYTES // flat.shape[1]))
    for first in range(0, flat.shape[0], count):
        block = flat[first : first + count]
        by_pixel[0] += block.sum(axis=0, dtype=np.uint32)
        by_pixel[1] += np.multiply(block, block, dtype=np.uint16).sum(axis=0, dtype=np.uint32)
    return by_pixel.reshape(2, -1, channels).sum(axis=1)


def _plain(value: np.ndarray) -> float | tuple[float, ...]:
    return float(value) if value.ndim == 0 else tuple(value.tolist())
