"""The host side of a preparation: for each kind of data, a class that turns raw data into input arrays.

A kind is a class in a module of this folder that derives from `Columns`; nothing else registers it.
"""

import abc
from collections.abc import Callable
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, ClassVar, Self

from jaxtyping import PyTree

from thalweg.core.errors import DataError, did_you_mean


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

    @abc.abstractmethod
    def read(self, source: Path | Any, target: str) -> Any:
        """Return new data for a trained model as `inputs` takes them.

        Args:
            source: An existing path, or data in memory; the target may be among the columns.
            target: Name of the target.

        Raises:
            DataError: A file cannot be read, or is of another kind than the training data.
        """

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {field.name: to_plain(getattr(self, field.name)) for field in fields(self)}  # type: ignore[arg-type]

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Self:
        """Build from plain values; the inverse of `to_dict`."""
        names = [field.name for field in fields(cls)]  # type: ignore[arg-type]
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
