"""`SeriesColumns`: rows of a table, in time order, to windows of standardised inputs."""

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from thalweg.core.errors import DataError
from thalweg.problem.data.inputs.series_frames import series_frame
from thalweg.problem.data.inputs.table import TableColumns


@dataclass(frozen=True)
class SeriesColumns:
    """Turns a table in time order into windows.

    Args:
        table: The rules of the columns; the target's own past is one of them, unless it was dropped.
        window: Rows in a window.
        horizon: Values that follow a window and are predicted.
    """

    kind: ClassVar[str] = "series"
    table: TableColumns
    window: int
    horizon: int

    def inputs(self, raw: Any) -> np.ndarray:
        """Return every window of a frame or an array, `window time feature`, float32.

        The last window ends at the last row: what it predicts lies beyond the table.

        Raises:
            DataError: There are fewer rows than a window has, or columns are missing.
        """
        frame = series_frame(raw)[0]
        if frame.height < self.window:
            raise DataError(
                "series",
                f"must have at least the {self.window} rows of a window",
                got=f"{frame.height} rows",
                hint="give the rows before these too",
            )
        rows = self.table.inputs(frame)
        return np.moveaxis(np.lib.stride_tricks.sliding_window_view(rows, self.window, axis=0), 2, 1)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {"table": self.table.to_dict(), "window": self.window, "horizon": self.horizon}

    @classmethod
    def from_dict(cls, given: dict[str, Any]) -> Self:
        """Build from plain values; the inverse of `to_dict`."""
        return cls(TableColumns.from_dict(given["table"]), given["window"], given["horizon"])
