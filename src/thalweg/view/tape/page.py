"""The page of a tape: the graph, the layers, and the numbers of every op behind a click."""

import math
from collections.abc import Sequence
from importlib.resources import files

from thalweg.insight.tape.backward import gain, norm
from thalweg.insight.tape.flow import LOSS, Stage
from thalweg.insight.tape.formulas import formula, named
from thalweg.insight.tape.listing import names, rules
from thalweg.insight.tape.recording import Op, is_inexact
from thalweg.insight.tape.statements import number_text, shown, statements
from thalweg.insight.tape.tape import Tape
from thalweg.insight.wording import count, figure
from thalweg.view.figure.html import Markup, element, join
from thalweg.view.report.page import document, head, score, tiles
from thalweg.view.tape import graph

# A tape of at most so many ops is drawn op by op.
MOST_DRAWN = 48
# Arrays of at most so many numbers are written out among an op's numbers.
MOST_NUMBERS = 36
# Ops of a page. A tape with more keeps those that a gradient passes through, and then the first ones.
MOST_OPS = 4000


def render(tape: Tape) -> str:
    """Render a tape as one HTML file without outside references.

    Returns:
        The file's text; write it as UTF-8.
    """
    small = len(tape.ops) <= MOST_DRAWN
    layers, times = tape.flow.layers, tape.flow.times
    sections = [
        ("graph", "Forward and back", join(_own_files(), _graph(tape) if small else _cards(tape))),
        ("layers", "Gradient by layer", _table(layers, "layer") if len(layers) > 1 else None),
        ("iterations", "Gradient by iteration", _table(times, "iteration") if len(times) > 1 else None),
        ("ops", "Every op", _ops(tape)),
        ("gradient", "Gradient of the inputs", _gradients(tape)),
    ]
    foot = Markup("Drawn by Thalweg. Every figure was computed op by op.")
    return document(f"{tape.name}: tape", _head(tape), sections, foot)


def _own_files() -> Markup:
    folder = files("thalweg.view.tape")
    style, script = (folder.joinpath(name).read_text(encoding="utf-8") for name in ("tape.css", "tape.js"))
    return join(element("style", Markup(style)), element("script", Markup(script)))


def _head(tape: Tape) -> Markup:
    gradient = norm(*[each for each in tape.gradients.values() if each is not None])
    facts = [
        ("ops", count(len(tape.ops))),
        ("layers", count(len(tape.flow.layers)) if len(tape.flow.layers) > 1 else None),
        ("norm of the gradient", figure(gradient)),
        ("inputs", count(sum(value.live for value in tape.recording.inputs))),
        ("weights", str(tape.about["weights"]) if "weights" in tape.about else None),
        ("update", count(tape.about["step"]) if "step" in tape.about else None),
    ]
    told = [(each.text, each.level) for each in statements(tape)]
    told = told or [("Output and gradient are finite.", "good")]
    level = "bad" if not tape.healthy else ""
    value = score(number_text(tape.value), "value")
    return head("tape", tape.name, [value, tiles(facts)], ("What stands out", told), level)


def _graph(tape: Tape) -> Markup:
    note = element(
        "p",
        "From left to right the values; back from right to left the gradients, the thicker the larger. "
        "Choose an op to see its numbers.",
        class_="note",
    )
    return element("div", note, graph.of_ops(tape), class_="plot")


def _cards(tape: Tape) -> Markup:
    """Show the layers of a large tape as boxes in a row, which breaks where the page ends."""
    note = element(
        "p",
        "Layer by layer from left to right; the bar is the gradient's norm at the layer's output, on a "
        "logarithmic scale. Choose a layer to see its ops.",
        class_="note",
    )
    sizes = [stage.gradient for stage in tape.flow.layers]
    stages = {
        stage.name: (stage, share) for stage, share in zip(tape.flow.layers, _shares(sizes), strict=True)
    }
    spoilt = tape.nonfinite.birth is not None
    cards = []
    for at, (name, ops) in enumerate(_groups(tape)):
        bad = spoilt and any(not value.finite for op in ops for value in op.outputs)
        cards.append(_card(name, ops, f"layer-{at}", bad, *stages.get(name, (None, 0.0))))
    return element("div", note, element("div", cards, class_="cards"), class_="plot")


def _card(name: str, ops: Sequence[Op], anchor: str, bad: bool, stage: Stage | None, share: float) -> Markup:
    values = [value for op in ops for value in op.outputs if is_inexact(value.array)]
    shape = "x".join(map(str, values[-1].shape)) or "scalar" if values else ""
    title = join(*[join(part, Markup(".<wbr>")) for part in name.split(".")[:-1]], name.split(".")[-1])
    lines = [
        element("b", title or "before the layers"),
        element("span", f"{count(len(ops))} ops, out {shape}"),
    ]
    if stage is not None:
        size = "" if math.isnan(stage.gain) else f", gain {figure(stage.gain, 3)}"
        lines.append(element("span", f"grad {figure(stage.gradient, 3)}{size}", class_="gradient"))
        bar = element("i", style=f"width:{100 * share:.0f}%")
        lines.append(element("div", bar, class_="level"))
    return element("a", lines, href=f"#{anchor}", class_="card bad" if bad else "card")


