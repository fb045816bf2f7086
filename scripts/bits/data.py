"""The data of the runs: files, arrays and streams generated from seeds; and the library itself."""

import importlib
import itertools
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

INPUTS = Path("../inputs")
# Examples per update. With 168 examples: 11 updates per epoch, an evaluation after 55 and at the end.
BATCH = 16


class LeftOut(Exception):
    """The reason why a run is not recorded."""


@cache
def library() -> Any:
    """Return the library to record."""
    return importlib.import_module("thalweg")


def write_inputs(folder: Path) -> None:
    """Write the input files: a table, a time series, a text, names, images."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(7)
    people = _people(rng, 240)
    people.head(200).write_csv(folder / "people.csv")
    people.tail(40).drop("rich", "income").write_csv(folder / "strangers.csv")
    time_ = np.arange(260)
    level = np.sin(time_ / 5) + 0.1 * rng.normal(size=260)
    pl.DataFrame({"month": time_, "level": level, "rain": rng.uniform(0, 1, 260)}).write_csv(
        folder / "river.csv"
    )
    words = ["water", "flows", "down", "the", "steepest", "way", "and", "the", "valley", "bends"]
    text = " ".join(words[index] for index in rng.integers(0, len(words), 900))
    (folder / "river.txt").write_text(text, encoding="utf-8")
    syllables = ["an", "be", "ra", "lo", "mi", "ka"]
    names = ["".join(syllables[i] for i in rng.integers(0, 6, rng.integers(1, 4))) for _ in range(200)]
    (folder / "names.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    pixels = rng.integers(0, 256, (160, 8, 8, 3)).astype(np.uint8)
    kinds = (np.arange(160) % 3).astype(np.int64)
    pixels[kinds == 1, :4] //= 3
    pixels[kinds == 2, :, :4] //= 3
    np.savez(folder / "pixels.npz", x=pixels, y=kinds)


def _people(rng: np.random.Generator, count: int) -> pl.DataFrame:
    age, hours = rng.integers(18, 70, count), rng.normal(38, 8, count).round(1)
    town = np.array(["Ulm", "Bern", "Graz", "Lyon"])[rng.integers(0, 4, count)]
    income = 20 + 0.5 * age + 0.3 * hours + np.where(town == "Bern", 15, 0) + rng.normal(0, 3, count)
    missing = rng.uniform(size=(2, count)) < 0.1
    columns = {
        "age": age,
        "hours": [None if gone else float(one) for gone, one in zip(missing[0], hours, strict=True)],
        "town": [None if gone else str(one) for gone, one in zip(missing[1], town, strict=True)],
        "member": rng.uniform(size=count) < 0.5,
        "joined": [f"20{year:02d}-0{month}-11" for year, month in rng.integers(1, 9, (count, 2))],
        "income": income.round(2),
        "rich": np.where(income > np.median(income), "yes", "no"),
    }
    return pl.DataFrame(columns, strict=False)


def points(classes: int = 3, features: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Return Gaussian blobs: inputs `240 feature` and the class of each."""
    rng = np.random.default_rng(classes)
    labels = np.arange(240) % classes
    centres = rng.normal(0, 1.5, (classes, features))
    return (centres[labels] + rng.normal(0, 1, (240, features))).astype(np.float32), labels.astype(np.int64)


@cache
def blobs(classes: int = 3, validation: float = 0.125) -> Any:
    """Return the blobs as data."""
    return library().load(points(classes), name="blobs", validation=validation, test=0.2)


@cache
def value_data() -> Any:
    """Return the blobs with a regression target."""
    inputs, labels = points()
    noise = np.random.default_rng(5).normal(0, 0.1, 240)
    targets = (inputs @ np.linspace(-1, 1, 6) + labels + noise).astype(np.float32)
    return library().load((inputs, targets), name="values", validation=0.125)


@cache
def count_data() -> Any:
    """Return the blobs with their class as a count."""
    inputs, labels = points()
    return library().load(
        (inputs, labels.astype(np.float32)), task="regression", name="counts", validation=0.125
    )


@cache
def distributions() -> Any:
    """Return a stream whose targets are distributions, which no file format has."""
    tw = library()

    def batches(start: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for number in itertools.count(start):
            rng = np.random.default_rng(number)
            inputs = rng.normal(size=(BATCH, 6)).astype(np.float32)
            shares = np.exp(inputs[:, :3])
            yield inputs, (shares / shares.sum(1, keepdims=True)).astype(np.float32)

    held = next(batches(10**6))
    return tw.stream(batches, task="regression", validation=held, test=held, every=55)


@cache
def pixel_data() -> Any:
    """Return small images as data."""
    return library().load(INPUTS / "pixels.npz", validation=0.1, test=0.2)


@cache
def text_data() -> Any:
    """Return the text as data, in windows of 16 characters."""
    return library().load(INPUTS / "river.txt", context=16)


@cache
def series_data() -> Any:
    """Return the time series as data, with a horizon of two."""
    return library().load(INPUTS / "river.csv", target="level", window=8, horizon=2)


def streamed(count: int = BATCH) -> Any:
    """Return a problem whose batches come from the host."""
    tw = library()
    inputs, labels = points()

    def batches(start: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for number in itertools.count(start):
            rows = np.random.default_rng(number).integers(0, 200, count)
            yield inputs[rows], labels[rows]

    held = inputs[200:], labels[200:]
    data = tw.stream(batches, classes=3, validation=held, test=held, every=55)
    return tw.Problem(tw.MLP([6, 8, 3]), data)


def real_files(*names: str) -> list[Path]:
    """Return files of real data.

    Raises:
        LeftOut: The files are not available.
    """
    root = os.environ.get("THALWEG_DATA")
    paths = [Path(root or ".") / name for name in names]
    if root is None or not all(path.exists() for path in paths):
        raise LeftOut(f"THALWEG_DATA does not hold {', '.join(names)}")
    return paths
