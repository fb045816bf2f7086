"""`Runs`: what came of many recipes trained together. A table, and a list of runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, overload

from thalweg.core.lazy import pl
from thalweg.run.run import Run


@dataclass(frozen=True, repr=False)
class Runs(Sequence[Run]):
    """The runs of a sweep, in the order of their recipes.

    Args:
        runs: One for each recipe.
        table: One row for each: lane, group, the settings that vary, why it stopped, what it reached.
        result: The sweep as plain values; the object of sweep.json.
        folder: Where it lies on disk; None for memory only.
    """

    runs: tuple[Run, ...]
    table: pl.DataFrame
    result: dict[str, Any] = field(default_factory=dict)
    folder: Path | None = None

    @overload
    def __getitem__(self, index: int) -> Run: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Run]: ...
    def __getitem__(self, index: int | slice) -> Run | Sequence[Run]:
        """Return the run of a lane."""
        return self.runs[index]

    def __len__(self) -> int:
        """Return how many runs there are."""
        return len(self.runs)

    def __iter__(self) -> Iterator[Run]:
        """Go through the runs in the order of their recipes."""
        return iter(self.runs)

    def __repr__(self) -> str:
        """Show the table."""
        return f"Runs({len(self)} lanes)\n{self.table}"

    @property
    def best(self) -> Run:
        """The run with the lowest validation loss (test loss where there is no validation part).

        The best of many is partly luck; `insight.ranking` compares settings over seeds, with intervals.
        """
        column = "validation_loss" if self.table["validation_loss"].is_not_null().any() else "test_loss"
        order = self.table.with_row_index("row").sort(column, nulls_last=True)
        return self.runs[int(order["row"][0])]
