"""Puts the report's page together: head, sections that have something to show, style and script inline."""

from collections.abc import Callable, Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from thalweg.insight.summary import summarise
from thalweg.run.folder.record import Record
from thalweg.view.figure import lr_figure as rates_figure
from thalweg.view.figure.html import Markup, element, join
from thalweg.view.report import tables
from thalweg.view.report.answers import answers
from thalweg.view.report.curves import curves
from thalweg.view.report.headline import headline
from thalweg.view.report.layers import layers
from thalweg.view.report.sample import sample

Maker = Callable[[Record], Markup | None]
Section = tuple[str, str, Markup | None]
# Key (its anchor), title, maker; a section whose maker has nothing is left out.
_SECTIONS: tuple[tuple[str, str, Maker], ...] = (
    ("curves", "How training went", curves),
    ("rates", "How the learning rate was found", rates_figure.of_run),
    ("answers", "Answers on the test part", answers),
    ("sample", "A sample of text", sample),
    ("layers", "Layer by layer", layers),
    ("data", "Data", tables.data),
    ("recipe", "Recipe", tables.recipe),
    ("model", "Model", tables.model),
    ("cost", "What it cost", tables.cost),
    ("environment", "Made with", tables.environment),
)


def render(record: Record) -> str:
    """Render a run as one HTML file that refers to nothing outside itself.

    Args:
        record: What the run left behind; whatever is missing is left out of the page.

    Returns:
        The file's text; write it as UTF-8.
    """
    made = [(key, title, maker(record)) for key, title, maker in _SECTIONS]
    title = f"{record.name}: {summarise(record).headline}"
    return document(title, headline(record), made, footer(record.environment, record.folder))


def document(title: str, head: Markup, sections: Iterable[Section], foot: Markup) -> str:
    """Put a page together: style and script inline, a link to each section that has something to show.

    Args:
        title: Of the window.
        head: What stands first.
        sections: Anchor, title and body of each; one whose body is None is left out.
        foot: What stands last.
    """
    shown = [(key, name, body) for key, name, body in sections if body is not None]
    links = [element("a", name, href=f"#{key}") for key, name, _ in shown]
    body = element(
        "body",
        element(
            "main",
            head,
            element("nav", links, aria_label="sections"),
            [element("section", element("h2", name), body, id=key) for key, name, body in shown],
            element("footer", foot),
        ),
        element("script", _own("page.js")),
    )
    page = element("html", _head(title), body, lang="en")
    return f"<!doctype html>\n{page}\n"


def _head(title: str) -> Markup:
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name_="color-scheme", content="light dark"),
        element("title", title),
        element("style", _own("page.css")),
    )


def _own(name: str) -> Markup:
    """Read one of the page's own files; they hold no end tags."""
    return Markup(files("thalweg.view.report").joinpath(name).read_text(encoding="utf-8"))


def footer(
    environment: Mapping[str, Any], folder: Path | None, intervals: str = "the choice of test examples"
) -> Markup:
    """Say what drew the page, from what, and what its intervals cover."""
    version = environment.get("thalweg")
    made = "Thalweg" + (f" {version}" if version else "")
    where = f" from {folder}" if folder is not None else ""
    return join(f"Drawn by {made}{where}. Every figure is measured; intervals cover {intervals}.")
