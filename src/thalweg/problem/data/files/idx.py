"""The idx form of MNIST and its kin: big-endian header (two zero bytes, type, axes, sizes), then the numbers.

Reference: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits", file formats.
"""

import math
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from thalweg.core.errors import DataError
from thalweg.problem.data.files.compressed import read_bytes
from thalweg.problem.data.raw import RawArrays

TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
MOST_AXES = 32  # NumPy takes 64; no data set has more than a handful
PARTS = {"train": "train", "test": "t10k"}


def read_idx(path: Path) -> np.ndarray:
    """Return the array in an idx or idx.gz file; bytes are not to be written to.

    Raises:
        DataError: Another form (wrong magic), no numbers, or fewer or more bytes than the header says.
    """
    content = read_bytes(path)
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in TYPES:
        raise DataError(
            "idx",
            "the file must start with 00 00, a type and a number of axes",
            got=content[:4].hex(" ") or "an empty file",
            where=path,
            hint="the file is not in idx form, or is still packed",
        )
    axes, kind = content[3], np.dtype(TYPES[content[2]])
    header = 4 + 4 * axes
    shape = struct.unpack(f">{axes}I", content[4:header]) if len(content) >= header else None
    if axes > MOST_AXES or (shape is not None and 0 in shape):
        raise DataError(
            "idx",
            f"the header must give at most {MOST_AXES} axes, none of them empty",
            got=f"{axes} axes" if axes > MOST_AXES else f"sizes {' x '.join(map(str, shape or ()))}",
            where=path,
            hint="the file is damaged, or is not in idx form",
        )
    # Exact: a product of 64 bits can come round to the file's size.
    wanted = None if shape is None else header + math.prod(shape) * kind.itemsize
    if shape is None or len(content) != wanted:
        raise DataError(
            "idx",
            f"the file must have {wanted or f'at least {header}'} bytes, as its header says",
            got=len(content),
            where=path,
            hint="the file is cut short; fetch it again",
        )
    return (
        np.frombuffer(content, kind, offset=header).reshape(shape).astype(kind.newbyteorder("="), copy=False)
    )


def idx_files(folder: Path) -> dict[str, Path]:
    """Return the idx files of a folder by role: `train_images`, `train_labels`, `test_images`, ..."""
    found = {}
    for path in sorted(folder.iterdir()):
        for part, start in PARTS.items():
            for role in ("images", "labels"):
                if path.name.startswith(start) and f"{role}-idx" in path.name.replace(".idx", "-idx"):
                    found[f"{part}_{role}"] = path
    return found


def read_idx_folder(folder: Path, name: str, classes: tuple[int | str, ...] | None = None) -> RawArrays:
    """Read a folder with MNIST-like files: train-images-idx3-ubyte(.gz) and so on; the t10k pair is the test.

    Raises:
        DataError: The training pair is not whole, or a file is damaged.
    """
    files = idx_files(folder)
    missing = {"train_images", "train_labels"} - set(files)
    if missing or ("test_images" in files) != ("test_labels" in files):
        raise DataError(
            "idx",
            "the folder must hold train-images-idx3-ubyte and train-labels-idx1-ubyte "
            "(.gz or not), and both t10k files or neither",
            got=sorted(p.name for p in files.values()),
            where=folder,
            hint="fetch the missing file",
        )
    with ThreadPoolExecutor() as readers:  # unpacking leaves other threads alone
        arrays = dict(zip(files, readers.map(read_idx, files.values()), strict=True))
    test = (arrays["test_images"], arrays["test_labels"]) if "test_images" in files else None
    return RawArrays(
        name, arrays["train_images"], arrays["train_labels"], test=test, classes=classes, target="class"
    )
