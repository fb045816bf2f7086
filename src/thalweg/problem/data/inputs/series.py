"""`SeriesColumns`: tables in time order to windows. `Clock` and `arrange`: which row follows which."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from thalweg.core.errors import DataError
from thalweg.core.lazy import pl
from thalweg.problem.data.files.content import plain_suffix
from thalweg.problem.data.files.numpy_files import read_array
from thalweg.problem.data.files.parts import Parts
from thalweg.problem.data.inputs import Columns, Examples, from_plain
from thalweg.problem.data.inputs.column_types import plain_text
from thalweg.problem.data.inputs.frames import series_frame
from thalweg.problem.data.inputs.new_cells import read_dates, read_numbers
from thalweg.problem.data.inputs.table import TableColumns, check_columns
from thalweg.problem.data.note import Note
from thalweg.problem.data.split import SeriesWindows

DATES, NUMBERS, CALENDAR = "dates", "numbers", "calendar"
# Columns that make up a date together, the coarsest first; a calendar is a beginning of this list.
PARTS = {
    "year": 1,
    "month": 1,
    "day": 1,
    "hour": 0,
    "minute": 0,
}  # with what stands for a part that is absent
JOIN = " / "  # between the values of several columns that name a series together


@dataclass(frozen=True)
class Clock:
    """The columns that say when a row was.

    Args:
        columns: One column of dates or whole numbers; for a calendar those with the year, the month, ...
        kind: `dates`, `numbers` or `calendar`.
        format: How dates are written; empty for columns of date type.
    """

    columns: tuple[str, ...]
    kind: str = DATES
    format: str = ""

    @property
    def name(self) -> str:
        """The columns, for messages."""
        return ", ".join(self.columns)

    def times(self, frame: pl.DataFrame, marks: tuple[str, ...]) -> pl.Series:
        """Return the time of each row: Datetime, or Float64 for whole numbers; null where it is missing.

        Raises:
            DataError: A cell cannot be read as in training.
        """
        first = frame[self.columns[0]]
        if self.kind == DATES:
            return read_dates(first, self.format, marks)
        if self.kind == NUMBERS:
            return read_numbers(first, marks)
        numbers = [read_numbers(frame[name], marks).cast(pl.Int32, strict=False) for name in self.columns]
        given = pl.DataFrame([n.alias(part) for n, part in zip(numbers, PARTS, strict=False)])
        parts = [pl.col(part) if part in given.columns else pl.lit(least) for part, least in PARTS.items()]
        try:
            return given.select(pl.datetime(*parts)).to_series()
        except pl.exceptions.PolarsError as error:
            rule, hint = f"{self.name} must make up dates, as in training", "correct the cells"
            raise DataError("series", rule, got=str(error).splitlines()[0], hint=hint) from error

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Arranged:
    """The rows of a table by series and time.

    Args:
        rows: Their indices: one series after another, by name, each in time order; equal times in the order
            of the table. Rows without a time, or without the name of a series, are left out.
        codes: Number of each row's series, `row`, ascending.
        names: Names of the series, by number; empty if the table is one series.
        times: When each row was, as from `Clock.times`; None without a clock.
        undated, unnamed: How many rows were left out, for lack of a time, and of the name of a series.
    """

    rows: np.ndarray
    codes: np.ndarray
    names: tuple[str, ...]
    times: pl.Series | None
    undated: int = 0
    unnamed: int = 0

    @property
    def several(self) -> bool:
        """Whether there is more than one series."""
        return len(self.names) > 1

    def repeated(self) -> np.ndarray:
        """Return where a row has the series and the time of the row before it, `row` of bool."""
        if self.times is None:
            return np.zeros(self.rows.size, bool)
        times = self.times.to_physical().to_numpy()
        same = (times[1:] == times[:-1]) & (self.codes[1:] == self.codes[:-1])
        return np.concatenate([[False], same])


def series_names(frame: pl.DataFrame, series: Sequence[str], marks: tuple[str, ...]) -> pl.Series:
    """Return the name of each row's series; null where one of the columns is missing."""
    keys = [plain_text(frame[name], marks).cast(pl.String).alias(str(i)) for i, name in enumerate(series)]
    return pl.DataFrame(keys).select(pl.concat_str(pl.all(), separator=JOIN)).to_series()


def arrange(names: pl.Series | None, times: pl.Series | None, count: int) -> Arranged:
    """Sort rows by series and time: one result for every order of the rows, unless times repeat.

    Args:
        names: Of each row's series; None for one series.
        times: Of each row; None if rows are in time order.
        count: Number of rows.
    """
    keys = [s.alias(name) for name, s in (("name", names), ("time", times)) if s is not None]
    frame = pl.DataFrame([*keys, pl.Series("row", np.arange(count))])
    unnamed = 0 if names is None else names.null_count()
    frame = frame if names is None else frame.filter(pl.col("name").is_not_null())
    undated = 0 if times is None else int(frame["time"].null_count())
    frame = frame if times is None else frame.filter(pl.col("time").is_not_null())
    if keys:
        frame = frame.sort([key.name for key in keys], maintain_order=True)
    codes = np.zeros(frame.height, np.int64) if names is None else frame["name"].rle_id().to_numpy()
    labels = () if names is None else tuple(frame["name"].unique(maintain_order=True).to_list())
    ordered = None if times is None else frame["time"]
    return Arranged(frame["row"].to_numpy(), codes.astype(np.int64), labels, ordered, undated, unnamed)


