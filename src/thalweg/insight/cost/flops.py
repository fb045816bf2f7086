"""Floating-point operations of a jaxpr, multiplications and additions apart, and the layer each belongs to.

A product of an N x M with an M x T matrix has N M T multiplications and N (M - 1) T additions: a layer of 3
outputs on 5 inputs takes 15 + 12 = 27. A loop's body counts as often as it runs. Copies, comparisons and
integer work count nothing; a function such as exp counts one.

Reference: Goodfellow, Bengio & Courville, Deep Learning, 2016, section 6.5 (cost of forward and backward).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax.numpy as jnp

from thalweg.insight.cost.nodes import Computation, Node, Value
from thalweg.insight.cost.primitives import EXPENSIVE, LOOPS, REDUCTIONS

MULTIPLY = {"mul", "div", "square"}
ADD = {"add", "sub", "add_any"}
FUNCTIONS = EXPENSIVE - REDUCTIONS - {"div", "rem"} | {"max", "min"}
SUMS = {"reduce_sum", "reduce_window_sum", "cumsum"}


@dataclass
class Flops:
    """Operations.

    Args:
        products_multiply, products_add: In matrix products and convolutions.
        multiply, add: Elsewhere.
        functions: Evaluations of exp, log, sqrt, max and the like.
    """

    products_multiply: int = 0
    products_add: int = 0
    multiply: int = 0
    add: int = 0
    functions: int = 0

    @property
    def products(self) -> int:
        """Operations in products."""
        return self.products_multiply + self.products_add

    @property
    def total(self) -> int:
        """All of them."""
        return self.products + self.multiply + self.add + self.functions

    def __add__(self, other: Flops) -> Flops:
        return Flops(*(a + b for a, b in zip(self.parts(), other.parts(), strict=True)))

    def __sub__(self, other: Flops) -> Flops:
        return Flops(*(max(0, a - b) for a, b in zip(self.parts(), other.parts(), strict=True)))

    def times(self, count: int) -> Flops:
        """Return them repeated."""
        return Flops(*(count * part for part in self.parts()))

    def parts(self) -> tuple[int, ...]:
        """Return the fields in order."""
        return (self.products_multiply, self.products_add, self.multiply, self.add, self.functions)


@dataclass
class Layers:
    """Operations by layer.

    Args:
        forward, backward, recomputed: By the name of a layer, in the order of the forward pass.
    """

    forward: dict[str, Flops] = field(default_factory=dict)
    backward: dict[str, Flops] = field(default_factory=dict)
    recomputed: Flops = field(default_factory=Flops)


def count(computation: Computation) -> Flops:
    """Return the operations of a computation."""
    return _sum(of_node(node) for node in computation.nodes)


def of_node(node: Node) -> Flops:
    """Return the operations of one node, with what is inside of it."""
    if node.inner:
        inside = [count(inner) for inner in node.inner]
        return max(inside, key=lambda one: one.total).times(node.trips or 1)
    equation = node.equation
    if equation is None or not any(_is_float(var.aval) for var in equation.outvars):
        return Flops()
    name, outputs = equation.primitive.name, math.prod(equation.outvars[0].aval.shape)  # type: ignore[attr-defined]
    if name in ("dot_general", "conv_general_dilated"):
        length = _summed(equation)
        return Flops(outputs * length, outputs * (length - 1))
    if name in MULTIPLY:
        return Flops(multiply=outputs)
    if name == "integer_pow":
        return Flops(multiply=outputs * max(0, abs(equation.params["y"]) - 1))
    if name in ADD:
        return Flops(add=outputs)
    if name in SUMS:
        return Flops(add=max(0, math.prod(equation.invars[0].aval.shape) - outputs))  # type: ignore[attr-defined]
    if name in ("scatter-add", "scatter_add"):
        return Flops(add=math.prod(equation.invars[2].aval.shape))  # type: ignore[attr-defined]
    if name in REDUCTIONS:
        return Flops(functions=math.prod(equation.invars[0].aval.shape))  # type: ignore[attr-defined]
    return Flops(functions=outputs) if name in FUNCTIONS else Flops()


def product_shape(node: Node) -> tuple[int, int, int, int]:
    """Return batch, rows, summed length and columns of a matrix product."""
    assert node.equation is not None
    (left_summed, _), (left_batch, _) = node.equation.params["dimension_numbers"]
    left, right = (var.aval.shape for var in node.equation.invars)  # type: ignore[attr-defined]
    batch = math.prod(left[axis] for axis in left_batch)
    summed = math.prod(left[axis] for axis in left_summed)
    rows = math.prod(left) // max(1, batch * summed)
    return batch, rows, summed, math.prod(right) // max(1, batch * summed)


def by_layer(computation: Computation, layers: Sequence[str]) -> tuple[Layers, dict[int, str]]:
    """Return the operations of a gradient by layer, and the layer of every node by identity.

    A layer owns the operations that use its parameters, and those that follow until the next layer's. In the
    backward pass it owns the gradients of its parameters, and what uses them or its own forward values.

    Args:
        computation: The loss and its gradient; the parameters are its first inputs, and the gradients its
            last outputs, in the same order.
        layers: The layer of each parameter.
    """
    pure = {id(value): name for value, name in zip(computation.inputs, layers, strict=False)}
    grads = computation.outputs[len(computation.outputs) - len(layers) :]
    ends = {id(value): {name} for value, name in zip(grads, layers, strict=False)}
    result, owners = Layers(), dict[int, str]()
    _divide(computation, pure, ends, result, owners, 1)
    return result, owners


def _divide(
    computation: Computation,
    pure: dict[int, str],
    ends: dict[int, set[str]],
    result: Layers,
    owners: dict[int, str],
    trips: int,
) -> None:
    """Add the operations of a computation to their layers; loops around both passes are divided too."""
    owners |= _owners(computation, pure, ends)
    for node in computation.nodes:
        inner = max(node.inner, key=lambda one: count(one).total) if node.inner else None
        if inner is not None and any(is_backward(one) for one in inner.nodes):
            names = {
                id(v): pure[id(s)] for v, s in zip(inner.inputs, inner.sources, strict=True) if id(s) in pure
            }
            results = inner.outputs[: inner.carried] if node.name in LOOPS else inner.outputs
            outer = zip(results, node.writes, strict=False)
            goals = {id(value): ends[id(written)] for value, written in outer if id(written) in ends}
            _divide(inner, names, goals, result, owners, trips * (node.trips or 1))
            continue
        flops = of_node(node).times(trips)
        if not flops.total:
            continue
        if "recompute" in node.source and "transpose(" not in node.source:
            result.recomputed = result.recomputed + flops
        side = result.backward if is_backward(node) else result.forward
        name = owners[id(node)]
        side[name] = side.get(name, Flops()) + flops


def is_backward(node: Node) -> bool:
    """Return whether a node belongs to the backward pass."""
    return "transpose(" in node.source or "recompute" in node.source


def _owners(computation: Computation, pure: dict[int, str], ends: dict[int, set[str]]) -> dict[int, str]:
    """Return the layer of every node; `pure` grows by what is computed from one layer's parameters alone."""
    sinks = _sinks(computation, ends)
    of_value: dict[int, str] = {}
    owners: dict[int, str] = {}
    order = {id(node): at for at, node in enumerate(computation.nodes)}
    last = next(iter(pure.values()), "model")
    for node in computation.nodes:
        named = [pure[id(value)] for value in node.reads if id(value) in pure]
        others = [value for value in node.reads if id(value) not in pure and not value.constant]
        came = [value for value in others if id(value) in of_value]
        came.sort(key=lambda value: order[id(value.producer)] if value.producer is not None else -1)
        if named:
            name = named[-1]
        elif is_backward(node) and node.writes and id(node.writes[0]) in sinks:
            name = sinks[id(node.writes[0])]
        elif is_backward(node) and (
            forward := [v for v in came if v.producer and not is_backward(v.producer)]
        ):
            name = of_value[id(forward[-1])]
        else:
            name = of_value[id(came[-1])] if came else last
        owners[id(node)] = name
        for value in node.writes:
            of_value[id(value)] = name
            if named and not others:
                pure[id(value)] = name
    return owners


