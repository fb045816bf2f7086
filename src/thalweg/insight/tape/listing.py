"""A tape as plain text of 80 columns: every op of a small net, the layers of a large one."""

import math
from collections.abc import Iterator

import numpy as np

from thalweg.insight.tape.backward import gain
from thalweg.insight.tape.flow import LOSS, Stage
from thalweg.insight.tape.formulas import formula, named
from thalweg.insight.tape.recording import Op
from thalweg.insight.tape.statements import number_text, shown, statements
from thalweg.insight.tape.tape import Tape
from thalweg.insight.wording import clipped, figure, plural

# A tape of at most so many ops is listed op by op; a longer one layer by layer.
MOST_LISTED = 60
WIDTH = 80
# Ops before and after one that made a NaN, which are listed with it.
AROUND = 4
# Results of one op that are written out; the rows of a sequence are more.
MOST_RESULTS = 4
_LOSSES = {"softmax": "cross_entropy", "sigmoid": "binary_cross_entropy"}


def text(tape: Tape, width: int = WIDTH) -> str:
    """Return a tape as text: what it computes, what stands out, and its ops or layers."""
    lines = [f"{tape.name}: {number_text(tape.value)}, {plural(len(tape.ops), 'op')}", ""]
    lines += [line for statement in statements(tape) for line in _wrapped(f"- {statement.text}", width, "  ")]
    if lines[-1]:
        lines.append("")
    birth = tape.nonfinite.birth
    if birth is not None and birth.op is not None and len(tape.ops) > len(_window(birth.op, tape)):
        lines += _around(tape, birth.op, width)
    elif len(tape.ops) <= MOST_LISTED:
        lines += [*_forward(tape, width), "", *_backward(tape, width), "", *_gradients(tape, width)]
    else:
        lines += _layers(tape.flow.layers, "layer") if len(tape.flow.layers) > 1 else []
        if len(tape.flow.times) > 1:
            lines += ["", *_layers(_few(tape.flow.times), "iteration")]
    while lines and not lines[-1]:
        lines.pop()
    return "\n".join(lines) + "\n"


def names(tape: Tape) -> dict[int, str]:
    """Return the name of every value, by its number: inputs by theirs, results as `v1`, `v2`, ..."""
    found, at = {}, 0
    for value in tape.recording.values:
        if value.op is not None:
            at += 1
            found[value.number] = f"v{at}"
        elif value.constant:
            found[value.number] = shown(value.array) if np.prod(value.shape, dtype=int) == 1 else "const"
        else:
            found[value.number] = value.name or f"x{value.number}"
    return found


def _window(op: Op, tape: Tape) -> list[Op]:
    """Return the ops around one: those just before it and after it."""
    return tape.ops[max(0, op.number - AROUND) : op.number + AROUND + 1]


def _around(tape: Tape, op: Op, width: int) -> Iterator[str]:
    known, window = names(tape), _window(op, tape)
    yield f"Forward, ops {window[0].number} to {window[-1].number} of {len(tape.ops)}"
    yield from _lines(window, known, width)
    output = tape.recording.output
    if output is not None and output.finite:
        yield ""
        yield f"Backward, ops {window[-1].number} to {window[0].number}"
        yield from _backward_lines(window, known, width)


def _forward(tape: Tape, width: int) -> Iterator[str]:
    yield "Forward"
    known = names(tape)
    for value in tape.recording.inputs:
        yield from _wrapped(f"  {known[value.number]} = {shown(value.array)}", width, "      ")
    listed, folded = _unfolded(tape)
    yield from _lines(listed, known, width)
    if folded:
        yield from _folded_forward(tape, known, folded, width)


def _lines(ops: list[Op], known: dict[int, str], width: int) -> Iterator[str]:
    """Write what each op computes."""
    for op in ops:
        results = [known[value.number] for value in op.outputs]
        several = len(results) > MOST_RESULTS
        name = f"{results[0]} to {results[-1]}" if several else ", ".join(results)
        value = named(formula(op).value, op, lambda value: known[value.number]).partition(" = ")[2]
        arrays = "" if several else " = " + ", ".join(shown(each.array) for each in op.outputs)
        line = f"  {name} = {value}{arrays}"
        yield from _with_place(line, op, width)


def _unfolded(tape: Tape) -> tuple[list[Op], list[Op]]:
    """Return the ops to list, and those of the loss that softmax and cross-entropy stand for."""
    fused = tape.fused
    if fused is None or fused.logits.op is None or tape.nonfinite.birth is not None:
        return tape.ops, []
    last = fused.logits.op.number
    folded = [op for op in tape.ops if op.layer == LOSS and op.number > last]
    return [op for op in tape.ops if op not in folded], folded


def _folded_forward(tape: Tape, known: dict[int, str], folded: list[Op], width: int) -> Iterator[str]:
    fused = tape.fused
    assert fused is not None
    name = known[fused.logits.number]
    yield from _wrapped(f"  p = {fused.kind}({name}) = {shown(fused.probabilities)}", width, "      ")
    yield from _wrapped(f"  y = {shown(fused.targets)}", width, "      ")
    loss = f"  loss = {_LOSSES[fused.kind]}(p, y) = {number_text(tape.value)}"
    yield from _wrapped(f"{loss}, {plural(len(folded), 'op')} in one", width, "      ")