@dataclass(frozen=True)
class Change:
    """The target as the change from the last known value, for several series of different levels.

    Args:
        mean: Of the target over the training rows.
        scale: Typical size of a change, in the target's unit: the root mean square over the training windows.
        past: Typical distance of the past in a window from its last known value, in the target's unit.
    """

    mean: float
    scale: float
    past: float

    def to_dict(self) -> dict[str, float]:
        """Return plain values, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class SeriesColumns(Columns):
    """Turns a table in time order into windows.

    Args:
        table: The rules of the columns; the target's own past is one of them, unless it was dropped.
        window: Rows in a window.
        horizon: Values that follow a window and are predicted.
        series: Columns that tell several series apart; empty for one series.
        clock: What says when a row was; None if rows are in time order.
        names: The series with training rows, by name; empty for one series.
        change: For targets that are changes from the last known value, else None.
    """

    kind: ClassVar[str] = "series"
    takes_frames: ClassVar[bool] = True
    nested: ClassVar[dict[str, Callable[[Any], Any]]] = {
        "table": TableColumns.from_dict,
        "clock": lambda plain: plain and Clock(**{key: from_plain(value) for key, value in plain.items()}),
        "change": lambda plain: plain and Change(**plain),
    }
    table: TableColumns
    window: int
    horizon: int
    series: tuple[str, ...] = ()
    clock: Clock | None = None
    names: tuple[str, ...] = ()
    change: Change | None = None

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Self:
        """Build from plain values; runs of earlier versions know one series without a clock."""
        return super().from_dict({"series": [], "clock": None, "names": [], "change": None} | plain)

    def inputs(self, raw: Any) -> np.ndarray:
        """Return every window of a frame or an array, `window time feature`, float32.

        Of several series, one after another by name. The last window of a series ends at its last row: what
        it predicts lies beyond the table.

        Raises:
            DataError: There are fewer rows than a window has, or columns are missing.
        """
        return self.examples(raw).inputs

    def examples(self, raw: Any) -> Examples:
        """Return the windows of `inputs`, with the series and the time of their last rows.

        Raises:
            DataError: As `inputs`.
        """
        frame = series_frame(raw)[0]
        arranged = self.arranged(frame)
        frame = frame[arranged.rows]
        starts = window_starts(arranged.codes, self.window)
        if not starts.size:
            longest = int(np.bincount(arranged.codes).max()) if arranged.codes.size else 0
            rule = f"must have at least the {self.window} rows of a window"
            got = f"{longest} rows" + (" in the longest series" if self.series else "")
            raise DataError("series", rule, got=got, hint="add the rows that precede these")
        targets = None if self.change is None else self.standardised(self.values(frame))
        windows = self.windows(self.table.inputs(frame), targets, arranged.codes, starts)
        inputs = np.asarray(windows.windows(np.arange(starts.size)))
        labels = self._labels(frame, arranged, starts + self.window - 1)
        return Examples(inputs, windows.offsets, labels, self._notes(arranged, starts))

    def read(self, source: Path | Parts | Any, target: str) -> pl.DataFrame:
        """Return the rows of a table's files or an npy file, of a frame or of an array."""
        if not isinstance(source, (Path, Parts)):
            return series_frame(source)[0]
        if isinstance(source, Path) and source.is_file() and plain_suffix(source) == ".npy":
            return series_frame(read_array(source))[0]
        return self.table.read(source, target)

    def arranged(self, frame: pl.DataFrame) -> Arranged:
        """Sort the rows of a table as in training; without a clock that is no input, they are in order.

        Raises:
            DataError: A column that names the series is missing, or the times cannot be read.
        """
        check_columns(self.series, self.table.names, frame.columns)
        names = series_names(frame, self.series, self.table.missing) if self.series else None
        timed = self.clock is not None and set(self.clock.columns) <= set(frame.columns)
        times = self.clock.times(frame, self.table.missing) if self.clock is not None and timed else None
        return arrange(names, times, frame.height)

    def values(self, frame: pl.DataFrame) -> np.ndarray:
        """Return the values of a numeric target, `row`, NaN where missing.

        Raises:
            DataError: The table lacks it: what is predicted is the change from its last known value.
        """
        if self.table.target not in frame.columns:
            rule = f"must have the target's own past, the column {self.table.target!r}"
            hint = "add it; cells after its last known value are left empty"
            raise DataError("series", rule, got=f"columns {', '.join(frame.columns[:20])}", hint=hint)
        return read_numbers(frame[self.table.target], self.table.missing).to_numpy().astype(np.float64)

    def standardised(self, values: np.ndarray) -> np.ndarray:
        """Return values of the target in the unit of changes; only for targets that are changes."""
        assert self.change is not None
        return (values - self.change.mean) / self.change.scale

    def windows(
        self, inputs: np.ndarray, targets: np.ndarray | None, codes: np.ndarray, starts: np.ndarray
    ) -> SeriesWindows:
        """Return windows of arranged rows.

        Args:
            inputs: `row feature`.
            targets: Standardised values, float64, NaN where missing, or class numbers, int, -1 where missing,
                `row`; None if there are none.
            codes: Number of each row's series, `row`, ascending.
            starts: First row of each window.
        """
        if targets is None:
            return SeriesWindows(inputs, np.zeros(len(inputs), np.float32), starts, self.window, self.horizon)
        classes = targets.dtype.kind == "i"
        missing = targets < 0 if classes else np.isnan(targets)
        known = last_known(missing) if missing.any() else None
        filled = np.where(missing, 0, targets)
        if self.change is None:
            filled = filled.astype(np.int32 if classes else np.float32)
            return SeriesWindows(inputs, filled, starts, self.window, self.horizon, known)
        # Any value near a series' level serves: what the model sees and learns are differences.
        _, first, number = np.unique(codes, return_index=True, return_inverse=True)
        present = np.array([at + int(np.argmin(missing[at:])) for at in first])
        base = np.where(codes[present] == codes[first], filled[present], 0.0)[number]
        return SeriesWindows(
            inputs,
            (filled - base).astype(np.float32),
            starts,
            self.window,
            self.horizon,
            known,
            base[starts].astype(np.float32),
            self.change.scale / self.change.past,
        )

    def _labels(self, frame: pl.DataFrame, arranged: Arranged, ends: np.ndarray) -> dict[str, np.ndarray]:
        labels = {name: frame[name].cast(pl.String).to_numpy()[ends] for name in self.series}
        if self.clock is None or arranged.times is None:
            return labels
        if self.clock.kind == CALENDAR:
            return labels | {"last_time": arranged.times.dt.to_string("iso:strict").to_numpy()[ends]}
        name = self.clock.columns[0]
        return labels | {f"last_{name}": frame[name].cast(pl.String).to_numpy()[ends]}

    def _notes(self, arranged: Arranged, starts: np.ndarray) -> tuple[Note, ...]:
        """Note series that training did not have, series without a window, and rows left out."""
        notes = left_out_notes(arranged, self.series, self.clock)
        if self.clock is not None and arranged.times is None:
            text = f"without {self.clock.name}, the rows are taken to be in time order, without gaps."
            notes.append(Note("order", text, self.clock.columns))
        if (repeats := int(arranged.repeated().sum())) > 0:
            text = f"{counted(repeats, 'row')} with the time of another: each is taken as a step of its own."
            notes.append(Note("order", text, () if self.clock is None else self.clock.columns))
        unknown = [name for name in arranged.names if name not in self.names] if self.series else []
        if unknown:
            text = (
                f"{listed(unknown)} did not occur in training: predictions for an unknown series rest "
                "on its last rows alone."
            )
            notes.append(Note("series", text, self.series))
        without = np.setdiff1d(np.arange(len(arranged.names)), arranged.codes[starts])
        if without.size:
            short = listed([arranged.names[code] for code in without])
            notes.append(Note("series", f"no prediction for {short}: fewer than {self.window} rows."))
        return tuple(notes)


