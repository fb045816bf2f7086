"""The probe: what a network does with some rows, layer by layer, at given weights.

One compiled function gives all of it, for untrained weights and for trained ones: sizes of what affine maps
give, dead and saturated units, gradients by parameter, noise of the training mode, outputs under changed
weights, and whether the network is affine.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from thalweg.core import keys
from thalweg.core.compiler import filter_jit_once
from thalweg.core.tree import paths
from thalweg.insight.doctor.anatomy import NONE, TEXT, Anatomy, _Static
from thalweg.insight.doctor.circuit import Circuit
from thalweg.insight.doctor.network import circuit_at, look
from thalweg.problem.members import mean_of
from thalweg.problem.models.adapter import PartitionedModel

# Rows of the probe: enough for the share of dead units, cheap for large networks.
ROWS = 128
# How far beyond the segment between two rows a third point lies, in lengths of the segment.
REACH = 3.0
INSIDE = ("leaving", "entering", "sites")
# Changes of the weights under which outputs are looked at: noise relative to 1, and a factor. As `Problem`'s.
CHANGES = ((0.3, 1.0), (1.0, 3.0), (1.0, -10.0))
# What the last affine map is made to give, to see what the functions after it can produce: multiples of a few
# directions. Beyond 30, sigmoid, tanh and softplus are flat in single precision.
MULTIPLES = (-1000.0, -30.0, -3.0, -1.0, 0.0, 1.0, 3.0, 30.0, 1000.0)
DIRECTIONS = 4
# Distance from 0 beyond which tanh and sigmoid have lost 95 % of their slope.
FLAT = {"sigmoid": 4.4, "tanh": 2.2, "hard_sigmoid": 3.0, "hard_tanh": 1.0}


@dataclass(frozen=True)
class Layer:
    """An affine map of the network.

    Args:
        path: Its weight, dotted.
        width: Numbers that it gives for one example.
        size: Root mean square of them.
        spread: Root mean square of their deviations from the mean over rows.
        gradient: Norm of its gradient.
        weight: Norm of its parameters.
        activations: Names of the activations after it.
        dead: Share of units that give 0 for all rows; None where the activation has no zero.
        saturated: Share of values on the flat ends; None where there are none.
        simplex: Whether what follows it is positive and sums to 1 over its units.
        exponential: Whether what follows it grows exponentially.
    """

    path: str
    width: int
    size: float
    spread: float
    gradient: float
    weight: float
    activations: tuple[str, ...]
    dead: float | None
    saturated: float | None
    simplex: bool


@dataclass(frozen=True)
class Probe:
    """What the probe saw.

    Args:
        layers: Affine maps in order; empty where the network's call cannot be seen.
        gradients: Norm of the gradient of each parameter, by path.
        weights: Norm of each parameter, by path.
        loss, train_loss: Mean loss in inference mode and in training mode.
        outputs: Outputs of the rows.
        changed: Outputs under changed weights, `change row ...`.
        noise: Standard deviation of outputs over keys in training mode, relative to that over rows in
            inference mode; 0 without noise.
        swept: Outputs for the first row where the last affine map gives multiples of some directions,
            `direction multiple ...` (see `MULTIPLES`); None where the network's call cannot be seen.
        slopes: Derivatives of a weighted sum of them along the directions, `direction multiple`.
        linear: Largest deviation of what the last affine map gives from an affine function of the input,
            relative to its spread; None where it cannot be tried.
        finite: Whether losses and gradients are finite.
    """

    layers: tuple[Layer, ...]
    gradients: dict[str, float]
    weights: dict[str, float]
    loss: float
    train_loss: float
    outputs: np.ndarray | None
    changed: np.ndarray | None
    noise: float
    linear: float | None
    finite: bool
    swept: np.ndarray | None = None
    slopes: np.ndarray | None = None


def probed(anatomy: Anatomy, built: PartitionedModel) -> Probe:
    """Look at a module's pass over rows of the training split."""
    which = np.linspace(0, anatomy.train.count - 1, min(ROWS, anatomy.train.count)).astype(int)
    rows = anatomy.train.some(which)
    open_ = rows.x is not None and anatomy.first.outputs is not None and anatomy.kind != TEXT
    shapes = _shape_of(anatomy, rows.x) if open_ and rows.x is not None else None
    x, beyond = (rows.x, _beyond(rows.x)) if shapes is not None and rows.x is not None else (None, None)
    x = x if beyond is None else beyond
    seen = _seen(_Static(anatomy.problem), built, rows.inputs, rows.targets, x)
    seen = jax.tree.map(np.asarray, seen)
    gradients = dict(zip(paths(built.params), (float(each) for each in seen["gradients"]), strict=True))
    weights = dict(zip(paths(built.params), (float(each) for each in seen["weights"]), strict=True))
    losses = float(seen["loss"]), float(seen["train_loss"])
    finite = bool(np.isfinite(losses).all() and np.isfinite(list(gradients.values())).all())
    linear = None
    if beyond is not None:
        linear = _linearity(seen["leaving"][-1])
        kept = 2 * (len(rows.x) // 2)  # type: ignore[arg-type]
        seen |= jax.tree.map(lambda leaf: leaf[:kept], {name: seen[name] for name in INSIDE})
    layers = () if shapes is None else _layers(shapes, seen, built, gradients, weights)
    outputs, changed = seen.get("outputs"), seen.get("changed")
    swept, slopes = seen.get("swept", (None, None))
    noise = float(seen["noise"])
    return Probe(layers, gradients, weights, *losses, outputs, changed, noise, linear, finite, swept, slopes)


def _shape_of(anatomy: Anatomy, x: np.ndarray) -> Circuit | None:
    """Return the circuit of the model's call on an example; None where it cannot be traced."""
    kept: dict[str, Circuit] = {}

    def trace(built: PartitionedModel, example: Any) -> Any:
        kept["circuit"], _ = circuit_at(anatomy.problem, built, example)
        return ()

    try:
        eqx.filter_eval_shape(trace, anatomy.built, jnp.asarray(x[0]))
    except Exception:  # code of the user, which an objective may call in another way
        return None
    circuit = kept["circuit"]
    return circuit if circuit.affines else None


@filter_jit_once
def _seen(
    static: _Static, built: PartitionedModel, inputs: PyTree, targets: PyTree, x: Any
) -> dict[str, Any]:
    problem, rows = static.problem, (inputs, targets)
    key = keys.lane_key(0)

    def loss_of(params: PyTree) -> Any:
        return look(problem, built._replace(params=params), rows, key, training=True).loss

    train_loss, grads = jax.value_and_grad(loss_of)(built.params)
    seen: dict[str, Any] = {"train_loss": train_loss}
    seen["gradients"] = [jnp.linalg.norm(each.ravel()) for each in jax.tree.leaves(grads)]
    seen["weights"] = [jnp.linalg.norm(each.ravel()) for each in jax.tree.leaves(built.params)]

    def quiet(params: PyTree) -> tuple[Any, Any]:
        passed = look(problem, built._replace(params=params), rows, key, training=False)
        return passed.loss, passed.outputs

    # One after another: the pass is traced and compiled once for all of them.
    tried = [built.params, *(_changed(built.params, *change) for change in CHANGES)]
    losses, outputs = jax.lax.map(quiet, jax.tree.map(lambda *leaves: jnp.stack(leaves), *tried))
    seen |= {"loss": losses[0], "noise": jnp.zeros(())}
    if outputs is None:
        return seen
    seen |= {"outputs": outputs[0], "changed": outputs[1:]}
    if problem.noisy:

        def noisy(at: Any) -> Any:
            passed = look(problem, built, rows, jax.random.fold_in(key, at), training=True)
            return mean_of(passed.outputs)

        pair = jax.lax.map(noisy, jnp.arange(1, 3))
        spread = jnp.sqrt(jnp.mean(jnp.var(outputs[0], axis=0)))
        seen["noise"] = jnp.sqrt(jnp.mean((pair[0] - pair[1]) ** 2) / 2) / (spread + 1e-12)
    if x is not None:
        seen |= jax.vmap(partial(_inside, problem, built))(x)
        seen["swept"] = _swept(problem, built, x[0])
    return seen


def _changed(params: PyTree, noise: float, factor: float) -> PyTree:
    leaves, treedef = jax.tree.flatten(params)
    random = jax.random.split(jax.random.fold_in(keys.lane_key(0), 7), len(leaves))
    changed = [
        factor * (leaf + noise * jax.random.normal(key, leaf.shape, leaf.dtype))
        for leaf, key in zip(leaves, random, strict=True)
    ]
    return jax.tree.unflatten(treedef, changed)


def _inside(problem: Any, built: PartitionedModel, example: Any) -> dict[str, Any]:
    """Return what affine maps give for one example, and what enters the next one."""
    circuit, values = circuit_at(problem, built, example)
    _, env = circuit.run(values)
    return {
        "leaving": [env[affine.leaving] for affine in circuit.affines],
        "entering": [env[affine.entering] for affine in circuit.affines],
        "sites": [(env[site.entering], env[site.leaving]) for site in circuit.activations],
    }


def _swept(problem: Any, built: PartitionedModel, example: Any) -> Any:
    """Return outputs for chosen values of the last affine map, `direction multiple ...`, and their slopes.

    Outputs under changed weights come close to the ends of a range; these reach them.
    """
    circuit, values = circuit_at(problem, built, example)
    last = circuit.affines[-1].leaving
    shape, dtype = last.aval.shape, last.aval.dtype
    random = jax.random.normal(keys.lane_key(1), (DIRECTIONS - 1, *shape))
    directions = jnp.concatenate([jnp.ones((1, *shape)), random])

    def of(value: Any) -> Any:
        return circuit.run(values, {last: lambda _, env: value.astype(dtype)})[0][0]

    def along(way: Any, size: Any) -> tuple[Any, Any]:
        value = of(size * way)
        weights = jax.random.normal(
            keys.lane_key(2), value.shape
        )  # of sums that do not cancel, as a softmax's
        # Backwards, as in training: some functions of users have no other derivative.
        return value, jax.grad(lambda at: jnp.sum(weights * of(at * way)))(size)

    return jax.vmap(jax.vmap(along, (None, 0)), (0, None))(directions, jnp.asarray(MULTIPLES))


def _beyond(x: np.ndarray) -> np.ndarray | None:
    """Return rows with, for each pair of them, a third point far beyond on the line through both.

    Far beyond: two pieces of a ReLU network agree more often between close points.
    """
    half = len(x) // 2
    if x.dtype.kind != "f" or not half:
        return None
    first, second = x[:half], x[half : 2 * half]
    return np.concatenate([first, second, first + REACH * (first - second)])


def _linearity(values: np.ndarray) -> float:
    """Return how far the last affine map's values for the points of `_beyond` are from an affine function."""
    first, second, outside = np.split(values.reshape(len(values), -1).astype(np.float64), 3)
    expected = first + REACH * (first - second)
    spread = np.concatenate([first, second]).std(axis=0).max() + 1e-12
    return float(np.abs(outside - expected).max() / (REACH * spread))


def _layers(
    circuit: Circuit,
    seen: dict[str, Any],
    built: PartitionedModel,
    gradients: dict[str, float],
    weights: dict[str, float],
) -> tuple[Layer, ...]:
    names = _parameter_names(built)
    order = {id(site): at for at, site in enumerate(circuit.activations)}
    layers = []
    for number, affine in enumerate(circuit.affines):
        values = np.asarray(seen["leaving"][number], np.float64).reshape(len(seen["leaving"][number]), -1)
        sites = circuit.between(number)
        pairs = [(site.name, *seen["sites"][order[id(site)]]) for site in sites]
        following = seen["entering"][number + 1] if number + 1 < len(circuit.affines) else None
        named = [names[at] for at in affine.parameters if at < len(names) and names[at] in gradients]
        path = min(named, key=lambda name: ("bias" in name, name)) if named else f"affine.{number}"
        layers.append(
            Layer(
                path=path.removesuffix(".weight"),
                width=values.shape[1],
                size=float(np.sqrt(np.mean(values**2))),
                spread=float(np.sqrt(np.mean(values.var(axis=0)))),
                gradient=float(np.sqrt(sum(gradients[name] ** 2 for name in named))),
                weight=float(np.sqrt(sum(weights[name] ** 2 for name in named))),
                activations=tuple(site.name for site in sites),
                dead=_dead(pairs),
                saturated=_saturated(pairs),
                simplex=_is_simplex(following),
            )
        )
    return tuple(layers)


def _parameter_names(built: PartitionedModel) -> list[str]:
    """Return the path of every array of the module, in the order of a circuit's inputs."""
    return paths(eqx.filter(eqx.combine(built.params, built.fixed), eqx.is_array))


def _dead(pairs: list[Any]) -> float | None:
    shares = []
    for name, _, after in pairs:
        if name in ("relu", "relu6"):
            flat = after.reshape(len(after), -1)
            shares.append(float(np.mean(~(flat > 0).any(axis=0))))
    return max(shares) if shares else None


def _saturated(pairs: list[Any]) -> float | None:
    shares = [float(np.mean(np.abs(before) > FLAT[name])) for name, before, _ in pairs if name in FLAT]
    return max(shares) if shares else None


def _is_simplex(following: Any) -> bool:
    if following is None or following.ndim != 2 or following.shape[1] < 2:
        return False
    total = following.sum(axis=1)
    return bool((following >= 0).all() and np.allclose(total, 1.0, atol=1e-3))


def is_open(anatomy: Anatomy) -> bool:
    """Return whether targets and outputs are known, so that the loss can be tried on outputs."""
    return anatomy.kind not in (NONE, TEXT) and anatomy.first.outputs is not None
