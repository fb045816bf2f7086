"""A text of lines to `Data`: every line is an example of its own, with a beginning and an end.

Lines are drawn at random into the parts, like the rows of a table. Copies of a line are kept, for their
number says how frequent it is, and they never lie in two parts: a held-out line was not seen in training.
"""

from pathlib import Path

import numpy as np

from thalweg.core.errors import DataError
from thalweg.problem.data.data import LANGUAGE, Data
from thalweg.problem.data.duplicates import units_of
from thalweg.problem.data.inputs.lines import LineInputs, split_lines
from thalweg.problem.data.inputs.text import UNKNOWN
from thalweg.problem.data.note import Note
from thalweg.problem.data.options import RANDOM, LoadOptions
from thalweg.problem.data.preparation import Preparation
from thalweg.problem.data.split import Sequences
from thalweg.problem.data.splitting import split_rows
from thalweg.problem.data.text import read_text

# Below this share of filled positions most of the work goes into padding.
FILLED = 0.25


def from_lines(text: str, name: str, options: LoadOptions) -> Data:
    """Split a text's lines into parts.

    Args:
        text: The text; a line is an example, empty lines are none.
        name: Name of the set.
        options: Shares, split (random or time, which is the order of the lines), seed; `test` may be a file.

    Raises:
        DataError: There are too few lines for the parts, or no characters to learn.
    """
    lines = split_lines(text)
    _check(lines, name, options)
    own = _own_test(options)
    units, notes = _copies(lines, options)
    rows = split_rows(len(lines), options, units=units, test_share=0.0 if own is not None else None)
    places = {"train": rows.train, "validation": rows.validation, "test": rows.test}
    parts = {part: [lines[i] for i in at] for part, at in places.items() if at.size}
    if own is not None:
        parts["test"] = own
    others = [line for part, found in parts.items() if part != "train" for line in found]
    columns = LineInputs.fit(parts["train"], others)
    sequences = {part: _sequences(columns, found) for part, found in parts.items()}
    return Data(
        name=name,
        task=LANGUAGE,
        train=sequences["train"],
        validation=sequences.get("validation"),
        test=sequences.get("test"),
        preparation=Preparation(columns, classes=tuple(columns.characters), target="next character"),
        notes=notes + _notes(columns, parts),
    )


def _check(lines: list[str], name: str, options: LoadOptions) -> None:
    if options.group is not None:
        raise DataError(
            "split", "lines have no columns to group by", got=options.split, hint="use split=random"
        )
    if len(lines) < 2 or not any(len(line) > 1 for line in lines):
        raise DataError(
            "lines",
            "must be at least two lines, one of them with two characters",
            got=f"{len(lines)} lines",
            where=name,
            hint="give a text with one example a line, or leave out lines (--lines)",
        )


def _own_test(options: LoadOptions) -> list[str] | None:
    if options.test is None or isinstance(options.test, float):
        return None
    found = split_lines(read_text(Path(options.test)))
    if not found:
        raise DataError("lines", "the test file must hold lines", got=str(options.test), hint="give another")
    return found


def _copies(lines: list[str], options: LoadOptions) -> tuple[np.ndarray | None, tuple[Note, ...]]:
    seen: dict[str, int] = {}
    first = np.array([seen.setdefault(line, i) for i, line in enumerate(lines)], np.int64)
    return units_of(first, drawn=options.split == RANDOM)


def _sequences(columns: LineInputs, lines: list[str]) -> Sequences:
    tokens, lengths = columns.sequences(lines)
    return Sequences(tokens, lengths, np.asarray(lengths.mean(), np.float32))


def _notes(columns: LineInputs, parts: dict[str, list[str]]) -> tuple[Note, ...]:
    notes = []
    known = set("".join(parts["train"]))
    strange = sorted(set("".join(line for found in parts.values() for line in found)) - known)
    if strange and UNKNOWN in columns.characters:
        text = (
            f"{len(strange)} characters outside the training lines became the unknown mark: {strange[:10]}."
        )
        notes.append(Note("unknown", text))
    filled = float(np.mean([len(line) + 1 for line in parts["train"]])) / columns.length
    if filled < FILLED:
        text = (
            f"The longest line has {columns.length - 1} characters, and lines are padded to it: only "
            f"{filled:.0%} of the work is on characters. Leave out very long lines to train faster."
        )
        notes.append(Note("padding", text))
    return tuple(notes)
