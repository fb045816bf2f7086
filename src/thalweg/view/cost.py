"""The cost of a run as text: operations by layer, memory by kind, time, and what would fit into less."""

from collections.abc import Sequence

from thalweg.core.caller import option, setting
from thalweg.core.limits import as_bytes
from thalweg.insight.cost.cost import Cost
from thalweg.insight.cost.devices import CPU
from thalweg.insight.cost.fitting import Fitting
from thalweg.insight.cost.flops import Flops

# Layers that are listed one by one; of deeper models the first and the last are.
MOST_LAYERS = 24
# From this share of waiting on, the rates of a machine are not its own. On two idle cores it is 0.2, as XLA's
# threads wait for one another; with other programs beside it was 0.8.
BUSY = 0.4


def text(cost: Cost) -> str:
    """Return the whole cost."""
    return "\n".join([*_head(cost), "", *_operations(cost), "", *_memory(cost), "", *_time(cost)])


def batches(costs: Sequence[Cost]) -> str:
    """Return a table over batch sizes."""
    rows = [["batch", "operations an update", "memory", "seconds an update", "seconds an epoch"]]
    for cost in costs:
        step = cost.step_seconds
        rows.append(
            [
                f"{cost.batch:,}",
                amount(cost.step),
                as_bytes(cost.memory.total),
                "" if step is None else f"{step:.3g}",
                "" if step is None else f"{step * cost.epoch_steps:.3g}",
            ]
        )
    return _table(rows)


def fitting(fit: Fitting) -> str:
    """Return which change fits into the budget."""
    if not fit.changes:
        return f"fits in {as_bytes(fit.budget)} as it is: {as_bytes(fit.compiled)} compiled"
    changes = " ".join(setting(path, value) for path, value in fit.changes.items())
    gradient = "the same gradient" if fit.same_gradient else "another gradient: the run will differ"
    return (
        f"to fit in {as_bytes(fit.budget)}: {changes}\n"
        f"memory {as_bytes(fit.before)} -> {as_bytes(fit.predicted)} predicted, "
        f"{as_bytes(fit.compiled)} compiled; "
        f"{fit.slowdown:.2f}x the time, predicted; {gradient}"
    )


def amount(count: float) -> str:
    """Write a number of operations: `27`, `12.5 thousand`, `3.1 billion`."""
    for power, word in ((15, "quadrillion"), (12, "trillion"), (9, "billion"), (6, "million")):
        if count >= 10**power:
            return f"{count / 10**power:.3g} {word}"
    return f"{count:,.0f}"


def _head(cost: Cost) -> list[str]:
    return [
        f"{cost.model}: {cost.parameters:,} parameters; batch {cost.batch:,}, "
        f"{cost.epoch_steps:,} updates an epoch, {cost.steps:,} in all"
    ]


def _operations(cost: Cost) -> list[str]:
    one = cost.inference
    rows = [["operations of an update", "products x", "products +", "other", "backward"]]
    names = list(cost.layers)
    half = MOST_LAYERS // 2
    folded = names if len(names) <= MOST_LAYERS else [*names[:half], "...", *names[-half:]]
    for name in folded:
        forward, backward = cost.layers.get(name, (Flops(), Flops()))
        if name == "...":
            rows.append([f"... {len(names) - MOST_LAYERS} more", "", "", "", ""])
            continue
        other = forward.total - forward.products
        rows.append(
            [
                name,
                amount(forward.products_multiply),
                amount(forward.products_add),
                amount(other),
                amount(backward.total),
            ]
        )
    lines = _table(rows).splitlines()
    again = f", of which {amount(cost.recomputed.total)} again" if cost.recomputed.total else ""
    return [
        f"a prediction   {one.products_multiply:,} multiplications + {one.products_add:,} additions = "
        f"{one.products:,} in products, {one.total - one.products:,} others",
        f"an update      {amount(cost.step)}: forward {amount(cost.forward.total)}, backward "
        f"{amount(cost.backward.total)}{again}, update {amount(cost.update.total)}",
        f"               products backward / forward: {cost.backward_ratio:.2f}; the rule of thumb is 2, "
        "less the gradient of the inputs",
        f"an epoch       {amount(cost.step * cost.epoch_steps)}; the run {amount(cost.step * cost.steps)}",
        "",
        *lines,
    ]


def _memory(cost: Cost) -> list[str]:
    memory = cost.memory
    kinds = [f"{name} {as_bytes(taken)}" for name, taken in memory.inputs.items() if taken >= 1000]
    largest = sorted(memory.activations_by_layer.items(), key=lambda item: -item[1])[:3]
    most = ", ".join(f"{name} {as_bytes(taken)}" for name, taken in largest if taken)
    return [
        f"memory         {as_bytes(memory.total)} at the peak of training, besides what Python and JAX take",
        f"  held         {', '.join(kinds)}",
        f"  results      {as_bytes(memory.results)}: the next state, and what the steps report",
        f"  temporaries  {as_bytes(memory.temporaries)}",
        f"  of which     gradients {as_bytes(memory.gradients)}, activations kept for the backward pass "
        f"{as_bytes(memory.activations)}",
        *([f"               most in {most}"] if most else []),
        f"  another lane {as_bytes(cost.lane)}",
        f"  evaluation   {as_bytes(memory.evaluation)} at its peak"
        + (", which is more than training takes" if memory.evaluation > memory.total else ""),
    ]


def _time(cost: Cost) -> list[str]:
    step = cost.step_seconds
    if step is None:
        return ["time           not known: this machine was not measured"]
    where = "this machine, from its measured rates" if cost.device == CPU else f"{cost.device}, at best"
    lines = [
        f"time           {seconds(step)} an update, {seconds(step * cost.epoch_steps)} an epoch, "
        f"{seconds(step * cost.steps)} in all",
        f"               predicted for {where}; without compilation and evaluations",
    ]
    if cost.source:
        lines.append(f"               by {cost.source}")
    if (cost.waited or 0.0) > BUSY:
        share = f"{100 * cost.waited:.0f} %"  # type: ignore[operator]
        lines += [
            f"               may be too long: in {share} of the time in which the rates were measured, other",
            f"               programs had the processors; {option('measure')} measures again",
        ]
    return lines


def seconds(value: float) -> str:
    """Write a length of time."""
    for limit, factor, unit in ((1e-3, 1e6, "microseconds"), (1.0, 1e3, "ms"), (120.0, 1.0, "s")):
        if value < limit:
            return f"{value * factor:.3g} {unit}"
    return f"{value / 60:.3g} min" if value < 7200 else f"{value / 3600:.3g} h"


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            [
                row[0].ljust(widths[0]),
                *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)),
            ]
        ).rstrip()
        for row in rows
    )
