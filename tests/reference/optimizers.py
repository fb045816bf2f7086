"""The update rules in NumPy, each from its published equation, one array at a time where the equation allows.

Most rules are `(w, g, s, t, lr, n, decays) -> w`: weights, gradient, the state of this array (a dict, empty
at first), the number of this update (1 at the first), its rate, the rule's settings, and whether weight decay
applies to this array.
"""

import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]
Settings = dict[str, Any]

# Which setting a schedule with a momentum of its own drives.
MOMENTUM = {
    **dict.fromkeys(("sgd", "rmsprop", "lars", "muon", "adafactor"), "momentum"),
    **dict.fromkeys(
        ("adam", "adamw", "adamax", "nadam", "amsgrad", "radam", "lamb", "lion", "prodigy"), "b1"
    ),
}
DECAYING_ROLES = ("matrix", "head")
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


def _penalty(w: np.ndarray, g: np.ndarray, n: Settings, decays: bool) -> np.ndarray:
    return g + n["weight_decay"] * w if decays and n["weight_decay"] is not None else g


def _running(s: Settings, name: str, decay: float, value: np.ndarray) -> np.ndarray:
    s[name] = decay * s.get(name, np.zeros_like(value)) + (1 - decay) * value
    return s[name]


def _sum(s: Settings, name: str, decay: float, value: np.ndarray) -> np.ndarray:
    s[name] = decay * s.get(name, np.zeros_like(value)) + value
    return s[name]


def sgd(w: Any, g: Any, s: Settings, t: int, lr: float, n: Settings, decays: bool) -> Any:
    rate = n["weight_decay"] if decays and n["weight_decay"] is not None else 0.0
    shrink = 1 - lr * rate if n["decay_form"] == "decoupled" else 1.0
    if n["decay_form"] != "decoupled":
        g = g + rate * w * (2 if n["decay_form"] == "whole" else 1)
    b = n["momentum"]
    if b is None:
        return shrink * w - lr * g
    u = g if n["remember"] == "gradients" else lr * g
    v = _sum(s, "v", b, u)
    move = u + b * v if n["nesterov"] else v
    return shrink * w - (lr * move if n["remember"] == "gradients" else move)


def adagrad(w: Any, g: Any, s: Settings, t: int, lr: float, n: Settings, decays: bool) -> Any:
    g = _penalty(w, g, n, decays)
    s["s"] = s.get("s", n["initial"]) + g**2
    # Optax's rule moves nothing where nothing has been summed.
    return w - lr * np.where(s["s"] > 0, g / np.sqrt(s["s"] + n["eps"]), 0)


def rmsprop(w: Any, g: Any, s: Settings, t: int, lr: float, n: Settings, decays: bool) -> Any:
    g = _penalty(w, g, n, decays)
    spread = _running(s, "n", n["decay"], g**2)
    if n["centred"]:
        spread = np.maximum(spread - _running(s, "m", n["decay"], g) ** 2, 0)
    u = g / (np.sqrt(spread) + n["eps"])
    return w - lr * (u if n["momentum"] is None else _sum(s, "v", n["momentum"], u))


def adadelta(w: Any, g: Any, s: Settings, t: int, lr: float, n: Settings, decays: bool) -> Any:
    g = _penalty(w, g, n, decays)
    square = _running(s, "n", n["decay"], g**2)
    u = g * np.sqrt(s.get("x", 0.0) + n["eps"]) / np.sqrt(square + n["eps"])
    _running(s, "x", n["decay"], u**2)
    return w - lr * u


def _direction(g: Any, s: Settings, t: int, n: Settings) -> Any:
    mean, square = _running(s, "m", n["b1"], g), _running(s, "v", n["b2"], g**2)
    return mean / (1 - n["b1"] ** t) / (np.sqrt(square / (1 - n["b2"] ** t)) + n["eps"])


def adam(w: Any, g: Any, s: Settings, t: int, lr: float, n: Settings, decays: bool) -> Any:
    return w - lr * _direction(_penalty(w, g, n, decays), s, t, n)


def adamw(w: Any, g: Any, s: Settings, t: int, lr: float, n: Settings, decays: bool) -> Any:
    return w - lr * (_direction(g, s, t, n) + (n["weight_decay"] * w if decays else 0))


