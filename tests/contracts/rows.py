"""The contract table: every optimizer with its published equations, its numbers and its convention.

A new optimizer adds its equation, a row to `ROWS` and one to `MINIMA`.

The equations are plain NumPy, written from the papers, not from any library. Most are for one array and take
`(w, g, m, t, lr, n, decays)`: weights, gradient, the state of this array (a dict, empty at first), steps so
far (0 at the first), the learning rate of this step, the rule's numbers, and whether weight decay applies.
They return the new weights.
"""

from collections.abc import Callable

import numpy as np

from tests.contracts.minima import Training
from tests.contracts.trajectories import SHAPES, SQUARE, WEIGHTS, Row, each, schedule_free
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
    Prodigy,
    RAdam,
    RMSprop,
    ScheduleFreeAdamW,
    ScheduleFreeSGD,
)
from thalweg.recipe.schedules import Constant, WarmupCosine


def _stored(m, name, like):
    return m.setdefault(name, np.zeros_like(like))


def _moments(g, m, n):
    m["m"] = n.b1 * _stored(m, "m", g) + (1 - n.b1) * g
    m["v"] = n.b2 * _stored(m, "v", g) + (1 - n.b2) * g * g
    return m["m"], m["v"]


def _penalised(w, g, n, decays):
    return g + n.weight_decay * w if decays and n.weight_decay is not None else g


def sgd(w, g, m, t, lr, n, decays):
    rate = n.weight_decay if decays and n.weight_decay is not None else 0.0
    if n.decay_form != "decoupled":
        g = g + {"half": 1, "whole": 2}[n.decay_form] * rate * w
        rate = 0.0
    if n.momentum is None:
        move = lr * g
    elif n.remember == "gradients":
        m["v"] = n.momentum * _stored(m, "v", g) + g
        move = lr * (g + n.momentum * m["v"] if n.nesterov else m["v"])
    else:
        m["v"] = n.momentum * _stored(m, "v", g) - lr * g
        move = -(n.momentum * m["v"] - lr * g if n.nesterov else m["v"])
    return w - move - lr * rate * w


def adagrad(w, g, m, t, lr, n, decays):
    g = _penalised(w, g, n, decays)
    m["s"] = m.get("s", np.full_like(g, n.initial)) + g * g
    return w - lr * g / np.sqrt(m["s"] + n.eps)


def rmsprop(w, g, m, t, lr, n, decays):
    g = _penalised(w, g, n, decays)
    m["n"] = n.decay * _stored(m, "n", g) + (1 - n.decay) * g * g
    m["m"] = n.decay * _stored(m, "m", g) + (1 - n.decay) * g
    variance = np.maximum(m["n"] - m["m"] ** 2, 0) if n.centred else m["n"]
    u = g / (np.sqrt(variance) + n.eps)
    if n.momentum is not None:
        m["v"] = u = n.momentum * _stored(m, "v", g) + u
    return w - lr * u


def adadelta(w, g, m, t, lr, n, decays):
    g = _penalised(w, g, n, decays)
    m["n"] = n.decay * _stored(m, "n", g) + (1 - n.decay) * g * g
    u = g * np.sqrt(_stored(m, "x", g) + n.eps) / np.sqrt(m["n"] + n.eps)
    m["x"] = n.decay * m["x"] + (1 - n.decay) * u * u
    return w - lr * u


def adam(w, g, m, t, lr, n, decays):
    mean, square = _moments(_penalised(w, g, n, decays), m, n)
    return w - lr * (mean / (1 - n.b1 ** (t + 1))) / (np.sqrt(square / (1 - n.b2 ** (t + 1))) + n.eps)


def adamw(w, g, m, t, lr, n, decays):
    mean, square = _moments(g, m, n)
    u = (mean / (1 - n.b1 ** (t + 1))) / (np.sqrt(square / (1 - n.b2 ** (t + 1))) + n.eps)
    return w - lr * (u + (n.weight_decay * w if decays else 0))


def adamax(w, g, m, t, lr, n, decays):
    g = _penalised(w, g, n, decays)
    m["m"] = n.b1 * _stored(m, "m", g) + (1 - n.b1) * g
    m["u"] = np.maximum(n.b2 * _stored(m, "u", g), np.abs(g) + n.eps)
    return w - lr / (1 - n.b1 ** (t + 1)) * m["m"] / m["u"]


