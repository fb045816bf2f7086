"""Folders of pictures: which files there are is found by `class_folders`; here they become one uint8 array.

All pictures of a set get one size and one mode. Each is decoded on its own (`picture_files`) and reduced at
once, so that only the small ones are ever in memory together.
"""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median_low
from typing import Any, TypeVar

import numpy as np

from thalweg.core import device
from thalweg.core.caller import option
from thalweg.core.errors import DataError
from thalweg.core.lazy import Image
from thalweg.problem.data.files import IMAGE, RawArrays
from thalweg.problem.data.files.class_folders import TRAIN, ClassFolders, class_folders
from thalweg.problem.data.files.file_trees import counted, listed
from thalweg.problem.data.files.picture_files import (
    PICTURES,
    Facts,
    Form,
    Header,
    read_header,
    read_pixels,
    value_range,
)
from thalweg.problem.data.note import Note, guess

T = TypeVar("T")
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}  # by number of channels
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
_NAMED = 10  # broken files that a message names


def read_picture_folder(
    folder: Path,
    name: str,
    *,
    size: int | str | None = None,
    skip_broken: bool = False,
    target: str | int | None = None,
) -> RawArrays:
    """Read pictures by class; `class_folders` lists the layouts of folders.

    Args:
        folder: The folder of the set.
        name: Name of the set.
        size: Size of all pictures, `64` or `64x48` (width x height), in pixels. None: the one that most of
            them have, or medians, reduced to `MOST_PIXELS` and to `MEMORY_SHARE` of free memory.
        skip_broken: Whether files that cannot be read are left out.
        target: Column with the labels, if a table names the files.

    Raises:
        DataError: The layout is unclear, there are fewer than two classes, a picture cannot be read, or the
            pictures would not fit into memory.
    """
    asked = None if size is None else parse_size(size)
    found = class_folders(folder, PICTURES, target)
    with _reading() as threads:
        headers, broken = _attempted(threads, read_header, found.paths)
        levels = _levels(threads, found, headers, broken)
        if not headers:
            raise _unreadable(broken, len(found.paths), skip_broken=True)
        fitted = _fitted_size(headers, asked)
        form = Form(fitted.size, "RGB" if any(h.colour for h in headers.values()) else "L", levels)
        pixels, facts = _decoded(threads, list(headers), form, broken)
    if broken and not skip_broken:
        raise _unreadable(broken, len(found.paths), skip_broken=False)
    notes = (*_skipped(broken), *fitted.notes, *_fact_notes(headers, facts, levels))
    prepared, decided = {"levels": levels}, {"size": fitted.decided} if fitted.decided else {}
    return found.arrays(name, pixels, kind=IMAGE, prepared=prepared, decided=decided, notes=notes)


def read_pictures(
    path: Path, shape: tuple[int, ...], levels: tuple[float, float] | None = None
) -> np.ndarray:
    """Return one picture file, or all pictures under a folder as `PICTURES.at` lists them, uint8.

    Args:
        path: A file or a folder.
        shape: Of one picture, `height width` or `height width channel`.
        levels: Of the training pictures; see `Form`.

    Raises:
        DataError: There are no pictures, one cannot be read, or one has more than 8 bits and no training
            picture had.
    """
    paths = PICTURES.at(path)
    form = Form((shape[1], shape[0]), _MODES.get(shape[2], "RGB") if len(shape) == 3 else "L", levels)
    broken: dict[Path, str] = {}
    with _reading() as threads:
        pixels, _ = _decoded(threads, paths, form, broken)
    if broken:
        raise _unreadable(broken, len(paths), skip_broken=True)
    return np.stack([pixels[path] for path in paths]).reshape(len(paths), *shape)


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


# All files, one by one


@contextmanager
def _reading() -> Iterator[ThreadPoolExecutor]:
    """Give threads to decode in (Pillow releases the interpreter lock), with Pillow's warnings off.

    Pillow warns of large pictures, which are reduced here, and of odd metadata, which are not used.
    """
    with warnings.catch_warnings(), ThreadPoolExecutor(device.usable_cores()) as threads:
        warnings.simplefilter("ignore")
        yield threads


def _attempted(
    threads: ThreadPoolExecutor, work: Callable[[Path], T], paths: Iterable[Path]
) -> tuple[dict[Path, T], dict[Path, str]]:
    """Return the results of the files that can be read, and of the others why they cannot."""

    def attempt(path: Path) -> tuple[Path, T | None, str]:
        try:
            return path, work(path), ""
        except Exception as error:  # decoders raise whatever their parser stumbles over
            return path, None, _reason(path, error)

    results = list(threads.map(attempt, paths))
    broken = {path: reason for path, _, reason in results if reason}
    return {path: result for path, result, reason in results if not reason and result is not None}, broken


def _reason(path: Path, error: Exception) -> str:
    if not path.is_file():
        return "no regular file"
    if path.stat().st_size == 0:
        return "an empty file"
    if isinstance(error, Image.DecompressionBombError):
        return f"more than {2 * (Image.MAX_IMAGE_PIXELS or 0):,} pixels"
    text = (str(error).splitlines() or [type(error).__name__])[0]
    return "not in one of these formats" if text.startswith("cannot identify") else text


