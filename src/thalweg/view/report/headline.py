"""The report's head: what was trained, the figure that counts, and the verdict in words."""

from thalweg.core.stop_reason import StopReason
from thalweg.insight.outcome import Outcome, Score, outcome, table
from thalweg.insight.summary import Summary, summarise, worth_saying
from thalweg.insight.wording import figure, plural, seconds, size
from thalweg.run.folder.record import Record
from thalweg.view.figure.html import Markup, element


def headline(record: Record) -> Markup:
    """Make the head of the page."""
    found, summary = outcome(record), summarise(record)
    return element(
        "header",
        element("p", record.name, class_="name"),
        element("h1", summary.headline),
        element("div", _score(found), _tiles(record, found), class_="hero"),
        _verdict(summary),
        class_=f"head {summary.level}",
    )


def _score(found: Outcome) -> Markup | None:
    """Show the test metric large, on a track with the baseline."""
    if found.metric is None:
        return None
    return element(
        "div",
        element("p", found.metric.text, class_="figure"),
        element("p", f"test {found.metric.name}", class_="label"),
        _track(found.metric, found.baseline),
        class_="score",
    )


def _track(metric: Score, baseline: Score | None) -> Markup | None:
    """Draw metric and baseline on one scale: shares to one, others to the larger of the two."""
    if baseline is None or not (metric.value >= 0 and baseline.value >= 0):
        return None
    end = 1.0 if metric.text.endswith("%") else max(metric.value, baseline.value) or 1.0
    filled, mark = (100 * min(1.0, score.value / end) for score in (metric, baseline))
    return element(
        "div",
        element(
            "div",
            element("i", style=f"width:{filled:.1f}%"),
            element("b", style=f"left:{mark:.1f}%"),
            class_="bar",
        ),
        element("p", f"baseline {baseline.text}", class_="label"),
        class_="track",
    )


def _tiles(record: Record, found: Outcome) -> Markup:
    total = table(record.result, "seconds").get("total")
    tiles = [
        ("test loss", figure(found.test_loss), found.test_loss is not None),
        ("lowest validation loss", figure(found.best_loss), found.best_loss is not None),
        ("at epoch", figure(found.best_epoch, 3), worth_saying(found.best_epoch)),
        ("training", _end(found.stopped), True),
        ("length", _length(found), found.steps is not None),
        ("time", seconds(total), total is not None),
        ("parameters", size(found.parameters), found.parameters is not None),
    ]
    made = [
        element("div", element("dt", name), element("dd", value)) for name, value, shown in tiles if shown
    ]
    return element("dl", made, class_="tiles")


def _end(stopped: str | None) -> str:
    return "no end recorded" if stopped is None else StopReason.facts_of(stopped).label


def _length(found: Outcome) -> str:
    if found.epochs is None or found.diverged or not worth_saying(found.epochs):
        return plural(found.steps, "step")
    return plural(float(f"{found.epochs:.3g}"), "epoch")


def _verdict(summary: Summary) -> Markup:
    items = [element("li", finding.text, class_=finding.level) for finding in summary.statements]
    return element(
        "section", element("h2", "What came of it"), element("ul", items, class_="findings"), id="verdict"
    )
