"""Folders of pictures: `folder/<class>/*.png`, or `folder/train/<class>/...` with `folder/test/...`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from thalweg.core.errors import DataError
from thalweg.core.lazy import Image
from thalweg.problem.data.files import IMAGE, RawArrays
from thalweg.problem.data.files.class_folders import FileFormat, class_folders
from thalweg.problem.data.note import Note

PICTURES = FileFormat("pictures", "PNG or JPEG", (".png", ".jpg", ".jpeg"))


def read_picture_folder(folder: Path, name: str) -> RawArrays:
    """Read PNG and JPEG pictures; each subfolder is a class.

    All are resized to the most common size, which is noted, and converted to colour if any of them has
    colour.

    Raises:
        DataError: There are no pictures or only one class, or a picture cannot be read.
    """
    found = class_folders(folder, PICTURES)
    images = {path: _open(path) for path in found.paths}
    size, mode = _common(images)
    pixels = {path: _pixels(image, size, mode) for path, image in images.items()}
    return found.arrays(name, pixels, kind=IMAGE, notes=_notes(images, size))


def read_pictures(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Return one picture file, or all pictures under a folder in the order of their paths, in a given shape.

    Raises:
        DataError: There are no pictures, or one cannot be read.
    """
    mode, size = "RGB" if len(shape) == 3 else "L", (shape[1], shape[0])
    return np.stack([_pixels(_open(p), size, mode) for p in PICTURES.at(path)])


def _open(path: Path) -> Image.Image:
    try:
        with Image.open(path) as image:
            image.load()
            if image.mode in ("P", "RGBA", "LA", "CMYK"):
                return image.convert("RGBA").convert("RGB")
            return image.copy()
    except (OSError, SyntaxError, ValueError) as error:
        rule, hint = "every picture must be readable", "the file is damaged; replace or remove it"
        raise DataError("pictures", rule, got=str(error).splitlines()[0], where=path, hint=hint) from error


def _common(images: dict[Path, Image.Image]) -> tuple[tuple[int, int], str]:
    sizes = Counter(image.size for image in images.values())
    size = max(sizes, key=lambda size: (sizes[size], size))
    colour = any(image.mode not in ("L", "1", "I;16", "I") for image in images.values())
    return size, "RGB" if colour else "L"


def _pixels(image: Image.Image, size: tuple[int, int], mode: str) -> np.ndarray:
    if image.mode in ("I;16", "I"):  # 16 bits a pixel: keep the upper byte
        image = Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8))
    image = image.convert(mode)
    return np.asarray(image if image.size == size else image.resize(size, Image.Resampling.BILINEAR))


def _notes(images: dict[Path, Image.Image], size: tuple[int, int]) -> tuple[Note, ...]:
    resized = sum(image.size != size for image in images.values())
    if not resized:
        return ()
    text = f"{resized} of {len(images)} pictures were resized to the most common size, {size[0]}x{size[1]}."
    return (Note("size", text),)
