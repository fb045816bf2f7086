"""What a diagnosis says: symptoms, causes with their proof, the repair, controls and cost.

`Diagnosis.to_dict` is the form for programs; its words are those of `vocabulary` and no others.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from thalweg.core.shown import Shown
from thalweg.insight.doctor.vocabulary import CAUSES, FIXES, SYMPTOMS
from thalweg.problem.problem import Problem
from thalweg.recipe.recipe import Recipe

STATIC, PROVEN, UNPROVEN, REFUTED = "static", "proven", "unproven", "refuted"


@dataclass(frozen=True)
class Symptom:
    """Something that is seen.

    Args:
        name: A word of `vocabulary.SYMPTOMS`.
        evidence: What was measured, in a sentence.
        step: The update at which it was first seen; None for the whole run.
        where: The layer, column or split; None for the whole.
        seeds: In how many of the runs: `3 of 3`.
    """

    name: str
    evidence: str
    step: int | None = None
    where: str | None = None
    seeds: str | None = None

    def __post_init__(self) -> None:
        assert self.name in SYMPTOMS, self.name


@dataclass(frozen=True)
class Change:
    """A single change, by which a suspected cause is tried and may be repaired.

    Args:
        fix: A word of `vocabulary.FIXES`.
        where: What it changes: `model.layers.2`, `recipe.optimizer.lr`, `data.inputs`.
        before, to: The value before and after, as text or numbers, where there is one.
        line: For models and data: the line that the user changes.
    """

    fix: str
    where: str | None = None
    before: Any = None
    to: Any = None
    line: str | None = None

    def __post_init__(self) -> None:
        assert self.fix in FIXES, self.fix

    @property
    def group(self) -> str:
        """The group of the fix."""
        return FIXES[self.fix]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, without those that are not known."""
        named = {"fix": self.fix, "where": self.where, "from": self.before, "to": self.to, "line": self.line}
        return {name: plain(value) for name, value in named.items() if value is not None}


@dataclass(frozen=True)
class Evidence:
    """The runs that a cause was tried by: the metric of every seed.

    Args:
        metric: Its name.
        base, changed: As diagnosed, and with the change.
        control: With no change, at the same length.
        restored: With the fault put back into the repaired recipe.
        interval: 95 % interval of the paired difference, changed minus base; None where it is unknown.
    """

    metric: str
    base: tuple[float, ...]
    changed: tuple[float, ...]
    control: tuple[float, ...] = ()
    restored: tuple[float, ...] = ()
    interval: tuple[float, float] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {name: plain(value) for name, value in vars(self).items()}


@dataclass(frozen=True)
class Cause:
    """A cause, and how it was proven.

    Args:
        name: A word of `vocabulary.CAUSES`.
        proof: `static`, `proven`, `unproven` or `refuted`.
        why: The evidence in a sentence.
        change: The change by which it was tried.
        evidence: The runs of it.
    """

    name: str
    proof: str
    why: str = ""
    change: Change | None = None
    evidence: Evidence | None = None

    def __post_init__(self) -> None:
        assert self.name in CAUSES, self.name

    def to_dict(self) -> dict[str, Any]:
        """Return plain values; a refuted cause has no proof."""
        values: dict[str, Any] = {"name": self.name}
        if self.proof != REFUTED:
            values["proof"] = self.proof
        if self.why:
            values["why"] = self.why
        if self.change is not None:
            values["change"] = self.change.to_dict()
        if self.evidence is not None or self.proof == REFUTED:
            values["evidence"] = {} if self.evidence is None else self.evidence.to_dict()
        return values


@dataclass(frozen=True)
class Repair:
    """The repair that was found.

    Args:
        changes: All of it.
        metric: Name of the metric.
        before, after: Its value for every seed.
        recipe: The recipe file, where one was written.
    """

    changes: tuple[Change, ...]
    metric: str
    before: tuple[float, ...]
    after: tuple[float, ...]
    recipe: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        metric = {"name": self.metric, "before": plain(self.before), "after": plain(self.after)}
        return {"changes": [each.to_dict() for each in self.changes], "recipe": self.recipe, "metric": metric}


@dataclass(frozen=True)
class Arm:
    """A row of the table of arms: what was tried, its metric for every seed, and its length in updates."""

    name: str
    changes: tuple[Change, ...]
    values: tuple[float, ...]
    steps: int
    interval: tuple[float, float] | None = None
    curve: tuple[float, ...] = ()


@dataclass(frozen=True)
class Cost:
    """What the diagnosis cost: trainings of the diagnosed recipe, updates, and seconds."""

    trainings: float = 0.0
    updates: int = 0
    seconds: float = 0.0
    compile_seconds: float = 0.0


@dataclass(frozen=True, repr=False)
class Diagnosis(Shown):
    """The doctor's answer; see the module.

    Args:
        healthy: Whether there is neither a symptom nor a cause.
        symptoms, causes, refuted: What is seen; why, best first; what was tried and is not the cause.
        repair: The changes that repair it.
        repaired: The repaired problem and recipe, ready to train.
        controls: Interval of the effect of no change and of an irrelevant change.
        references: Scores of cheap references on the same rows.
        advice: Remarks that are no alarm.
        cost: What it cost.
        arms: Everything that was trained.
        subject: What was diagnosed, for people: data, model, metric.
    """

    healthy: bool
    symptoms: tuple[Symptom, ...] = ()
    causes: tuple[Cause, ...] = ()
    refuted: tuple[Cause, ...] = ()
    repair: Repair | None = None
    repaired: tuple[Problem, Recipe] | None = field(default=None, repr=False)
    controls: tuple[tuple[str, tuple[float, float] | None], ...] = ()
    references: Mapping[str, float] = field(default_factory=dict)
    advice: tuple[str, ...] = ()
    cost: Cost = field(default_factory=Cost)
    arms: tuple[Arm, ...] = ()
    subject: Mapping[str, Any] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """`healthy`, `repaired` or `unhealthy`."""
        return "healthy" if self.healthy else "unhealthy" if self.repair is None else "repaired"

    def __repr__(self) -> str:
        """Return the verdict and the causes in a line."""
        causes = ", ".join(f"{cause.name} ({cause.proof})" for cause in self.causes)
        return f"Diagnosis({self.verdict}{': ' + causes if causes else ''})"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as `thalweg doctor --json` prints them."""
        controls = [{"name": name, "interval": plain(interval)} for name, interval in self.controls]
        return {
            "healthy": self.healthy,
            "symptoms": [
                {name: plain(value) for name, value in vars(each).items() if value is not None}
                for each in self.symptoms
            ],
            "causes": [cause.to_dict() for cause in self.causes],
            "refuted": [cause.to_dict() for cause in self.refuted],
            "repair": None if self.repair is None else self.repair.to_dict(),
            "controls": controls,
            "references": {name: plain(value) for name, value in self.references.items()},
            "advice": list(self.advice),
            "cost": {name: plain(value) for name, value in vars(self.cost).items()},
        }


def plain(value: Any) -> Any:
    """Return JSON's types: numbers with six digits, and None for what is not finite."""
    if isinstance(value, (tuple, list)):
        return [plain(each) for each in value]
    if isinstance(value, (np.generic, np.ndarray)) and np.ndim(value) == 0:
        value = value.item()
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value
