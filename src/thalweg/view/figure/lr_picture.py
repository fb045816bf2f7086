"""Loss over learning rate, ready to be drawn: what a finding's lanes reached, and what was read off them.

No drawing here: the page (`rates_figure`) and the plain picture (`view.finding.svg`) show the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Float

from thalweg.core.stop_reason import StopReason
from thalweg.insight.curves import Buckets
from thalweg.insight.finder.finding import LearningRateFinding
from thalweg.insight.finder.verdict import rate as written
from thalweg.view.figure.axis import Axis, axis_over
from thalweg.view.figure.plot import WIDE

PICK, OWN, EDGE, PREDICTED = "chosen", "own", "edge", "predicted"
# Above the loss of the smallest rate, which has hardly moved, lies what has grown: a little of that is shown.
ROOM_ABOVE = 0.12
MOSTLY = 0.6  # share of the lanes that must be seen, wherever they lie


@dataclass(frozen=True)
class Rung:
    """Lanes of equal length.

    Args:
        steps: Updates of each.
        rates: Ascending, `rate`.
        means: Loss over seeds, `rate`; NaN where a seed diverged: the mean of the others would be too good.
        lane_rates, lane_losses: Of each lane that came through, `lane`.
        lost: Rates at which a lane diverged.
    """

    steps: int
    rates: Float[np.ndarray, " rate"]
    means: Float[np.ndarray, " rate"]
    lane_rates: Float[np.ndarray, " lane"]
    lane_losses: Float[np.ndarray, " lane"]
    lost: tuple[float, ...]


@dataclass(frozen=True)
class Mark:
    """A rate to point out.

    Args:
        kind: `chosen`, `own`, `edge` or `predicted`.
        rate: Where.
        label: What stands there.
    """

    kind: str
    rate: float
    label: str


@dataclass(frozen=True)
class Picture:
    """A finding as a figure.

    Args:
        setting: The rate's path, as `optimizer.lr`.
        x, y: Axes; x is logarithmic.
        rungs: The shortest first.
        fitted: The curve that the pick was read from, with its band; None where none was fitted.
        interval: Rates that cannot be told from the best; None where there is no pick.
        marks: The rates to point out, ascending.
        above: Whether lanes lie above the figure.
    """

    setting: str
    x: Axis
    y: Axis
    rungs: tuple[Rung, ...]
    fitted: Buckets | None
    interval: tuple[float, float] | None
    marks: tuple[Mark, ...]
    above: bool

    @property
    def seen(self) -> bool:
        """Whether any lane came through; else there is no loss, and no scale for it."""
        return any(len(rung.lane_losses) for rung in self.rungs)

    @property
    def lost(self) -> tuple[float, ...]:
        """Rates at which a lane diverged, ascending."""
        return tuple(sorted({rate for rung in self.rungs for rate in rung.lost}))


def picture(finding: LearningRateFinding) -> Picture | None:
    """Return a finding as a figure; None where no lane was trained."""
    rungs = tuple(_rungs(finding.curve))
    if not rungs:
        return None
    marks, interval = tuple(_marks(finding)), _interval(finding)
    rates = np.concatenate([*(rung.rates for rung in rungs), [mark.rate for mark in marks], interval or []])
    fitted = _fitted(finding.fitted)
    y, above = _loss_axis(rungs, fitted)
    return Picture(
        finding.setting,
        axis_over(rates, log=True),
        y,
        rungs,
        fitted,
        interval,
        marks,
        above,
    )


def _rungs(curve: pl.DataFrame) -> list[Rung]:
    if not curve.height:
        return []
    found = []
    for _, lanes in sorted(curve.group_by("rung"), key=lambda pair: pair[0]):
        rates = lanes["rate"].to_numpy().astype(float)
        losses = lanes["loss"].cast(pl.Float64).fill_null(np.nan).to_numpy()
        lost = _lost(lanes)
        through = np.isfinite(losses) & ~lost
        tried = np.unique(rates)
        found.append(
            Rung(
                int(lanes["steps"].max()),  # type: ignore[arg-type]
                tried,
                np.array([_mean(losses[rates == rate], through[rates == rate]) for rate in tried]),
                rates[through],
                losses[through],
                tuple(np.unique(rates[lost]).tolist()),
            )
        )
    return found


def _lost(lanes: pl.DataFrame) -> np.ndarray:
    return (
        (lanes["diverged_at"].is_not_null() | (lanes["stopped"] == StopReason.DIVERGED.value))
        .fill_null(False)
        .to_numpy()
    )


def _mean(losses: np.ndarray, through: np.ndarray) -> float:
    return float(losses.mean()) if through.all() else np.nan


def _marks(finding: LearningRateFinding) -> list[Mark]:
    own, value = finding.default, finding.value
    if value is not None and value == own:
        found = [Mark(PICK, value, f"its own, kept: {written(value)}")]
    else:
        found = [Mark(OWN, own, f"its own {written(own)}")]
        found += [] if value is None else [Mark(PICK, value, f"take {written(value)}")]
    if finding.diverges is not None:
        found.append(Mark(EDGE, finding.diverges, f"diverges {written(finding.diverges)}"))
    if finding.predicted_edge is not None:
        label = f"2/\u03bbmax {written(finding.predicted_edge)}"
        found.append(Mark(PREDICTED, finding.predicted_edge, label))
    return sorted((mark for mark in found if mark.rate > 0), key=lambda mark: mark.rate)


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


def _loss_axis(rungs: Sequence[Rung], fitted: Buckets | None) -> tuple[Axis, bool]:
    """Return the vertical axis, and whether lanes lie above it: a rate near the edge may end anywhere, and
    would flatten all others.
    """
    losses = np.concatenate([rung.lane_losses for rung in rungs])
    if not len(losses):
        return Axis(0.0, 1.0), False
    lowest = losses if fitted is None else np.append(losses, fitted.mean[np.isfinite(fitted.mean)])
    low, level = float(lowest.min()), _hardly_moved(rungs)
    log = low > 0 and level >= WIDE * low
    scaled = np.log(losses) if log else losses
    least, moved = float(np.log(low) if log else low), float(np.log(level) if log else level)
    most = max(moved + ROOM_ABOVE * (moved - least), float(np.quantile(scaled, MOSTLY)))
    shown = losses[scaled <= most]
    return axis_over(np.append(shown, low), log=log), len(shown) < len(losses)


def _hardly_moved(rungs: Sequence[Rung]) -> float:
    """Return the loss at the smallest rate of the shortest rung."""
    first = next(rung for rung in rungs if len(rung.lane_losses))
    return float(first.lane_losses[first.lane_rates == first.lane_rates.min()].mean())
