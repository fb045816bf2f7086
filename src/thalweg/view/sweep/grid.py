"""Loss over two numbers that varied, as a heat map: darker is better."""

import numpy as np
from jaxtyping import Float

from thalweg.insight.ranking import RankedSetting, Ranking
from thalweg.insight.sweep_statements import by_words, numbers_tried
from thalweg.insight.wording import figure as written
from thalweg.insight.wording import setting
from thalweg.view.figure.frame import figure
from thalweg.view.figure.heat import SHADES, cells, ramp, shades_of
from thalweg.view.figure.html import Markup, element
from thalweg.view.figure.plot import WIDE

FIGURES = 10  # columns up to which every cell carries its figure
NAMES = 10  # columns that are named
DARK = 0.55  # shade from which figures are written in the light colour


def draw(ranking: Ranking, rows: str, columns: str, only: tuple[str, str] | None = None) -> Markup | None:
    """Draw two factors as a figure, the one with more values across.

    None where either has fewer than two numbers.

    Args:
        ranking: With further factors, the best setting of each cell is shown.
        rows, columns: Paths of the factors.
        only: A third factor and the value of it that is shown, as text.
    """
    rows, columns = sorted((rows, columns), key=lambda path: len(numbers_tried(ranking.entries, path)))
    down, across = (numbers_tried(ranking.entries, path) for path in (rows, columns))
    if len(down) < 2 or len(across) < 2:
        return None
    down = down[::-1]  # the larger values above, as on an axis
    best = _cells(ranking, rows, columns, only)
    entries = [[best.get((up, along)) for along in across] for up in down]
    shares = _shares(np.array([[_mean(entry) for entry in line] for line in entries]))
    spans = [
        _cell(entry, share, len(across) <= FIGURES, entry is ranking.best)
        for line, line_shares in zip(entries, shares, strict=True)
        for entry, share in zip(line, line_shares, strict=True)
    ]
    every = -(-len(across) // NAMES)
    named = [element("span", setting(v) if i % every == 0 else "") for i, v in enumerate(across)]
    style = f"--columns:{len(across)}"
    frame = element(
        "div",
        element("div", [element("span", setting(value)) for value in down], class_="rows"),
        element(
            "div", cells(shades_of(shares)), element("div", spans, class_="over", style=style), class_="area"
        ),
        element("div", named, class_="along", style=style),
        class_="heat-frame factors",
        style=f"--rows:{len(down)};--tall:{2.1 if len(across) <= FIGURES else 1.3}rem",
    )
    known = [_mean(entry) for line in entries for entry in line if np.isfinite(_mean(entry))]
    return figure(
        _title(ranking, rows, columns, only),
        frame,
        reading=None,
        switch=(None, ramp(max(known), min(known)) if known else None),
        note=f"Up: {rows}. Across: {columns}. Darker is better; a cross: every lane diverged.",
        class_="plot heat-map",
    )


def _cells(
    ranking: Ranking, rows: str, columns: str, only: tuple[str, str] | None
) -> dict[tuple[float, float], RankedSetting]:
    best: dict[tuple[float, float], RankedSetting] = {}
    for entry in ranking.entries:
        matches = only is None or setting(entry.setting.get(only[0])) == only[1]
        if matches and rows in entry.setting and columns in entry.setting:
            best.setdefault((entry.setting[rows], entry.setting[columns]), entry)  # entries come ranked
    return best


def _mean(entry: RankedSetting | None) -> float:
    return entry.loss.mean if entry is not None and entry.loss is not None else np.nan


def _shares(means: Float[np.ndarray, "row column"]) -> Float[np.ndarray, "row column"]:
    """Return 1 for the lowest loss and one shade for the highest; logarithmic where losses differ widely."""
    known = means[np.isfinite(means)]
    if not len(known):
        return np.full(means.shape, np.nan)
    wide = known.min() > 0 and known.max() >= WIDE * known.min()
    scaled, ends = (np.log(means), np.log(known)) if wide else (means, known)
    low, high = float(ends.min()), float(ends.max())
    if high == low:
        return np.where(np.isfinite(means), 1.0, np.nan)
    return 1 / SHADES + (1 - 1 / SHADES) * (high - scaled) / (high - low)


def _cell(entry: RankedSetting | None, share: float, figures: bool, best: bool) -> Markup:
    if entry is None:
        return element("span", "")
    lost = entry.loss is None
    shown = "\u00d7" if lost else written(_mean(entry), 3) if figures else ""
    title = f"{entry.label}: " + ("diverged" if entry.loss is None else entry.loss.text())
    strong = "strong" if not lost and share > DARK else ""
    kind = " ".join(filter(None, [strong, "lost" if lost else "", "best" if best else ""]))
    return element("span", shown, class_=kind or None, title=title)


def _title(ranking: Ranking, rows: str, columns: str, only: tuple[str, str] | None) -> str:
    ends = [path.rpartition(".")[2] for path in (rows, columns)]
    return f"{by_words(ranking).capitalize()} by {' and '.join(ends)}" + (f": {only[1]}" if only else "")
