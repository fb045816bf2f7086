"""Predictions as tables: columns of a frame, CSV and plain values."""

from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np
import polars as pl

from thalweg.core.escape import cell
from thalweg.problem.data.files.header import distinct_names


def frame_of(answers: dict[str, np.ndarray], targets: Sequence[str] = ()) -> pl.DataFrame:
    """Return predictions as a frame; several values of one name are columns of their own.

    Args:
        answers: The predictions.
        targets: Names of several targets, for the ends of the columns' names; numbers if none are given.
    """
    columns: dict[str, Any] = {}
    for name, values in answers.items():
        if values.ndim == 1:
            columns[name] = values.tolist() if values.dtype == object else values
        else:
            flat = values.reshape(len(values), -1)
            ends = targets if len(targets) == flat.shape[1] else range(flat.shape[1])
            columns |= {f"{name}_{end}": flat[:, i] for i, end in enumerate(ends)}
    return pl.DataFrame(columns)


def csv_of(answers: dict[str, np.ndarray], formulas: bool = False, targets: Sequence[str] = ()) -> str:
    """Return predictions as CSV.

    Args:
        answers, targets: As for `frame_of`.
        formulas: Whether text that a spreadsheet would run as a formula stays as it is.
    """
    return csv_text(frame_of(answers, targets), formulas)


def csv_text(frame: pl.DataFrame, formulas: bool = False, *, header: bool = True) -> str:
    """Return a table of predictions as CSV, with its names or without; else as `csv_of`."""
    if not formulas:
        texts = pl.col(pl.String).map_elements(cell, return_dtype=pl.String)
        frame = frame.with_columns(texts)
        frame.columns = distinct_names([cell(name) for name in frame.columns])
    content = BytesIO()
    frame.write_csv(content, include_header=header)
    return content.getvalue().decode()
