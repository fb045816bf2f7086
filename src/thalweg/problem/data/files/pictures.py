"""Folders of pictures: `folder/<class>/*.png`, or `folder/train/<class>/...` with `folder/test/...`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from thalweg.core.errors import DataError
from thalweg.core.lazy import Image
from thalweg.problem.data.note import Note
from thalweg.problem.data.raw import RawArrays

ENDINGS = (".png", ".jpg", ".jpeg")
TRAIN_FOLDERS, TEST_FOLDERS = ("train", "training"), ("test", "testing")


def read_picture_folder(folder: Path, name: str) -> RawArrays:
    """Read PNG and JPEG pictures; each subfolder is a class.

    All are brought to the most common size, and to colour if any of them has colour; both is noted.

    Raises:
        DataError: There are no pictures, one class only, or a picture cannot be read.
    """
    train_folder = _subfolder(folder, TRAIN_FOLDERS) or folder
    test_folder = _subfolder(folder, TEST_FOLDERS)
    train = _by_class(train_folder)
    if len(train) < 2:
        raise DataError(
            "pictures",
            "the folder must hold PNG or JPEG files in at least two subfolders, one for each class",
            got=f"{len(train)} subfolders with pictures",
            where=train_folder,
            hint="move the pictures of each class into a subfolder with its name",
        )
    classes = tuple(train)
    test = _by_class(test_folder) if test_folder is not None else {}
    strange = sorted(set(test) - set(classes))
    if strange:
        known = ", ".join(classes[:20])
        raise DataError(
            "pictures", "every class must occur in training", got=strange[:5], where=test_folder, hint=known
        )
    images = {path: _open(path) for paths in (*train.values(), *test.values()) for path in paths}
    size, mode = _common(images)
    arrays = {path: np.asarray(_fitted(image, size, mode)) for path, image in images.items()}
    notes = _notes(images, size)
    parts = [_stack(part, classes, arrays) for part in (train, test) if part]
    own = parts[1] if len(parts) > 1 else None
    return RawArrays(name, *parts[0], test=own, classes=classes, target="class", image=True, notes=notes)


def read_pictures(folder: Path, shape: tuple[int, ...]) -> tuple[list[str], np.ndarray]:
    """Return (paths, pictures) of one file or of all under a folder, in the shape of training.

    Raises:
        DataError: There are none, or one cannot be read.
    """
    paths = (
        [folder] if folder.is_file() else sorted(p for p in folder.rglob("*") if p.suffix.lower() in ENDINGS)
    )
    if not paths:
        raise DataError(
            "pictures", "there must be PNG or JPEG files", where=folder, hint="give another folder"
        )
    mode = "RGB" if len(shape) == 3 else "L"
    size = (shape[1], shape[0])
    return [str(p) for p in paths], np.stack([np.asarray(_fitted(_open(p), size, mode)) for p in paths])


def _subfolder(folder: Path, names: tuple[str, ...]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_dir()), None)


def _by_class(folder: Path) -> dict[str, list[Path]]:
    found = {}
    for sub in sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")):
        paths = sorted(p for p in sub.rglob("*") if p.suffix.lower() in ENDINGS)
        if paths:
            found[sub.name] = paths
    return found


def _open(path: Path) -> Image.Image:
    try:
        with Image.open(path) as image:
            image.load()
            return (
                image.convert("RGBA").convert("RGB")
                if image.mode in ("P", "RGBA", "LA", "CMYK")
                else image.copy()
            )
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(
            "pictures",
            "every picture must be readable",
            got=str(error).splitlines()[0],
            where=path,
            hint="the file is damaged; restore or remove it",
        ) from error


def _common(images: dict[Path, Image.Image]) -> tuple[tuple[int, int], str]:
    sizes = Counter(image.size for image in images.values())
    size = max(sizes, key=lambda size: (sizes[size], size))
    colour = any(image.mode not in ("L", "1", "I;16", "I") for image in images.values())
    return size, "RGB" if colour else "L"


def _fitted(image: Image.Image, size: tuple[int, int], mode: str) -> Image.Image:
    if image.mode in ("I;16", "I"):  # 16 bits a pixel: the upper byte
        image = Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8))
    image = image.convert(mode)
    return image if image.size == size else image.resize(size, Image.Resampling.BILINEAR)


def _notes(images: dict[Path, Image.Image], size: tuple[int, int]) -> tuple[Note, ...]:
    resized = sum(image.size != size for image in images.values())
    if not resized:
        return ()
    text = f"{resized} of {len(images)} pictures were resized to the most common size, {size[0]}x{size[1]}."
    return (Note("size", text),)


def _stack(
    part: dict[str, list[Path]], classes: tuple[str, ...], arrays: dict[Path, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    pairs = [(arrays[path], classes.index(label)) for label, paths in part.items() for path in paths]
    return np.stack([x for x, _ in pairs]), np.array([y for _, y in pairs], dtype=np.int64)
