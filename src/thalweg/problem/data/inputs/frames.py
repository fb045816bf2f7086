"""Frames of any library to polars frames."""

from __future__ import annotations

import sys
from typing import Any

from thalweg.core.errors import DataError, MissingExtra
from thalweg.core.lazy import pl


def is_frame(source: Any) -> bool:
    """Tell whether something is a polars or pandas frame. Neither is imported for it."""
    polars = "polars" in sys.modules and isinstance(source, (pl.DataFrame, pl.LazyFrame))
    return polars or _is_pandas(source)


def as_frame(source: Any) -> pl.DataFrame:
    """Return a polars frame.

    Raises:
        DataError: It is no frame, or holds columns that polars cannot take.
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
        frame = pl.from_pandas(source.rename(columns=str))
    except ImportError as error:
        raise MissingExtra("table", "a pandas frame needs pyarrow", hint="pip install pyarrow") from error
    except (TypeError, ValueError, pl.exceptions.PolarsError) as error:
        raise DataError(
            "table",
            "every column must hold values of one type",
            got=str(error).splitlines()[0],
            hint="convert the column to numbers or text first",
        ) from error
    return frame


def joined(pair: tuple[Any, Any]) -> tuple[pl.DataFrame, str]:
    """Join (frame of inputs, targets) into one frame; return it with the name of the target column.

    Raises:
        DataError: The lengths differ, or the targets are no single column.
    """
    frame, targets = as_frame(pair[0]), pair[1]
    given = getattr(targets, "name", None)
    name = given if isinstance(given, str) and given and given not in frame.columns else "target"
    values = targets.tolist() if hasattr(targets, "tolist") else list(targets)
    if len(values) != frame.height:
        raise DataError(
            "data",
            "inputs and targets must have the same number of rows",
            got=f"{frame.height} and {len(values)}",
            hint="check that both come from the same rows",
        )
    try:
        column = pl.Series(name, values, strict=False)
    except (TypeError, pl.exceptions.PolarsError) as error:
        raise DataError("target", "must hold values of one type", got=str(error).splitlines()[0]) from error
    return frame.with_columns(column), name


def _is_pandas(source: Any) -> bool:
    return type(source).__module__.split(".")[0] == "pandas" and type(source).__name__ == "DataFrame"
