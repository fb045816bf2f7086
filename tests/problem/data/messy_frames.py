"""Odd frames: columns of known meaning in the types of pandas and Polars; the counterpart of `messy.py`.

`make(seed)` returns a frame in memory with what it means; `messy_check.check` compares. Seeds 0 to 9,999 are
for development, those from 1,000,000 on are held out, as for `messy.py`.

    python -m tests.problem.data.messy_frames --count 500 --seed 0
"""

import argparse
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import polars as pl

from tests.problem.data.messy import report
from tests.problem.data.messy_check import (
    SILENT,
    Problem,
    Understood,
    judge,
    understood_by_thalweg,
    verdict,
)
from tests.problem.data.styles import words
from tests.problem.data.styles.column import Column
from tests.problem.data.styles.words import ENGLISH

# A length of time may be read in any unit, as long as it is one for the whole column.
UNITS = (1.0, 1e3, 1e6, 1e9, 1 / 60, 1 / 3600, 1 / 86400, 1 / 604800)
DURATION = "length of time"


@dataclass(frozen=True)
class FrameLayout:
    """Which library the frame is of, and what is odd about it as a whole."""

    library: str
    oddity: str = ""

    @property
    def label(self) -> str:
        """The layout in a few words."""
        return f"{self.library} frame" + (f", {self.oddity}" if self.oddity else "")


@dataclass(frozen=True)
class MessyFrame:
    """A frame in memory and what it means.

    Args:
        seed: Of `make`.
        columns: In the frame's order; `cells` hold what is in the frame, as text.
        header: The names, as text.
        layout: The library, and what is odd about the whole frame.
        frame: The frame itself.
        options: What the user passes to the reader.
    """

    seed: int
    columns: list[Column]
    header: list[str]
    layout: FrameLayout
    frame: Any
    options: dict[str, Any] = field(default_factory=dict)


def make(seed: int) -> MessyFrame:
    """Return the frame of this seed."""
    rng = random.Random(seed)
    rows = rng.choice([rng.randint(4, 12), rng.randint(30, 120), rng.randint(30, 120), rng.randint(120, 300)])
    library = rng.choice(["pandas", "polars"])
    makers = PANDAS if library == "pandas" else POLARS
    chosen = [_floats, *(rng.choice(makers) for _ in range(rng.randint(1, 6)))]
    rng.shuffle(chosen)
    pairs = [maker(rng, rows, library) for maker in chosen]
    columns = [column for column, _ in pairs]
    oddity = rng.choice(["", "", "", "integer names", "filtered index", "duplicate names"])
    names = _names(columns, oddity if library == "pandas" or oddity == "integer names" else "")
    for column, name in zip(columns, names, strict=True):
        column.name = name
    if library == "polars":
        odd = "integer names" if oddity == "integer names" else ""
        frame: Any = pl.DataFrame(
            [series.alias(name) for name, (_, series) in zip(names, pairs, strict=True)]
        )
    else:
        odd, frame = oddity, pd.concat([series for _, series in pairs], axis=1)
        frame.columns = list(range(len(names))) if oddity == "integer names" else names
        if oddity == "filtered index":
            frame.index = pd.Index(sorted(rng.sample(range(rows * 3), rows)))
    return MessyFrame(seed, columns, names, FrameLayout(library, odd), frame)


def _names(columns: list[Column], oddity: str) -> list[str]:
    if oddity == "integer names":
        return [str(i) for i in range(len(columns))]
    names: list[str] = []
    for i, column in enumerate(columns):
        names.append(column.name if column.name not in names else f"{column.name}_{i}")
    if oddity == "duplicate names" and len(names) > 1:
        names[1] = names[0]
    return names


# ---- columns -----------------------------------------------------------------------------------------------
# Each function returns what is meant and the Series that holds it.

Pair = tuple[Column, Any]


def _column(
    rng: random.Random, meaning: str, values: list[Any], style: str, kinds: tuple[str, ...], **more: Any
) -> Column:
    names = {"number": ENGLISH.number, "date": ENGLISH.date, "text": ENGLISH.text}.get(
        meaning, ENGLISH.category
    )
    return Column(rng.choice(names), meaning, values, [repr(value) for value in values], style, kinds, **more)


def _series(library: str, values: list[Any], dtype: Any = None) -> Any:
    if library == "pandas":
        return pd.Series(values, dtype=dtype)
    return pl.Series("", values, dtype=dtype)


