"""How the gradient changes on its way back: the gain of every op, of every layer, and of every iteration.

The gain of an op is ||dL/d(inputs)|| / ||dL/d(outputs)||, Euclidean norms. A layer is the ops from the first
one that reads its parameters up to the next layer's. The product of the gains of layers, from the last to
the first, says by how much a gradient has shrunk or grown when it arrives (Hochreiter 1991; Pascanu et al.,
On the Difficulty of Training Recurrent Neural Networks, 2013).
"""

import math
from collections import defaultdict
from dataclasses import dataclass

from thalweg.insight.tape.backward import norm
from thalweg.insight.tape.recording import LAYOUT, Op, Recording, Value, is_inexact

LOSS, INPUTS = "loss", "inputs"
VANISHES, EXPLODES = "vanishes", "explodes"
# From one end of a network to the other the gradient may change by this factor. Our choice: a rate that suits
# the last layer moves the first one by less than float32 resolves (6e-8) within some hundred updates.
LIMIT = 1e5


@dataclass(frozen=True)
class Stage:
    """A layer, or an iteration of a loop.

    Args:
        name: Path of the layer's parameters, `loss`, or `scan[3]`.
        gradient: Norm of the gradient of its output.
        gain: Norm of the gradient of its input over that of its output; NaN where there is no such input.
        product: Norm of the gradient of its input over that of the output of the last stage before the loss;
            NaN where there is no such input.
        parameters: Norm of the gradient of each of its parameters, by name.
        ops: Numbers of its first and last op.
    """

    name: str
    gradient: float
    gain: float
    product: float
    parameters: tuple[tuple[str, float], ...]
    ops: tuple[int, int]


@dataclass(frozen=True)
class Flow:
    """How gradients flow through the stages, the first stage first.

    Args:
        layers: Stages by parameters.
        times: Stages by iteration, of the loop with the most iterations.
        verdict: `vanishes`, `explodes`, or nothing.
        by: `layers` or `times`, whichever shows it.
        ratio: Norm of the gradient at the first stage over that at the last.
        culprit: The op at which most of it happens, on the way between the two.
    """

    layers: tuple[Stage, ...]
    times: tuple[Stage, ...]
    verdict: str = ""
    by: str = ""
    ratio: float = math.nan
    culprit: Op | None = None


def assign_layers(recording: Recording) -> list[str]:
    """Give every op its layer; return the layers in order, the loss last.

    Parameters are the inputs inside of a tree; an argument that is one array has no layer.
    """
    owner: dict[int, str] = {
        value.number: owner_of(value.name) for value in recording.inputs if value.live and "." in value.name
    }
    rank: dict[str, int] = {}
    layer_of: dict[int, str] = {}
    for op in recording.ops:
        owners = [owner[value.number] for value in op.inputs if value.number in owner]
        data = [value for value in op.inputs if value.number in layer_of]
        # What is computed from parameters alone is still a parameter, but the op that joins two is not.
        if owners and not data and (len(set(owners)) == 1) and _still_parameter(op):
            op.layer = owners[0]
            owner.update((value.number, owners[0]) for value in op.outputs)
            continue
        if "loss" in op.stack.split("/"):
            op.layer = LOSS
        elif owners:
            op.layer = _reused(owners[-1], op, _deepest(data, layer_of, rank), rank)
        else:
            op.layer = _deepest(data, layer_of, rank)
        if op.layer not in ("", LOSS, INPUTS):
            rank.setdefault(op.layer, len(rank))
        layer_of.update((value.number, op.layer) for value in op.outputs if is_inexact(value.array))
    return [*sorted(rank, key=rank.__getitem__), LOSS]


def _reused(owner: str, op: Op, data: str, rank: dict[str, int]) -> str:
    """Return the layer of an op that reads parameters; a weight that serves again later is another layer.

    In a loop every iteration reads the same parameters, and they are one layer.
    """
    looped = any(scope.iteration is not None for scope in op.scopes)
    again = not looped and rank.get(owner, len(rank)) < rank.get(data, -1)
    return f"{owner} (again)" if again else owner


def owner_of(name: str) -> str:
    """Return the path of the layer that owns a parameter: `layers.0` of `layers.0.weight`."""
    return name.rpartition(".")[0]


def _still_parameter(op: Op) -> bool:
    return op.name in LAYOUT or all(value.constant or value.op is not None for value in op.inputs)


def _deepest(data: list[Value], layer_of: dict[int, str], rank: dict[str, int]) -> str:
    layers = [layer_of[value.number] for value in data]
    if LOSS in layers:
        return LOSS
    return max(layers, key=lambda layer: rank.get(layer, -1), default="")


def gradient_flow(recording: Recording) -> Flow:
    """Return the gains of layers and iterations, after the backward pass."""
    names = assign_layers(recording)
    users = recording.users
    layers = _stages(recording, {op.number: op.layer for op in recording.ops}, names, users)
    times = _iterations(recording, users)
    for by, stages in (("layers", layers), ("times", times)):
        inner = [stage for stage in stages if stage.name != LOSS]
        if len(inner) < 2 or not all(math.isfinite(stage.gradient) for stage in inner):
            continue
        top = inner[-1].gradient
        ratio = inner[0].gradient / top if top > 0 else math.nan
        verdict = VANISHES if ratio < 1 / LIMIT else EXPLODES if ratio > LIMIT else ""
        if verdict:
            culprit = _culprit(recording, users, inner[0], inner[-1], verdict)
            return Flow(layers, times, verdict, by, ratio, culprit)
    return Flow(layers, times)


