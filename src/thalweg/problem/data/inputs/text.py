"""`TextInputs`: characters to tokens and back."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from thalweg.core.errors import DataError

# The character that Unicode provides for what could not be represented.
UNKNOWN = "\ufffd"


@dataclass(frozen=True)
class TextInputs:
    """The vocabulary of a character model.

    Args:
        characters: By token. A character outside becomes the unknown mark where the vocabulary has it,
            else the most frequent character of the training text.
        length: Tokens in a window.
        fallback: Token of a character outside the vocabulary.
    """

    kind: ClassVar[str] = "text"
    characters: str
    length: int
    fallback: int = 0

    @classmethod
    def fit(cls, train: str, length: int, others: Iterable[str] = ()) -> Self:
        """Take the vocabulary from the training text, sorted by code point.

        The unknown mark joins it only when another part has a character that the training text lacks.
        """
        codes = _codes(train)
        found, counts = np.unique(codes, return_counts=True)
        characters = "".join(map(chr, found))
        if any(set(other) - set(characters) for other in others) and UNKNOWN not in characters:
            characters += UNKNOWN
        at = characters.find(UNKNOWN)
        return cls(characters, length, at if at >= 0 else int(counts.argmax()))

    def inputs(self, raw: Any) -> np.ndarray:
        """Return the tokens of a text, `position`, in the smallest unsigned type that holds them."""
        if not isinstance(raw, str):
            raise DataError("text", "must be a string", got=type(raw).__name__, hint="read the file as text")
        table = np.array([ord(c) for c in self.characters], dtype=np.uint32)
        order = np.argsort(table)
        codes = _codes(raw)
        places = np.minimum(np.searchsorted(table[order], codes), table.size - 1)
        tokens = np.where(table[order][places] == codes, order[places], self.fallback)
        return tokens.astype(np.min_scalar_type(max(table.size - 1, 1)))

    def text(self, tokens: Iterable[int]) -> str:
        """Return the text of tokens."""
        return "".join(self.characters[int(token)] for token in tokens)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {"characters": self.characters, "length": self.length, "fallback": self.fallback}

    @classmethod
    def from_dict(cls, given: dict[str, Any]) -> Self:
        """Build from plain values; the inverse of `to_dict`."""
        return cls(given["characters"], given["length"], given["fallback"])


def _codes(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
