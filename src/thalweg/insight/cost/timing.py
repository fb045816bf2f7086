"""The seconds of one update, kernel by kernel, from measured rates or from a data sheet.

On this machine a product takes what its shape took when it was measured; any other kernel what its memory
traffic and its functions take, and the start of an operation. On another device a kernel takes the longer of
its operations and its traffic at the rates of the data sheet (the roofline), and a launch.

Reference: Williams, Waterman & Patterson, Roofline: An Insightful Visual Performance Model, 2009.
"""

from collections.abc import Callable

from thalweg.insight.cost import flops
from thalweg.insight.cost.devices import LAUNCH, Device
from thalweg.insight.cost.fusion import Kernel, kernels
from thalweg.insight.cost.nodes import Computation
from thalweg.insight.cost.primitives import EXPENSIVE, REDUCTIONS
from thalweg.insight.cost.rates import Rates

FUNCTIONS = EXPENSIVE - REDUCTIONS - {"div", "rem", "sqrt", "rsqrt"}
# Passes of a loop whose length only the run knows: those of a random number generator.
UNKNOWN_TRIPS = 1


def seconds(computation: Computation, of_kernel: Callable[[Kernel], float]) -> float:
    """Return the seconds of a computation, loops with all their passes, branches as the longest."""
    total = 0.0
    for kernel in kernels(computation):
        node = kernel.node
        if node.inner:
            inside = max(seconds(inner, of_kernel) for inner in node.inner)
            total += inside * (node.trips or UNKNOWN_TRIPS)
        else:
            total += of_kernel(kernel)
    return total


def measured(rates: Rates) -> Callable[[Kernel], float]:
    """Return the seconds of a kernel on this machine."""

    def of(kernel: Kernel) -> float:
        node = kernel.node
        if node.name == "dot_general" and node.equation is not None:
            dtype = str(node.equation.outvars[0].aval.dtype)  # type: ignore[attr-defined]
            return rates.product(*flops.product_shape(node), dtype) + rates.start
        taken = _traffic(kernel)
        spent = rates.start + rates.moving(taken)
        spent += rates.function * sum(
            one.writes[0].elements for one in kernel.inside if one.name in FUNCTIONS and one.writes
        )
        if node.name in REDUCTIONS:
            spent += max(rates.summing) * node.reads[0].elements
        if any(one.name == "gather" for one in kernel.inside):
            spent += rates.gather * node.writes[0].elements
        return spent

    return of


def on_device(device: Device, narrow: bool) -> Callable[[Kernel], float]:
    """Return the seconds of a kernel on another device: at best, by its data sheet."""

    def of(kernel: Kernel) -> float:
        work = sum((flops.of_node(one) for one in kernel.inside), flops.Flops())
        rate = device.bf16 if narrow else device.f32
        computing = work.products / rate + (work.total - work.products) / device.vector
        return LAUNCH + max(computing, _traffic(kernel) / device.bandwidth)

    return of


def _traffic(kernel: Kernel) -> float:
    """Return the bytes that a kernel reads and writes; of a gathered or sliced array what is taken of it."""
    written = sum(value.bytes for value in kernel.writes)
    largest = max((one.writes[0].bytes for one in kernel.inside if one.writes), default=written)
    picks = any(
        one.name in ("gather", "dynamic_slice", "slice", "dynamic_update_slice") for one in kernel.inside
    )
    read = sum(min(value.bytes, max(largest, written)) if picks else value.bytes for value in kernel.reads)
    return float(read + written)
