"""One scan of a table in chunks: its columns understood from a sample, their statistics from all rows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from thalweg.core.caller import option
from thalweg.core.errors import DataError
from thalweg.core.lazy import pl
from thalweg.problem.data.chunked.chunks import ChunkedTable, sample
from thalweg.problem.data.chunked.label_reading import ChunkedTarget, check_task
from thalweg.problem.data.chunked.parted import TEST, TRAIN, VALIDATION, Parting
from thalweg.problem.data.chunked.statistics import MOST_DISTINCT, ColumnStatistics
from thalweg.problem.data.files.file_trees import counted
from thalweg.problem.data.files.tables import ReadTable, find_columns
from thalweg.problem.data.inputs.column_types import Typed
from thalweg.problem.data.inputs.numbers import PLAIN
from thalweg.problem.data.inputs.rules import CategoryRule, NumberRule, WordRule
from thalweg.problem.data.inputs.table import TableColumns
from thalweg.problem.data.note import Note
from thalweg.problem.data.options import LoadOptions
from thalweg.problem.data.tables.codes import codes_as_categories
from thalweg.problem.data.tables.columns import fit_columns, type_notes, useful_columns
from thalweg.problem.data.tables.leaks import leaks
from thalweg.problem.data.tables.table import table_types
from thalweg.problem.data.tables.target import read_target

# Rows from which types, formats and categories are found, and the chunks that they come from at most.
SAMPLE_ROWS, SAMPLE_CHUNKS = 100_000, 32
# Held-out rows of each part that are kept for evaluation, and the bytes of their inputs: an accuracy on so
# many has a standard error of 0.1 %.
MOST_HELD_OUT, HELD_OUT_BYTES = 200_000, 1 << 28


@dataclass(frozen=True)
class Scanned:
    """What a scan found.

    Args:
        columns: How rows become inputs.
        target: How cells become targets.
        parting: Which rows are held out.
        trained: Training rows with a target of each chunk, `chunk`.
        without: By chunk, its rows without a target; only chunks that have some.
        held_out: By part (`VALIDATION`, `TEST`), rows with a target, and their numbers.
        facts: Counts and statistics, by which the table is told from another, as float64.
        notes: What was guessed, and what is not known exactly.
    """

    columns: TableColumns
    target: ChunkedTarget
    parting: Parting
    trained: np.ndarray
    without: dict[int, np.ndarray]
    held_out: dict[int, tuple[pl.DataFrame, np.ndarray]]
    facts: np.ndarray
    notes: tuple[Note, ...]


def scan(table: ChunkedTable, options: LoadOptions) -> Scanned:
    """Scan a table.

    Raises:
        DataError: It cannot be read or used.
    """
    columns, target, two_levels, notes = _understood(table, options)
    width = 4 * max(1, len(columns.features))
    most = min(MOST_HELD_OUT, max(1, HELD_OUT_BYTES // width))
    shares = options.test_share, (1 - options.test_share) * options.validation
    parting = Parting(*shares, options.split_seed, most, table.count)
    statistics = [ColumnStatistics(rule, options.missing) for rule in columns.rules]
    trained, without = np.zeros(len(table.chunks), np.int64), {}
    held_out: dict[int, list[tuple[pl.DataFrame, np.ndarray]]] = {VALIDATION: [], TEST: []}
    for number in range(len(table.chunks)):
        frame, start = table.rows(number), int(table.starts[number])
        parts = parting.of(start, frame.height)
        missing = target.add(frame[target.found.name], parts == TRAIN)
        if missing.any():
            without[number] = np.flatnonzero(missing)
        rows = (parts == TRAIN) & ~missing
        trained[number] = rows.sum()
        used = frame.filter(pl.Series(rows))
        for each in statistics:
            each.add(used[each.rule.column])
        for part, kept in held_out.items():
            mine = (parts == part) & ~missing
            if mine.any():
                kept.append((frame.filter(pl.Series(mine)), start + np.flatnonzero(mine)))
    if not trained.sum():
        raise DataError("table", "must have training rows with a target", got="none", hint="give more rows")
    exact = [each.exact(two) for each, two in zip(statistics, two_levels, strict=True)]
    columns = replace(columns, rules=tuple(exact))
    joined = {
        part: (pl.concat([frame for frame, _ in kept]), np.concatenate([rows for _, rows in kept]))
        for part, kept in held_out.items()
        if kept
    }
    _check_target(target)
    notes += (*_counted_notes(table, target, parting, trained), *_inexact_notes(statistics))
    facts = _facts(table, statistics, target, trained)
    return Scanned(columns, target, parting, trained, without, joined, facts, notes)


def _understood(
    table: ChunkedTable, options: LoadOptions
) -> tuple[TableColumns, ChunkedTarget, list[bool], tuple[Note, ...]]:
    """Return the columns and the target as a sample tells, which numbers have two values in it, and notes."""
    rows = sample(table, SAMPLE_ROWS, SAMPLE_CHUNKS)
    read = ReadTable(rows, table.notes, table.header, table.text)
    name, *more = find_columns(rows.columns, options.target)
    if more:
        hint = f"read the table as a whole: {option('stream', False)}"
        raise DataError(
            "target", "must be one column where a table is streamed", got=options.target, hint=hint
        )
    typed = table_types(read, options, name)
    of_target = typed.pop(name, None)
    used, target, target_notes = read_target(rows[name], of_target, options)
    check_task(target)
    typed = {column: values.where(used) for column, values in typed.items()}
    typed, code_notes = codes_as_categories(typed, target)
    useful, useful_notes = useful_columns(typed, options.keep)
    how = replace(options, header=table.header)
    columns, fit_notes = fit_columns(useful, np.arange(int(used.sum())), rows.columns, name, how)
    shown = _types_of(of_target, name) | useful
    notes = (*read.notes, *target_notes, *type_notes(shown), *code_notes, *useful_notes, *fit_notes)
    notes = tuple(note for note in notes if note.kind not in ("missing", "skewed") or note.change)
    two = [isinstance(rule, NumberRule) and _two(useful[rule.column]) for rule in columns.rules]
    written = PLAIN if of_target is None else of_target.written
    notes += leaks(useful, target)
    return columns, ChunkedTarget(replace(target, name=name), options.missing, written), two, notes


def _types_of(typed: Typed | None, name: str) -> dict[str, Typed]:
    return {} if typed is None else {name: typed}


def _two(typed: Typed) -> bool:
    return typed.values.drop_nulls().n_unique() == 2


def _check_target(target: ChunkedTarget) -> None:
    classes = target.classes
    if classes is not None and len(classes) < 2:
        rule, hint = "must have at least two classes", "choose another target column"
        got = f"{', '.join(map(repr, classes)) or 'none'} in every row"
        raise DataError("target", rule, got=got, where=target.found.name, hint=hint)
    if classes is None and target.moments.squares == 0:
        rule, hint = "must not be constant", "choose another target column"
        raise DataError("target", rule, got=target.moments.mean, where=target.found.name, hint=hint)


def _counted_notes(
    table: ChunkedTable, target: ChunkedTarget, parting: Parting, trained: np.ndarray
) -> tuple[Note, ...]:
    rows, chunks = min(SAMPLE_ROWS, table.count), counted(len(table.chunks), "chunks")
    about = (
        f"the table is streamed: {table.count:,} rows in {chunks}, {trained.sum():,} of them for training. "
        f"Types, formats and the use of columns were found from {rows:,} rows spread over it; means, "
        "standard deviations, categories and classes are those of all training rows."
    )
    dealt = (
        "a hash of its number puts a row into training, validation or test: classes are not stratified, and "
        "copies of a row may be in two of them."
    )
    notes = [Note("stream", about), Note("stream", dealt)]
    for part, share in (("test", parting.test), ("validation", parting.validation)):
        if share and parting.kept(share) < 1:
            some = f"{parting.most:,}, chosen by hash, are evaluated."
            text = f"of the {part} rows ({share:.0%} of all) about {some}"
            notes.append(Note("stream", text))
    if target.missing:
        name = target.found.name
        text = f"{target.missing:,} of {table.count:,} rows have no {name}; they were left out."
        notes.append(Note("missing", text, (name,)))
    return tuple(notes)


def _inexact_notes(statistics: list[ColumnStatistics]) -> tuple[Note, ...]:
    """Say what is not known exactly, and what the sample did not show."""
    notes, shares = [], {}
    for each in statistics:
        name = each.rule.column
        if each.missing and each.rows:
            shares[name] = each.missing / each.rows
        if each.unreadable > 0:
            text = f"{name}: {each.unreadable:,} cells do not fit what the sample told; they are missing."
            notes.append(Note("bad cells", text, (name,)))
        if isinstance(each.rule, CategoryRule) and not each.counts.complete:
            text = (
                f"{name} has more than {MOST_DISTINCT:,} different values: its categories are the sample's."
            )
            notes.append(Note("rare", text, (name,)))
        if isinstance(each.rule, WordRule):
            notes.append(Note("words", f"{name}: its frequent words are the sample's.", (name,)))
        if isinstance(each.rule, NumberRule) and each.rule.unit:
            text = f"the logarithm is used for {name}, with the sample's median as unit."
            notes.append(Note("skewed", text, (name,)))
    if shares:
        listed = ", ".join(f"{name} {share:.1%}" for name, share in shares.items())
        text = f"missing values: {listed}. An extra input marks the rows where a value is missing."
        notes.append(Note("missing", text, tuple(shares)))
    return tuple(notes)


def _facts(
    table: ChunkedTable, statistics: list[ColumnStatistics], target: ChunkedTarget, trained: np.ndarray
) -> np.ndarray:
    """Return numbers that differ where the rows do, in all likelihood."""
    facts = [float(table.count), float(trained.sum()), float(target.missing)]
    for each in statistics:
        facts += [each.missing, each.unreadable, len(each.counts.rows)]
        facts += [value for moments in each.moments for value in (moments.mean, moments.squares)]
        facts += [float(rows) for _, rows in sorted(each.counts.rows.items())]
    facts += [target.moments.mean, target.moments.squares]
    facts += [float(rows) for _, rows in sorted(target.counts.rows.items())]
    return np.array(facts, np.float64)
