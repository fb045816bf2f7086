"""A jaxpr as the graph that XLA's CPU compiler allocates memory for: calls inlined, elementwise work fused.

`computation` inlines calls and keeps loops and branches as nodes with computations of their own. `fused` then
decides which values become buffers. The rules follow XLA's instruction fusion as its buffer assignments show
it (jaxlib 0.10.2):

- elementwise operations, broadcasts, slices, gathers, pads and short reductions are computed where they are
  read, and again for every reader as long as they are cheap;
- products, convolutions, scatters, sorts, loops and reductions of more than 32 numbers read and write memory;
- an expensive function (exp, log, division, ...) with several readers is computed once and kept;
- reshapes, and transpositions that only a product reads, cost nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal

from thalweg.core.compiler import Compiled
from thalweg.insight.cost.nodes import Computation, Node, Value
from thalweg.insight.cost.primitives import (
    CALLS,
    COUNTERS,
    WIDENED,
    WINDOW,
    callee,
    implementation,
    is_half,
    is_view,
    size,
)


def computation(closed: ClosedJaxpr, labels: Sequence[str] = ()) -> Computation:
    """Return a jaxpr as a computation, with calls inlined and what no output needs left out.

    Args:
        closed: The jaxpr.
        labels: What each input is, for reports.
    """
    inputs = [_value(var.aval) for var in closed.jaxpr.invars]
    for value, label in zip(inputs, labels, strict=False):
        value.label = label
    constants = [_constant(var.aval) for var in closed.jaxpr.constvars]
    return _reader(closed.jaxpr, constants, inputs)


def _value(aval: Any, label: str = "") -> Value:
    taken, elements = size(aval)
    return Value(taken, elements, label, shape=tuple(getattr(aval, "shape", ())))


def _constant(aval: Any) -> Value:
    value = _value(aval, "constants")
    value.constant = True
    return value


def _reader(jaxpr: Jaxpr, constants: Sequence[Value], inputs: list[Value]) -> Computation:
    result = Computation(inputs, [])
    result.outputs = _inline(jaxpr, constants, inputs, result.nodes, {}, "")
    result.nodes = _needed(result.nodes, result.outputs)
    return result


def _inline(
    jaxpr: Jaxpr,
    constants: Sequence[Value],
    inputs: Sequence[Value],
    nodes: list[Node],
    seen: dict[Any, list[Value]],
    around: str,
) -> list[Value]:
    """Append the nodes of a jaxpr; return its outputs. Equal operations on equal values are one node."""
    values: dict[Any, Value] = dict(
        zip([*jaxpr.constvars, *jaxpr.invars], [*constants, *inputs], strict=True)
    )

    def read(atom: Any) -> Value:
        return _constant(atom.aval) if isinstance(atom, Literal) else values[atom]

    for equation in jaxpr.eqns:
        reads = [read(atom) for atom in equation.invars]
        name = equation.primitive.name
        source = f"{around}/{equation.source_info.name_stack}"
        if name in CALLS:
            inner = callee(equation)
            outputs = _inline(
                inner.jaxpr, [_constant(v.aval) for v in inner.jaxpr.constvars], reads, nodes, seen, source
            )
        elif isinstance(equation.primitive.impl, Compiled):  # an operation of the library's own
            inner = implementation(equation)
            outputs = _inline(
                inner.jaxpr, [_constant(v.aval) for v in inner.jaxpr.constvars], reads, nodes, seen, source
            )
        elif name == "split":
            outputs = [
                _added(Node("slice", reads, [_value(var.aval)], equation, source=source), nodes)[0]
                for var in equation.outvars
            ]
        elif is_view(equation):
            outputs = [reads[0]]
        elif name == "dynamic_update_slice" and reads[1].elements == reads[0].elements:
            outputs = [reads[1]]
        elif name == "pad" and _only_cuts(equation):
            outputs = _added(
                Node("slice", reads[:1], [_value(equation.outvars[0].aval)], source=source), nodes
            )
        elif name == "neg" and (twice := _negated(reads[0])) is not None:  # XLA leaves out both
            outputs = [twice]
        else:
            key = _key(equation, reads)
            if key is not None and key in seen:
                outputs = seen[key]
            else:
                outputs = _node(equation, reads, source, nodes)
                if key is not None:
                    seen[key] = outputs
        values.update(zip(equation.outvars, outputs, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _only_cuts(equation: JaxprEqn) -> bool:
    """Return whether a pad only takes away: the gradient of one that adds."""
    return all(low <= 0 and high <= 0 and not inner for low, high, inner in equation.params["padding_config"])


def _negated(value: Value) -> Value | None:
    """Return what a value is the negation of, if it is one."""
    producer = value.producer
    return producer.reads[0] if producer is not None and producer.name == "neg" else None


def _key(equation: JaxprEqn, reads: Sequence[Value]) -> Any:
    """Return what equal equations share; None for those that are kept apart."""
    if equation.primitive.name in ("optimization_barrier", "while", "scan", "cond") or equation.effects:
        return None
    literals = tuple(
        (str(atom.val), str(atom.aval)) if isinstance(atom, Literal) else id(value)
        for atom, value in zip(equation.invars, reads, strict=True)
    )
    return equation.primitive.name, literals, str(sorted(equation.params.items(), key=lambda item: item[0]))


def _node(equation: JaxprEqn, reads: list[Value], source: str, nodes: list[Node]) -> list[Value]:
    name, params = equation.primitive.name, equation.params
    if name == "while":
        return _while(equation, reads, source, nodes)
    if name == "scan":
        return _scan(equation, reads, source, nodes)
    writes = [_value(var.aval) for var in equation.outvars]
    if name == "dot_general" and writes[0].elements == 1 and reads[0].elements > WINDOW:
        return _inner_product(equation, reads, writes, source, nodes)
    if name == "random_bits":
        return _random_words(equation, reads, writes, source, nodes)
    if name in WIDENED:
        reads, narrowed = _widened(equation, reads, writes, source, nodes)
        if narrowed is not None:
            _added(Node(name, reads, [narrowed], equation, source=source), nodes)
            return _added(Node("convert_element_type", [narrowed], writes, source=source), nodes)
    if name == "cond":
        inner = tuple(_branch(branch, reads[1:]) for branch in params["branches"])
        node = Node(name, _read_by(inner, reads), writes, equation, inner, source=source)
    else:
        in_place = name in (
            "dynamic_update_slice",
            "scatter",
            "scatter_add",
            "scatter-add",
            "optimization_barrier",
        )
        node = Node(name, reads, writes, equation, source=source, in_place=in_place)
    return _added(node, nodes)


def _widened(
    equation: JaxprEqn, reads: list[Value], writes: list[Value], source: str, nodes: list[Node]
) -> tuple[list[Value], Value | None]:
    """Return a product's operands in float32, and its result if that is narrowed afterwards.

    XLA's CPU compiler has no products of 16-bit numbers: it converts what they read and what they write.
    """
    wide = []
    for atom, read in zip(equation.invars, reads, strict=True):
        if is_half(atom.aval) and read.widened is None:
            node = Node("convert_element_type", [read], [_as_float32(read)], source=source)
            read.widened = _added(node, nodes)[0]
        wide.append(read.widened or read)
    return wide, _as_float32(writes[0]) if is_half(equation.outvars[0].aval) else None


def _as_float32(value: Value) -> Value:
    return Value(4 * value.elements, value.elements, value.label, shape=value.shape)


def _random_words(
    equation: JaxprEqn, reads: list[Value], writes: list[Value], source: str, nodes: list[Node]
) -> list[Value]:
    """Append random bits: Threefry makes two words for each, in a loop; the result is their exclusive or."""
    count = writes[0].elements
    words = [Value(4 * count, count, shape=writes[0].shape) for _ in range(2)]
    counters = _counters(equation.params["shape"], nodes)
    _added(Node("threefry2x32", [*reads, *counters], words, equation, source=source), nodes)
    return _added(Node("xor", words, writes, source=source), nodes)


def _counters(shape: tuple[int, ...], nodes: list[Node]) -> list[Value]:
    """Return what Threefry scrambles: the numbers of the places of an array, in two words each.

    They depend on nothing, and equal ones are one array.
    """
    for node in nodes:
        if node.name == COUNTERS and node.writes[0].shape == shape:
            return node.writes
    count = math.prod(shape)
    return _added(Node(COUNTERS, [], [Value(4 * count, count, shape=shape) for _ in range(2)]), nodes)


def _inner_product(
    equation: JaxprEqn, reads: list[Value], writes: list[Value], source: str, nodes: list[Node]
) -> list[Value]:
    """Append a product of two vectors, which XLA writes as a product element by element and its sum."""
    products = Value(reads[0].bytes, reads[0].elements, shape=reads[0].shape)
    _added(Node("mul", reads, [products], source=source), nodes)
    return _added(Node("reduce_sum", [products], writes, equation, source=source), nodes)


def _added(node: Node, nodes: list[Node]) -> list[Value]:
    for value in node.writes:
        value.producer = node
    nodes.append(node)
    return node.writes


def _branch(closed: ClosedJaxpr, operands: list[Value]) -> Computation:
    inputs = [Value(v.bytes, v.elements, v.label, shape=v.shape) for v in operands]
    inner = _reader(closed.jaxpr, [_constant(v.aval) for v in closed.jaxpr.constvars], inputs)
    inner.sources = list(operands)
    return inner


def _read_by(branches: Sequence[Computation], reads: list[Value]) -> list[Value]:
    """Return the operands of a branch that one of its computations reads, with the index first."""
    return [reads[0]] + [
        read
        for position, read in enumerate(reads[1:])
        if any(_reads(branch, branch.inputs[position]) for branch in branches)
    ]


def _reads(inner: Computation, value: Value) -> bool:
    return any(value in node.reads for node in inner.nodes) or value in inner.outputs


def _while(equation: JaxprEqn, reads: list[Value], source: str, nodes: list[Node]) -> list[Value]:
    params = equation.params
    tests, constants = params["cond_nconsts"], params["body_nconsts"]
    starts = reads[tests + constants :]
    body = params["body_jaxpr"]
    inner = _body(body, reads[tests : tests + constants], starts)
    inner.sources = [*starts, *reads[tests : tests + constants]]
    return _loop(equation, "while", starts, [*reads[: tests + constants]], inner, [], None, source, nodes)


def _scan(equation: JaxprEqn, reads: list[Value], source: str, nodes: list[Node]) -> list[Value]:
    params = equation.params
    constants, carried, length = params["num_consts"], params["num_carry"], params["length"]
    starts, stacked = reads[constants : constants + carried], reads[constants + carried :]
    body = params["jaxpr"]
    slices = [_value(var.aval) for var in body.jaxpr.invars[constants + carried :]]
    inner = _body(body, reads[:constants], starts, slices)
    # What a pass reads of the stacked inputs, and what it writes of the stacked outputs.
    whole = [Value(v.bytes, v.elements, v.label, shape=v.shape) for v in stacked]
    for part, source_value in zip(slices, whole, strict=True):
        part.producer = Node("dynamic_slice", [source_value], [part], source=source)
    inner.inputs += whole
    inner.sources = [*starts, *reads[:constants], *stacked]
    inner.nodes = [part.producer for part in slices if part.producer is not None] + inner.nodes
    ends, parts = inner.outputs[:carried], inner.outputs[carried:]
    for part in parts:
        written = Value(0, part.elements)
        inner.nodes.append(Node("dynamic_update_slice", [part], [written], source=source))
        written.producer = inner.nodes[-1]
        ends.append(written)
    inner.outputs = ends
    results = [_value(var.aval) for var in equation.outvars[carried:]]
    # XLA fills the stacked outputs with zeros first, which depend on nothing.
    zeros = [_zeros(value, nodes) for value in results]
    others = [*reads[:constants], *stacked]
    written = _loop(equation, "scan", starts, others, inner, results, length, source, nodes)
    loop = nodes[-1]
    loop.passed = (*loop.passed, *zeros)
    loop.reads += zeros
    return written


def _zeros(value: Value, nodes: list[Node]) -> Value:
    """Return zeros of a shape; equal ones are one array."""
    for node in nodes:
        if node.name == "zeros" and (node.writes[0].shape, node.writes[0].bytes) == (
            value.shape,
            value.bytes,
        ):
            return node.writes[0]
    zeros = Value(value.bytes, value.elements, shape=value.shape)
    return _added(Node("zeros", [], [zeros]), nodes)[0]


def _body(
    closed: ClosedJaxpr, constants: Sequence[Value], starts: Sequence[Value], slices: Sequence[Value] = ()
) -> Computation:
    outer = [Value(v.bytes, v.elements, v.label, shape=v.shape, constant=v.constant) for v in constants]
    carried = [Value(v.bytes, v.elements, v.label, shape=v.shape) for v in starts]
    jaxpr = closed.jaxpr
    inner = Computation([*carried, *outer], [], carried=len(carried))
    constvars = [_constant(v.aval) for v in jaxpr.constvars]
    inner.outputs = _inline(jaxpr, constvars, [*outer, *carried, *slices], inner.nodes, {}, "")
    inner.nodes = _needed(inner.nodes, inner.outputs)
    return inner


def _loop(
    equation: JaxprEqn,
    name: str,
    starts: list[Value],
    others: list[Value],
    inner: Computation,
    results: list[Value],
    trips: int | None,
    source: str,
    nodes: list[Node],
) -> list[Value]:
    """Append a loop. What its body passes on unchanged stays where it is: no value is written for it."""
    unchanged = [
        after is before for before, after in zip(inner.inputs, inner.outputs[: len(starts)], strict=False)
    ]
    ends = [
        start if same else Value(start.bytes, start.elements, start.label, shape=start.shape)
        for start, same in zip(starts, unchanged, strict=True)
    ]
    written = [value for value, same in zip(ends, unchanged, strict=True) if not same]
    node = Node(
        name, [*starts, *others], [*written, *results], equation, (inner,), len(written), trips, source
    )
    node.passed = tuple(start for start, same in zip(starts, unchanged, strict=True) if not same)
    changed = [position for position, same in enumerate(unchanged) if not same]
    positions = changed + [i for i in range(len(inner.inputs)) if i not in set(changed)]
    inner.inputs = [inner.inputs[i] for i in positions]
    inner.sources = [inner.sources[i] for i in positions]
    inner.outputs = [inner.outputs[i] for i in changed] + inner.outputs[len(starts) :]
    inner.carried = len(changed)
    _added(node, nodes)
    return [*ends, *results]


def _needed(nodes: list[Node], outputs: Iterable[Value]) -> list[Node]:
    """Leave out nodes that no output needs."""
    used, kept = {id(value) for value in outputs}, []
    for node in reversed(nodes):
        if any(id(value) in used for value in node.writes):
            kept.append(node)
            used.update(id(value) for value in node.reads)
    return kept[::-1]
