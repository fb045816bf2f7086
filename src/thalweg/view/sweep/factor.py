"""Loss against one number that varied: a dot for each lane, their mean, and the interval over seeds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from thalweg.insight.curves import Buckets
from thalweg.insight.ranking import RankedSetting, Ranking
from thalweg.insight.sweep_statements import by_words, numbers_tried
from thalweg.insight.wording import setting
from thalweg.view.figure.axis import Axis, axis_over
from thalweg.view.figure.html import Markup, data_script, element, join
from thalweg.view.figure.plot import WIDE
from thalweg.view.figure.svg_paths import SIDE, dots, grid, outline, path, x_labels, y_labels

COLOURS = 6  # of the page's palette
FARTHEST = 0.9  # share of the losses that the axis must show; a few lanes far off would flatten all others


@dataclass(frozen=True)
class Series:
    """A line of the figure.

    Args:
        name: For the legend; empty for the only one.
        entries: Settings, by the factor's value, ascending.
    """

    name: str
    entries: tuple[RankedSetting, ...]


def draw(ranking: Ranking, factor: str) -> Markup | None:
    """Draw one factor as a figure; None where it took fewer than two numbers."""
    tried = numbers_tried(ranking.entries, factor)
    series = [one for one in _series(ranking, factor) if one.entries]
    if len(tried) < 2 or not series:
        return None
    x = axis_over(np.array(tried, float), log=tried[0] > 0 and tried[-1] >= WIDE * tried[0])
    y = _loss_axis(series)
    drawing = element(
        "svg",
        grid(y),
        [_line(one, factor, x, y, colour) for colour, one in enumerate(series, 1)],
        element("path", d=_crosses(ranking, factor, x), class_="lost"),
        viewBox=f"0 0 {SIDE} {SIDE}",
        preserveAspectRatio="none",
        role="img",
        aria_label=f"{by_words(ranking)} against {factor}",
    )
    area = element("div", drawing, element("i", class_="cursor"), class_="area")
    return element(
        "figure",
        _caption(ranking, factor, series),
        element("div", element("div", y_labels(y), area, class_="scale"), class_="frame"),
        x_labels(x, ""),
        element("p", _note(ranking, factor, series), class_="note"),
        data_script({"points": _readings(series, factor, x)}),
        class_="plot factor",
        data_factor=True,
    )


def choice_of(ranking: Ranking) -> str | None:
    """Return the one factor that is no number and took few values (the optimizer); None without one."""
    found = [path for path in ranking.factors if not numbers_tried(ranking.entries, path)]
    if len(found) != 1:
        return None
    return found[0] if len(values_of(ranking, found[0])) <= COLOURS else None


def values_of(ranking: Ranking, path: str) -> list[str]:
    """Return what a factor took, as text, in the order of the ranking."""
    return list(dict.fromkeys(setting(entry.setting.get(path)) for entry in ranking.entries))


def _series(ranking: Ranking, factor: str) -> list[Series]:
    """Return a line for each value of the one factor that is a choice, else one line for all; through the
    best of what else varied.
    """
    usable = [entry for entry in ranking.entries if factor in entry.setting and entry.loss is not None]
    choice = choice_of(ranking)
    if choice is None:
        return [Series("", _ascending(usable, factor))]
    return [
        Series(name, _ascending([e for e in usable if setting(e.setting.get(choice)) == name], factor))
        for name in values_of(ranking, choice)
    ]


def _ascending(entries: Sequence[RankedSetting], factor: str) -> tuple[RankedSetting, ...]:
    """Return the best entry at each value (they come ranked), the values ascending."""
    first: dict[float, RankedSetting] = {}
    for entry in entries:
        first.setdefault(entry.setting[factor], entry)
    return tuple(first[value] for value in sorted(first))


def _line(series: Series, factor: str, x: Axis, y: Axis, colour: int) -> Markup:
    at = np.array([float(entry.setting[factor]) for entry in series.entries])
    means, low, high = (np.array(values, float) for values in zip(*map(_ends, series.entries), strict=True))
    parts = []
    if np.isfinite(low).any():
        band = Buckets(at, low, means, high, 1)
        parts.append(element("path", d=outline(band, x, y), class_=f"band c{colour}"))
    parts.append(element("path", d=path(x.place(at), y.place(means)), class_=f"line c{colour}"))
    places = [(value, loss) for value, e in zip(at, series.entries, strict=True) for loss in e.losses if loss]
    across, up = (np.array(values, float) for values in zip(*places, strict=True))
    parts.append(element("path", d=dots(x.place(across), y.place(up)), class_=f"dots c{colour}"))
    return join(*parts)


def _ends(entry: RankedSetting) -> tuple[float, float, float]:
    if entry.loss is None:
        return (np.nan, np.nan, np.nan)
    low = np.nan if entry.loss.low is None else entry.loss.low
    return (entry.loss.mean, low, np.nan if entry.loss.high is None else entry.loss.high)


def _crosses(ranking: Ranking, factor: str, x: Axis) -> str:
    """Mark the diverged lanes along the top."""
    at = [float(e.setting[factor]) for e in ranking.entries if factor in e.setting and e.diverged]
    return "".join(f"M{SIDE * float(x.place(value)):.1f} 0v{SIDE // 18}" for value in sorted(set(at)))


def _loss_axis(series: Sequence[Series]) -> Axis:
    losses = np.array(_shown(series))
    shown = _without_farthest(losses)
    return axis_over(shown, log=bool(len(shown)) and shown.min() > 0 and shown.max() >= WIDE * shown.min())


def _shown(series: Sequence[Series]) -> list[float]:
    return [loss for one in series for entry in one.entries for loss in entry.losses if loss is not None]


def _without_farthest(losses: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Leave out the worst tenth where it lies beyond twice the range of all the others."""
    if len(losses) < 10:
        return losses
    low, most = float(losses.min()), float(np.quantile(losses, FARTHEST))
    return losses[losses <= low + 2 * (most - low)] if most > low else losses


def _caption(ranking: Ranking, factor: str, series: Sequence[Series]) -> Markup:
    legend = [
        element("span", element("i", class_=f"key c{colour}"), one.name)
        for colour, one in enumerate(series, 1)
        if one.name
    ]
    return element(
        "figcaption",
        element("h3", f"{by_words(ranking).capitalize()} against {factor}"),
        element("div", legend, class_="legend") if len(legend) > 1 else None,
        element("output", "", class_="reading"),
    )


def _note(ranking: Ranking, factor: str, series: Sequence[Series]) -> str:
    seeds = any(len(entry.losses) > 1 for entry in ranking.entries)
    said = ["Dots: lanes. Line: mean over seeds. Shade: its 95 % interval." if seeds else "Dots: lanes."]
    if len(ranking.factors) > (2 if series[0].name else 1):
        said.append("At each value the best of the other settings is shown.")
    if any(entry.diverged and factor in entry.setting for entry in ranking.entries):
        said.append("Red marks along the top: values at which lanes diverged.")
    if _loss_axis(series).high < max(_shown(series)):
        said.append("The worst lanes lie above the figure.")
    return " ".join(said)


def _readings(series: Sequence[Series], factor: str, x: Axis) -> list[list[object]]:
    """Return what the pointer reads: place across, and the text there."""
    found: dict[float, list[str]] = {}
    for one in series:
        for entry in one.entries:
            said = f"{one.name} {entry.loss.text() if entry.loss else ''}".strip()
            found.setdefault(float(entry.setting[factor]), []).append(said)
    return [
        [round(float(x.place(value)), 4), f"{factor} {setting(value)} · " + " · ".join(found[value])]
        for value in sorted(found)
    ]
