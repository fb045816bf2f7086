"""The report of a run: its head, its sections and the document around them, in one HTML file.

The file has no outside references: no fonts, scripts or pictures from elsewhere. The plots are SVG with a
small script rather than Bokeh, whose inline bundle alone weighs several megabytes and whose canvas
does not follow the reader's light or dark setting. A whole report here takes hundreds of kilobytes, can be
read without its script (which only serves the pointer), prints, and keeps its type size on a phone.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from thalweg.core.stop_reason import StopReason
from thalweg.insight.outcome import Outcome, Score, outcome, table
from thalweg.insight.summary import summarise, worth_stating
from thalweg.insight.wording import figure, plural, seconds, size
from thalweg.run.folder.record import Record
from thalweg.view.decisions import section as decisions
from thalweg.view.figure import lr_figure
from thalweg.view.figure.html import Content, Markup, element, join
from thalweg.view.report import tables
from thalweg.view.report.answers import answers
from thalweg.view.report.curves import curves, layers

Section = tuple[str, str, Markup | None]
NOTHING = Markup("")


def render(record: Record) -> str:
    """Render a run as one HTML file without outside references.

    Args:
        record: The run; figures that it lacks are left out of the page.

    Returns:
        The file's text; write it as UTF-8.
    """
    title = f"{record.name}: {summarise(record).headline}"
    sections = [(key, name, make(record)) for key, name, make in _SECTIONS]
    return document(title, _run_head(record), sections, footer(record.environment, record.folder))


def _sample(record: Record) -> Markup | None:
    """Show the text that a character model wrote; None where there is none."""
    text = record.result.get("sample")
    if not isinstance(text, str) or not text.strip():
        return None
    about = "Written by the trained model, one character after another; the seed selects which."
    return element("div", element("p", about), element("pre", text, class_="sample"))


# Anchor, title and maker of each section; a section whose maker returns None is left out.
_SECTIONS: tuple[tuple[str, str, Callable[[Record], Markup | None]], ...] = (
    ("curves", "Training curves", curves),
    ("rates", "How the learning rate was found", lr_figure.of_run),
    ("references", "Other methods on the same rows", tables.references),
    ("answers", "Predictions on the test split", answers),
    ("decisions", "Figures to decide by", decisions.decisions),
    ("columns", "What the predictions rest on", decisions.columns),
    ("errors", "Errors worth reading", decisions.errors),
    ("sample", "Sample of text", _sample),
    ("layers", "Layer by layer", layers),
    ("data", "Data", tables.data),
    ("recipe", "Recipe", tables.recipe),
    ("model", "Model", tables.model),
    ("cost", "Cost", tables.cost),
    ("environment", "Environment", tables.environment),
)


def document(
    title: str,
    heading: Markup,
    sections: Iterable[Section],
    foot: Markup,
    *,
    style: Markup = NOTHING,
    script: Markup = NOTHING,
) -> str:
    """Assemble a page: style and script inline, and a link to each section.

    Args:
        title: Of the window.
        heading: The first element.
        sections: Anchor, title and body of each; one whose body is None is left out.
        foot: The content of the footer.
        style, script: What the page needs besides the style sheet and the script of all pages.
    """
    shown = [(key, name, body) for key, name, body in sections if body is not None]
    links = [element("a", name, href=f"#{key}") for key, name, _ in shown]
    body = element(
        "body",
        element(
            "main",
            heading,
            element("nav", links, aria_label="sections"),
            [element("section", element("h2", name), body, id=key) for key, name, body in shown],
            element("footer", foot),
        ),
        element("script", _file("page.js"), script),
    )
    meta = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name_="color-scheme", content="light dark"),
        element("title", title),
        element("style", style_sheet(), style),
    )
    return f"<!doctype html>\n{element('html', meta, body, lang='en')}\n"


def style_sheet() -> Markup:
    """Return the style sheet of all pages."""
    return _file("page.css")


def _file(name: str) -> Markup:
    """Read one of the page's own files; they hold no end tags."""
    return Markup(files("thalweg.view.report").joinpath(name).read_text(encoding="utf-8"))


