"""The report's predictions on the test split: confused classes, or predicted against true values."""

import numpy as np
from jaxtyping import Int

from thalweg.insight.answers import Confusion, Pair, confusion, residuals
from thalweg.insight.wording import count, percent, plural
from thalweg.run.folder.record import Record
from thalweg.view.figure.frame import drawing, figure, table
from thalweg.view.figure.heat import shade_paths, shades_of
from thalweg.view.figure.html import Markup, data_script, element, join
from thalweg.view.report import scatter

WORST = 10  # classes listed by name when there are many
FIGURES = 12  # classes up to which each cell of the matrix carries its count
OWN_ORDER = 20  # classes up to which they are shown in their own order
NAMES = 40  # classes up to which every row of the matrix is named


def answers(record: Record) -> Markup | None:
    """Draw the predictions; None when there are none."""
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
    return [matrix(counted), element("div", _mistakes(counted), _by_class(counted), class_="beside")]


def _mistakes(counted: Confusion) -> Markup:
    pairs = counted.mistakes()
    if not pairs:
        return element("div", element("h3", "Mistakes"), element("p", "There are none on the test split."))
    rows = [element("li", _mistake(counted, pair)) for pair in pairs]
    return element("div", element("h3", "Most often confused"), element("ol", rows, class_="pairs"))


def _mistake(counted: Confusion, pair: Pair) -> Markup:
    names = [element("b", counted.classes[index]) for index in (pair.target, pair.prediction)]
    share = percent(counted.shares[pair.target, pair.prediction])
    figures = f": {plural(pair.count, 'time')}, {share} of the {count(counted.totals[pair.target])}"
    return join(names[0], " predicted as ", names[1], figures)


def _by_class(counted: Confusion) -> Markup:
    """List recall and precision: of all classes while they are few, else of those with the lowest recall."""
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
    title = f"The {len(order)} classes with the lowest recall" if many else "By class"
    note = (
        "recall: share of the class predicted correctly; precision: share of its predictions that are right."
    )
    return element(
        "div",
        element("h3", title),
        table(("class", "examples", "recall", "precision"), rows, "by-class"),
        element("p", note, class_="note"),
    )


def _bar(share: float) -> Markup:
    if share != share:
        return element("span", "never predicted", class_="faint")
    return element("span", percent(share), class_="share", style=f"--share:{100 * share:.1f}%")


def matrix(counted: Confusion) -> Markup:
    """Draw the confusion matrix as a figure element: counts for few classes, shades for many.

    Shades are shares of the true class; a row sums to one.
    """
    if len(counted.classes) <= FIGURES:
        return _figure(_table(counted), "", "")
    order = reading_order(counted)
    moved = (order != np.arange(len(order))).any()
    note = " Classes that are often confused stand next to each other." if moved else ""
    return _figure(_shaded(counted, order), note, "Point at a cell to read it.")


def reading_order(counted: Confusion) -> Int[np.ndarray, " position"]:
    """Return class indices in display order.

    Up to 20 classes keep their own order. More form a chain in which frequently confused classes are
    neighbours: it starts with the worst pair and grows, at either end, by the class most often confused with
    that end.
    """
    number = len(counted.classes)
    if number <= OWN_ORDER:
        return np.arange(number)
    likeness = counted.shares + counted.shares.T
    np.fill_diagonal(likeness, -1.0)
    chain = [int(end) for end in np.unravel_index(likeness.argmax(), likeness.shape)]
    likeness[:, chain] = -1.0  # classes in the chain are no longer candidates
    while len(chain) < number:
        ends = likeness[[chain[0], chain[-1]]]
        end, chosen = (int(position) for position in np.unravel_index(ends.argmax(), ends.shape))
        chain.insert(0 if end == 0 else len(chain), chosen)
        likeness[:, chosen] = -1.0
    return np.array(chain)


def _figure(body: Markup, note: str, hint: str) -> Markup:
    return figure(
        "True class (rows) against predicted class (columns)",
        body,
        reading=hint or None,
        note="Shade: share of the row's class." + note,
        class_="plot matrix",
    )


def _table(counted: Confusion) -> Markup:
    shares = counted.shares
    head = [element("th", "")] + [
        element("th", element("span", name), scope="col") for name in counted.classes
    ]
    rows = [
        element(
            "tr",
            element("th", element("span", name), scope="row"),
            [_cell(counted, shares[i, j], i, j) for j in range(len(counted.classes))],
        )
        for i, name in enumerate(counted.classes)
    ]
    cells = element("table", element("thead", element("tr", head)), element("tbody", rows), class_="cells")
    return element("div", cells, class_="cells-frame", style=f"--classes:{len(counted.classes)}")


def _cell(counted: Confusion, share: float, i: int, j: int) -> Markup:
    number = int(counted.counts[i, j])
    kind = "right" if i == j else "wrong"
    # Mistakes are rare after successful training: the square root keeps them visible.
    shade = share if i == j else min(1.0, float(np.sqrt(share)))
    title = f"{counted.classes[i]} predicted as {counted.classes[j]}: {count(number)} ({percent(share)})"
    strong = " strong" if shade > (0.55 if i == j else 0.8) else ""
    return element(
        "td",
        element("span", count(number)) if number else None,
        class_=kind + strong,
        title=title,
        style=f"--share:{100 * shade:.0f}%" if number else None,
    )


def _shaded(counted: Confusion, order: Int[np.ndarray, " position"]) -> Markup:
    shares = counted.shares[np.ix_(order, order)]
    right = np.diag(np.diag(shares))
    names = [counted.classes[index] for index in order]
    shades = shade_paths(shades_of(right)), shade_paths(shades_of(np.sqrt(shares - right)), "wrong")
    size = {"columns": len(names), "rows": len(names)}
    drawn = drawing("confusion matrix", *shades, **size, shape_rendering="crispEdges")
    labels = [element("span", name) for name in names] if len(names) <= NAMES else []
    wrong = [
        [int(i), int(j), int(counted.counts[order[i], order[j]])]
        for i, j in zip(*np.nonzero(counted.counts[np.ix_(order, order)]), strict=True)
    ]
    return element(
        "div",
        element("div", labels, class_="rows") if labels else None,
        element("div", drawn, element("i", class_="cursor box"), class_="area"),
        data_script({"names": names, "totals": [int(t) for t in counted.totals[order]], "counts": wrong}),
        class_="matrix-frame" + ("" if labels else " unnamed"),
        data_matrix=True,
    )
