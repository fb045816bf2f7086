"""MNIST read with NumPy, for contestants without a reader of their own."""

import gzip
from pathlib import Path

import numpy as np

HEADER_OF_IMAGES, HEADER_OF_LABELS = 16, 8  # bytes before the data of an idx file of each kind


def images(folder: str, rows: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return training images as `float32[row, 784]` from 0 to 1, and labels as `int64[row]`."""
    mnist = Path(folder) / "mnist"
    pixels = _bytes(mnist / "train-images-idx3-ubyte.gz", HEADER_OF_IMAGES).reshape(-1, 784)[:rows]
    labels = _bytes(mnist / "train-labels-idx1-ubyte.gz", HEADER_OF_LABELS)[:rows]
    return pixels.astype(np.float32) / 255, labels.astype(np.int64)


def _bytes(path: Path, header: int) -> np.ndarray:
    return np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=header)
