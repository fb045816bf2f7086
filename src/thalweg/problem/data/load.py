"""`load`: names, files, folders, frames and arrays in, `Data` out.

This module imports little. The rest of the package (and with it JAX) is imported by the first call, while
threads decompress the files that it asks for.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thalweg.core.lazy import import_large
from thalweg.problem.data.files.binary_images import batch_files, idx_files
from thalweg.problem.data.files.content import decompress_ahead, discard_ahead
from thalweg.problem.data.sets.published import SETS, locate

if TYPE_CHECKING:
    from thalweg.problem.data.data import Data
    from thalweg.problem.data.options import LoadOptions

_READING = "thalweg.problem.data.reading"


def load(source: Any, options: LoadOptions | None = None, **settings: Any) -> Data:
    """Read a data set.

    Args:
        source: A named set (`digits`, `mnist`, ...); the path of a CSV, TSV, JSON Lines, Parquet, npy, npz or
            txt file (.gz or not); several tables of equal columns, as a list of paths, a glob (`part-*.csv`)
            or a folder of parts; a folder with idx files, CIFAR-10 batches, or pictures by class
            (`files.class_folders` lists the layouts); `-` for standard input, or an open file, with a table;
            a Polars or pandas frame, an Arrow table, a Hugging Face data set (or one for each split); a pair
            (inputs, targets) of arrays, or of a frame and its targets; or a PyTorch data set or loader, a
            `tf.data.Dataset`, or any iterable of batches or examples (inputs, targets), which is read once.
            With `window`, a time series: a table's file, an npy file, a frame, an array `time` or
            `time feature`, or a pair.
        options: How to read it; see `LoadOptions`.
        **settings: Single options by name, which override `options`.

    Returns:
        Data in splits, ready for training, with notes on what the user should know.

    Raises:
        DataError: The data cannot be read or used.

    Example:
        >>> load("iris", validation=0.0).outputs
        3
    """
    prefetch(source, settings.get("folder", getattr(options, "folder", None)))
    try:
        return import_large(_READING).read(source, options, **settings)
    finally:
        discard_ahead()


def prefetch(source: Any, folder: Any = None) -> None:
    """Start to decompress what `load` will read, unless the imports to hide it behind are already done.

    Args:
        source: As for `load`; only compressed files, folders of them and published sets are decompressed.
        folder: As in `LoadOptions`.
    """
    if _READING in sys.modules or not isinstance(source, (str, Path)):
        return
    with contextlib.suppress(OSError, TypeError, ValueError):  # the reader will report it
        decompress_ahead(_files(source, folder))


def _files(source: str | Path, folder: Any) -> list[Path]:
    path = locate(SETS[str(source)], folder) if source in SETS else Path(source)
    if path is None or not path.is_dir():
        return [] if path is None else [path]
    return [*idx_files(path).values(), *(batch for split in batch_files(path).values() for batch in split)]
