"""Dtypes: f64 is float64 from the recipe's numbers to the evaluation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.made import blobs, problem
from thalweg.core.errors import RecipeError
from thalweg.core.tree import lane as lane_at
from thalweg.engine.backward import Lane, backward, read_batch
from thalweg.engine.dispatch import ChunkLength, run_chunks
from thalweg.engine.evaluate import evaluate
from thalweg.engine.group import LaneGroup, init_group
from thalweg.engine.state import State
from thalweg.problem.models import MLP
from thalweg.problem.problem import Problem
from thalweg.recipe.averaging import EMA
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe
from thalweg.recipe.schedules import Plateau, WarmupCosine
from thalweg.run.train import train

RECIPE = Recipe(SGD(lr=1e-3, momentum=0.9), schedule=WarmupCosine(), batch_size=16, steps=30, shuffle="none")


def trained(recipe: Recipe, steps: int = 30) -> tuple[LaneGroup, State]:
    group, states = init_group(Problem(MLP([6, 8, 3]), blobs()), [recipe])
    for moved in run_chunks(group, states, 0, steps, ChunkLength(group.program.capacity)):
        states = moved.states
    return group, states


def with_(base: Recipe, **settings: object) -> Recipe:
    return Recipe.from_dict(base.to_dict() | settings)


def floating(tree) -> set:
    return {leaf.dtype for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.floating)}


def test_f64_computes_with_the_numbers_as_they_were_written():
    with jax.enable_x64(True):
        group, states = trained(with_(RECIPE, precision="f64"))
        before = init_group(Problem(MLP([6, 8, 3]), blobs()), [with_(RECIPE, precision="f64")])[1]
        floats, data = jax.tree.map(lambda leaf: leaf[0], before.params), blobs().train

        def loss_of(params, rows):
            outputs = jnp.asarray(data.inputs[rows], jnp.float64)
            for layer in params.layers[:-1]:
                outputs = jax.nn.relu(outputs @ layer.weight.T + layer.bias)
            outputs = outputs @ params.layers[-1].weight.T + params.layers[-1].bias
            return -jax.nn.log_softmax(outputs)[jnp.arange(len(rows)), data.targets[rows]].mean()

        velocity, at, warm = jax.tree.map(jnp.zeros_like, floats), 0, RECIPE.schedule
        for step in range(30):
            rows = np.arange(at, min(at + 16, 210))
            at = 0 if rows[-1] == 209 else rows[-1] + 1
            factor = factor_at(warm, step)
            grads = jax.grad(loss_of)(floats, rows)
            velocity = jax.tree.map(lambda v, g: 0.9 * v + g, velocity, grads)
            floats = jax.tree.map(lambda w, v, f=factor: w - 1e-3 * f * v, floats, velocity)
        for ours, theirs in zip(jax.tree.leaves(states.params), jax.tree.leaves(floats), strict=True):
            # float32 numbers miss by 1e-8 of an update; float64 rounding over 30 steps stays below 1e-14.
            np.testing.assert_allclose(ours[0], theirs, rtol=1e-13, atol=1e-14)
        assert floating(group.inputs) == {jnp.dtype("float64")}


def factor_at(schedule: WarmupCosine, step: int) -> float:
    """The closed form, in Python's own float64."""
    warm = round(schedule.warmup * 30)
    if step < warm:
        return (step + 1) / warm
    share = (step - warm) / max(30 - warm, 1)
    return float(schedule.floor + (1 - schedule.floor) * 0.5 * (1 + np.cos(np.pi * min(share, 1.0))))


def test_f64_evaluates_in_f64_and_keeps_averages_and_plateaus_in_it():
    with jax.enable_x64(True):
        recipe = with_(RECIPE, precision="f64", averaging=EMA().to_dict() | {"name": "ema"})
        group, states = trained(recipe, 5)
        assert floating((states.params, states.optimizer, states.average)) == {jnp.dtype("float64")}
        watching = init_group(
            problem(), [with_(recipe, schedule=Plateau(drop=0.1).to_dict() | {"name": "plateau"})]
        )
        assert floating(watching[1].schedule) == {jnp.dtype("float64")}
        one = evaluate(group.program, group.inputs, group.splits["test"], (states.params, states.model_state))
        nudged = jax.tree.map(lambda leaf: leaf * (1 + 1e-12), states.params)
        two = evaluate(group.program, group.inputs, group.splits["test"], (nudged, states.model_state))
        assert 0 < abs(one.loss[0] - two.loss[0]) < 1e-9  # float32 would see no difference, or one of 1e-8


def test_narrower_precisions_keep_float32_weights_also_where_float64_is_on():
    with jax.enable_x64(True):
        group, states = init_group(problem(), [RECIPE])
        assert floating((states.params, states.optimizer, group.inputs)) == {jnp.dtype("float32")}
        train(problem(), with_(RECIPE, steps=2))


def test_f64_is_refused_where_jax_would_compute_in_float32():
    with pytest.raises(
        RecipeError, match=r"switched off.*\nhint: set the environment variable JAX_ENABLE_X64=1"
    ):
        train(problem(), with_(RECIPE, precision="f64"))
    with pytest.raises(RecipeError, match="64-bit types"):
        init_group(problem(), [with_(RECIPE, precision="f64")])


def test_the_loss_and_its_gradient_come_back_without_the_loss_scale():
    group, states = init_group(problem(), [with_(RECIPE, precision="f16")])
    one = lane_at((group.inputs.numbers, states), 0)
    whole = jax.tree.unflatten(group.program.recipe, one[0])
    lane = Lane(group.program, group.inputs, whole, group.splits["train"])
    batch = read_batch(lane, jnp.arange(16), jnp.int32(16), jax.random.key(0), jax.random.key(1))
    weights = (one[1].params, one[1].model_state)
    plain, scaled = (backward(lane, batch, *weights, scale) for scale in (None, jnp.float32(2.0**8)))
    assert float(plain.loss) == float(scaled.loss)
    for ours, theirs in zip(jax.tree.leaves(plain.grads), jax.tree.leaves(scaled.grads), strict=True):
        # A power of two rounds nothing: only what was below float16's smallest normal number, 6e-5, differs.
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=6e-8 * 16)
        assert theirs.dtype == jnp.float32
