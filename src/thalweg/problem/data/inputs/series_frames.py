"""Whatever a time series comes as, to a frame: one row for each point in time."""

from __future__ import annotations

from typing import Any

import numpy as np

from thalweg.core.errors import DataError
from thalweg.core.lazy import pl
from thalweg.problem.data.inputs.array import checked_numbers
from thalweg.problem.data.inputs.frames import as_frame, is_frame, joined


def series_frame(source: Any) -> tuple[pl.DataFrame, str | None]:
    """Return the frame, and the name of its target where the source tells it.

    Args:
        source: A frame; an array of numbers, `time` or `time feature`; or a pair (inputs, target) of a frame
            or an array and the target at the same times.

    Raises:
        DataError: It is none of these.
    """
    if isinstance(source, (tuple, list)) and len(source) == 2 and not np.isscalar(source[0]):
        frame = source[0] if is_frame(source[0]) else _from_array(source[0])
        return joined((frame, source[1]))
    if is_frame(source):
        return as_frame(source), None
    frame = _from_array(source)
    return frame, frame.columns[0] if frame.width == 1 else None


def _from_array(source: Any) -> pl.DataFrame:
    array = np.asarray(source)
    missing = np.isnan(array) if array.dtype.kind == "f" else np.zeros(array.shape, bool)
    numbers = checked_numbers("a series", np.where(missing, 0, array) if missing.any() else array)
    if numbers.ndim > 2:
        raise DataError(
            "series",
            "must be an array of one axis (time) or two (time, feature)",
            got=f"shape {numbers.shape}",
            hint="windows that are cut already load without window=",
        )
    table = np.where(missing, np.nan, numbers) if missing.any() else numbers
    table = table[:, None] if table.ndim == 1 else table
    columns = [pl.Series(f"column_{i}", table[:, i], nan_to_null=True) for i in range(table.shape[1])]
    return pl.DataFrame(columns)
