"""`Note`: one observation about the data, made while reading them."""

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from thalweg.core.caller import option
from thalweg.core.errors import DataWarning

Value = TypeVar("Value")


@dataclass(frozen=True)
class Note:
    """Something about the data that the user should know, with the figures behind it.

    Args:
        kind: Short name: `id`, `constant`, `imbalance`, `duplicates`, `leak`, `missing`, `rare`, ...
        text: One sentence with the figures; for a guess, a second one with the option that changes it.
        columns: The columns concerned; empty when the note is about the whole set.
        change: For a guess: the option that changes it, as the caller writes it. Empty otherwise.
    """

    kind: str
    text: str
    columns: tuple[str, ...] = ()
    change: str = ""


def guess(kind: str, text: str, columns: tuple[str, ...] = (), **change: Any) -> Note:
    """Return a note on something that was guessed, with the option that changes it.

    Args:
        kind, text, columns: As for `Note`; the text does not mention the option.
        **change: The option of `load` and the value that would decide otherwise, such as `header=False`.
    """
    written = " ".join(option(name, value) for name, value in change.items())
    return Note(kind, f"{text} {written} would change that.", columns, written)


def warn_of_lines(notes: Iterable[Note]) -> None:
    """Warn of lines of a new file that were left out, among the notes of its reader."""
    for note in notes:
        if note.kind == "lines" and "left out" in note.text:
            warnings.warn(note.text.rstrip("."), DataWarning, stacklevel=3)


def noted(read: Callable[[], Value]) -> tuple[Value, tuple[Note, ...]]:
    """Return what a function returns that reads a separate test split, and its `DataWarning`s as notes."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DataWarning)
        value = read()
    said = [str(warning.message) for warning in caught if issubclass(warning.category, DataWarning)]
    return value, tuple(Note("test cells", f"In the test split, {text}.") for text in said)
