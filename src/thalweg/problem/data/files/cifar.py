"""CIFAR-10 binary batches: one label byte, then 1024 red, 1024 green and 1024 blue bytes, row by row.

Reference: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009; the binary version.
"""

from pathlib import Path

import numpy as np

from thalweg.core.errors import DataError
from thalweg.problem.data.files.compressed import read_bytes
from thalweg.problem.data.raw import RawArrays

SIDE, COLOURS = 32, 3
RECORD = 1 + SIDE * SIDE * COLOURS


def read_batch(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return (images `example 32 32 3` uint8, labels `example`) of a batch file, .gz or not.

    Raises:
        DataError: The length is no multiple of a record, or the file is empty.
    """
    content = read_bytes(path)
    if not content or len(content) % RECORD:
        raise DataError(
            "cifar",
            f"a batch must be a whole number of records of {RECORD} bytes",
            got=f"{len(content)} bytes",
            where=path,
            hint="the file is cut short or in another form; use the binary version",
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, RECORD)
    pixels = records[:, 1:].reshape(-1, COLOURS, SIDE, SIDE).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(pixels), records[:, 0].astype(np.int64)


def batch_files(folder: Path) -> dict[str, list[Path]]:
    """Return the batch files of a folder by part, in the order of their names."""
    files = sorted(p for p in folder.iterdir() if p.name.endswith((".bin", ".bin.gz")))
    return {
        "train": [p for p in files if p.name.startswith("data_batch")],
        "test": [p for p in files if p.name.startswith("test_batch")],
    }


def read_cifar_folder(folder: Path, name: str, classes: tuple[int | str, ...]) -> RawArrays:
    """Read data_batch_*.bin (training) and test_batch*.bin (test); .gz or not; a subset will do."""
    files = batch_files(folder)
    if not files["train"]:
        raise DataError(
            "cifar",
            "the folder must hold data_batch_1.bin (.gz or not)",
            where=folder,
            hint="unpack the binary version of CIFAR-10 there",
        )
    parts = {part: [read_batch(path) for path in paths] for part, paths in files.items() if paths}
    whole = {
        part: tuple(np.concatenate(pair) for pair in zip(*found, strict=True))
        for part, found in parts.items()
    }
    test = (whole["test"][0], whole["test"][1]) if "test" in whole else None
    return RawArrays(name, *whole["train"], test=test, classes=classes, target="class", image=True)
