"""New raw data for a trained model: read as the training data were, with or without the target."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import PyTree

from thalweg.core.caller import option
from thalweg.core.errors import DataError
from thalweg.core.lazy import LazyModule
from thalweg.problem.data.files import RawArrays
from thalweg.problem.data.files.binary_images import batch_files, idx_files, read_batch, read_idx
from thalweg.problem.data.files.content import exceeds_memory, plain_suffix
from thalweg.problem.data.files.json_lines import SUFFIXES as JSON_LINES
from thalweg.problem.data.files.parts import parts_of
from thalweg.problem.data.files.pictures import places_in
from thalweg.problem.data.files.tables import TABLE_SUFFIXES
from thalweg.problem.data.files.tar_shards import Shards, shards_of
from thalweg.problem.data.foreign import plain
from thalweg.problem.data.inputs import Examples
from thalweg.problem.data.inputs.frames import is_frame, is_pair
from thalweg.problem.data.inputs.table import TableColumns
from thalweg.problem.data.preparation import Preparation

if TYPE_CHECKING:
    from thalweg.problem.data.chunked.chunks import ChunkedTable

# Where a table in a file is predicted, named sets and chunks are not needed: a quarter of what is imported.
named: Any = LazyModule("thalweg.problem.data.sets.named")
reading: Any = LazyModule("thalweg.problem.data.reading")
chunked: Any = LazyModule("thalweg.problem.data.chunked.table")


@dataclass(frozen=True)
class NewData:
    """New data as they were read.

    Args:
        raw: As the columns of the preparation take them.
        files: The file of each example, where every file is one; else None.
        labels: The targets that came beside the inputs, `example ...`; None if there are none. The target of
            a table is among the columns of `raw`.
    """

    raw: Any
    files: list[str] | None = None
    labels: Any = None


def inputs_for(source: Any, preparation: Preparation, folder: Path | str | None = None) -> PyTree:
    """Read new data as a model takes them, `example ...`; for text the tokens, `position`.

    The arguments and errors are those of `examples_for`.
    """
    return examples_for(source, preparation, folder).inputs


def examples_for(source: Any, preparation: Preparation, folder: Path | str | None = None) -> Examples:
    """Read new data as a model takes them, with what their predictions need besides.

    Args:
        source: What `load` takes, with or without targets: a named set (its own test split, if it has one,
            else all rows), a path, a frame, or an array of inputs.
        preparation: Of the trained run.
        folder: Folder with named sets.

    Raises:
        DataError: The data cannot be read, columns are missing, or examples have another shape.
    """
    return preparation.columns.examples(read_new(source, preparation, folder).raw)


def read_new(source: Any, preparation: Preparation, folder: Path | str | None = None) -> NewData:
    """Read new data without preparing them; the arguments and errors are those of `examples_for`."""
    columns = preparation.columns
    other = plain(source, preparation.target)
    source = source if other is None else other.source
    if _is_name(source):
        return _named(source, preparation, folder)
    shards = shards_of(source) if columns.is_image else None
    if shards is not None:
        files = columns.file_names(shards)
        raw = columns.read(shards, preparation.target)
        return NewData(raw, files, _labels_of(shards, preparation, files))
    parts = parts_of(source) if columns.takes_frames else None
    if parts is not None:
        return NewData(columns.read(parts, preparation.target))
    if isinstance(source, (str, Path)):
        path = _existing(Path(source))
        files = columns.file_names(path)
        return NewData(columns.read(path, preparation.target), files, _labels_of(path, preparation, files))
    if columns.writes_text:
        rule = "must be the path of a text, as in training"
        raise DataError("predict", rule, got=type(source).__name__, hint="save the text in a .txt file")
    pair = is_pair(source) and isinstance(source, tuple)
    if columns.takes_frames and pair and is_frame(source[0]):
        return NewData(columns.read(source[0], preparation.target), labels=source[1])
    raw = columns.read(source, preparation.target)
    return NewData(raw, labels=source[1] if pair and raw is source[0] else None)


def read_parts(source: Any, preparation: Preparation, stream: bool | None = None) -> ChunkedTable | None:
    """Open a table for a trained model that is read part by part; None where it is to be read at once.

    Args:
        source: A file, several, a folder of parts, or a pattern.
        preparation: Of the trained run.
        stream: Whether it is read by parts; None: if it does not fit in memory.

    Raises:
        DataError: It cannot be read by parts, though asked to; or a file is damaged.
    """
    columns, rule = preparation.columns, "tables in files, CSV or Parquet, are read by parts"
    hint = f"leave {option('stream', True)} out"
    known = _is_name(source)
    parts = parts_of(source) if isinstance(columns, TableColumns) and not known else None
    if parts is None and isinstance(source, (str, Path)) and not known:
        path = _existing(Path(source))
        if isinstance(columns, TableColumns) and not path.is_dir() and plain_suffix(path) in TABLE_SUFFIXES:
            parts = parts_of([path])
    suffix = "" if parts is None else plain_suffix(parts.paths[0])
    if parts is None or suffix in JSON_LINES:
        if stream:
            got = f"a model of {columns.kind}" if not isinstance(columns, TableColumns) else str(source)[:200]
            raise DataError("predict", rule, got=got, hint=hint)
        return None
    if stream or (stream is None and exceeds_memory(parts.paths, suffix)):
        assert isinstance(columns, TableColumns)
        return chunked.open_chunks(parts, suffix, columns.form)
    return None


def _is_name(source: Any) -> bool:
    """Return whether a source is the name of a set; none ends like the name of a table."""
    if not isinstance(source, str) or plain_suffix(Path(source)) in TABLE_SUFFIXES:
        return False
    return source in named.names()


def _existing(path: Path) -> Path:
    """Return a path that exists; errors are those of `reading.existing_path`."""
    return path if path.exists() else reading.existing_path(path)


def _named(name: str, preparation: Preparation, folder: Path | str | None) -> NewData:
    """Return the inputs of a named set in the form that the training data had."""
    columns = preparation.columns
    if columns.writes_text != named.is_text(name):
        rule = "the model takes " + ("text, not arrays" if columns.writes_text else "arrays, not text")
        raise DataError("predict", rule, got=name, hint="give another set")
    raw = named.read_named(name, folder)
    if isinstance(raw, str):
        return NewData(raw)
    if isinstance(raw, RawArrays):
        inputs, labels = (raw.inputs, raw.targets) if raw.test is None else raw.test
        return NewData(inputs, labels=labels)
    frame, target = raw
    if columns.takes_frames:
        return NewData(frame)
    return NewData(frame.drop(target).to_numpy(), labels=frame[target].to_numpy())


def _labels_of(path: Path | Shards, preparation: Preparation, files: list[str] | None) -> np.ndarray | None:
    """Return the classes of pictures: of those in class folders by name, and those of idx and CIFAR files."""
    columns, classes = preparation.columns, preparation.classes
    if not columns.is_image or classes is None:
        return None
    if files is not None:
        known = {str(label): i for i, label in enumerate(classes)}
        files = places_in(path) if isinstance(path, Shards) else files
        inside = [
            next((known[part] for part in Path(name).parts[:-1] if part in known), -1) for name in files
        ]
        return np.array(inside) if files and min(inside) >= 0 else None
    assert isinstance(path, Path)
    if path.is_dir() and (idx := idx_files(path)):
        labels = idx.get("test_labels" if "test_images" in idx else "train_labels")
        return None if labels is None else read_idx(labels)
    if path.is_dir() and (batches := batch_files(path))["train"]:
        return np.concatenate([read_batch(each)[1] for each in batches["test"] or batches["train"]])
    return None
