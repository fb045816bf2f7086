"""Every architecture on every kind of data it takes, exported: other programs predict what the run does.

`export` itself runs the file and compares; these rows show that it accepts what it should, and a planted
difference that it refuses what it should. All but four take seconds each, and are `long`.
"""

import importlib.util
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

import thalweg as tw
from thalweg.doors.export import export as exports
from thalweg.doors.export.graph import TOLERANCE
from thalweg.problem.models import parse

DRAW = np.random.default_rng(0)
RECIPE = tw.Recipe(tw.AdamW(lr=3e-3), batch_size=32, steps=3)
ROWS = 160


def table(task: str) -> tw.Data:
    """Return a table with a column of every type, missing cells, rare categories and a long tail."""
    town = DRAW.choice(["Bern", "Lyon", "Ulm", "rare"], ROWS, p=[0.4, 0.3, 0.28, 0.02])
    day = [date(2020, 1, 1) + timedelta(days=int(n)) for n in DRAW.integers(0, 900, ROWS)]
    words = [" ".join(DRAW.choice(["red", "blue", "round", "flat"], 2)) + f" {n}" for n in range(ROWS)]
    size = np.where(DRAW.random(ROWS) < 0.1, np.nan, DRAW.standard_normal(ROWS) * 3 + 100)
    frame = pl.DataFrame({"size": size, "pay": np.exp(DRAW.standard_normal(ROWS) * 2), "town": town})
    frame = frame.with_columns(pl.Series("day", day), pl.Series("note", words), member=pl.col("pay") > 1)
    score = np.nan_to_num(size, nan=100.0) - 100 + (town == "Bern")
    target = np.where(score > 0, "yes", "no") if task == "classes" else score * 1e3 + 5e4
    return tw.load((frame, pl.Series("rich", target)), test=0.2)


def pixels(channels: tuple[int, ...] = (), side: int = 8, values: bool = False) -> tw.Data:
    """Return small bytes or floats, in three classes."""
    classes = np.arange(96) % 3
    images = DRAW.integers(0, 200, (96, side, side, *channels)) + 20 * classes.reshape(
        -1, *[1] * (2 + len(channels))
    )
    return tw.load((images.astype(np.float32) / 255 if values else images.astype(np.uint8), classes))


def sequences(task: str = "classes") -> tw.Data:
    """Return sequences of four numbers, of very different means."""
    x = (DRAW.standard_normal((96, 9, 4)) + np.array([0, 5, 1e3, -40])).astype(np.float32)
    return tw.load((x, (x[:, :, 0].mean(axis=1) > 0).astype(int) if task == "classes" else x[:, -1, :2]))


def arrays(task: str) -> tw.Data:
    """Return rows of numbers with one class, several labels, or several values."""
    x = DRAW.standard_normal((96, 5)) * 7 + 2000
    labels = (x[:, :3] > 2000).astype(int)
    return tw.load((x, {"classes": labels[:, 0], "labels": labels, "values": x[:, :2] * 10}[task]))


def series(several: bool = False) -> tw.Data:
    """Return windows of one series, or of two with levels of their own."""
    t = np.arange(120)
    frame = pl.DataFrame(
        {"shop": np.repeat(["a", "b"], 120), "day": np.tile(t, 2), "sold": np.tile(np.sin(t / 5), 2)}
    )
    if several:
        frame = frame.with_columns(
            sold=pl.col("sold") + pl.when(pl.col("shop") == "a").then(100.0).otherwise(5.0)
        )
        return tw.load(frame, target="sold", window=6, series="shop", split="time")
    return tw.load(np.sin(t / 5), window=6, horizon=2)


@pytest.fixture(scope="module")
def text(tmp_path_factory) -> tw.Data:
    """Return a text in windows of twelve characters."""
    path = tmp_path_factory.mktemp("text") / "words.txt"
    path.write_text("the quick brown fox jumps over the lazy dog; " * 60)
    return tw.load(path, context=12)


