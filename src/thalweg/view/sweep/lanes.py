"""The curves of all lanes of a sweep over each other, those of the best settings in colour."""

from collections.abc import Sequence

import numpy as np

from thalweg.insight.curves import Curve
from thalweg.insight.live_curves import SERIES, LiveRun, ThinnedCurves
from thalweg.insight.outcome import metric_name
from thalweg.insight.ranking import Ranking
from thalweg.insight.wording import count
from thalweg.run.folder.record import Record
from thalweg.run.folder.sweep_record import Sweep
from thalweg.view.figure.html import Markup, element
from thalweg.view.figure.plot import Line, Plot, draw

# Settings in colour; a reader tells this many apart.
COLOURED = 5
# Lanes that are drawn. A curve takes about 2 kB, and from here on they are an area rather than curves.
MOST_DRAWN = 200
POINTS = 128  # of a curve
PALE = 3  # of the palette
_TITLES = {"loss": "Training loss", "validation_loss": "Validation loss"}


def _draw(curves: dict[str, ThinnedCurves], ranking: Ranking, metric: str | None) -> Markup | None:
    """Draw losses and metric of the lanes; None where nothing was logged."""
    coloured, shown = _coloured(ranking), _shown(ranking)
    figures = []
    for name, title in (_TITLES | {"metric": f"Validation {(metric or 'metric').replace('_', ' ')}"}).items():
        known = [(lane, curve) for lane in shown if len(curve := _thinned(curves[name].curve(lane)))]
        pale = [Line("", curve, PALE, faint=True) for lane, curve in known if lane not in coloured]
        best = [
            Line(label, curve, colour)
            for lane, (label, colour) in coloured.items()
            for own, curve in known
            if own == lane
        ]
        if pale or best:
            log = False if name == "metric" else None
            figures.append(
                draw(Plot(title, f"lanes-{name}", [*pale, *best], log=log, switch=name != "metric"))
            )
    if not figures:
        return None
    omitted = ranking.lanes - len(shown)
    about = f"In colour: one lane of each of the best {count(len(coloured))} settings." if coloured else ""
    about += f" {count(omitted)} of the worse lanes are not drawn." if omitted > 0 else ""
    return element("div", element("div", figures, class_="small-plots"), element("p", about, class_="note"))


def draw_sweep(sweep: Sweep, ranking: Ranking, records: Sequence[Record] = ()) -> Markup | None:
    """Draw the lanes of a sweep; None where nothing was logged.

    Args:
        sweep: The sweep; its folder is read.
        ranking: Its settings in order.
        records: Its lanes, where they are not in its folder.
    """
    if records:
        curves, metric = _of_records(records), metric_name(records[0])
    else:
        run = LiveRun(sweep.folder)
        run.refresh()
        curves, metric = run.curves, run.metric
    number = len(curves["loss"].last)
    return _draw(curves, ranking, metric) if number >= ranking.lanes else None


def _of_records(records: Sequence[Record]) -> dict[str, ThinnedCurves]:
    curves = {name: ThinnedCurves(len(records), POINTS) for name in SERIES}
    for lane, record in enumerate(records):
        for name, (table, column, part) in SERIES.items():
            rows = getattr(record, table)
            if part is not None:
                rows = rows.filter(rows["part"] == part)
            step = rows["step"].to_numpy()
            curves[name].add(np.full(len(step), lane), step, rows[column].to_numpy(), lane + 1)
    return curves


def _coloured(ranking: Ranking) -> dict[int, tuple[str, int]]:
    """Return label and colour of the first lane of each of the best settings, the best first."""
    entries = [entry for entry in ranking.entries if entry.loss is not None][:COLOURED]
    colours = [1, 2, 4, 5, 6]
    return {entry.lanes[0]: (entry.label, colours[at]) for at, entry in enumerate(entries)}


def _shown(ranking: Ranking) -> list[int]:
    return [lane for entry in ranking.entries for lane in entry.lanes][:MOST_DRAWN]


def _thinned(curve: Curve) -> Curve:
    every = -(-len(curve) // POINTS)
    return curve if every <= 1 else Curve(curve.step[::every], curve.value[::every])
