"""What experiments measure besides training: gradients by layer and by example, sharpness, outputs."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from thalweg.core.compiler import fast_compilation, filter_jit
from thalweg.core.tree import paths
from thalweg.problem.models.adapter import PartitionedModel, apply, build_as_trained
from thalweg.problem.problem import Problem
from thalweg.run.run import Run

ROWS = 256  # examples that gradients are averaged over
PRODUCTS = 40  # of the power iteration


def start_of(problem: Problem, seed: int) -> PartitionedModel:
    """Return the model as a run of this seed starts with it."""
    return build_as_trained(problem.model, seed)


def end_of(run: Run) -> PartitionedModel:
    """Return the model as a run left it."""
    return PartitionedModel(run.params, run.model_state, start_of(run.problem, run.recipe.seed).fixed)


def rows_of(problem: Problem, most: int = ROWS, split: str = "train") -> tuple[Array, Array]:
    """Return prepared inputs and labels of the first examples of a split."""
    part = problem.data.splits[split]
    inputs, targets = part.batch(jnp.arange(min(most, part.count())))
    return jnp.asarray(problem.data.preparation.scale(inputs)), jnp.asarray(targets)


def gradient_norms(problem: Problem, model: PartitionedModel) -> dict[str, float]:
    """Return the norm of the gradient of every weight matrix, from input to output, by path."""
    with fast_compilation():
        gradient = _gradient(model, *rows_of(problem))
    return {name: norm for name, norm in _norms(gradient).items() if name.endswith("weight")}


def example_gradients(
    problem: Problem, model: PartitionedModel, most: int = 128
) -> Float[np.ndarray, "example n"]:
    """Return the gradient of each single example, flattened."""
    with fast_compilation():
        return np.asarray(_by_example(model, *rows_of(problem, most)))


def sharpness(problem: Problem, model: PartitionedModel, seed: int = 0) -> float:
    """Return the largest eigenvalue of the Hessian of the mean loss, by power iteration."""
    with fast_compilation():
        return float(_sharpness(model, *rows_of(problem), jax.random.key(seed)))


def hidden(problem: Problem, model: PartitionedModel) -> list[Float[np.ndarray, "example unit"]]:
    """Return the activations of every hidden layer of a perceptron."""
    inputs, _ = rows_of(problem)
    module: Any = eqx.combine(model.params, model.fixed)
    h, found = inputs.reshape(len(inputs), -1), []
    for layer, act in zip(module.layers[:-1], module.activations, strict=True):
        h = act(h @ layer.weight.T + (0 if layer.bias is None else layer.bias))
        found.append(np.asarray(h))
    return found


def logits(model: PartitionedModel, inputs: Array) -> Float[np.ndarray, "example class"]:
    """Return a model's outputs for prepared inputs."""
    with fast_compilation():
        return np.asarray(_outputs(model, inputs))


def _norms(gradient: PyTree) -> dict[str, float]:
    leaves = jax.tree.leaves(gradient)
    return {name: float(jnp.linalg.norm(leaf)) for name, leaf in zip(paths(gradient), leaves, strict=True)}


def _loss(params: PyTree, model: PartitionedModel, inputs: Array, labels: Array) -> Float[Array, ""]:
    outputs = apply(model._replace(params=params), inputs, key=None, training=False)[0]
    return -jnp.take_along_axis(jax.nn.log_softmax(outputs), labels[:, None], axis=1).mean()


@filter_jit
def _outputs(model: PartitionedModel, inputs: Array) -> Array:
    return apply(model, inputs, key=None, training=False)[0]


@filter_jit
def _gradient(model: PartitionedModel, inputs: Array, labels: Array) -> PyTree:
    return jax.grad(_loss)(model.params, model, inputs, labels)


@filter_jit
def _by_example(model: PartitionedModel, inputs: Array, labels: Array) -> Float[Array, "example n"]:
    def one(x: Array, y: Array) -> Array:
        gradient = jax.grad(_loss)(model.params, model, x[None], y[None])
        return jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(gradient)])

    return jax.vmap(one)(inputs, labels)


@filter_jit
def _sharpness(model: PartitionedModel, inputs: Array, labels: Array, key: Array) -> Float[Array, ""]:
    slope = jax.grad(_loss)
    leaves, treedef = jax.tree.flatten(model.params)
    keys = jax.random.split(key, len(leaves))
    start = [jax.random.normal(k, leaf.shape) for k, leaf in zip(keys, leaves, strict=True)]

    def product(v: PyTree) -> PyTree:
        return jax.jvp(lambda p: slope(p, model, inputs, labels), (model.params,), (v,))[1]

    def norm(v: PyTree) -> Array:
        return jnp.sqrt(sum((leaf**2).sum() for leaf in jax.tree.leaves(v)))

    def step(v: PyTree, _: None) -> tuple[PyTree, Array]:
        u = product(v)
        size = norm(u)
        return jax.tree.map(lambda leaf: leaf / (size + 1e-30), u), size

    first = jax.tree.unflatten(treedef, start)
    first = jax.tree.map(lambda leaf: leaf / norm(first), first)
    return jax.lax.scan(step, first, None, PRODUCTS)[1][-1]
