"""A run's progress on standard error: a live bar on a terminal, plain lines in a log, nothing when quiet.

Standard output is reserved for results.
"""

import math
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from threading import Lock, Timer
from typing import Any, TextIO

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from thalweg.core.stop_reason import StopReason
from thalweg.insight.outcome import table
from thalweg.insight.wording import as_number, clipped, count, figure, measure, percent, plural, seconds, size
from thalweg.run.progress import LaneStatus, Progress, Silent, Status, TrainingPlan
from thalweg.view.terminal import Escaped, say, terminal

REFRESHES = 8  # per second: smooth to the eye, and under 1 % of a core
LINE_SECONDS = 10.0  # a log gets a line at least this often,
FIRST_SECONDS = 2.0  # after which a call from Python without a terminal writes its first line
EPOCH_SECONDS = 1.0  # and at the end of each epoch, unless epochs are shorter than this
ACTIVE = ("running", "waiting")
FEWEST_ROWS = 3  # of the table of lanes; on a lower screen only the summary line is shown
_STYLES = {"running": "cyan", "waiting": "dim", StopReason.DIVERGED: "red"}


def progress(quiet: bool = False, stream: TextIO | None = None) -> Progress:
    """Choose how to show progress.

    Args:
        quiet: Show nothing.
        stream: Output; standard error when None.

    Returns:
        `Bar` on a terminal that can move its cursor, `Lines` elsewhere, `Silent` when quiet.
    """
    if quiet:
        return Silent()
    file: TextIO = sys.stderr if stream is None else stream
    console = terminal(file)
    return Bar(console) if console.is_interactive else Lines(file)


class Bar:
    """A live display of two lines; with many lanes, also a table of the best, as far as there is room."""

    def __init__(self, console: Console):
        self._console = console
        self._plan = TrainingPlan("run")
        self._status: Status | None = None
        self._live: Live | None = None

    def start(self, plan: TrainingPlan) -> None:
        """Start drawing."""
        self._plan, self._status = plan, None
        self._live = Live(
            Escaped(self),
            console=self._console,
            transient=True,
            redirect_stdout=False,
            refresh_per_second=REFRESHES,
        )
        self._live.start()

    def update(self, status: Status) -> None:
        """Store a new status; the drawing thread picks it up."""
        self._status = status

    def note(self, text: str) -> None:
        """Print a line above the bar."""
        self._console.print(Text(text, style="dim"))

    def finish(self, result: Mapping[str, Any]) -> None:
        """Replace the bar by one final line."""
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
        summary = Text(clipped(lanes_line(status.lanes), width), no_wrap=True, overflow="crop")
        # Three lines above the table, and one below for the cursor, stay free.
        lanes = lanes_table(status.lanes, console.size.height - 4, status.metric_name)
        above = Group(_bar(self._plan, status, width), summary, _figures(_speed_only(status), width))
        yield above if lanes is None else Group(above, lanes)