def adamax(w: Any, g: Any, s: Settings, t: int, lr: float, n: Settings, decays: bool) -> Any:
    g = _penalty(w, g, n, decays)
    mean = _running(s, "m", n["b1"], g)
    s["u"] = np.maximum(n["b2"] * s.get("u", 0.0), np.abs(g) + n["eps"])
    return w - lr * mean / ((1 - n["b1"] ** t) * s["u"])


def nadam(w: Any, g: Any, s: Settings, t: int, lr: float, n: Settings, decays: bool) -> Any:
    g = _penalty(w, g, n, decays)
    b1, b2 = n["b1"], n["b2"]
    mean, square = _running(s, "m", b1, g), _running(s, "v", b2, g**2)
    ahead = b1 * mean / (1 - b1 ** (t + 1)) + (1 - b1) * g / (1 - b1**t)
    return w - lr * ahead / (np.sqrt(square / (1 - b2**t)) + n["eps"])


def amsgrad(w: Any, g: Any, s: Settings, t: int, lr: float, n: Settings, decays: bool) -> Any:
    g = _penalty(w, g, n, decays)
    mean, square = _running(s, "m", n["b1"], g), _running(s, "v", n["b2"], g**2)
    if n["corrected"]:
        mean, square = mean / (1 - n["b1"] ** t), square / (1 - n["b2"] ** t)
    s["x"] = np.maximum(s.get("x", 0.0), square)
    return w - lr * mean / (np.sqrt(s["x"]) + n["eps"])


def radam(w: Any, g: Any, s: Settings, t: int, lr: float, n: Settings, decays: bool) -> Any:
    g = _penalty(w, g, n, decays)
    b1, b2 = n["b1"], n["b2"]
    mean = _running(s, "m", b1, g) / (1 - b1**t)
    square = _running(s, "v", b2, g**2) / (1 - b2**t)
    long = 2 / (1 - b2) - 1
    r = long - 2 * t * b2**t / (1 - b2**t)
    if r < 5:
        return w - lr * mean
    c = math.sqrt((r - 4) * (r - 2) * long / ((long - 4) * (long - 2) * r))
    return w - lr * c * mean / (np.sqrt(square) + n["eps"])


def lion(w: Any, g: Any, s: Settings, t: int, lr: float, n: Settings, decays: bool) -> Any:
    mean = s.get("m", np.zeros_like(g))
    u = np.sign(n["b1"] * mean + (1 - n["b1"]) * g) + (n["weight_decay"] * w if decays else 0)
    _running(s, "m", n["b2"], g)
    return w - lr * u


def _norm(array: Any) -> float:
    return math.sqrt(float((array**2).sum()))


def lamb(w: Any, g: Any, s: Settings, t: int, lr: float, n: Settings, decays: bool) -> Any:
    u = _direction(g, s, t, n) + (n["weight_decay"] * w if decays else 0)
    ratio = _norm(w) / _norm(u) if _norm(w) and _norm(u) else 1.0
    return w - lr * ratio * u


def lars(w: Any, g: Any, s: Settings, t: int, lr: float, n: Settings, decays: bool) -> Any:
    u = g
    if decays:
        u = g + n["weight_decay"] * w
        if _norm(w) and _norm(u):
            u = u * n["trust"] * _norm(w) / (_norm(u) + n["eps"])
    return w - _sum(s, "v", n["momentum"], lr * u)


def adafactor(w: Any, g: Any, s: Settings, t: int, lr: float, n: Settings, decays: bool) -> Any:
    b, square = 1 - t ** -n["decay"], g**2 + n["eps"]
    if g.ndim == 2 and min(g.shape) >= n["smallest"]:
        rows, columns = (
            _running(s, name, b, square.mean(axis=axis, keepdims=True)) for name, axis in (("r", 1), ("c", 0))
        )
        square = rows * columns / rows.mean()
    else:
        square = _running(s, "v", b, square)
    u = g / np.sqrt(square)
    u = lr * u / max(1, math.sqrt((u**2).mean()) / n["clip"])
    if n["relative"]:
        u = u * max(1e-3, math.sqrt((w**2).mean()))
    if n["momentum"] is not None:
        u = _running(s, "m", n["momentum"], u)
    return w - u - (lr * n["weight_decay"] * w if decays else 0)


