"""What was understood of a data set, without training: each column with its type, and all notes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from thalweg.core.errors import DataError
from thalweg.core.lazy import pl
from thalweg.problem.data.data import CLASSIFICATION, Data
from thalweg.problem.data.files.parts import Parts
from thalweg.problem.data.files.tables import ReadTable, find_columns, looks_like_table
from thalweg.problem.data.foreign import plain
from thalweg.problem.data.inputs.column_types import CATEGORY, DATE, NUMBER, SKIP, Typed, category_text
from thalweg.problem.data.inputs.frames import as_table, is_frame, is_pair, join_target
from thalweg.problem.data.labels import Target
from thalweg.problem.data.note import Note
from thalweg.problem.data.options import LoadOptions, options_from
from thalweg.problem.data.reading import at_hand, read, source_of
from thalweg.problem.data.tables import table
from thalweg.problem.data.tables.codes import explained_alone
from thalweg.problem.data.tables.columns import type_notes, useful_columns
from thalweg.problem.data.tables.target import join_targets, read_target

# How many values of a column are shown.
SHOWN = 3
# A number is far from the others beyond this multiple of the width of the middle 98 % of its column.
FAR, MOST_FAR, LEAST_ROWS = 5.0, 20, 50


@dataclass(frozen=True)
class Column:
    """A column as it was understood.

    Args:
        name: Its name.
        kind: `number`, `category`, `date`, `text`, or `skip` for one that is not used.
        values: Float64, String or Datetime; null where missing.
        written: How its numbers or dates are written, in words; empty where as programs write them.
        role: `target`, `input`, or why it is not used.
        explains: Share of the target's variance that the column explains on its own, on rows that it was not
            fitted to; None without a target.
    """

    name: str
    kind: str
    values: pl.Series
    written: str = ""
    role: str = "input"
    explains: float | None = None

    @property
    def missing(self) -> int:
        """How many values are missing."""
        return self.values.null_count()

    @property
    def distinct(self) -> int:
        """How many different values there are."""
        return self.values.drop_nulls().n_unique()

    def summary(self) -> str:
        """Return the range of numbers or dates, or the most frequent values of others."""
        present = self.values.drop_nulls()
        if present.len() == 0:
            return "empty"
        if self.values.dtype == pl.Float64:
            low, middle, high = (float(np.quantile(present.to_numpy(), q)) for q in (0, 0.5, 1))
            return f"{low:.6g} to {high:.6g}, median {middle:.6g}"
        if self.kind == DATE:
            return f"{_day(present.min())} to {_day(present.max())}"
        if self.distinct == present.len():
            return f"all different: {_short(present[0])}, ..."
        counts = present.alias("").value_counts(sort=True, name="rows").head(SHOWN)
        shown = [f"{_short(value)} ({rows})" for value, rows in counts.iter_rows()]
        return ", ".join(shown) + (", ..." if self.distinct > SHOWN else "")

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON: all but the values themselves."""
        counts = {"missing": self.missing, "distinct": self.distinct, "explains": self.explains}
        return (
            {"name": self.name, "kind": self.kind, "role": self.role, "written": self.written}
            | counts
            | {"summary": self.summary()}
        )


@dataclass(frozen=True)
class FarValue:
    """A number far from all others in its column, which may be a typing error.

    Args:
        row: Row of the table, from 1; the header does not count.
        column: Name of the column.
        value: The number.
        low, high: Between these lie the middle 98 % of the column.
    """

    row: int
    column: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Understanding:
    """A data set as it was understood.

    Args:
        name: Name of the set.
        columns: Of a table; empty for other data.
        notes: What was guessed, left out, or is worth knowing.
        data: The data, ready for training; None for a table without a target.
        far: Numbers far from all others, the furthest first.
    """

    name: str
    columns: tuple[Column, ...]
    notes: tuple[Note, ...]
    data: Data | None = None
    far: tuple[FarValue, ...] = ()

    def class_counts(self) -> dict[str, dict[str, int]]:
        """Return how many examples of each class every split has; empty unless classes are predicted."""
        if self.data is None or self.data.task != CLASSIFICATION or self.data.train.known_targets is None:
            return {}
        names, outputs = self.data.preparation.classes, self.data.outputs
        counts = {
            name: np.bincount(np.asarray(split.known_targets).ravel().astype(int), minlength=outputs)
            for name, split in self.data.splits.items()
        }
        labels = [str(name) for name in names or range(outputs)]
        return {name: dict(zip(labels, map(int, count), strict=True)) for name, count in counts.items()}

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        data = None
        if self.data is not None:
            splits = {name: split.count() for name, split in self.data.splits.items()}
            data = {"task": self.data.task, "outputs": self.data.outputs, "splits": splits}
            data |= {"inputs": list(self.data.input_shape), "target": self.data.preparation.target}
            data |= {"classes": self.class_counts()}
        columns = [column.to_dict() for column in self.columns]
        rows = self.columns[0].values.len() if self.columns else None
        notes = [asdict(note) for note in self.notes]
        return {"name": self.name, "rows": rows, "columns": columns, "notes": notes, "data": data} | {
            "far": [asdict(value) for value in self.far]
        }


