"""What a run costs, before it runs: operations, memory and time, by layer and by kind.

Nothing is compiled or trained: the compiled loop is traced to a jaxpr, whose memory is followed buffer by
buffer (`liveness`), whose operations are counted (`flops`), and whose kernels are timed from measured rates
(`timing`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from thalweg.core.arguments import checked
from thalweg.core.errors import BadInput
from thalweg.core.shown import Shown
from thalweg.core.tree import count, paths
from thalweg.engine.group import lane_bytes
from thalweg.insight.cost import flops, graph, liveness, nodes, timing, trace
from thalweg.insight.cost.devices import CPU, Device, device_named
from thalweg.insight.cost.flops import Flops
from thalweg.insight.cost.fusion import kernels
from thalweg.insight.cost.primitives import LOOPS
from thalweg.insight.cost.rates import known, rates
from thalweg.problem.problem import Problem
from thalweg.recipe.book import default_recipe
from thalweg.recipe.recipe import Recipe


@dataclass(frozen=True)
class Memory:
    """Bytes of a run of one lane.

    Args:
        total: At the peak: arguments, results and temporaries of the compiled loop.
        inputs: Of its arguments, by kind: weights, optimizer, averages, data, ...
        results: Of what it returns, which is apart from its arguments.
        temporaries: The rest.
        activations: What the forward pass keeps for the backward pass, in one microbatch.
        gradients: Of the parameters.
        activations_by_layer: The same by layer.
        evaluation: At the peak of an evaluation: what is held, and the temporaries of its program.
    """

    total: int
    inputs: Mapping[str, int]
    results: int
    temporaries: int
    activations: int
    gradients: int
    activations_by_layer: Mapping[str, int]
    evaluation: int

    @property
    def peak(self) -> int:
        """The larger of what training and what an evaluation takes."""
        return max(self.total, self.evaluation)


@dataclass(frozen=True)
class Cost(Shown):
    """The cost of a run.

    Args:
        model: The model in one line.
        parameters: Their number.
        batch, steps, epoch_steps: Examples in an update, updates in the run, and in an epoch.
        inference: Operations of one prediction.
        forward, backward, update: Operations of one update, by part.
        recomputed: Those of the backward pass that repeat the forward pass; `backward` includes them.
        layers: By layer: forward and backward operations of one update.
        memory: Bytes.
        lane: Bytes of one more lane.
        step_seconds: Predicted seconds of an update; None where the machine's rates were not measured.
        device: What it is predicted for.
        source: The data sheet of the device; empty for this machine.
        waited: Share of the measurement of this machine's rates in which other programs had its processors,
            so that the rates, and `step_seconds`, are too high; None where it is not known.
    """

    model: str
    parameters: int
    batch: int
    steps: int
    epoch_steps: int
    inference: Flops
    forward: Flops
    backward: Flops
    recomputed: Flops
    update: Flops
    layers: Mapping[str, tuple[Flops, Flops]]
    memory: Memory
    lane: int
    step_seconds: float | None
    device: str
    source: str
    waited: float | None = None

    @property
    def step(self) -> int:
        """Operations of one update."""
        return self.forward.total + self.backward.total + self.update.total

    @property
    def backward_ratio(self) -> float:
        """Operations in products of the backward pass, as a multiple of those of the forward pass."""
        return self.backward.products / self.forward.products if self.forward.products else float("nan")

    def to_dict(self) -> dict[str, Any]:
        """Return the cost as plain values."""
        return {
            "model": self.model,
            "parameters": self.parameters,
            "batch": self.batch,
            "steps": self.steps,
            "epoch_steps": self.epoch_steps,
            "flops": {
                "inference": _plain(self.inference),
                "forward": _plain(self.forward),
                "backward": _plain(self.backward),
                "recomputed": _plain(self.recomputed),
                "update": _plain(self.update),
                "step": self.step,
                "epoch": self.step * self.epoch_steps,
                "run": self.step * self.steps,
            },
            "layers": {
                name: {"forward": _plain(there), "backward": _plain(back)}
                for name, (there, back) in self.layers.items()
            },
            "memory": {
                "total": self.memory.total,
                **{f"input_{name.replace(' ', '_')}": taken for name, taken in self.memory.inputs.items()},
                "results": self.memory.results,
                "temporaries": self.memory.temporaries,
                "evaluation": self.memory.evaluation,
                "activations": self.memory.activations,
                "gradients": self.memory.gradients,
                "another_lane": self.lane,
            },
            "seconds": None
            if self.step_seconds is None
            else {
                "step": self.step_seconds,
                "epoch": self.step_seconds * self.epoch_steps,
                "run": self.step_seconds * self.steps,
                "rates_waited": self.waited,
            },
            "device": self.device,
            "source": self.source,
        }


@checked(BadInput)
def cost(
    problem: Problem,
    recipe: Recipe | None = None,
    *,
    device: str = CPU,
    measure: bool | None = None,
) -> Cost:
    """Return what a run costs; nothing is compiled or trained.

    Args:
        problem: What is learned.
        recipe: How; None for the default of the data.
        device: `cpu` for this machine, or a device with a known data sheet: `A100`, `H100`, `H200`, `L4`,
            `T4`, `RTX4090`, `TPUv4`, `TPUv5e`. Its time is a lower bound, by the data sheet.
        measure: Whether this machine's rates are measured first (in some twenty seconds) if they are not
            known: None does it if necessary, True measures again, False leaves the time unknown.

    Raises:
        BadInput: The device is not known, or the recipe does not fit the problem.

    Example:
        >>> import thalweg as tw
        >>> problem = tw.Problem(tw.LinearModel([64, 10]), "digits")
        >>> tw.cost(problem, tw.Recipe(batch_size=1), measure=False).inference.products
        1270
    """
    chosen = device_named(device)
    recipe = recipe or default_recipe(problem.data.task, problem.data.train.count())
    shapes = trace.shapes(problem, recipe)
    parts = trace.passes(shapes)
    names = [path.rpartition(".")[0] or path for path in paths(parts.params)]
    gradient = graph.computation(parts.gradient)
    forward = flops.count(graph.computation(parts.forward))
    whole = graph.computation(parts.update)
    by_layer, owners = flops.by_layer(gradient, names)
    counted = flops.count(gradient)
    batch = shapes.group.program.batch_size
    inference = flops.count(graph.computation(parts.predict))
    seconds, waited = _seconds(whole, chosen, recipe, measure)
    order = list(dict.fromkeys([*names, *by_layer.forward, *by_layer.backward]))
    return Cost(
        model=problem.model_spec,
        parameters=count(parts.params),
        batch=batch,
        steps=shapes.group.total,
        epoch_steps=shapes.group.feed.epoch_steps,
        inference=Flops(*(part // batch for part in inference.parts())),
        forward=forward,
        backward=counted - forward,
        recomputed=by_layer.recomputed,
        update=flops.count(whole) - counted,
        layers={
            name: (by_layer.forward.get(name, Flops()), by_layer.backward.get(name, Flops()))
            for name in order
            if name in by_layer.forward or name in by_layer.backward
        },
        memory=_memory(shapes, gradient, owners),
        lane=lane_bytes(problem, recipe),
        step_seconds=seconds,
        device=chosen.name if chosen else CPU,
        source=chosen.source if chosen else "",
        waited=waited,
    )


def memory_bytes(problem: Problem, recipe: Recipe) -> int:
    """Return the bytes that a run of one lane needs at its peak, before anything is compiled."""
    return _total(*_program(trace.shapes(problem, recipe)))


def _program(shapes: trace.Shapes) -> tuple[nodes.Computation, liveness.Peak]:
    closed, labels = trace.program(shapes)
    program = graph.computation(closed, labels)
    return program, liveness.peak(program, reserved=True)


def _total(program: nodes.Computation, peak: liveness.Peak) -> int:
    return sum(value.bytes for value in [*program.inputs, *program.outputs]) + peak.bytes


def _memory(shapes: trace.Shapes, gradient: nodes.Computation, owners: Mapping[int, str]) -> Memory:
    program, peak = _program(shapes)
    inputs: dict[str, int] = {}
    for value in program.inputs:
        inputs[value.label] = inputs.get(value.label, 0) + value.bytes
    kept: dict[str, int] = {}
    for value in _kept(gradient):
        name = owners.get(id(value.producer), "other")
        kept[name] = kept.get(name, 0) + value.bytes
    return Memory(
        total=_total(program, peak),
        inputs=inputs,
        results=sum(value.bytes for value in program.outputs),
        temporaries=peak.bytes,
        activations=sum(kept.values()),
        gradients=inputs.get("weights", 0),
        activations_by_layer=kept,
        evaluation=sum(inputs.values()) + _evaluating(shapes),
    )


def _evaluating(shapes: trace.Shapes) -> int:
    """Return the bytes of an evaluation's temporaries and results."""
    program = graph.computation(trace.evaluation(shapes))
    peak = liveness.peak(program, reserved=True)
    return peak.bytes + sum(value.bytes for value in program.outputs)


def _kept(computation: nodes.Computation) -> list[nodes.Value]:
    """Return what the forward pass keeps for the backward pass, inside of loops over microbatches too."""
    kept = flops.kept_for_backward(computation, kernels(computation))
    for node in computation.nodes:
        if node.name in LOOPS:
            kept += [value for inner in node.inner for value in _kept(inner)]
    return kept


def _seconds(
    whole: nodes.Computation, device: Device | None, recipe: Recipe, measure: bool | None
) -> tuple[float | None, float | None]:
    """Return the seconds of an update, and the share of time in which the measurement of the rates waited."""
    if device is not None:
        return timing.on_device(whole, device, recipe.precision in ("bf16", "f16")), None
    measured = known() if measure is False else rates(again=measure is True)
    if measured is None:
        return None, None
    return timing.of_update(whole, measured), measured.waited


def _plain(part: Flops) -> dict[str, int]:
    return {
        "total": part.total,
        "products_multiply": part.products_multiply,
        "products_add": part.products_add,
        "other": part.total - part.products,
    }
