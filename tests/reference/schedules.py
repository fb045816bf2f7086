"""Every learning-rate schedule as a function of the step, from its equation; and averages of weights."""

import math
from typing import Any, NamedTuple

import numpy as np

Settings = dict[str, Any]


class Clock(NamedTuple):
    """Updates made so far, updates planned, updates in an epoch."""

    step: int
    total: float
    epoch: int

    def steps(self, length: float, unit: str) -> float:
        """Return a length in whole steps."""
        return float(np.round(length * {"fraction": self.total, "epochs": self.epoch, "steps": 1}[unit]))

    def after(self, steps: float) -> "Clock":
        """Return the clock of what starts after some steps and ends with the run."""
        return Clock(max(self.step - steps, 0), max(self.total - steps, 1), self.epoch)


def _half_cosine(share: float, floor: float) -> float:
    return floor + (1 - floor) * (1 + math.cos(math.pi * min(max(share, 0), 1))) / 2


def _restarts(s: Settings, clock: Clock) -> float:
    start, length = 0.0, max(clock.steps(s["period"], s["unit"]), 1)
    while start + length <= clock.step:
        start, length = start + length, length * s["growth"]
    return _half_cosine((clock.step - start) / length, s["floor"])


def _multi_step(s: Settings, clock: Clock) -> float:
    return s["drop"] ** sum(clock.steps(point, s["unit"]) <= clock.step for point in s["points"])


def _one_cycle(s: Settings, clock: Clock, first: float, middle: float, last: float) -> float:
    top = max(s["rise"] * clock.total - 1, 1e-6)
    if clock.step <= top:
        start, end, share = first, middle, clock.step / top
    else:
        start, end, share = middle, last, (clock.step - top) / max(clock.total - 1 - top, 1e-6)
    share = min(max(share, 0), 1)
    return start + (end - start) * ((1 - math.cos(math.pi * share)) / 2 if s["shape"] == "cosine" else share)


def _stable(s: Settings, clock: Clock) -> float:
    warmup, decay = clock.steps(s["warmup"], s["unit"]), clock.steps(s["decay"], s["unit"])
    if clock.step < warmup:
        return (clock.step + 1) / warmup
    if clock.step < clock.total - decay:
        return 1.0
    share = (clock.step - clock.total + decay) / max(decay, 1)
    return 1 - (1 - s["floor"]) * (math.sqrt(share) if s["shape"] == "sqrt" else share)


def _warmup_cosine(s: Settings, clock: Clock) -> float:
    warmup = clock.steps(s["warmup"], s["unit"])
    if clock.step < warmup:
        return (clock.step + 1) / warmup
    return _half_cosine((clock.step - warmup) / max(clock.total - warmup, 1), s["floor"])


def _warmup(s: Settings, clock: Clock, plateau: "Plateau | None") -> float:
    length = clock.steps(s["length"], s["unit"])
    rise = (clock.step + 1) / length if clock.step < length else 1.0
    return rise * factor(s["then"], clock.after(length), plateau)


def _unit(s: Settings, clock: Clock) -> float:
    return max(clock.steps(1, s["unit"]), 1)


def factor(s: Settings, clock: Clock, plateau: "Plateau | None" = None) -> float:
    """Return the factor of the learning rate."""
    t, total = clock.step, clock.total
    match s["name"]:
        case "constant":
            return 1.0
        case "step":
            return s["drop"] ** (t // max(clock.steps(s["every"], s["unit"]), 1))
        case "multi-step":
            return _multi_step(s, clock)
        case "exponential":
            return s["decay"] ** (t / _unit(s, clock))
        case "inverse-time":
            return 1 / (1 + s["k"] * t / _unit(s, clock))
        case "polynomial":
            return s["floor"] + (1 - s["floor"]) * max(1 - t / max(total, 1), 0) ** s["power"]
        case "cosine":
            return _half_cosine(t / max(total, 1), s["floor"])
        case "cosine-restarts":
            return _restarts(s, clock)
        case "plateau":
            assert plateau is not None
            return plateau.factor
        case "one-cycle":
            return _one_cycle(s, clock, s["start"], 1.0, s["end"])
        case "warmup":
            return _warmup(s, clock, plateau)
        case "warmup-cosine":
            return _warmup_cosine(s, clock)
        case "warmup-stable-decay":
            return _stable(s, clock)
    raise LookupError(s["name"])


def momentum(s: Settings, clock: Clock) -> float | None:
    """Return the momentum that a schedule sets; None if it leaves that alone."""
    if s["name"] == "warmup":
        return momentum(s["then"], clock.after(clock.steps(s["length"], s["unit"])))
    if s["name"] == "one-cycle":
        return _one_cycle(s, clock, s["high"], s["low"], s["high"])
    return None


class Plateau:
    """Drops the factor after more than `patience` evaluations without a loss below `best (1 - threshold)`."""

    def __init__(self, s: Settings):
        self._s = s["then"] if s["name"] == "warmup" else s
        self.factor, self._best, self._bad, self._cooldown = 1.0, math.inf, 0, 0

    def observe(self, loss: float) -> None:
        """Take the validation loss of one evaluation."""
        s = self._s
        if loss < (self._best if math.isinf(self._best) else self._best * (1 - s["threshold"])):
            self._best, self._bad = loss, 0
        else:
            self._bad += 1
        if self._cooldown > 0:
            self._cooldown, self._bad = self._cooldown - 1, 0
        if self._bad > s["patience"]:
            self.factor = max(self.factor * s["drop"], s["floor"])
            self._bad, self._cooldown = 0, s["cooldown"]


def plateau_of(s: Settings) -> Plateau | None:
    """Return the plateau within a schedule, if there is one."""
    names = (s["name"], s["then"]["name"] if s["name"] == "warmup" else "")
    return Plateau(s) if "plateau" in names else None


class Average:
    """An average of weights: exponential, of the tail of a run, or of snapshots (SWA)."""

    def __init__(self, s: Settings, params: dict[str, np.ndarray]):
        self._s, self._taken = s, 0
        self.params = {path: w.copy() for path, w in params.items()}

    def update(self, params: dict[str, np.ndarray], clock: Clock) -> None:
        """Take the weights after the update of this clock."""
        s, t, share = self._s, clock.step, 0.0
        if s["name"] == "none":
            share = 1.0
        elif s["name"] == "ema":
            share = 1 - (min(s["decay"], (1 + t) / (10 + t)) if s["ramp"] else s["decay"])
        else:
            start = clock.steps(s["start"], s["unit"])
            takes = t >= start
            if s["name"] == "swa":
                every = max(clock.steps(s["every"], s["every_unit"]), 1)
                takes = t + 1 >= start and (t + 1 - start) % every == 0
            if takes:
                self._taken += 1
                share = 1 / self._taken
            elif not self._taken:
                share = 1.0  # nothing taken yet: the weights themselves
        self.params = {path: (1 - share) * x + share * params[path] for path, x in self.params.items()}
