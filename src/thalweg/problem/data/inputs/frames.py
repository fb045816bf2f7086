"""Frames of any library, and time series in any form, as Polars frames."""

from __future__ import annotations

import sys
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import numpy as np

from thalweg.core.caller import option_name
from thalweg.core.errors import DataError, MissingExtra
from thalweg.core.lazy import pl
from thalweg.problem.data.files.header import distinct_names, repeated_names
from thalweg.problem.data.files.tables import TARGETS, ReadTable
from thalweg.problem.data.inputs.array import checked_numbers, plain_array
from thalweg.problem.data.note import Note

# An array of more values than this is an image or a series, not a few columns.
MOST_INNER = 50


def is_frame(source: Any) -> bool:
    """Return whether something is a Polars or pandas frame, without importing either."""
    polars = "polars" in sys.modules and isinstance(source, (pl.DataFrame, pl.LazyFrame))
    return polars or _is_pandas(source)


def as_frame(source: Any) -> pl.DataFrame:
    """Return a Polars frame.

    Raises:
        DataError: It is not a frame, or has columns that Polars cannot hold.
        MissingExtra: A pandas frame needs pyarrow.
    """
    if isinstance(source, pl.LazyFrame):
        return source.collect()
    if isinstance(source, pl.DataFrame):
        return source
    if not _is_pandas(source):
        raise DataError(
            "table", "must be a polars or pandas frame", got=type(source).__name__, hint="use pl.DataFrame"
        )
    names = distinct_names([str(name) for name in source.columns])
    return pl.DataFrame([_from_pandas(source.iloc[:, i], name) for i, name in enumerate(names)])


def as_table(source: Any, target: str | None = None) -> ReadTable:
    """Return a frame as a table that was read, with notes: nested columns are divided, equal names differ.

    Args:
        source: The frame.
        target: A column of several targets, which stays as it is.

    Raises:
        DataError: It is not a frame, or has columns that cannot be used.
    """
    frame, notes = flattened(as_frame(source), target)
    given = [str(name) for name in source.columns] if _is_pandas(source) else []
    repeated = [name for name, before in zip(distinct_names(given), given, strict=True) if name != before]
    return ReadTable(frame, (*repeated_names(repeated), *notes))


def flattened(frame: pl.DataFrame, target: str | None = None) -> tuple[pl.DataFrame, tuple[Note, ...]]:
    """Return a frame in which structures and arrays of one length are columns of their own, and notes.

    Columns of lists, which differ in length, and of objects are left out.
    """
    columns: list[pl.Series] = []
    notes = []
    for series in frame.get_columns():
        inner = None if series.name == target else _inner(series)
        if inner is None:
            columns.append(series)
        elif inner:
            columns += inner
            text = f"{series.name} holds several values a row; each is a column: {inner[0].name}, ..."
            notes.append(Note("nested", text, (series.name,)))
        else:
            text = (
                f"{series.name} holds {series.dtype} values, which are no numbers, text or dates; left out."
            )
            notes.append(Note("nested", text, (series.name,)))
    if not columns:
        rule = "must hold columns of numbers, text, booleans or dates"
        got = ", ".join(map(str, frame.dtypes))
        raise DataError("table", rule, got=got, hint="take the values out of their lists first")
    names = distinct_names([series.name for series in columns])
    if not notes and names == frame.columns:
        return frame, ()
    return pl.DataFrame([series.alias(name) for series, name in zip(columns, names, strict=True)]), tuple(
        notes
    )


def _inner(series: pl.Series) -> list[pl.Series] | None:
    """Return the columns inside a nested one; none if it cannot be divided; None for a plain column."""
    dtype = series.dtype
    if isinstance(dtype, pl.Struct):
        return [series.struct.field(f.name).alias(f"{series.name}.{f.name}") for f in dtype.fields]
    if isinstance(dtype, pl.Array):
        series, dtype = series.cast(pl.List(dtype.inner)), pl.List(dtype.inner)
    if isinstance(dtype, pl.List):
        lengths = series.list.len().drop_nulls().unique()
        if lengths.len() != 1 or not 0 < lengths[0] <= MOST_INNER or dtype.inner.is_nested():
            return []
        return [series.list.get(i).alias(f"{series.name}_{i}") for i in range(int(lengths[0]))]
    return [] if dtype in (pl.Object, pl.Binary) else None


def _from_pandas(series: Any, name: str) -> pl.Series:
    """Return a pandas column as a Polars one.

    Raises:
        DataError: It holds something else than single values.
        MissingExtra: pyarrow is needed.
    """
    dtype = str(series.dtype)
    if dtype == "category" or dtype == "object":
        return _from_objects(series, name, category=dtype == "category")
    if dtype.startswith("Sparse"):
        series = series.sparse.to_dense()
    elif dtype.startswith("period"):
        series = series.dt.to_timestamp()
    try:
        return pl.from_pandas(series).alias(name)
    except ImportError as error:
        raise MissingExtra("table", "a pandas frame needs pyarrow", hint="pip install pyarrow") from error
    # Among them pyarrow's ArrowNotImplementedError, such as for complex numbers.
    except (TypeError, ValueError, NotImplementedError, pl.exceptions.PolarsError) as error:
        raise _mixed(name, str(error).splitlines()[0]) from error


