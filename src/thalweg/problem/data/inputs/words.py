"""Columns of free text (names, descriptions): one input for each word that many rows share."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from thalweg.core.lazy import pl
from thalweg.problem.data.inputs.column_types import plain_text
from thalweg.problem.data.inputs.rules import RARE_ROWS

WORD = re.compile(r"[^\W\d_]{2,}")
# A word needs more rows than a category: a cell has many, and first names are shared by a few per cent of
# people without meaning anything (on titanic 2 % cost half a point of accuracy against 4 %). A word in nearly
# every row says as little as one in nearly none.
RAREST_SHARE, COMMONEST_SHARE = 0.04, 0.95
MOST_WORDS = 50  # one input each; the most frequent win


@dataclass(frozen=True)
class WordRule:
    """Words (runs of two or more letters, case ignored), one input each: 1 where the cell holds it.

    Args:
        column: Name of the column.
        words: With an input of their own, the most frequent first.
    """

    kind: ClassVar[str] = "words"
    column: str
    words: tuple[str, ...]

    @classmethod
    def fit(cls, values: pl.Series) -> Self:
        """Take the words from training rows (String, nulls for missing values); none when too few share
        any.
        """
        counts = Counter(word for cell in values.drop_nulls() for word in words_of(cell))
        least = max(RARE_ROWS, RAREST_SHARE * values.len())
        most = COMMONEST_SHARE * values.len()
        shared = [(word, rows) for word, rows in counts.items() if least <= rows <= most]
        ordered = sorted(shared, key=lambda found: (-found[1], found[0]))
        return cls(values.name, tuple(word for word, _ in ordered[:MOST_WORDS]))

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the inputs that it makes."""
        return tuple(f"{self.column}~{word}" for word in self.words)

    def apply(self, series: pl.Series, marks: tuple[str, ...]) -> np.ndarray:
        """Return float32 inputs, `row feature`."""
        text = plain_text(series, marks).cast(pl.String)
        place = {word: i for i, word in enumerate(self.words)}
        found = np.zeros((text.len(), len(self.words)), np.float32)
        for row, cell in enumerate(text):
            for word in words_of(cell or ""):
                if word in place:
                    found[row, place[word]] = 1.0
        return found


def words_of(cell: str) -> set[str]:
    """Return the words of a cell, in lower case."""
    return {word.lower() for word in WORD.findall(cell)}


def has_words(values: pl.Series) -> bool:
    """Tell whether a text column has words that enough of its rows share."""
    return bool(WordRule.fit(values).words)
