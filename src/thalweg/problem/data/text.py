"""Character text to `Data`: windows of one long text, or lines, each of which is an example.

The splits of a long text follow one another: training, validation, test. There is no test split unless one is
requested: 90/10 for training and validation is customary for character models.

Lines are drawn at random into the splits, like the rows of a table. Copies of a line are kept, because
their number is the frequency of the line, and are never in two splits: a held-out line was not seen in
training.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from thalweg.core.caller import argument, option
from thalweg.core.errors import DataError
from thalweg.problem.data.data import LANGUAGE, Data
from thalweg.problem.data.files.content import read_text
from thalweg.problem.data.files.tables import looks_like_table
from thalweg.problem.data.inputs.text import UNKNOWN, LineInputs, TextInputs, split_lines
from thalweg.problem.data.note import Note
from thalweg.problem.data.options import CONTEXT, LINES, RANDOM, TEXTS, LoadOptions, Reader, Source
from thalweg.problem.data.preparation import Preparation
from thalweg.problem.data.split import Sequences, Windows
from thalweg.problem.data.splitting import split_rows, units_of

# If a smaller share of positions holds characters, most of the work is on padding.
FILLED = 0.25


def _accepts(source: Source, options: LoadOptions) -> bool:
    return source.suffix == ".txt"


def _read(source: Source, options: LoadOptions) -> Data:
    """Read text, unless it is a table and nobody has asked for text.

    Raises:
        DataError: The file cannot be read, or looks like a table.
    """
    if options.context is None and not options.lines and looks_like_table(source.data):
        rule = "the file looks like a table, and a table needs a target, the column to predict"
        hint = (
            f"{option('target', -1)} for its last column; {option('context', CONTEXT)} to train on it as text"
        )
        raise DataError("text", rule, where=source.data, hint=hint)
    text = read_text(source.data, options.encoding)
    return (from_lines if options.lines else from_text)(text, source.name, options)


def kinds(options: LoadOptions) -> tuple[str, ...]:
    """Return the kind of a text under these options: one stream, or lines."""
    return (LINES,) if options.lines else (TEXTS,)


READER = Reader(_accepts, _read, lambda source, options: kinds(options))


def from_text(text: str, name: str, options: LoadOptions) -> Data:
    """Cut a text into splits and windows.

    Raises:
        DataError: A split is shorter than one window, or the text has only one character.
    """
    texts = _cut(text, options)
    for split, piece in texts.items():
        _check_length(split, piece, options.tokens, name)
    held_out = [piece for split, piece in texts.items() if split != "train"]
    columns = TextInputs.fit(texts["train"], options.tokens, held_out)
    if len(columns.characters) < 2:
        rule = "must have at least two different characters"
        raise DataError("text", rule, got=columns.characters, where=name, hint="give real text")
    splits = {
        split: Windows(columns.inputs(piece), options.tokens, 1 if split == "train" else options.tokens)
        for split, piece in texts.items()
    }
    return Data.of_splits(name, LANGUAGE, splits, _preparation(columns), _unknown(columns, texts))


def from_lines(text: str, name: str, options: LoadOptions) -> Data:
    """Divide the lines of a text between splits.

    Args:
        text: The text; a line is an example, empty lines are left out.
        name: Name of the set.
        options: Shares, split (random, or time: the order of the lines), seed; `test` may be a file.

    Raises:
        DataError: There are too few lines for the splits, or no characters to learn.
    """
    lines = split_lines(text)
    _check_lines(lines, name, options)
    test = None if options.separate_test is None else _test_lines(options.separate_test)
    first: dict[str, int] = {}
    copies = np.array([first.setdefault(line, i) for i, line in enumerate(lines)], np.int64)
    units, notes = units_of(copies, options.split == RANDOM)
    rows = split_rows(len(lines), options, units=units, separate_test=test is not None).by_name()
    by_split = {split: [lines[i] for i in taken] for split, taken in rows.items()}
    if test is not None:
        by_split["test"] = test
    held_out = [line for split, taken in by_split.items() if split != "train" for line in taken]
    columns = LineInputs.fit(by_split["train"], held_out)
    splits = {split: _sequences(columns, taken) for split, taken in by_split.items()}
    notes += _unknown(columns, {split: "".join(taken) for split, taken in by_split.items()})
    notes += _padding(columns, by_split["train"])
    return Data.of_splits(name, LANGUAGE, splits, _preparation(columns), notes)


def _preparation(columns: TextInputs | LineInputs) -> Preparation:
    return Preparation(columns, classes=tuple(columns.characters), target="next character")


def _cut(text: str, options: LoadOptions) -> dict[str, str]:
    test = options.separate_test
    share = options.test if isinstance(options.test, float) else 0.0
    test_start = round(len(text) * (1 - share))
    validation_start = round(test_start * (1 - options.validation))
    texts = {"train": text[:validation_start]}
    if options.validation:
        texts["validation"] = text[validation_start:test_start]
    if test is not None:
        texts["test"] = test if isinstance(test, str) and "\n" in test else read_text(Path(test))
    elif share:
        texts["test"] = text[test_start:]
    return texts


def _check_length(split: str, text: str, context: int, name: str) -> None:
    if len(text) <= context:
        rule = f"the {split} split must be longer than one window of {context} tokens"
        hint = "give more text, or a smaller context"
        raise DataError("text", rule, got=f"{len(text)} characters", where=name, hint=hint)


def _check_lines(lines: list[str], name: str, options: LoadOptions) -> None:
    if options.group is not None:
        raise DataError(
            "split",
            "lines have no columns to group by",
            got=options.split,
            hint=f"use {option('split', RANDOM)}",
        )
    if len(lines) < 2 or not any(len(line) > 1 for line in lines):
        rule = "must be at least two lines, one of them with two characters"
        hint = f"give a text with one example per line, or leave out {argument('lines')}"
        raise DataError("lines", rule, got=f"{len(lines)} lines", where=name, hint=hint)


def _test_lines(path: Path | str) -> list[str]:
    lines = split_lines(read_text(Path(path)))
    if not lines:
        raise DataError("lines", "the test file must hold lines", got=str(path), hint="give another file")
    return lines


def _sequences(columns: LineInputs, lines: list[str]) -> Sequences:
    tokens, lengths = columns.sequences(lines)
    return Sequences(tokens, lengths, np.asarray(lengths.mean(), np.float32))


def _unknown(columns: TextInputs | LineInputs, texts: dict[str, str]) -> tuple[Note, ...]:
    """Note the characters of held-out text that do not occur in training."""
    if UNKNOWN not in columns.characters or UNKNOWN in texts["train"]:
        return ()
    unknown = sorted(set("".join(texts.values())) - set(texts["train"]))
    text = f"{len(unknown)} characters do not occur in training and are read as unknown: {unknown[:10]}."
    return (Note("unknown", text),)


def _padding(columns: LineInputs, train: Iterable[str]) -> tuple[Note, ...]:
    filled = float(np.mean([len(line) + 1 for line in train])) / columns.length
    if filled >= FILLED:
        return ()
    text = (
        f"The longest line has {columns.length - 1} characters, and all lines are padded to it: only "
        f"{filled:.0%} of the work is on characters. Leave out very long lines to train faster."
    )
    return (Note("padding", text),)