def _sinks(computation: Computation, ends: dict[int, set[str]]) -> dict[int, str]:
    """Return the layer whose gradient alone a value leads to, for the values that lead to one."""
    reach = {key: set(names) for key, names in ends.items()}
    for node in reversed(computation.nodes):
        goals = set().union(*(reach.get(id(value), set()) for value in node.writes))
        # Every result of a loop leads to goals of its own; a plain node has one result.
        each = {id(v): reach.get(id(v), set()) if node.inner else goals for v in node.writes}
        ends |= {key: set(found) for key, found in each.items() if found}
        for value in node.reads:
            reach.setdefault(id(value), set()).update(goals)
    return {key: next(iter(names)) for key, names in reach.items() if len(names) == 1}


def kept_for_backward(computation: Computation, work: Iterable[Any]) -> list[Value]:
    """Return the buffers that the forward pass writes and the backward pass reads."""
    own = {id(value) for value in computation.inputs}
    kept: dict[int, Value] = {}
    for kernel in work:
        if is_backward(kernel.node):
            for value in kernel.reads:
                producer = value.producer
                if id(value) not in own and producer is not None and not is_backward(producer):
                    kept[id(value)] = value
    return list(kept.values())


def _summed(equation: Any) -> int:
    """Return how many products each output of a product or a convolution sums."""
    if equation.primitive.name == "dot_general":
        ((left, _), _) = equation.params["dimension_numbers"]
        return math.prod(equation.invars[0].aval.shape[axis] for axis in left)
    kernel, numbers = equation.invars[1].aval.shape, equation.params["dimension_numbers"]
    outputs = kernel[numbers.rhs_spec[0]]
    return math.prod(kernel) // max(1, outputs)


def _is_float(aval: Any) -> bool:
    return hasattr(aval, "dtype") and jnp.issubdtype(aval.dtype, jnp.inexact)


def _sum(several: Iterable[Flops]) -> Flops:
    total = Flops()
    for one in several:
        total = total + one
    return total
