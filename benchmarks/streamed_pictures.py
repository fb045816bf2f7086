"""Pictures decoded during training against the same pictures in memory: peak memory, processor time, speed.

Made JPEG files of 160 x 120 in two classes, in folders and in tar archives, at the size that `fit` gives
them. Each run is a process of `thalweg fit`; its memory is the most that the process held.
`STREAMED_PICTURES` in the environment sets how many there are.
"""

import io
import os
import tarfile
import tempfile
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from benchmarks.machine import markdown
from benchmarks.streamed_tables import measured_fit

COUNT, SHARDS, STEPS, BATCH = 12_000, 4, 200, 64
SIZE = (160, 120)
MODEL = "cnn:8,16"


def run(quick: bool) -> dict:
    """Write the pictures, and train on them in memory, from folders and from archives."""
    count = 400 if quick else int(os.environ.get("STREAMED_PICTURES", COUNT))
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        size = _write(root, count)
        steps = 20 if quick else STEPS
        ways = {
            "in memory": ("folders", "--no-stream"),
            "streamed from folders": ("folders", "--stream"),
            "streamed from tar archives": ("archives", "--stream"),
        }
        runs = {name: _fit(root, source, how, steps) for name, (source, how) in ways.items()}
        return {"pictures": count, "bytes": size, "model": MODEL, "runs": runs}


def _write(root: Path, count: int) -> int:
    """Write pictures of blurred noise, warm ones and cold ones; return their bytes."""
    random = np.random.default_rng(0)
    (root / "archives").mkdir()
    size = 0
    with ExitStack() as opened:
        archives = [
            opened.enter_context(tarfile.open(root / "archives" / f"made-{i:03}.tar", "w"))
            for i in range(SHARDS)
        ]
        for number in range(count):
            label = ("cold", "warm")[number % 2]
            content = _picture(random, label)
            path = root / "folders" / label / f"{number:06}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            info = tarfile.TarInfo(f"{label}/{number:06}.jpg")
            info.size = len(content)
            archives[number % SHARDS].addfile(info, io.BytesIO(content))
            size += info.size
    return size


def _picture(random: np.random.Generator, label: str) -> bytes:
    noise = random.integers(0, 256, (SIZE[1] // 8, SIZE[0] // 8, 3), np.uint8)
    noise[..., 0 if label == "warm" else 2] |= 64
    content = io.BytesIO()
    blurred = Image.fromarray(noise).resize(SIZE).filter(ImageFilter.GaussianBlur(1))
    blurred.save(content, "JPEG", quality=85)
    return content.getvalue()


def _fit(root: Path, source: str, how: str, steps: int) -> dict[str, float]:
    out = root / f"{source}{how}"
    arguments = [str(root / source), "--model", MODEL, "--steps", str(steps), how]
    return measured_fit([*arguments, "--set", f"batch_size={BATCH}"], out)


def table(result: dict) -> str:
    """Return the table."""
    rows = [
        [
            how,
            f"{row['peak'] / 2**20:,.0f}",
            f"{row['processor']:.1f}",
            f"{row['examples']:,.0f}",
            f"{row['test_loss']:.4f}",
        ]
        for how, row in result["runs"].items()
    ]
    said = f"{result['pictures']:,} pictures, {result['bytes'] / 2**20:,.0f} MiB of JPEG, {result['model']}"
    header = ["", "peak memory, MiB", "processor seconds", "examples a second", "test loss"]
    return f"{said}\n\n{markdown(header, rows)}"
