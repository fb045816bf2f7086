"""Odd frames: what the generator holds, what its check catches, and how Thalweg reads them."""

from dataclasses import replace

import pandas as pd
import polars as pl
import pytest

from tests.problem.data.messy import report
from tests.problem.data.messy_check import (
    RIGHT,
    SILENT,
    Remark,
    SeenColumn,
    Understood,
    check,
    understood_by_thalweg,
    verdict,
)
from tests.problem.data.messy_frames import PANDAS, POLARS, UNITS, make, score

FRAMES = [make(seed) for seed in range(120)]


def oracle(messy):
    """What a perfect reader makes of the frame."""
    seen = [SeenColumn(column.name, column.kinds[0], column.values) for column in messy.columns]
    remarks = [
        Remark(f"{column.name} was guessed", (column.name,), f"--types {column.name}=skip")
        for column in messy.columns
        if column.ambiguous or column.word_on or column.kinds[0] == "skip"
    ]
    return Understood(seen, remarks)


def with_column(messy, condition, kind, change):
    """Return a reading in which the first column that the condition holds for is read differently."""
    read, place = oracle(messy), next(i for i, c in enumerate(messy.columns) if condition(c))
    columns = list(read.columns)
    columns[place] = replace(columns[place], kind=kind, values=[change(v) for v in columns[place].values])
    return replace(read, columns=columns)


def first(condition):
    return next(messy for messy in FRAMES if any(map(condition, messy.columns)) and not messy.layout.oddity)


def test_thalweg_reads_odd_frames_or_asks():
    try:
        results = score(range(0, 9_960, 166), understood_by_thalweg)
    except NotImplementedError as error:
        pytest.skip(str(error))
    assert SILENT not in [kind for kind, _ in results.values()], report(results)


def test_a_perfect_reader_is_right_on_every_frame():
    for messy in FRAMES:
        problems = check(oracle(messy), messy)
        assert verdict(problems) == RIGHT, (messy.seed, problems)


def test_the_frames_hold_the_values():
    """Numbers, words and dates in the frame are those that are meant, read by the libraries themselves."""
    compared = 0
    for messy in FRAMES:
        for place, column in enumerate(messy.columns):
            series = messy.frame.iloc[:, place] if messy.layout.library == "pandas" else messy.frame[:, place]
            plain = (
                "float64" in column.style.lower() or "words" in column.style or "datetime[" in column.style
            )
            if not plain:
                continue
            missing = series.isna() if isinstance(series, pd.Series) else series.is_null()
            held = [None if gone else value for value, gone in zip(series, missing, strict=True)]
            assert held == column.values, (messy.seed, column.style)
            compared += 1
    assert compared > 50


def test_every_kind_of_column_occurs():
    styles = {column.style.split()[1] for messy in FRAMES for column in messy.columns}
    for part in (
        "category",
        "length",
        "Decimal",
        "datetime",
        "Period",
        "Sparse",
        "Time",
        "bytes",
        "List",
        "object",
    ):
        assert part in styles, part
    assert {type(messy.frame) for messy in FRAMES} == {pd.DataFrame, pl.DataFrame}
    assert len({maker.__name__ for maker in PANDAS + POLARS}) >= 20


def test_a_category_of_integers_read_as_numbers_is_a_silent_error():
    condition = lambda column: column.style == "pandas category of int"  # noqa: E731
    messy = first(condition)
    wrong = with_column(messy, condition, "number", lambda value: value)
    assert verdict(check(wrong, messy)) == SILENT


def test_codes_without_their_zeros_are_silent_errors():
    condition = lambda column: "codes" in column.style  # noqa: E731
    messy = first(condition)
    assert verdict(check(with_column(messy, condition, "category", lambda v: str(int(v))), messy)) == SILENT
    assert verdict(check(with_column(messy, condition, "number", float), messy)) == SILENT


def test_infinity_kept_is_a_silent_error():
    condition = lambda column: "inf" in column.style  # noqa: E731
    messy = first(condition)
    place = next(i for i, column in enumerate(messy.columns) if condition(column))
    held = messy.frame.iloc[:, place] if messy.layout.library == "pandas" else messy.frame[:, place]
    assert [abs(value) for value in held].count(float("inf")) == 1
    kept = with_column(messy, condition, "number", lambda value: float("inf") if value is None else value)
    kept = replace(kept, remarks=[replace(remark, switch="") for remark in kept.remarks])
    assert [problem.silent for problem in check(kept, messy) if "inf" in problem.style] == [True]


def test_lengths_of_time_are_read_in_one_unit():
    condition = lambda column: column.scales == UNITS and "length" in column.style  # noqa: E731
    messy = first(condition)
    hours = with_column(messy, condition, "number", lambda value: value and value / 3600)
    assert verdict(check(hours, messy)) == RIGHT
    odd = with_column(messy, condition, "number", lambda value: value and value / 7)
    assert verdict(check(odd, messy)) == SILENT
