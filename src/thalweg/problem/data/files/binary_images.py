"""Binary image sets: the idx files of MNIST, and the batches of CIFAR-10.

An idx file is a big-endian header (two zero bytes, type, number of axes, sizes), then the numbers. A record
of a CIFAR-10 batch is one label byte, then 1024 red, 1024 green and 1024 blue bytes, row by row.

References: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits", file formats;
A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009, the binary version.
"""

import math
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from thalweg.core.errors import DataError
from thalweg.problem.data.files import IMAGE, RawArrays
from thalweg.problem.data.files.content import ARRAY_COPIES, read_bytes

IDX_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
MAX_AXES = 32  # NumPy allows 64; no data set has more than a handful
IDX_PREFIXES = {"train": "train", "test": "t10k"}

SIDE, COLOURS = 32, 3
RECORD = 1 + SIDE * SIDE * COLOURS  # bytes of one CIFAR-10 example
CIFAR_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def read_idx(path: Path) -> np.ndarray:
    """Return the array in an idx or idx.gz file; an array of bytes is read-only.

    Raises:
        DataError: The magic number is wrong, the header names no numbers, or the file is longer or shorter
            than its header says.
    """
    content = read_bytes(path, ARRAY_COPIES)
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in IDX_TYPES:
        rule = "the file must start with 00 00, a type and a number of axes"
        hint = "the file is not in idx format, or is still compressed"
        raise DataError("idx", rule, got=content[:4].hex(" ") or "an empty file", where=path, hint=hint)
    axes, kind = content[3], np.dtype(IDX_TYPES[content[2]])
    header = 4 + 4 * axes
    shape = struct.unpack(f">{axes}I", content[4:header]) if len(content) >= header else None
    if axes > MAX_AXES or (shape is not None and 0 in shape):
        rule = f"the header must give at most {MAX_AXES} axes, none of them empty"
        got = f"{axes} axes" if axes > MAX_AXES else f"sizes {' x '.join(map(str, shape or ()))}"
        raise DataError("idx", rule, got=got, where=path, hint="the file is damaged, or is not in idx format")
    # Python's integers: a 64-bit product could wrap around to the size of the file.
    size = None if shape is None else header + math.prod(shape) * kind.itemsize
    if shape is None or len(content) != size:
        rule = f"the file must have {size or f'at least {header}'} bytes, as its header says"
        hint = "the file is truncated; fetch it again"
        raise DataError("idx", rule, got=len(content), where=path, hint=hint)
    array = np.frombuffer(content, kind, offset=header).reshape(shape)
    return array.astype(kind.newbyteorder("="), copy=False)


def idx_files(folder: Path) -> dict[str, Path]:
    """Return the idx files of a folder by role: `train_images`, `train_labels`, `test_images`, ..."""
    files = {}
    for path in sorted(folder.iterdir()):
        for split, prefix in IDX_PREFIXES.items():
            for role in ("images", "labels"):
                if path.name.startswith(prefix) and f"{role}-idx" in path.name.replace(".idx", "-idx"):
                    files[f"{split}_{role}"] = path
    return files


def read_idx_folder(folder: Path, name: str, classes: tuple[int | str, ...] | None = None) -> RawArrays:
    """Read a folder of idx files named as MNIST's, .gz or not; the t10k files are the test split.

    Raises:
        DataError: The training pair is incomplete, or a file is damaged.
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
    with ThreadPoolExecutor() as readers:  # decompression releases the interpreter lock
        arrays = dict(zip(files, readers.map(read_idx, files.values()), strict=True))
    test = (arrays["test_images"], arrays["test_labels"]) if "test_images" in files else None
    train = arrays["train_images"], arrays["train_labels"]
    return RawArrays(name, *train, test=test, classes=classes, target="class")


def read_batch(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return (images `example 32 32 3` uint8, labels `example`) of a CIFAR-10 batch file, .gz or not.

    Raises:
        DataError: The file is empty, or its length is not a multiple of a record.
    """
    content = read_bytes(path, ARRAY_COPIES)
    if not content or len(content) % RECORD:
        rule = f"a batch must be a whole number of records of {RECORD} bytes"
        hint = "the file is truncated or in another format; use the binary version"
        raise DataError("cifar", rule, got=f"{len(content)} bytes", where=path, hint=hint)
    records = np.frombuffer(content, np.uint8).reshape(-1, RECORD)
    pixels = records[:, 1:].reshape(-1, COLOURS, SIDE, SIDE).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(pixels), records[:, 0].astype(np.int64)


def batch_files(folder: Path) -> dict[str, list[Path]]:
    """Return the CIFAR-10 batch files of a folder by split, in the order of their names."""
    files = sorted(p for p in folder.iterdir() if p.name.endswith((".bin", ".bin.gz")))
    return {
        "train": [p for p in files if p.name.startswith("data_batch")],
        "test": [p for p in files if p.name.startswith("test_batch")],
    }


def read_cifar_folder(folder: Path, name: str) -> RawArrays:
    """Read data_batch_*.bin (train) and test_batch*.bin (test), .gz or not; some of the batches suffice."""
    files = batch_files(folder)
    if not files["train"]:
        rule = "the folder must hold data_batch_1.bin (.gz or not)"
        raise DataError("cifar", rule, where=folder, hint="unpack the binary version of CIFAR-10 there")
    test = _joined(files["test"]) if files["test"] else None
    train = _joined(files["train"])
    return RawArrays(name, *train, test=test, classes=CIFAR_CLASSES, target="class", kind=IMAGE)


def _joined(paths: list[Path]) -> tuple[np.ndarray, np.ndarray]:
    images, labels = zip(*map(read_batch, paths), strict=True)
    return np.concatenate(images), np.concatenate(labels)
