"""The page of an evaluation: metrics, and figures to decide by."""

from typing import Any

from thalweg.insight.decisions.statements import said
from thalweg.insight.evaluation import Evaluation
from thalweg.insight.wording import measure, plural
from thalweg.run.folder.record import Record
from thalweg.view.decisions.section import columns_of, errors_of, of_entry
from thalweg.view.figure.html import element
from thalweg.view.report.page import document, footer, head, score, tiles
from thalweg.view.report.tables import pairs

TILES = 6


def render(scored: Evaluation, record: Record, source: Any) -> str:
    """Return the page as one HTML file without outside references.

    Args:
        scored: The evaluation.
        record: The run's.
        source: The data, as the caller named them; None for the run's own test rows.
    """
    data = f"{source}" if source is not None else "its test rows"
    (name, value), *others = scored.metrics.items()
    title = f"{record.name} on {data}: {measure(name, value)} {name}"
    heading = head(
        record.name,
        title,
        [score(measure(name, value), name), tiles([(each, measure(each, v)) for each, v in others[:TILES]])],
        (
            "Verdict",
            [
                *((each.text, each.level) for each in said(scored.decisions)),
                *((n, "unclear") for n in scored.notes),
            ],
        ),
    )
    metrics = pairs([(each, measure(each, v)) for each, v in scored.metrics.items()], "wide")
    about = element("p", f"{plural(scored.rows, 'row')}, {scored.weights} weights.", class_="note")
    sections = [
        ("decisions", "Figures to decide by", of_entry(scored.decisions)),
        ("columns", "What the predictions rest on", columns_of(scored.decisions)),
        ("errors", "Errors worth reading", errors_of(scored.decisions)),
        ("metrics", "Metrics", element("div", metrics, about)),
    ]
    return document(title, heading, sections, footer(record.environment, record.folder, "the choice of rows"))
