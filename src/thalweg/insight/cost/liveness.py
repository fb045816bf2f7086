"""How much memory a computation needs: when each buffer lives, kernel by kernel.

Kernels run in the order of XLA's CPU scheduler: breadth first, so that independent kernels can run at once.
A buffer lives from the kernel that writes it to the last one that reads it. An elementwise kernel writes over
an operand that ends there. A loop keeps what it carries in place; where a pass reads the old value after
the new one may be written, it is copied first.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from thalweg.insight.cost.forms import Form, forms
from thalweg.insight.cost.fusion import Kernel, kernels
from thalweg.insight.cost.nodes import Computation, Node, Value
from thalweg.insight.cost.primitives import COUNTERS, LOOPS


@dataclass
class Peak:
    """The memory of a computation where it needs most.

    Args:
        bytes: What it needs besides what its inputs take, and what its carried values take.
        live: The buffers that live then, those of inner computations included.
    """

    bytes: int
    live: list[Value] = field(default_factory=list)


def peak(computation: Computation, reserved: bool = False) -> Peak:
    """Return the most memory that a computation needs at a time.

    Args:
        computation: The computation.
        reserved: Whether its outputs, and what it carries, are buffers that nothing else may use, as the
            results of a program are.
    """
    work = _with_copies(computation, _with_own_starts(computation, kernels(computation)))
    order = _breadth_first(work)
    outputs = {id(value) for value in computation.outputs} if reserved else set()
    inner = [_inside(kernel, outputs) for kernel in order]
    return _peak(computation, order, inner, reserved)


def _inside(kernel: Kernel, outputs: set[int]) -> Peak:
    node = kernel.node
    if not node.inner:
        return Peak(_scratch(node))
    reserved = node.name in LOOPS and any(id(value) in outputs for value in node.writes)
    peaks = [peak(inner, reserved) for inner in node.inner]
    most = max(peaks, key=lambda one: one.bytes)
    if node.name == "cond":  # the result of a branch is the result of the whole
        results = sum(value.bytes for value in node.writes)
        return Peak(max(0, most.bytes - results), most.live)
    return most


def _scratch(node: Node) -> int:
    """Return the bytes of intermediate results of one operation."""
    if node.name == "threefry2x32":  # a pass of its loop copies both words before it writes over them
        return sum(value.bytes for value in node.writes)
    if node.name.startswith("reduce") and not node.name.startswith("reduce_window") and not node.fusible:
        return node.reads[0].bytes // 32
    return 0


def _breadth_first(work: list[Kernel]) -> list[Kernel]:
    """Order kernels as XLA does: those that are ready run in the order in which they became so."""
    producer = {id(value): kernel for kernel in work for value in kernel.writes}
    waiting: dict[int, int] = {}
    users: dict[int, list[Kernel]] = {}
    for kernel in work:
        needs = {
            id(producer[id(value)]): producer[id(value)] for value in kernel.reads if id(value) in producer
        }
        waiting[id(kernel)] = len(needs)
        for need in needs.values():
            users.setdefault(id(need), []).append(kernel)
    ready = deque(kernel for kernel in work if not waiting[id(kernel)])
    order = []
    while ready:
        kernel = ready.popleft()
        order.append(kernel)
        for user in reversed(users.get(id(kernel), [])):
            waiting[id(user)] -= 1
            if not waiting[id(user)]:
                ready.append(user)
    return order


def _with_copies(computation: Computation, work: list[Kernel]) -> list[Kernel]:
    """Put a copy of a carried value before its readers where one of them may run after it is overwritten."""
    if not computation.carried:
        return work
    before = _ancestors(work)
    writer = {id(value): kernel for kernel in work for value in kernel.writes}
    index = {id(kernel): at for at, kernel in enumerate(work)}
    reading: dict[int, list[Kernel]] = {}
    for kernel in work:
        for value in kernel.reads:
            reading.setdefault(id(value), []).append(kernel)
    copies: list[Kernel] = []
    ends: list[Kernel] = []
    for position, (old, new) in enumerate(
        zip(computation.inputs[: computation.carried], computation.outputs, strict=False)
    ):
        owner = writer.get(id(new))
        if owner is None:
            if new is not old:  # another carried value, or a constant
                copies.append(_copied(old, []))
            continue
        if owner.node.name in LOOPS and not _carries(owner, old, new):
            copy = _copied(new, [])
            ends.append(copy)
            computation.outputs[position] = copy.writes[0]
            continue
        readers = [kernel for kernel in reading.get(id(old), []) if kernel is not owner]
        early = all(before[id(owner)] >> index[id(kernel)] & 1 for kernel in readers)
        over = old not in owner.reads or id(old) in owner.aligned or _carries(owner, old, new)
        if not (early and over):
            copies.append(_copied(old, [*readers, owner] if old in owner.reads else readers))
    return [*copies, *work, *ends]


def _with_own_starts(computation: Computation, work: list[Kernel]) -> list[Kernel]:
    """Copy what a loop starts from where something else reads it, or where it must not be overwritten."""
    result: list[Kernel] = []
    readers: dict[int, int] = {}
    final: dict[int, Kernel] = {}
    for kernel in work:
        for value in kernel.reads:
            readers[id(value)] = readers.get(id(value), 0) + 1
            final[id(value)] = kernel
    carried = {id(value) for value in computation.inputs[: computation.carried]}
    fixed = {id(value) for value in computation.inputs} - carried
    for kernel in work:
        node = kernel.node
        if node.name in LOOPS:
            starts = []
            for start in node.passed:
                # The last loop that starts from an array writes over it; the others copy it.
                others = readers.get(id(start), 0) > 1 and final[id(start)] is not kernel
                shared = others or node.passed.count(start) > 1
                if start.elements > 1 and (id(start) in fixed or (shared and id(start) not in carried)):
                    copy = _copied(start, [])
                    result.append(copy)
                    start = copy.writes[0]
                starts.append(start)
            kept = [
                value
                for value in kernel.reads
                if value not in node.passed or value in node.reads[len(node.passed) :]
            ]
            kernel.reads = list(dict.fromkeys([*starts, *kept]))
            kernel.starts = tuple(starts)
        result.append(kernel)
    return result


def _carries(owner: Kernel, old: Value, new: Value) -> bool:
    """Return whether a loop carries one value from another."""
    pairs = zip(owner.starts, owner.node.writes, strict=False)
    return any(start is old and written is new for start, written in pairs)


def _copied(old: Value, readers: list[Kernel]) -> Kernel:
    """Return a kernel that copies a value, and let the readers read the copy."""
    copy = Value(old.bytes, old.elements, old.label, shape=old.shape)
    node = Node("copy", [old], [copy])
    copy.producer = node
    for kernel in readers:
        kernel.reads = [copy if value is old else value for value in kernel.reads]
        kernel.starts = tuple(copy if value is old else value for value in kernel.starts)
        if id(old) in kernel.aligned:
            kernel.aligned.add(id(copy))
    return Kernel(node, [old], [node])


def _ancestors(work: list[Kernel]) -> dict[int, int]:
    """Return for every kernel the set of kernels that must run before it, as bits."""
    position = {id(value): index for index, kernel in enumerate(work) for value in kernel.writes}
    before: dict[int, int] = {}
    by_index: list[int] = []
    for kernel in work:
        bits = 0
        for value in kernel.reads:
            at = position.get(id(value))
            if at is not None:
                bits |= 1 << at | by_index[at]
        by_index.append(bits)
        before[id(kernel)] = bits
    return before


def _peak(computation: Computation, order: list[Kernel], inner: list[Peak], reserved: bool) -> Peak:
    """Follow the buffers through the schedule."""
    last, shapes = _last_reads(order), forms(computation)
    outputs = {id(value) for value in computation.outputs}
    carried = computation.inputs[: computation.carried]
    apart = outputs | {id(value) for value in carried} if reserved else set()
    for kernel in order:  # a result's buffer also holds what its loop starts from
        pairs = zip(kernel.starts, kernel.writes, strict=False)
        apart |= {id(start) for start, written in pairs if id(written) in apart}
    live = {id(value): value for value in carried if id(value) in last and id(value) not in apart}
    base = 0 if reserved else sum(value.bytes for value in carried)
    held = sum(value.bytes for value in live.values()) - base
    best = Peak(max(held, 0), list(live.values()))
    for at, (kernel, inside) in enumerate(zip(order, inner, strict=True)):
        reads = dict.fromkeys(value for value in kernel.reads if id(value) in live)
        ending = [value for value in reads if last[id(value)] == at and id(value) not in outputs]
        reusable = _reusable(kernel, ending)
        for value in kernel.writes:
            if id(value) in apart:
                continue
            over = next((old for old in reusable if _same_form(old, value, shapes)), None)
            if over is not None:
                reusable.remove(over)
                ending.remove(over)
                held -= live.pop(id(over)).bytes
            live[id(value)] = value
            held += value.bytes
        if held + inside.bytes > best.bytes:
            best = Peak(held + inside.bytes, [*live.values(), *inside.live])
        ending += [v for v in kernel.writes if id(v) in live and id(v) not in last and id(v) not in outputs]
        for value in ending:
            held -= live.pop(id(value)).bytes
    return best


def _same_form(old: Value, new: Value, shapes: dict[int, Form]) -> bool:
    """Return whether an operation may write over an operand: as many bytes in the same shape."""
    before, after = shapes.get(id(old)), shapes.get(id(new))
    return old.bytes == new.bytes and (before is None or after is None or before == after)


def _reusable(kernel: Kernel, ending: list[Value]) -> list[Value]:
    """Return the buffers that a kernel may write over: they end here."""
    node = kernel.node
    if node.name in LOOPS:
        passed = {id(value) for value in kernel.starts}
        return [value for value in ending if id(value) in passed]
    if node.in_place or node.fusible:
        return [
            value
            for value in ending
            if id(value) in kernel.aligned or (node.in_place and value is node.reads[0])
        ]
    return []


def _last_reads(order: list[Kernel]) -> dict[int, int]:
    last: dict[int, int] = {}
    for at, kernel in enumerate(order):
        for value in kernel.reads:
            last[id(value)] = at
    for kernel in order:
        if kernel.node.name == COUNTERS:
            last |= dict.fromkeys(map(id, kernel.writes), len(order))
    return last
