"""The trainings: small, many, and each with something that no other has.

Only what users call is used: the command line and the public names. Where a choice would be made by the clock
(how lanes are laid out, what a search may cost) it is made here.
"""

import contextlib
import importlib
import io
import itertools
import os
import platform
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from bits.comparing import is_chosen

Train = Callable[[Path], None]
# Runs whose names do not depend on the library; those of its tables come with `chosen`.
RUNS: dict[str, Train] = {}
INPUTS = Path("../inputs")
BATCH, STEPS = 16, 110  # 168 examples: 11 updates an epoch, an evaluation after 55 and at the end
# Rules that take the whole training part in every update, and need few of them.
LINE_SEARCHES = ("gradient-descent", "l-bfgs")
# Settings of schedules whose defaults are for longer runs than these.
SCHEDULES: dict[str, dict[str, Any]] = {
    "step": {"every": 3.0},
    "cosine-restarts": {"period": 4.0},
    "warmup": {"length": 2.0},
    "plateau": {"patience": 0.0, "threshold": 1.0},
}


class LeftOut(Exception):
    """Why a run is not recorded here."""


def run(name: str) -> Callable[[Train], Train]:
    """Register a training under a name."""

    def register(train: Train) -> Train:
        RUNS[name] = train
        return train

    return register


def chosen(only: list[str]) -> dict[str, Train]:
    """Return the trainings that were asked for, with one for each optimizer, schedule, loss and model."""
    tw = library()
    every = dict(RUNS)
    every |= {f"optimizer/{name}": partial(_with_optimizer, name) for name in tw.OPTIMIZERS}
    every |= {f"schedule/{name}": partial(_with_schedule, name) for name in tw.SCHEDULES}
    every |= {f"model/{name}": partial(_with_model, name) for name in tw.ARCHITECTURES}
    every |= {f"loss/{name}": partial(_with_loss, name) for name in tw.LOSSES}
    return {name: every[name] for name in sorted(every) if is_chosen(name, only)}


@cache
def library() -> Any:
    """Return the library that is recorded."""
    return importlib.import_module("thalweg")


