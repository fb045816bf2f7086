"""Random folders of pictures of known meaning, as people have them: layouts, names, formats, junk, damage.

Every class has its brightness, and every picture a brighter quarter at its top left, so that a picture under
the wrong label, or not upright, is seen.
"""

import unicodedata
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, features

SIZE = (12, 8)  # width, height
CORNER = 40  # how much brighter the top left quarter is
LOWEST, HIGHEST = 40, 190
WORDS = ("cat", "dog", "Esel", "käse", "zèbre", "big fish", "owl")
SPLIT_NAMES = {
    "train": ("train", "training", "Train", "TRAINING", "train_set", "seg_train", "trainImages"),
    "validation": ("val", "valid", "Validation", "VAL", "dev", "val_set", "seg_val"),
    "test": ("test", "testing", "Test", "TESTING", "holdout", "test_set", "seg_test"),
}
LOSSLESS = (".png", ".bmp", ".tif", ".tiff", ".PNG", ".TIF")
SUFFIXES = (*LOSSLESS, ".jpg", ".jpeg", ".JPG", ".jfif", ".gif", ".webp", ".ppm", ".pgm")
SUFFIXES += (".avif",) if features.check("avif") else ()
FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".jfif": "JPEG", ".tif": "TIFF", ".ppm": "PPM", ".pgm": "PPM"}
# Orientation tag: how the camera stores a picture that has to be turned upright.
STORED = {1: None, 2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 6: "ROTATE_90", 8: "ROTATE_270"}


@dataclass
class Meaning:
    """What a tree means: `counts` by split and class, in the order of classes; `level` is their brightness.

    `refused`: words of the error, if it has to be refused. `broken`: files that cannot be read, left out with
    skip_broken. `noted`: words that notes must hold.
    """

    counts: dict[str, dict[str, int]]
    level: dict[str, int]
    refused: tuple[str, ...] = ()
    broken: list[str] = field(default_factory=list)
    noted: list[str] = field(default_factory=list)


def build(root: Path, seed: int) -> Meaning:
    """Write a tree and return what it means."""
    return _Builder(root, np.random.default_rng(seed)).build()