def _unreadable(broken: Mapping[Path, str], count: int, *, skip_broken: bool) -> DataError:
    """Return the error that names the broken files.

    Args:
        broken: Why each cannot be read.
        count: How many files there are in all.
        skip_broken: Whether leaving them out is no way out.
    """
    hint = "replace or remove them" if len(broken) > 1 else "the file is damaged; replace or remove it"
    if not skip_broken:
        hint += f", or leave {'them' if len(broken) > 1 else 'it'} out: {option('skip_broken')}"
    got = f"{len(broken)} of {count} that cannot be read" if count > 1 else None
    where = _named(broken)
    return DataError("pictures", "every picture must be readable", got=got, where=where, hint=hint)


def _named(broken: Mapping[Path, str]) -> str:
    return listed((f"{Path(*path.parts[-2:])}: {reason}" for path, reason in broken.items()), _NAMED)


def _skipped(broken: Mapping[Path, str]) -> tuple[Note, ...]:
    if not broken:
        return ()
    text = f"Left out: {counted(len(broken), 'pictures')} that cannot be read ({_named(broken)})."
    return (Note("skipped", text),)


# Size


def _fitted_size(headers: Mapping[Path, Header], asked: tuple[int, int] | None) -> FittedSize:
    sizes = Counter(header.size for header in headers.values())
    common = max(sizes, key=lambda size: (sizes[size], size))
    is_common = sizes[common] >= _COMMON * len(headers)
    medians = tuple(median_low(size[axis] for size in sizes.elements()) for axis in (0, 1))
    natural = common if is_common else (medians[0], medians[1])
    pixel = len(headers) * (3 if any(header.colour for header in headers.values()) else 1)
    free = device.free_memory()
    if asked is not None:
        _check_fits(asked, _largest(asked, pixel, int(free * MEMORY_SHARE)), pixel, free)
        return FittedSize(asked, _resized(sizes, asked, "the size asked for"))
    moderate = _reduced(natural, MOST_PIXELS / math.prod(natural))
    largest = _largest(moderate, pixel, int(free * MEMORY_SHARE))
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
        hint = f"ask for less, such as {option('size', _text(largest))}"
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


# Pixels


def _levels(
    threads: ThreadPoolExecutor, found: ClassFolders, headers: dict[Path, Header], broken: dict[Path, str]
) -> tuple[float, float] | None:
    """Return the range of the training pictures of more than 8 bits, and move broken ones to `broken`.

    Among pictures of 8 bits, whose 0 and 255 are black and white, it is 0 to the largest number of as many
    bits; otherwise it is their smallest and largest value.
    """
    wide = [path for path in found.splits[TRAIN] if path in headers and headers[path].wide]
    wide = wide or [path for path, header in headers.items() if header.wide]
    ranges, bad = _attempted(threads, value_range, wide)
    broken |= bad
    for path in bad:
        del headers[path]
    if not ranges:
        return None
    low, high = min(r[0] for r in ranges.values()), max(r[1] for r in ranges.values())
    if low >= 0 and not all(header.wide for header in headers.values()):
        low, high = 0.0, 1.0 if high <= 1 else float(2 ** math.ceil(math.log2(high + 1)) - 1)
    return low, high if high > low else low + 1.0


def _decoded(
    threads: ThreadPoolExecutor, paths: list[Path], form: Form, broken: dict[Path, str]
) -> tuple[dict[Path, np.ndarray], list[Facts]]:
    """Return the pixels of every picture, as parts of one array, and what was done; add to `broken`."""
    channels = len(form.mode)
    shape = (len(paths), form.size[1], form.size[0]) + ((channels,) if channels > 1 else ())
    pixels = np.zeros(shape, np.uint8)
    place = {path: i for i, path in enumerate(paths)}

    def decode(path: Path) -> Facts:
        pixels[place[path]], facts = read_pixels(path, form)
        return facts

    facts, bad = _attempted(threads, decode, paths)
    broken |= bad
    return {path: pixels[place[path]] for path in facts}, list(facts.values())


def _fact_notes(
    headers: Mapping[Path, Header], facts: list[Facts], levels: tuple[float, float] | None
) -> tuple[Note, ...]:
    several, cut, wide = (
        sum(getattr(header, name) for header in headers.values())
        for name in ("several", "cut_to_bytes", "wide")
    )
    turned, transparent = (sum(getattr(fact, name) for fact in facts) for name in ("turned", "transparent"))
    low, high = levels or (0.0, 0.0)
    files, pictures = counted(several, "files"), "pictures"
    cut_text = f"Only the upper 8 of 16 bits a channel were used of {counted(cut, 'colour pictures')}."
    wide_text = f"of {counted(wide, pictures)} with more than 8 bits became 0..255."
    texts = [
        ("frames", several, f"Of {files} with an animation or several pages, the first picture was used."),
        ("orientation", turned, f"Turned upright by their EXIF data: {counted(turned, pictures)}."),
        (
            "transparency",
            transparent,
            f"Transparent parts were made white in {counted(transparent, pictures)}.",
        ),
        ("depth", cut, cut_text),
        ("depth", wide, f"Brightness {low:g}..{high:g} {wide_text}"),
    ]
    return tuple(Note(kind, text) for kind, count, text in texts if count)
