"""`RawArrays`: what the readers of array files hand over. Without JAX, as they are."""

from dataclasses import dataclass
from typing import Any

from thalweg.problem.data.note import Note


@dataclass(frozen=True)
class RawArrays:
    """A data set as arrays, before any decision.

    Args:
        name: Name of the set.
        inputs: `example ...`.
        targets: Labels or values, `example` or `example target`.
        test: The set's own test part (inputs, targets), if it has one.
        classes: Labels by class number, where `targets` holds numbers whose names are known.
        target: Name of what is predicted.
        image: Whether inputs are pictures; None: by their shape and range.
        notes: What the reader pointed out.
    """

    name: str
    inputs: Any
    targets: Any
    test: tuple[Any, Any] | None = None
    classes: tuple[Any, ...] | None = None
    target: str = "target"
    image: bool | None = None
    notes: tuple[Note, ...] = ()