class _Builder:
    def __init__(self, root, rng):
        self.root, self.rng, self.number, self.odd = root, rng, 0, 0
        self.colour = rng.random() < 0.5
        self.suffixes = self.some(SUFFIXES, int(rng.integers(1, 5)))
        self.meaning = Meaning({}, {})

    def chance(self, share):
        return self.rng.random() < share

    def pick(self, choices):
        return choices[int(self.rng.integers(len(choices)))]

    def some(self, choices, count):
        return [choices[i] for i in sorted(self.rng.choice(len(choices), count, replace=False).tolist())]

    def build(self):
        layout = self.pick(("classes", "splits", "splits", "transposed", "names", "table", "class train"))
        inner = self.root
        for _ in range(int(self.rng.integers(0, 3))):
            inner /= self.pick(("data", "dataset", "my pictures", "archive-1"))
        classes = self.classes(layout)
        levels = np.linspace(LOWEST, HIGHEST, len(classes)).astype(int).tolist()
        self.meaning.level = dict(zip(classes, levels, strict=True))
        {
            "classes": self.class_folders,
            "splits": self.splits,
            "transposed": self.transposed,
            "names": self.file_names,
            "table": self.table,
            "class train": self.class_folders,
        }[layout](inner, classes)
        if self.chance(0.4):
            self.junk(inner)
        if layout in ("classes", "splits"):
            self.trouble(inner)
        return self.meaning

    def classes(self, layout):
        if layout == "class train":
            return ["bus", "car", "train"]
        if layout in ("classes", "splits", "transposed") and self.chance(0.3):
            return [str(n) for n in self.some(range(13), 5)]  # in the order of numbers
        if layout == "names":
            return self.some(("ape", "bee", "cat", "dog"), 3)
        names = self.some(WORDS, int(self.rng.integers(2, 5)))
        return sorted(names, key=str.casefold) if layout != "table" else sorted(names)

    # Layouts

    def class_folders(self, folder, classes):
        self.meaning.counts["train"] = {
            label: self.fill(folder / self.written(label), label) for label in classes
        }

    def split_names(self):
        splits = self.pick((("train", "test"), ("train", "validation", "test"), ("train", "validation")))
        return {split: self.pick(SPLIT_NAMES[split]) for split in splits}

    def splits(self, folder, classes):
        for split, name in self.split_names().items():
            lacking = self.pick(classes) if split != "train" and self.chance(0.15) else None
            self.meaning.counts[split] = {}
            inner = folder / name / "images" if self.chance(0.2) else folder / name
            for label in classes:
                if label != lacking:
                    written = self.written(label)
                    if split != "train" and self.chance(0.2):
                        written = written.upper()
                    self.meaning.counts[split][label] = self.fill(inner / written, label)
            if lacking is not None:
                self.meaning.noted.append(lacking)

    def transposed(self, folder, classes):
        for split, name in self.split_names().items():
            self.meaning.counts[split] = {
                label: self.fill(folder / self.written(label) / name, label) for label in classes
            }

    def file_names(self, folder, classes):
        mark = self.pick((".", "_", "-", " (", ""))
        named = {label: self.fill(folder, label, f"{label}{mark}", ")" * (mark == " (")) for label in classes}
        self.meaning.counts["train"] = named
        self.meaning.noted.append("file names")

    def table(self, folder, classes):
        inner = folder / self.pick(("images", "photos", "."))
        self.meaning.counts["train"], rows = {}, []
        for label in classes:
            first = self.number
            self.meaning.counts["train"][label] = self.fill(inner, label, "x")
            files = [p for p in inner.iterdir() if int(p.stem[1:]) >= first]
            rows += [(path, label) for path in files]
        form = self.pick((lambda p: p.name, lambda p: p.stem, lambda p: str(p.relative_to(folder))))
        header = self.pick(("file,label", "filename,class", "image_id,kind", "path,category"))
        lines = [header, *(f"{form(path)},{label}" for path, label in rows)]
        if self.chance(0.3):
            lines.append("nowhere.png,cat")
            self.meaning.noted.append("nowhere.png")
        (folder / self.pick(("labels.csv", "train.csv", "annotations.csv"))).write_text(
            "\n".join(lines) + "\n"
        )

    # Names and troubles

    def written(self, label):
        return unicodedata.normalize(self.pick(("NFC", "NFD")), label)

    def junk(self, folder):
        inner = self.pick([folder, *(p for p in folder.iterdir() if p.is_dir())])
        for name in ("Thumbs.db", ".DS_Store", "._1.jpg", "desktop.ini", "readme.txt"):
            (inner / name).write_bytes(b"junk")
        for name in ("__MACOSX", ".ipynb_checkpoints"):
            (self.root / name / "cat").mkdir(parents=True, exist_ok=True)
            (self.root / name / "cat" / "._1.png").write_bytes(b"junk")
            (self.root / name / "cat" / "1.png").write_bytes(b"junk")

    def trouble(self, folder):
        train = [
            p
            for p in self.root.rglob("*")
            if p.is_file() and p.suffix.lower() in {s.lower() for s in SUFFIXES}
        ]
        inner = self.pick(
            [
                p
                for p in train
                if not p.name.startswith("._")
                and "__MACOSX" not in p.parts
                and ".ipynb_checkpoints" not in p.parts
            ]
        ).parent
        kind = self.pick(("none", "none", "none", "broken", "heic", "lost", "unknown class", "between"))
        if kind == "broken":
            for i in range(int(self.rng.integers(1, 4))):
                name = f"broken{i}{self.pick(SUFFIXES)}"
                content = self.pick((b"", b"no picture", b"\x89PNG\r\n\x1a\n", b"GIF89a"))
                (inner / name).write_bytes(content)
                self.meaning.broken.append(name)
        elif kind == "heic":
            (inner / "photo.HEIC").write_bytes(b"x")
            self.meaning.noted.append("1 .heic")
        elif kind == "lost":
            (inner.parent / "zebra").mkdir()
            (inner.parent / "zebra" / "1.heic").write_bytes(b"x")
            self.meaning.refused = ("zebra", "1 .heic")
        elif (
            kind == "unknown class"
            and "test" in self.meaning.counts
            and any(p.name in SPLIT_NAMES["test"] for p in inner.parents)
        ):
            self.picture(inner.parent / "zebra", 100, "1", ".png")
            self.meaning.refused = ("zebra", "must occur in training")
        elif kind == "between" and len(self.meaning.counts) > 1:
            split = next(p for p in inner.parents if p.name in sum(SPLIT_NAMES.values(), ()))
            self.picture(split.parent / "zebra", 100, "1", ".png")
            self.meaning.refused = ("splits and classes", "zebra")

    # Pictures

    def fill(self, folder, label, before="img", after=""):
        count = int(self.rng.integers(2, 5))
        for _ in range(count):
            suffix = self.pick(self.suffixes)
            self.picture(folder, self.meaning.level[label], f"{before}{self.number}{after}", suffix)
            self.number += 1
        return count

    def picture(self, folder, level, stem, suffix):
        odd = self.chance(0.2) and 3 * self.odd < self.number  # most have the common size
        self.odd += odd
        width, height = (2 * SIZE[0], 3 * SIZE[1]) if odd else SIZE
        values = np.full((height, width), level + int(self.rng.integers(-3, 4)), np.uint8)
        values[: height // 2, : width // 2] += CORNER
        image, form = Image.fromarray(values), FORMATS.get(suffix.lower())
        image, options = self.in_mode(image, suffix.lower())
        orientation = self.pick(tuple(STORED)) if suffix.lower() in (".jpg", ".jpeg", ".png", ".webp") else 1
        if orientation != 1:
            image = image.transpose(Image.Transpose[STORED[orientation]])
            exif = Image.Exif()
            exif[274] = orientation
            options["exif"] = exif
        folder.mkdir(parents=True, exist_ok=True)
        image.save(folder / f"{stem}{suffix}", form, **options)

    def in_mode(self, image, suffix):
        """Return the picture in a mode that its format can have, and the options to save it with."""
        if suffix in (".png", ".tif", ".tiff") and self.chance(0.15):
            wide = np.asarray(image).astype(np.uint16) * 257
            wide[-1, -1] = 65535
            return Image.fromarray(wide), {}
        modes = {
            ".png": ("L", "RGB", "P", "LA", "RGBA"),
            ".tif": ("L", "RGB", "CMYK", "RGBA"),
            ".tiff": ("L", "RGB", "LA", "YCbCr"),
            ".gif": ("L", "RGB"),
            ".webp": ("RGB", "RGBA"),
            ".avif": ("RGB", "RGBA"),
            ".ppm": ("RGB",),
            ".pgm": ("L",),
            ".bmp": ("L", "RGB", "P"),
        }.get(suffix, ("L", "RGB", "CMYK"))
        mode = self.pick(modes if self.colour else modes[:1])
        image = (
            image.convert("RGB" if mode == "CMYK" else mode)
            if mode != "P"
            else image.convert("RGB").quantize()
        )
        image = image.convert("CMYK") if mode == "CMYK" else image
        if mode in ("LA", "RGBA"):
            alpha = Image.new("L", image.size, 255)
            alpha.putpixel((image.width - 1, image.height - 1), 0)
            image.putalpha(alpha)
        return image, {".webp": {"lossless": True}, ".avif": {"quality": 95}}.get(suffix, {})
