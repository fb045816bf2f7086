"""The parts of a computation as XLA sees it: arrays, operations, bodies of loops and branches."""

from __future__ import annotations

from dataclasses import dataclass, field

from jax.extend.core import JaxprEqn

from thalweg.insight.cost.primitives import OPAQUE, REDUCTIONS, WINDOW


@dataclass(eq=False)
class Value:
    """An array of a computation.

    Args:
        bytes, elements: Its size.
        label: What it is, where that is known: `weights`, `optimizer`, `data`, ...
        producer: The node that computes it; None for inputs and constants.
        shape: Its shape and dtype, as text for reports and comparisons.
        widened: The same in float32, where a product reads it so; all products share it.
    """

    bytes: int
    elements: int
    label: str = ""
    producer: Node | None = None
    shape: tuple[int, ...] = ()
    constant: bool = False
    widened: Value | None = None


@dataclass(eq=False)
class Node:
    """An operation.

    Args:
        name: Of its primitive.
        reads, writes: Its arrays.
        equation: The equation; None for what stands for a loop's own slices and copies.
        inner: The computations inside: a loop's body (and its condition), the branches of a branch.
        carried: Of a loop, how many of its writes are carried from pass to pass; they come first.
        trips: Passes of a loop; None where only the run knows.
        source: Names of the transformations that made it: `jvp`, `transpose`, `rematted_computation`.
        in_place: Whether the first value written may take the memory of a value read that ends here.
    """

    name: str
    reads: list[Value]
    writes: list[Value]
    equation: JaxprEqn | None = None
    inner: tuple[Computation, ...] = ()
    carried: int = 0
    trips: int | None = None
    source: str = ""
    in_place: bool = False
    passed: tuple[Value, ...] = ()

    @property
    def fusible(self) -> bool:
        """Whether XLA may compute it where it is read, and compute what it reads inside of it."""
        if self.inner or self.name in OPAQUE:
            return False
        if self.name == "concatenate":  # along the last axis it is a copy of whole rows
            return self.equation is None or self.equation.params["dimension"] < len(self.writes[0].shape) - 1
        return not (self.name in REDUCTIONS and _reduced_length(self) > WINDOW)


@dataclass(eq=False)
class Computation:
    """A body of nodes.

    Args:
        inputs, outputs: Its arrays; of a loop's body the carried ones come first, in both.
        nodes: In an order in which each follows those it reads from.
        carried: Of a loop's body, how many inputs are carried.
        sources: Of a loop's body or a branch, the value outside that each input is or starts from.
    """

    inputs: list[Value]
    outputs: list[Value]
    nodes: list[Node] = field(default_factory=list)
    carried: int = 0
    sources: list[Value] = field(default_factory=list)


def _reduced_length(node: Node) -> int:
    """Return the most numbers along an axis that a reduction sums."""
    assert node.equation is not None
    if node.equation.primitive.name == "dot_general":  # a product of two vectors
        return node.reads[0].elements
    axes = node.equation.params.get("axes") or node.equation.params.get("dimensions") or ()
    shape = node.equation.invars[0].aval.shape  # type: ignore[attr-defined]
    return max((shape[axis] for axis in axes), default=1)
