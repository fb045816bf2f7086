"""Pictures in folders and archives become one uint8 array; `class_folders` finds which there are.

All pictures of a set get one size and one mode. Each is decoded on its own (`picture_files`) and reduced at
once, so that only the small ones are ever in memory together. `picture_stream` reads those that do not fit.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from thalweg.core import device
from thalweg.core.caller import option
from thalweg.core.errors import DataError
from thalweg.core.lazy import Image
from thalweg.problem.data.files import IMAGE, RawArrays
from thalweg.problem.data.files.binary_images import batch_files, idx_files
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
from thalweg.problem.data.files.picture_sizes import FittedSize, fits_memory, fitted_size, parse_size
from thalweg.problem.data.files.tar_shards import Member, Shards, index
from thalweg.problem.data.note import Note

T = TypeVar("T")
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}  # by number of channels
_NAMED = 10  # broken files that a message names


@dataclass(frozen=True)
class Survey:
    """The pictures of a set as their headers tell.

    Args:
        found: Their paths and labels.
        members: Where those lie that are in archives, by path.
        headers: Of each that can be read.
        broken: Of each that cannot, why.
        levels: See `Form`.
        asked: The size that was asked for.
        skip_broken: Whether pictures that cannot be read are left out.
    """

    found: ClassFolders
    members: Mapping[Path, Member]
    headers: Mapping[Path, Header]
    broken: dict[Path, str]
    levels: tuple[float, float] | None
    asked: tuple[int, int] | None
    skip_broken: bool

    @property
    def fits(self) -> bool:
        """Whether the pictures fit into memory at the size asked for, or at the one they would have."""
        return fits_memory(self.headers, self.asked)

    @property
    def contents(self) -> dict[Path, Path | Member]:
        """Where each picture that can be read is."""
        return {path: self.members.get(path, path) for path in self.headers}

    def form(self, size: tuple[int, int]) -> Form:
        """Return what every picture becomes at a size."""
        mode = "RGB" if any(header.colour for header in self.headers.values()) else "L"
        return Form(size, mode, self.levels)

    def check(self) -> None:
        """Refuse pictures that cannot be read, unless they are left out.

        Raises:
            DataError: There are some; it names them.
        """
        if self.broken and not self.skip_broken:
            raise unreadable(self.broken, len(self.found.paths), skip_broken=False)

    def notes(self, fitted: FittedSize, facts: list[Facts]) -> tuple[Note, ...]:
        """Return notes on what was left out, on the size, and on what was done to the pictures."""
        done = _fact_notes(self.headers, facts, self.levels)
        return (*_skipped(self.broken), *fitted.notes, *done)

    def arrays(self, name: str) -> RawArrays:
        """Decode all pictures into one array.

        Raises:
            DataError: One cannot be read, or they do not fit into memory.
        """
        fitted = fitted_size(self.headers, self.asked)
        with decoding() as threads:
            pixels, facts = _decoded(threads, self.contents, self.form(fitted.size), self.broken)
        self.check()
        prepared, decided = {"levels": self.levels}, {"size": fitted.decided} if fitted.decided else {}
        notes = self.notes(fitted, facts)
        return self.found.arrays(name, pixels, kind=IMAGE, prepared=prepared, decided=decided, notes=notes)


def is_picture_set(source: Any) -> bool:
    """Return whether a path is that of a folder of pictures, or a source is archives of them."""
    if isinstance(source, Shards):
        return True
    if not isinstance(source, Path) or not source.is_dir():
        return False
    return not idx_files(source) and not batch_files(source)["train"]


def survey_pictures(
    source: Path | Shards,
    *,
    size: int | str | None = None,
    skip_broken: bool = False,
    target: str | int | None = None,
) -> Survey:
    """Find the pictures of a set and read their headers; `class_folders` lists the layouts of folders.

    Args:
        source: The folder of the set, or tar archives.
        size: Size of all pictures, `64` or `64x48` (width x height), in pixels. None: the one that most of
            them have, or medians, reduced to `MOST_PIXELS` and to `MEMORY_SHARE` of free memory.
        skip_broken: Whether files that cannot be read are left out.
        target: Column with the labels, if a table names the files.

    Raises:
        DataError: The layout is unclear, there are fewer than two classes, or no picture can be read.
    """
    asked = None if size is None else parse_size(size)
    members: Mapping[Path, Member] = {}
    if isinstance(source, Shards):
        packed = index(source, PICTURES)
        found, members = class_folders(packed.tree.path, PICTURES, target, packed.tree), packed.members
        found = replace(found, notes=(*packed.notes, *found.notes))
    else:
        found = class_folders(source, PICTURES, target)
    with decoding() as threads:
        contents = {path: members.get(path, path) for path in found.paths}
        headers, broken = attempted(threads, read_header, contents)
        levels = _levels(threads, found, members, headers, broken)
    if not headers:
        raise unreadable(broken, len(found.paths), skip_broken=True)
    return Survey(found, members, headers, broken, levels, asked, skip_broken)


def read_pictures(
    source: Path | Shards, shape: tuple[int, ...], levels: tuple[float, float] | None = None
) -> np.ndarray:
    """Return one picture, or all under a folder or in archives, as `names_at` lists them, uint8.

    Args:
        source: A picture, a folder, or tar archives.
        shape: Of one picture, `height width` or `height width channel`.
        levels: Of the training pictures; see `Form`.

    Raises:
        DataError: There are no pictures, one cannot be read, or one has more than 8 bits and no training
            picture had.
    """
    contents = _contents_at(source)
    form = Form((shape[1], shape[0]), _MODES.get(shape[2], "RGB") if len(shape) == 3 else "L", levels)
    broken: dict[Path, str] = {}
    with decoding() as threads:
        pixels, _ = _decoded(threads, contents, form, broken)
    if broken:
        raise unreadable(broken, len(contents), skip_broken=True)
    return np.stack([pixels[path] for path in contents]).reshape(len(contents), *shape)


def names_at(source: Path | Shards) -> list[str]:
    """Return the names of the pictures that `read_pictures` reads, relative to their folder or archive.

    Of several archives, they begin with the archive's.
    """
    if isinstance(source, Shards):
        members = index(source, PICTURES).members.values()
        several = len(source.paths) > 1
        return [f"{member.archive.name}/{member.name}" if several else member.name for member in members]
    top = source if source.is_dir() else source.parent
    return [path.relative_to(top).as_posix() for path in PICTURES.at(source)]


def places_in(shards: Shards) -> list[str]:
    """Return the paths of the pictures in archives, in folders named after their classes if known."""
    packed = index(shards, PICTURES)
    return [path.relative_to(packed.tree.path).as_posix() for path in packed.members]


def _contents_at(source: Path | Shards) -> dict[Path, Path | Member]:
    """Return where the pictures under a folder or in archives are, by path."""
    if isinstance(source, Shards):
        return dict(index(source, PICTURES).members)
    return {each: each for each in PICTURES.at(source)}


# All files, one by one


@contextmanager
def decoding() -> Iterator[ThreadPoolExecutor]:
    """Give threads to decode in (Pillow releases the interpreter lock), with Pillow's warnings off.

    Pillow warns of large pictures, which are reduced here, and of odd metadata, which are not used.
    """
    with warnings.catch_warnings(), ThreadPoolExecutor(device.usable_cores()) as threads:
        warnings.simplefilter("ignore")
        yield threads


def attempted(
    threads: ThreadPoolExecutor, work: Callable[[Any], T], contents: Mapping[Path, Path | Member]
) -> tuple[dict[Path, T], dict[Path, str]]:
    """Return the results of the pictures that can be read, and of the others why they cannot."""

    def attempt(path: Path) -> tuple[Path, T | None, str]:
        try:
            return path, work(contents[path]), ""
        except Exception as error:  # decoders raise whatever their parser stumbles over
            return path, None, reason(contents[path], error)

    results = list(threads.map(attempt, contents))
    broken = {path: why for path, _, why in results if why}
    return {path: result for path, result, why in results if not why and result is not None}, broken


def reason(content: Path | Member, error: Exception) -> str:
    """Return in a few words why a picture cannot be read."""
    if isinstance(content, Path) and not content.is_file():
        return "no regular file"
    if (content.stat().st_size if isinstance(content, Path) else content.size) == 0:
        return "an empty file"
    if isinstance(error, Image.DecompressionBombError):
        return f"more than {2 * (Image.MAX_IMAGE_PIXELS or 0):,} pixels"
    text = (str(error).splitlines() or [type(error).__name__])[0]
    return "not in one of these formats" if text.startswith("cannot identify") else text


def unreadable(broken: Mapping[Path, str], count: int, *, skip_broken: bool) -> DataError:
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


# Pixels


def _levels(
    threads: ThreadPoolExecutor,
    found: ClassFolders,
    members: Mapping[Path, Member],
    headers: dict[Path, Header],
    broken: dict[Path, str],
) -> tuple[float, float] | None:
    """Return the range of the training pictures of more than 8 bits, and move broken ones to `broken`.

    Among pictures of 8 bits, whose 0 and 255 are black and white, it is 0 to the largest number of as many
    bits; otherwise it is their smallest and largest value.
    """
    wide = [path for path in found.splits[TRAIN] if path in headers and headers[path].wide]
    wide = wide or [path for path, header in headers.items() if header.wide]
    ranges, bad = attempted(threads, value_range, {path: members.get(path, path) for path in wide})
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
    threads: ThreadPoolExecutor, contents: Mapping[Path, Path | Member], form: Form, broken: dict[Path, str]
) -> tuple[dict[Path, np.ndarray], list[Facts]]:
    """Return the pixels of every picture, as parts of one array, and what was done; add to `broken`."""
    pixels = np.zeros((len(contents), *form.shape), np.uint8)
    place = {content: i for i, content in enumerate(contents.values())}

    def decode(content: Path | Member) -> Facts:
        pixels[place[content]], facts = read_pixels(content, form)
        return facts

    facts, bad = attempted(threads, decode, contents)
    broken |= bad
    return {path: pixels[place[contents[path]]] for path in facts}, list(facts.values())


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
