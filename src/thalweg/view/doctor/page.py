"""A diagnosis as a page: verdict, evidence for each cause, curves of base, arms and controls, repair."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from thalweg.insight.curves import Curve
from thalweg.insight.doctor.diagnosis import Arm, Cause, Diagnosis
from thalweg.insight.doctor.vocabulary import CAUSES, SYMPTOMS
from thalweg.insight.wording import count, figure, seconds
from thalweg.view.doctor.text import arm_name, change_line, headline, known
from thalweg.view.figure.frame import table
from thalweg.view.figure.html import Content, Markup, element, join
from thalweg.view.figure.plot import Line, Plot, draw
from thalweg.view.report.page import document, footer, head, score, tiles
from thalweg.view.report.tables import pairs

INTERVALS = "the seeds, at whatever time they are looked at"
LEVELS = {"healthy": "good", "repaired": "unclear", "unhealthy": "bad"}
MOST_CURVES = 6


def render(diagnosis: Diagnosis, about: Mapping[str, Any]) -> str:
    """Render a diagnosis as one HTML file without outside references.

    Args:
        diagnosis: The diagnosis.
        about: `run` (its folder), `command` that trains the repair, `environment`, each where it is known.
    """
    metric = str(diagnosis.subject.get("metric", "metric"))
    sections = [
        ("causes", "Causes", _causes(diagnosis.causes, metric)),
        ("repair", "Prescription", _repair(diagnosis, about.get("command"))),
        ("symptoms", "Symptoms", _symptoms(diagnosis)),
        ("curves", "Curves", _curves(diagnosis.arms)),
        ("arms", "What was trained", _arms(diagnosis.arms, metric)),
        ("refuted", "Refuted", _causes(diagnosis.refuted, metric)),
        ("cost", "References and cost", pairs(known(diagnosis), "wide")),
    ]
    name = str(diagnosis.subject.get("data", "diagnosis"))
    environment = about.get("environment") or {}
    return document(
        f"{name}: {headline(diagnosis)}",
        _head(diagnosis, name),
        sections,
        footer(environment, about.get("run"), INTERVALS),
    )


def _head(diagnosis: Diagnosis, name: str) -> Markup:
    repair, cost = diagnosis.repair, diagnosis.cost
    best = None
    if repair is not None:
        label = f"{repair.metric} after the repair, {figure(float(np.mean(repair.before)), 3)} before"
        best = score(figure(float(np.mean(repair.after)), 3), label)
    figures = [
        ("model", str(diagnosis.subject.get("model", ""))),
        ("trainings", f"{cost.trainings:.1f}"),
        ("updates", count(cost.updates)),
        ("time", seconds(cost.seconds)),
    ]
    said: list[tuple[str, str | None]] = [
        (
            f"{CAUSES[cause.name]} ({cause.proof}): {cause.why}",
            "bad" if cause.proof != "unproven" else "unclear",
        )
        for cause in diagnosis.causes
    ]
    return head(
        name, headline(diagnosis), [best, tiles(figures)], ("Why", said), level=LEVELS[diagnosis.verdict]
    )


def _causes(causes: Sequence[Cause], metric: str) -> Markup | None:
    if not causes:
        return None
    rows = []
    for cause in causes:
        change = "" if cause.change is None else change_line(cause.change)
        evidence = cause.evidence
        values = ["", "", ""]
        if evidence is not None:
            ends = evidence.interval
            values = [
                _values(evidence.base),
                _values(evidence.changed),
                "" if ends is None else " to ".join(figure(end, 3) for end in ends),
            ]
        cells = [element("td", text) for text in (cause.proof, cause.why, change, *values)]
        rows.append(element("tr", element("th", cause.name.replace("_", " "), scope="row"), cells))
    columns = ("cause", "proof", "seen", "tried", f"{metric} before", "with the change", "difference")
    return element("div", table(columns, rows, "by-class"), class_="scrolls")


def _values(values: Sequence[float]) -> str:
    return ", ".join(figure(value, 3) for value in values)


def _repair(diagnosis: Diagnosis, command: str | None) -> Markup | None:
    repair = diagnosis.repair
    if repair is None:
        return None
    items: list[Content] = [element("li", change_line(change)) for change in repair.changes]
    lines = [change.line for change in repair.changes if change.line]
    code = element("pre", "\n".join(lines)) if lines else None
    trained = element("pre", command) if command else None
    return join(element("ul", items), code, trained)


def _symptoms(diagnosis: Diagnosis) -> Markup | None:
    if not diagnosis.symptoms:
        return None
    rows = [
        element(
            "tr",
            element("th", SYMPTOMS[each.name], scope="row"),
            [
                element("td", text)
                for text in (
                    each.evidence,
                    each.where or "",
                    "" if each.step is None else str(each.step),
                    each.seeds or "",
                )
            ],
        )
        for each in diagnosis.symptoms
    ]
    return element(
        "div", table(("symptom", "seen", "where", "update", "seeds"), rows, "by-class"), class_="scrolls"
    )


def _curves(arms: Sequence[Arm]) -> Markup | None:
    """Draw the training losses of full runs, and below them those of the short ones."""
    longest = max((arm.steps for arm in arms), default=0)
    drawn = []
    for title, key, chosen in (
        ("Training loss of whole runs", "whole", [arm for arm in arms if arm.steps >= longest]),
        ("Training loss of short arms and controls", "short", [arm for arm in arms if arm.steps < longest]),
    ):
        lines = []
        for number, arm in enumerate([arm for arm in chosen if len(arm.curve)][:MOST_CURVES]):
            values = np.asarray(arm.curve, np.float64)
            steps = np.linspace(0, arm.steps, len(values))
            lines.append(
                Line(arm_name(arm), Curve(steps, np.where(np.isfinite(values), values, np.nan)), number + 1)
            )
        if lines:
            drawn.append(draw(Plot(title, key, lines, note="Means over seeds, in forty steps.")))
    return join(*drawn) if drawn else None


def _arms(arms: Sequence[Arm], metric: str) -> Markup | None:
    if not arms:
        return None
    rows = []
    for arm in arms:
        ends = "" if arm.interval is None else " to ".join(figure(end, 3) for end in arm.interval)
        cells = [element("td", text) for text in (str(arm.steps), _values(arm.values), ends)]
        rows.append(element("tr", element("th", arm_name(arm), scope="row"), cells))
    return element("div", table(("run", "updates", metric, "difference"), rows, "by-class"), class_="scrolls")
