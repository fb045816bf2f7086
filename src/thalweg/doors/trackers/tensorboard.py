"""TensorBoard's event files, written without TensorBoard or TensorFlow.

An event file is a sequence of records: length (8 bytes, little-endian), its checksum, the data, its checksum.
The data are protocol buffers, `Event` with a `Summary`; only the few fields needed here are encoded.

Reference: TensorFlow, tensorflow/core/lib/io/record_writer.h, tensorflow/core/util/event.proto and
tensorflow/core/framework/summary.proto; RFC 3720, B.4 (the checksum, CRC-32C).
"""

import os
import socket
import struct
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thalweg.core.disk import DISK
from thalweg.run.progress import TrainingPlan
from thalweg.run.tracking import end_figures, settings_of

_POLYNOMIAL = 0x82F63B78  # of CRC-32C, with its bits reversed
_MASK = 0xA282EAD8  # added to a rotated checksum, so that checksums of data with checksums stay good
_VARINT, _DOUBLE, _BYTES, _FLOAT = 0, 1, 2, 5  # wire types of protocol buffers
_STRING = 7  # `DT_STRING`, the element type of a text tensor


class TensorBoard:
    """Writes each lane's figures to event files below a folder: `tensorboard --logdir FOLDER` shows them.

    A run is the folder `<name>`, the lanes of a sweep `<name>/lane-000` and so on. Figures are scalars, the
    settings of a lane are its text `settings`. Every figure is on disk when training continues.

    Args:
        folder: Where runs are written; created if missing.
    """

    def __init__(self, folder: Path | str = "logs"):
        self._folder = Path(folder)
        self._files: list[Path] = []

    def start(self, plan: TrainingPlan) -> None:
        """Create the event file of each lane, with its settings."""
        name = f"events.out.tfevents.{time.time_ns() / 1e9:.6f}.{socket.gethostname()}.{os.getpid()}"
        folder = self._folder / plan.name
        lanes = [folder / f"lane-{lane:03d}" for lane in range(plan.lanes)] if plan.lanes > 1 else [folder]
        self._files = [lane / name for lane in lanes]
        for lane, file in enumerate(self._files):
            file.parent.mkdir(parents=True, exist_ok=True)
            self._append(lane, _field(3, _BYTES, b"brain.Event:2"))
            self._append(lane, _event(0, [_text("settings", _as_table(settings_of(plan.settings, lane)))]))

    def log(self, step: int, figures: Mapping[str, float], lane: int) -> None:
        """Append the figures."""
        self._append(lane, _event(step, [_scalar(name, value) for name, value in figures.items()]))

    def finish(self, result: Mapping[str, Any]) -> None:
        """Append the test figures of a single run."""
        if len(self._files) == 1 and (figures := end_figures(result)):
            self.log(int(result.get("steps") or 0), figures, 0)

    def _append(self, lane: int, event: bytes) -> None:
        # Opened for each record: a thousand lanes would exhaust the process's file handles.
        data = memoryview(record(_field(1, _DOUBLE, time.time()) + event))
        descriptor = DISK.open_shared(self._files[lane], create=True)
        try:
            os.lseek(descriptor, 0, os.SEEK_END)
            while data:
                data = data[DISK.write(descriptor, data) :]
        finally:
            DISK.close(descriptor)


def record(data: bytes) -> bytes:
    """Return one record of an event file."""
    length = struct.pack("<Q", len(data))
    return length + _checksum(length) + data + _checksum(data)


def _checksum(data: bytes) -> bytes:
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + _MASK) & 0xFFFFFFFF)


def _table_entry(byte: int) -> int:
    for _ in range(8):
        byte = (byte >> 1) ^ (_POLYNOMIAL if byte & 1 else 0)
    return byte


_TABLE = [_table_entry(byte) for byte in range(256)]


def _event(step: int, values: list[bytes]) -> bytes:
    summary = b"".join(_field(1, _BYTES, value) for value in values)
    return _field(2, _VARINT, step) + _field(5, _BYTES, summary)


def _scalar(tag: str, value: float) -> bytes:
    return _field(1, _BYTES, tag.encode()) + _field(2, _FLOAT, value)


def _text(tag: str, text: str) -> bytes:
    shape = _field(2, _BYTES, _field(1, _VARINT, 1))
    tensor = _field(1, _VARINT, _STRING) + _field(2, _BYTES, shape) + _field(8, _BYTES, text.encode())
    plugin = _field(1, _BYTES, _field(1, _BYTES, b"text"))
    return _field(1, _BYTES, tag.encode()) + _field(8, _BYTES, tensor) + _field(9, _BYTES, plugin)


def _field(number: int, kind: int, value: Any) -> bytes:
    """Encode one field of a protocol buffer."""
    start = _varint(number << 3 | kind)
    if kind == _VARINT:
        return start + _varint(value)
    if kind == _BYTES:
        return start + _varint(len(value)) + value
    return start + struct.pack("<d" if kind == _DOUBLE else "<f", value)


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


def _as_table(settings: Mapping[str, Any]) -> str:
    """Return settings as a Markdown table, which TensorBoard draws."""
    rows = [f"| {name} | {value} |" for name, value in settings.items()]
    return "\n".join(["| setting | value |", "| --- | --- |", *rows])
