"""The confusion matrix: a table with figures for few classes, shades for many; rows sum to one."""

import numpy as np
from jaxtyping import Int

from thalweg.insight.answers import Confusion
from thalweg.insight.wording import count, percent
from thalweg.view.figure.heat import shade_paths, shades_of
from thalweg.view.figure.html import Markup, data_script, element

FIGURES = 12  # classes up to which each cell carries its count
OWN_ORDER = 20  # classes up to which they stand in their own order
NAMES = 40  # classes up to which every row is named


def draw(counted: Confusion) -> Markup:
    """Draw the matrix as a figure element; shades are shares of the true class."""
    if len(counted.classes) <= FIGURES:
        return _figure(_table(counted), "", "")
    order = reading_order(counted)
    moved = (order != np.arange(len(order))).any()
    note = " Classes that are confused with each other stand together." if moved else ""
    return _figure(_shaded(counted, order), note, "Point at a cell to read it.")


def reading_order(counted: Confusion) -> Int[np.ndarray, " place"]:
    """Return class indices in the order in which they are shown.

    Up to 20 classes keep their own order. More are put into a chain, so that the ones confused most are
    neighbours: it begins with the worst pair and grows, at either end, by the class confused most with
    that end.
    """
    number = len(counted.classes)
    if number <= OWN_ORDER:
        return np.arange(number)
    likeness = counted.shares + counted.shares.T
    np.fill_diagonal(likeness, -1.0)
    chain = [int(end) for end in np.unravel_index(likeness.argmax(), likeness.shape)]
    likeness[:, chain] = -1.0  # a class in the chain is no candidate any more
    while len(chain) < number:
        ends = likeness[[chain[0], chain[-1]]]
        end, chosen = (int(place) for place in np.unravel_index(ends.argmax(), ends.shape))
        chain.insert(0 if end == 0 else len(chain), chosen)
        likeness[:, chosen] = -1.0
    return np.array(chain)


def _figure(body: Markup, note: str, hint: str) -> Markup:
    title = element("h3", "True class (rows) against answer (columns)")
    reading = element("output", hint, class_="reading") if hint else None
    return element(
        "figure",
        element("figcaption", title, reading),
        body,
        element("p", "Shade: share of the row's class." + note, class_="note"),
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
    table = element("table", element("thead", element("tr", head)), element("tbody", rows), class_="cells")
    return element("div", table, class_="cells-frame", style=f"--classes:{len(counted.classes)}")


def _cell(counted: Confusion, share: float, i: int, j: int) -> Markup:
    number = int(counted.counts[i, j])
    kind = "right" if i == j else "wrong"
    # Mistakes are rare where training works: the root keeps them visible.
    shade = share if i == j else min(1.0, float(np.sqrt(share)))
    title = f"{counted.classes[i]} answered as {counted.classes[j]}: {count(number)} ({percent(share)})"
    strong = " strong" if shade > (0.55 if i == j else 0.8) else ""
    return element(
        "td",
        element("span", count(number)) if number else None,
        class_=kind + strong,
        title=title,
        style=f"--share:{100 * shade:.0f}%" if number else None,
    )


def _shaded(counted: Confusion, order: Int[np.ndarray, " place"]) -> Markup:
    shares = counted.shares[np.ix_(order, order)]
    right = np.diag(np.diag(shares))
    names = [counted.classes[index] for index in order]
    drawing = element(
        "svg",
        shade_paths(shades_of(right)),
        shade_paths(shades_of(np.sqrt(shares - right)), "wrong"),
        viewBox=f"0 0 {len(names)} {len(names)}",
        preserveAspectRatio="none",
        shape_rendering="crispEdges",
        role="img",
        aria_label="confusion matrix",
    )
    labels = [element("span", name) for name in names] if len(names) <= NAMES else []
    wrong = [
        [int(i), int(j), int(counted.counts[order[i], order[j]])]
        for i, j in zip(*np.nonzero(counted.counts[np.ix_(order, order)]), strict=True)
    ]
    return element(
        "div",
        element("div", labels, class_="rows") if labels else None,
        element("div", drawing, element("i", class_="cursor box"), class_="area"),
        data_script({"names": names, "totals": [int(t) for t in counted.totals[order]], "counts": wrong}),
        class_="matrix-frame" + ("" if labels else " unnamed"),
        data_matrix=True,
    )