def nadam(w, g, m, t, lr, n, decays):
    g = _penalised(w, g, n, decays)
    mean, square = _moments(g, m, n)
    ahead = n.b1 * mean / (1 - n.b1 ** (t + 2)) + (1 - n.b1) * g / (1 - n.b1 ** (t + 1))
    return w - lr * ahead / (np.sqrt(square / (1 - n.b2 ** (t + 1))) + n.eps)


def amsgrad(w, g, m, t, lr, n, decays):
    mean, square = _moments(_penalised(w, g, n, decays), m, n)
    if n.corrected:
        mean, square = mean / (1 - n.b1 ** (t + 1)), square / (1 - n.b2 ** (t + 1))
    m["x"] = np.maximum(_stored(m, "x", g), square)
    return w - lr * mean / (np.sqrt(m["x"]) + n.eps)


def radam(w, g, m, t, lr, n, decays):
    mean, square = _moments(_penalised(w, g, n, decays), m, n)
    step = t + 1
    most = 2 / (1 - n.b2) - 1
    length = most - 2 * step * n.b2**step / (1 - n.b2**step)
    mean = mean / (1 - n.b1**step)
    if length < 5:
        return w - lr * mean
    correction = np.sqrt((length - 4) * (length - 2) * most / ((most - 4) * (most - 2) * length))
    return w - lr * correction * mean / (np.sqrt(square / (1 - n.b2**step)) + n.eps)


def lion(w, g, m, t, lr, n, decays):
    old = _stored(m, "m", g)
    m["m"] = n.b2 * old + (1 - n.b2) * g
    return w - lr * (np.sign(n.b1 * old + (1 - n.b1) * g) + (n.weight_decay * w if decays else 0))


def lamb(w, g, m, t, lr, n, decays):
    mean, square = _moments(g, m, n)
    u = (mean / (1 - n.b1 ** (t + 1))) / (np.sqrt(square / (1 - n.b2 ** (t + 1))) + n.eps)
    u = u + (n.weight_decay * w if decays else 0)
    return w - lr * u * np.linalg.norm(w) / np.linalg.norm(u)


def lars(w, g, m, t, lr, n, decays):
    u = g
    if decays:
        u = g + n.weight_decay * w
        u = u * n.trust * np.linalg.norm(w) / (np.linalg.norm(u) + n.eps)
    m["v"] = n.momentum * _stored(m, "v", g) + lr * u
    return w - m["v"]


def adafactor(w, g, m, t, lr, n, decays):
    b = 1 - (t + 1.0) ** -n.decay
    square = g * g + n.eps
    order = np.argsort(w.shape)
    if w.ndim > 1 and w.shape[order[-2]] >= n.smallest:
        long, short = order[-1], order[-2]
        m["r"] = b * m.get("r", 0) + (1 - b) * square.mean(axis=long, keepdims=True)
        m["c"] = b * m.get("c", 0) + (1 - b) * square.mean(axis=short, keepdims=True)
        u = g / np.sqrt(m["r"] * m["c"] / m["r"].mean(axis=short, keepdims=True))
    else:
        m["v"] = b * m.get("v", 0) + (1 - b) * square
        u = g / np.sqrt(m["v"])
    u = u / max(1.0, np.sqrt((u * u).mean()) / n.clip)
    u = lr * u * (max(1e-3, np.sqrt((w * w).mean())) if n.relative else 1.0)
    if n.momentum is not None:
        m["m"] = u = n.momentum * _stored(m, "m", g) + (1 - n.momentum) * u
    return w - u - (lr * n.weight_decay * w if decays else 0)


def muon(w, g, m, t, lr, n, decays):
    flat = g.reshape(g.shape[0], -1)
    m["B"] = n.momentum * m.get("B", 0) + flat
    x = flat + n.momentum * m["B"] if n.nesterov else m["B"]
    turned = x.shape[0] > x.shape[1]
    x = x.T if turned else x
    x = x / (np.sqrt((x * x).sum()) + 1e-7)
    for _ in range(n.rounds):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    x = x.T if turned else x
    rows, columns = x.shape
    size = max(1, rows / columns) ** 0.5 if n.size == "width" else 0.2 * max(rows, columns) ** 0.5
    return w - lr * (size * x.reshape(g.shape) + n.weight_decay * w)