def window_starts(segments: np.ndarray, length: int) -> np.ndarray:
    """Return the first rows of all stretches of `length` rows that lie in one segment, int32.

    Args:
        segments: Number of each row's segment, `row`, ascending.
        length: In rows.
    """
    count = max(0, segments.size - length + 1)
    same = segments[:count] == segments[length - 1 : length - 1 + count]
    return np.flatnonzero(same).astype(np.int32)


def last_known(missing: np.ndarray) -> np.ndarray:
    """Return for each row the last row at or before it that is not missing, int32; -1 if there is none."""
    return np.maximum.accumulate(np.where(missing, -1, np.arange(missing.size))).astype(np.int32)


def left_out_notes(arranged: Arranged, series: Sequence[str], clock: Clock | None) -> list[Note]:
    """Note how many rows were left out because their time or their series is missing."""
    notes = []
    for count, columns in ((arranged.unnamed, series), (arranged.undated, clock.columns if clock else ())):
        if count:
            text = f"{counted(count, 'row')} without {', '.join(columns)}: left out."
            notes.append(Note("missing", text, tuple(columns)))
    return notes


def counted(count: int, noun: str) -> str:
    """Return a number with its noun: `1 row`, `1,200 rows`. Series has one form."""
    return f"{count:,} {noun}" + ("" if count == 1 or noun.endswith("s") else "s")


def listed(names: Sequence[str], most: int = 5) -> str:
    """Return some names, and how many more there are."""
    rest = len(names) - most
    return ", ".join(map(str, names[:most])) + (f" and {rest} more" if rest > 0 else "")
