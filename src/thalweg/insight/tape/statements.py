"""A tape in words and as plain JSON: what stands out on it, where NaN was born, and how gradients change."""

import math
from typing import Any

import numpy as np

from thalweg.insight.summary import Statement
from thalweg.insight.tape.backward import norm
from thalweg.insight.tape.flow import LOSS, VANISHES, Stage
from thalweg.insight.tape.nonfinite import UPDATE, Birth
from thalweg.insight.tape.recording import Op, Source, numbers
from thalweg.insight.tape.tape import Tape
from thalweg.insight.wording import clipped, count, figure, listing, plural

# Arrays of at most so many numbers are written out.
MOST_NUMBERS = 8


def shown(array: Any, most: int = MOST_NUMBERS, digits: int = 6) -> str:
    """Write an array: its numbers if there are at most so many, else shape and statistics."""
    host = numbers(array)
    if host.size == 1:
        return number_text(host.reshape(())[()], digits)
    if 0 < host.size <= most and host.ndim <= 2:
        return _nested(host, digits)
    shape = "x".join(map(str, host.shape))
    if host.size == 0 or host.dtype.kind not in "fiub":
        return f"{host.dtype}[{shape}]"
    wide = host.astype(np.float64)
    finite = wide[np.isfinite(wide)]
    wrong = (
        ""
        if finite.size == wide.size
        else f"{count(wide.size - finite.size)} of {count(wide.size)} not finite"
    )
    if not finite.size:
        return f"[{shape}] {wrong}"
    spread = f"mean {figure(finite.mean(), 3)}, {figure(finite.min(), 3)} to {figure(finite.max(), 3)}"
    return f"[{shape}] {wrong}, others {spread}" if wrong else f"[{shape}] {spread}"


def _nested(host: np.ndarray, digits: int) -> str:
    if host.ndim == 1:
        return f"[{', '.join(number_text(each, digits) for each in host)}]"
    return f"[{', '.join(_nested(row, digits) for row in host)}]"


def number_text(number: Any, digits: int = 6) -> str:
    """Write one number with so many significant digits."""
    value = np.asarray(number)
    if value.dtype.kind == "f":
        single = float(value)
        if math.isfinite(single):
            return f"{single + 0.0:.{digits}g}"
        return "NaN" if math.isnan(single) else "inf" if single > 0 else "-inf"
    return str(value)


def statements(tape: Tape) -> list[Statement]:
    """Return what stands out on a tape, the most important first."""
    found = [Statement("failed", told, "bad") for told in [_failed(tape)] if told]
    if tape.nonfinite.birth is not None:
        found.append(Statement("born", born(tape), "bad"))
        found += [Statement("masked", told, "bad") for told in [_masked(tape)] if told]
    elif tape.nonfinite.harmless:
        found.append(Statement("harmless", _harmless(tape), "unclear"))
    if tape.flow.verdict:
        found.append(Statement("flow", _flow(tape), "bad"))
    for op in tape.stopped:
        text = f"{_op(op)} has no reverse rule: its value is shown, and no gradient leads out of it."
        found.append(Statement("stopped", text, "unclear"))
    if tape.recording.opaque:
        text = f"{plural(len(tape.recording.opaque), 'loop')} too long to unroll, shown as one op each."
        found.append(Statement("opaque", text, "unclear"))
    if tape.fused is not None:
        found.append(Statement("fused", _fused(tape)))
    return found


def _failed(tape: Tape) -> str:
    """Say at which update a replayed run failed."""
    about = tape.about
    if "step" not in about:
        return ""
    update, start = count(about["step"]), count(about["replayed_from"])
    text = f"Update {update} (replayed from {start}) is the first that fails"
    if "stopped_at" in about:
        text = (
            f"Replayed alone, update {update} is the first that fails (within its sweep, in one product with "
            f"other lanes, it stopped after {count(about['stopped_at'])} updates)"
        )
    if about["reason"] == "weights":
        return f"{text}: it leaves weights that are not finite."
    if tape.nonfinite.birth is not None:
        return f"{text}: its loss is {number_text(np.float64(about['loss']))}."
    return (
        f"{text}: its loss is {figure(about['loss'])}, above the limit of {figure(about['limit'])}. "
        "Everything computed is finite: the loss grew."
    )


def born(tape: Tape) -> str:
    """Say where the first NaN or infinity was made, of what, and what it reaches."""
    birth = tape.nonfinite.birth
    assert birth is not None
    if birth.op is None:
        given = birth.given.name if birth.given is not None and birth.given.name else "a constant"
        first = f"{given} already holds {birth.kind}{_place(birth)}."
    else:
        phase = "update" if birth.phase == UPDATE else f"{birth.phase} pass"
        scopes = [str(scope) for scope in birth.op.scopes if scope.kind not in ("jit", "call", "custom")]
        inside = f" in {', '.join(scopes)}" if scopes else ""
        name = birth.name if birth.inside is None else f"{birth.name} in {birth.op.title}"
        made = f", of {_listed(birth)}" if birth.operands else ""
        inside += f" in layer {birth.op.layer}" if birth.op.layer and len(tape.flow.layers) > 1 else ""
        first = (
            f"The first {birth.kind} is made in the {phase} by {name}"
            f"{_at(birth.source)}{inside}{_place(birth)}{made}."
        )
    if birth.turned is not None:
        first += f" {birth.turned.title}{_at(birth.turned.source)} makes NaN of it."
    reached = tape.nonfinite.reaches
    if "row" in tape.about:
        example, at = tape.about["example"], tape.about["row"]
        first += f" That is example {example} of the training split (row {at} of the batch)."
    many = listing(list(reached), 3) if reached != ("the output",) else "the output"
    whose = many if reached == ("the output",) else f"the gradient of {many}"
    whose = f"the weights {many}" if birth.phase == UPDATE else whose
    through = f" through {plural(len(tape.nonfinite.spread), 'op')}" if tape.nonfinite.spread else ""
    return f"{first} It reaches {whose}{through}."