def _folded_backward(tape: Tape, known: dict[int, str], width: int) -> Iterator[str]:
    fused = tape.fused
    assert fused is not None
    share = "p - y" if fused.rows == 1 else f"(p - y) / {fused.rows}"
    yield f"  {fused.kind} and {_LOSSES[fused.kind]}: dloss = 1"
    gradient = f"      d{known[fused.logits.number]} = {share} = {shown(fused.logits.gradient)}"
    yield from _wrapped(gradient, width, "          ")


def _with_place(line: str, op: Op, width: int) -> Iterator[str]:
    place = "" if op.source is None else str(op.source)
    loops = [str(scope) for scope in op.scopes if scope.iteration is not None]
    place = " ".join([*loops, place])
    if len(line) + len(place) + 2 <= width:
        yield f"{line}{place:>{width - len(line)}}"
    else:
        *first, last = _wrapped(line, width, "      ")
        yield from first
        if len(last) + len(place) + 2 <= width:
            yield f"{last}{place:>{width - len(last)}}"
        else:
            yield last
            yield f"{clipped(place, width):>{width}}"


def _backward(tape: Tape, width: int) -> Iterator[str]:
    yield "Backward"
    known = names(tape)
    listed, folded = _unfolded(tape)
    if folded:
        yield from _folded_backward(tape, known, width)
    yield from _backward_lines(listed, known, width)


def _backward_lines(ops: list[Op], known: dict[int, str], width: int) -> Iterator[str]:
    """Write what each op is given from above and passes back, the last op first."""
    for op in reversed(ops):
        if not any(gradient is not None for gradient in op.upstream):
            continue
        upstream = ", ".join(
            f"d{known[value.number]} = {shown(gradient)}"
            for value, gradient in zip(op.outputs, op.upstream, strict=True)
            if gradient is not None
        )
        size = gain(op)
        note = "" if math.isnan(size) else f"gain {figure(size, 3)}"
        lines = list(_wrapped(f"  {op.title}: {upstream}", width - len(note) - 2, "      "))
        yield f"{lines[0]}{note:>{width - len(lines[0])}}".rstrip()
        yield from lines[1:]
        yield from _passed(op, known, width)


def _passed(op: Op, known: dict[int, str], width: int) -> Iterator[str]:
    """Write the local rule of each operand that a gradient goes to, with its result."""
    local = dict(rules(op, known))
    for at in op.live:
        gradient = op.downstream[at] if op.downstream else None
        if gradient is None:
            continue
        name = f"d{known[op.inputs[at].number]}"
        rule = local.get(at)
        line = f"      {name} = {rule} = {shown(gradient)}" if rule else f"      {name} = {shown(gradient)}"
        yield from _wrapped(line, width, "          ")


def rules(op: Op, known: dict[int, str]) -> Iterator[tuple[int, str]]:
    """Yield the local rule of each operand, by its position."""
    for part in formula(op).rule.split(", d"):
        left, sign, right = part.partition(" = ")
        letter = left.removeprefix("d")
        if sign and len(letter) == 1 and letter in "abcdefgh":
            yield "abcdefgh".index(letter), named(right, op, lambda value: known[value.number])


def _gradients(tape: Tape, width: int) -> Iterator[str]:
    yield "Gradient"
    for name, gradient in tape.gradients.items():
        value = "not known: an op without a rule is in between" if gradient is None else shown(gradient)
        yield from _wrapped(f"  d{name} = {value}", width, "      ")


def _layers(stages: tuple[Stage, ...], title: str) -> Iterator[str]:
    width = min(30, max(len(title), *(len(stage.name) for stage in stages)))
    yield f"{title:{width}}  {'ops':>11}  {'gradient':>10}  {'gain':>9}  {'product':>10}  parameters"
    for stage in stages:
        first, last = stage.ops
        largest = max((size for _, size in stage.parameters), default=math.nan)
        grads = "" if math.isnan(largest) else figure(largest, 3)
        yield (
            f"{clipped(stage.name, width):{width}}  {f'{first}-{last}':>11}  {_blank(stage.gradient):>10}  "
            f"{_blank(stage.gain):>9}  {_blank(stage.product):>10}  {grads:>10}"
        )
    yield ""
    yield from _wrapped(
        "gradient: norm of dL/d(output). gain: norm of dL/d(input) over it. product: norm of dL/d(input) "
        "over that at the last one's output. parameters: the largest norm of their gradients.",
        WIDTH,
        "",
    )


def _blank(number: float) -> str:
    return "" if math.isnan(number) else figure(number, 3)


def _few(stages: tuple[Stage, ...]) -> tuple[Stage, ...]:
    """Return some dozen iterations, the first and the last among them."""
    if len(stages) <= 12:
        return stages
    at = sorted({round(each) for each in np.linspace(0, len(stages) - 1, 12)})
    return tuple(stages[each] for each in at)


def _wrapped(line: str, width: int, indent: str) -> Iterator[str]:
    """Break a line at spaces; what follows is indented."""
    start = len(line) - len(line.lstrip())
    words, current = line.split(), " " * start
    filled = False
    for word in words:
        if filled and len(current) + 1 + len(word) > width:
            yield current
            current, filled = indent, False
        current += (" " if filled else "") + word
        filled = True
    yield current
