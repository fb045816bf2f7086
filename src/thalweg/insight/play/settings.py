"""`Settings` of the playground: what its controls say, checked, and as a model and a recipe."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple, Self

from thalweg.core.errors import BadInput, did_you_mean
from thalweg.insight.play.sources import SURFACE, Source
from thalweg.problem.models.architecture import Architecture
from thalweg.problem.models.mlp import MLP, LinearModel
from thalweg.problem.problem import Problem
from thalweg.problem.surfaces import surface
from thalweg.recipe.optimizers import OPTIMIZERS, SGD, Optimizer
from thalweg.recipe.recipe import FULL, Recipe
from thalweg.recipe.schedules import SCHEDULES, StepDecay

MOST_LAYERS, MOST_UNITS = 6, 128
MOST_UPDATES, LARGEST_SEED = 100_000, 2**31 - 1
ACTIVATION_NAMES = ("relu", "tanh", "sigmoid", "leaky_relu", "elu", "gelu", "silu", "softplus", "identity")
INITIALISATION_NAMES = ("he", "glorot", "lecun", "orthogonal", "normal(0.02)", "normal(1)", "zeros", "torch")
OPTIMIZER_NAMES = ("sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw", "nadam", "lion")
SCHEDULE_NAMES = (
    *("constant", "step", "exponential", "inverse-time", "cosine", "cosine-restarts", "warmup-cosine"),
    "one-cycle",
)
BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, FULL)
DROPOUTS = (0.0, 0.1, 0.2, 0.3, 0.5)
MOMENTA = {"momentum": False, "nesterov": True}
# Settings that are data of the compiled program: they change while it runs.
NUMBERS = frozenset(("lr", "weight_decay", "momentum", "steps"))
# Settings of all variants alike, as all are at the same update.
SHARED = frozenset(("steps", "start"))
# A rate at which each surface shows what it is there for.
RATES = {"bowl": 0.15, "ravine": 0.15, "rosenbrock": 1e-3, "saddle": 0.05, "plateau": 0.5, "bumps": 0.1}


@dataclass(frozen=True)
class Settings:
    """What the controls say. Numbers change while training runs, anything else restarts it.

    Args:
        hidden: Units of each hidden layer.
        activation, initialisation: Names.
        dropout: Share of hidden units that is zeroed.
        optimizer: A name; `momentum` and `nesterov` are `sgd` with a momentum.
        lr, momentum, weight_decay: Numbers of the optimizer.
        batch_size: Examples in an update, or `full`.
        schedule: A name.
        steps: Updates planned, which a schedule is spread over.
        seed: Of initial weights, data order and noise.
        start: Where descent on a surface starts; None for the surface's own point.
    """

    hidden: tuple[int, ...] = (16, 16)
    activation: str = "tanh"
    initialisation: str = "glorot"
    dropout: float = 0.0
    optimizer: str = "adam"
    lr: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 0.0
    batch_size: int | str = 32
    schedule: str = "constant"
    steps: int = 3000
    seed: int = 0
    start: tuple[float, float] | None = None

    @classmethod
    def for_source(cls, source: Source, before: Self | None = None) -> Self:
        """Return the settings to begin with; those of `before` where they make sense for the source too."""
        is_surface = source.kind == SURFACE
        if before is not None and not is_surface and before.start is None and before.batch_size != 1:
            return before
        if is_surface:
            plain = {"optimizer": "sgd", "lr": RATES[source.name], "steps": 100, "batch_size": 1}
            start = source.surface.start
            return cls(**plain, seed=0 if before is None else before.seed, start=start)
        return cls(seed=0 if before is None else before.seed)

    def changed(self, changes: Mapping[str, Any]) -> Self:
        """Return the settings with some changed.

        Raises:
            BadInput: A setting is unknown, or its value impossible.
        """
        values = {}
        for name, value in changes.items():
            if name not in RULES:
                hint = did_you_mean(str(name), RULES)
                raise BadInput("play", "has no such setting", got=str(name)[:80], hint=hint)
            rule = RULES[name]
            try:
                values[name] = rule.read(value)
            except (TypeError, ValueError, OverflowError):
                got = repr(value)[:80]
                text = f"{name.replace('_', ' ')} must be {rule.text}"
                raise BadInput("play", text, got=got, hint=f"for example {rule.example}") from None
        return replace(self, **values)

    def structure(self) -> tuple[Any, ...]:
        """Return what selects a compiled program and a set of lanes; equal for lanes that share one."""
        own = {name: value for name, value in asdict(self).items() if name not in (*NUMBERS, "seed", "start")}
        return tuple(own.values())

    def architecture(self) -> Architecture:
        """Return the network, with open ends."""
        if not self.hidden:
            return LinearModel((None, None))
        return MLP(
            (None, *self.hidden, None),
            activation=self.activation,
            initialisation=self.initialisation,
            dropout=self.dropout,
        )

    def rule(self) -> Optimizer:
        """Return the optimizer."""
        if self.optimizer in MOMENTA:
            return SGD(
                lr=self.lr,
                momentum=self.momentum,
                nesterov=MOMENTA[self.optimizer],
                weight_decay=self.weight_decay,
            )
        numbers = {"lr": self.lr, "weight_decay": self.weight_decay}
        return OPTIMIZERS[self.optimizer].from_dict(numbers)

    def recipe(self) -> Recipe:
        """Return the recipe."""
        schedule = SCHEDULES[self.schedule]()
        if isinstance(schedule, StepDecay):
            schedule = StepDecay(every=1 / 3, unit="fraction")
        return Recipe(
            self.rule(), schedule=schedule, batch_size=self.batch_size, steps=self.steps, seed=self.seed
        )

    def problem(self, source: Source) -> Problem:
        """Return the problem on a source."""
        if source.kind == SURFACE:
            return surface(source.name, start=self.start)
        return Problem(self.architecture(), source.data)


class Rule(NamedTuple):
    """How a setting is read.

    Args:
        read: Returns the value; raises ValueError or TypeError for an impossible one.
        text: What it must be.
        example: One that is right.
    """

    read: Callable[[Any], Any]
    text: str
    example: str


def _among(names: tuple[Any, ...]) -> Rule:
    def read(value: Any) -> Any:
        if isinstance(value, bool):
            raise ValueError
        return names[names.index(value)]

    return Rule(read, f"one of {', '.join(map(str, names))}", str(names[0]))


def _number(low: float, high: float, example: str, open_high: bool = False) -> Rule:
    def read(value: Any) -> float:
        if isinstance(value, (bool, str)) or not low <= (number := float(value)) <= high:
            raise ValueError
        if open_high and number == high:
            raise ValueError
        return number

    return Rule(read, f"a number from {low:g} to {'below ' if open_high else ''}{high:g}", example)


def _whole(low: int, high: int, example: str) -> Rule:
    def read(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError
        return value

    return Rule(read, f"a whole number from {low} to {high:,}", example)


def _layers(value: Any) -> tuple[int, ...]:
    if not isinstance(value, (list, tuple)) or len(value) > MOST_LAYERS:
        raise ValueError
    units = _whole(1, MOST_UNITS, "")
    return tuple(units.read(each) for each in value)


def _point(value: Any) -> tuple[float, float] | None:
    if value is None:
        return None
    w0, w1 = value
    point = (float(w0), float(w1))
    if any(isinstance(each, (bool, str)) for each in value) or not all(
        math.isfinite(each) and abs(each) <= 100 for each in point
    ):
        raise ValueError
    return point


RULES: dict[str, Rule] = {
    "hidden": Rule(_layers, f"up to {MOST_LAYERS} layers of 1 to {MOST_UNITS} units", "[16, 16]"),
    "activation": _among(ACTIVATION_NAMES),
    "initialisation": _among(INITIALISATION_NAMES),
    "dropout": _among(DROPOUTS),
    "optimizer": _among(OPTIMIZER_NAMES),
    "lr": _number(0.0, 10.0, "0.01"),
    "momentum": _number(0.0, 1.0, "0.9", open_high=True),
    "weight_decay": _number(0.0, 1.0, "0.01"),
    "batch_size": _among(BATCH_SIZES),
    "schedule": _among(SCHEDULE_NAMES),
    "steps": _whole(1, MOST_UPDATES, "3000"),
    "seed": _whole(0, LARGEST_SEED, "0"),
    "start": Rule(_point, "two numbers from -100 to 100", "[3, 2]"),
}
