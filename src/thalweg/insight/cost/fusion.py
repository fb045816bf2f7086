"""Which values of a computation become buffers, and what each remaining operation reads.

XLA computes a cheap operation inside of the operations that read it. What is left are *kernels*: operations
that write a buffer, each with the buffers that it reads. See `insight.cost.graph` for the rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from thalweg.insight.cost.nodes import Computation, Node, Value
from thalweg.insight.cost.primitives import EXPENSIVE, REARRANGES, REDUCTIONS

# Operations with branches in their code, which XLA emits at one place of a kernel only; others at up to 15
# (its FusionNodeIndexingEvaluation).
BRANCHES = {"concatenate", "stack", "pad", "dynamic_update_slice"}
MOST_EMITTED = 15


@dataclass(eq=False)
class Kernel:
    """An operation that writes buffers.

    Args:
        node: The operation whose result it writes.
        reads: The buffers that it reads.
        inside: The operations computed inside of it, itself included.
        aligned: Those of its reads that it reads element by element, at the place where it writes.
    """

    node: Node
    reads: list[Value] = field(default_factory=list)
    inside: list[Node] = field(default_factory=list)
    aligned: set[int] = field(default_factory=set)
    starts: tuple[Value, ...] = ()

    @property
    def writes(self) -> list[Value]:
        """The buffers that it writes."""
        return self.node.writes


def kernels(computation: Computation) -> list[Kernel]:
    """Return the kernels of a computation, in an order in which each follows those it reads from."""
    kept = _buffers(computation, _readers(computation))
    while True:
        result = [
            _kernel(node, kept)
            for node in computation.nodes
            if any(id(value) in kept for value in node.writes)
        ]
        more = _computed_twice(result) | {at for kernel in result for at in _emitted_too_often(kernel)}
        if not more - kept:
            return result
        kept |= more


def _computed_twice(work: list[Kernel]) -> set[int]:
    """Return the results of expensive operations that several kernels would compute."""
    count: dict[int, int] = {}
    nodes: dict[int, Node] = {}
    for kernel in work:
        for node in kernel.inside[1:]:
            if node.name in EXPENSIVE and node.writes[0].elements > 1:
                nodes[id(node)] = node
                count[id(node)] = count.get(id(node), 0) + 1
    return {id(nodes[key].writes[0]) for key, times in count.items() if times > 1}


def _emitted_too_often(kernel: Kernel) -> set[int]:
    """Return results that a kernel would compute at too many places, each with code of its own.

    An operation is emitted once for every way in which the operations that read it index it: elementwise ones
    hand their own index on, the others make a new one.
    """
    inside = {id(node): node for node in kernel.inside}
    sources: dict[int, set[int]] = {id(kernel.node): {0}}
    emitted: dict[int, int] = {0: 1}
    for node in _users_first(kernel):
        own = sources[id(node)]
        emitted[id(node)] = sum(emitted[source] for source in own)
        for value in node.reads:
            producer = value.producer
            if producer is not None and id(producer) in inside and producer is not kernel.node:
                hands_on = node.name not in REARRANGES and node.name not in REDUCTIONS
                sources.setdefault(id(producer), set()).update(own if hands_on else {id(node)})
    return {
        id(node.writes[0])
        for node in kernel.inside[1:]
        if (times := emitted.get(id(node), 1)) > 1
        and (node.name in BRANCHES or times > MOST_EMITTED)
        and node.writes[0].elements > 1
    }


def _users_first(kernel: Kernel) -> list[Node]:
    """Return the operations of a kernel, each after all that read it."""
    inside = {id(node): node for node in kernel.inside}
    order: list[Node] = []
    seen: set[int] = set()

    def visit(node: Node) -> None:
        seen.add(id(node))
        for value in node.reads:
            producer = value.producer
            if producer is not None and id(producer) in inside and id(producer) not in seen:
                visit(producer)
        order.append(node)

    visit(kernel.node)
    return order[::-1]


def _readers(computation: Computation) -> dict[int, list[Node]]:
    readers: dict[int, list[Node]] = {}
    for node in computation.nodes:
        for value in dict.fromkeys(node.reads):
            readers.setdefault(id(value), []).append(node)
    return readers


def _buffers(computation: Computation, readers: dict[int, list[Node]]) -> set[int]:
    """Return the values that become buffers, by identity."""
    kept = {id(value) for value in computation.outputs}
    for node in reversed(computation.nodes):
        if not node.fusible or len(node.writes) > 1:
            kept.update(id(value) for value in node.writes)
            continue
        value = node.writes[0]
        users = readers.get(id(value), [])
        into_all = all(_absorbs(user, node, value) for user in users)
        once = len(users) <= 1
        if not into_all or (node.name in EXPENSIVE and not once):
            kept.add(id(value))
    return kept


def _absorbs(user: Node, node: Node, value: Value) -> bool:
    """Return whether XLA computes `node` inside of an operation that reads its result."""
    if not user.fusible:
        return user.name == "dot_general" and node.name == "transpose" and len(value.shape) == 2
    if len(user.writes) > 1 and user.name not in REDUCTIONS:
        return False
    if node.name in EXPENSIVE and user.name in ("broadcast_in_dim", "gather"):
        return value.elements <= 1
    return True


def _kernel(node: Node, kept: set[int]) -> Kernel:
    """Return the kernel of an operation: what it computes inside of itself, and which buffers that reads."""
    kernel = Kernel(node)
    seen: set[int] = set()
    size = max((value.elements for value in node.writes), default=0)

    def visit(at: Node, aligned: bool) -> None:
        kernel.inside.append(at)
        aligned = aligned and at.name not in REARRANGES and at.name not in REDUCTIONS
        for value in at.reads:
            producer = value.producer
            if producer is not None and _recomputed(producer, value, at, kept):
                if id(value) not in seen:
                    seen.add(id(value))
                    visit(producer, aligned)
                continue
            if value.constant and value.elements <= 1:
                continue
            if value not in kernel.reads:
                kernel.reads.append(value)
            if aligned and value.elements == size:
                kernel.aligned.add(id(value))

    visit(node, node.fusible or node.in_place)
    return kernel


def _recomputed(producer: Node, value: Value, user: Node, kept: set[int]) -> bool:
    """Return whether a kernel computes an operand itself, even though it may also be in a buffer."""
    if id(value) not in kept:
        return True
    if not producer.fusible or len(producer.writes) > 1 or producer.name in EXPENSIVE | BRANCHES:
        return False
    return _absorbs(user, producer, value) and user.fusible and _is_unary(producer, value)


def _is_unary(node: Node, value: Value) -> bool:
    """Return whether an operation reads no more than it writes, so that computing it twice reads no more."""
    distinct = list(dict.fromkeys(node.reads))
    whole = [read for read in distinct if len(read.shape) >= len(value.shape) and not _spread(read)]
    return len(whole) <= 1 or sum(read.elements for read in distinct) <= value.elements


def _spread(value: Value) -> bool:
    """Return whether a value repeats a smaller one."""
    producer = value.producer
    return value.constant or (producer is not None and producer.name in ("broadcast_in_dim", "iota"))


def total(values: Sequence[Value]) -> int:
    """Return the bytes of several values, each once."""
    return sum(value.bytes for value in dict.fromkeys(values))
