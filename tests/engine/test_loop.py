"""The compiled loop: numbers are data, chunk lengths and other lanes change nothing, failure is a code."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests.made import blobs, net, problem
from thalweg.core import keys
from thalweg.engine.compilation import TRACES
from thalweg.engine.dispatch import ChunkLength, run_chunks
from thalweg.engine.group import init_group
from thalweg.engine.state import DIVERGED, RUNNING
from thalweg.problem.problem import Problem
from thalweg.recipe.optimizers import SGD, AdamW
from thalweg.recipe.recipe import Recipe
from thalweg.recipe.schedules import WarmupCosine


class Fixed(ChunkLength):
    """A chunk length that ignores the clock."""

    def __init__(self, steps: int):
        self.steps = steps

    def observe(self, steps: int, seconds: float) -> None:
        pass


def run(recipes: list[Recipe], steps: int, length: int = 16, given: Problem | None = None):
    group, states = init_group(given or problem(), recipes)
    losses = []
    for moved in run_chunks(group, states, 0, steps, Fixed(length)):
        states = moved.states
        losses.append(moved.chunk.info.loss[:, : moved.steps])
    return states, np.concatenate(losses, axis=1)


def same_bits(one, other) -> bool:
    return all(
        np.array_equal(a, b) for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    )


RECIPE = Recipe(AdamW(lr=0.01), schedule=WarmupCosine(), batch_size=16, steps=40, clip_norm=1.0)


def test_the_loop_equals_the_same_steps_written_by_hand():
    data = blobs()
    recipe = Recipe(SGD(lr=0.1, momentum=0.9), batch_size=16, steps=30, shuffle="none")
    states, losses = run([recipe], 30, given=Problem(net, data))

    params = net(keys.purpose_key(keys.lane_key(0), keys.INITIALISATION))
    params = jax.tree.leaves(params)
    floats = [leaf for leaf in params if hasattr(leaf, "dtype")]
    rule = optax.sgd(0.1, momentum=0.9)
    state = rule.init(floats)
    x, y = data.train.inputs, data.train.targets

    def loss_of(floats, x, y):
        (w1, b1, w2, b2) = floats
        logits = jax.nn.relu(x @ w1.T + b1) @ w2.T + b2
        return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

    expected, at = [], 0
    for _ in range(30):
        rows = slice(at, min(at + 16, len(x)))  # the last batch of an epoch is short, and counts as it is
        at = 0 if rows.stop == len(x) else rows.stop
        value, grads = jax.value_and_grad(loss_of)(floats, x[rows], y[rows])
        updates, state = rule.update(grads, state, floats)
        floats = optax.apply_updates(floats, updates)
        expected.append(value)
    # Other order of the same sums: float32 rounding (6e-8) times 30 steps times a margin of ten; a loss
    # near zero is a difference of logits around 10, whose rounding it inherits.
    np.testing.assert_allclose(losses[0], expected, rtol=2e-5, atol=6e-6)
    for got, wanted in zip(jax.tree.leaves(states.params), floats, strict=True):
        np.testing.assert_allclose(got[0], wanted, rtol=2e-4, atol=2e-6)


def test_another_number_does_not_trace_again():
    run([RECIPE], 16)
    before = dict(TRACES)
    for changed in (
        Recipe(
            AdamW(lr=0.5, weight_decay=0.3),
            schedule=WarmupCosine(warmup=0.2),
            batch_size=16,
            steps=40,
            clip_norm=9,
        ),
        Recipe(AdamW(lr=1), schedule=WarmupCosine(), batch_size=16, steps=25, clip_norm=1, seed=7),
        Recipe(
            AdamW(lr=np.float32(0.1)),
            schedule=WarmupCosine(),
            batch_size=16,
            epochs=3,
            clip_norm=1,
            patience=4,
        ),
    ):
        run([changed], 16)
    assert dict(TRACES) == before
    run([Recipe(AdamW(), batch_size=11, steps=40)], 16)  # another structure: this one must
    assert TRACES["chunk"] == before["chunk"] + 1


ONE_EXAMPLE = Recipe(SGD(lr=0.1), batch_size=1, steps=60, shuffle="none")


@pytest.mark.parametrize("recipe", [RECIPE, ONE_EXAMPLE], ids=["batch", "one example"])
@pytest.mark.parametrize("length", [1, 7, 40])
def test_the_length_of_a_chunk_changes_no_bit(recipe, length):
    states, losses = run([recipe], 40, length=length)
    reference, expected = run([recipe], 40, length=16)
    assert np.array_equal(losses, expected)
    assert same_bits(states, reference)


def test_layer_statistics_of_a_step_with_one_example_are_right():
    group, states = init_group(problem(), [ONE_EXAMPLE])
    recorded = []
    for moved in run_chunks(group, states, 0, 60, Fixed(60)):
        rows = moved.chunk.layer_steps[0] >= 0
        recorded += [*zip(moved.chunk.layer_steps[0][rows], moved.chunk.layers[0][rows], strict=True)]
    assert [int(step) for step, _ in recorded] == [0, 25, 50]
    for step, row in recorded:
        weights, grads, updates = row.T
        np.testing.assert_allclose(updates, 0.1 * grads, rtol=2e-3, atol=1e-6)
        before, _ = run([ONE_EXAMPLE], int(step)) if step else (states, None)
        norms = [np.linalg.norm(leaf[0]) for leaf in jax.tree.leaves(before.params)]
        np.testing.assert_allclose(weights, norms, rtol=1e-5)


def test_a_seed_determines_initial_weights_and_order():
    again, _ = run([RECIPE], 20)
    same, _ = run([RECIPE], 20)
    other, _ = run([Recipe.from_dict(RECIPE.to_dict() | {"seed": 1})], 20)
    assert same_bits(again, same)
    assert not same_bits(again.params, other.params)


def test_a_lane_among_many_computes_what_it_computes_alone():
    recipes = [
        Recipe.from_dict(RECIPE.to_dict() | {"seed": seed, "optimizer": {"name": "adamw", "lr": lr}})
        for seed, lr in ((0, 0.01), (0, 0.1), (3, 0.01), (5, 1e-4))
    ]
    together, losses = run(recipes, 40)
    for index, recipe in enumerate(recipes):
        alone, alone_losses = run([recipe], 40)
        assert np.array_equal(losses[index], alone_losses[0])
        assert same_bits(
            jax.tree.map(lambda leaf, i=index: leaf[i], together), jax.tree.map(lambda leaf: leaf[0], alone)
        )


def test_a_diverged_lane_is_frozen_and_the_others_continue():
    wild = Recipe(SGD(lr=1e6), batch_size=16, steps=40)
    tame = Recipe(SGD(lr=0.1), batch_size=16, steps=40)
    states, losses = run([tame, wild, tame], 40)
    assert list(states.code) == [RUNNING, DIVERGED, RUNNING]
    assert states.step[1] < 10 and list(states.step[jnp.array([0, 2])]) == [40, 40]
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(states.params))
    assert np.isnan(losses[1, int(states.step[1]) :]).all()
    alone, _ = run([tame], 40)
    assert same_bits(jax.tree.map(lambda leaf: leaf[2], states), jax.tree.map(lambda leaf: leaf[0], alone))


def test_a_short_last_batch_is_weighted_by_its_rows():
    # One epoch of full batches of all rows equals a batch padded beyond them.
    data = blobs(count=50)  # 35 training rows
    exact, _ = run([Recipe(SGD(lr=0.1), batch_size=35, steps=3, shuffle="none")], 3, given=Problem(net, data))
    halves = Recipe(SGD(lr=0.1), batch_size=20, steps=2, shuffle="none")
    states, losses = run([halves], 2, given=Problem(net, data))
    assert losses.shape == (1, 2) and np.isfinite(losses).all()
    dropped = Recipe(SGD(lr=0.1), batch_size=20, steps=2, shuffle="none", last_batch="drop")
    other, other_losses = run([dropped], 2, given=Problem(net, data))
    assert losses[0, 0] == pytest.approx(other_losses[0, 0], rel=1e-6)
    assert not same_bits(states.params, other.params)  # the second step saw 15 rows, not the first 20 again
    assert exact.step[0] == 3


def test_what_other_weights_do_not_replace_is_each_lane_s_own():
    """Fine-tuning changes some weights of every lane, and leaves the others as its seed drew them."""
    recipes = [Recipe(SGD(lr=0.1), batch_size=16, steps=1, seed=seed) for seed in (0, 1)]
    drawn = jax.tree.leaves(init_group(problem(), recipes)[1].params)

    def halved(params):
        leaves, treedef = jax.tree.flatten(params)
        return jax.tree.unflatten(treedef, [leaves[0] / 2, *leaves[1:]])

    started = jax.tree.leaves(init_group(problem(), recipes, halved)[1].params)
    np.testing.assert_array_equal(started[0], drawn[0] / 2)
    assert all(np.array_equal(one, other) for one, other in zip(started[1:], drawn[1:], strict=True))
    assert not np.array_equal(started[0][0], started[0][1])
