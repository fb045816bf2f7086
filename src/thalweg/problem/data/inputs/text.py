"""`TextInputs` and `LineInputs`: running text, or lines of text each on its own, to tokens and back."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from thalweg.core.errors import DataError
from thalweg.core.limits import check_memory
from thalweg.problem.data.files.content import TEXT_COPIES, plain_suffix, read_text
from thalweg.problem.data.inputs import Columns

# The Unicode replacement character: stands for what cannot be represented.
UNKNOWN = "\ufffd"
# Begins and ends every line, and pads it: no line can contain it.
BOUNDARY = "\n"


@dataclass(frozen=True)
class TextInputs(Columns):
    """The vocabulary of a character model.

    Args:
        characters: By token. A character outside the vocabulary is read as the unknown mark if the vocabulary
            has it, else as the most frequent character of the training text.
        length: Tokens in a window.
        fallback: Token of a character outside the vocabulary.
    """

    kind: ClassVar[str] = "text"
    writes_text: ClassVar[bool] = True
    boundary: ClassVar[int | None] = None
    characters: str
    length: int
    fallback: int = 0

    @classmethod
    def fit(cls, train: str, length: int, held_out: Iterable[str] = ()) -> Self:
        """Take the vocabulary from the training text, sorted by code point.

        The unknown mark joins it only if a held-out text has a character that the training text lacks.
        """
        codes, counts = np.unique(_codes(train), return_counts=True)
        characters = "".join(map(chr, codes))
        if any(set(text) - set(characters) for text in held_out) and UNKNOWN not in characters:
            characters += UNKNOWN
        unknown = characters.find(UNKNOWN)
        return cls(characters, length, unknown if unknown >= 0 else int(counts.argmax()))

    def inputs(self, raw: Any) -> np.ndarray:
        """Return the tokens of a text, `position`, in the smallest unsigned type that holds them."""
        if not isinstance(raw, str):
            raise DataError("text", "must be a string", got=type(raw).__name__, hint="read the file as text")
        table = np.array([ord(c) for c in self.characters], dtype=np.uint32)
        order = np.argsort(table)
        codes = _codes(raw)
        nearest = np.minimum(np.searchsorted(table[order], codes), table.size - 1)
        tokens = np.where(table[order][nearest] == codes, order[nearest], self.fallback)
        return tokens.astype(np.min_scalar_type(max(table.size - 1, 1)))

    def read(self, source: Path | Any, target: str) -> str:
        """Return the text of a file."""
        return read_new_text(source)

    def text(self, tokens: Iterable[int]) -> str:
        """Return the text of tokens."""
        return "".join(self.characters[int(token)] for token in tokens)


@dataclass(frozen=True)
class LineInputs(Columns):
    """The vocabulary of a model of lines (names, words, formulas).

    Args:
        characters: By token; the line break, which begins and ends a line, is among them.
        length: Tokens to predict in the longest line of training: its characters and its end.
        fallback: Token of a character outside the vocabulary.
    """

    kind: ClassVar[str] = "lines"
    writes_text: ClassVar[bool] = True
    characters: str
    length: int
    fallback: int = 0

    @classmethod
    def fit(cls, train: Sequence[str], held_out: Sequence[str] = ()) -> Self:
        """Take the vocabulary from the training lines."""
        length = max(map(len, [*train, *held_out])) + 1
        text = TextInputs.fit(BOUNDARY.join([*train, ""]), length, ["".join(held_out)])
        return cls(text.characters, length, text.fallback)

    @property
    def text(self) -> TextInputs:
        """The same vocabulary for running text."""
        return TextInputs(self.characters, self.length, self.fallback)

    @property
    def boundary(self) -> int:
        """Token that begins and ends a line; None for running text."""
        return self.characters.index(BOUNDARY)

    def sequences(self, lines: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Return (tokens, lengths) of lines.

        Returns:
            The tokens from the beginning to the end of each line, padded with ends, `line position`; and the
            number of tokens to predict in each, `line`, int32.
        """
        lengths = np.array([len(line) + 1 for line in lines], np.int32)
        width = max(self.length, int(lengths.max(initial=1))) + 1
        # Every line is as long as the longest: one of a megabyte among ten thousand takes ten gigabytes.
        check_memory(DataError, "lines", len(lines) * width, "padded to the longest line", copies=TEXT_COPIES)
        padded = "".join(BOUNDARY + line + BOUNDARY * (width - 1 - len(line)) for line in lines)
        return self.text.inputs(padded).reshape(len(lines), width), lengths

    def inputs(self, raw: Any) -> np.ndarray:
        """Return the tokens of a text's lines as a model takes them, `line position`.

        Raises:
            DataError: `raw` is neither a string nor a list of strings.
        """
        lines = [raw] if isinstance(raw, str) else list(raw)
        if not all(isinstance(line, str) for line in lines):
            got = type(raw).__name__
            raise DataError("lines", "must be a string or a list of strings", got=got, hint="give text")
        return self.sequences(split_lines(BOUNDARY.join(lines)))[0][:, :-1]

    def read(self, source: Path | Any, target: str) -> str:
        """Return the text of a file."""
        return read_new_text(source)


def read_new_text(source: Path | Any) -> str:
    """Return the text of a .txt file, or a text as it is.

    Raises:
        DataError: It is neither, or the file cannot be read.
    """
    if isinstance(source, str):
        return source
    if isinstance(source, Path) and plain_suffix(source) == ".txt":
        return read_text(source)
    got = str(source) if isinstance(source, Path) else type(source).__name__
    rule = "the model was trained on text and takes a .txt file"
    raise DataError("predict", rule, got=got, hint="save the text in a .txt file")


def split_lines(text: str) -> list[str]:
    """Return the lines of a text without their line breaks; empty ones are left out."""
    return [line for line in text.split(BOUNDARY) if line]


def _codes(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
