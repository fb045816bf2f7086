"""Rows of a request, JSON or CSV, as the columns of the preparation take them; predictions; the schema.

Every refusal is a `DataError`, with the words that `thalweg predict` has.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from thalweg.core.disk import replace
from thalweg.core.errors import DataError
from thalweg.doors.answers import frame_of
from thalweg.problem.data.inputs.array import ArrayInputs
from thalweg.problem.data.inputs.image import ImageInputs
from thalweg.problem.data.inputs.rules import CategoryRule, DateRule, NumberRule
from thalweg.problem.data.inputs.series import SeriesColumns
from thalweg.problem.data.inputs.table import TableColumns
from thalweg.run.restore import Trained

JSON, CSV = "application/json", "text/csv"
# The largest whole numbers that floats count without gaps, and that they hold at all.
_EXACT, _LARGEST_FLOAT = 2**53, int(sys.float_info.max)
# Values of cells in JSON.
_CELLS = (str, int, float, bool, type(None))


def rows_of(content: bytes) -> list[Any]:
    """Return the rows of a JSON body: a list of rows, or an object whose `rows` is one.

    Raises:
        DataError: It is no JSON, or holds no rows.
    """
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _body("the body must be JSON", str(error).splitlines()[0][:80]) from error
    rows = value.get("rows") if isinstance(value, dict) else value
    if not isinstance(rows, list) or not rows:
        raise _body("the body must be a list of rows, at least one", type(rows).__name__)
    return rows


def _body(rule: str, got: object) -> DataError:
    return DataError("request", rule, got=got, hint="GET /schema shows an example")


def raw_of(rows: list[Any], trained: Trained) -> Any:
    """Return rows of JSON as the columns of the preparation take them.

    Raises:
        DataError: A row is of another form.
    """
    columns = trained.preparation.columns
    if not columns.takes_frames:
        return columns.read(_array(rows), trained.preparation.target)
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            raise _body(
                "every row must be an object of cells by column", f"{type(row).__name__} (row {number + 1})"
            )
        wrong = next((name for name, cell in row.items() if not isinstance(cell, _CELLS)), None)
        if wrong is not None:
            rule = f"column {wrong!r} must hold single values"
            raise _body(rule, f"{type(row[wrong]).__name__} (row {number + 1})")
    names = list(dict.fromkeys(name for row in rows for name in row))
    if not names:
        raise _body("every row must be an object of cells by column", "no columns")
    return pl.DataFrame([_column(name, [row.get(name) for row in rows]) for name in names])


def _column(name: str, cells: list[Any]) -> pl.Series:
    """Return a column: numbers if all cells are, else text as a CSV file has it."""
    kinds = {type(cell) for cell in cells if cell is not None}
    largest = max((abs(cell) for cell in cells if type(cell) is int), default=0)
    if kinds == {int} and _EXACT < largest < 2**63:  # a float would make other numbers of them, such as codes
        return pl.Series(name, cells, dtype=pl.Int64)
    if kinds <= {int, float} and kinds and largest <= _LARGEST_FLOAT:
        return pl.Series(name, [None if c is None else float(c) for c in cells], dtype=pl.Float64)
    if kinds == {bool}:
        return pl.Series(name, cells, dtype=pl.Boolean)
    texts = [
        None if cell is None else json.dumps(cell) if isinstance(cell, bool) else str(cell) for cell in cells
    ]
    return pl.Series(name, texts, dtype=pl.String)


def _array(rows: list[Any]) -> np.ndarray:
    try:
        array = np.asarray(rows)
    except ValueError as error:
        raise _body("every row must be an array of one shape", "rows of several shapes") from error
    if array.dtype.kind not in "iuf":
        raise _body("every row must be an array of numbers", f"values of type {array.dtype}")
    return array


def raw_of_csv(content: bytes, trained: Trained) -> Any:
    """Return a CSV table as the columns of the preparation take it, read as `thalweg predict` reads a file.

    Raises:
        DataError: The model takes no tables, or the table cannot be read.
    """
    columns = trained.preparation.columns
    if not columns.takes_frames:
        raise DataError("request", f"the model takes {JSON}", got=CSV, hint="GET /schema shows an example")
    with tempfile.TemporaryDirectory(prefix="thalweg-") as folder:
        path = Path(folder) / "request.csv"
        replace(path, content, durable=False)
        return columns.read(path, trained.preparation.target)


def plain_rows(answers: dict[str, np.ndarray], targets: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Return predictions as rows of plain values; NaN becomes None."""
    return [
        {name: None if isinstance(v, float) and not math.isfinite(v) else v for name, v in row.items()}
        for row in frame_of(answers, targets).to_dicts()
    ]


def schema_of(trained: Trained) -> dict[str, Any]:
    """Return what a row must hold, with an example, and what is answered."""
    columns, data = trained.preparation.columns, trained.record.problem["data"]
    about: dict[str, Any] = {
        "model": trained.record.problem.get("model", {}).get("spec"),
        "data": data["name"],
        "task": trained.task,
        "target": trained.preparation.target,
        "classes": data.get("classes"),
        "weights": trained.weights,
        "content_types": [JSON, CSV] if columns.takes_frames else [JSON],
    }
    if isinstance(columns, TableColumns):
        fields = [_field(rule) for rule in columns.rules]
        return about | {"columns": fields, "example": {"rows": [{f["name"]: f["example"] for f in fields}]}}
    if isinstance(columns, SeriesColumns):
        fields = [_field(rule) for rule in columns.table.rules]
        row = {each["name"]: each["example"] for each in fields}
        return about | {
            "columns": fields,
            "window": columns.window,
            "example": {"rows": [row] * columns.window},
        }
    assert isinstance(columns, (ArrayInputs, ImageInputs))
    start = columns.range.low[0] if columns.range.low else 0.0
    whole = isinstance(columns, ImageInputs) and columns.byte
    example = np.full(columns.shape, int(start) if whole else start).tolist()
    return about | {"shape": list(columns.shape), "example": {"rows": [example]}}


def _field(rule: Any) -> dict[str, Any]:
    """Return a column's name, type, and a cell that it might hold."""
    about: dict[str, Any] = {"name": rule.column, "type": rule.kind}
    if isinstance(rule, NumberRule):
        middle = (
            rule.mean if not rule.unit else math.copysign(math.expm1(abs(rule.mean)), rule.mean) * rule.unit
        )
        return about | {"example": float(f"{middle:.4g}")}
    if isinstance(rule, CategoryRule):
        return about | {"categories": list(rule.categories), "example": (*rule.categories, "")[0]}
    if isinstance(rule, DateRule):
        day = dict(zip(rule.parts, rule.mean, strict=True)).get("days", 18_000.0)
        moment = pl.Series([round(day * 86_400e6)]).cast(pl.Datetime("us"))
        form = rule.format if "%" in rule.format else "%Y-%m-%d"
        return about | {"format": form, "example": moment.dt.strftime(form)[0]}
    return about | {"words": list(rule.words), "example": " ".join(rule.words[:2])}
