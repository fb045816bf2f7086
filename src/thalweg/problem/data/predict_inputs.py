"""New raw data for a trained model: read as the training data were, with or without the target."""

from pathlib import Path
from typing import Any

from jaxtyping import PyTree

from thalweg.core.errors import DataError
from thalweg.problem.data.files import RawArrays
from thalweg.problem.data.preparation import Preparation
from thalweg.problem.data.reading import existing_path
from thalweg.problem.data.sets.named import is_text, names, read_named


def inputs_for(source: Any, preparation: Preparation, folder: Path | str | None = None) -> PyTree:
    """Read new data as a model takes them, `example ...`; for text the tokens, `position`.

    Args:
        source: What `load` takes, with or without targets: a named set (its own test split, if it has one,
            else all rows), a path, a frame, or an array of inputs.
        preparation: Of the trained run.
        folder: Folder with named sets.

    Raises:
        DataError: The data cannot be read, columns are missing, or examples have another shape.
    """
    columns, raw = preparation.columns, source
    if isinstance(source, str) and source in names():
        raw = _named(source, preparation, folder)
    elif isinstance(source, (str, Path)):
        raw = columns.read(existing_path(Path(source)), preparation.target)
    elif columns.writes_text:
        rule = "must be the path of a text, as in training"
        raise DataError("predict", rule, got=type(source).__name__, hint="save the text in a .txt file")
    else:
        raw = columns.read(source, preparation.target)
    return columns.inputs(raw)


def _named(name: str, preparation: Preparation, folder: Path | str | None) -> Any:
    """Return the inputs of a named set in the form that the training data had."""
    columns = preparation.columns
    if columns.writes_text != is_text(name):
        rule = "the model takes " + ("text, not arrays" if columns.writes_text else "arrays, not text")
        raise DataError("predict", rule, got=name, hint="give another set")
    raw = read_named(name, folder)
    if isinstance(raw, str):
        return raw
    if isinstance(raw, RawArrays):
        return raw.inputs if raw.test is None else raw.test[0]
    frame, target = raw
    return frame if columns.takes_frames else frame.drop(target).to_numpy()