def soap(w, g, m, t, lr, n, decays):
    """Algorithm 3 of the paper; a vector keeps its own basis."""
    square = w.ndim > 1
    if t == 0:
        if square:
            m["L"], m["R"] = (1 - n.b2) * g @ g.T, (1 - n.b2) * g.T @ g
            m["P"], m["Q"] = np.linalg.eigh(m["L"])[1][:, ::-1], np.linalg.eigh(m["R"])[1][:, ::-1]
        return w
    turn = (lambda x: m["P"].T @ x @ m["Q"]) if square else (lambda x: x)
    back = (lambda x: m["P"] @ x @ m["Q"].T) if square else (lambda x: x)
    m["m"] = n.b1 * _stored(m, "m", g) + (1 - n.b1) * g
    m["v"] = n.b2 * _stored(m, "v", g) + (1 - n.b2) * turn(g) ** 2
    u = back(turn(m["m"]) / (1 - n.b1**t) / (np.sqrt(m["v"] / (1 - n.b2**t)) + n.eps))
    if square:
        m["L"] = n.b2 * m["L"] + (1 - n.b2) * g @ g.T
        m["R"] = n.b2 * m["R"] + (1 - n.b2) * g.T @ g
        if t % n.every == 0:
            m["P"], m["Q"] = np.linalg.qr(m["L"] @ m["P"])[0], np.linalg.qr(m["R"] @ m["Q"])[0]
    return w - lr * (u + (n.weight_decay * w if decays else 0))


def muon_and_adamw(optimizer: Muon) -> Callable:
    def step(params, grads, t, factor, memory):
        after = {}
        for name, w in params.items():
            hidden = name in ("matrix", "kernel")
            equation, lr = (muon, optimizer.lr) if hidden else (adamw, optimizer.adam_lr)
            held = memory.setdefault(name, {})
            after[name] = equation(w, grads[name], held, t, factor * lr, optimizer, name in WEIGHTS)
        return after

    return step


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
            decay = n.weight_decay * w if name in WEIGHTS else 0.0
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
    base = {"sgd": sgd, "adamw": adamw}[n.base.name]

    def step(params, grads, t, factor, memory):
        norm = np.sqrt(sum((g * g).sum() for g in grads.values()))
        there = memory["gradient_at"]({name: w + n.rho * grads[name] / norm for name, w in params.items()})
        lr = factor * n.base.lr
        return {
            name: base(w, there[name], memory.setdefault(name, {}), t, lr, n.base, name in WEIGHTS)
            for name, w in params.items()
        }

    return step


def _row(optimizer, of, convention="as published", torch=None, shapes=SHAPES):
    return Row(optimizer, of(optimizer), convention, torch, shapes)


_B = {"betas": (0.8, 0.95), "eps": 1e-3}
_ADAM = {"b1": 0.8, "b2": 0.95, "eps": 1e-3}

