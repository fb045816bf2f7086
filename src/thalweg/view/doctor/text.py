"""A diagnosis as text for 80 columns."""

from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from thalweg.insight.doctor.diagnosis import Arm, Cause, Change, Diagnosis
from thalweg.insight.doctor.vocabulary import CAUSES, SYMPTOMS
from thalweg.insight.wording import count, figure, seconds
from thalweg.view.text import facts

STYLES = {"healthy": "bold green", "repaired": "bold yellow", "unhealthy": "bold red"}


def headline(diagnosis: Diagnosis) -> str:
    """Return the verdict in one sentence."""
    if diagnosis.healthy:
        return "healthy" if diagnosis.arms else "nothing is certainly wrong; nothing was trained"
    first = diagnosis.causes[0] if diagnosis.causes else None
    why = f"{sentence(CAUSES[first.name])} ({first.proof})" if first is not None else "cause not found"
    end = "a repair was found" if diagnosis.repair is not None else "no repair was found"
    return f"{why}; {end}"


def sentence(text: str) -> str:
    """Return a text that starts with a capital letter."""
    return text[:1].upper() + text[1:]


def show(diagnosis: Diagnosis) -> RenderableType:
    """Return the diagnosis for `rich.console.Console.print`; a healthy one is one word.

    Where nothing was trained, what is suspected is named, too: only training tells.
    """
    title = Text(headline(diagnosis), style=STYLES[diagnosis.verdict])
    if diagnosis.healthy and diagnosis.arms:
        return title
    if diagnosis.healthy:
        return Group(title, *_section("\nWorth a look", diagnosis.advice))
    parts: list[RenderableType] = [title, Text()]
    parts += _section(
        "Symptoms", [f"{SYMPTOMS[each.name]}: {each.evidence}{_at(each)}" for each in diagnosis.symptoms]
    )
    parts += _section("Causes", [cause_line(cause) for cause in diagnosis.causes])
    parts += _section("Refuted", [f"{CAUSES[cause.name]}: {cause.why}" for cause in diagnosis.refuted])
    if diagnosis.arms:
        parts += [
            Text("What was trained", style="bold"),
            _arms(diagnosis.arms, str(diagnosis.subject.get("metric", ""))),
            Text(),
        ]
    parts += _prescription(diagnosis)
    parts += _section("Left out", diagnosis.advice)
    parts.append(facts(known(diagnosis)))
    return Group(*parts)


def known(diagnosis: Diagnosis) -> list[tuple[str, str]]:
    """Return facts of a diagnosis: references and cost."""
    cost = diagnosis.cost
    scores = ", ".join(f"{name} {figure(value)}" for name, value in diagnosis.references.items())
    spent = f"{cost.trainings:.1f} trainings, {count(cost.updates)} updates, {seconds(cost.seconds)}"
    return [("references", scores), ("cost", f"{spent} ({seconds(cost.compile_seconds)} of it compiling)")]


def cause_line(cause: Cause) -> str:
    """Return a cause with its proof and its reason."""
    return f"{CAUSES[cause.name]} [{cause.name}, {cause.proof}]: {cause.why}"


def change_line(change: Change) -> str:
    """Return a change in a line: what, where, from what to what."""
    before = "" if change.before is None else f" from {_shown(change.before)}"
    to = "" if change.to is None else f" to {_shown(change.to)}"
    where = "" if change.where is None else f" {change.where}"
    return f"{change.fix.replace('_', ' ')}:{where}{before}{to}"


def _shown(value: Any) -> str:
    return figure(value) if isinstance(value, float) else str(value)


def _at(symptom: Any) -> str:
    places = [symptom.where, None if symptom.step is None else f"update {symptom.step}"]
    places.append(None if symptom.seeds is None else f"{symptom.seeds} seeds")
    known_ = ", ".join(place for place in places if place)
    return f" ({known_})" if known_ else ""


def _section(title: str, lines: Iterable[str]) -> list[RenderableType]:
    rows = list(lines)
    if not rows:
        return []
    grid = Table.grid(padding=0)
    grid.add_column(width=2)
    grid.add_column(overflow="fold")
    for row in rows:
        grid.add_row(Text("- ", style="dim"), Text(row))
    return [Text(title, style="bold"), grid, Text()]


def _arms(arms: Sequence[Arm], metric: str) -> RenderableType:
    grid = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, header_style="dim")
    grid.add_column("run", overflow="fold")
    grid.add_column("updates", justify="right", no_wrap=True)
    grid.add_column(metric, overflow="fold")
    grid.add_column("difference", overflow="fold")
    for arm in arms:
        values = ", ".join(figure(value, 3) for value in arm.values)
        difference = "" if arm.interval is None else " to ".join(figure(end, 3) for end in arm.interval)
        grid.add_row(arm_name(arm), str(arm.steps), values, difference)
    return Padding(grid, (0, 0, 0, 2))


def arm_name(arm: Arm) -> str:
    """Return what an arm changes, for people."""
    return "; ".join(change_line(change) for change in arm.changes) or arm.name


def _prescription(diagnosis: Diagnosis) -> list[RenderableType]:
    repair = diagnosis.repair
    if repair is None:
        return []
    lines = [change_line(change) for change in repair.changes]
    lines += [f"in your code: {change.line}" for change in repair.changes if change.line]
    before, after = (
        ", ".join(figure(value, 3) for value in values) for values in (repair.before, repair.after)
    )
    lines.append(f"{repair.metric} {before} before, {after} after")
    return _section("Prescription", lines)
