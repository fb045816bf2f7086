"""The contract table: every optimizer with its numbers, its reference and its convention.

A new optimizer adds a row to `ROWS` and one to `MINIMA`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.contracts import equations
from tests.contracts.trajectories import SHAPES, SQUARE, Landscape
from thalweg.recipe.optimizers import (
    LAMB,
    LARS,
    LBFGS,
    SAM,
    SGD,
    SOAP,
    Adadelta,
    Adafactor,
    AdaGrad,
    Adam,
    Adamax,
    AdamW,
    AMSGrad,
    GradientDescent,
    Lion,
    Muon,
    NAdam,
    Optimizer,
    Prodigy,
    RAdam,
    RMSprop,
    ScheduleFreeAdamW,
    ScheduleFreeSGD,
)
from thalweg.recipe.schedules import Constant, Cosine, Schedule, WarmupCosine


@dataclass(frozen=True)
class Row:
    """An optimizer under test.

    Args:
        optimizer: With unusual numbers, so that no default of 0 or 1 hides a mistake.
        reference: The published step.
        convention: Our choice where libraries differ.
        torch: Arguments of the same torch.optim rule, with its name under `rule`; None without one.
        shapes: Arrays that are trained.
    """

    optimizer: Optimizer
    reference: Callable
    convention: str
    torch: dict[str, Any] | None = None
    shapes: Any = None

    @property
    def id(self) -> str:
        options = [value for value in self.optimizer.to_dict().values() if isinstance(value, bool | str)]
        return "-".join([self.optimizer.name, *map(str, options)])


def each(equation: Callable, rate: str = "lr", decays: Any = equations.WEIGHTS) -> Callable:
    """Make a step over all arrays from one equation; weight decay spares biases and scales."""

    def of(optimizer: Optimizer) -> Callable:
        def step(params, grads, t, factor, memory):
            lr = factor * getattr(optimizer, rate)
            return {
                name: equation(w, grads[name], memory.setdefault(name, {}), t, lr, optimizer, name in decays)
                for name, w in params.items()
            }

        return step

    return of


def muon(optimizer: Muon) -> Callable:
    def step(params, grads, t, factor, memory):
        after = {}
        for name, w in params.items():
            hidden = name in ("matrix", "kernel")
            equation, lr = (equations.muon, optimizer.lr) if hidden else (equations.adamw, optimizer.adam_lr)
            held = memory.setdefault(name, {})
            after[name] = equation(w, grads[name], held, t, factor * lr, optimizer, name in equations.WEIGHTS)
        return after

    return step


def schedule_free(equation: Callable) -> Callable:
    """Defazio et al. 2024: z steps from the gradient at y; x averages z by (largest rate so far)^2."""

    def of(optimizer: Any) -> Callable:
        b = optimizer.b1

        def step(params, grads, t, factor, memory):
            lr = factor * optimizer.lr
            memory["top"] = max(memory.get("top", 0.0), lr)
            memory["sum"] = memory.get("sum", 0.0) + memory["top"] ** 2
            share = memory["top"] ** 2 / memory["sum"]
            after, evaluated = {}, {}
            for name, y in params.items():
                held = memory.setdefault(name, {"z": y, "x": y})
                moved = equation(y, grads[name], held, t, lr, optimizer, name in equations.WEIGHTS)
                held["z"] = held["z"] + (moved - y)
                held["x"] = (1 - share) * held["x"] + share * held["z"]
                after[name] = (1 - b) * held["z"] + b * held["x"]
                evaluated[name] = held["x"]
            memory["evaluated"] = evaluated
            return after

        return step

    return of


def _free_adam(w, g, m, t, lr, n, decays):
    m["v"] = n.b2 * m.get("v", 0) + (1 - n.b2) * g * g
    return w - lr * (
        g / (np.sqrt(m["v"] / (1 - n.b2 ** (t + 1))) + n.eps) + (n.weight_decay * w if decays else 0)
    )


def _free_sgd(w, g, m, t, lr, n, decays):
    return w - lr * (g + (n.weight_decay * w if decays and n.weight_decay is not None else 0))


def prodigy(n: Prodigy) -> Callable:
    """Algorithm 4 of the paper, with its step length lr and bias correction as in the authors' code."""

    def step(params, grads, t, factor, memory):
        lr, b3 = factor * n.lr, n.b2**0.5
        held = memory.setdefault("held", {"d": n.d0, "r": 0.0, "w0": params, "s": {}, "m": {}, "v": {}})
        d, length = held["d"], lr * (1 - n.b2 ** (t + 1)) ** 0.5 / (1 - n.b1 ** (t + 1))
        inner = sum((grads[name] * (held["w0"][name] - w)).sum() for name, w in params.items())
        held["r"] = b3 * held["r"] + d * d * length / n.d0 * inner
        after = {}
        for name, w in params.items():
            g = grads[name]
            held["m"][name] = n.b1 * held["m"].get(name, 0) + (1 - n.b1) * d * g
            held["v"][name] = n.b2 * held["v"].get(name, 0) + (1 - n.b2) * (d * g) ** 2
            weight = d if n.safeguard else d * length
            held["s"][name] = b3 * held["s"].get(name, 0) + weight * d * g / n.d0
            held["step"] = d * length
            decay = n.weight_decay * w if name in equations.WEIGHTS else 0.0
            after[name] = (w, held["m"][name], held["v"][name], decay)
        size = sum(np.abs(s).sum() for s in held["s"].values())
        held["d"] = max(d, n.d_factor * held["r"] / size)
        # The eps in the denominator uses the new estimate.
        return {
            name: w - held["step"] * (m / (np.sqrt(v) + held["d"] * n.eps) + decay)
            for name, (w, m, v, decay) in after.items()
        }

    return step


