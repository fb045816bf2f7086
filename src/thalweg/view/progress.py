"""A run's progress on standard error: a live bar on a terminal, plain lines in a log, nothing when quiet.

Standard output is never touched: it belongs to results.
"""

import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, TextIO

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from thalweg.core.stop_reason import StopReason
from thalweg.insight.outcome import table
from thalweg.insight.wording import as_number, clipped, count, figure, measure, percent, plural, seconds, size
from thalweg.run.progress import Progress, Silent, Status, TrainingPlan
from thalweg.view.sweep import live

REFRESHES = 8  # a second: smooth to the eye, and under 1 % of a core
LINE_SECONDS = 10.0  # a log gets a line at least this often, ...
EPOCH_SECONDS = 1.0  # ... and at each epoch's end, unless epochs are shorter than this


def progress(quiet: bool = False, stream: TextIO | None = None) -> Progress:
    """Choose how to show progress.

    Args:
        quiet: Show nothing.
        stream: Where to; standard error when None.

    Returns:
        `Bar` on a terminal that can move its cursor, `Lines` elsewhere, `Silent` when quiet.
    """
    if quiet:
        return Silent()
    file: TextIO = sys.stderr if stream is None else stream
    console = Console(file=file)
    return Bar(console) if console.is_interactive else Lines(file)


class Bar:
    """A live display of two lines that fits the terminal's width, whatever it is; with many lanes, a table of
    the best ones below, as long as the screen is high.
    """

    def __init__(self, console: Console):
        self._console = console
        self._plan = TrainingPlan("run")
        self._status: Status | None = None
        self._live: Live | None = None

    def start(self, plan: TrainingPlan) -> None:
        """Begin to draw."""
        self._plan, self._status = plan, None
        self._live = Live(
            self, console=self._console, transient=True, redirect_stdout=False, refresh_per_second=REFRESHES
        )
        self._live.start()

    def update(self, status: Status) -> None:
        """Take a new status; the drawing thread picks it up."""
        self._status = status

    def note(self, text: str) -> None:
        """Print a line above the bar."""
        self._console.print(Text(text, style="dim"))

    def finish(self, result: Mapping[str, Any]) -> None:
        """Replace the bar by one line that stays."""
        if self._live is not None:
            self._live.stop()
            self._live = None
        self._console.print(Text(last_line(self._plan, self._status, result)))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """Draw for `options.max_width` columns."""
        width = options.max_width
        if self._status is None:
            name = clipped(self._plan.name, max(4, width - 12))
            yield Text.assemble((name, "bold"), "  compiling", no_wrap=True, overflow="crop")
            return
        status = self._status
        if len(status.lanes) < 2:
            yield Group(_bar(self._plan, status, width), _figures(status, width))
            return
        said = Text(clipped(live.line(status.lanes), width), no_wrap=True, overflow="crop")
        # Two lines stand above the table, and one below stays free for the cursor.
        lanes = live.table(status.lanes, console.size.height - 4, status.metric_name)
        above = Group(_bar(self._plan, status, width), said, _figures(_speed_only(status), width))
        yield above if lanes is None else Group(above, lanes)


