"""What a notebook shows: a run while it trains, and runs, sweeps, findings and plans when it ends a cell.

Everything is HTML and inline SVG with the style sheet of the reports, confined to its own cell. Nothing is
loaded from elsewhere, and no script runs, so that a saved notebook shows the same.
"""

import importlib
import math
import re
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import count as numbers
from pathlib import Path
from typing import Any

import numpy as np

from thalweg.core.disk import replace as replace_file
from thalweg.core.errors import BadInput
from thalweg.core.shown import FORMS, Form
from thalweg.core.stop_reason import StopReason
from thalweg.engine.plan import LanePlan
from thalweg.insight.curves import Curve
from thalweg.insight.finder.finding import BatchFinding, LearningRateFinding
from thalweg.insight.finder.verdict import headline as rate_headline
from thalweg.insight.finder.verdict import sentences
from thalweg.insight.outcome import outcome
from thalweg.insight.ranking import ranking_of
from thalweg.insight.summary import summarise
from thalweg.insight.sweep_statements import headline as sweep_headline
from thalweg.insight.wording import clipped, count, figure, measure, plural, seconds
from thalweg.run.progress import Status, TrainingPlan
from thalweg.run.run import Run, Runs
from thalweg.view.figure import lr_figure
from thalweg.view.figure.frame import table
from thalweg.view.figure.html import Content, Markup, element
from thalweg.view.figure.plot import Line, Plot, Span, draw
from thalweg.view.finding import batch_page
from thalweg.view.progress import fields_of, lanes_line, last_line, sorted_lanes
from thalweg.view.report.curves import TRAIN, VALIDATION, plots
from thalweg.view.report.page import document, style_sheet, tiles
from thalweg.view.sweep import page as sweep_page

REDRAW_SECONDS = 0.5  # between two drawings of a cell that trains: a drawing takes some milliseconds
MOST_POINTS = 400  # of a live curve; beyond, every second point is dropped
MOST_LANES = 8  # rows of the live table, and curves of the live figure

_keys = numbers()  # figures of one page need different keys


@dataclass(frozen=True)
class Figure:
    """A drawing, which a notebook shows.

    Args:
        title: What it shows.
        content: The drawing.
        text: The same in characters, where there is such a form.
        svg: The same as an SVG file, where there is such a form.
    """

    title: str
    content: Markup = field(repr=False)
    text: str = field(default="", repr=False)
    svg: str = field(default="", repr=False)

    def _repr_html_(self) -> str:
        return cell(self.content)

    def __repr__(self) -> str:
        """Return the title; the drawing is for notebooks and files."""
        return f"Figure({self.title!r})"

    def __str__(self) -> str:
        """Return the figure in characters, or else its title."""
        return self.text or repr(self)

    def save(self, path: Path | str) -> Path:
        """Write the figure to a page of its own; return its path.

        Args:
            path: A file whose name ends in `.html`, or in `.svg` for a figure that has this form.

        Raises:
            BadInput: It does not.
        """
        path = Path(path)
        replace_file(path, self.file(path))
        return path

    def file(self, path: Path) -> bytes:
        """Return what `save` writes to a file of this name."""
        if path.suffix == ".svg" and self.svg:
            return self.svg.encode()
        if path.suffix != ".html":
            rule = "is saved as HTML or SVG" if self.svg else "is saved as HTML"
            raise BadInput("figure", rule, got=str(path), hint=f"name it {path.stem}.html")
        body = [("figure", "", self.content)]
        return document(self.title, element("h1", self.title), body, Markup("")).encode()