def sam(n: SAM) -> Callable:
    base = {"sgd": equations.sgd, "adamw": equations.adamw}[n.base.name]

    def step(params, grads, t, factor, memory):
        norm = np.sqrt(sum((g * g).sum() for g in grads.values()))
        there = memory["gradient_at"]({name: w + n.rho * grads[name] / norm for name, w in params.items()})
        lr = factor * n.base.lr
        return {
            name: base(w, there[name], memory.setdefault(name, {}), t, lr, n.base, name in equations.WEIGHTS)
            for name, w in params.items()
        }

    return step


def _row(optimizer, of, convention="as published", torch=None, shapes=SHAPES):
    return Row(optimizer, of(optimizer), convention, torch, shapes)


_B = {"betas": (0.8, 0.95), "eps": 1e-3}
_ADAM = {"b1": 0.8, "b2": 0.95, "eps": 1e-3}

ROWS = [
    _row(SGD(lr=0.05), each(equations.sgd), torch={"rule": "SGD"}),
    _row(
        SGD(lr=0.05, momentum=0.9),
        each(equations.sgd),
        "v = b v + g; w = w - lr v",
        {"rule": "SGD", "momentum": 0.9},
    ),
    _row(
        SGD(lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.02),
        each(equations.sgd),
        "v = b v + g, penalty lambda/2 |w|^2",
        {"rule": "SGD", "momentum": 0.9, "nesterov": True, "weight_decay": 0.02},
    ),
    _row(SGD(lr=0.05, momentum=0.9, remember="steps"), each(equations.sgd), "v = b v - lr g; w = w + v"),
    _row(SGD(lr=0.05, momentum=0.9, nesterov=True, remember="steps"), each(equations.sgd), "v = b v - lr g"),
    _row(SGD(lr=0.05, weight_decay=0.02, decay_form="whole"), each(equations.sgd), "penalty lambda |w|^2"),
    _row(
        SGD(lr=0.05, momentum=0.9, weight_decay=0.02, decay_form="decoupled"),
        each(equations.sgd),
        "decoupled",
    ),
    _row(
        AdaGrad(lr=0.3, initial=0.1, eps=1e-3, weight_decay=0.02),
        each(equations.adagrad),
        "eps inside the root",
    ),
    _row(
        AdaGrad(lr=0.3, initial=0.1, eps=0.0),
        each(equations.adagrad),
        "eps 0, where the conventions meet",
        {"rule": "Adagrad", "initial_accumulator_value": 0.1, "eps": 0.0},
    ),
    _row(
        RMSprop(lr=0.02, decay=0.9, eps=1e-3),
        each(equations.rmsprop),
        "eps outside the root",
        {"rule": "RMSprop", "alpha": 0.9, "eps": 1e-3},
    ),
    _row(
        RMSprop(lr=0.02, decay=0.9, momentum=0.5, centred=True, eps=1e-3, weight_decay=0.02),
        each(equations.rmsprop),
        "eps outside the root; momentum of divided gradients",
        {
            "rule": "RMSprop",
            "alpha": 0.9,
            "eps": 1e-3,
            "momentum": 0.5,
            "centered": True,
            "weight_decay": 0.02,
        },
    ),
    _row(
        Adadelta(lr=0.7, decay=0.8, eps=1e-3, weight_decay=0.02),
        each(equations.adadelta),
        torch={"rule": "Adadelta", "rho": 0.8, "eps": 1e-3, "weight_decay": 0.02},
    ),
    _row(Adam(lr=0.05, **_ADAM), each(equations.adam), torch={"rule": "Adam", **_B}),
    _row(
        Adam(lr=0.05, **_ADAM, weight_decay=0.02),
        each(equations.adam),
        "penalty in the gradient",
        {"rule": "Adam", **_B, "weight_decay": 0.02},
    ),
    _row(
        AdamW(lr=0.05, **_ADAM, weight_decay=0.02),
        each(equations.adamw),
        "decay times the learning rate",
        {"rule": "AdamW", **_B, "weight_decay": 0.02},
    ),
    _row(
        Adamax(lr=0.05, **_ADAM, weight_decay=0.02),
        each(equations.adamax),
        "eps inside the maximum, as PyTorch",
        {"rule": "Adamax", **_B, "weight_decay": 0.02},
    ),
    _row(NAdam(lr=0.05, **_ADAM, weight_decay=0.02), each(equations.nadam), "constant b1 (PyTorch's rises)"),
    _row(
        AMSGrad(lr=0.05, **_ADAM, weight_decay=0.02), each(equations.amsgrad), "corrected before the maximum"
    ),
    _row(AMSGrad(lr=0.05, **_ADAM, corrected=False), each(equations.amsgrad), "uncorrected, as in the paper"),
    _row(RAdam(lr=0.05, **_ADAM, weight_decay=0.02), each(equations.radam), "eps on the corrected root"),
    _row(
        RAdam(lr=0.05, b1=0.8, b2=0.95, eps=0.0),
        each(equations.radam),
        "eps 0, where the conventions meet",
        {"rule": "RAdam", "betas": (0.8, 0.95), "eps": 0.0},
    ),
    _row(Lion(lr=0.01, b1=0.8, b2=0.95, weight_decay=0.02), each(equations.lion)),
    _row(LAMB(lr=0.05, **_ADAM, weight_decay=0.02), each(equations.lamb), "trust ratio not clipped"),
    _row(
        LARS(lr=0.1, momentum=0.8, trust=0.3, eps=1e-3, weight_decay=0.02),
        each(equations.lars),
        "momentum sums steps; biases and scales get none of the trust ratio",
    ),
    _row(
        Adafactor(lr=0.05, decay=0.7, clip=0.8, eps=1e-3, weight_decay=0.02, smallest=2),
        each(equations.adafactor),
        "decay times the learning rate",
    ),
    _row(
        Adafactor(lr=0.05, momentum=0.8, relative=False, smallest=4),
        each(equations.adafactor),
        "momentum averages steps",
    ),
    _row(
        Muon(lr=0.05, momentum=0.9, weight_decay=0.02, adam_lr=0.03, b1=0.8, b2=0.9, eps=1e-3),
        muon,
        "B = b B + G; no bias correction",
    ),
    _row(Muon(lr=0.05, nesterov=False, rounds=3, size="rms"), muon, "B = b B + G; step as large as AdamW's"),
    _row(
        SOAP(lr=0.05, b1=0.8, b2=0.9, eps=1e-3, weight_decay=0.02, every=7),
        each(equations.soap),
        "the first gradient makes the basis; running squares are not turned",
        shapes=SQUARE,
    ),
    _row(ScheduleFreeSGD(lr=0.1, b1=0.8, weight_decay=0.02), schedule_free(_free_sgd), "penalty at y"),
    _row(
        ScheduleFreeAdamW(lr=0.05, b1=0.8, b2=0.9, eps=1e-3, weight_decay=0.02),
        schedule_free(_free_adam),
        "decay at y",
    ),
    _row(
        Prodigy(b1=0.8, b2=0.95, eps=1e-3, d0=1e-3, d_factor=0.9, weight_decay=0.02),
        prodigy,
        "bias-corrected step length, as in the authors' code",
    ),
    _row(Prodigy(lr=0.9, safeguard=True, d0=1e-3), prodigy, "safeguarded, as in the authors' code"),
    _row(
        SAM(base=SGD(lr=0.05, momentum=0.8, weight_decay=0.02), rho=0.1),
        sam,
        "both gradients of the same batch",
    ),
    _row(SAM(base=AdamW(lr=0.05), rho=0.1), sam, "both gradients of the same batch"),
]

