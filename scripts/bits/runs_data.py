"""Runs on every kind of data, read by the command line; and fingerprints of data, without training."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from bits.data import INPUTS, blobs, library, points, real_files
from bits.harness import fit, keep_table, run, thalweg


@run("data/fingerprints")
def _fingerprints(folder: Path) -> None:
    """Read data in every possible way and save their fingerprints; nothing is trained."""
    load, people = library().load, {"source": INPUTS / "people.csv", "target": "rich"}
    sets = ("digits", "iris", "wine", "breast_cancer", "diabetes")
    synthetic = ("xor", "moons", "circles", "spirals", "sine", "linear", "quadratic")
    options: dict[str, dict[str, Any]] = {name: {"source": name} for name in (*sets, *synthetic)}
    options |= {
        "random": people,
        "other": people | {"split_seed": 5, "test": 0.3},
        "in-time": people | {"split": "time", "validation": 0.2},
        "grouped": people | {"split": "group=town"},
        "dropped": people | {"drop": ("income", "joined"), "missing": ("Ulm",)},
        "own-test": people | {"test": str(INPUTS / "people.csv")},
        "frame": {"source": pl.read_csv(INPUTS / "people.csv"), "target": "income"},
        "arrays": {"source": points()},
        "pixels": {"source": INPUTS / "pixels.npz"},
        "text": {"source": INPUTS / "river.txt", "context": 8},
        "lines": {"source": INPUTS / "names.txt", "lines": True},
        "series": {"source": INPUTS / "river.csv", "target": "level", "window": 8},
        "series-ahead": {"source": INPUTS / "river.csv", "target": "level", "window": 5, "horizon": 3},
    }
    loaded = {name: load(**option) for name, option in options.items()}
    columns: dict[str, list[Any]] = {"way": list(loaded)}
    columns["fingerprint"] = [data.fingerprint for data in loaded.values()]
    columns["train"] = [data.train.count() for data in loaded.values()]
    keep_table(folder, "fingerprints", columns)


@run("data/real-fingerprints")
def _real_fingerprints(folder: Path) -> None:
    tables = ("california_housing.csv.gz", "titanic.csv")
    paths = real_files(*(f"tabular/{name}" for name in tables), "text/names.txt", "mnist", "cifar10")
    targets = {"california_housing.csv.gz": "median_house_value", "titanic.csv": "Survived"}
    load = library().load
    loaded = {path.name: load(path, target=targets[path.name]) for path in paths[: len(tables)]}
    loaded |= {"names": load(paths[2], lines=True), "mnist": load("mnist"), "cifar10": load("cifar10")}
    prints = [data.fingerprint for data in loaded.values()]
    keep_table(folder, "fingerprints", {"way": list(loaded), "fingerprint": prints})


@run("data/table-classes")
def _table(folder: Path) -> None:
    thalweg(
        *("fit", INPUTS / "people.csv", "--target", "rich", "--drop", "income", "--model", "mlp:8"),
        *("--steps", 60, "--out", folder / "run", "--seed", 1, "-q"),
    )
    for suffix in ("csv", "parquet", "npy"):
        answers = folder / f"answers.{suffix}"
        thalweg("predict", folder / "run", INPUTS / "strangers.csv", "--out", answers, "--json")
    final = folder / "answers-final.parquet"
    thalweg("predict", folder / "run", INPUTS / "strangers.csv", "--weights", "final", "--out", final)


@run("data/table-values")
def _table_values(folder: Path) -> None:
    thalweg(
        *("fit", INPUTS / "people.csv", "--target", "income", "--drop", "rich", "--split", "group=town"),
        *("--epochs", 6, "--model", "mlp:8", "--out", folder / "run", "-q"),
    )
    out = folder / "answers.parquet"
    thalweg("predict", folder / "run", INPUTS / "strangers.csv", "--out", out)


@run("data/series")
def _series_command(folder: Path) -> None:
    thalweg(
        *("fit", INPUTS / "river.csv", "--target", "level", "--window", 8, "--model", "mlp:8"),
        *("--steps", 30, "--out", folder / "run", "-q"),
    )


@run("data/lines")
def _lines(folder: Path) -> None:
    thalweg(
        *("fit", INPUTS / "names.txt", "--lines", "--model", "rnn:4,embedding=4"),
        *("--steps", 30, "--out", folder / "run", "-q"),
    )


@run("data/pictures")
def _pictures(folder: Path) -> None:
    image: Any = importlib.import_module("PIL.Image")
    rng = np.random.default_rng(3)
    for kind, label in enumerate(("light", "dark")):
        subfolder = INPUTS / "pictures" / label
        subfolder.mkdir(parents=True, exist_ok=True)
        for number in range(20):
            pixels = (rng.integers(0, 256, (8, 8, 3)) // (1 + 2 * kind)).astype(np.uint8)
            image.fromarray(pixels).save(subfolder / f"{number:02d}.png")
    thalweg(
        *("fit", INPUTS / "pictures", "--model", "linear", "--steps", 20),
        *("--out", folder / "run", "-q"),
    )
    out = folder / "answers.parquet"
    thalweg("predict", folder / "run", INPUTS / "pictures", "--out", out)


@run("data/digits-default")
def _digits(folder: Path) -> None:
    thalweg("fit", "digits", "--epochs", 2, "--out", folder / "run", "-q")


@run("data/own-module")
def _own_module(folder: Path) -> None:
    eqx: Any = importlib.import_module("equinox")

    def net(key: Any) -> Any:
        return eqx.nn.MLP(6, 3, 8, 1, key=key)

    run_ = fit(folder, library().Problem(net, blobs()))
    keep_table(folder, "answers", run_.predict(points()[0][:40]))


@run("data/mnist")
def _mnist(folder: Path) -> None:
    real_files("mnist")
    thalweg(
        *("fit", "mnist", "--model", "mlp:16", "--set", "batch_size=256", "--steps", 40),
        *("--out", folder / "run", "-q"),
    )