def _shares(sizes: Sequence[float]) -> list[float]:
    """Return where each size lies between the smallest and the largest, on a logarithmic scale."""
    logs = [math.log10(size) if size > 0 and math.isfinite(size) else math.nan for size in sizes]
    known = [each for each in logs if not math.isnan(each)]
    if not known:
        return [0.0] * len(logs)
    low, high = min(known) - 0.5, max(known)
    return [0.0 if math.isnan(each) else (each - low) / max(high - low, 1e-9) for each in logs]


def _groups(tape: Tape) -> list[tuple[str, list[Op]]]:
    """Return the ops by layer, in the order in which layers begin; the loss last."""
    found: dict[str, list[Op]] = {}
    for op in tape.ops[:MOST_OPS]:
        found.setdefault(op.layer, []).append(op)
    return sorted(found.items(), key=lambda item: item[0] == LOSS)


def _table(stages: Sequence[Stage], title: str) -> Markup:
    columns = [title, "norm of the gradient", "", "gain", "product", "largest gradient of a parameter"]
    header = element("tr", [element("th", name, scope="col") for name in columns])
    shares = _shares([stage.gradient for stage in stages])
    rows = [_row(stage, share) for stage, share in zip(stages, shares, strict=True)]
    shown_table = element("table", element("thead", header), element("tbody", rows), class_="by-class")
    note = element(
        "p",
        "Gain: norm of the gradient of the input over that of the output. Product: of the gains, from the "
        "last layer before the loss to this one.",
        class_="note",
    )
    return element("div", shown_table, note, class_="scrolls")


def _row(stage: Stage, share: float) -> Markup:
    largest = max(stage.parameters, key=lambda pair: pair[1], default=None)
    bar = element("div", element("i", style=f"width:{100 * share:.0f}%"), class_="level")
    parameter = "" if largest is None else f"{figure(largest[1], 3)} ({largest[0].rpartition('.')[2]})"
    numbers = [_blank(stage.gain), _blank(stage.product), parameter]
    return element(
        "tr",
        element("th", stage.name, scope="row"),
        element("td", figure(stage.gradient, 3)),
        element("td", bar, class_="wide"),
        [element("td", number) for number in numbers],
    )


def _blank(number: float) -> str:
    return "" if math.isnan(number) else figure(number, 3)


def _ops(tape: Tape) -> Markup:
    known = names(tape)
    if len(tape.ops) <= MOST_DRAWN:
        return element("div", [_op(op, tape, known) for op in tape.ops], class_="ops")
    groups = []
    for at, (name, ops) in enumerate(_groups(tape)):
        title = element("summary", element("b", name or "before the layers"), f" {count(len(ops))} ops")
        inner = element("div", [_op(op, tape, known) for op in ops], class_="ops")
        groups.append(element("details", title, inner, id=f"layer-{at}", class_="layer"))
    left = len(tape.ops) - MOST_OPS
    more = element("p", f"{count(left)} further ops are not shown.", class_="note") if left > 0 else None
    return element("div", groups, more)


def _op(op: Op, tape: Tape, known: dict[int, str]) -> Markup:
    """Show an op in a line, and its numbers behind a click."""
    birth = tape.nonfinite.birth
    bad = birth is not None and not all(value.finite for value in op.outputs)
    born = birth is not None and birth.op is op
    value = ", ".join(shown(each.array) for each in op.outputs[:2])
    size = gain(op)
    line = element(
        "summary",
        element("span", named(formula(op).value, op, lambda each: known[each.number]), class_="what"),
        element("span", value, class_="value"),
        element("span", "" if math.isnan(size) else f"gain {figure(size, 3)}", class_="gain"),
    )
    classes = " ".join(["op", *(["bad"] if bad else []), *(["born"] if born else [])])
    return element("details", line, _numbers(op, known), id=f"op-{op.number}", class_=classes)


def _numbers(op: Op, known: dict[int, str]) -> Markup:
    rows = []
    if op.source is not None:
        rows.append(("line", join(f"{op.source} ", element("code", op.source.text))))
    if op.scopes:
        rows.append(("inside", ", ".join(map(str, op.scopes))))
    rows += [(known[value.number], shown(value.array, MOST_NUMBERS)) for value in op.inputs]
    rows += [(f"{known[value.number]}, computed", shown(value.array, MOST_NUMBERS)) for value in op.outputs]
    for value, gradient in zip(op.outputs, op.upstream, strict=False):
        if gradient is not None:
            rows.append((f"d{known[value.number]}, from above", shown(gradient, MOST_NUMBERS)))
    local = dict(rules(op, known))
    for at in op.live:
        if op.downstream and op.downstream[at] is not None:
            rule = f"{local[at]} = " if at in local else ""
            rows.append((f"d{known[op.inputs[at].number]}", rule + shown(op.downstream[at], MOST_NUMBERS)))
    if op.no_rule:
        rows.append(("gradient", "none: the op has no reverse rule"))
    return element("dl", [(element("dt", name), element("dd", text)) for name, text in rows])


def _gradients(tape: Tape) -> Markup:
    rows = [
        element(
            "tr",
            element("th", name, scope="row"),
            element("td", "not known" if gradient is None else figure(norm(gradient)), class_="number"),
            element("td", "" if gradient is None else shown(gradient)),
        )
        for name, gradient in tape.gradients.items()
    ]
    header = element("tr", [element("th", each, scope="col") for each in ("input", "norm", "gradient")])
    table = element("table", element("thead", header), element("tbody", rows), class_="by-class")
    return element("div", table, class_="scrolls")