ROWS = [
    _row(SGD(lr=0.05), each(sgd), torch={"rule": "SGD"}),
    _row(
        SGD(lr=0.05, momentum=0.9),
        each(sgd),
        "v = b v + g; w = w - lr v",
        {"rule": "SGD", "momentum": 0.9},
    ),
    _row(
        SGD(lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.02),
        each(sgd),
        "v = b v + g, penalty lambda/2 |w|^2",
        {"rule": "SGD", "momentum": 0.9, "nesterov": True, "weight_decay": 0.02},
    ),
    _row(SGD(lr=0.05, momentum=0.9, remember="steps"), each(sgd), "v = b v - lr g; w = w + v"),
    _row(SGD(lr=0.05, momentum=0.9, nesterov=True, remember="steps"), each(sgd), "v = b v - lr g"),
    _row(SGD(lr=0.05, weight_decay=0.02, decay_form="whole"), each(sgd), "penalty lambda |w|^2"),
    _row(
        SGD(lr=0.05, momentum=0.9, weight_decay=0.02, decay_form="decoupled"),
        each(sgd),
        "decoupled",
    ),
    _row(
        AdaGrad(lr=0.3, initial=0.1, eps=1e-3, weight_decay=0.02),
        each(adagrad),
        "eps inside the root",
    ),
    _row(
        AdaGrad(lr=0.3, initial=0.1, eps=0.0),
        each(adagrad),
        "eps 0, where the conventions meet",
        {"rule": "Adagrad", "initial_accumulator_value": 0.1, "eps": 0.0},
    ),
    _row(
        RMSprop(lr=0.02, decay=0.9, eps=1e-3),
        each(rmsprop),
        "eps outside the root",
        {"rule": "RMSprop", "alpha": 0.9, "eps": 1e-3},
    ),
    _row(
        RMSprop(lr=0.02, decay=0.9, momentum=0.5, centred=True, eps=1e-3, weight_decay=0.02),
        each(rmsprop),
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
        each(adadelta),
        torch={"rule": "Adadelta", "rho": 0.8, "eps": 1e-3, "weight_decay": 0.02},
    ),
    _row(Adam(lr=0.05, **_ADAM), each(adam), torch={"rule": "Adam", **_B}),
    _row(
        Adam(lr=0.05, **_ADAM, weight_decay=0.02),
        each(adam),
        "penalty in the gradient",
        {"rule": "Adam", **_B, "weight_decay": 0.02},
    ),
    _row(
        AdamW(lr=0.05, **_ADAM, weight_decay=0.02),
        each(adamw),
        "decay times the learning rate",
        {"rule": "AdamW", **_B, "weight_decay": 0.02},
    ),
    _row(
        Adamax(lr=0.05, **_ADAM, weight_decay=0.02),
        each(adamax),
        "eps inside the maximum, as PyTorch",
        {"rule": "Adamax", **_B, "weight_decay": 0.02},
    ),
    _row(NAdam(lr=0.05, **_ADAM, weight_decay=0.02), each(nadam), "constant b1 (PyTorch's rises)"),
    _row(AMSGrad(lr=0.05, **_ADAM, weight_decay=0.02), each(amsgrad), "corrected before the maximum"),
    _row(AMSGrad(lr=0.05, **_ADAM, corrected=False), each(amsgrad), "uncorrected, as in the paper"),
    _row(RAdam(lr=0.05, **_ADAM, weight_decay=0.02), each(radam), "eps on the corrected root"),
    _row(
        RAdam(lr=0.05, b1=0.8, b2=0.95, eps=0.0),
        each(radam),
        "eps 0, where the conventions meet",
        {"rule": "RAdam", "betas": (0.8, 0.95), "eps": 0.0},
    ),
    _row(Lion(lr=0.01, b1=0.8, b2=0.95, weight_decay=0.02), each(lion)),
    _row(LAMB(lr=0.05, **_ADAM, weight_decay=0.02), each(lamb), "trust ratio not clipped"),
    _row(
        LARS(lr=0.1, momentum=0.8, trust=0.3, eps=1e-3, weight_decay=0.02),
        each(lars),
        "momentum sums steps; biases and scales get none of the trust ratio",
    ),
    _row(
        Adafactor(lr=0.05, decay=0.7, clip=0.8, eps=1e-3, weight_decay=0.02, smallest=2),
        each(adafactor),
        "decay times the learning rate",
    ),
    _row(
        Adafactor(lr=0.05, momentum=0.8, relative=False, smallest=4),
        each(adafactor),
        "momentum averages steps",
    ),
    _row(
        Muon(lr=0.05, momentum=0.9, weight_decay=0.02, adam_lr=0.03, b1=0.8, b2=0.9, eps=1e-3),
        muon_and_adamw,
        "B = b B + G; no bias correction",
    ),
    _row(
        Muon(lr=0.05, nesterov=False, rounds=3, size="rms"),
        muon_and_adamw,
        "B = b B + G; step as large as AdamW's",
    ),
    _row(
        SOAP(lr=0.05, b1=0.8, b2=0.9, eps=1e-3, weight_decay=0.02, every=7),
        each(soap),
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