def _holes(rng: random.Random, values: list[Any], share: float = 0.1) -> list[Any]:
    """Return the values with some missing in two of three columns; never the first."""
    if rng.random() < 0.34:
        return values
    return [values[0], *(None if rng.random() < share else value for value in values[1:])]


def _floats(rng: random.Random, rows: int, library: str) -> Pair:
    values = _holes(rng, [round(rng.gauss(0, 10), 3) for _ in range(rows)])
    dtypes = ["float64", "Float64", "double[pyarrow]"] if library == "pandas" else [pl.Float64]
    dtype = rng.choice(dtypes)
    column = _column(rng, "number", values, f"{library} {dtype}", ("number",))
    return column, _series(library, values, dtype)


def _small_floats(rng: random.Random, rows: int, library: str) -> Pair:
    # Multiples of 1/8 are exact in half precision.
    values = _holes(rng, [rng.randint(-800, 800) / 8 for _ in range(rows)])
    dtype = rng.choice(["float32", "float16"]) if library == "pandas" else pl.Float32
    column = _column(rng, "number", values, f"{library} {dtype}", ("number",))
    return column, _series(library, values, dtype)


def _integers(rng: random.Random, rows: int, library: str) -> Pair:
    values: list[Any] = [rng.randint(0, 5000) for _ in range(rows)]
    dtype = rng.choice(["int64", "int16", "uint32", "Int64", "Int32", "int64[pyarrow]"])
    if library == "polars":
        dtype = rng.choice([pl.Int64, pl.Int16, pl.UInt32])
    if library == "polars" or dtype[0] == "I" or "arrow" in dtype:
        values = _holes(rng, values)
    return _column(rng, "number", values, f"{library} {dtype}", ("number",)), _series(library, values, dtype)


def _infinite(rng: random.Random, rows: int, library: str) -> Pair:
    values: list[float | None] = [round(rng.gauss(0, 10), 3) for _ in range(rows)]
    held, place = list(values), rng.randrange(1, rows)
    held[place], values[place] = float(rng.choice(["inf", "-inf"])), None
    column = _column(rng, "number", values, f"{library} float with inf", ("number",), word_on="bad cells")
    column.cells = [repr(value) for value in held]
    return column, _series(library, held)


def _sparse(rng: random.Random, rows: int, library: str) -> Pair:
    values = [0.0 if rng.random() < 0.7 else round(rng.gauss(0, 10), 3) for _ in range(rows)]
    series = pd.Series(pd.arrays.SparseArray(values, fill_value=0.0))
    return _column(rng, "number", values, "pandas Sparse", ("number", "skip")), series


def _decimals(rng: random.Random, rows: int, library: str) -> Pair:
    held = _holes(rng, [Decimal(rng.randint(-99_999, 99_999)) / 100 for _ in range(rows)])
    values = [None if value is None else float(value) for value in held]
    dtype = object if library == "pandas" else pl.Decimal(12, 2)
    return _column(rng, "number", values, f"{library} Decimal", ("number",)), _series(library, held, dtype)


def _durations(rng: random.Random, rows: int, library: str) -> Pair:
    held = _holes(rng, [timedelta(seconds=rng.randint(60, 900_000)) for _ in range(rows)])
    values = [None if value is None else value.total_seconds() for value in held]
    column = _column(rng, "number", values, f"{library} {DURATION}", ("number",), scales=UNITS)
    if library == "pandas":
        return column, pd.Series(pd.to_timedelta(held))
    return column, pl.Series("", held, dtype=pl.Duration(rng.choice(["ms", "us", "ns"])))


def _booleans(rng: random.Random, rows: int, library: str) -> Pair:
    values: list[Any] = [True, False, *(rng.random() < 0.5 for _ in range(rows - 2))]
    dtype: Any = rng.choice(["bool", "boolean", "bool[pyarrow]", object])
    dtype = pl.Boolean if library == "polars" else dtype
    values = values if dtype == "bool" else _holes(rng, values)
    column = _column(rng, "category", values, f"{library} {dtype}", ("category", "number"))
    return column, _series(library, values, dtype)


def _categorical(rng: random.Random, rows: int, library: str) -> Pair:
    """Words, or integers that are names because the frame's type says so, even many of them."""
    levels: list[Any] = list(rng.choice(ENGLISH.families))
    if library == "pandas" and rng.random() < 0.5:
        levels = rng.sample(range(10_000, 99_999), rng.choice([4, 25]))
    values = _holes(rng, rng.choices(levels, k=rows))
    column = _column(
        rng, "category", values, f"{library} category of {type(levels[0]).__name__}", ("category",)
    )
    if library == "polars":
        words_only = sorted({value for value in values if value is not None})
        return column, pl.Series("", values, dtype=rng.choice([pl.Categorical, pl.Enum(words_only)]))
    ordered = rng.random() < 0.3
    return column, pd.Series(pd.Categorical(values, categories=levels, ordered=ordered))


