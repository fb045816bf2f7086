"""What a page is sent: frames, a header of JSON with arrays of numbers behind it."""

import json
import struct
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

import numpy as np

from thalweg.insight.play import export
from thalweg.insight.play.scene import drawn_weights
from thalweg.insight.play.session import Playground, Variant, View
from thalweg.insight.play.sources import DRAWN, SURFACE, TABLE, Source


class Arrays:
    """Arrays of a frame, one after another, each at a multiple of four bytes."""

    def __init__(self) -> None:
        self.places: list[tuple[str, str, int, list[int]]] = []
        self.content = bytearray()

    def add(self, name: str, array: np.ndarray) -> None:
        """Append an array; its place says name, type, first byte and shape."""
        little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        self.places.append((name, array.dtype.name, len(self.content), list(array.shape)))
        self.content += little.tobytes()
        self.content += b"\0" * (-len(self.content) % 4)


def packed(header: Any, content: bytes | bytearray) -> bytes:
    """Return a frame: the length of its header (uint32), the header as JSON padded to four bytes, arrays."""
    text = json.dumps(header, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    return struct.pack("<I", len(text)) + text + bytes(content)


def unpacked(frame: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return header and arrays of a frame; the inverse of `packed`, for programs and tests."""
    (length,) = struct.unpack_from("<I", frame)
    header, start = json.loads(frame[4 : 4 + length]), 4 + length
    arrays = {}
    for name, kind, first, shape in header["arrays"]:
        count = int(np.prod(shape))
        arrays[name] = np.frombuffer(frame, np.dtype(kind), count, start + first).reshape(shape)
    return header, arrays


def lane(view: View, whole: bool) -> dict[str, Any]:
    """Return a variant's losses and curves, from the start or only the newest point."""
    history = view.variant.history
    return {
        "number": view.variant.number,
        "train": view.train_loss,
        "validation": view.validation_loss,
        "stopped": view.stopped,
        "steps": history.steps if whole else history.steps[-1:],
        "curves": history.values if whole else history.values[-1:],
        "path": history.path if whole else history.path[-1:],
    }


def labels(variants: Sequence[Variant]) -> dict[int, str]:
    """Return how each variant differs from the others, as text for people."""
    rows = [vars(variant.settings) for variant in variants]
    varied = [name for name in rows[0] if len({row[name] for row in rows}) > 1]
    return {
        variant.number: ", ".join(_setting(name, row[name]) for name in varied) or "same settings"
        for variant, row in zip(variants, rows, strict=True)
    }


def _setting(name: str, value: Any) -> str:
    shown = {"hidden": "layers", "batch_size": "batch", "weight_decay": "decay", "initialisation": "init"}
    if name in ("activation", "optimizer", "schedule"):
        return str(value)
    if isinstance(value, tuple):
        value = "-".join(map(str, value)) or "none"
    return (
        f"{shown.get(name, name)} {value:.3g}"
        if isinstance(value, float)
        else f"{shown.get(name, name)} {value}"
    )


def controls(playground: Playground) -> dict[str, Any]:
    """Return what the controls and the recipe's texts show."""
    settings, source = playground.settings, playground.source
    return {
        "values": {name: list(v) if isinstance(v, tuple) else v for name, v in vars(settings).items()},
        "labels": labels(playground.variants),
        "layers": playground.layers,
        "toml": export.as_toml(settings),
        "python": export.as_python(settings, source),
        "command": export.as_command(settings, source),
        "save_first": source.name == DRAWN,
        "epoch_steps": playground.epoch_steps,
    }


def drawn(playground: Playground, own: Source | None, arrays: Arrays) -> dict[str, Any]:
    """Return what stays the same while it trains; examples and heights go into the arrays.

    Args:
        playground: What is played.
        own: The table that the command line named, or None.
        arrays: Of the frame.
    """
    scene, source = playground.scene, playground.source
    if scene.points is not None:
        arrays.add("points/at", scene.points.at.astype(np.float32))
        arrays.add("points/labels", scene.points.labels.astype(np.float32))
        arrays.add("points/held", scene.points.held.astype(np.uint8))
    if scene.heights.size:
        arrays.add("heights", scene.heights.astype(np.float32))
    return {
        "kind": scene.kind,
        "source": source.name,
        "table": PurePath(own.path).name if own is not None and own.name == TABLE else None,
        "window": scene.window,
        "names": scene.names,
        "target": "" if source.data is None else source.data.preparation.target,
        "classes": source.classes,
        "formula": source.surface.formula if source.kind == SURFACE else "",
        "shows": source.surface.shows if source.kind == SURFACE else "",
    }


def add_pictures(playground: Playground, arrays: Arrays) -> dict[str, float]:
    """Add what is drawn of every variant, and the weights of the first; return the largest of each matrix."""
    for view in playground.views:
        picture = playground.scene.picture(playground.problem, view.outputs)
        for name, array in picture.items():
            arrays.add(f"{view.variant.number}/{name}", array)
    largest = {}
    for name, array, most in drawn_weights(playground.weights()):
        arrays.add(f"weights/{name}", array)
        largest[name] = most
    return largest