class Cell:
    """A listener that shows a run in the cell of a notebook that trains it; at the end one line is left.

    Args:
        show: Shows an object and returns a handle with `update`; that of IPython when None.
        clock: Seconds, monotonic.
    """

    def __init__(self, show: Callable[[Any], Any] | None = None, clock: Callable[[], float] = time.monotonic):
        self._show, self._clock = show or _show, clock
        self._handle: Any = None
        self._plan, self._status = TrainingPlan("run"), Status(0)
        self._curves: dict[str, list[tuple[int, float]]] = {}
        self._notes: list[str] = []
        self._drawn, self._result = -math.inf, {}

    def start(self, plan: TrainingPlan) -> None:
        """Show the plan."""
        self._plan, self._status, self._curves = plan, Status(0, total_steps=plan.total_steps), {}
        self._draw(Markup(element("p", f"{plan.name}: compiling", class_="label")))

    def update(self, status: Status) -> None:
        """Record the status, and redraw if the last drawing is half a second old."""
        self._status = status
        for name, value in self._points(status):
            curve = self._curves.setdefault(name, [])
            curve.append((status.step, value))
            if len(curve) > MOST_POINTS:
                del curve[1::2]
        if self._clock() - self._drawn >= REDRAW_SECONDS:
            self._draw(self._live())

    def note(self, text: str) -> None:
        """Keep a message below the run."""
        self._notes.append(text)

    def finish(self, result: Mapping[str, Any]) -> None:
        """Replace the drawing by the line that says how the run ended."""
        line = last_line(self._plan, self._status, result)
        self._draw(element("p", line, class_="label"))

    def _points(self, status: Status) -> list[tuple[str, float]]:
        if len(status.lanes) > 1:
            best = sorted_lanes(status.lanes)[:MOST_LANES]
            return [(lane.label, lane.loss) for lane in best if lane.step]
        known = [("training", status.loss)]
        known += [("validation", status.validation_loss)] if status.evaluated else []
        return [(name, value) for name, value in known if value is not None]

    def _live(self) -> Markup:
        status, plan = self._status, self._plan
        share = min(1.0, status.step / plan.total_steps) if plan.total_steps else 0.0
        bar = element("div", element("i", style=f"width:{100 * share:.1f}%"), class_="bar")
        many = len(status.lanes) > 1
        shown = replace(status, loss=None, validation_loss=None, metric=None) if many else status
        words = [
            f"step {count(status.step)}" + (f" of {count(plan.total_steps)}" if plan.total_steps else "")
        ]
        words += [text for text, _ in reversed(fields_of(shown))]
        line = element("p", element("strong", plan.name), " ", " · ".join(words), class_="label")
        summary = element("p", lanes_line(status.lanes), class_="label") if many else None
        return element("div", line, bar, summary, self._figure(), _lanes(status) if many else None)

    def _figure(self) -> Markup | None:
        palette = {"training": TRAIN, "validation": VALIDATION}
        lines = [
            Line(
                name,
                Curve(*np.array(points, float).T),
                palette.get(name, 1 + index % 6),
                dots=len(points) < 9,
            )
            for index, (name, points) in enumerate(self._curves.items())
            if len(points) > 1
        ]
        return (
            draw(Plot("Loss", f"live-{next(_keys)}", lines, span=Span(self._plan.total_steps)))
            if lines
            else None
        )

    def _draw(self, content: Markup) -> None:
        self._drawn = self._clock()
        notes = [element("p", note, class_="note") for note in self._notes]
        drawing = Figure(self._plan.name, element("div", content, notes))
        if self._handle is None:
            self._handle = self._show(drawing)
        else:
            self._handle.update(drawing)


def in_notebook() -> bool:
    """Return whether the process is the kernel of a notebook, which shows HTML."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")


def _show(drawing: Figure) -> Any:
    return importlib.import_module("IPython.display").display(drawing, display_id=True)


def cell(*content: Content) -> str:
    """Return content as the output of a cell: with the style of the reports, which holds nowhere else."""
    return element("div", element("style", _scoped_style()), *content, class_="thalweg")


def _scoped_style() -> Markup:
    """Return the reports' style sheet for the inside of one element (CSS nesting)."""
    rules = re.sub(r"(?m)^(\s*)(:root|body|html|main)\b", r"\1&", style_sheet())
    return Markup(f".thalweg{{{rules}\n& {{ padding: 0.8rem 1rem; border-radius: 8px; max-width: 70rem; }}}}")


