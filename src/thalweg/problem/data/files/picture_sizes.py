"""The size that all pictures of a set get: the one that was asked for, else one that most of them have."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median_low
from typing import Any

from thalweg.core import device
from thalweg.core.caller import option
from thalweg.core.errors import DataError
from thalweg.problem.data.files.file_trees import counted
from thalweg.problem.data.files.picture_files import Header
from thalweg.problem.data.note import Note, guess

# The most common size counts if at least this share of the pictures has it; else medians do.
_COMMON = 0.5
# Share of free memory that the pictures may take. While splits are made they are in memory twice, and once
# more on a device; the rest is for the model.
MEMORY_SHARE = 0.25
# Pixels of a picture that nobody asked to be larger: 128 x 128, or as many in another shape. A photograph has
# a hundred times as many, which would make an epoch a hundred times as long.
MOST_PIXELS = 128 * 128
_SMALLEST = 8  # pixels a side; below, hardly anything can be told apart
_SAME_SHAPE = 0.05  # relative difference in width : height that the eye does not notice


@dataclass(frozen=True)
class FittedSize:
    """The size of all pictures, notes on it, and the size as an option if the machine's memory decided it."""

    size: tuple[int, int]
    notes: tuple[Note, ...]
    decided: str | None = None


def parse_size(size: Any) -> tuple[int, int]:
    """Return (width, height) of `64`, `"64"` or `"64x48"`.

    Raises:
        DataError: It is none of these, or not positive.
    """
    parts = str(size).lower().replace("\u00d7", "x").split("x")
    valid = isinstance(size, (int, str)) and not isinstance(size, bool) and len(parts) <= 2
    if not valid or not all(
        p.strip().isascii() and p.strip().isdigit() and 0 < int(p) < 65536 for p in parts
    ):
        rule = "size must be pixels of both sides, or WIDTHxHEIGHT"
        raise DataError("load", rule, got=size, hint=f"for example {option('size', '64x48')}")
    return int(parts[0]), int(parts[-1])


def fits_memory(
    headers: Mapping[Path, Header], asked: tuple[int, int] | None, at_once: int | None = None
) -> bool:
    """Return whether pictures fit into memory at the size asked for, or at the one they would have.

    Args:
        headers, asked, at_once: As for `fitted_size`.
    """
    natural, _ = _natural(Counter(header.size for header in headers.values()))
    size = asked or _reduced(natural, MOST_PIXELS / math.prod(natural))
    return _pixel_bytes(headers, at_once) * math.prod(size) <= int(device.free_memory() * MEMORY_SHARE)


def fitted_size(
    headers: Mapping[Path, Header], asked: tuple[int, int] | None, at_once: int | None = None
) -> FittedSize:
    """Return the size that all pictures get.

    Args:
        headers: What the files say of their pictures.
        asked: The size that was asked for.
        at_once: How many of them are in memory at once; None: all.

    Raises:
        DataError: They do not fit.
    """
    sizes = Counter(header.size for header in headers.values())
    natural, is_common = _natural(sizes)
    pixel = _pixel_bytes(headers, at_once)
    free = device.free_memory()
    budget = int(free * MEMORY_SHARE)
    if asked is not None:
        _check_fits(asked, _largest(asked, pixel, budget), pixel, free)
        return FittedSize(asked, _resized(sizes, asked, "the size asked for"))
    moderate = _reduced(natural, MOST_PIXELS / math.prod(natural))
    largest = _largest(moderate, pixel, budget)
    if largest == moderate != natural:
        several = ("the most common size, " if is_common else "the median size, ") * (len(sizes) > 1)
        text = (
            f"All pictures were resized to {_text(moderate)}, from {several}{_text(natural)}: larger ones "
            f"take more time and memory to train. {_stretched(sizes, moderate)}"
        ).strip()
        return FittedSize(moderate, (guess("size", text, size=_text(natural)),))
    if largest == natural:
        why = "the most common size" if is_common else "the median size"
        notes = _resized(sizes, natural, why)
        smaller = _text((max(1, natural[0] // 2), max(1, natural[1] // 2)))
        return FittedSize(natural, tuple(guess(note.kind, note.text, size=smaller) for note in notes))
    whole = f"{counted(len(headers), 'pictures')} of {_text(natural)}"
    text = (
        f"{whole} would take {_gigabytes(pixel * math.prod(natural))}; all were resized to {_text(largest)}, "
        "the largest size within a quarter of the free memory of "
        f"{_gigabytes(free)}. {_stretched(sizes, largest)}"
    ).strip()
    smaller = _text((max(1, largest[0] // 2), max(1, largest[1] // 2)))
    return FittedSize(largest, (guess("size", text, size=smaller),), _text(largest))


def _natural(sizes: Counter[tuple[int, int]]) -> tuple[tuple[int, int], bool]:
    """Return the size that most pictures have, and True; else medians of their sides, and False."""
    common = max(sizes, key=lambda size: (sizes[size], size))
    if sizes[common] >= _COMMON * sizes.total():
        return common, True
    width, height = (median_low(size[axis] for size in sizes.elements()) for axis in (0, 1))
    return (width, height), False


def _pixel_bytes(headers: Mapping[Path, Header], at_once: int | None) -> int:
    """Return the bytes of one pixel of all pictures that are in memory at once."""
    return min(len(headers), at_once or len(headers)) * (
        3 if any(header.colour for header in headers.values()) else 1
    )


def _largest(size: tuple[int, int], pixel: int, budget: int) -> tuple[int, int]:
    """Return the size, reduced so far that `pixel` bytes for each of its pixels stay within the budget."""
    reduced = _reduced(size, budget / (pixel * math.prod(size)))
    if min(reduced) < min(_SMALLEST, *size):
        rule = (
            f"the pictures must fit into a quarter of the free memory with at least {_SMALLEST} pixels a side"
        )
        got = f"{_gigabytes(budget)} for {_gigabytes(pixel * math.prod(size))}"
        raise DataError("pictures", rule, got=got, hint="free some memory, or give fewer pictures")
    return reduced


def _reduced(size: tuple[int, int], share: float) -> tuple[int, int]:
    """Return the size with so large a share of its pixels, or the size itself where that is above 1."""
    width, height = (max(1, int(side * math.sqrt(min(share, 1.0)))) for side in size)
    return size if share >= 1 else (width, height)


def _check_fits(asked: tuple[int, int], largest: tuple[int, int], pixel: int, free: int) -> None:
    if asked != largest:
        rule = "the pictures must fit into a quarter of the free memory"
        got = f"{_gigabytes(pixel * math.prod(asked))} at {_text(asked)}, {_gigabytes(free)} are free"
        hint = f"ask for less, such as {option('size', _text(largest))}, or use {option('stream', True)}"
        raise DataError("pictures", rule, got=got, hint=hint)


def _resized(sizes: Counter[tuple[int, int]], size: tuple[int, int], why: str) -> tuple[Note, ...]:
    count, resized = sizes.total(), sizes.total() - sizes[size]
    if not resized:
        return ()
    text = f"{resized} of {count} pictures were resized to {why}, {_text(size)}. {_stretched(sizes, size)}"
    return (Note("size", text.strip()),)


def _stretched(sizes: Counter[tuple[int, int]], size: tuple[int, int]) -> str:
    shape = size[0] / size[1]
    other = sum(n for (w, h), n in sizes.items() if abs(w / h / shape - 1) > _SAME_SHAPE)
    return f"{other} of them have another shape and were stretched." if other else ""


def _text(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 5e7 else f"{count / 1e6:.3g} MB"