COSINE = Cosine()


@dataclass(frozen=True)
class Training:
    """How an optimizer reaches the known minima: its rate for each problem, and other settings."""

    quadratic: float = 1.0
    rosenbrock: float = 1.0
    logistic: float = 1.0
    numbers: Any = None
    schedule: Schedule = COSINE
    steps: int = 1500
    valley_steps: int = 10_000


MINIMA = {
    "sgd": Training(0.3, 1e-3, 1.0, {"momentum": 0.9}),
    "adagrad": Training(3.0, 1.0, 3.0),
    "rmsprop": Training(0.03, 3e-3, 0.03),
    "adadelta": Training(3.0, 0.3, 3.0, steps=3000),
    "adam": Training(0.3, 0.1, 0.3),
    "adamw": Training(0.3, 0.1, 0.3, {"weight_decay": 0.0}),
    "adamax": Training(1.0, 0.3, 3.0),
    "nadam": Training(0.3, 0.1, 0.3),
    "amsgrad": Training(1.0, 1.0, 1.0),
    # Its first steps are plain momentum with the whole gradient, so they need the warmup.
    "radam": Training(0.3, 0.1, 1.0, schedule=WarmupCosine(warmup=500, unit="steps")),
    "lion": Training(0.01, 1e-3, 0.01, {"weight_decay": 0.0}),
    "lamb": Training(0.03, 0.01, 0.01, {"weight_decay": 0.0}),
    "lars": Training(0.3, 1e-3, 3.0, {"weight_decay": 0.0}),
    "adafactor": Training(0.3, 0.01, 0.3),
    "muon": Training(0.03, 3e-3, 0.03),
    "soap": Training(0.01, 3e-3, 0.01, {"weight_decay": 0.0}),
    "schedule-free-sgd": Training(1.0, 3e-3, 10.0, schedule=Constant(), valley_steps=30_000),
    "schedule-free-adamw": Training(0.1, 0.03, 0.1, schedule=Constant()),
    "prodigy": Training(1.0, 0.1, 1.0),
    "sam": Training(0.1, 1e-3, 0.3, {"base": SGD(momentum=0.9), "rho": 1e-3}),
    "gradient-descent": Training(schedule=Constant(), valley_steps=30_000),
    "l-bfgs": Training(schedule=Constant(), steps=60, valley_steps=60),
}

# The references of rules with a line search are in test_line_search.py.
LINE_SEARCHES = [GradientDescent(), LBFGS()]
NAMES = sorted({row.optimizer.name for row in ROWS} | {rule.name for rule in LINE_SEARCHES})


def landscape(row: Row) -> Landscape:
    return Landscape(row.shapes)
