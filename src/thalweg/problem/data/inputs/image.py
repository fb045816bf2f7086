"""`ImageInputs`: pictures as they are (uint8 where they came so); scaling happens on the device."""

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from thalweg.core.errors import DataError
from thalweg.problem.data.inputs.array import check_shape, checked_numbers

# Brightness runs over 0..255 in files and 0..1 in many arrays: both are images.
BRIGHTEST = 255
# Smaller grids are more often short sequences or tables of figures than pictures.
SMALLEST_SIDE = 8
COLOURS = (1, 3, 4)
# Pictures that are summed at a time: few enough for the cache, and for whole sums in 32 bits.
BLOCK = 1024


@dataclass(frozen=True)
class ImageInputs:
    """Checks pictures and leaves their numbers alone.

    Args:
        shape: Shape of one picture, (height, width) or (height, width, colour).
        byte: Whether pictures lie in memory as uint8 (0..255), else as float32.
    """

    kind: ClassVar[str] = "image"
    shape: tuple[int, ...]
    byte: bool = True

    @classmethod
    def fit(cls, train: np.ndarray) -> Self:
        """Take shape and type from the training part."""
        return cls(train.shape[1:], train.dtype == np.uint8)

    def inputs(self, raw: Any) -> np.ndarray:
        """Return pictures, uint8 or float32, `example height width [colour]`.

        Raises:
            DataError: Another shape, no numbers, NaN or inf, or brightness that does not fit a byte.
        """
        array = checked_numbers("images", raw)
        check_shape(array, self.shape)
        if not self.byte:
            return array.astype(np.float32, copy=False)
        if array.dtype != np.uint8 and array.size:
            low, high = array.min(), array.max()
            if low < 0 or high > BRIGHTEST or (array.dtype.kind == "f" and 0 < high <= 1):
                raise DataError(
                    "images",
                    "must hold whole brightness values from 0 to 255, as in training",
                    got=f"{array.dtype} from {low} to {high}",
                    hint="multiply by 255, or load the training images in the same form",
                )
        return array.astype(np.uint8, copy=False)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {"shape": list(self.shape), "byte": self.byte}

    @classmethod
    def from_dict(cls, given: dict[str, Any]) -> Self:
        """Build from plain values; the inverse of `to_dict`."""
        return cls(tuple(given["shape"]), given["byte"])


def looks_like_images(array: np.ndarray) -> bool:
    """Tell whether an array holds pictures: `example height width [colour]`, 8 places a side and more.

    Bytes do; floats and whole numbers do when all lie in 0..255. Anything else is a plain array, such as
    sequences of features.
    """
    if array.ndim not in (3, 4) or (array.ndim == 4 and array.shape[3] not in COLOURS):
        return False
    if min(array.shape[1:3]) < SMALLEST_SIDE or array.size == 0:
        return False
    return array.dtype == np.uint8 or bool(array.min() >= 0 and array.max() <= BRIGHTEST)


def brightness_figures(train: np.ndarray) -> tuple[Any, Any]:
    """Return (shift, scale) that standardise the training pictures: one number, or one for each colour.

    Sums are exact integers for bytes, so that the figures do not depend on the order of the pictures.
    """
    axes = tuple(range(train.ndim)) if train.ndim == 3 else (0, 1, 2)
    if train.dtype == np.uint8:
        mean, deviation = _byte_figures(train)
    else:
        mean = train.mean(axis=axes, dtype=np.float64)
        deviation = train.std(axis=axes, dtype=np.float64)
    scale = 1.0 / np.where(deviation > 0, deviation, 1.0)
    return _plain(-np.asarray(mean)), _plain(scale)


def _byte_figures(train: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation from exact whole sums: of the bytes, and of their squares."""
    colours = 1 if train.ndim == 3 else train.shape[3]
    flat = train.reshape(train.shape[0], -1)  # summed over pictures first: long rows are fast
    by_place = np.zeros((2, flat.shape[1]), np.uint64)
    for first in range(0, flat.shape[0], BLOCK):
        block = flat[first : first + BLOCK]
        by_place[0] += block.sum(axis=0, dtype=np.uint32)
        by_place[1] += np.multiply(block, block, dtype=np.uint16).sum(axis=0, dtype=np.uint32)
    sums, squares = by_place.reshape(2, -1, colours).sum(axis=1)
    count = train.size // colours
    mean = sums / count
    deviation = np.sqrt(np.maximum(squares / count - mean**2, 0.0))
    return (mean, deviation) if train.ndim == 4 else (mean[0], deviation[0])


def _plain(value: np.ndarray) -> float | tuple[float, ...]:
    return float(value) if value.ndim == 0 else tuple(value.tolist())
