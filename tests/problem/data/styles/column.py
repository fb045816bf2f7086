"""`Column`: what a column means and how it is written."""

from dataclasses import dataclass, field, replace
from typing import Any


@dataclass
class Column:
    """One column: what it means and how it is written.

    Args:
        name: Its name in the header; the file may leave it out or repeat it.
        meaning: `number`, `category`, `date`, `text`, `index`, `code` or `target`.
        values: What is meant, row by row; None for missing. Dates are naive, in UTC where they have a zone.
        cells: What the file shows.
        style: How it is written, in a few words; failures are grouped by it.
        kinds: The kinds that a reader may settle on without a word.
        ambiguous: Whether the file does not settle the meaning, so that a reader has to say what it took.
        word_on: What a reader has to mention although it reads the column well: undeclared marks, bad cells.
        free: Rows whose cell may be read as missing or as it stands, such as a `?` among categories.
        scales: Factors that a reader may apply to the whole column; per cent has 0.01 too.
        local: Another reading of all values that is as good: the local time of dates with one zone.
        needs_name: Whether the meaning rests on the column's name.
        write: Writes a further number in the column's style, for total rows; None if it has no such style.
        convention: The decimal mark, or the order of day and month (`dmy`, `mdy`) where numbers need one.
    """

    name: str
    meaning: str
    values: list[Any]
    cells: list[str]
    style: str
    kinds: tuple[str, ...]
    ambiguous: bool = False
    word_on: str = ""
    free: set[int] = field(default_factory=set)
    scales: tuple[float, ...] = (1.0,)
    local: list[Any] | None = None
    needs_name: bool = False
    write: Any = None
    convention: str = ""

    def rows(self, chosen: list[int]) -> "Column":
        """Return the column with these rows, repeats included."""
        place: dict[int, list[int]] = {}
        for new, old in enumerate(chosen):
            place.setdefault(old, []).append(new)
        return replace(
            self,
            values=[self.values[i] for i in chosen],
            cells=[self.cells[i] for i in chosen],
            free={new for old in self.free for new in place.get(old, [])},
            local=None if self.local is None else [self.local[i] for i in chosen],
        )
