"""Loss over learning rate as a figure of a page: lanes, what was fitted, the pick, its interval, the edge."""

import numpy as np

from thalweg.insight.curves import Buckets
from thalweg.insight.finder import finding_io as kept
from thalweg.insight.finder.finding import LearningRateFinding
from thalweg.insight.finder.verdict import rate as written
from thalweg.insight.finder.verdict import sentences
from thalweg.insight.wording import count, figure, plural
from thalweg.run.folder.record import Record
from thalweg.view.figure.axis import Axis
from thalweg.view.figure.html import Markup, data_script, element, join
from thalweg.view.figure.lr_picture import PICK, Mark, Picture, Rung, picture
from thalweg.view.figure.svg_paths import SIDE, dots, grid, outline, path, x_labels, y_labels

LEFT = 0.6  # share of the width from which on a label stands left of its line


def draw(finding: LearningRateFinding) -> Markup | None:
    """Draw a finding as a figure element; None where no lane was trained."""
    shown = picture(finding)
    if shown is None:
        return None
    scale = y_labels(shown.y) if shown.seen else element("div", class_="y")
    area = element("div", _drawing(shown), _labels(shown), element("i", class_="cursor"), class_="area")
    return element(
        "figure",
        _caption(shown),
        element(
            "div",
            element("div", scale, area, class_="scale"),
            class_="frame marked",
            style=f"--labels:{len(shown.marks)}",
        ),
        x_labels(shown.x, "rate"),
        element("p", note(shown), class_="note"),
        data_script({"points": _readings(shown)}),
        class_="plot rates",
        data_factor=True,
    )


def of_run(record: Record) -> Markup | None:
    """Show how a run's rate was found; None where nobody looked for it."""
    if not record.finding:
        return None
    finding = kept.from_dict(record.finding)
    items = [element("li", one.text, class_=one.level) for one in sentences(finding)]
    return element("div", element("ul", items, class_="findings"), draw(finding), class_="factors-list")


def note(shown: Picture) -> str:
    """Say how the figure is to be read."""
    said = [f"Dots: lanes, {_lengths(shown)}. Lines: means over seeds."] if shown.seen else []
    if shown.fitted is not None:
        said.append(
            "Orange: fitted to all lanes for the whole run, at the level of the longest; its 90 % band."
        )
    if shown.interval is not None:
        said.append("Shaded: rates that cannot be told from the best.")
    if shown.lost:
        said.append("Red marks along the top: rates at which lanes diverged.")
    if shown.above:
        said.append("The worst lanes lie above the figure.")
    return " ".join(said)


def depth(place: int, rungs: int) -> int:
    """Return how dark a rung is drawn, in per cent: the longest darkest."""
    return round(100 - 65 * (rungs - 1 - place) / max(1, rungs - 1))


def _lengths(shown: Picture) -> str:
    if len(shown.rungs) == 1:
        return f"{plural(shown.rungs[0].steps, 'update')} long"
    return "the darker the longer"


def _drawing(shown: Picture) -> Markup:
    return element(
        "svg",
        _shade(shown),
        grid(shown.y) if shown.seen else None,
        [_rung(rung, shown, depth(place, len(shown.rungs))) for place, rung in enumerate(shown.rungs)],
        _fit(shown.fitted, shown.x, shown.y),
        [_mark(mark, shown.x) for mark in shown.marks],
        element("path", d=_crosses(shown), class_="lost"),
        viewBox=f"0 0 {SIDE} {SIDE}",
        preserveAspectRatio="none",
        role="img",
        aria_label=f"loss against {shown.setting}",
    )


def _shade(shown: Picture) -> Markup | None:
    if shown.interval is None:
        return None
    low, high = (SIDE * float(shown.x.place(end)) for end in shown.interval)
    return element("path", d=f"M{low:.1f} 0H{high:.1f}V{SIDE}H{low:.1f}Z", class_="interval")


def _rung(rung: Rung, shown: Picture, deep: int) -> Markup:
    line = path(shown.x.place(rung.rates), shown.y.place(rung.means))
    lanes = dots(shown.x.place(rung.lane_rates), shown.y.place(rung.lane_losses))
    style = f"--deep:{deep}%"
    return join(
        element("path", d=line, class_="line rung", style=style),
        element("path", d=lanes, class_="dots rung", style=style),
    )


def _fit(fitted: Buckets | None, x: Axis, y: Axis) -> Markup | None:
    if fitted is None:
        return None
    return join(
        element("path", d=outline(fitted, x, y), class_="band c2"),
        element("path", d=path(x.place(fitted.step), y.place(fitted.mean)), class_="line c2"),
    )


def _mark(mark: Mark, x: Axis) -> Markup:
    place = SIDE * float(x.place(mark.rate))
    return element("path", d=f"M{place:.1f} 0V{SIDE}", class_=f"mark {mark.kind}")


def _crosses(shown: Picture) -> str:
    return "".join(f"M{SIDE * float(shown.x.place(rate)):.1f} 0v{SIDE // 24}" for rate in shown.lost)


def _labels(shown: Picture) -> Markup:
    """Write each mark's label on a line of its own, led to by the mark's: two rates may lie as near to each
    other as they like.
    """
    leaders, labels = [], []
    for line, mark in enumerate(shown.marks):
        place = float(shown.x.place(mark.rate))
        side = "left" if place > LEFT else "right"
        style = f"left:{100 * place:.2f}%;--line:{len(shown.marks) - line}"
        leaders.append(element("b", class_=mark.kind, style=style))
        labels.append(element("span", mark.label, class_=f"{mark.kind} {side}", style=style))
    return element("div", leaders, labels, class_="marks")


def _caption(shown: Picture) -> Markup:
    keys = [
        element(
            "span",
            element("i", class_="key rung", style=f"--deep:{depth(place, len(shown.rungs))}%"),
            plural(rung.steps, "update"),
        )
        for place, rung in enumerate(shown.rungs)
    ]
    fitted = element("span", element("i", class_="key c2"), "fitted") if shown.fitted else None
    return element(
        "figcaption",
        element("h3", f"Loss against {shown.setting}"),
        element("div", keys, fitted, class_="legend"),
        element("output", _at_rest(shown), class_="reading"),
    )


def _at_rest(shown: Picture) -> str:
    pick = next((mark for mark in shown.marks if mark.kind == PICK), None)
    if pick is None or shown.interval is None:
        return ""
    low, high = (written(end) for end in shown.interval)
    return f"{pick.label} ({low} to {high})"


def _readings(shown: Picture) -> list[list[object]]:
    """Return what the pointer reads: place across, and the losses there."""
    said: dict[float, list[str]] = {}
    for rung in shown.rungs:
        for rate, mean in zip(rung.rates.tolist(), rung.means.tolist(), strict=True):
            value = "diverged" if rate in rung.lost else figure(mean)
            said.setdefault(rate, []).append(f"{count(rung.steps)} updates {value}")
    return [
        [round(float(shown.x.place(rate)), 4), f"rate {written(rate)} \u00b7 " + " \u00b7 ".join(said[rate])]
        for rate in sorted(said)
        if np.isfinite(rate)
    ]
