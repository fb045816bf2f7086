"""Many lanes while they run: a table of the best ones that fits the screen, and all of them in a line."""

import math
from collections import Counter
from collections.abc import Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from thalweg.core.stop_reason import StopReason
from thalweg.insight.wording import count, figure, measure
from thalweg.run.progress import LaneStatus

GOING = ("running", "waiting")
FEWEST_ROWS = 3  # of the table; on a lower screen the line alone is shown
_STYLES = {"running": "cyan", "waiting": "dim", StopReason.DIVERGED: "red"}


def table(lanes: Sequence[LaneStatus], rows: int, metric_name: str | None = None) -> RenderableType | None:
    """Draw the best lanes, the lowest validation loss first; None where fewer than three rows are free.

    Args:
        lanes: All of them.
        rows: Lines that may be used, the head among them.
        metric_name: Name of the metric.
    """
    if rows < FEWEST_ROWS:
        return None
    found = Table(box=None, padding=(0, 1, 0, 0), show_edge=False, header_style="dim", expand=True)
    found.add_column("lane", justify="right", no_wrap=True)
    found.add_column("setting", no_wrap=True, overflow="ellipsis", ratio=1)
    scored = any(math.isfinite(lane.metric) for lane in lanes)
    for title in ("step", "loss", "validation", *([metric_name or "metric"] if scored else [])):
        found.add_column(title, justify="right", no_wrap=True)
    found.add_column("", no_wrap=True)
    shown = sorted(lanes, key=_standing)[: rows - 1]
    for lane in shown:
        cells = [count(lane.step), _known(lane.loss, lane.step), _known(lane.validation_loss)]
        cells += [measure(metric_name, lane.metric) if math.isfinite(lane.metric) else ""] if scored else []
        state = Text("" if lane.state == "running" else lane.state, style=_STYLES.get(lane.state, "dim"))
        found.add_row(str(lane.lane), Text(lane.label), *cells, state)
    return found


def line(lanes: Sequence[LaneStatus]) -> str:
    """Say in one line how many lanes run and which is ahead.

    For example `48 lanes: 30 running, 2 diverged, 16 done; best validation 0.09310 (lr 0.001, seed 0)`.
    """
    states = Counter(lane.state if lane.state in (*GOING, StopReason.DIVERGED) else "done" for lane in lanes)
    said = ", ".join(
        f"{count(states[state])} {state}" for state in (*GOING, "done", StopReason.DIVERGED) if states[state]
    )
    text = f"{count(len(lanes))} lanes: {said}"
    best = min(lanes, key=_standing)
    if math.isfinite(best.validation_loss):
        return f"{text}; best validation {figure(best.validation_loss)} ({best.label})"
    if best.step and math.isfinite(best.loss):
        return f"{text}; best loss {figure(best.loss)} ({best.label})"
    return text


def _standing(lane: LaneStatus) -> tuple[bool, bool, float, int]:
    """Order lanes: by validation loss, those without one by loss, the diverged ones last."""
    validated = math.isfinite(lane.validation_loss)
    score = lane.validation_loss if validated else lane.loss if math.isfinite(lane.loss) else math.inf
    return (lane.state == StopReason.DIVERGED, not validated, score, lane.lane)


def _known(value: float, steps: int = 0) -> str:
    """Write a figure; nothing before the first one, `NaN` once there were steps."""
    return "" if math.isnan(value) and not steps else figure(value)
