"""`Note`: what was pointed out while data were read."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Note:
    """Something about the data that its owner should know, with its evidence.

    Args:
        kind: Short name: `id`, `constant`, `imbalance`, `duplicates`, `leak`, `missing`, `rare`, ...
        text: One sentence with the figures.
        columns: The columns it is about; empty when it is about the whole set.
    """

    kind: str
    text: str
    columns: tuple[str, ...] = ()
