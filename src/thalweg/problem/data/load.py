"""`load`: names, files, folders, frames and arrays in, `Data` out.

This module is light. The rest of the room (and with it JAX) is imported by the first call, while threads
unpack the files that the call is about.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thalweg.core.lazy import import_large
from thalweg.problem.data.files.cifar import batch_files
from thalweg.problem.data.files.compressed import forget_ahead, unpack_ahead
from thalweg.problem.data.files.idx import idx_files
from thalweg.problem.data.sets.locate import locate
from thalweg.problem.data.sets.published import SETS

if TYPE_CHECKING:
    from thalweg.problem.data.data import Data
    from thalweg.problem.data.options import LoadOptions

_REST = "thalweg.problem.data.reading"


def load(source: Any, options: LoadOptions | None = None, **settings: Any) -> Data:
    """Read a data set.

    Args:
        source: A named set (`digits`, `mnist`, ...); the path of a CSV, TSV, Parquet, npy, npz or txt file
            (.gz or not); a folder with idx files, CIFAR batches, or pictures by class; a polars or pandas
            frame; or a pair (inputs, targets) of arrays, or of a frame and its targets. With `window` a time
            series: a table's file, an npy file, a frame, an array `time` or `time feature`, or a pair.
        options: How to read it; see `LoadOptions`.
        **settings: Single options by name, over `options`.

    Returns:
        Data in parts, ready for training, with notes on what its owner should know.

    Raises:
        DataError: It cannot be read or used; says what must hold, what came, where, and what helps.

    Example:
        >>> load("iris", validation=0.0).outputs
        3
    """
    begin(source, settings.get("folder", getattr(options, "folder", None)))
    try:
        return import_large(_REST).read(source, options, **settings)
    finally:
        forget_ahead()


def begin(source: Any, folder: Any = None) -> None:
    """Begin to unpack what `load` will be asked for, unless all that it needs is imported already.

    Args:
        source: As for `load`; nothing happens for what is no packed file, folder of such, or published set.
        folder: As in `LoadOptions`.
    """
    if _REST in sys.modules or not isinstance(source, (str, Path)):
        return
    with contextlib.suppress(OSError, TypeError, ValueError):  # left to the reader, which says what is wrong
        unpack_ahead(_files(source, folder))


def _files(source: str | Path, folder: Any) -> list[Path]:
    at = locate(SETS[str(source)], folder) if source in SETS else Path(source)
    if at is None or not at.is_dir():
        return [] if at is None else [at]
    return [*idx_files(at).values(), *(path for part in batch_files(at).values() for path in part)]