def _place(birth: Birth) -> str:
    return f" at {list(birth.index)}" if birth.index else ""


def _at(source: Source | None) -> str:
    if source is None:
        return ""
    line = f" `{clipped(source.text, 60)}`" if source.text else ""
    return f" ({source}{line})"


def _listed(birth: Birth) -> str:
    return ", ".join(f"{name} = {number_text(np.float64(number))}" for name, number in birth.operands)


def _masked(tape: Tape) -> str:
    """Say why a `where` that hides a value does not hide it from the gradient."""
    birth, output = tape.nonfinite.birth, tape.recording.output
    if birth is None or birth.op is None or output is None or not output.finite:
        return ""
    killed = [op for op in tape.nonfinite.killed if op.name == "select_n" and op.number > birth.op.number]
    if not killed:
        return ""
    return (
        f"The where{_at(killed[0].source)} replaces it in the forward pass only: the backward pass of "
        f"{birth.op.title} still computes with its operand, and 0 times infinity is NaN. Put a where around "
        "the operand instead, so that the op never sees it."
    )


def _harmless(tape: Tape) -> str:
    op = tape.nonfinite.harmless[0]
    killed = tape.nonfinite.killed
    by = f" {killed[0].title}{_at(killed[0].source)} replaces it." if killed else ""
    more = len(tape.nonfinite.harmless) - 1
    also = f" So do {plural(more, 'other op')}." if more else ""
    bad = next(value for value in op.outputs if not value.finite)
    kind = "NaN" if np.isnan(numbers(bad.array)).any() else "infinity"
    return f"{_op(op)} makes {kind}, which reaches neither the output nor a gradient.{by}{also}"


def _op(op: Op) -> str:
    return f"{op.title}{_at(op.source)}"


def _flow(tape: Tape) -> str:
    flow = tape.flow
    stages = flow.layers if flow.by == "layers" else flow.times
    inner = [stage for stage in stages if stage.name != LOSS and not math.isnan(stage.product)]
    first, last = inner[0].name, inner[-1].name
    verb = "vanishes" if flow.verdict == VANISHES else "explodes"
    where = f" Most of it happens in {_op(flow.culprit)}." if flow.culprit is not None else ""
    change = f"its norm changes by {figure(flow.ratio, 3)}"
    return f"The gradient {verb} on its way from {last} to {first}: {change}.{where}"


def _fused(tape: Tape) -> str:
    fused = tape.fused
    assert fused is not None
    name = "Softmax and cross-entropy" if fused.kind == "softmax" else "Sigmoid and binary cross-entropy"
    share = "p - y" if fused.rows == 1 else f"(p - y) / {fused.rows}"
    text = f"{name} together have the gradient {share} at the logits"
    if fused.probabilities.size <= MOST_NUMBERS:
        difference = (fused.probabilities - fused.targets) / fused.rows
        text += (
            f": p = {shown(fused.probabilities)}, y = {shown(fused.targets)}, {share} = {shown(difference)}"
        )
    return text + "."


def as_dict(tape: Tape) -> dict[str, Any]:
    """Return a tape as plain values: what `thalweg tape --json` prints. NaN stays NaN."""
    birth = tape.nonfinite.birth
    return {
        "name": tape.name,
        **tape.about,
        "value": tape.value,
        "ops": len(tape.ops),
        "healthy": tape.healthy,
        "born": None if birth is None else _birth_facts(tape, birth),
        "flow": _flow_facts(tape),
        "layers": [_stage_facts(stage) for stage in tape.flow.layers],
        "iterations": [_stage_facts(stage) for stage in tape.flow.times],
        "gradients": {
            name: None if gradient is None else norm(gradient) for name, gradient in tape.gradients.items()
        },
        "without_rule": [op.name for op in tape.stopped],
        "statements": [
            {"kind": each.kind, "text": each.text, "level": each.level} for each in statements(tape)
        ],
    }


def _birth_facts(tape: Tape, birth: Birth) -> dict[str, Any]:
    source = birth.source
    return {
        "kind": birth.kind,
        "phase": birth.phase,
        "op": birth.name,
        "file": None if source is None else source.file,
        "line": None if source is None else source.line,
        "code": None if source is None else source.text,
        "inside": [] if birth.op is None else [str(scope) for scope in birth.op.scopes],
        "index": None if birth.index is None else list(birth.index),
        "operands": {name: number_text(np.float64(number)) for name, number in birth.operands},
        "reaches": list(tape.nonfinite.reaches),
        "spread": len(tape.nonfinite.spread),
    }


def _flow_facts(tape: Tape) -> dict[str, Any] | None:
    flow = tape.flow
    if not flow.verdict:
        return None
    culprit = flow.culprit
    source = None if culprit is None else culprit.source
    return {
        "verdict": flow.verdict,
        "by": flow.by,
        "ratio": flow.ratio,
        "op": None if culprit is None else culprit.title,
        "file": None if source is None else source.file,
        "line": None if source is None else source.line,
    }


def _stage_facts(stage: Stage) -> dict[str, Any]:
    return {
        "name": stage.name,
        "gradient": stage.gradient,
        "gain": stage.gain,
        "product": stage.product,
        "parameters": dict(stage.parameters),
    }
