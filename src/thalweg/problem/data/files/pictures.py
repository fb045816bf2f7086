"""Folders of pictures: `folder/<class>/*.png`, or `folder/train/<class>/...` with `folder/test/...`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from thalweg.core.errors import DataError
from thalweg.core.lazy import Image
from thalweg.problem.data.files import RawArrays
from thalweg.problem.data.note import Note

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg")
TRAIN_FOLDERS, TEST_FOLDERS = ("train", "training"), ("test", "testing")


def read_picture_folder(folder: Path, name: str) -> RawArrays:
    """Read PNG and JPEG pictures; each subfolder is a class.

    All are resized to the most common size, which is noted, and converted to colour if any of them has
    colour.

    Raises:
        DataError: There are no pictures or only one class, or a picture cannot be read.
    """
    train_folder = _subfolder(folder, TRAIN_FOLDERS) or folder
    test_folder = _subfolder(folder, TEST_FOLDERS)
    train = _by_class(train_folder)
    if len(train) < 2:
        rule = "the folder must hold PNG or JPEG files in at least two subfolders, one for each class"
        got = f"{len(train)} subfolders with pictures"
        hint = "move the pictures of each class into a subfolder with its name"
        raise DataError("pictures", rule, got=got, where=train_folder, hint=hint)
    classes = tuple(train)
    test = _by_class(test_folder) if test_folder is not None else {}
    unknown = sorted(set(test) - set(classes))
    if unknown:
        rule = "every class of the test split must occur in training"
        hint = "known are " + ", ".join(classes[:20])
        raise DataError("pictures", rule, got=unknown[:5], where=test_folder, hint=hint)
    images = {path: _open(path) for paths in (*train.values(), *test.values()) for path in paths}
    size, mode = _common(images)
    arrays = {path: _pixels(image, size, mode) for path, image in images.items()}
    return RawArrays(
        name,
        *_stack(train, classes, arrays),
        test=_stack(test, classes, arrays) if test else None,
        classes=classes,
        target="class",
        image=True,
        notes=_notes(images, size),
    )


def read_pictures(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Return one picture file, or all pictures under a folder in the order of their paths, in a given shape.

    Raises:
        DataError: There are no pictures, or one cannot be read.
    """
    paths = [path] if path.is_file() else _pictures(path)
    if not paths:
        raise DataError("pictures", "the folder must hold PNG or JPEG files", where=path, hint="give another")
    mode, size = "RGB" if len(shape) == 3 else "L", (shape[1], shape[0])
    return np.stack([_pixels(_open(p), size, mode) for p in paths])


def _subfolder(folder: Path, names: tuple[str, ...]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_dir()), None)


def _pictures(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURE_SUFFIXES)


def _by_class(folder: Path) -> dict[str, list[Path]]:
    subfolders = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    return {sub.name: paths for sub in subfolders if (paths := _pictures(sub))}


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


def _stack(
    paths_by_class: dict[str, list[Path]], classes: tuple[str, ...], arrays: dict[Path, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    pairs = [(arrays[p], classes.index(label)) for label, paths in paths_by_class.items() for p in paths]
    return np.stack([x for x, _ in pairs]), np.array([y for _, y in pairs], dtype=np.int64)
