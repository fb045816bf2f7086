"""The report's curves over steps: loss, metric, learning rate, gradient norm, and figures per layer."""

import numpy as np
from jaxtyping import Float

from thalweg.insight.curves import (
    Curve,
    LayerHistory,
    buckets,
    bulk,
    evaluated,
    layer_history,
    per_step,
    smooth,
    smoothing_window,
)
from thalweg.insight.outcome import Outcome, loss_name, metric_name, outcome
from thalweg.insight.wording import as_number, count, setting
from thalweg.run.folder.record import Record
from thalweg.view.figure import heat
from thalweg.view.figure.html import Markup, element
from thalweg.view.figure.plot import Line, Plot, Span, draw

FEW_POINTS = 60  # up to which each point is marked
FEW_LAYERS = 6  # curves that everyone can tell apart by colour; more layers become a heat map
COLUMNS = 160  # of a heat map: enough for a screen, small enough for a file
# Palette: 1 training, 2 validation, 3 the rest (see page.css).
TRAIN, VALIDATION, OTHER = 1, 2, 3
LOSS = "loss"  # key of its plot


def curves(record: Record) -> Markup | None:
    """Draw every curve that the record holds; None when it holds none."""
    shown = plots(record)
    if not shown:
        return None
    wide = [draw(plot) for plot in shown if plot.key == LOSS]
    small = [draw(plot) for plot in shown if plot.key != LOSS]
    return element("div", wide, element("div", small, class_="small-plots"))


def plots(record: Record) -> list[Plot]:
    """Return the curves that the record holds as plots, the loss first."""
    result = outcome(record)
    makers = (_loss, _metric, _learning_rate, _gradient_norm)
    return [plot for maker in makers if (plot := maker(record, result)) is not None]


def span(result: Outcome) -> Span:
    """Return the length of training in steps, and the steps of an epoch."""
    if not result.steps or not result.epochs or not np.isfinite(result.epochs):
        return Span(result.steps)
    return Span(result.steps, result.steps / result.epochs)


def _loss(record: Record, result: Outcome) -> Plot | None:
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
                dots=len(raw) <= FEW_POINTS,
            )
        )
        if window > 1:
            note = f"Line: mean over {count(window)} steps. Shade: range of the batches."
    elif len(train.finite):
        lines.append(Line("training", train, TRAIN, dots=len(train) <= FEW_POINTS))
    if len(validation.finite):
        lines.append(Line("validation", validation, VALIDATION, dots=len(validation) <= FEW_POINTS))
    if not lines:
        return None
    name = loss_name(record)
    return Plot(
        "Loss" + (f" ({name})" if name else ""),
        LOSS,
        lines,
        switch=True,
        marks=_marks(result),
        span=span(result),
        note=note,
    )


def _marks(result: Outcome) -> dict[str, float]:
    marks = {}
    if result.best_step is not None and result.steps is not None and not result.diverged:
        marks["lowest"] = result.best_step
    if result.diverged and result.stopped_step is not None:
        marks["diverged"] = result.stopped_step
    return marks


def _metric(record: Record, result: Outcome) -> Plot | None:
    splits = (("training", "train", TRAIN), ("validation", "validation", VALIDATION))
    curves = [(name, evaluated(record, split, "metric"), colour) for name, split, colour in splits]
    lines = [
        Line(name, curve, colour, dots=len(curve) <= FEW_POINTS)
        for name, curve, colour in curves
        if len(curve.finite)
    ]
    if not lines:
        return None
    name = metric_name(record) or "metric"
    return Plot(_title(name), "metric", lines, log=False, span=span(result))


def _title(name: str) -> str:
    """Write a metric's name as a heading: `RMSE`, `Balanced accuracy`."""
    return name.upper() if len(name) <= 4 else (name[:1].upper() + name[1:]).replace("_", " ")


def _learning_rate(record: Record, result: Outcome) -> Plot | None:
    curve = per_step(record, "learning_rate")
    if not len(curve.finite):
        return None
    thinned = buckets(curve)
    return Plot(
        "Learning rate",
        "learning-rate",
        [Line("", Curve(thinned.step, thinned.mean), OTHER)],
        log=False,
        span=span(result),
    )


def _gradient_norm(record: Record, result: Outcome) -> Plot | None:
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
        dots=len(curve) <= FEW_POINTS,
    )
    limit = as_number(record.recipe.get("clip_norm"))
    note = None if limit is None else f"Before clipping to {setting(limit)}."
    return Plot("Gradient norm", "gradient-norm", [line], span=span(result), note=note)


def layers(record: Record) -> Markup | None:
    """Draw update sizes, gradient norms and weight norms by parameter; None when none were recorded."""
    history = layer_history(record)
    if history is None:
        return None
    shown = bulk(record, history)
    omitted = len(history.paths) - len(shown.paths)
    figures = [
        ("Update to weight ratio", "update-ratio", shown.update_ratio),
        ("Gradient norm", "layer-gradient", shown.gradient_norm),
        ("Weight norm", "layer-weight", shown.weight_norm),
    ]
    drawn = [_figure(shown, *each) for each in figures if np.isfinite(each[2]).any()]
    if not drawn:
        return None
    note = f"{omitted} biases and scales are omitted here; layers.parquet has them." if omitted else None
    kind = "small-plots" if len(shown.paths) <= FEW_LAYERS else "heat-maps"
    return element(
        "div", element("div", drawn, class_=kind), element("p", note, class_="note") if note else None
    )


def _figure(
    history: LayerHistory, title: str, key: str, values: Float[np.ndarray, "parameter time"]
) -> Markup:
    if len(history.paths) > FEW_LAYERS:
        return heat.draw(heat.Heat(title, history.paths, *_thinned(history.step, values)))
    lines = [
        Line(path, Curve(history.step, row), colour, dots=len(history.step) <= FEW_LAYERS)
        for colour, (path, row) in enumerate(zip(history.paths, values, strict=True), start=1)
    ]
    return draw(Plot(title, key, lines))


def _thinned(
    step: Float[np.ndarray, " time"], values: Float[np.ndarray, "parameter time"]
) -> tuple[Float[np.ndarray, " column"], Float[np.ndarray, "parameter column"]]:
    """Resample to an even grid of at most COLUMNS times, each taken from the nearest record."""
    number = min(len(step), COLUMNS)
    centres = step[0] + (np.arange(number) + 0.5) / number * (step[-1] - step[0])
    nearest = np.abs(step[None, :] - centres[:, None]).argmin(axis=1)
    return step[nearest], values[:, nearest]
