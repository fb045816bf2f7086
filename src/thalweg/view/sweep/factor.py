"""Loss against one number that varied: a dot for each lane, the mean, and the interval over seeds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from thalweg.insight.curves import Buckets
from thalweg.insight.ranking import RankedSetting, Ranking
from thalweg.insight.sweep_statements import by_words, numbers_tried
from thalweg.insight.wording import setting
from thalweg.view.figure.axis import Axis, axis_over
from thalweg.view.figure.frame import area, drawing, figure, legend_key, scale, x_labels
from thalweg.view.figure.html import Markup, element, join
from thalweg.view.figure.plot import WIDE
from thalweg.view.figure.svg_paths import SIDE, dots, grid, notches, outline, path

COLOURS = 6  # of the page's palette
FARTHEST = 0.9  # share of the losses that the axis must show; a few distant lanes would flatten all others


@dataclass(frozen=True)
class FactorLine:
    """A line of the figure.

    Args:
        name: For the legend; empty for the only one.
        entries: Settings in ascending order of the factor's value.
    """

    name: str
    entries: tuple[RankedSetting, ...]


def draw(ranking: Ranking, factor: str) -> Markup | None:
    """Draw one factor as a figure; None where it took fewer than two numbers."""
    values = numbers_tried(ranking.entries, factor)
    if len(values) < 2:  # also where it was off in some lanes, which has no place on an axis
        return None
    lines = [line for line in _lines(ranking, factor) if line.entries]
    if not lines:
        return None
    x = axis_over(np.array(values, float), log=values[0] > 0 and values[-1] >= WIDE * values[0])
    y = _loss_axis(lines)
    diverged = {float(e.setting[factor]) for e in ranking.entries if factor in e.setting and e.diverged}
    drawn = drawing(
        f"{by_words(ranking)} against {factor}",
        grid(y),
        [_line(line, factor, x, y, colour) for colour, line in enumerate(lines, 1)],
        notches(x, sorted(diverged), SIDE // 18),
    )
    keys = [legend_key(line.name, f"c{colour}") for colour, line in enumerate(lines, 1) if line.name]
    return figure(
        f"{by_words(ranking).capitalize()} against {factor}",
        element("div", scale(y, area(drawn)), class_="frame"),
        x_labels(x, ""),
        legend=keys if len(keys) > 1 else (),
        note=_note(ranking, factor, lines),
        readings={"points": _readings(lines, factor, x)},
        class_="plot factor",
        data_factor=True,
    )


def choice_of(ranking: Ranking) -> str | None:
    """Return the one factor that is not a number and has few values (the optimizer); None without one."""
    choices = [path for path in ranking.factors if not numbers_tried(ranking.entries, path)]
    if len(choices) != 1:
        return None
    return choices[0] if len(values_of(ranking, choices[0])) <= COLOURS else None


def values_of(ranking: Ranking, path: str) -> list[str]:
    """Return the values of a factor as text, in ranking order."""
    return list(dict.fromkeys(setting(entry.setting.get(path)) for entry in ranking.entries))


def _lines(ranking: Ranking, factor: str) -> list[FactorLine]:
    """Return a line for each value of the factor that is a choice, else a single line.

    Where other settings vary too, a line passes through the best of them.
    """
    usable = [entry for entry in ranking.entries if factor in entry.setting and entry.loss is not None]
    choice = choice_of(ranking)
    if choice is None:
        return [FactorLine("", _ascending(usable, factor))]
    return [
        FactorLine(name, _ascending([e for e in usable if setting(e.setting.get(choice)) == name], factor))
        for name in values_of(ranking, choice)
    ]


def _ascending(entries: Sequence[RankedSetting], factor: str) -> tuple[RankedSetting, ...]:
    """Return the best entry at each value, in ascending order of value. Entries come ranked."""
    first: dict[float, RankedSetting] = {}
    for entry in entries:
        first.setdefault(entry.setting[factor], entry)
    return tuple(first[value] for value in sorted(first))


def _line(line: FactorLine, factor: str, x: Axis, y: Axis, colour: int) -> Markup:
    values = np.array([float(entry.setting[factor]) for entry in line.entries])
    means, low, high = (np.array(ends, float) for ends in zip(*map(_interval, line.entries), strict=True))
    band = None
    if np.isfinite(low).any():
        edges = outline(Buckets(values, low, means, high, 1), x, y)
        band = element("path", d=edges, class_=f"band c{colour}")
    lanes = [
        (value, loss) for value, e in zip(values, line.entries, strict=True) for loss in e.losses if loss
    ]
    across, up = np.array(lanes, float).reshape(-1, 2).T
    return join(
        band,
        element("path", d=path(x.position(values), y.position(means)), class_=f"line c{colour}"),
        element("path", d=dots(x.position(across), y.position(up)), class_=f"dots c{colour}"),
    )


def _interval(entry: RankedSetting) -> tuple[float, float, float]:
    """Return mean, low and high; NaN where there is none."""
    if entry.loss is None:
        return (np.nan, np.nan, np.nan)
    low, high = (np.nan if end is None else end for end in (entry.loss.low, entry.loss.high))
    return (entry.loss.mean, low, high)


def _loss_axis(lines: Sequence[FactorLine]) -> Axis:
    shown = _without_farthest(np.array(_losses(lines)))
    return axis_over(shown, log=bool(len(shown)) and shown.min() > 0 and shown.max() >= WIDE * shown.min())


def _losses(lines: Sequence[FactorLine]) -> list[float]:
    return [loss for line in lines for entry in line.entries for loss in entry.losses if loss is not None]


def _without_farthest(losses: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Leave out the worst tenth where it lies beyond twice the range of the others."""
    if len(losses) < 10:
        return losses
    low, most = float(losses.min()), float(np.quantile(losses, FARTHEST))
    return losses[losses <= low + 2 * (most - low)] if most > low else losses


def _note(ranking: Ranking, factor: str, lines: Sequence[FactorLine]) -> str:
    seeds = any(len(entry.losses) > 1 for entry in ranking.entries)
    others = len(ranking.factors) > (2 if lines[0].name else 1)
    diverged = any(entry.diverged and factor in entry.setting for entry in ranking.entries)
    notes = [
        (True, "Dots: lanes."),
        (seeds, f"Line: mean over {ranking.over}. Shade: its 95 % interval."),
        (others, "At each value, the best of the other settings is shown."),
        (diverged, "Red marks along the top: values at which lanes diverged."),
        (_loss_axis(lines).high < max(_losses(lines)), "The worst lanes lie above the figure."),
    ]
    return " ".join(text for holds, text in notes if holds)


def _readings(lines: Sequence[FactorLine], factor: str, x: Axis) -> list[list[object]]:
    """Return what the pointer reads: the position across, and the text there."""
    texts: dict[float, list[str]] = {}
    for line in lines:
        for entry in line.entries:
            loss = f"{line.name} {entry.loss.text() if entry.loss else ''}".strip()
            texts.setdefault(float(entry.setting[factor]), []).append(loss)
    return [
        [round(float(x.position(value)), 4), f"{factor} {setting(value)} · " + " · ".join(texts[value])]
        for value in sorted(texts)
    ]