def _words(rng: random.Random, rows: int, library: str) -> Pair:
    levels = rng.choice(ENGLISH.families)[: rng.randint(2, 6)]
    values = _holes(rng, rng.choices(levels, k=rows))
    dtype: Any = rng.choice([object, "string", "string[pyarrow]"]) if library == "pandas" else pl.String
    kinds = ("category", "text") if rows <= 12 else ("category",)
    column = _column(rng, "category", values, f"{library} {dtype} words", kinds)
    return column, _series(library, values, dtype)


def _codes(rng: random.Random, rows: int, library: str) -> Pair:
    """Codes held as text, with leading zeros."""
    levels = ["00501", *(f"{rng.randrange(100_000):05d}" for _ in range(max(2, min(20, rows // 4))))]
    values = ["00501", *rng.choices(levels, k=rows - 1)]
    dtype: Any = rng.choice([object, "string"]) if library == "pandas" else pl.String
    kinds = ("category", "text") if rows <= 12 else ("category",)
    column = _column(rng, "code", values, f"{library} {dtype} codes", kinds)
    column.name = rng.choice(words.CODE_NAMES)
    return column, _series(library, values, dtype)


def _sentences(rng: random.Random, rows: int, library: str) -> Pair:
    values = [" ".join(rng.choices(ENGLISH.words, k=rng.randint(5, 12))) for _ in range(rows)]
    dtype: Any = rng.choice([object, "string"]) if library == "pandas" else pl.String
    return _column(rng, "text", values, f"{library} {dtype} text", ("text",)), _series(library, values, dtype)


def _number_words(rng: random.Random, rows: int, library: str) -> Pair:
    """Numbers held as text: the type says words, the cells say numbers, so a reader has to say."""
    values = [round(rng.gauss(0, 10), 2) for _ in range(rows)]
    held = [f"{value:.2f}" for value in values]
    dtype: Any = object if library == "pandas" else pl.String
    column = _column(rng, "number", values, f"{library} numbers as text", ("number",), ambiguous=True)
    return column, _series(library, held, dtype)


def _mixed_numbers(rng: random.Random, rows: int, library: str) -> Pair:
    """Numbers and the texts of numbers in one column of objects, as a spreadsheet gives."""
    values = [float(rng.randint(1, 5000)) for _ in range(rows)]
    held = [rng.choice([int(value), value, str(int(value))]) for value in values]
    column = _column(rng, "number", values, "pandas object of numbers and text", ("number",), ambiguous=True)
    return column, pd.Series(held, dtype=object)


def _mixed_names(rng: random.Random, rows: int, library: str) -> Pair:
    """Numbers and words that are names, such as the levels of a car park."""
    held: list[Any] = [*rng.choices([1, 2, 3, "ground", "roof"], k=rows - 2), "roof", 2]
    values = [str(value) for value in held]
    kinds = ("category", "text") if rows <= 12 else ("category",)
    return _column(rng, "category", values, "pandas object of names and numbers", kinds), pd.Series(
        held, dtype=object
    )


def _moments(rng: random.Random, rows: int) -> list[datetime]:
    start = datetime(rng.randint(1985, 2020), rng.randint(1, 12), rng.randint(1, 28))
    return [start + timedelta(seconds=rng.randrange(400 * 86400)) for _ in range(rows)]


def _datetimes(rng: random.Random, rows: int, library: str) -> Pair:
    values = _holes(rng, _moments(rng, rows))
    unit = rng.choice(["ns", "us", "ms"])
    column = _column(rng, "date", values, f"{library} datetime[{unit}]", ("date",))
    dtype = f"datetime64[{unit}]" if library == "pandas" else pl.Datetime(unit)
    return column, _series(library, values, dtype)


def _zoned(rng: random.Random, rows: int, library: str) -> Pair:
    zone = rng.choice(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"])
    # At noon no clock is put forward or back.
    local = _holes(rng, [moment.replace(hour=12) for moment in _moments(rng, rows)])
    aware = [None if value is None else value.replace(tzinfo=ZoneInfo(zone)) for value in local]
    utc = [
        None if value is None else value.astimezone(ZoneInfo("UTC")).replace(tzinfo=None) for value in aware
    ]
    column = _column(rng, "date", utc, f"{library} datetime with zone", ("date",), local=local)
    if library == "pandas":
        return column, pd.Series(pd.to_datetime(utc)).dt.tz_localize("UTC").dt.tz_convert(zone)
    return column, pl.Series("", utc, dtype=pl.Datetime("us")).dt.replace_time_zone(
        "UTC"
    ).dt.convert_time_zone(zone)


def _days(rng: random.Random, rows: int, library: str) -> Pair:
    values = _holes(rng, [moment.replace(hour=0, minute=0, second=0) for moment in _moments(rng, rows)])
    held: list[date | None] = [None if value is None else value.date() for value in values]
    column = _column(rng, "date", values, f"{library} date", ("date",))
    return column, _series(library, held, object if library == "pandas" else pl.Date)


def _periods(rng: random.Random, rows: int, library: str) -> Pair:
    values = [moment.replace(day=1, hour=0, minute=0, second=0) for moment in _moments(rng, rows)]
    return _column(rng, "date", values, "pandas Period", ("date",)), pd.Series(
        pd.PeriodIndex(values, freq="M")
    )


def _times(rng: random.Random, rows: int, library: str) -> Pair:
    values = [float(rng.randrange(86_400)) for _ in range(rows)]
    held = [(datetime.min + timedelta(seconds=value)).time() for value in values]
    column = _column(rng, "number", values, "polars Time", ("number",), scales=UNITS)
    return column, pl.Series("", held, dtype=pl.Time)


def _nested(rng: random.Random, rows: int, library: str) -> Pair:
    """Lists in cells: left out with a word, or refused."""
    held: list[Any] = [[round(rng.random(), 3) for _ in range(3)] for _ in range(rows)]
    if library == "pandas":
        column, series = "pandas object of lists", pd.Series(held, dtype=object)
    else:
        dtype = rng.choice([pl.List(pl.Float64), pl.Array(pl.Float64, 3), pl.Struct({"a": pl.Float64})])
        held = [{"a": value[0]} for value in held] if isinstance(dtype, pl.Struct) else held
        column, series = f"polars {dtype.base_type()}", pl.Series("", held, dtype=dtype)
    return _column(rng, "text", [str(value) for value in held], column, ("skip",)), series


def _bytes(rng: random.Random, rows: int, library: str) -> Pair:
    held = [rng.randbytes(8) for _ in range(rows)]
    series = _series(library, held, object if library == "pandas" else pl.Binary)
    return _column(rng, "text", [repr(value) for value in held], f"{library} bytes", ("skip",)), series


def _nothing(rng: random.Random, rows: int, library: str) -> Pair:
    kinds = ("skip", "number", "category", "text", "date")
    values = [None] * rows
    return _column(rng, "category", values, f"{library} nothing but missing", kinds), _series(library, values)


COMMON: list[Callable[[random.Random, int, str], Pair]] = [
    _floats,
    _small_floats,
    _integers,
    _infinite,
    _decimals,
    _durations,
    _booleans,
    _categorical,
    _categorical,
    _words,
    _codes,
    _sentences,
    _number_words,
    _datetimes,
    _zoned,
    _days,
    _nested,
    _bytes,
    _nothing,
]
PANDAS = [*COMMON, _sparse, _mixed_numbers, _mixed_names, _periods]
POLARS = [*COMMON, _times]


# ---- the command -------------------------------------------------------------------------------------------


def score(
    seeds: range, reader: Callable[[Any, dict[str, Any]], Understood]
) -> dict[int, tuple[str, list[Problem]]]:
    """Return the verdict and the problems of each seed's frame, as read by the reader."""
    results = {}
    for seed in seeds:
        frame = make(seed)
        problems = judge(reader, frame.frame, frame)
        results[seed] = (verdict(problems), problems)
    return results


def main(arguments: list[str] | None = None) -> int:
    """Score Thalweg's reader of frames."""
    parser = argparse.ArgumentParser(prog="python -m tests.problem.data.messy_frames", description=__doc__)
    parser.add_argument("--count", type=int, default=500, help="how many frames")
    parser.add_argument("--seed", type=int, default=0, help="the first seed; from 1,000,000 on: held out")
    parser.add_argument("--all", action="store_true", help="list what was asked about, too")
    chosen = parser.parse_args(arguments)
    results = score(range(chosen.seed, chosen.seed + chosen.count), understood_by_thalweg)
    print(report(results, with_asked=chosen.all))
    return int(any(kind == SILENT for kind, _ in results.values()))


if __name__ == "__main__":
    sys.exit(main())
