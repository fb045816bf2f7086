"""The tasks: a problem and a recipe each, as diverse as two cores allow.

Each line of `LINES` is a task: data, model, optimizer, schedule, batch, updates. Its learning rate is the one
that a user would start from: the optimizer's default, or the one of the recipe book (`RATES`). All tasks are
short, because the ground truth of each takes some hundred full-length runs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import polars as pl

import thalweg as tw
from benchmarks.machine import data_folder
from thalweg.problem.data.files.content import read_text
from thalweg.problem.data.text import from_lines, from_text
from thalweg.problem.models import parse

# A tenth of a few hundred rows is too few to distinguish rates, and the test split is not needed.
SPLITS: dict[str, Any] = {"test": 0.0, "validation": 0.3}

# data        model                                               optimizer           schedule   batch updates
LINES = """
digits        linear                                              sgd                 constant        32 1500
digits        linear                                              adam                constant       128 1000
digits        mlp:64                                              sgd                 constant        32 2000
digits        mlp:64                                              sgd                 constant         8 3750
digits        mlp:64                                              sgd                 constant      full  750
digits        mlp:64                                              momentum            cosine          64 1250
digits        mlp:64                                              nesterov            one-cycle      128  750
digits        mlp:64                                              adam                constant        32 2000
digits        mlp:64                                              adamw               warmup-cosine   64 1250
digits        mlp:64                                              rmsprop             constant        32 1500
digits        mlp:64                                              adagrad             constant        32 1500
digits        mlp:64                                              lion                cosine          64 1250
digits        mlp:64                                              muon                cosine          64  750
digits        mlp:64                                              radam               constant       256  750
digits        mlp:32,32,32,32,activation=tanh                     adam                constant        64 1250
digits        mlp:48,48,48,48,normalisation=batch,dropout=0.2     adamw               warmup-cosine   64 1000
digits        cnn:4,8,hidden=16                                   adam                constant        64  450
iris          linear                                              sgd                 constant      full 1000
iris          mlp:16                                              adam                constant      full  750
iris          mlp:16                                              sgd                 step             8 1250
wine          linear                                              momentum            constant      full  750
wine          mlp:32                                              adamw               warmup-cosine   16  750
breast_cancer linear                                              adagrad             constant        32 1000
breast_cancer mlp:32                                              sgd                 constant        16 1500
breast_cancer mlp:32,32                                           nadam               cosine          32 1000
diabetes      linear                                              sgd                 constant      full  750
diabetes      mlp:32                                              adam                constant        32 1000
diabetes      mlp:32,32,dropout=0.3                               adamw               warmup-cosine   16 1250
moons         mlp:16                                              sgd                 constant        32 3750
spirals       mlp:32,32                                           adam                cosine          64 3000
spirals       mlp:32,32                                           momentum            step            64 3000
quadratic     mlp:16,activation=tanh                              adamw               one-cycle       32 1500
california    linear                                              sgd                 constant        64 1250
california    mlp:64                                              sgd                 constant        64 2000
california    mlp:64                                              adamw               warmup-cosine  128 1500
california    mlp:64,64                                           rmsprop             cosine         256 1000
california    mlp:64,64,64,normalisation=batch                    nesterov            one-cycle      128  750
california    mlp:64                                              muon                cosine         128  750
california    mlp:32                                              lamb                constant      full  750
wine_red      mlp:32                                              adam                constant        32 1250
wine_white    mlp:64,dropout=0.2                                  adamw               warmup-cosine   64 1500
adult         linear                                              sgd                 constant        64 1500
adult         mlp:32                                              adamw               warmup-cosine  128 1250
titanic       mlp:32                                              adamw               warmup-cosine   32 1000
titanic       mlp:32                                              momentum            constant        32 1000
covtype       mlp:64                                              sgd                 constant        64 2500
covtype       mlp:64,64                                           adam                constant       128 1500
credit        mlp:32                                              adamax              cosine         128 1250
mnist         mlp:64                                              sgd                 constant       128 1500
mnist         mlp:64                                              adam                constant        64 1250
mnist         linear                                              momentum            constant       256  750
mnist         mlp:64,64,64,normalisation=batch,dropout=0.1        adamw               one-cycle       64  750
mnist         cnn:4,8,hidden=32                                   nesterov            one-cycle       32  300
fashion       mlp:64                                              adamw               warmup-cosine   64 1250
fashion       mlp:64                                              nesterov            constant      full  400
fashion       cnn:4,8,hidden=32                                   adamw               cosine          32  300
cifar         resnet:8,channels=4,stride=2                        nesterov            one-cycle       32  200
cifar         cnn:4,8,hidden=32                                   adam                constant        32  250
airline       mlp:32                                              adam                constant        16 1000
airline       rnn:16                                              sgd                 constant        16  600
sunspots      lstm:16                                             adam                cosine          32  500
sunspots      gru:16                                              rmsprop             constant        32  500
sunspots      mlp:32                                              schedule-free-adamw constant        64 1250
shakespeare   gpt:layers=1,heads=2,width=32                       adamw               warmup-cosine   16  400
shakespeare   gpt:layers=1,heads=2,width=32                       muon                stable-decay    16  300
shakespeare   lstm:32                                             adam                constant        16  400
names         gru:32                                              adamw               warmup-cosine   64  400
"""

# Rates that differ from the optimizer's default, as in the recipe book: momentum in a one-cycle schedule, and
# Muon with linear decay.
RATES = {
    ("nesterov", "one-cycle"): {"lr": 0.1},
    ("muon", "stable-decay"): {"lr": 0.01, "adam_lr": 3e-3},
}
OPTIMIZERS: dict[str, Callable[..., Any]] = {
    name: rule for name, rule in tw.OPTIMIZERS.items() if name not in ("gradient-descent", "l-bfgs")
} | {
    "momentum": lambda **settings: tw.SGD(momentum=0.9, **settings),
    "nesterov": lambda **settings: tw.SGD(momentum=0.9, nesterov=True, weight_decay=5e-4, **settings),
    "adamw": lambda **settings: tw.AdamW(weight_decay=0.1, **settings),
}
SCHEDULES: dict[str, Callable[[], Any]] = {
    "constant": tw.Constant,
    "cosine": tw.Cosine,
    "warmup-cosine": tw.WarmupCosine,
    "one-cycle": tw.OneCycle,
    "step": tw.MultiStep,
    "stable-decay": lambda: tw.WarmupStableDecay(warmup=0.0, decay=1.0, shape="linear"),
}


@dataclass(frozen=True)
class Task:
    """A problem and a recipe whose learning rate is to be found.

    Args:
        data: Name of the data, one of `DATA`.
        model: The model specification.
        optimizer, schedule: Keys of `OPTIMIZERS` and `SCHEDULES`.
        batch: Examples in an update, or `full`.
        steps: Updates of a run.
    """

    data: str
    model: str
    optimizer: str
    schedule: str
    batch: int | str
    steps: int

    @property
    def name(self) -> str:
        """Its name in results: everything except the length."""
        return " ".join([self.data, self.model, self.optimizer, self.schedule, str(self.batch)])

    @property
    def recipe(self) -> tw.Recipe:
        """The recipe that a user would start with, before tuning."""
        rates = RATES.get((self.optimizer, self.schedule), {})
        clipped = self.data in ("shakespeare", "names") and self.optimizer != "adam"
        return tw.Recipe(
            OPTIMIZERS[self.optimizer](**rates),
            schedule=SCHEDULES[self.schedule](),
            batch_size=self.batch,
            steps=self.steps,
            clip_norm=1.0 if clipped else None,
        )

    def problem(self) -> tw.Problem:
        """Read the data and fit the model to it."""
        return tw.Problem(parse(self.model), DATA[self.data]())


def with_rate(recipe: tw.Recipe, rate: float, **settings: Any) -> tw.Recipe:
    """Return a recipe with another rate (a second rate, such as Muon's, is scaled too) and other settings."""
    rates = type(recipe.optimizer).rates
    factor = rate / rate_of(recipe)
    optimizer = {name: float(getattr(recipe.optimizer, name)) * factor for name in rates}
    plain = recipe.to_dict()
    changed = plain["optimizer"] | optimizer | {rates[0]: rate}
    return tw.Recipe.from_dict(plain | {"optimizer": changed} | settings)


def rate_of(recipe: tw.Recipe) -> float:
    """Return a recipe's first learning rate."""
    return float(getattr(recipe.optimizer, type(recipe.optimizer).rates[0]))


@cache
def pictures(name: str, count: int) -> tw.Data:
    """Return the first examples of an image data set, whose own order is random."""
    train = tw.load(name, folder=data_folder()).train
    x, y = np.asarray(train.inputs)[:count], np.asarray(train.targets)[:count]
    return tw.load((x, y), name=name, **SPLITS)


@cache
def rows(file: str, target: str | int, count: int = 3000, **options: Any) -> tw.Data:
    """Return a fixed random sample of the rows of a table."""
    frame = pl.read_csv(
        data_folder() / "tabular" / file, has_header=options.pop("header", True), infer_schema_length=None
    )
    drawn = frame.sample(min(count, len(frame)), seed=0, shuffle=True)
    name = drawn.columns[target] if isinstance(target, int) else target
    return tw.load(drawn, target=name, name=file.split(".")[0], **SPLITS, **options)


@cache
def series(file: str, target: str, window: int) -> tw.Data:
    """Return windows of a time series; the last ones are the validation split."""
    path = data_folder() / "timeseries" / file
    return tw.load(path, target=target, window=window, split="time", **SPLITS)


@cache
def bundled(name: str) -> tw.Data:
    """Return a data set that comes with scikit-learn or is generated from a seed."""
    return tw.load(name, **SPLITS)


@cache
def characters(count: int, context: int) -> tw.Data:
    """Return the beginning of Shakespeare as one stream of characters."""
    text = read_text(data_folder() / "text" / "tinyshakespeare.txt.gz")[:count]
    return from_text(text, "shakespeare", tw.LoadOptions(context=context, test=0.0, validation=0.1))


@cache
def names(count: int) -> tw.Data:
    """Return names, one per line."""
    lines = read_text(data_folder() / "text" / "names.txt").splitlines()
    drawn = np.random.default_rng(0).permutation(len(lines))[:count]
    text = "\n".join(lines[row] for row in sorted(drawn))
    return from_lines(text, "names", tw.LoadOptions(lines=True, **SPLITS))


def _bundled(name: str) -> Callable[[], tw.Data]:
    return lambda: bundled(name)


BUNDLED = ("digits", "iris", "wine", "breast_cancer", "diabetes", "moons", "spirals", "quadratic")
DATA: dict[str, Callable[[], tw.Data]] = {name: _bundled(name) for name in BUNDLED} | {
    "mnist": lambda: pictures("mnist", 3000),
    "fashion": lambda: pictures("fashion_mnist", 3000),
    "cifar": lambda: pictures("cifar10", 2000),
    "california": lambda: rows("california_housing.csv.gz", "median_house_value"),
    "wine_red": lambda: rows("winequality-red.csv", 11, header=False, task="regression"),
    "wine_white": lambda: rows("winequality-white.csv.gz", 11, header=False, task="regression"),
    "adult": lambda: rows("adult-train.csv.gz", 14, header=False, missing=("?",)),
    "titanic": lambda: rows("titanic.csv", "Survived"),
    "covtype": lambda: rows("covtype_sample_10k.csv.gz", "Cover_Type", task="classification"),
    "credit": lambda: rows("credit_card_default.csv.gz", "default.payment.next.month"),
    "airline": lambda: series("airline-passengers.csv", "Passengers", 12),
    "sunspots": lambda: series("monthly-sunspots.csv", "Sunspots", 12),
    "shakespeare": lambda: characters(120_000, 32),
    "names": lambda: names(4000),
}


def _read(line: str) -> Task:
    data, model, optimizer, schedule, batch, steps = line.split()
    return Task(data, model, optimizer, schedule, batch if batch == "full" else int(batch), int(steps))


TASKS: tuple[Task, ...] = tuple(map(_read, LINES.strip().splitlines()))