def muon(w: Any, g: Any, s: Settings, t: int, lr: float, n: Settings, decays: bool) -> Any:
    b = n["momentum"]
    v = _sum(s, "v", b, g)
    x = g + b * v if n["nesterov"] else v
    rows, columns = x.shape
    x = x / (_norm(x) + 1e-7)
    p, q, r = NEWTON_SCHULZ
    for _ in range(n["rounds"]):
        gram = x @ x.T
        x = p * x + q * gram @ x + r * gram @ gram @ x
    size = math.sqrt(max(1, rows / columns)) if n["size"] == "width" else 0.2 * math.sqrt(max(rows, columns))
    return w - lr * (size * x + (n["weight_decay"] * w if decays else 0))


EACH: dict[str, Callable[..., Any]] = {
    rule.__name__: rule
    for rule in (
        *(sgd, adagrad, rmsprop, adadelta, adam, adamw, adamax, nadam, amsgrad, radam),
        *(lion, lamb, lars, adafactor),
    )
}


class Rule:
    """One rule over some arrays: all parameters, or those of a parameter group.

    Args:
        settings: The optimizer as plain values.
        roles: Role of each array.
        decays: Whether weight decay applies to each array.
    """

    def __init__(self, settings: Settings, roles: dict[str, str], decays: dict[str, bool]):
        self._n, self._roles, self._decays = settings, roles, decays

    def step(
        self, w: Arrays, g: Arrays, state: Settings, factor: float, momentum: float | None, again: Any
    ) -> Arrays:
        """Return the weights after one update; the state changes in place.

        Args:
            w, g: Weights and gradient.
            state: Empty before the first update.
            factor: Of every learning rate.
            momentum: In place of the rule's own; None keeps that.
            again: Function of weights that returns the gradient of the same batch.
        """
        n = copy.copy(self._n)
        driven = MOMENTUM.get(n["name"])
        if momentum is not None and driven is not None and n[driven] is not None:
            n[driven] = momentum
        state["t"] = t = state.get("t", 0) + 1
        name, own = n["name"], state.setdefault("arrays", {path: {} for path in w})

        def each(rule: Any, lr: float, n: Settings, g: Arrays) -> Arrays:
            return {path: rule(w[path], g[path], own[path], t, lr, n, self._decays[path]) for path in w}

        if name == "sam":
            norm = math.sqrt(sum(float((leaf**2).sum()) for leaf in g.values()))
            ahead = {path: w[path] + (n["rho"] * g[path] / norm if norm else 0) for path in w}
            base = n["base"]
            return each(EACH[base["name"]], base["lr"] * factor, base, again(ahead))
        if name == "muon":
            hidden = {path for path in w if self._roles[path] == "matrix" and min(w[path].shape) > 1}
            return {
                path: (muon if path in hidden else adamw)(
                    *(w[path], g[path], own[path], t),
                    n["lr" if path in hidden else "adam_lr"] * factor,
                    *(n, self._decays[path]),
                )
                for path in w
            }
        if name == "prodigy":
            return self._prodigy(w, g, state, n["lr"] * factor, n)
        if name.startswith("schedule-free"):
            return self._schedule_free(w, g, state, n["lr"] * factor, n)
        return each(EACH[name], n["lr"] * factor, n, g)

    def evaluated(self, w: Arrays, state: Settings) -> Arrays:
        """Return the weights to evaluate: the averaged ones of a schedule-free rule."""
        return dict(state["x"]) if "x" in state else w

    def _schedule_free(self, w: Arrays, g: Arrays, state: Settings, lr: float, n: Settings) -> Arrays:
        """y = (1-b) z + b x: the gradient is taken at y, z makes the step, x is a mean of z."""
        z, x, own, t = state.get("z", w), state.get("x", w), state["arrays"], state["t"]
        state["largest"] = max(state.get("largest", 0.0), lr)
        state["weight"] = state.get("weight", 0.0) + state["largest"] ** 2
        share = state["largest"] ** 2 / state["weight"] if state["weight"] else 0.0
        for path in w:
            decay = n["weight_decay"] * w[path] if self._decays[path] and n["weight_decay"] is not None else 0
            move = g[path]
            if n["name"] == "schedule-free-adamw":
                square = _running(own[path], "v", n["b2"], g[path] ** 2)
                move = move / (np.sqrt(square / (1 - n["b2"] ** t)) + n["eps"])
            z = z | {path: z[path] - lr * (move + decay)}
            x = x | {path: (1 - share) * x[path] + share * z[path]}
        state["z"], state["x"] = z, x
        return {path: (1 - n["b1"]) * z[path] + n["b1"] * x[path] for path in w}

    def _prodigy(self, w: Arrays, g: Arrays, state: Settings, lr: float, n: Settings) -> Arrays:
        own, t, b1, b2 = state["arrays"], state["t"], n["b1"], n["b2"]
        first, d = state.setdefault("first", dict(w)), state.get("d", n["d0"])
        c, root = math.sqrt(1 - b2**t) / (1 - b1**t), math.sqrt(b2)
        travelled = sum(float((g[path] * (first[path] - w[path])).sum()) for path in w)
        state["r"] = root * state.get("r", 0.0) + c * lr * d**2 / n["d0"] * travelled
        weight = d**2 / n["d0"] if n["safeguard"] else c * lr * d**2 / n["d0"]
        size = sum(float(np.abs(_sum(own[path], "s", root, weight * g[path])).sum()) for path in w)
        state["d"] = max(d, n["d_factor"] * state["r"] / size)
        after = {}
        for path in w:
            mean, square = (
                _running(own[path], "m", b1, d * g[path]),
                _running(own[path], "v", b2, (d * g[path]) ** 2),
            )
            decay = n["weight_decay"] * w[path] if self._decays[path] else 0
            after[path] = w[path] - c * lr * d * (mean / (np.sqrt(square) + state["d"] * n["eps"]) + decay)
        return after