class FewLines:
    """A few plain lines for a call from Python without a terminal: the plan after two seconds, statuses after
    2, 4, 8, ... seconds, and the end. A call that takes less than two seconds writes nothing but notes.

    A search trains several times; its lines are counted over the whole call.

    Args:
        stream: Output.
        clock: Seconds, monotonic.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic):
        self._stream, self._clock, self._began = stream, clock, clock()
        self._plan, self._status = TrainingPlan("run"), None
        self._due, self._last, self._announced = FIRST_SECONDS, "", False
        self._timer: Timer | None = None
        self._lock = Lock()

    def start(self, plan: TrainingPlan) -> None:
        """Remember the plan; write it in two seconds, should nothing have ended or been compiled by then."""
        self._plan, self._status, self._last = plan, None, ""
        if not self._announced:
            self._timer = Timer(FIRST_SECONDS, self._announce)
            self._timer.daemon = True
            self._timer.start()

    def update(self, status: Status) -> None:
        """Write the status, when a line is due."""
        self._status = status
        elapsed = self._clock() - self._began
        if elapsed >= self._due:
            self._due = 2 * elapsed
            self._announce()
            self._write(status_line(self._plan, status))

    def note(self, text: str) -> None:
        """Write a line."""
        self._write(text)

    def finish(self, result: Mapping[str, Any]) -> None:
        """Remember how the run ended; `close` writes it."""
        if self._timer is not None:
            self._timer.cancel()
        self._last = last_line(self._plan, self._status, result)

    def close(self) -> None:
        """Write how the last run ended, if anything was written of it."""
        if self._announced and self._last:
            self._write(self._last)
        self._last = ""

    def _announce(self) -> None:
        with self._lock:
            if self._announced:
                return
            self._announced = True
        self._write(plan_line(self._plan))

    def _write(self, line: str) -> None:
        print(" ".join(line.split()), file=self._stream, flush=True)


class Lines:
    """Plain lines for a log file: one at the end of an epoch, and one every ten seconds of a longer epoch.

    Args:
        stream: Output.
        clock: Seconds, monotonic.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic):
        self._stream, self._clock = stream, clock
        self._plan = TrainingPlan("run")
        self._status: Status | None = None
        self._written_at = -math.inf
        self._written_epoch = 0

    def start(self, plan: TrainingPlan) -> None:
        """Write the plan."""
        self._plan, self._status = plan, None
        self._written_at, self._written_epoch = self._clock(), 0
        self._write(plan_line(plan))

    def update(self, status: Status) -> None:
        """Write the status, when a line is due."""
        self._status = status
        epoch = int(as_finite(status.epoch) or 0)
        waited = self._clock() - self._written_at
        if waited >= LINE_SECONDS or (epoch > self._written_epoch and waited >= EPOCH_SECONDS):
            self._written_at, self._written_epoch = self._clock(), epoch
            self._write(status_line(self._plan, status))

    def note(self, text: str) -> None:
        """Write a line."""
        self._write(text)

    def finish(self, result: Mapping[str, Any]) -> None:
        """Write the result."""
        self._write(last_line(self._plan, self._status, result))

    def _write(self, line: str) -> None:
        say(" ".join(line.split()), self._stream)


def plan_line(plan: TrainingPlan) -> str:
    """Return one line that says what is about to be trained."""
    length = "no fixed end" if plan.total_steps is None else plural(plan.total_steps, "step")
    batch = "" if plan.batch_size is None else f", batches of {count(plan.batch_size)}"
    return f"{plan.name}: {length}{batch}"


def status_line(plan: TrainingPlan, status: Status) -> str:
    """Return one line with the position and the known figures."""
    many = len(status.lanes) > 1
    fields = " ".join(text for text, _ in reversed(fields_of(_speed_only(status) if many else status)))
    fields = f"{lanes_line(status.lanes)} {fields}" if many else fields
    return f"{_position_text(plan, status)} {fields}".rstrip()


def last_line(plan: TrainingPlan, status: Status | None, result: Mapping[str, Any]) -> str:
    """Return one line that says how a run or sweep ended, from its result, or else from the last status."""
    if plan.lanes > 1:
        return _last_of_many(plan, status, result)
    steps = as_number(result.get("steps"))
    steps = steps if steps is not None else None if status is None else status.step
    stopped = _ended(result.get("stopped")) if result else "aborted"
    words = [f"{plan.name}: {stopped}" + ("" if steps is None else f" after {plural(steps, 'step')}")]
    metric = table(result, "test_metric")
    if metric.get("value") is not None:
        name = str(metric.get("name") or "metric")
        words.append(f"test {name} {measure(name, metric['value'])}")
    elif result.get("train_loss") is not None:
        words.append(f"train loss {figure(result['train_loss'])}")
    total = table(result, "seconds").get("total")
    return ", ".join(words + ([seconds(total)] if as_finite(total) is not None else []))


def _ended(word: object) -> str:
    facts = StopReason.facts_of(next(iter(word), None) if isinstance(word, Mapping) else word)
    return "done" if word is None or facts.planned else facts.label


def _last_of_many(plan: TrainingPlan, status: Status | None, result: Mapping[str, Any]) -> str:
    reasons = table(result, "stopped")
    if not reasons:
        steps = "" if status is None else f" after {plural(status.step, 'step')} a lane"
        return f"{plan.name}: aborted{steps}"
    counted: dict[str, int] = {}
    for reason, number in reasons.items():
        word = _ended(reason)
        counted[word] = counted.get(word, 0) + number
    words = [
        f"{plan.name}: {plural(plan.lanes, 'lane')}",
        *(f"{count(n)} {word}" for word, n in counted.items()),
    ]
    total = table(result, "seconds").get("total")
    return ", ".join(words + ([seconds(total)] if as_finite(total) is not None else []))


def fields_of(status: Status) -> list[tuple[str, str]]:
    """Return the known figures as (text, style), least important first."""
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
    """Leave out the figures of the median lane; every lane shows its own."""
    return replace(status, loss=None, learning_rate=None, validation_loss=None, metric=None)


