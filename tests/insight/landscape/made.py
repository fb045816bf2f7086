"""Networks at their first weights, or trained for a moment, as subjects of landscapes."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from tests.made import blobs
from thalweg.insight.landscape.subject import Subject
from thalweg.problem.models.adapter import build_as_trained
from thalweg.problem.problem import Problem
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe
from thalweg.run.folder.record import Record

RECIPE = Recipe(SGD(lr=0.1), batch_size=32, steps=30)


def first(model: Any, data: Any = None, **more: Any) -> Subject:
    """Return a model at its first weights, biases made to differ from zero."""
    problem = Problem(model, blobs() if data is None else data, **more)
    built = build_as_trained(problem.model, 0)
    leaves, treedef = jax.tree.flatten(built.params)
    keys = jax.random.split(jax.random.key(1), len(leaves))
    noisy = [leaf + 0.1 * jax.random.normal(key, leaf.shape) for key, leaf in zip(keys, leaves, strict=True)]
    params = jax.tree.unflatten(treedef, noisy)
    return Subject(
        "first", problem, RECIPE, params, built.model_state, Record(None, RECIPE.to_dict(), {}, {}, {})
    )


def plain_loss(subject: Subject, params: Any) -> jax.Array:
    """Return the mean loss over the training split: the model called example by example, in one piece."""
    data = subject.problem.data
    inputs, targets = data.train.batch(jnp.arange(data.train.count()))
    built = build_as_trained(subject.problem.model, 0)
    module = eqx.nn.inference_mode(eqx.combine(params, built.fixed))
    prepared = data.preparation.scale(inputs)
    if jax.tree.leaves(subject.model_state):
        outputs = jax.vmap(lambda x: module(x, subject.model_state)[0])(prepared)
    else:
        outputs = jax.vmap(module)(prepared)
    return subject.problem.loss(outputs, targets).mean()