def understand(source: Any, options: LoadOptions | None = None, **settings: Any) -> Understanding:
    """Return what is understood of a data set.

    Args:
        source: What `load` takes. A table needs no target here; with one, what it tells about the columns
            (codes, leaks) and the splits are included.
        options, **settings: As for `load`.

    Raises:
        DataError: The data cannot be read or used.

    Example:
        >>> import polars as pl
        >>> frame = pl.DataFrame({"size": [1.5, 2.5, 3.5], "kind": ["a", "b", "a"]})
        >>> [column.kind for column in understand(frame).columns]
        ['number', 'category']
    """
    chosen = options_from(options, settings)
    other = plain(source, chosen.target)
    if other is not None:
        source, chosen = other.source, replace(chosen, **other.options)
    with at_hand(source) as source:
        return _understand(source, chosen)


def _understand(source: Any, chosen: LoadOptions) -> Understanding:
    found = source_of(source, chosen)
    a_table = table.READER.accepts(found, chosen) or (found.suffix == ".txt" and looks_like_table(found.data))
    if chosen.window is not None or not a_table:
        data = read(source, chosen)
        return Understanding(data.name, (), data.notes, data)
    target = None
    if isinstance(found.data, (Path, Parts)):
        as_read = table.read_file(found.data, chosen)
    elif is_pair(found.data):
        frame, target = join_target(*found.data)
        as_read = ReadTable(frame)
    else:
        assert is_frame(found.data)
        as_read = as_table(found.data)
    return _of_table(as_read, found.name or "table", chosen, target)


def _of_table(as_read: ReadTable, name: str, options: LoadOptions, target: str | None) -> Understanding:
    wanted = target if options.target is None else options.target
    predicted = [] if wanted is None else find_columns(as_read.frame.columns, wanted)
    typed = table.table_types(as_read, options, predicted[0] if predicted else None)
    target_values = None
    if not predicted:
        notes = (*as_read.notes, *type_notes(typed), *_useless(typed, options))
        data = None
    else:
        data = table.from_table(as_read, name, options, target)
        notes = data.notes
        frame, column = join_targets(as_read.frame, wanted, table.reading_of(as_read, options))
        of_one = typed.get(column) if len(predicted) == 1 else None
        used, target_read, _ = read_target(frame[column], of_one, options)
        target_values = used, target_read
    roles = _roles(notes, predicted)
    columns = tuple(
        _column(as_read.frame, name, typed.get(name), roles, target_values) for name in as_read.frame.columns
    )
    return Understanding(name, columns, notes, data, _far_values(columns))


def _useless(typed: dict[str, Typed], options: LoadOptions) -> tuple[Note, ...]:
    try:
        return useful_columns(typed, options.keep)[1]
    except DataError:  # no column is left: a target would have been among them
        return ()


def _roles(notes: tuple[Note, ...], predicted: list[str]) -> dict[str, str]:
    """Return the roles of columns that are no plain inputs, and the type that a code was given."""
    roles = {name: note.kind for note in notes if note.kind in ("id", "constant") for name in note.columns}
    roles |= {name: "code" for note in notes if note.kind == "code" for name in note.columns}
    return roles | dict.fromkeys(predicted, "target")


def _column(
    frame: pl.DataFrame,
    name: str,
    typed: Typed | None,
    roles: dict[str, str],
    target: tuple[pl.Series, Target] | None,
) -> Column:
    if typed is None:
        return Column(name, SKIP, frame[name], role="left out")
    written = typed.written.describe() if typed.kind == NUMBER and not typed.written.plain else ""
    if typed.kind == DATE:
        written = typed.format
    role = roles.get(name, "input")
    if role == "code":
        typed = replace(typed, kind=CATEGORY, values=category_text(typed.values))
    kind = SKIP if role in ("id", "constant") else typed.kind
    explains = None
    if target is not None and kind != SKIP and role != "target":
        explains = explained_alone(typed.where(target[0]), target[1])
    return Column(name, kind, typed.values, written, "input" if role == "code" else role, explains)


def _far_values(columns: tuple[Column, ...]) -> tuple[FarValue, ...]:
    """Return numbers further from the middle of their column than FAR times the width of the middle 98 %."""
    found: list[tuple[float, FarValue]] = []
    for column in (column for column in columns if column.kind == NUMBER):
        values = column.values.to_numpy()
        present = values[~np.isnan(values)]
        if present.size < LEAST_ROWS:
            continue
        low, middle, high = (float(np.quantile(present, q)) for q in (0.01, 0.5, 0.99))
        width = max(high - low, np.finfo(float).tiny)
        distance = np.abs(values - middle) / width
        rows = np.flatnonzero(distance > FAR)
        if high > low:
            found += [
                (float(distance[i]), FarValue(int(i) + 1, column.name, float(values[i]), low, high))
                for i in rows
            ]
    return tuple(value for _, value in sorted(found, key=lambda pair: -pair[0])[:MOST_FAR])


def _day(value: Any) -> str:
    return str(value).removesuffix(" 00:00:00")


def _short(value: Any, limit: int = 24) -> str:
    text = str(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."
