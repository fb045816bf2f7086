"""One picture file: what its header says, and its pixels in the form of a set.

What happens to a picture on the way:

- It is turned upright by its EXIF orientation. Of an animation or several pages, the first is taken.
- Transparent pixels are placed on white. Palettes and CMYK become colour; one bit becomes black and white.
- More than 8 bits (integers or floats) are scaled from the range of the training pictures to 0..255.
- It is resized by a triangle filter, which averages when it reduces; another shape is stretched.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Protocol

import numpy as np

from thalweg.core.files import is_regular
from thalweg.core.lazy import Image
from thalweg.core.limits import as_bytes, max_bytes
from thalweg.problem.data.files.file_trees import FileFormat

_READ = ".png .apng .jpg .jpeg .jpe .jfif .webp .avif .bmp .dib .gif .tif .tiff .ppm .pgm .pbm .pnm"
_RELATED = """
    .heic .heif .jxl .jp2 .j2k .svg .psd .xcf .eps .ai .ico .tga .exr .hdr .dcm .raw .dng .cr2 .cr3 .nef .arw
    .orf .rw2 .raf
"""
PICTURES = FileFormat(
    "pictures",
    "PNG, JPEG, WebP, AVIF, BMP, GIF, TIFF or PNM",
    tuple(_READ.split()),
    tuple(_RELATED.split()),
)
# Pillow's readers for these; others would do more than read, as the one of EPS, which starts Ghostscript.
_FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "BMP", "DIB", "GIF", "TIFF", "PPM")
_WIDE = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")  # Pillow's modes of more than 8 bits
_GREY = ("1", "L", "LA", "La", *_WIDE)
_BRIGHTEST = 255
# EXIF's orientation (tag 274, "Orientation"), and what turns it upright; EXIF 2.32, section 4.6.4.
_ORIENTATION = 274
_UPRIGHT = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}


class Packed(Protocol):
    """A picture's bytes in an archive (`tar_shards.Member`)."""

    @property
    def size(self) -> int:
        """How many bytes it has."""
        ...

    def read(self) -> bytes:
        """Return them."""
        ...


@dataclass(frozen=True)
class Form:
    """What every picture of a set becomes.

    Args:
        size: Width and height, in pixels.
        mode: Pillow's: `L`, `RGB` or `RGBA`.
        levels: Brightness in files of more than 8 bits that becomes 0 and 255; None if training had none.
    """

    size: tuple[int, int]
    mode: str
    levels: tuple[float, float] | None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a picture's array, `height width [channel]`."""
        return (self.size[1], self.size[0]) + ((len(self.mode),) if len(self.mode) > 1 else ())


@dataclass(frozen=True)
class Header:
    """What a file says of its picture without decoding it: size when upright, and kind of pixels."""

    size: tuple[int, int]
    colour: bool
    wide: bool
    cut_to_bytes: bool
    several: bool


@dataclass(frozen=True)
class Facts:
    """What was done to a picture when it was decoded."""

    turned: bool
    transparent: bool


def value_range(path: Path | Packed) -> tuple[float, float]:
    """Return the smallest and the largest value of a picture of more than 8 bits.

    Raises:
        ValueError: It holds NaN or inf. Otherwise what Pillow raises on a damaged file, of any type.
    """
    with _opened(path) as image:
        values = np.asarray(image)
    if not np.isfinite(values).all():
        raise ValueError("holds NaN or inf")
    return float(values.min()), float(values.max())