class Rules:
    """The rules of a recipe: one for each parameter group, and one for the rest.

    Args:
        optimizer: Its settings.
        groups: Settings of the parameter groups; the first that matches a parameter applies.
        roles: Role of each parameter.
    """

    def __init__(self, optimizer: Settings, groups: list[Settings], roles: dict[str, str]):
        self._roles, self._groups = roles, groups
        self._members: dict[int, list[str]] = {}
        for path, role in roles.items():
            fits = [k for k, group in enumerate(groups) if _matches(group, path, role)]
            self._members.setdefault(fits[0] if fits else -1, []).append(path)
        self._rules = {k: self._rule(optimizer, k, paths) for k, paths in self._members.items()}

    def _rule(self, optimizer: Settings, number: int, paths: list[str]) -> Rule:
        group = self._groups[number] if number >= 0 else {}
        own = copy.copy(optimizer)
        decays = {path: self._roles[path] in DECAYING_ROLES for path in paths}
        if group.get("weight_decay") is not None:
            own["weight_decay"] = group["weight_decay"]
            decays = dict.fromkeys(paths, True)
        return Rule(own, {path: self._roles[path] for path in paths}, decays)

    def step(
        self, w: Arrays, g: Arrays, state: Settings, factor: float, momentum: float | None, again: Any
    ) -> Arrays:
        """Return the weights after one update of all groups; see `Rule.step`."""
        after = {}
        for number, paths in self._members.items():
            group = self._groups[number] if number >= 0 else {}
            if group.get("frozen"):
                after |= {path: w[path] for path in paths}
                continue
            some, grads = {path: w[path] for path in paths}, {path: g[path] for path in paths}
            share = factor * group.get("lr_factor", 1.0)
            own = state.setdefault(number, {})
            after |= self._rules[number].step(some, grads, own, share, momentum, again)
        return {path: after[path] for path in w}

    def without_frozen(self, g: Arrays) -> Arrays:
        """Return the gradient with zeros for frozen parameters, which count in no norm."""
        frozen = {
            path
            for number, paths in self._members.items()
            for path in paths
            if number >= 0 and self._groups[number].get("frozen")
        }
        return {path: 0 * leaf if path in frozen else leaf for path, leaf in g.items()}

    def evaluated(self, w: Arrays, state: Settings) -> Arrays:
        """Return the weights to evaluate; see `Rule.evaluated`."""
        after = dict(w)
        for number, own in state.items():
            paths = {path: w[path] for path in self._members[number]}
            after |= self._rules[number].evaluated(paths, own)
        return after


def _matches(group: Settings, path: str, role: str) -> bool:
    """Return whether a group's pattern (a prefix, then `*`) and role fit."""
    prefix = group["pattern"].removesuffix("*")
    fits = path == prefix or (group["pattern"].endswith("*") and path.startswith(prefix))
    return fits and group["role"] in ("*", role)