def _lanes(status: Status) -> Markup:
    scored = any(math.isfinite(lane.metric) for lane in status.lanes)
    head = [
        "lane",
        "setting",
        "step",
        "loss",
        "validation",
        *([status.metric_name or "metric"] if scored else []),
        "",
    ]
    rows = []
    for lane in sorted_lanes(status.lanes)[:MOST_LANES]:
        values = [_known(lane.loss), _known(lane.validation_loss)]
        values += (
            [measure(status.metric_name, lane.metric) if math.isfinite(lane.metric) else ""] if scored else []
        )
        cells = [count(lane.lane), clipped(lane.label, 60), count(lane.step), *values, lane.state]
        rows.append(element("tr", [element("td", text) for text in cells]))
    return element("div", table(head, rows, "by-class"), class_="scrolls")


def _known(value: float) -> str:
    return figure(value) if math.isfinite(value) else ""


def _run(run: Run) -> str:
    record, result = run.record, outcome(run.record)
    total = (record.result.get("seconds") or {}).get("total")
    end = None if result.stopped is None else StopReason.facts_of(result.stopped).label
    facts = tiles(
        [
            (f"test {result.metric.name}", result.metric.text) if result.metric else ("", None),
            ("test loss", None if result.test_loss is None else figure(result.test_loss)),
            ("lowest validation loss", None if result.best_loss is None else figure(result.best_loss)),
            ("training", end),
            ("length", None if result.steps is None else plural(result.steps, "step")),
            ("time", None if total is None else seconds(total)),
            ("folder", None if run.folder is None else str(run.folder)),
        ]
    )
    return cell(element("h3", f"{record.name}: {summarise(record).headline}"), facts, _curves(run))


def _curves(run: Run) -> Markup:
    drawn = [draw(replace(plot, key=f"{plot.key}-{next(_keys)}", switch=False)) for plot in plots(run.record)]
    return element("div", drawn, class_="small-plots")


def _sweep(runs: Runs) -> str:
    ranking = ranking_of(runs)
    return cell(element("h3", sweep_headline(ranking)), _sweep_figures(runs), sweep_page.ranked(ranking, 20))


def _sweep_figures(runs: Runs) -> Markup:
    return element("div", sweep_page.factors(ranking_of(runs)))


def _rate(finding: LearningRateFinding) -> str:
    how = element(
        "ul", [element("li", each.text, class_=each.level) for each in sentences(finding)], class_="findings"
    )
    return cell(element("h3", rate_headline(finding)), lr_figure.draw(finding), how)


def _batch(finding: BatchFinding) -> str:
    drawn = batch_page.draw(finding)
    return cell(
        element("h3", batch_page.headline(finding)), drawn, element("p", finding.reason, class_="note")
    )


def _plan(plan: LanePlan) -> str:
    reasons = [element("p", reason, class_="note") for reason in plan.reasons]
    return cell(element("h3", plan.text().splitlines()[0]), _groups(plan), reasons)


def _groups(plan: LanePlan) -> Markup:
    rows = []
    for number, group in enumerate(plan.groups):
        shards = [len(shard.lanes) for shard in plan.shards if shard.group == number]
        memory = f"{plan.bytes[number] / 2**20:.1f} MiB"
        cells = [
            number,
            count(len(group)),
            plan.layouts[number],
            count(len(shards)),
            count(max(shards)),
            memory,
        ]
        rows.append(element("tr", [element("td", text) for text in cells]))
    return table(
        ("group", "lanes", "layout", "shards", "lanes in the largest", "memory of a lane"), rows, "by-class"
    )


def _drawn(title: str, content: Callable[[Any], Markup | None]) -> Callable[[Any], Figure]:
    return lambda shown: Figure(title, content(shown) or Markup(element("p", "nothing to draw")))


FORMS[Run] = Form(_run, _drawn("Training curves", _curves))
FORMS[Runs] = Form(_sweep, _drawn("Effect of each setting", _sweep_figures))
FORMS[LearningRateFinding] = Form(_rate, _drawn("Loss at each learning rate", lr_figure.draw))
FORMS[BatchFinding] = Form(_batch, _drawn("Rate and loss at each batch size", batch_page.draw))
FORMS[LanePlan] = Form(_plan, _drawn("Lanes", _groups))
