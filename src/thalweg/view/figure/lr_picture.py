"""Loss over learning rate as data, ready to be drawn: the lanes of a search and its conclusions.

The figure of a page, the SVG file and the table of the terminal all show a `Picture` (`lr_figure`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Float

from thalweg.core.stop_reason import StopReason
from thalweg.insight.curves import Buckets
from thalweg.insight.finder.finding import LearningRateFinding
from thalweg.insight.finder.verdict import rate as rate_text
from thalweg.view.figure.axis import Axis, axis_over
from thalweg.view.figure.frame import Mark
from thalweg.view.figure.plot import WIDE

PICK, OWN, EDGE, PREDICTED = "chosen", "own", "edge", "predicted"
# Room above the loss at the smallest rate, where training has hardly moved: a share of the range below it.
ROOM_ABOVE = 0.12
MOSTLY = 0.6  # share of the lanes that the axis must show


@dataclass(frozen=True)
class RungLanes:
    """Lanes of equal length: one rung of a search.

    Args:
        steps: Updates of each.
        rates: Ascending, `rate`.
        means: Mean loss over seeds, `rate`; NaN where a seed diverged: the mean of the others would mislead.
        lane_rates, lane_losses: Of each lane that did not diverge, `lane`.
        diverged: Rates at which a lane diverged.
    """

    steps: int
    rates: Float[np.ndarray, " rate"]
    means: Float[np.ndarray, " rate"]
    lane_rates: Float[np.ndarray, " lane"]
    lane_losses: Float[np.ndarray, " lane"]
    diverged: tuple[float, ...]


@dataclass(frozen=True)
class Picture:
    """The result of a search as a figure.

    Args:
        setting: The rate's path, as `optimizer.lr`.
        x, y: Axes; x is logarithmic.
        rungs: Shortest first.
        fitted: The curve that the pick was read from, with its band; None where there is none.
        interval: Rates that are statistically as good as the best; None where there is no pick.
        marks: Rates to point out, ascending.
        above: Whether some lanes lie above the figure.
    """

    setting: str
    x: Axis
    y: Axis
    rungs: tuple[RungLanes, ...]
    fitted: Buckets | None
    interval: tuple[float, float] | None
    marks: tuple[Mark, ...]
    above: bool

    @property
    def has_losses(self) -> bool:
        """Whether any lane has a loss; else there is no scale for it."""
        return any(len(rung.lane_losses) for rung in self.rungs)

    @property
    def diverged(self) -> tuple[float, ...]:
        """Rates at which a lane diverged, ascending."""
        return tuple(sorted({rate for rung in self.rungs for rate in rung.diverged}))


def picture(finding: LearningRateFinding) -> Picture | None:
    """Return the figure of a search; None where no lane was trained."""
    rungs = tuple(_rungs(finding.curve))
    if not rungs:
        return None
    marks, interval = tuple(_marks(finding)), _interval(finding)
    rates = np.concatenate([*(rung.rates for rung in rungs), [mark.value for mark in marks], interval or []])
    fitted = _fitted(finding.fitted)
    y, above = _loss_axis(rungs, fitted)
    return Picture(finding.setting, axis_over(rates, log=True), y, rungs, fitted, interval, marks, above)


def _rungs(curve: pl.DataFrame) -> list[RungLanes]:
    if not curve.height:
        return []
    return [_rung(lanes) for _, lanes in sorted(curve.group_by("rung"), key=lambda pair: pair[0])]


def _rung(lanes: pl.DataFrame) -> RungLanes:
    lane_rates = lanes["rate"].to_numpy().astype(float)
    losses = lanes["loss"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    stopped_diverging = lanes["stopped"] == StopReason.DIVERGED.value
    diverged = (lanes["diverged_at"].is_not_null() | stopped_diverging).fill_null(False).to_numpy()
    usable = np.isfinite(losses) & ~diverged
    rates = np.unique(lane_rates)
    of_rate = [lane_rates == rate for rate in rates]
    means = [float(losses[lane].mean()) if usable[lane].all() else np.nan for lane in of_rate]
    return RungLanes(
        int(lanes["steps"].max()),  # type: ignore[arg-type]
        rates,
        np.array(means),
        lane_rates[usable],
        losses[usable],
        tuple(np.unique(lane_rates[diverged]).tolist()),
    )


def _marks(finding: LearningRateFinding) -> list[Mark]:
    own, value = finding.default, finding.value
    if value is not None and value == own:
        marks = [Mark(PICK, value, f"recipe's own, kept: {rate_text(value)}")]
    else:
        marks = [Mark(OWN, own, f"recipe's own {rate_text(own)}")]
        marks += [] if value is None else [Mark(PICK, value, f"take {rate_text(value)}")]
    if finding.diverges is not None:
        marks.append(Mark(EDGE, finding.diverges, f"diverges {rate_text(finding.diverges)}"))
    if finding.predicted_edge is not None:
        label = f"2/\u03bbmax {rate_text(finding.predicted_edge)}"
        marks.append(Mark(PREDICTED, finding.predicted_edge, label))
    return sorted((mark for mark in marks if mark.value > 0), key=lambda mark: mark.value)


def _interval(finding: LearningRateFinding) -> tuple[float, float] | None:
    if finding.value is None or finding.low is None or finding.high is None:
        return None
    return finding.low, finding.high


def _fitted(fitted: pl.DataFrame) -> Buckets | None:
    if not fitted.height:
        return None
    ordered = fitted.sort("rate").cast(pl.Float64).fill_null(np.nan)
    rate, low, loss, high = (ordered[name].to_numpy() for name in ("rate", "low", "loss", "high"))
    return Buckets(rate, low, loss, high, 1)


def _loss_axis(rungs: Sequence[RungLanes], fitted: Buckets | None) -> tuple[Axis, bool]:
    """Return the vertical axis, and whether lanes lie above it.

    A lane near the edge of divergence may end at any loss, and would flatten all others.
    """
    losses = np.concatenate([rung.lane_losses for rung in rungs])
    if not len(losses):
        return Axis(0.0, 1.0), False
    lowest = losses if fitted is None else np.append(losses, fitted.mean[np.isfinite(fitted.mean)])
    low, level = float(lowest.min()), _loss_at_smallest_rate(rungs)
    log = low > 0 and level >= WIDE * low
    scaled = np.log(losses) if log else losses
    least, moved = float(np.log(low) if log else low), float(np.log(level) if log else level)
    most = max(moved + ROOM_ABOVE * (moved - least), float(np.quantile(scaled, MOSTLY)))
    shown = losses[scaled <= most]
    return axis_over(np.append(shown, low), log=log), len(shown) < len(losses)


def _loss_at_smallest_rate(rungs: Sequence[RungLanes]) -> float:
    """Return the loss at the smallest rate of the shortest rung."""
    first = next(rung for rung in rungs if len(rung.lane_losses))
    return float(first.lane_losses[first.lane_rates == first.lane_rates.min()].mean())
