"""The learning rate over a run, drawn before anything is trained: as text, as a figure, as an SVG file."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from thalweg.core.arguments import checked
from thalweg.core.caller import option
from thalweg.core.choice import choose
from thalweg.core.compiler import jit
from thalweg.core.errors import RecipeError
from thalweg.insight.curves import Curve
from thalweg.insight.wording import count
from thalweg.insight.wording import figure as written
from thalweg.recipe.recipe import MOST_STEPS, Recipe, own_rate
from thalweg.recipe.schedules import SCHEDULES, Clock, CustomSchedule, Plateau, Schedule, Warmup
from thalweg.view.figure.axis import Axis, axis_over, tick_text
from thalweg.view.figure.html import Markup, element, standalone_svg
from thalweg.view.figure.plot import Line, Plot, Span, draw
from thalweg.view.figure.svg_paths import Area, grid, path
from thalweg.view.notebook import Figure

# Steps of a run that is drawn without a length, and of its epochs: round numbers.
STEPS, EPOCH_STEPS = 1000, 100
# Points of a curve that is drawn.
MOST_POINTS = 2000
# Of the text, in characters: rows, and columns of the curve.
ROWS, COLUMNS = 8, 60
_BLOCKS, _ASCII = " ▁▂▃▄▅▆▇█", " ....####"
# Of the SVG file, in pixels: size, and the area of the curve.
WIDTH, HEIGHT, AREA = 760, 360, Area(70, 60, 660, 240)
_COLOURS = (("paper", "#ffffff", "#1a2125"), ("ink", "#1d2428", "#e6ebed"), ("soft", "#5b666d", "#a3afb5"))
_STROKES = ((".grid", "#e4e6e3", "#2c363b", 1), (".line", "#0b6a88", "#58bfdc", 2))


@dataclass(frozen=True)
class ScheduleCurve:
    """A schedule over a run.

    Args:
        title: The schedule, with its settings.
        rate: Learning rates of a recipe, or factors of a schedule alone, over steps.
        is_rate: Whether they are learning rates.
        epoch_steps: Updates in an epoch.
        note: What the curve does not show; None where it shows all.
    """

    title: str
    rate: Curve
    is_rate: bool
    epoch_steps: int
    note: str | None = None

    @property
    def name(self) -> str:
        """What the vertical axis shows."""
        return "learning rate" if self.is_rate else "factor of the learning rate"


@checked(RecipeError)
def plot(
    schedule: Schedule | Recipe | str | Callable[..., Any],
    *,
    steps: int | None = None,
    epoch_steps: int = EPOCH_STEPS,
) -> Figure:
    """Draw a schedule over a run; nothing is trained.

    A notebook shows the figure; `print` of it is a plot in text; `save` writes `.html` or `.svg`.

    Args:
        schedule: A schedule, its name, a function `(step, total) -> factor`, or a recipe, whose learning rate
            is drawn.
        steps: Updates of the run; None for those of the recipe, or 1,000.
        epoch_steps: Updates in an epoch, for schedules with lengths in epochs.

    Raises:
        RecipeError: It is none of these, or fails as a schedule.

    Example:
        >>> import thalweg as tw
        >>> figure = tw.plot(tw.WarmupCosine(warmup=100, unit="steps"), steps=1000)
    """
    curve = curve_of(schedule, steps, epoch_steps)
    return Figure(curve.title, figure(curve), text(curve), svg(curve))


def curve_of(schedule: Any, steps: int | None = None, epoch_steps: int = EPOCH_STEPS) -> ScheduleCurve:
    """Return a schedule over a run; see `plot`."""
    recipe = schedule if isinstance(schedule, Recipe) else None
    if isinstance(schedule, str):
        schedule = choose(SCHEDULES, schedule, "plot")
    if recipe is not None:
        chosen = recipe.schedule
    else:
        own: Any = schedule
        chosen = own if isinstance(own, Schedule) else CustomSchedule(own)
    if steps is None:
        steps = STEPS if recipe is None else recipe.length(epoch_steps)
    for name, value in (("steps", steps), ("epoch_steps", epoch_steps)):
        if not 1 <= value <= MOST_STEPS:
            raise RecipeError(
                "plot",
                f"{name} must be from 1 to {MOST_STEPS:,}",
                got=value,
                hint=f"try {option(name, STEPS)}",
            )
    note = chosen.check_inside(steps, epoch_steps) or None
    if isinstance(chosen.then if isinstance(chosen, Warmup) else chosen, Plateau):
        note = "Drops when the validation loss stops falling, which is not known before training."
    at = np.unique(np.linspace(0, steps - 1, min(steps, MOST_POINTS)).astype(int))
    factors = _factors(chosen, at, steps, epoch_steps)
    rate = own_rate(recipe) * recipe.rate_factor() if recipe is not None else math.nan
    is_rate = not math.isnan(rate)
    return ScheduleCurve(
        _title(chosen, steps), Curve(at, factors * rate if is_rate else factors), is_rate, epoch_steps, note
    )


def _title(schedule: Schedule, steps: int) -> str:
    settings = [
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in _plain(schedule)
    ]
    return f"{schedule.name}{' (' + ', '.join(settings) + ')' if settings else ''}, {count(steps)} updates"


def _plain(schedule: Schedule) -> list[tuple[str, Any]]:
    known = schedule.to_dict().items()
    return [(name, value["name"] if isinstance(value, dict) else value) for name, value in known]


def _factors(schedule: Schedule, at: np.ndarray, total: int, epoch_steps: int) -> Float[np.ndarray, " step"]:
    numbers, structure = jax.tree.flatten(schedule)

    @jit
    def factors(numbers: list[Any], steps: Array) -> Array:
        rule = jax.tree.unflatten(structure, numbers)
        state = rule.init()
        return jax.vmap(
            lambda step: rule.factor(Clock(step, jnp.float32(total), jnp.float32(epoch_steps)), state)
        )(steps)

    return np.asarray(
        factors([jnp.float32(number) for number in numbers], jnp.asarray(at, jnp.float32)), float
    )


def figure(curve: ScheduleCurve) -> Markup:
    """Draw it as a figure of a page."""
    span = Span(float(curve.rate.step[-1]), float(curve.epoch_steps))
    line = Line(curve.name, curve.rate)
    return draw(
        Plot(
            curve.name.capitalize(),
            "schedule",
            [line],
            log=False,
            switch=True,
            span=span,
            note=curve.note,
        )
    )


def text(curve: ScheduleCurve, *, ascii_only: bool = False) -> str:
    """Draw it in characters: columns of eighths of a row, with the ends of both axes."""
    steps, values = curve.rate.step, curve.rate.value
    low, high = min(0.0, float(values.min())), float(values.max()) or 1.0
    edges = np.linspace(0, len(values), min(COLUMNS, len(values)) + 1).astype(int)
    means = np.array([values[a:b].mean() for a, b in pairwise(edges)])
    heights = np.round((means - low) / (high - low) * ROWS * 8).astype(int)
    marks = _ASCII if ascii_only else _BLOCKS
    labels = {ROWS - 1: written(high, 3), 0: written(low, 3)}
    margin = max(map(len, labels.values()))
    lines = [curve.title, ""]
    for row in reversed(range(ROWS)):
        cells = "".join(marks[int(np.clip(height - 8 * row, 0, 8))] for height in heights)
        lines.append(f"{labels.get(row, ''):>{margin}} {'|' if ascii_only else '│'}{cells}".rstrip())
    last = count(int(steps[-1]))
    lines.append(f"{'':>{margin}} {'0':<{max(1, len(means) - len(last) + 1)}}{last}")
    lines.append(f"{'':>{margin}} {curve.name} over steps")
    return "\n".join([*lines, *(["", curve.note] if curve.note else [])])


def svg(curve: ScheduleCurve) -> str:
    """Render it as a separate SVG file, in light or dark colours as the viewer prefers."""
    x, y = Axis(0.0, max(float(curve.rate.step[-1]), 1.0)), axis_over(np.append(curve.rate.value, 0.0))
    below = AREA.top + AREA.height
    ticks = [
        _text(tick_text(tick), 62, float(AREA.up(float(y.position(tick)))) + 4, "end") for tick in y.ticks()
    ]
    ticks += [
        _text(tick_text(tick), float(AREA.across(float(x.position(tick)))), below + 20, "middle")
        for tick in x.ticks()
    ]
    line = path(x.position(curve.rate.step), y.position(curve.rate.value), AREA)
    return standalone_svg(
        WIDTH,
        HEIGHT,
        element("style", Markup(_style_sheet())),
        element("rect", width=WIDTH, height=HEIGHT, class_="paper"),
        element("text", curve.title, x=24, y=34, class_="ink", font_size=18),
        grid(y, AREA),
        element("path", d=line, class_="line"),
        *ticks,
        _text(f"{curve.name} over steps", AREA.left + AREA.width / 2, below + 44, "middle"),
    )


def _text(content: str, x: float, y: float, anchor: str) -> Markup:
    return element("text", content, x=f"{x:.1f}", y=f"{y:.1f}", class_="soft", text_anchor=anchor)


def _style_sheet() -> str:
    def colours(which: int) -> str:
        fills = [f"text.{entry[0]},rect.{entry[0]}{{fill:{entry[which]}}}" for entry in _COLOURS]
        strokes = [
            f"{entry[0]}{{fill:none;stroke:{entry[which]};stroke-width:{entry[3]}}}" for entry in _STROKES
        ]
        return "".join(fills + strokes)

    return f"{colours(1)} @media (prefers-color-scheme: dark){{{colours(2)}}}"


def with_warmup(schedule: Schedule, steps: float) -> Schedule:
    """Return a schedule with a warmup of so many steps: its own, or one before it."""
    if "warmup" in type(schedule).described():
        return replace(schedule, warmup=float(steps), unit="steps")
    return Warmup(length=float(steps), unit="steps", then=schedule)