def _stages(
    recording: Recording, stage_of: dict[int, str], names: list[str], users: dict[int, list[Op]]
) -> tuple[Stage, ...]:
    members: dict[str, list[Op]] = defaultdict(list)
    for op in recording.ops:
        members[stage_of[op.number]].append(op)
    stages = []
    for name in names:
        ops = [op for op in members[name] if any(gradient is not None for gradient in op.upstream)]
        if not ops:
            continue
        leaving = _leaving(ops, stage_of, users, recording.output)
        entering = [
            op.downstream[at]
            for op in ops
            for at in op.live
            if op.downstream and _enters(op.inputs[at], name, stage_of)
        ]
        outward = norm(*[value.gradient for value in leaving])
        inward = norm(*entering) if entering else math.nan
        gained = inward / outward if outward > 0 else math.nan
        parameters = tuple(
            (value.name, norm(value.gradient))
            for value in recording.inputs
            if value.gradient is not None and owner_of(value.name) == name.removesuffix(" (again)")
        )
        span = (ops[0].number, ops[-1].number)
        stages.append(Stage(name, outward, gained, inward, parameters, span))
    inner = [stage for stage in stages if stage.name != LOSS]
    top = inner[-1].gradient if inner else math.nan
    return tuple(
        Stage(**{**vars(stage), "product": stage.product / top if top > 0 else math.nan})
        if stage.name != LOSS
        else Stage(**{**vars(stage), "product": math.nan})
        for stage in stages
    )


def _leaving(
    ops: list[Op], stage_of: dict[int, str], users: dict[int, list[Op]], output: Value | None
) -> list[Value]:
    """Return the values that ops of a stage compute and others read, with a gradient."""
    name = stage_of[ops[0].number]
    found = []
    for op in ops:
        for value in op.outputs:
            read = any(stage_of[user.number] != name for user in users.get(value.number, []))
            if value.gradient is not None and (read or value is output):
                found.append(value)
    return found


def _enters(value: Value, name: str, stage_of: dict[int, str]) -> bool:
    return value.op is not None and stage_of[value.op.number] != name and value.gradient is not None


def _iterations(recording: Recording, users: dict[int, list[Op]]) -> tuple[Stage, ...]:
    """Return the iterations of the outermost loop with the most of them, as stages."""
    loops: dict[tuple[int, str], set[int]] = defaultdict(set)
    for op in recording.ops:
        for depth, scope in enumerate(op.scopes):
            if scope.kind == "scan" and scope.iteration is not None and op.upstream:
                loops[depth, str(scope.source)].add(scope.iteration)
    if not loops:
        return ()
    (depth, line), _ = max(loops.items(), key=lambda item: len(item[1]))

    def stage(op: Op) -> str:
        if (
            len(op.scopes) > depth
            and op.scopes[depth].kind == "scan"
            and str(op.scopes[depth].source) == line
        ):
            return str(op.scopes[depth])
        return ""

    stage_of = {op.number: stage(op) for op in recording.ops}
    order = list(dict.fromkeys(name for name in stage_of.values() if name))
    return _stages(recording, stage_of, order, users)


def _culprit(
    recording: Recording, users: dict[int, list[Op]], first: Stage, last: Stage, verdict: str
) -> Op | None:
    """Return the op at which most of the change happens, on the way from the first stage to the last.

    From op to op the way follows the largest share of the gradient. Ops of one line count together.
    """
    start = [
        value
        for op in recording.ops[first.ops[0] : first.ops[1] + 1]
        for value in op.outputs
        if value.gradient is not None
    ]
    if not start:
        return None
    value, logs = start[-1], defaultdict(float)
    shown: dict[tuple[str, str], Op] = {}
    for _ in range(len(recording.ops)):
        step = _onward(value, users)
        if step is None or step[0].number > last.ops[1]:
            break
        op, share, onward = step
        key = (str(op.source), op.name)
        logs[key] += math.log(max(share, 1e-300))
        shown[key] = op
        value = onward
    if not logs:
        return None
    choose = min if verdict == VANISHES else max
    return shown[choose(logs, key=logs.__getitem__)]


def _onward(value: Value, users: dict[int, list[Op]]) -> tuple[Op, float, Value] | None:
    """Return the op from which most of a value's gradient comes, its gain there, and its output."""
    options = []
    for op in users.get(value.number, []):
        if not op.downstream:
            continue
        given = norm(*[op.downstream[at] for at, read in enumerate(op.inputs) if read is value])
        output = max(
            (each for each in op.outputs if each.gradient is not None),
            key=lambda each: norm(each.gradient),
            default=None,
        )
        if output is not None:
            size = norm(output.gradient)
            share = given / size if size > 0 else 1.0
            options.append(((given, size), op, share, output))
    if not options:
        return None
    _, op, share, output = max(options, key=lambda option: option[0])
    return op, share, output
