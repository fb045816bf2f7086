"""The report's curves over training steps: loss, metric, learning rate, gradient norm."""

import numpy as np

from thalweg.insight.curves import Curve, buckets, evaluated, per_step, smooth, smoothing_window
from thalweg.insight.outcome import Outcome, loss_name, metric_name, outcome
from thalweg.insight.wording import as_number, count, setting
from thalweg.run.folder.record import Record
from thalweg.view.figure.html import Markup, element
from thalweg.view.figure.plot import Line, Plot, Span, draw

FEW = 60  # points up to which each one is marked
# Palette: 1 training, 2 validation, 3 the rest (see page.css).
TRAIN, VALIDATION, OTHER = 1, 2, 3


def curves(record: Record) -> Markup | None:
    """Draw every curve that the record holds; None when it holds none."""
    found = outcome(record)
    wide = [plot for plot in [_loss(record, found)] if plot is not None]
    small = [_metric(record, found), _learning_rate(record, found), _gradient_norm(record, found)]
    drawn = [draw(plot) for plot in small if plot is not None]
    if not wide and not drawn:
        return None
    return element("div", [draw(plot) for plot in wide], element("div", drawn, class_="small-plots"))


def span(found: Outcome) -> Span:
    """Return how far training came, in steps, and how many of them an epoch had."""
    if not found.steps or not found.epochs or not np.isfinite(found.epochs):
        return Span(found.steps)
    return Span(found.steps, found.steps / found.epochs)


def _loss(record: Record, found: Outcome) -> Plot | None:
    raw, train = per_step(record, "loss"), evaluated(record, "train", "loss")
    validation = evaluated(record, "validation", "loss")
    lines, note = [], None
    if len(raw.finite):
        window = smoothing_window(len(raw))
        thinned = buckets(raw)
        mean = buckets(smooth(raw, window))
        lines.append(
            Line(
                "training",
                Curve(mean.step, mean.mean),
                TRAIN,
                band=thinned if window > 1 else None,
                dots=len(raw) <= FEW,
            )
        )
        if window > 1:
            note = f"Line: mean over {count(window)} steps. Shade: lowest to highest batch."
    elif len(train.finite):
        lines.append(Line("training", train, TRAIN, dots=len(train) <= FEW))
    if len(validation.finite):
        lines.append(Line("validation", validation, VALIDATION, dots=len(validation) <= FEW))
    if not lines:
        return None
    name = loss_name(record)
    return Plot(
        "Loss" + (f" ({name})" if name else ""),
        "loss",
        lines,
        switch=True,
        marks=_marks(found),
        span=span(found),
        note=note,
    )


def _marks(found: Outcome) -> dict[str, float]:
    marks = {}
    if found.best_step is not None and found.steps is not None and not found.diverged:
        marks["lowest"] = found.best_step
    if found.diverged and found.stopped_step is not None:
        marks["diverged"] = found.stopped_step
    return marks


def _metric(record: Record, found: Outcome) -> Plot | None:
    parts = (("training", "train", TRAIN), ("validation", "validation", VALIDATION))
    curves = [(name, evaluated(record, part, "metric"), colour) for name, part, colour in parts]
    lines = [
        Line(name, curve, colour, dots=len(curve) <= FEW)
        for name, curve, colour in curves
        if len(curve.finite)
    ]
    if not lines:
        return None
    name = metric_name(record) or "metric"
    return Plot(_title(name), "metric", lines, log=False, span=span(found))


def _title(name: str) -> str:
    """Write a metric's name as a heading: `RMSE`, `Balanced accuracy`."""
    return name.upper() if len(name) <= 4 else (name[:1].upper() + name[1:]).replace("_", " ")


def _learning_rate(record: Record, found: Outcome) -> Plot | None:
    curve = per_step(record, "learning_rate")
    if not len(curve.finite):
        return None
    thinned = buckets(curve)
    return Plot(
        "Learning rate",
        "learning-rate",
        [Line("", Curve(thinned.step, thinned.mean), OTHER)],
        log=False,
        span=span(found),
    )


def _gradient_norm(record: Record, found: Outcome) -> Plot | None:
    curve = per_step(record, "gradient_norm").finite
    if not len(curve):
        return None
    window = smoothing_window(len(curve))
    mean = buckets(smooth(curve, window))
    line = Line(
        "",
        Curve(mean.step, mean.mean),
        OTHER,
        band=buckets(curve) if window > 1 else None,
        dots=len(curve) <= FEW,
    )
    limit = as_number(record.recipe.get("clip_norm"))
    note = None if limit is None else f"Before clipping to {setting(limit)}."
    return Plot("Gradient norm", "gradient-norm", [line], span=span(found), note=note)
