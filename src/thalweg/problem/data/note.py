"""`Note`: one observation about the data, made while reading them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Note:
    """Something about the data that the user should know, with the figures behind it.

    Args:
        kind: Short name: `id`, `constant`, `imbalance`, `duplicates`, `leak`, `missing`, `rare`, ...
        text: One sentence with the figures.
        columns: The columns concerned; empty when the note is about the whole set.
    """

    kind: str
    text: str
    columns: tuple[str, ...] = ()