def _alarm(value: float | None) -> str:
    return "bold red" if value is not None and not math.isfinite(value) else ""


def _position_text(plan: TrainingPlan, status: Status) -> str:
    of = f"/{count(plan.total_steps)}" if plan.total_steps else ""
    epoch = as_finite(status.epoch)
    return f"step {count(status.step)}{of}" + ("" if epoch is None else f" epoch {epoch:.1f}")


def _bar(plan: TrainingPlan, status: Status, width: int) -> RenderableType:
    place = _position_text(plan, status).replace(" epoch", "  epoch")
    share = min(1.0, status.step / plan.total_steps) if plan.total_steps else None
    shown = "" if share is None else f" {percent(share, 0):>5}"
    room = width - len(place) - len(shown) - 2
    if room < 12:  # too narrow for a bar
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
    """Put figures on one line, leaving out the least important until it fits."""
    fields = fields_of(status)
    while len(fields) > 1 and sum(len(text) + 2 for text, _ in fields) - 2 > width:
        fields.pop(0)
    line = Text(no_wrap=True, overflow="crop")
    for i, (text, style) in enumerate(reversed(fields)):
        line.append("  " if i else "").append(text, style=style)
    return line


def lanes_table(
    lanes: Sequence[LaneStatus], rows: int, metric_name: str | None = None
) -> RenderableType | None:
    """Return a table of the best lanes, lowest validation loss first; None for fewer than three rows.

    Args:
        lanes: All lanes.
        rows: Lines available, including the heading.
        metric_name: Name of the metric.
    """
    if rows < FEWEST_ROWS:
        return None
    grid = Table(box=None, padding=(0, 1, 0, 0), show_edge=False, header_style="dim", expand=True)
    grid.add_column("lane", justify="right", no_wrap=True)
    grid.add_column("setting", no_wrap=True, overflow="ellipsis", ratio=1)
    scored = any(math.isfinite(lane.metric) for lane in lanes)
    for title in ("step", "loss", "validation", *([metric_name or "metric"] if scored else [])):
        grid.add_column(title, justify="right", no_wrap=True)
    grid.add_column("", no_wrap=True)
    best = sorted_lanes(lanes)[: rows - 1]
    for lane in best:
        cells = [count(lane.step), _known(lane.loss, lane.step), _known(lane.validation_loss)]
        cells += [measure(metric_name, lane.metric) if math.isfinite(lane.metric) else ""] if scored else []
        state = Text("" if lane.state == "running" else lane.state, style=_STYLES.get(lane.state, "dim"))
        grid.add_row(str(lane.lane), Text(lane.label), *cells, state)
    return grid


def sorted_lanes(lanes: Sequence[LaneStatus]) -> list[LaneStatus]:
    """Return the lanes by validation loss, those without one by loss, diverged ones last."""
    return sorted(lanes, key=_order)


def lanes_line(lanes: Sequence[LaneStatus]) -> str:
    """Return one line with the number of lanes in each state, and the best of them.

    For example `48 lanes: 30 running, 2 diverged, 16 done; best validation 0.09310 (lr 0.001, seed 0)`.
    """
    states = Counter(lane.state if lane.state in (*ACTIVE, StopReason.DIVERGED) else "done" for lane in lanes)
    words = ", ".join(
        f"{count(states[state])} {state}" for state in (*ACTIVE, "done", StopReason.DIVERGED) if states[state]
    )
    text = f"{count(len(lanes))} lanes: {words}"
    ahead = min(lanes, key=_order)
    if math.isfinite(ahead.validation_loss):
        return f"{text}; best validation {figure(ahead.validation_loss)} ({ahead.label})"
    if ahead.step and math.isfinite(ahead.loss):
        return f"{text}; best loss {figure(ahead.loss)} ({ahead.label})"
    return text


def _order(lane: LaneStatus) -> tuple[bool, bool, float, int]:
    """Sort lanes by validation loss, those without one by loss, diverged ones last."""
    validated = math.isfinite(lane.validation_loss)
    score = lane.validation_loss if validated else lane.loss if math.isfinite(lane.loss) else math.inf
    return (lane.state == StopReason.DIVERGED, not validated, score, lane.lane)


def _known(value: float, steps: int = 0) -> str:
    """Write a figure: empty before the first one, `NaN` once there were steps."""
    return "" if math.isnan(value) and not steps else figure(value)