def _from_objects(series: Any, name: str, category: bool) -> pl.Series:
    """Return the values of a column of Python objects; values of several types become text."""
    missing = series.isna().tolist()
    values = [None if gone else value for value, gone in zip(series.tolist(), missing, strict=True)]
    types = {type(value) for value in values if value is not None}
    if category:
        return pl.Series(name, [None if v is None else str(v) for v in values], dtype=pl.String).cast(
            pl.Categorical
        )
    nested = [kind for kind in types if issubclass(kind, (dict, set, bytes)) or not _is_single(kind)]
    if nested and not (len(types) == 1 and types <= {list, tuple, np.ndarray}):
        raise _mixed(name, ", ".join(sorted(kind.__name__ for kind in types)))
    if len(types) > 1 and not types <= {int, float}:
        return pl.Series(name, [None if v is None else str(v) for v in values], dtype=pl.String)
    try:
        return pl.Series(name, values, strict=False)
    except (TypeError, ValueError, pl.exceptions.PolarsError) as error:
        raise _mixed(name, str(error).splitlines()[0]) from error


def _is_single(kind: type) -> bool:
    return issubclass(kind, (str, int, float, bool, np.generic, Decimal, date, datetime, time, timedelta))


def _mixed(name: str, got: str) -> DataError:
    rule = f"column {name!r} must hold values of one type"
    return DataError("table", rule, got=got, hint="convert the column to numbers or text first")


def is_pair(source: Any) -> bool:
    """Return whether something is a pair (inputs, targets), rather than two numbers."""
    return isinstance(source, (tuple, list)) and len(source) == 2 and not np.isscalar(source[0])


def join_target(inputs: Any, targets: Any) -> tuple[pl.DataFrame, str]:
    """Join a frame of inputs and its targets into one frame; return it with the name of the target column.

    Several target columns, a frame or a matrix, become one column of structures.

    Raises:
        DataError: The lengths differ, or the targets are not columns of values of one type.
    """
    frame = as_frame(inputs)
    if is_frame(targets):
        table = as_frame(targets)
        targets = table.to_series() if table.width == 1 else table.to_struct(TARGETS.join(table.columns))
    elif _is_matrix(targets):
        matrix = plain_array("targets", targets)
        names = [f"target_{i}" for i in range(matrix.shape[1])]
        targets = matrix[:, 0] if len(names) == 1 else pl.DataFrame(matrix, names).to_struct("target")
    own_name = getattr(targets, "name", None)
    name = own_name if isinstance(own_name, str) and own_name not in ("", *frame.columns) else "target"
    values = targets
    if not isinstance(targets, pl.Series):
        array = plain_array("targets", targets)
        values = [] if not array.ndim else array.tolist() if hasattr(targets, "tolist") else list(targets)
    if len(values) != frame.height:
        rule = "inputs and targets must have the same number of rows"
        hint = "check that both come from the same rows"
        raise DataError("data", rule, got=f"{frame.height} and {len(values)}", hint=hint)
    try:
        column = pl.Series(name, values, strict=False)
    except (TypeError, pl.exceptions.PolarsError) as error:
        rule, hint = "must hold values of one type", "convert them to numbers or text first"
        raise DataError("target", rule, got=str(error).splitlines()[0], hint=hint) from error
    return frame.with_columns(column), name


def _is_matrix(targets: Any) -> bool:
    if isinstance(targets, (list, tuple)):
        return len(targets) > 0 and isinstance(targets[0], (list, tuple))
    return getattr(targets, "ndim", 1) == 2


def series_frame(source: Any) -> tuple[pl.DataFrame, str | None]:
    """Return a time series as a frame, one row for each point in time, and the name of its target if known.

    Args:
        source: A frame; an array of numbers, `time` or `time feature`; or a pair (inputs, target) of a frame
            or an array and the target at the same times.

    Raises:
        DataError: It is none of these.
    """
    if is_pair(source):
        return join_target(source[0] if is_frame(source[0]) else _from_array(source[0]), source[1])
    if is_frame(source):
        return as_frame(source), None
    frame = _from_array(source)
    return frame, frame.columns[0] if frame.width == 1 else None


def _from_array(source: Any) -> pl.DataFrame:
    array = plain_array("a series", source)
    missing = np.isnan(array) if array.dtype.kind == "f" else np.zeros(array.shape, bool)
    numbers = checked_numbers("a series", np.where(missing, 0, array) if missing.any() else array)
    if numbers.ndim > 2:
        rule = "must be an array of one axis (time) or two (time, feature)"
        hint = f"an array of windows loads without {option_name('window')}"
        raise DataError("series", rule, got=f"shape {numbers.shape}", hint=hint)
    table = np.where(missing, np.nan, numbers) if missing.any() else numbers
    table = table[:, None] if table.ndim == 1 else table
    columns = [pl.Series(f"column_{i}", table[:, i], nan_to_null=True) for i in range(table.shape[1])]
    return pl.DataFrame(columns)


def _is_pandas(source: Any) -> bool:
    return type(source).__module__.split(".")[0] == "pandas" and type(source).__name__ == "DataFrame"
