"""New raw data for a trained model: read like the training data, target present or not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import PyTree

from thalweg.core.errors import DataError
from thalweg.core.lazy import pl
from thalweg.problem.data.files.cifar import batch_files, read_batch
from thalweg.problem.data.files.compressed import plain_suffix
from thalweg.problem.data.files.idx import idx_files, read_idx
from thalweg.problem.data.files.numpy_files import read_array, read_npz_inputs
from thalweg.problem.data.files.pictures import ENDINGS, read_pictures
from thalweg.problem.data.inputs.frames import as_frame, is_frame
from thalweg.problem.data.inputs.image import ImageInputs
from thalweg.problem.data.inputs.lines import LineInputs
from thalweg.problem.data.inputs.series import SeriesColumns
from thalweg.problem.data.inputs.series_frames import series_frame
from thalweg.problem.data.inputs.table import TableColumns
from thalweg.problem.data.inputs.text import TextInputs
from thalweg.problem.data.preparation import Preparation
from thalweg.problem.data.reading import missing_path
from thalweg.problem.data.sets import bundled, synthetic
from thalweg.problem.data.sets.named import names, read_published
from thalweg.problem.data.tables.read import SUFFIXES as TABLE_SUFFIXES
from thalweg.problem.data.tables.read import read_table
from thalweg.problem.data.text import read_text


@dataclass(frozen=True)
class NewInputs:
    """Inputs for prediction.

    Args:
        inputs: As the model takes them, `example ...`; for text the tokens, `position`.
        frame: The rows as they came (tables), or the file names (pictures); None for arrays and text.
    """

    inputs: PyTree
    frame: pl.DataFrame | None = None


def inputs_for(source: Any, preparation: Preparation, folder: Path | str | None = None) -> NewInputs:
    """Read new data the way the training data were read.

    Args:
        source: What `load` takes, with or without targets: a named set (its own test part, where it has one,
            else all rows), a path, a frame, or an array of inputs.
        preparation: Of the trained run.
        folder: Where named sets are looked for.

    Raises:
        DataError: It cannot be read, columns are missing, or the examples have another shape.
    """
    columns = preparation.columns
    if isinstance(columns, TableColumns):
        frame = _frame(source, columns)
        return NewInputs(columns.inputs(frame), frame)
    if isinstance(columns, SeriesColumns):
        frame = _series(source, columns)
        return NewInputs(columns.inputs(frame), frame[columns.window - 1 :])
    if isinstance(columns, (TextInputs, LineInputs)):
        return NewInputs(columns.inputs(_text(source, folder)))
    raw, labels = _array(source, preparation, folder)
    return NewInputs(columns.inputs(raw), None if labels is None else pl.DataFrame({"file": labels}))


def _frame(source: Any, columns: TableColumns) -> pl.DataFrame:
    if is_frame(source):
        return as_frame(source)
    if isinstance(source, str) and source in bundled.TABLES:
        return bundled.table(source)[0]
    path = _path(source)
    if path.is_dir() or plain_suffix(path) not in TABLE_SUFFIXES:
        raise DataError(
            "predict",
            "the model was trained on a table and takes one",
            got=str(path),
            hint="give a CSV or Parquet file",
        )
    frame = read_table(path, columns.header)
    return frame if columns.header else _aligned(frame, columns)


def _series(source: Any, columns: SeriesColumns) -> pl.DataFrame:
    """Return the rows of a series; an answer belongs to the last row of its window."""
    if isinstance(source, (str, Path)):
        path = _path(source)
        if path.is_file() and plain_suffix(path) == ".npy":
            return series_frame(read_array(path))[0]
        return _frame(source, columns.table)
    return series_frame(source)[0]


def _aligned(frame: pl.DataFrame, columns: TableColumns) -> pl.DataFrame:
    """A file without names that lacks just the target: give the others the names they had in training."""
    if frame.width != len(columns.names) - 1:
        return frame
    used = [name for name in columns.names if name != columns.target]
    return frame.rename(dict(zip(frame.columns, used, strict=True)))


def _text(source: Any, folder: Path | str | None) -> str:
    if isinstance(source, str) and source in names():
        found = read_published(source, folder) if source == "tinyshakespeare" else None
        if isinstance(found, str):
            return found
    path = _path(source)
    if plain_suffix(path) != ".txt":
        raise DataError(
            "predict", "the model was trained on text and takes a .txt file", got=str(path), hint="convert it"
        )
    return read_text(path)


def _array(source: Any, preparation: Preparation, folder: Path | str | None) -> tuple[Any, list[str] | None]:
    if isinstance(source, str) and source in names():
        return _named_inputs(source, folder), None
    if not isinstance(source, (str, Path)):
        return source[0] if isinstance(source, tuple) else source, None
    path = _path(source)
    columns = preparation.columns
    if isinstance(columns, ImageInputs) and (path.suffix.lower() in ENDINGS or path.is_dir()):
        return _pictures(path, columns)
    if path.name.removesuffix(".gz").endswith("-ubyte"):
        return read_idx(path), None
    suffix = plain_suffix(path)
    if suffix == ".npz":
        return read_npz_inputs(path), None
    if suffix == ".npy":
        array = read_array(path)
        return _without_target(array, preparation), None
    raise DataError(
        "predict",
        f"the model takes arrays of shape {getattr(columns, 'shape', '')}: npy, npz, idx or pictures",
        got=path.name,
        hint="save the inputs with np.save",
    )


def _pictures(path: Path, columns: ImageInputs) -> tuple[Any, list[str] | None]:
    if path.is_dir() and (idx := idx_files(path)):
        return read_idx(idx.get("test_images") or idx["train_images"]), None
    if path.is_dir() and (batches := batch_files(path))["train"]:
        return np.concatenate([read_batch(p)[0] for p in batches["test"] or batches["train"]]), None
    files, images = read_pictures(path, columns.shape)
    return images, files


def _without_target(array: np.ndarray, preparation: Preparation) -> np.ndarray:
    """An npy table may hold the target column still, as the training file did."""
    name = preparation.target
    shape: tuple[int, ...] = getattr(preparation.columns, "shape", ())
    if name.startswith("column_") and array.ndim == 2 and array.shape[1:] == (sum(shape) + 1,):
        return np.delete(array, int(name.removeprefix("column_")), axis=1)
    return array


def _named_inputs(name: str, folder: Path | str | None) -> Any:
    if name == "digits":
        return bundled.digits().inputs
    if name in synthetic.SETS:
        return synthetic.make(name).inputs
    if name in bundled.TABLES:
        frame, target = bundled.table(name)
        return frame.drop(target).to_numpy()
    found = read_published(name, folder)
    if isinstance(found, str):
        raise DataError("predict", "the model takes arrays, not text", got=name, hint="give another set")
    return found.inputs if found.test is None else found.test[0]


def _path(source: Any) -> Path:
    if not isinstance(source, (str, Path)):
        kind = type(source).__name__
        raise DataError(
            "predict", "must be a path, or data in the form of training", got=kind, hint="give a path"
        )
    path = Path(source)
    if not path.exists():
        raise missing_path(path)
    return path
