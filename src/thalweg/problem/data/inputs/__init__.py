"""The host side of a preparation: for each kind of data, a class that turns raw data into input arrays.

A kind is a class in a module of this folder that derives from `Columns`; nothing else registers it.
"""

import abc
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, ClassVar, Self

import numpy as np
from jaxtyping import PyTree

from thalweg.core.errors import DataError, did_you_mean
from thalweg.problem.data.note import Note


@dataclass(frozen=True)
class Examples:
    """Inputs of new data, and what their predictions need besides.

    Args:
        inputs: The model's input arrays, `example ...`.
        offsets: What is added to the outputs of each example, `example`, in the unit of standardised targets;
            None for nothing.
        labels: What tells the examples apart, by name, each `example`: columns of the answers.
        notes: Notes on the data.
    """

    inputs: PyTree
    offsets: np.ndarray | None = None
    labels: dict[str, np.ndarray] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()


class Columns(abc.ABC):
    """What turns raw data into input arrays: `TableColumns`, `ImageInputs`, ... Each is a frozen dataclass.

    Class attributes:
        kind: Its name in run folders.
        is_image: Whether the inputs are images, which can be augmented.
        writes_text: Whether a model of these data predicts characters, so that text can be sampled from it.
        takes_frames: Whether raw data are frames rather than arrays or text.
        nested: Fields that are not plain values, each with the function that builds it from plain values.
    """

    kind: ClassVar[str]
    is_image: ClassVar[bool] = False
    writes_text: ClassVar[bool] = False
    takes_frames: ClassVar[bool] = False
    nested: ClassVar[dict[str, Callable[[Any], Any]]] = {}

    @abc.abstractmethod
    def inputs(self, raw: Any) -> PyTree:
        """Turn raw data (a frame, an array, images, text) into the model's input arrays."""

    def examples(self, raw: Any) -> Examples:
        """Turn raw data into inputs for prediction; where an answer needs more than inputs, with that."""
        return Examples(self.inputs(raw))

    @abc.abstractmethod
    def read(self, source: Path | Any, target: str) -> Any:
        """Return new data for a trained model as `inputs` takes them.

        Args:
            source: An existing path, or data in memory; the target may be among the columns.
            target: Name of the target.

        Raises:
            DataError: A file cannot be read, or is of another kind than the training data.
        """

    def file_names(self, source: Path | Any) -> list[str] | None:
        """Return the names of the files that `read` makes one example of each, in order; None if it does not.

        Args:
            source: An existing path.
        """
        return None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {field.name: to_plain(getattr(self, field.name)) for field in fields(self)}  # type: ignore[arg-type]

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Self:
        """Build from plain values; the inverse of `to_dict`."""
        # A field that an older version did not write has its default.
        names = [field.name for field in fields(cls) if field.name in plain]  # type: ignore[arg-type]
        return cls(**{name: cls.nested.get(name, from_plain)(plain[name]) for name in names})


def kinds() -> dict[str, type[Columns]]:
    """Return the kinds by name."""
    for module in iter_modules(__path__):
        import_module(f"{__name__}.{module.name}")
    return {columns.kind: columns for columns in Columns.__subclasses__()}


def columns_from(plain: dict[str, Any]) -> Columns:
    """Build the host side of a preparation from plain values with a `kind`.

    Raises:
        DataError: The kind is unknown, or values are missing.
    """
    known, kind = kinds(), plain.get("kind")
    if kind not in known:
        raise DataError(
            "preparation", "must be of a known kind", got=kind, hint=did_you_mean(str(kind), known)
        )
    try:
        return known[kind].from_dict(plain)
    except (KeyError, TypeError, ValueError) as error:
        rule = f"of kind {kind} must be complete"
        hint = "the run folder was edited, or was written by another version"
        raise DataError("preparation", rule, got=repr(error), hint=hint) from error


def to_plain(value: Any) -> Any:
    """Return a value in JSON types: tuples as lists, the components of a preparation as dictionaries."""
    if isinstance(value, tuple):
        return [to_plain(item) for item in value]
    return value.to_dict() if hasattr(value, "to_dict") else value


def from_plain(value: Any) -> Any:
    """Turn lists from JSON into tuples: a preparation is frozen and can be compared."""
    return tuple(map(from_plain, value)) if isinstance(value, list) else value
