"""The report's look at test answers: who is taken for whom, or predicted against true."""

from thalweg.insight.answers import Confusion, Pair, confusion, residuals
from thalweg.insight.wording import count, percent, plural
from thalweg.run.folder.record import Record
from thalweg.view.figure.html import Markup, element, join
from thalweg.view.report import matrix, scatter

WORST = 10  # classes listed by name when there are many


def answers(record: Record) -> Markup | None:
    """Draw the test answers; None when there are none."""
    counted = confusion(record)
    if counted is not None:
        return element("div", _classes(counted), class_="answers")
    numeric = residuals(record)
    if numeric is not None:
        return element("div", scatter.draw(numeric, _target(record)), class_="answers")
    return None


def _target(record: Record) -> str:
    data = record.problem.get("data")
    return str(data.get("target") or "target") if isinstance(data, dict) else "target"


def _classes(counted: Confusion) -> list[Markup]:
    return [matrix.draw(counted), element("div", _mistakes(counted), _by_class(counted), class_="beside")]


def _mistakes(counted: Confusion) -> Markup:
    pairs = counted.mistakes()
    if not pairs:
        return element("div", element("h3", "Mistakes"), element("p", "None on the test part."))
    rows = [element("li", _mistake(counted, pair)) for pair in pairs]
    return element("div", element("h3", "Most often confused"), element("ol", rows, class_="pairs"))


def _mistake(counted: Confusion, pair: Pair) -> Markup:
    names = [element("b", counted.classes[index]) for index in (pair.target, pair.prediction)]
    share = percent(counted.shares[pair.target, pair.prediction])
    figures = f": {plural(pair.count, 'time')}, {share} of the {count(counted.totals[pair.target])}"
    return join(names[0], " taken for ", names[1], figures)


def _by_class(counted: Confusion) -> Markup:
    """List recall and precision: of all classes while they are few, else of the least often found."""
    recall, precision = counted.recall, counted.precision
    present = [index for index in range(len(counted.classes)) if counted.totals[index] > 0]
    many = len(present) > WORST
    order = sorted(present, key=lambda index: recall[index])[:WORST] if many else present
    rows = [
        element(
            "tr",
            element("th", counted.classes[index], scope="row"),
            element("td", count(counted.totals[index])),
            element("td", _bar(recall[index])),
            element("td", _bar(precision[index])),
        )
        for index in order
    ]
    head = element(
        "tr", [element("th", name, scope="col") for name in ("class", "examples", "found", "right")]
    )
    title = f"The {len(order)} classes found least often" if many else "By class"
    note = (
        "found: share of the class that is answered so (recall); right: share of these answers (precision)."
    )
    return element(
        "div",
        element("h3", title),
        element("table", element("thead", head), element("tbody", rows), class_="by-class"),
        element("p", note, class_="note"),
    )


def _bar(share: float) -> Markup:
    if share != share:
        return element("span", "never answered", class_="faint")
    return element("span", percent(share), class_="share", style=f"--share:{100 * share:.1f}%")