# (architecture, data, further arguments of Problem)
ROWS_OF = {
    "mlp, table of classes": ("mlp:8", lambda: table("classes"), {}),
    "cnn, bytes": ("cnn", pixels, {}),
    "lstm, sequences": ("lstm:8", sequences, {}),
    "gpt, text": ("gpt:layers=1,heads=2,width=16", None, {}),
}
LONG = {
    "mlp, table of values": ("mlp:8", lambda: table("values"), {}),
    "mlp, table of quantiles": ("mlp:8", lambda: table("values"), {"loss": "quantile:0.1,0.5,0.9"}),
    "mlp with skips and norms, table": (
        "mlp:8,8,skip=true,normalisation=layer",
        lambda: table("classes"),
        {},
    ),
    "mlp with batch norm, table": ("mlp:8,normalisation=batch", lambda: table("classes"), {}),
    "ensemble, table": ("tabular:8,members=2,embedding=periodic", lambda: table("classes"), {}),
    "ensemble, table of values": ("tabular:8,members=2", lambda: table("values"), {}),
    "linear, table": ("linear", lambda: table("classes"), {}),
    "mlp of one output, table": ("mlp:8", lambda: table("classes"), {"loss": "binary_cross_entropy"}),
    "linear by hinge, table": ("linear", lambda: table("classes"), {"loss": "hinge"}),
    "mlp, arrays": ("mlp:8", lambda: arrays("classes"), {}),
    "mlp, labels": ("mlp:8", lambda: arrays("labels"), {}),
    "mlp, several values": ("mlp:8", lambda: arrays("values"), {}),
    "linear, arrays": ("linear", lambda: arrays("values"), {}),
    "mlp, bytes": ("mlp:8", pixels, {}),
    "linear, bytes": ("linear", pixels, {}),
    "mlp, brightness": ("mlp:8", lambda: pixels(values=True), {}),
    "cnn, colours": ("cnn", lambda: pixels((3,)), {}),
    "resnet, colours": ("resnet", lambda: pixels((3,)), {}),
    "resnet, large images": ("resnet", lambda: pixels((3,), side=128), {}),
    "vgg, bytes": ("vgg", pixels, {}),
    "rnn, sequences": ("rnn:8", sequences, {}),
    "gru, sequences": ("gru:8", sequences, {}),
    "lstm, sequences of values": ("lstm:8", lambda: sequences("values"), {}),
    "mlp, sequences": ("mlp:8", sequences, {}),
    "mlp, a series": ("mlp:8", series, {}),
    "gru, a series": ("gru:8", series, {}),
    "mlp, several series": ("mlp:8", lambda: series(True), {}),
    "lstm, text": ("lstm:8", None, {}),
    "rnn, text": ("rnn:8", None, {}),
    "gru, text": ("gru:8", None, {}),
}
EVERY = [*ROWS_OF, *(pytest.param(name, marks=pytest.mark.long) for name in LONG)]


def trained(name: str, text: tw.Data) -> tw.Run:
    """Return a run of a few updates."""
    model, data, more = (ROWS_OF | LONG)[name]
    return tw.train(tw.Problem(parse(model), data() if data else text, **more), RECIPE, progress=False)


# What an export is made and run with.
NEEDS = {"onnx": ("jax2onnx", "onnxruntime"), "stablehlo": ("flatbuffers",), "torch": ("torch",)}


@pytest.fixture(scope="module")
def runs() -> dict[str, tw.Run]:
    """Return the runs so far, by name: one training for all formats."""
    return {}


@pytest.mark.parametrize("to", exports.FORMATS)
@pytest.mark.parametrize("name", EVERY)
def test_another_program_predicts_as_the_run_does(name, to, runs, text, tmp_path):
    lacking = [package for package in NEEDS[to] if importlib.util.find_spec(package) is None]
    if lacking:
        pytest.skip(f"needs {', '.join(lacking)}: pip install 'thalweg[{to}]'")
    if to == "torch" and name.startswith("ensemble"):
        pytest.skip("ensembles are not written as PyTorch modules")
    run = runs.get(name) or runs.setdefault(name, trained(name, text))
    written = tw.export(run, tmp_path / f"model.{to}", to=to)
    assert written.difference <= TOLERANCE and written.rows == 100
    assert written.path.stat().st_size > 0


def test_every_architecture_is_exported():
    specs = {model.partition(":")[0] for model, _, _ in (ROWS_OF | LONG).values()}
    assert specs == set(tw.ARCHITECTURES)
