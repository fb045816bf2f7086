"""Files of arrays, pictures, tables or text: one reader per format. `RawArrays` is what array files give."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from thalweg.problem.data.note import Note

IMAGE = "image"


@dataclass(frozen=True)
class RawArrays:
    """A data set as arrays, before it is checked, split or scaled.

    Args:
        name: Name of the set.
        inputs: `example ...`.
        targets: Labels or values, `example` or `example target`.
        test: The set's own test split (inputs, targets), if it has one.
        validation: The set's own validation split, likewise.
        classes: Labels by class number, where `targets` holds numbers whose names are known.
        target: Name of what is predicted.
        kind: Kind of the class that prepares the inputs, as in `arrays.FITTED`; None: images or plain
            numbers, decided by their shape and range.
        prepared: Fields of the class that prepares the inputs which the reader knows and the arrays do not
            show, such as the range of the brightness values in the files.
        decided: Options of `load` that the reader decided by the state of the machine: recorded, so that
            the same data are read from the same files elsewhere.
        notes: Notes of the reader.
    """

    name: str
    inputs: Any
    targets: Any
    test: tuple[Any, Any] | None = None
    validation: tuple[Any, Any] | None = None
    classes: tuple[Any, ...] | None = None
    target: str = "target"
    kind: str | None = None
    prepared: Mapping[str, Any] = field(default_factory=dict)
    decided: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()