class Lines:
    """Plain lines for a log file: one at an epoch's end, and one each ten seconds of a longer epoch.

    Args:
        stream: Where to.
        clock: Seconds, monotonic.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic):
        self._stream, self._clock = stream, clock
        self._plan = TrainingPlan("run")
        self._status: Status | None = None
        self._told_at = -math.inf
        self._told_epoch = 0

    def start(self, plan: TrainingPlan) -> None:
        """Say what begins."""
        self._plan, self._status = plan, None
        self._told_at, self._told_epoch = self._clock(), 0
        length = "no fixed end" if plan.total_steps is None else plural(plan.total_steps, "step")
        batch = "" if plan.batch_size is None else f", batches of {count(plan.batch_size)}"
        self._write(f"{plan.name}: {length}{batch}")

    def update(self, status: Status) -> None:
        """Say where the run stands, when it is time to."""
        self._status = status
        epoch = int(as_finite(status.epoch) or 0)
        waited = self._clock() - self._told_at
        if waited >= LINE_SECONDS or (epoch > self._told_epoch and waited >= EPOCH_SECONDS):
            self._told_at, self._told_epoch = self._clock(), epoch
            many = len(status.lanes) > 1
            fields = " ".join(
                text for text, _ in reversed(fields_of(_speed_only(status) if many else status))
            )
            fields = f"{live.line(status.lanes)} {fields}" if many else fields
            self._write(f"{_place(self._plan, status)} {fields}".rstrip())

    def note(self, text: str) -> None:
        """Write a line."""
        self._write(text)

    def finish(self, result: Mapping[str, Any]) -> None:
        """Say what came of it."""
        self._write(last_line(self._plan, self._status, result))

    def _write(self, line: str) -> None:
        print(" ".join(line.split()), file=self._stream, flush=True)


def last_line(plan: TrainingPlan, status: Status | None, result: Mapping[str, Any]) -> str:
    """Say in one line how a run, or a sweep, ended: from its result, or from the last status when there is
    none.
    """
    if plan.lanes > 1:
        return _last_of_many(plan, status, result)
    steps = as_number(result.get("steps"))
    steps = steps if steps is not None else None if status is None else status.step
    stopped = _ended(result.get("stopped")) if result else "broken off"
    parts = [f"{plan.name}: {stopped}" + ("" if steps is None else f" after {plural(steps, 'step')}")]
    metric = table(result, "test_metric")
    if metric.get("value") is not None:
        name = str(metric.get("name") or "metric")
        parts.append(f"test {name} {measure(name, metric['value'])}")
    elif result.get("train_loss") is not None:
        parts.append(f"train loss {figure(result['train_loss'])}")
    total = table(result, "seconds").get("total")
    return ", ".join(parts + ([seconds(total)] if as_finite(total) is not None else []))


def _ended(word: object) -> str:
    facts = StopReason.facts_of(word)
    return "done" if word is None or facts.planned else facts.label


def _last_of_many(plan: TrainingPlan, status: Status | None, result: Mapping[str, Any]) -> str:
    reasons = table(result, "stopped")
    if not reasons:
        steps = "" if status is None else f" after {plural(status.step, 'step')} a lane"
        return f"{plan.name}: broken off{steps}"
    counted: dict[str, int] = {}
    for reason, number in reasons.items():
        word = _ended(reason)
        counted[word] = counted.get(word, 0) + number
    said = [
        f"{plan.name}: {plural(plan.lanes, 'lane')}",
        *(f"{count(n)} {word}" for word, n in counted.items()),
    ]
    total = table(result, "seconds").get("total")
    return ", ".join(said + ([seconds(total)] if as_finite(total) is not None else []))


def fields_of(status: Status) -> list[tuple[str, str]]:
    """Return what is known as (text, style), the most dispensable first."""
    fields: list[tuple[str, str]] = []
    if as_finite(status.learning_rate) is not None:
        fields.append((f"lr {figure(status.learning_rate, 3)}", "dim"))
    if as_finite(status.examples_per_second) is not None:
        fields.append((f"{size(status.examples_per_second).replace(' ', '')}/s", "dim"))
    if as_finite(status.seconds_left) is not None:
        fields.append((f"{seconds(max(0.0, status.seconds_left or 0.0))} left", ""))
    if status.validation_loss is not None:
        fields.append((f"validation {figure(status.validation_loss)}", _alarm(status.validation_loss)))
    if status.metric is not None:
        name = status.metric_name or "metric"
        fields.append((f"{name} {measure(name, status.metric)}", "bold"))
    if status.loss is not None:
        fields.append((f"loss {figure(status.loss)}", _alarm(status.loss)))
    return fields


def as_finite(value: Any) -> float | None:
    """Return a number that can be shown as time or speed, else None."""
    number = as_number(value)
    return number if number is not None and math.isfinite(number) else None


def _speed_only(status: Status) -> Status:
    """Leave out the median lane's figures, where every lane has its own."""
    return replace(status, loss=None, learning_rate=None, validation_loss=None, metric=None)


def _alarm(value: float | None) -> str:
    return "bold red" if value is not None and not math.isfinite(value) else ""


def _place(plan: TrainingPlan, status: Status) -> str:
    of = f"/{count(plan.total_steps)}" if plan.total_steps else ""
    epoch = as_finite(status.epoch)
    return f"step {count(status.step)}{of}" + ("" if epoch is None else f" epoch {epoch:.1f}")


def _bar(plan: TrainingPlan, status: Status, width: int) -> RenderableType:
    place = _place(plan, status).replace(" epoch", "  epoch")
    share = min(1.0, status.step / plan.total_steps) if plan.total_steps else None
    shown = "" if share is None else f" {percent(share, 0):>5}"
    room = width - len(place) - len(shown) - 2
    if room < 12:  # too narrow for a bar worth looking at
        return Text(f"{place}{shown}", no_wrap=True, overflow="crop")
    name = clipped(plan.name, max(0, min(24, room - 20))) if room > 26 else ""
    row = Table.grid(padding=0)
    bar = ProgressBar(
        total=plan.total_steps or None,
        completed=status.step,
        width=room - len(name) - bool(name),
        pulse=share is None,
        complete_style="cyan",
        finished_style="cyan",
        pulse_style="cyan",
    )
    cells = [Text(f"{name} ", style="bold")] if name else []
    row.add_row(*cells, bar, Text(f"{shown}  {place}", no_wrap=True))
    return row


def _figures(status: Status, width: int) -> Text:
    """Put figures side by side, leaving out the most dispensable until the line fits."""
    fields = fields_of(status)
    while len(fields) > 1 and sum(len(text) + 2 for text, _ in fields) - 2 > width:
        fields.pop(0)
    line = Text(no_wrap=True, overflow="crop")
    for place, (text, style) in enumerate(reversed(fields)):
        line.append("  " if place else "").append(text, style=style)
    return line
