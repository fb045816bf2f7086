"""A tape as a graph from left to right: values on the way there, gradients on the way back."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from thalweg.insight.tape.backward import norm
from thalweg.insight.tape.formulas import formula, named
from thalweg.insight.tape.listing import names
from thalweg.insight.tape.recording import Value, is_finite
from thalweg.insight.tape.statements import shown
from thalweg.insight.tape.tape import Tape
from thalweg.insight.wording import clipped
from thalweg.view.figure.html import Markup, element

# Pixels. A character of the nodes' type is about seven wide.
CHARACTER, LINE, PADDING, GAP, ROW_GAP = 6.7, 16, 10, 46, 18
WIDEST = 30  # characters in a node


class Node(NamedTuple):
    """A box of the graph.

    Args:
        key: Its own name, which edges use.
        lines: What is written in it: the formula, the value, the gradient.
        link: Anchor of its numbers; empty for an input.
        bad: Whether it holds NaN or an infinity.
    """

    key: str
    lines: tuple[str, ...]
    link: str = ""
    bad: bool = False


class Edge(NamedTuple):
    """A value on its way, and the gradient on its way back.

    Args:
        start, end: Keys of the boxes.
        gradient: Share of the strongest gradient, 0 to 1; None where none flows back.
    """

    start: str
    end: str
    gradient: float | None


def of_ops(tape: Tape) -> Markup:
    """Draw every op of a small tape."""
    known, nodes, edges = names(tape), [], []
    read = {value.number for op in tape.ops for value in op.inputs}
    spoilt = tape.nonfinite.birth is not None
    for value in tape.recording.inputs:
        if value.number in read:
            nodes.append(
                Node(f"n{value.number}", _lines(known[value.number], value), "", spoilt and not value.finite)
            )
    strongest = max((norm(value.gradient) for value in tape.recording.values), default=0.0)
    for op in tape.ops:
        if not op.outputs:
            continue
        result = op.outputs[0]
        text = named(formula(op).value, op, lambda value: known[value.number])
        bad = spoilt and not all(value.finite for value in op.outputs)
        nodes.append(Node(f"o{op.number}", _lines(text, result), f"op-{op.number}", bad))
        for at, value in enumerate(op.inputs):
            if value.constant:
                continue
            start = f"n{value.number}" if value.op is None else f"o{value.op.number}"
            given = op.downstream[at] if op.downstream else None
            share = norm(given) / strongest if given is not None and strongest > 0 else None
            edges.append(Edge(start, f"o{op.number}", share))
    return draw(nodes, list(dict.fromkeys(edges)))


def _lines(title: str, value: Value) -> tuple[str, ...]:
    lines = [clipped(title, WIDEST), clipped(shown(value.array, 4, 4), WIDEST)]
    if value.gradient is not None:
        sign = "" if is_finite(value.gradient) else "! "
        lines.append(clipped(f"{sign}grad {shown(value.gradient, 4, 4)}", WIDEST))
    return tuple(lines)


def draw(nodes: Sequence[Node], edges: Sequence[Edge]) -> Markup:
    """Draw boxes in columns, each to the right of what it reads."""
    columns = _columns(nodes, edges)
    widths = [max(len(line) for node in column for line in node.lines) for column in columns]
    places: dict[str, tuple[float, float, float, float]] = {}
    x, tallest = 4.0, max(sum(_height(node) + ROW_GAP for node in column) for column in columns)
    for column, characters in zip(columns, widths, strict=True):
        width = characters * CHARACTER + 2 * PADDING
        y = 4 + (tallest - sum(_height(node) + ROW_GAP for node in column)) / 2
        for node in column:
            places[node.key] = (x, y, width, _height(node))
            y += _height(node) + ROW_GAP
        x += width + GAP
    width, height = x - GAP + 4, tallest
    lines = [part for edge in edges for part in _edge(edge, places)]
    boxes = [_box(node, places[node.key]) for node in nodes]
    picture = element(
        "svg",
        lines,
        boxes,
        viewBox=f"0 0 {width:.0f} {height:.0f}",
        width=f"{width:.0f}",
        height=f"{height:.0f}",
        role="img",
        aria_label="graph of the ops, from the inputs on the left to the output on the right",
    )
    return element("div", picture, class_="graph", tabindex="0")


def _columns(nodes: Sequence[Node], edges: Sequence[Edge]) -> list[list[Node]]:
    """Return the nodes by column: an op right of all it reads, an input just left of its first reader."""
    before, after = defaultdict(list), defaultdict(list)
    for edge in edges:
        before[edge.end].append(edge.start)
        after[edge.start].append(edge.end)
    column: dict[str, int] = {}
    for node in nodes:  # in order of execution, so what a node reads has its column
        column[node.key] = max((column[start] + 1 for start in before[node.key]), default=0)
    for node in nodes:
        if not before[node.key] and after[node.key]:
            column[node.key] = max(0, min(column[end] for end in after[node.key]) - 1)
    found: list[list[Node]] = [[] for _ in range(max(column.values(), default=0) + 1)]
    for node in nodes:
        found[column[node.key]].append(node)
    found = [each for each in found if each]
    for _ in range(4):
        _untangle(found, before)
        _untangle(found[::-1], after)
    return found


def _untangle(columns: Iterable[list[Node]], neighbours: dict[str, list[str]]) -> None:
    """Order each column by the mean position of its neighbours, so that few edges cross."""
    position: dict[str, float] = {}
    for nodes in columns:
        own = {node.key: at for at, node in enumerate(nodes)}
        middle = (len(nodes) - 1) / 2

        def wanted(node: Node, own: dict[str, int] = own, middle: float = middle) -> float:
            known = [position[key] for key in neighbours[node.key] if key in position]
            return sum(known) / len(known) if known else own[node.key] - middle

        nodes.sort(key=wanted)
        position.update({node.key: at - middle for at, node in enumerate(nodes)})


def _height(node: Node) -> float:
    return len(node.lines) * LINE + 2 * PADDING - 4


def _edge(edge: Edge, places: dict[str, tuple[float, float, float, float]]) -> list[Markup]:
    (x0, y0, w0, h0), (x1, y1, _, h1) = places[edge.start], places[edge.end]
    start, end = (x0 + w0, y0 + h0 / 2), (x1, y1 + h1 / 2)
    parts = [element("path", d=_curve(start, end, -4), class_="there")]
    if edge.gradient is not None:
        width = 1 + 3 * edge.gradient
        parts.append(
            element("path", d=_curve(start, end, 4), class_="back", style=f"stroke-width:{width:.1f}")
        )
        parts.append(element("path", d=f"M{start[0] + 7:.1f} {start[1]:.1f}l-6 4l6 4", class_="back"))
    return parts


def _curve(start: tuple[float, float], end: tuple[float, float], shift: float) -> str:
    (x0, y0), (x1, y1) = start, end
    bend = max(20.0, (x1 - x0) / 2)
    y0, y1 = y0 + shift, y1 + shift
    return f"M{x0:.1f} {y0:.1f}C{x0 + bend:.1f} {y0:.1f} {x1 - bend:.1f} {y1:.1f} {x1:.1f} {y1:.1f}"


def _box(node: Node, place: tuple[float, float, float, float]) -> Markup:
    x, y, width, height = place
    kinds = ("title", "value", "gradient")
    texts = [
        element(
            "text", line, x=f"{x + PADDING:.1f}", y=f"{y + PADDING + 9 + at * LINE:.1f}", class_=kinds[at]
        )
        for at, line in enumerate(node.lines)
    ]
    box = element("rect", x=f"{x:.1f}", y=f"{y:.1f}", width=f"{width:.1f}", height=f"{height:.1f}", rx="7")
    classes = " ".join(["node", *(["bad"] if node.bad else []), *([] if node.link else ["leaf"])])
    group = element("g", box, texts, class_=classes)
    return element("a", group, href=f"#{node.link}") if node.link else group
