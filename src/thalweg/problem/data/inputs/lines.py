"""`LineInputs`: lines of text, each a sequence of its own, to padded tokens."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from thalweg.core.errors import DataError
from thalweg.problem.data.inputs.text import TextInputs

# Begins and ends every line, and fills what is left of the row: no line can hold it.
BOUNDARY = "\n"


@dataclass(frozen=True)
class LineInputs:
    """The vocabulary of a model of lines (names, words, formulas).

    Args:
        characters: By token; the line break, which begins and ends a line, is among them.
        length: Tokens to predict in the longest line of training: its characters and its end.
        fallback: Token of a character outside the vocabulary.
    """

    kind: ClassVar[str] = "lines"
    characters: str
    length: int
    fallback: int = 0

    @classmethod
    def fit(cls, train: Sequence[str], others: Iterable[str] = ()) -> Self:
        """Take the vocabulary from the lines of training; `others` are the lines of the other parts."""
        others = list(others)
        length = max(map(len, [*train, *others])) + 1
        text = TextInputs.fit(BOUNDARY.join([*train, ""]), length, ["".join(others)])
        return cls(text.characters, length, text.fallback)

    @property
    def text(self) -> TextInputs:
        """The same vocabulary for running text."""
        return TextInputs(self.characters, self.length, self.fallback)

    @property
    def boundary(self) -> int:
        """Token that begins and ends a line."""
        return self.characters.index(BOUNDARY)

    def sequences(self, lines: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Return tokens from the beginning to the end of each line, padded with ends, `line position`; and
        how many of them are to be predicted, `line`, int32.
        """
        lengths = np.array([len(line) + 1 for line in lines], np.int32)
        width = max(self.length, int(lengths.max(initial=1))) + 1
        padded = "".join(BOUNDARY + line + BOUNDARY * (width - 1 - len(line)) for line in lines)
        return self.text.inputs(padded).reshape(len(lines), width), lengths

    def inputs(self, raw: Any) -> np.ndarray:
        """Return the tokens of a text's lines as a model takes them, `line position`.

        Raises:
            DataError: It is neither a string nor a list of strings.
        """
        lines = [raw] if isinstance(raw, str) else list(raw)
        if not all(isinstance(line, str) for line in lines):
            got = type(raw).__name__
            raise DataError("lines", "must be a string or a list of strings", got=got, hint="give text")
        return self.sequences(split_lines(BOUNDARY.join(lines)))[0][:, :-1]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {"characters": self.characters, "length": self.length, "fallback": self.fallback}

    @classmethod
    def from_dict(cls, given: dict[str, Any]) -> Self:
        """Build from plain values; the inverse of `to_dict`."""
        return cls(given["characters"], given["length"], given["fallback"])


def split_lines(text: str) -> list[str]:
    """Return a text's lines without their ends; empty ones are left out."""
    return [line for line in text.split(BOUNDARY) if line]
