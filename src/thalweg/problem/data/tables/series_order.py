"""What a table in time order leaves open: which series it holds, and what orders its rows.

Each guess becomes a note with the option that changes it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from thalweg.core.caller import option
from thalweg.core.errors import DataError
from thalweg.core.lazy import pl
from thalweg.problem.data.files.tables import find_column
from thalweg.problem.data.inputs.column_types import CATEGORY, DATE, NUMBER, Typed
from thalweg.problem.data.inputs.rules import DateRule
from thalweg.problem.data.inputs.series import (
    CALENDAR,
    DATES,
    NUMBERS,
    PARTS,
    Arranged,
    Clock,
    arrange,
    counted,
    left_out_notes,
    series_names,
)
from thalweg.problem.data.inputs.table import TableColumns
from thalweg.problem.data.note import Note, guess
from thalweg.problem.data.options import LoadOptions

# Whole numbers are taken for times only under such a name, and only where they already ascend or descend.
TIME_NAME = re.compile(
    r"(?i:date|time|timestamp|epoch|unix|t|year|quarter|month|week|day|hour|minute|second|period|step|"
    r"datum|zeit|jahr|monat|woche|tag|stunde)"
)
# Clocks that are set back repeat an hour a year; more repeats than this share of the rows are not that.
FEW_REPEATS = 0.01
# Pairs of columns are only tried among so few: a table of many columns has too many pairs to find by chance.
MOST_PAIRED = 8


@dataclass(frozen=True)
class Order:
    """How the rows of a table follow one another.

    Args:
        series: Columns that tell several series apart; empty for one.
        clock: What says when a row was; None if rows are in time order.
        arranged: The rows in order.
        notes: What was guessed or found.
    """

    series: tuple[str, ...]
    clock: Clock | None
    arranged: Arranged
    notes: tuple[Note, ...]


class _Table:
    """The columns of a table in which to look for series and times."""

    def __init__(self, frame: pl.DataFrame, typed: Mapping[str, Typed], target: str, options: LoadOptions):
        self.frame, self.marks = frame, options.missing
        self.span = 1 if options.window is None else options.window + options.horizon
        self.typed = {name: column for name, column in typed.items() if name != target}
        dates = [(Clock((name,), DATES, c.format), c) for name, c in self.typed.items() if c.kind == DATE]
        self.dates = [clock for clock, _ in dates]

    def clocks(self) -> list[Clock]:
        """Return what may say when a row was, the likeliest first."""
        whole = [name for name, column in self.typed.items() if column.kind == NUMBER and column.whole]
        named = {part: name for part in PARTS for name in whole if name.strip().lower() == part}
        parts = [named[part] for i, part in enumerate(PARTS) if set(list(PARTS)[: i + 1]) <= set(named)]
        calendar = [Clock(tuple(parts), CALENDAR)] if len(parts) > 1 and self._makes_dates(parts) else []
        numbers = [Clock((name,), NUMBERS) for name in whole if TIME_NAME.fullmatch(name.strip())]
        return [*self.dates, *calendar, *numbers]

    def arranged(self, series: tuple[str, ...], clock: Clock | None) -> Arranged:
        """Return the rows in order."""
        names = series_names(self.frame, series, self.marks) if series else None
        times = None if clock is None else clock.times(self.frame, self.marks)
        return arrange(names, times, self.frame.height)

    def fits(self, series: tuple[str, ...], clock: Clock) -> bool:
        """Return whether no time repeats within a series; whole numbers must also be in order already."""
        arranged = self.arranged(series, clock)
        if arranged.rows.size == 0 or arranged.repeated().any():
            return False
        return clock.kind != NUMBERS or _in_order(arranged) or _in_order(arranged, backwards=True)

    def groupings(self, clock: Clock) -> Iterator[tuple[str, ...]]:
        """Yield the columns, then the pairs of columns, that may tell series apart, the fewest series first.

        A series must hold a window on average. Whole numbers must look like identifiers: not many more
        values than rows at one time.
        """
        times = clock.times(self.frame, self.marks).drop_nulls()
        together = int(times.alias("").value_counts(name="rows")["rows"].max() or 1)  # type: ignore[arg-type]
        most = {CATEGORY: self.frame.height // self.span, NUMBER: 2 * together}
        distinct = {
            name: column.values.drop_nulls().n_unique()
            for name, column in self.typed.items()
            if name not in clock.columns and (column.kind == CATEGORY or column.whole)
        }
        possible = [name for name, n in distinct.items() if 2 <= n <= most.get(self.typed[name].kind, 0)]
        possible.sort(key=lambda name: (distinct[name], self.typed[name].kind != CATEGORY))
        yield from ((name,) for name in possible if distinct[name] >= together)
        if len(possible) <= MOST_PAIRED:
            pairs = (
                (series_names(self.frame, p, self.marks).n_unique(), p) for p in combinations(possible, 2)
            )
            yield from (pair for n, pair in sorted(pairs) if together <= n <= most[CATEGORY])

    def _makes_dates(self, parts: list[str]) -> bool:
        columns = [self.typed[name].values for name in parts]
        ranges = ((1, 9999), (1, 12), (1, 31), (0, 23), (0, 59))
        return all(
            column.null_count() == 0 and least <= column.min() and column.max() <= most  # type: ignore[operator]
            for column, (least, most) in zip(columns, ranges, strict=False)
        )


def find_order(
    frame: pl.DataFrame, typed: Mapping[str, Typed], target: str, options: LoadOptions, *, named: bool
) -> Order:
    """Find the series of a table and the order of its rows.

    Args:
        frame: The table.
        typed: Its columns that were not skipped.
        target: Name of the target.
        options: `series`, `window` and so on.
        named: Whether columns have names that say something.

    Raises:
        DataError: Dates repeat and no column explains it, or `series` is not a column.
    """
    table = _Table(frame, typed, target, options)
    notes: list[Note] = []
    if options.series is not None:
        series = _given(frame, options.series, target)
        fitting = (clock for clock in table.clocks() if table.fits(series, clock))
        clock = next(fitting, table.dates[0] if table.dates else None)
    else:
        series, clock = _found(table)
        if series:
            notes.append(_series_note(table, series, clock))
    arranged = table.arranged(series, clock)
    _check_repeats(table, arranged, clock, series)
    if clock is None and named:
        text = "No column holds dates: the rows are taken to be in time order, one step apart."
        notes.append(guess("order", text, types={"COLUMN": "date"}))
        notes += _blocks(table) if not series else []
    notes += _order_notes(arranged, series, clock)
    return Order(series, clock, arranged, tuple(notes))


def _given(frame: pl.DataFrame, series: str, target: str) -> tuple[str, ...]:
    """Return the columns that the option names: one, or several with commas between them."""
    exact = series in frame.columns
    names = [series] if exact else [name.strip() for name in str(series).split(",")]
    columns = tuple(dict.fromkeys(find_column(frame.columns, name, who="series") for name in names))
    if target in columns:
        rule, hint = "the target cannot tell series apart", "name another column"
        raise DataError("series", rule, got=target, hint=hint)
    return columns


def _found(table: _Table) -> tuple[tuple[str, ...], Clock | None]:
    """Return the columns of the series and the clock that fit: one series rather than several."""
    clocks = table.clocks()
    for clock in clocks:
        if table.fits((), clock):
            return (), clock
    for clock in clocks:
        for series in table.groupings(clock):
            if table.fits(series, clock):
                return series, clock
    return (), table.dates[0] if table.dates else None


def _series_note(table: _Table, series: tuple[str, ...], clock: Clock | None) -> Note:
    assert clock is not None
    together = " and ".join(series)
    text = (
        f"{clock.name} repeats, but not within one {together}: each {together} is taken as a series of its "
        "own."
    )
    others = [name for name, c in table.typed.items() if c.kind == CATEGORY and name not in series]
    return guess("series", text, series, series=others[0] if others else "COLUMN")


def _check_repeats(table: _Table, arranged: Arranged, clock: Clock | None, series: tuple[str, ...]) -> None:
    """Reject times that repeat within a series, unless they are few."""
    count = int(arranged.repeated().sum())
    if clock is None or count <= FEW_REPEATS * arranged.rows.size:
        return
    column = next((n for n, c in table.typed.items() if c.kind == CATEGORY and n not in series), "COLUMN")
    asked = ",".join((*series, column))
    hint = (
        f"name the column that tells the series apart, such as {option('series', asked)}; or use "
        f"{option('types', {clock.columns[0]: 'skip'})} if the rows are in time order as they stand"
    )
    rule = f"the rows of one {' and '.join(series) or 'series'} must have different dates"
    got = f"{count} of {arranged.rows.size} rows repeat the date of another"
    raise DataError("series", rule, got=got, where=clock.name, hint=hint)


def _blocks(table: _Table) -> list[Note]:
    """Note categories whose rows lie together in long blocks: they may be series of their own."""
    notes = []
    for name, column in table.typed.items():
        runs = column.values.rle_id().max() if column.kind == CATEGORY and column.values.len() else None
        count = column.values.n_unique()
        if runs is None or runs + 1 != count or not 2 <= count <= table.frame.height // table.span:  # type: ignore[operator]
            continue
        text = (
            f"The rows of each {name} lie together, and the rows are taken as one series, so that windows "
            f"reach from one {name} into the next."
        )
        notes.append(guess("series", text, (name,), series=name))
    return notes


def _in_order(arranged: Arranged, *, backwards: bool = False) -> bool:
    """Return whether the rows of each series were in time order already, or in the opposite one."""
    steps = np.diff(arranged.rows)[np.diff(arranged.codes) == 0]
    return bool(np.all(steps < 0 if backwards else steps > 0))


def _order_notes(arranged: Arranged, series: tuple[str, ...], clock: Clock | None) -> list[Note]:
    notes = left_out_notes(arranged, series, clock)
    if clock is None:
        return notes
    if not _in_order(arranged):
        backwards = _in_order(arranged, backwards=True)
        was = (
            "The rows ran from the latest to the earliest" if backwards else "The rows were not in time order"
        )
        notes.append(Note("order", f"{was}; they were sorted by {clock.name}.", clock.columns))
    repeated = arranged.repeated()
    if repeated.any():
        assert arranged.times is not None
        first = arranged.times[int(np.argmax(repeated))]
        text = (
            f"{clock.name} repeats in {counted(int(repeated.sum()), 'row')} (the first is {first}); rows of "
            "equal times stay in the order of the table, each a step of its own."
        )
        notes.append(Note("repeats", text, clock.columns))
    return notes


def without_position(
    fitted: TableColumns, clock: Clock | None, keep: Collection[str]
) -> tuple[TableColumns, list[Note]]:
    """Return columns without the input that says how far a series has come: days since 1970, or the year.

    Splits follow one another in time, so that each of its values in validation and test lies beyond those of
    training, where a network has learnt nothing. What recurs (the time of year, week and day) stays, and so
    does a date in `keep`, and a clock that is the only input.
    """
    if clock is None or set(clock.columns) & set(keep):
        return fitted, []
    name, rules = clock.columns[0], []
    for rule in fitted.rules:
        if rule.column != name:
            rules.append(rule)
        elif isinstance(rule, DateRule):
            parts = [
                part for part in zip(rule.parts, rule.mean, rule.scale, strict=True) if part[0] != "days"
            ]
            names, mean, scale = zip(*parts, strict=True) if parts else ((), (), ())
            if parts or rule.flag:
                rules.append(replace(rule, parts=names, mean=mean, scale=scale))
    if not rules or tuple(rules) == fitted.rules:
        return fitted, []
    text = (
        f"{name} orders the rows and is no input itself: its values in validation and test all lie beyond "
        "those of training."
    )
    recurring = [part for rule in rules if rule.column == name for part in getattr(rule, "parts", ())]
    if recurring:
        text += f" The time of {' and of '.join(dict.fromkeys(part.split()[0] for part in recurring))} is."
    return replace(fitted, rules=tuple(rules)), [Note("order", text, (name,))]
