"""A frame to `Data`: target out, useless columns out, rows split, rules fitted on the training rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from thalweg.core.errors import DataError
from thalweg.core.lazy import pl
from thalweg.problem.data.assembly import Pieces, assemble
from thalweg.problem.data.data import CLASSIFICATION, Data
from thalweg.problem.data.duplicates import units_of
from thalweg.problem.data.inputs.column_types import Typed, read_column
from thalweg.problem.data.inputs.fitting import fit_rule
from thalweg.problem.data.inputs.frames import as_frame
from thalweg.problem.data.inputs.table import TableColumns
from thalweg.problem.data.labels import Target, check_lone
from thalweg.problem.data.note import Note
from thalweg.problem.data.options import RANDOM, LoadOptions
from thalweg.problem.data.preparation import Preparation
from thalweg.problem.data.splitting import split_rows
from thalweg.problem.data.tables.giveaway import giveaways
from thalweg.problem.data.tables.holdout import read_test, row_hashes
from thalweg.problem.data.tables.notes import missing_values, possible_marks, rule_notes
from thalweg.problem.data.tables.roles import useless
from thalweg.problem.data.tables.target import find_column, present_rows, read_target


@dataclass(frozen=True)
class _Table:
    """A table under way: its used columns as typed, the target, what was pointed out."""

    frame: pl.DataFrame
    columns: dict[str, Typed]
    target: Target
    notes: tuple[Note, ...]


def from_frame(source: Any, name: str, options: LoadOptions, target: str | None = None) -> Data:
    """Turn a frame into data.

    Args:
        source: A polars or pandas frame; cells may be text throughout, as CSV files give them.
        name: Name of the set.
        options: What was asked for.
        target: The set's own target column, where `options` names none.

    Raises:
        DataError: What came cannot be used; the message says where.
    """
    frame = as_frame(source)
    if frame.height == 0 or frame.width == 0:
        raise DataError(
            "table", "must hold rows", got=f"{frame.height} rows, {frame.width} columns", hint="add rows"
        )
    wanted = options.target if options.target is not None else target
    table = _read(frame, find_column(frame.columns, wanted), options)
    given = options.test if not isinstance(options.test, float) else None
    test = (
        read_test(given, table.frame, list(table.columns), table.target, options)
        if given is not None
        else None
    )
    rows, split_notes = _split(table, options, has_test=test is not None)
    columns, rule_notes = _fit(table, rows["train"], options, frame.columns)
    inputs = {part: columns.inputs(table.frame[at]) for part, at in rows.items()}
    targets = {part: table.target.values[at] for part, at in rows.items()}
    notes = table.notes + rule_notes + split_notes
    if test is not None:
        inputs["test"], targets["test"] = columns.inputs(test.frame), test.targets
        notes += test.notes
    notes += giveaways(table.columns, table.target, table.target.name)
    preparation = Preparation(columns, classes=table.target.classes, target=table.target.name)
    return assemble(Pieces(name, table.target.task, inputs, targets, preparation, notes))


def _read(frame: pl.DataFrame, target: str, options: LoadOptions) -> _Table:
    dropped = {find_column(frame.columns, column, who="drop") for column in options.drop} - {target}
    group = {find_column(frame.columns, options.group, who="group")} if options.group else set()
    frame, notes = present_rows(frame, target, options.missing)
    encoded = read_target(frame[target], options.task, options.missing)
    out = {target} | dropped | (group - set(options.keep))
    columns = {name: read_column(frame[name], options.missing) for name in frame.columns if name not in out}
    found = useless(columns, options.keep)
    gone = {name for note in found for name in note.columns}
    columns = {name: typed for name, typed in columns.items() if name not in gone}
    if not columns:
        raise DataError(
            "table",
            "must have at least one column to learn from besides the target",
            got=", ".join(frame.columns),
            hint="use keep= for columns that were left out, or give more columns",
        )
    return _Table(
        frame, columns, encoded, (*notes, *found, *missing_values(columns), *possible_marks(columns))
    )


def _split(
    table: _Table, options: LoadOptions, has_test: bool
) -> tuple[dict[str, np.ndarray], tuple[Note, ...]]:
    classes = table.target.task == CLASSIFICATION
    share = 0.0 if has_test else options.test_share
    drawn = options.split == RANDOM
    if drawn and classes and share + options.validation > 0:
        check_lone(table.target)
    if options.group:
        units = _first(row_hashes(table.frame, [find_column(table.frame.columns, options.group)]))
        notes = (Note("group", f"{len(np.unique(units))} groups of {options.group}, each in one part only."),)
    else:
        units, notes = units_of(_first(row_hashes(table.frame, list(table.columns))), drawn)
    labels = table.target.values if classes else None
    found = split_rows(table.frame.height, options, labels=labels, units=units, test_share=share)
    rows = {"train": found.train, "validation": found.validation, "test": found.test}
    return {part: at for part, at in rows.items() if at.size}, notes


def _fit(
    table: _Table, train: np.ndarray, options: LoadOptions, names: list[str]
) -> tuple[TableColumns, tuple[Note, ...]]:
    rules = [fit_rule(typed.values.gather(train), typed) for typed in table.columns.values()]
    kept = tuple(rule for rule in rules if rule.features and set(rule.features) != {f"{rule.column}=other"})
    if not kept:
        raise DataError(
            "table",
            "must have at least one column whose values repeat",
            got=", ".join(table.columns),
            hint="give columns with numbers, or categories that more rows share",
        )
    columns = TableColumns(kept, tuple(names), table.target.name, options.header, options.missing)
    return columns, rule_notes(rules, kept)


def _first(keys: np.ndarray) -> np.ndarray:
    """Return for each key the index of its first occurrence, which does not depend on the hash's version."""
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    return first[inverse]
