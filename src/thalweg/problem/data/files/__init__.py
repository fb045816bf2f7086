"""Files of arrays, pictures, tables or text: one reader per format. `RawArrays` is what array files give."""

from dataclasses import dataclass
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
        classes: Labels by class number, where `targets` holds numbers whose names are known.
        target: Name of what is predicted.
        kind: Kind of the class that prepares the inputs, as in `arrays.FITTED`; None: images or plain
            numbers, decided by their shape and range.
        notes: Notes of the reader.
    """

    name: str
    inputs: Any
    targets: Any
    test: tuple[Any, Any] | None = None
    classes: tuple[Any, ...] | None = None
    target: str = "target"
    kind: str | None = None
    notes: tuple[Note, ...] = ()
