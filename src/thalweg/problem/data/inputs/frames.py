"""Frames of any library, and time series in any form, as Polars frames."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from thalweg.core.errors import DataError, MissingExtra
from thalweg.core.lazy import pl
from thalweg.problem.data.inputs.array import checked_numbers


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
    try:
        return pl.from_pandas(source.rename(columns=str))
    except ImportError as error:
        raise MissingExtra("table", "a pandas frame needs pyarrow", hint="pip install pyarrow") from error
    except (TypeError, ValueError, pl.exceptions.PolarsError) as error:
        rule = "every column must hold values of one type"
        hint = "convert the column to numbers or text first"
        raise DataError("table", rule, got=str(error).splitlines()[0], hint=hint) from error


def is_pair(source: Any) -> bool:
    """Return whether something is a pair (inputs, targets), rather than two numbers."""
    return isinstance(source, (tuple, list)) and len(source) == 2 and not np.isscalar(source[0])


def join_target(inputs: Any, targets: Any) -> tuple[pl.DataFrame, str]:
    """Join a frame of inputs and its targets into one frame; return it with the name of the target column.

    Raises:
        DataError: The lengths differ, or the targets are not a single column.
    """
    frame, own_name = as_frame(inputs), getattr(targets, "name", None)
    name = own_name if isinstance(own_name, str) and own_name not in ("", *frame.columns) else "target"
    values = targets.tolist() if hasattr(targets, "tolist") else list(targets)
    if len(values) != frame.height:
        rule = "inputs and targets must have the same number of rows"
        hint = "check that both come from the same rows"
        raise DataError("data", rule, got=f"{frame.height} and {len(values)}", hint=hint)
    try:
        column = pl.Series(name, values, strict=False)
    except (TypeError, pl.exceptions.PolarsError) as error:
        raise DataError("target", "must hold values of one type", got=str(error).splitlines()[0]) from error
    return frame.with_columns(column), name


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
    array = np.asarray(source)
    missing = np.isnan(array) if array.dtype.kind == "f" else np.zeros(array.shape, bool)
    numbers = checked_numbers("a series", np.where(missing, 0, array) if missing.any() else array)
    if numbers.ndim > 2:
        rule = "must be an array of one axis (time) or two (time, feature)"
        hint = "an array of windows loads without window="
        raise DataError("series", rule, got=f"shape {numbers.shape}", hint=hint)
    table = np.where(missing, np.nan, numbers) if missing.any() else numbers
    table = table[:, None] if table.ndim == 1 else table
    columns = [pl.Series(f"column_{i}", table[:, i], nan_to_null=True) for i in range(table.shape[1])]
    return pl.DataFrame(columns)


def _is_pandas(source: Any) -> bool:
    return type(source).__module__.split(".")[0] == "pandas" and type(source).__name__ == "DataFrame"
