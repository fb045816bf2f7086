"""The shape in which XLA writes each value, which a reshape of the jaxpr may have changed.

A reshape is another view of the same memory, so a value has one buffer whatever shape it is read in. Still
the shape matters: an operation writes over an operand only if both have the same one. XLA moves a reshape
behind the elementwise operations that read it, if they read nothing else but arrays that are reshaped
likewise and repeated scalars (its ReshapeMover). It computes a last reshape together with the operation
before it.
"""

from __future__ import annotations

from thalweg.insight.cost.nodes import Computation, Node, Value
from thalweg.insight.cost.primitives import REARRANGES, REDUCTIONS

Form = tuple[int, ...]


def forms(computation: Computation) -> dict[int, Form]:
    """Return the shape in which each value is written, without axes of length 1, by the value's identity."""
    moved = _moved(computation)
    readers: dict[int, set[Form]] = {}
    for node in computation.nodes:
        for at, value in enumerate(node.reads):
            if id(node) not in moved:
                readers.setdefault(id(value), set()).add(_read(node, at))
    result: dict[int, Form] = {}
    for node in computation.nodes:
        for value in node.writes:
            result[id(value)] = moved.get(id(node), _plain(value.shape))
            read = readers.get(id(value), set())
            if node.fusible and len(read) == 1:
                result[id(value)] = next(iter(read))
    return result


def _moved(computation: Computation) -> dict[int, Form]:
    """Return the shape that the result of each operation gets by moving reshapes behind it, where one is."""
    tried = {id(node) for node in computation.nodes if _elementwise(node)}
    while True:
        moved: dict[int, Form] = {}
        written: dict[int, Form] = {}
        for node in computation.nodes:
            form = _sunk(node, written) if id(node) in tried else None
            if form is not None:
                moved[id(node)] = form
            for value in node.writes:
                written[id(value)] = form or _plain(value.shape)
        kept = _without_other_readers(computation, moved, written)
        if len(kept) == len(moved):
            return moved
        tried = kept


def _sunk(node: Node, written: dict[int, Form]) -> Form | None:
    """Return the shape that all operands of an elementwise operation have before they are reshaped."""
    found: set[Form] = set()
    for at, value in enumerate(node.reads):
        if value.elements <= 1 or _repeats_scalar(value):
            continue
        before = written.get(id(value), _plain(value.shape))
        if before == _read(node, at):
            return None
        found.add(before)
    return found.pop() if len(found) == 1 else None


def _without_other_readers(
    computation: Computation, moved: dict[int, Form], written: dict[int, Form]
) -> set[int]:
    """Return the operations whose reshaped operands only operations like them read in that shape."""
    outside = {
        id(value)
        for node in computation.nodes
        if id(node) not in moved
        for at, value in enumerate(node.reads)
        if written.get(id(value), _read(node, at)) != _read(node, at)
    }
    return {
        id(node)
        for node in computation.nodes
        if id(node) in moved and not any(id(value) in outside for value in node.reads)
    }


def _elementwise(node: Node) -> bool:
    return node.fusible and len(node.writes) == 1 and node.name not in REARRANGES | REDUCTIONS


def _repeats_scalar(value: Value) -> bool:
    producer = value.producer
    return value.constant or (
        producer is not None and producer.name == "broadcast_in_dim" and producer.reads[0].elements <= 1
    )


def _read(node: Node, at: int) -> Form:
    """Return the shape in which an operation reads an operand."""
    equation = node.equation
    if equation is None or node.inner or len(equation.invars) != len(node.reads):
        return _plain(node.reads[at].shape)
    return _plain(equation.invars[at].aval.shape)  # type: ignore[attr-defined]


def _plain(shape: Form) -> Form:
    return tuple(length for length in shape if length != 1)