def read_pixels(path: Path | Packed, form: Form) -> tuple[np.ndarray, Facts]:
    """Return the picture, uint8 `height width [channel]`, and what was done to it.

    Raises:
        ValueError: Its brightness does not fit the levels. Otherwise what Pillow raises on a damaged file.
    """
    with _opened(path) as image:
        turn = 1 if image.format in ("PNG", "TIFF") else _orientation(image)
        if image.format in ("JPEG", "MPO"):  # decodes at 1/2, 1/4 or 1/8, but not below the size
            width, height = form.size
            image.draft(None, (height, width) if turn >= 5 else (width, height))
        image.load()
        turn = _orientation(image) if image.format == "PNG" else turn
        picture, transparent = _eight_bits(image, form)
    if turn > 1:
        picture = picture.transpose(Image.Transpose[_UPRIGHT[turn]])
    if picture.size != form.size:
        picture = picture.resize(form.size, Image.Resampling.BILINEAR)
    return np.asarray(picture), Facts(turn > 1, transparent)


def _eight_bits(image: Image.Image, form: Form) -> tuple[Image.Image, bool]:
    """Return the picture in its mode, and whether any of it was transparent."""
    if image.mode in _WIDE:
        return Image.fromarray(_scaled(np.asarray(image), form.levels)).convert(form.mode), False
    if not image.has_transparency_data:
        return image.convert(form.mode), False
    picture = image.convert("RGBA")
    if form.mode == "RGBA" or picture.getchannel("A").getextrema() == (_BRIGHTEST, _BRIGHTEST):
        return picture.convert(form.mode), False
    white = Image.new("RGBA", picture.size, "white")
    white.alpha_composite(picture)
    return white.convert("RGB").convert(form.mode), True


def _scaled(values: np.ndarray, levels: tuple[float, float] | None) -> np.ndarray:
    if levels is None:
        raise ValueError("more than 8 bits, which no picture of training had")
    low, high = levels
    span = high - low
    values = values.astype(np.float64)
    lit = values[values != 0]
    if np.count_nonzero((lit > high + span) | (lit < low - span)) * 2 > lit.size:
        raise ValueError(
            f"brightness {values.min():g}..{values.max():g} far outside {low:g}..{high:g} of training"
        )
    if not np.isfinite(values).all():
        raise ValueError("holds NaN or inf")
    return np.rint((values - low) * (_BRIGHTEST / span)).clip(0, _BRIGHTEST).astype(np.uint8)


@contextmanager
def _opened(path: Path | Packed) -> Iterator[Image.Image]:
    most = max_bytes()
    if isinstance(path, Path):
        if not is_regular(path):  # opening a pipe would wait for ever
            raise OSError("no regular file")
        size = path.stat().st_size
    else:
        size = path.size
    if size > most:
        raise ValueError(f"{as_bytes(size)}, above {as_bytes(most)}")
    with Image.open(path if isinstance(path, Path) else BytesIO(path.read()), formats=_FORMATS) as image:
        decoded = 4 * image.width * image.height  # as RGBA, or as 32 bits of brightness
        if decoded > most:
            raise ValueError(f"{image.width} x {image.height} pixels take more than {as_bytes(most)}")
        yield image


def read_header(path: Path | Packed) -> Header:
    """Return what the file says of its picture; raises what Pillow raises on a damaged file, of any type."""
    with _opened(path) as image:
        several = bool(getattr(image, "is_animated", False)) and image.format != "MPO"  # an MPO has a preview
        # The EXIF data of a PNG may stand behind its pixels, and asking for them would decode it.
        known = image.format != "PNG" or "exif" in image.info
        sideways = known and image.format != "TIFF" and _orientation(image) >= 5  # Pillow turns a TIFF itself
        size = (image.height, image.width) if sideways else image.size
        wide = image.mode in _WIDE
        cut = not wide and any(";16" in str(tile) for tile in getattr(image, "tile", ()))
        return Header(size, not wide and not _is_grey(image), wide, cut, several)


def _is_grey(image: Image.Image) -> bool:
    if image.mode != "P" or image.palette is None:
        return image.mode in _GREY
    mode, colours = image.palette.getdata()
    channels = [colours[first :: len(mode)] for first in range(3)]
    return channels[0] == channels[1] == channels[2]


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # a picture is whole although its EXIF data are not
        return 1
    return value if value in _UPRIGHT else 1
