"""The seconds of one update, kernel by kernel, from measured rates or from a data sheet.

On this machine a product takes what its shape took when it was measured; any other kernel what its memory
traffic and its functions take, and the start of an operation; each times a factor for that kind of work
within a training step. On another device a kernel takes the longer of its operations and its traffic at the
rates of the data sheet (the roofline), and a launch.

Reference: Williams, Waterman & Patterson, Roofline: An Insightful Visual Performance Model, 2009.
"""

from thalweg.insight.cost import flops
from thalweg.insight.cost.devices import LAUNCH, Device
from thalweg.insight.cost.fusion import Kernel, kernels
from thalweg.insight.cost.nodes import Computation
from thalweg.insight.cost.primitives import COUNTERS, EXPENSIVE, REDUCTIONS
from thalweg.insight.cost.rates import Rates, between

FUNCTIONS = EXPENSIVE - REDUCTIONS - {"div", "rem", "sqrt", "rsqrt", "gather"}
# How long an operation takes in a training step, as a multiple of what it takes alone in a loop: fitted to
# the development configurations of `python -m benchmarks run cost` (`COST_FIT=1`).
WITHIN: dict[str, float] = {
    "products": 0.966,
    "batched": 0.483,
    "traffic": 0.42,
    "functions": 3.032,
    "sums": 2.844,
    "random": 0.34,
    "starts": 0.352,
    "rearranged": 1.5,
}
RANDOM = {"random_bits", "threefry2x32", "rng_bit_generator"}
REARRANGED = {
    *("slice", "dynamic_slice", "dynamic_update_slice", "concatenate", "pad", "transpose", "scatter-add"),
}
# Passes of a loop whose length only the run knows: those of a random number generator.
UNKNOWN_TRIPS = 1


def of_update(update: Computation, rates: Rates) -> float:
    """Return the seconds of an update on this machine."""
    return _within(by_kind(update, rates))


def by_kind(computation: Computation, rates: Rates) -> dict[str, float]:
    """Return what the kernels would take alone on this machine, by the kinds of `WITHIN`.

    Loops count with all their passes, branches as the longest.
    """
    total = dict.fromkeys(WITHIN, 0.0)
    for kernel in kernels(computation):
        node = kernel.node
        if node.inner:
            inside = max((by_kind(inner, rates) for inner in node.inner), key=_within)
            trips = node.trips or UNKNOWN_TRIPS
            spent = {kind: trips * inside[kind] for kind in WITHIN}
        elif node.name == COUNTERS:
            continue
        else:
            spent = parts(rates, kernel)
        for kind, more in spent.items():
            total[kind] += more
    return total


def _within(spent: dict[str, float]) -> float:
    return sum(WITHIN[kind] * more for kind, more in spent.items())


def parts(rates: Rates, kernel: Kernel) -> dict[str, float]:
    """Return what a kernel would take alone, by the kinds of `WITHIN`."""
    node = kernel.node
    if node.name == "dot_general" and node.equation is not None:
        dtype = str(node.equation.outvars[0].aval.dtype)  # type: ignore[attr-defined]
        shape = flops.product_shape(node)
        kind = "products" if shape[0] == 1 else "batched"
        return {kind: rates.product(*shape, dtype), "starts": rates.start}
    size = max((one.writes[0].elements for one in kernel.inside if one.writes), default=1)
    spent: dict[str, float] = {"starts": rates.start, "traffic": rates.moving(_traffic(kernel))}
    if node.name in RANDOM:
        # Threefry writes two words for each number that is drawn.
        spent["random"] = between(rates.random, size) * node.writes[0].elements
        return spent
    called = sum(one.writes[0].elements for one in kernel.inside if one.name in FUNCTIONS and one.writes)
    spent["functions"] = between(rates.function, size) * called
    if node.name in REDUCTIONS:
        spent["sums"] = between(rates.summing, size) * node.reads[0].elements
    if node.name in REARRANGED:  # an element at a time, as a function is
        spent["rearranged"] = rates.function[0] * node.writes[0].elements
    return spent


def on_device(computation: Computation, device: Device, narrow: bool) -> float:
    """Return the seconds of a computation on another device: at best, by its data sheet.

    Args:
        computation: The computation; loops count with all their passes, branches as the longest.
        device: The device.
        narrow: Whether products are of 16-bit numbers.
    """
    total = 0.0
    for kernel in kernels(computation):
        node = kernel.node
        if node.inner:
            inside = max(on_device(inner, device, narrow) for inner in node.inner)
            total += inside * (node.trips or UNKNOWN_TRIPS)
            continue
        if node.name == COUNTERS:
            continue
        work = sum((flops.of_node(one) for one in kernel.inside), flops.Flops())
        rate = device.bf16 if narrow else device.f32
        computing = work.products / rate + (work.total - work.products) / device.vector
        total += LAUNCH + max(computing, _traffic(kernel) / device.bandwidth)
    return total


def _traffic(kernel: Kernel) -> float:
    """Return the bytes that a kernel reads and writes; of a gathered or sliced array what is taken of it."""
    written = sum(value.bytes for value in kernel.writes)
    largest = max((one.writes[0].bytes for one in kernel.inside if one.writes), default=written)
    picks = any(
        one.name in ("gather", "dynamic_slice", "slice", "dynamic_update_slice") for one in kernel.inside
    )
    read = sum(min(value.bytes, max(largest, written)) if picks else value.bytes for value in kernel.reads)
    return float(read + written)