def machine() -> dict[str, Any]:
    """Return what bits may depend on beside the library."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    versions = {name: version(name) for name in ("jax", "jaxlib", "equinox", "optax", "numpy")}
    processor = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        told = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        processor = next(line.partition(":")[2].strip() for line in told if line.startswith("model name"))
    return {"python": platform.python_version(), "processor": processor, "cores": cores, **versions}


# What is trained on.


def write_inputs(folder: Path) -> None:
    """Write the files that runs read: a table, a series, a text, names, pictures."""
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


def _points(classes: int = 3, features: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(classes)
    labels = np.arange(240) % classes
    centres = rng.normal(0, 1.5, (classes, features))
    return (centres[labels] + rng.normal(0, 1, (240, features))).astype(np.float32), labels.astype(np.int64)


@cache
def _blobs(classes: int = 3, validation: float = 0.125) -> Any:
    return library().load(_points(classes), name="blobs", validation=validation, test=0.2)


@cache
def _values() -> Any:
    inputs, labels = _points()
    noise = np.random.default_rng(5).normal(0, 0.1, 240)
    targets = (inputs @ np.linspace(-1, 1, 6) + labels + noise).astype(np.float32)
    return library().load((inputs, targets), name="values", validation=0.125)


def _net(classes: int = 3) -> Any:
    tw = library()
    return tw.Problem(tw.MLP([6, 8, classes]), _blobs(classes))


def _recipe(optimizer: Any = None, **settings: Any) -> Any:
    tw = library()
    length = {} if "epochs" in settings else {"steps": STEPS}
    return tw.Recipe(optimizer or tw.AdamW(lr=3e-3), **{"batch_size": BATCH, **length, **settings})


# How it is trained.


def _fit(folder: Path, problem: Any = None, recipe: Any = None, **rest: Any) -> Any:
    return library().train(problem or _net(), recipe or _recipe(), keep=folder / "run", **rest)


def thalweg(*arguments: object, code: int = 0) -> str:
    """Run the command in this process; return what it prints."""
    before, out, err = sys.argv, io.StringIO(), io.StringIO()
    sys.argv = ["thalweg", *map(str, arguments)]
    ended: Any = 0
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            runpy.run_module("thalweg", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        ended = end.code or 0
    finally:
        sys.argv = before
    if ended != code:
        raise RuntimeError(f"thalweg {' '.join(map(str, arguments))}: exit code {ended}\n{err.getvalue()}")
    return out.getvalue()


class Interrupting:
    """Listens to a run, whatever the listener's methods are called, and interrupts it as Ctrl-C would.

    The first word of progress comes after the first dispatch, which ends at the first checkpoint at the
    latest: so the run stops at that step, whatever the clock says.
    """

    def __init__(self) -> None:
        self._done = False

    def __getattr__(self, name: str) -> Any:
        return self._hear

    def _hear(self, told: Any = None, *_: Any) -> None:
        if not self._done and getattr(told, "step", 0) > 0:
            self._done = True
            signal.raise_signal(signal.SIGINT)


def _saving(folder: Path, every: str) -> Any:
    tw = library()
    options = getattr(tw, "SaveOptions", None) or tw.Keeping
    return options(folder, every=every)


def _interrupted(folder: Path, problem: Any, recipe: Any, **rest: Any) -> Any:
    """Interrupt a run at step 20, or where the listener is heard first."""
    return library().train(problem, recipe, keep=_saving(folder, "20"), progress=Interrupting(), **rest)


def _keep_table(folder: Path, name: str, frame: Any) -> None:
    pl.DataFrame(frame).write_parquet(folder / f"{name}.parquet")


def _data(*names: str) -> list[Path]:
    """Return real data files.

    Raises:
        LeftOut: They are not here.
    """
    root = os.environ.get("THALWEG_DATA")
    paths = [Path(root or ".") / name for name in names]
    if root is None or not all(path.exists() for path in paths):
        raise LeftOut(f"THALWEG_DATA does not hold {', '.join(names)}")
    return paths


# One run for each row of the library's tables.


def _with_optimizer(name: str, folder: Path) -> None:
    size = {"batch_size": "full", "steps": 12} if name in LINE_SEARCHES else {}
    _fit(folder, recipe=_recipe(library().OPTIMIZERS[name](), **size))


def _with_schedule(name: str, folder: Path) -> None:
    schedule = library().SCHEDULES[name](**SCHEDULES.get(name, {}))
    _fit(folder, recipe=_recipe(library().SGD(lr=0.05, momentum=0.9), schedule=schedule))


def _with_model(name: str, folder: Path) -> None:
    tw = library()
    small: dict[str, Callable[[], tuple[Any, Any, dict[str, Any]]]] = {
        "mlp": lambda: (
            tw.MLP([6, 8, 8, 3], activation="gelu", normalisation="layer", dropout=0.2, skip=True),
            _blobs(),
            {},
        ),
        "linear": lambda: (tw.LinearModel(), _blobs(), {}),
        "cnn": lambda: (tw.CNN([4, 8], hidden=16, normalisation="batch", dropout=0.1), _pixels(), {}),
        "vgg": lambda: (tw.VGG(8, channels=4), _pixels(), {"steps": 12}),
        "resnet": lambda: (tw.ResNet(8, channels=4), _pixels(), {"steps": 12}),
        "gpt": lambda: (tw.GPT(layers=1, heads=2, width=8, dropout=0.1, bias=True), _text(), {"steps": 20}),
        "rnn": lambda: (tw.RNN(8, embedding=4, truncation=4), _text(), {"steps": 20}),
        "lstm": lambda: (tw.LSTM(8, embedding=4, layers=2, dropout=0.1), _text(), {"steps": 20}),
        "gru": lambda: (tw.GRU(8), _series(), {"steps": 20}),
    }
    if name not in small:
        raise LeftOut("a model that this script has no small form of")
    model, data, settings = small[name]()
    _fit(folder, tw.Problem(model, data), _recipe(**settings))


def _with_loss(name: str, folder: Path) -> None:
    tw = library()
    if name == "kl":
        data, model = _distributions(), tw.MLP([6, 8, 3])
    elif name in ("mse", "mae", "huber"):
        data, model = _values(), tw.MLP([6, 8, 1])
    elif name == "binary_cross_entropy":
        data, model = _blobs(2), tw.MLP([6, 8, 1])
    else:
        data, model = _blobs(), tw.MLP([6, 8, 3])
    _fit(folder, tw.Problem(model, data, loss=name))


@run("loss/function")
def _function(folder: Path) -> None:
    tw = library()

    def fourth_power(outputs: Any, targets: Any) -> Any:
        return ((outputs - targets) ** 4).mean(-1)

    _fit(folder, tw.Problem(tw.MLP([6, 8, 1]), _values(), loss=fourth_power, metric="mae"))


@run("loss/smoothed")
def _smoothed(folder: Path) -> None:
    tw = library()
    _fit(folder, tw.Problem(tw.MLP([6, 8, 3]), _blobs(), loss="cross_entropy:smoothing=0.1", metric="top5"))


@run("loss/perplexity")
def _perplexity(folder: Path) -> None:
    tw = library()
    _fit(folder, tw.Problem(tw.MLP([6, 8, 3]), _blobs(), metric="perplexity"))


def _with_parts(settings: dict[str, Any], folder: Path) -> None:
    tw = library()
    _fit(folder, tw.Problem(tw.MLP([6, 8, 8, 3], **settings), _blobs()), _recipe(steps=30))


_PARTS = (
    ("tanh", "batch", "glorot"),
    ("silu", "group", "lecun"),
    ("leaky_relu", "rms", "orthogonal"),
    ("sigmoid", "none", "he_uniform"),
)
for _parts in _PARTS:
    _settings = dict(zip(("activation", "normalisation", "initialisation"), _parts, strict=True))
    RUNS[f"part/{'-'.join(_parts)}"] = partial(_with_parts, _settings)


@cache
def _distributions() -> Any:
    """Return a stream whose targets are distributions: no file holds such."""
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
def _pixels() -> Any:
    return library().load(INPUTS / "pixels.npz", validation=0.1, test=0.2)


@cache
def _text() -> Any:
    return library().load(INPUTS / "river.txt", context=16)


@cache
def _series() -> Any:
    return library().load(INPUTS / "river.csv", target="level", window=8, horizon=2)


# Feeds.


@run("feed/order")
def _order(folder: Path) -> None:
    _fit(folder, recipe=_recipe(shuffle="none"))


@run("feed/once")
def _once(folder: Path) -> None:
    _fit(folder, recipe=_recipe(shuffle="once", last_batch="drop"))


@run("feed/replacement")
def _replacement(folder: Path) -> None:
    _fit(folder, recipe=_recipe(shuffle="replacement"))


@run("feed/full")
def _full(folder: Path) -> None:
    _fit(folder, recipe=_recipe(batch_size="full", steps=60))


@run("feed/one")
def _one(folder: Path) -> None:
    _fit(folder, recipe=_recipe(batch_size=1, steps=None, epochs=1))


@run("feed/continued")
def _continued(folder: Path) -> None:
    tw = library()
    problem = tw.Problem(tw.LSTM(8, embedding=4), _text())
    _fit(folder, problem, _recipe(shuffle="continued", batch_size=8, steps=60))


def _streamed(count: int = BATCH) -> Any:
    tw = library()
    inputs, labels = _points()

    def batches(start: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for number in itertools.count(start):
            rows = np.random.default_rng(number).integers(0, 200, count)
            yield inputs[rows], labels[rows]

    held = inputs[200:], labels[200:]
    data = tw.stream(batches, classes=3, validation=held, test=held, every=55)
    return tw.Problem(tw.MLP([6, 8, 3]), data)


@run("feed/streamed")
def _stream(folder: Path) -> None:
    _fit(folder, _streamed())


@run("feed/no-validation")
def _no_validation(folder: Path) -> None:
    tw = library()
    _fit(folder, tw.Problem(tw.MLP([6, 8, 3]), _blobs(validation=0.0)), _recipe(epochs=5))


# What a step does beside its rule.


@run("step/accumulate")
def _accumulate(folder: Path) -> None:
    _fit(folder, recipe=_recipe(accumulate=3))


@run("step/clip-norm")
def _clip_norm(folder: Path) -> None:
    _fit(folder, recipe=_recipe(clip_norm=0.3))


@run("step/clip-value")
def _clip_value(folder: Path) -> None:
    _fit(folder, recipe=_recipe(clip_value=0.05))


@run("step/agc")
def _agc(folder: Path) -> None:
    _fit(folder, recipe=_recipe(agc=0.05))


@run("step/noise")
def _noise(folder: Path) -> None:
    _fit(folder, recipe=_recipe(noise=0.1))


@run("step/skip-nonfinite")
def _skip(folder: Path) -> None:
    # Overflows on the way: some updates are left out.
    _fit(folder, recipe=_recipe(library().SGD(lr=1e30), skip_nonfinite=True, steps=40))


@run("step/rate-rule")
def _rate_rule(folder: Path) -> None:
    _fit(folder, recipe=_recipe(rate_rule="sqrt", rate_batch=64))


@run("step/groups")
def _groups(folder: Path) -> None:
    tw = library()
    groups = (
        tw.Group(pattern="layers.0.*", lr_factor=0.1, weight_decay=0.5),
        tw.Group(role="bias", weight_decay=0.0),
    )
    _fit(folder, recipe=_recipe(tw.AdamW(lr=3e-3, weight_decay=0.1), groups=groups))


@run("step/frozen")
def _frozen(folder: Path) -> None:
    tw = library()
    _fit(folder, recipe=_recipe(groups=(tw.Group(pattern="layers.0.*", frozen=True),)))


@run("step/sgd-forms")
def _forms(folder: Path) -> None:
    sgd = partial(library().SGD, lr=0.05, momentum=0.9, weight_decay=0.01)
    rules = [
        sgd(nesterov=True),
        sgd(decay_form="whole", remember="steps"),
        sgd(decay_form="decoupled"),
    ]
    _lanes(folder, [_recipe(rule, schedule=library().Cosine()) for rule in rules], strict=True)


@run("average/ema")
def _ema(folder: Path) -> None:
    _fit(folder, recipe=_recipe(averaging=library().EMA(decay=0.9)))


@run("average/swa")
def _swa(folder: Path) -> None:
    _fit(folder, recipe=_recipe(averaging=library().SWA(start=0.5)))


@run("average/tail")
def _tail(folder: Path) -> None:
    _fit(folder, recipe=_recipe(averaging=library().Tail()))


@run("precision/bf16")
def _bf16(folder: Path) -> None:
    _fit(folder, recipe=_recipe(precision="bf16"))


@run("precision/f16")
def _f16(folder: Path) -> None:
    _fit(folder, recipe=_recipe(precision="f16"))


@run("precision/f64")
def _f64(folder: Path) -> None:
    jax: Any = importlib.import_module("jax")
    with jax.enable_x64(True):
        _fit(folder, recipe=_recipe(precision="f64"))


@run("step/augment")
def _augmented(folder: Path) -> None:
    tw = library()
    problem = tw.Problem(tw.CNN([4], hidden=8), _pixels())
    _fit(folder, problem, _recipe(augment="crop-flip-cutout", steps=30))


# Data.


@run("data/fingerprints")
def _fingerprints(folder: Path) -> None:
    """Read data in every way there is, and keep what tells them apart; nothing is trained."""
    load, people = library().load, {"source": INPUTS / "people.csv", "target": "rich"}
    sets = ("digits", "iris", "wine", "breast_cancer", "diabetes")
    made = ("xor", "moons", "circles", "spirals", "sine", "linear", "quadratic")
    ways: dict[str, dict[str, Any]] = {name: {"source": name} for name in (*sets, *made)}
    ways |= {
        "random": people,
        "other": people | {"split_seed": 5, "test": 0.3},
        "in-time": people | {"split": "time", "validation": 0.2},
        "grouped": people | {"split": "group=town"},
        "dropped": people | {"drop": ("income", "joined"), "missing": ("Ulm",)},
        "own-test": people | {"test": str(INPUTS / "people.csv")},
        "frame": {"source": pl.read_csv(INPUTS / "people.csv"), "target": "income"},
        "arrays": {"source": _points()},
        "pixels": {"source": INPUTS / "pixels.npz"},
        "text": {"source": INPUTS / "river.txt", "context": 8},
        "lines": {"source": INPUTS / "names.txt", "lines": True},
        "series": {"source": INPUTS / "river.csv", "target": "level", "window": 8},
        "series-ahead": {"source": INPUTS / "river.csv", "target": "level", "window": 5, "horizon": 3},
    }
    found = {name: load(**way) for name, way in ways.items()}
    columns: dict[str, list[Any]] = {"way": list(found)}
    columns["fingerprint"] = [data.fingerprint for data in found.values()]
    columns["train"] = [data.train.count() for data in found.values()]
    _keep_table(folder, "fingerprints", columns)


@run("data/real-fingerprints")
def _real_fingerprints(folder: Path) -> None:
    tables = ("california_housing.csv.gz", "titanic.csv")
    paths = _data(*(f"tabular/{name}" for name in tables), "text/names.txt", "mnist", "cifar10")
    targets = {"california_housing.csv.gz": "median_house_value", "titanic.csv": "Survived"}
    load = library().load
    found = {path.name: load(path, target=targets[path.name]) for path in paths[: len(tables)]}
    found |= {"names": load(paths[2], lines=True), "mnist": load("mnist"), "cifar10": load("cifar10")}
    prints = [data.fingerprint for data in found.values()]
    _keep_table(folder, "fingerprints", {"way": list(found), "fingerprint": prints})


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
        place = INPUTS / "pictures" / label
        place.mkdir(parents=True, exist_ok=True)
        for number in range(20):
            pixels = (rng.integers(0, 256, (8, 8, 3)) // (1 + 2 * kind)).astype(np.uint8)
            image.fromarray(pixels).save(place / f"{number:02d}.png")
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

    found = _fit(folder, library().Problem(net, _blobs()))
    _keep_table(folder, "answers", found.predict(_points()[0][:40]))


@run("data/mnist")
def _mnist(folder: Path) -> None:
    _data("mnist")
    thalweg(
        *("fit", "mnist", "--model", "mlp:16", "--set", "batch_size=256", "--steps", 40),
        *("--out", folder / "run", "-q"),
    )


# Lanes: several recipes at once.


def _lanes(folder: Path, recipes: list[Any], problem: Any = None, **rest: Any) -> Any:
    found = library().train(problem or _net(), recipes, keep=folder / "run", **rest)
    _keep_table(folder, "lanes", found.table)
    return found


@run("lanes/mapped")
def _mapped(folder: Path) -> None:
    recipes = _recipe(library().SGD(lr=0.01)).vary(lr=[0.01, 0.03, 0.1], seed=[0, 1])
    _lanes(folder, recipes, strict=True)


@run("lanes/batched")
def _batched(folder: Path) -> None:
    # So small a network is laid out in one product by rule, and the work is too short for a trial.
    _lanes(folder, _recipe(library().SGD(lr=0.01)).vary(lr=[0.01, 0.02, 0.04], seed=[0, 1]))


@run("lanes/batched-by-seed")
def _batched_by_seed(folder: Path) -> None:
    _lanes(folder, _recipe().vary(lr=[0.001, 0.002, 0.004, 0.008, 0.016], seed=[0, 1]))


@run("lanes/batched-text")
def _batched_text(folder: Path) -> None:
    problem = library().Problem(library().RNN(8, embedding=4), _text())
    _lanes(folder, _recipe(steps=20).vary(lr=[0.001, 0.002, 0.004, 0.008]), problem)


@run("lanes/groups")
def _several_groups(folder: Path) -> None:
    tw = library()
    recipes = [_recipe(rule, batch_size=size) for rule in (tw.SGD(lr=0.05), tw.Adam()) for size in (8, 16)]
    _lanes(folder, recipes, strict=True)


@run("lanes/diverging")
def _diverging(folder: Path) -> None:
    _lanes(folder, _recipe(library().SGD(lr=0.01)).vary(lr=[0.01, 1e8, 0.1, 1e9]), strict=True)


@run("lanes/diverging-batched")
def _diverging_batched(folder: Path) -> None:
    _lanes(folder, _recipe(library().SGD(lr=0.01)).vary(lr=[0.01, 1e8, 0.1, 1e9]))


@run("lanes/halving")
def _halving(folder: Path) -> None:
    recipes = _recipe(library().SGD(lr=0.01), steps=440).vary(lr=[0.001, 0.01, 0.1, 0.3], seed=[0, 1])
    _lanes(folder, recipes, strict=True, halving=library().Halving(factor=2.0))


@run("lanes/patience")
def _lane_patience(folder: Path) -> None:
    recipes = _recipe(library().SGD(lr=0.01), steps=660, patience=1).vary(lr=[0.01, 2.0])
    _lanes(folder, recipes, strict=True)


@run("lanes/streamed")
def _lanes_streamed(folder: Path) -> None:
    _lanes(folder, _recipe().vary(lr=[0.001, 0.01]), _streamed(), strict=True)


@run("lanes/sampled")
def _sampled(folder: Path) -> None:
    _lanes(folder, _recipe().sample(4, {"lr": (1e-4, 1e-1), "weight_decay": [0.0, 0.1]}, key=3), strict=True)


@run("sweep/vary")
def _sweep(folder: Path) -> None:
    thalweg(
        *("sweep", "iris", "--vary", "optimizer.lr=1e-4..1e-1:3log", "--vary", "seed=0..1"),
        *("--model", "mlp:8", "--steps", 40, "--strict", "--out", folder / "run", "-q"),
    )


@run("sweep/models")
def _sweep_models(folder: Path) -> None:
    thalweg(
        *("sweep", "iris", "--vary", "model=mlp:8,linear", "--vary", "seed=0..1"),
        *("--steps", 30, "--strict", "--out", folder / "run", "-q"),
    )


@run("sweep/halving")
def _sweep_halving(folder: Path) -> None:
    thalweg(
        *("sweep", "iris", "--vary", "optimizer.lr=1e-4..1e-1:4log", "--sample", 4, "--halving"),
        *("--model", "mlp:8", "--steps", 300, "--strict", "--out", folder / "run", "-q"),
    )


# Why runs stop, beside `steps`.


@run("stop/epochs")
def _epochs(folder: Path) -> None:
    _fit(folder, recipe=_recipe(epochs=3))


@run("stop/patience")
def _patience(folder: Path) -> None:
    _fit(folder, recipe=_recipe(library().SGD(lr=2.0), steps=660, patience=1))


@run("stop/target")
def _target(folder: Path) -> None:
    _fit(folder, recipe=_recipe(target=0.5, steps=660))


@run("stop/loss-change")
def _loss_change(folder: Path) -> None:
    _fit(folder, recipe=_recipe(loss_change_below=0.2, steps=660))


@run("stop/loss-change-in-training")
def _training_loss_change(folder: Path) -> None:
    tw = library()
    problem = tw.Problem(tw.MLP([6, 8, 3]), _blobs(validation=0.0))
    _fit(folder, problem, _recipe(loss_change_below=0.2, steps=660))


@run("stop/gradient")
def _gradient(folder: Path) -> None:
    _fit(folder, recipe=_recipe(gradient_below=0.5, steps=660))


@run("stop/seconds")
def _seconds(folder: Path) -> None:
    # Over after the first dispatch, whose length is not the clock's choice.
    _fit(folder, recipe=_recipe(seconds=1e-9))


@run("stop/diverged")
def _diverged(folder: Path) -> None:
    _fit(folder, recipe=_recipe(library().SGD(lr=1e12)))


@run("stop/interrupted")
def _interrupt(folder: Path) -> None:
    _interrupted(folder / "run", _net(), _recipe())


# Going on.


@run("resume/interrupted")
def _go_on(folder: Path) -> None:
    tw, problem = library(), _net()
    _interrupted(folder / "run", problem, _recipe(schedule=tw.Cosine(), averaging=tw.EMA(decay=0.9)))
    tw.resume(folder / "run", problem)
    _fit(folder / "whole", problem, _recipe(schedule=tw.Cosine(), averaging=tw.EMA(decay=0.9)))


@run("resume/plateau")
def _go_on_plateau(folder: Path) -> None:
    tw, problem = library(), _net()
    plateau = tw.Plateau(patience=0.0, threshold=1.0)
    _interrupted(folder / "run", problem, _recipe(tw.SGD(lr=0.1), schedule=plateau, noise=0.1, steps=220))
    tw.resume(folder / "run", problem)


@run("resume/continued")
def _go_on_continued(folder: Path) -> None:
    tw = library()
    problem = tw.Problem(tw.LSTM(8, embedding=4), _text())
    _interrupted(folder / "run", problem, _recipe(shuffle="continued", batch_size=8, steps=60))
    tw.resume(folder / "run", problem)


@run("resume/streamed")
def _go_on_streamed(folder: Path) -> None:
    problem = _streamed()
    _interrupted(folder / "run", problem, _recipe())
    library().resume(folder / "run", problem)


@run("resume/lanes")
def _go_on_lanes(folder: Path) -> None:
    problem = _net()
    recipes = _recipe(library().SGD(lr=0.01), steps=440).vary(lr=[0.01, 0.03], seed=[0, 1])
    _interrupted(folder / "run", problem, recipes, strict=True)
    library().resume(folder / "run", problem)


@run("resume/killed")
def _go_on_killed(folder: Path) -> None:
    arguments = ("--model", "mlp:8", "--steps", "6000", "--checkpoint-every", "200", "-q")
    command = [sys.executable, "-m", "thalweg", "fit", "iris", *arguments, "--out", str(folder / "run")]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < until:
        if list(folder.glob("run/checkpoints/step-*")):
            break
        time.sleep(0.002)
    process.kill()
    process.wait()
    thalweg("resume", folder / "run", "-q")


def _finished(folder: Path) -> Path:
    """Train a run of four epochs with a schedule, which others go on from."""
    thalweg(
        *("fit", "iris", "--model", "mlp:8", "--epochs", 8, "--checkpoint-every", 20, "--seed", 2),
        *("--out", folder / "run", "-q"),
    )
    return folder / "run"


@run("resume/stretch")
def _stretch(folder: Path) -> None:
    thalweg("resume", _finished(folder), "--epochs", 12, "--schedule", "stretch", "-q")


@run("resume/hold")
def _hold(folder: Path) -> None:
    thalweg("resume", _finished(folder), "--steps", 90, "--schedule", "hold", "-q")


@run("resume/fork")
def _fork(folder: Path) -> None:
    run_folder = _finished(folder)
    fork = ("--at", 45, "--set", "optimizer.lr=1e-4", "--out", folder / "fork")
    thalweg("resume", run_folder, *fork, "-q")


@run("resume/init")
def _init(folder: Path) -> None:
    _finished(folder)
    thalweg(
        *("fit", "iris", "--model", "mlp:8", "--init", folder / "run", "--steps", 20, "--split-seed", 4),
        *("--out", folder / "tuned", "-q"),
    )


@run("resume/auto")
def _auto(folder: Path) -> None:
    arguments = ("fit", "iris", "--model", "mlp:8", "--steps", 30, "--resume", "auto", "-q")
    for _ in range(2):
        thalweg(*arguments, "--out", folder / "run")


# Finding.


@run("find/rate")
def _find(folder: Path) -> None:
    thalweg("find", "iris", "--model", "mlp:8", "--budget", 3, "--out", folder / "found", "-q")


@run("find/batch")
def _find_batch(folder: Path) -> None:
    thalweg(
        *("find", "iris", "--model", "linear", "--batch", "16,32", "--budget", 1, "--epochs", 20),
        *("--out", folder / "found", "-q"),
    )


@run("find/fit-auto")
def _fit_auto(folder: Path) -> None:
    thalweg("fit", "iris", "--model", "mlp:8", "--lr", "auto", "--epochs", 60, "--out", folder / "run", "-q")


@run("find/range-test")
def _range_test(folder: Path) -> None:
    found = library().range_test(_net(), _recipe(), factor=1.3)
    numbers = {name: value for name, value in vars(found).items() if isinstance(value, int | float)}
    _keep_table(folder, "readings", {name: [value] for name, value in numbers.items()})
    for name, value in vars(found).items():
        if isinstance(value, pl.DataFrame):
            _keep_table(folder, name, value)


@run("find/search")
def _search(folder: Path) -> None:
    tw = library()
    budget = tw.Budget(trials=4, lanes=2)
    found = tw.search(_net(), _recipe(), {"lr": (1e-4, 1e-1)}, budget, key=1)
    _keep_table(folder, "trials", found.table)