def footer(
    environment: Mapping[str, Any], folder: Path | None, intervals: str = "the choice of test examples"
) -> Markup:
    """Say what drew the page, from which folder, and what its intervals cover."""
    version = environment.get("thalweg")
    program = "Thalweg" + (f" {version}" if version else "")
    source = f" from {folder}" if folder is not None else ""
    return join(
        f"Drawn by {program}{source}. Every figure is measured unless it is called predicted; "
        f"intervals cover {intervals}."
    )


def head(
    name: str,
    title: str,
    hero: Sequence[Content],
    verdict: tuple[str, Iterable[tuple[str, str | None]]],
    level: str = "",
) -> Markup:
    """Return the head of a page.

    Args:
        name: Of the run or folder.
        title: The result in one sentence.
        hero: The main figure, and tiles.
        verdict: Heading, and sentences with their levels.
        level: `good`, `unclear`, `bad` or nothing: the colour.
    """
    items = [element("li", text, class_=colour) for text, colour in verdict[1]]
    sentences = element("ul", items, class_="findings")
    return element(
        "header",
        element("p", name, class_="name"),
        element("h1", title),
        element("div", *hero, class_="hero"),
        element("section", element("h2", verdict[0]), sentences, id="verdict"),
        class_=f"head {level}".strip(),
    )


def score(value: str, label: str, below: Markup | None = None) -> Markup:
    """Show a figure large, with its label."""
    figures = element("p", value, class_="figure"), element("p", label, class_="label")
    return element("div", *figures, below, class_="score")


def tiles(figures: Iterable[tuple[str, str | None]]) -> Markup:
    """Show figures in a row; those that are None are left out."""
    shown = [
        element("div", element("dt", name), element("dd", value))
        for name, value in figures
        if value is not None
    ]
    return element("dl", shown, class_="tiles")


def _run_head(record: Record) -> Markup:
    result, summary = outcome(record), summarise(record)
    metric = None
    if result.metric is not None:
        below = _track(result.metric, result.baseline)
        metric = score(result.metric.text, f"test {result.metric.name}", below)
    return head(
        record.name,
        summary.headline,
        [metric, _run_tiles(record, result)],
        ("Verdict", [(statement.text, statement.level) for statement in summary.statements]),
        summary.level,
    )


def _track(metric: Score, baseline: Score | None) -> Markup | None:
    """Draw metric and baseline on one scale: shares up to one, others up to the larger of the two."""
    if baseline is None or baseline.name != metric.name or not (metric.value >= 0 and baseline.value >= 0):
        return None
    end = 1.0 if metric.text.endswith("%") else max(metric.value, baseline.value) or 1.0
    filled, mark = (100 * min(1.0, shown.value / end) for shown in (metric, baseline))
    bar = element("i", style=f"width:{filled:.1f}%"), element("b", style=f"left:{mark:.1f}%")
    label = element("p", f"baseline {baseline.text}", class_="label")
    return element("div", element("div", *bar, class_="bar"), label, class_="track")


def _run_tiles(record: Record, result: Outcome) -> Markup:
    total = table(record.result, "seconds").get("total")
    end = "no end recorded" if result.stopped is None else StopReason.facts_of(result.stopped).label
    return tiles(
        [
            ("test loss", None if result.test_loss is None else figure(result.test_loss)),
            ("lowest validation loss", None if result.best_loss is None else figure(result.best_loss)),
            ("at epoch", figure(result.best_epoch, 3) if worth_stating(result.best_epoch) else None),
            ("training", end),
            ("length", None if result.steps is None else _length(result)),
            ("time", None if total is None else seconds(total)),
            ("parameters", None if result.parameters is None else size(result.parameters)),
        ]
    )


def _length(result: Outcome) -> str:
    if result.epochs is None or result.diverged or not worth_stating(result.epochs):
        return plural(result.steps, "step")
    return plural(float(f"{result.epochs:.3g}"), "epoch")
