"""Truncated backpropagation through time: rows are consecutive, the state is carried, gradients are cut."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests.engine.test_loop import Fixed
from thalweg.core import keys
from thalweg.core.errors import ModelError, RecipeError
from thalweg.engine.backward import Batch, Lane, backward
from thalweg.engine.dispatch import run_chunks
from thalweg.engine.evaluate import STRETCHES, evaluate, losses_of
from thalweg.engine.feeds import continued_feed
from thalweg.engine.group import init_group
from thalweg.problem.data.load import load
from thalweg.problem.models import LSTM, MLP
from thalweg.problem.models.adapter import RecurrentCarry
from thalweg.problem.problem import Problem
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe
from thalweg.run.validate import check_recipe

LENGTH, ROWS = 5, 3
TEXT = "a quick brown fox jumps over the lazy dog and runs\n" * 4


@pytest.fixture(scope="module")
def problem(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "words.txt"
    path.write_text(TEXT)
    return Problem(LSTM(width=4, embedding=3), load(path, context=LENGTH, validation=0.0))


RECIPE = Recipe(SGD(lr=0.5), batch_size=ROWS, steps=4, shuffle="continued")


def test_rows_are_consecutive_from_batch_to_batch(problem):
    split = problem.data.train
    feed = continued_feed(split, RECIPE, ((0, 0),))
    assert feed.epoch_steps == (len(TEXT) - 1) // LENGTH // ROWS == 13
    batches = feed.batches(0, feed.epoch_steps, capacity=20)
    tokens = [np.asarray(split.batch(batches.indices[0, step])[0]) for step in range(feed.epoch_steps)]
    rows = np.concatenate(tokens, axis=1)
    stretch = feed.epoch_steps * LENGTH
    for row in range(ROWS):
        np.testing.assert_array_equal(rows[row], split.tokens[row * stretch : (row + 1) * stretch])
    later = feed.batches(feed.epoch_steps + 2, 1, capacity=4)  # any step can be reached again
    np.testing.assert_array_equal(later.indices[0, 0], batches.indices[0, 2])


def by_hand(problem, steps, epoch_steps, carry_on=True):
    """The same steps, written as a Python loop over windows, each row by itself."""
    module = problem.model(keys.purpose_key(keys.lane_key(0), keys.INITIALISATION))
    params, rest = eqx.partition(module, eqx.is_inexact_array)

    def of_row(params, window, carry):
        logits, end = eqx.combine(params, rest).run(window[:-1], carry)
        return optax.softmax_cross_entropy_with_integer_labels(logits, window[1:]).mean(), end

    row_gradient = jax.jit(jax.value_and_grad(of_row, has_aux=True))
    tokens, losses = jnp.asarray(problem.data.train.tokens).astype(jnp.int32), []
    for step in range(steps):
        if step % epoch_steps == 0 or not carry_on:
            carry = [module.begin()] * ROWS
        at = [(row * epoch_steps + step % epoch_steps) * LENGTH for row in range(ROWS)]
        found = [
            row_gradient(params, tokens[place : place + LENGTH + 1], start)
            for place, start in zip(at, carry, strict=True)
        ]
        carry = [end for (_, end), _ in found]
        losses.append(np.mean([loss for (loss, _), _ in found]))
        for _, grads in found:
            params = jax.tree.map(lambda w, g: w - 0.5 * g / ROWS, params, grads)
    return params, losses


def test_the_loop_equals_truncated_backpropagation_written_by_hand(problem):
    steps = 15  # over the end of an epoch, where the state starts anew
    recipe = Recipe.from_dict(RECIPE.to_dict() | {"steps": steps})
    group, states = init_group(problem, [recipe])
    losses = []
    for moved in run_chunks(group, states, 0, steps, Fixed(4)):
        states = moved.states
        losses += moved.chunk.info.loss[0, : moved.steps].tolist()
    params, expected = by_hand(problem, steps, group.feed.epoch_steps)
    # Float32 rounding (6e-8) times fifteen steps times sums of some hundred terms.
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    for ours, theirs in zip(jax.tree.leaves(states.params), jax.tree.leaves(params), strict=True):
        np.testing.assert_allclose(ours[0], theirs, rtol=1e-3, atol=1e-5)
    _, reset = by_hand(problem, steps, group.feed.epoch_steps, carry_on=False)
    assert losses[0] == pytest.approx(reset[0]) and max(abs(np.subtract(losses, reset)[1:13])) > 1e-3


def test_the_gradient_of_a_window_is_that_of_truncation_in_f64(problem):
    with jax.enable_x64(True):
        group, states = init_group(problem, [RECIPE])
        wide = jax.tree.map(lambda leaf: leaf[0].astype(jnp.float64), states.params)
        rng = np.random.default_rng(0)
        carry = jax.tree.map(
            lambda leaf: jnp.asarray(rng.normal(0, 0.5, leaf.shape[1:])), states.model_state.rows
        )
        recipe = Recipe.from_dict(RECIPE.to_dict() | {"precision": "f64"})
        lane = Lane(group.program, group.inputs, recipe, group.splits["train"])
        inputs, targets = group.splits["train"].batch(jnp.asarray([3, 40, 90]))
        rest = eqx.partition(problem.model(jax.random.key(0)), eqx.is_inexact_array)[1]

        @jax.jit
        def ours(params, carry):
            batch = Batch(inputs, targets, None, jax.random.key(0))
            found = backward(lane, batch, params, RecurrentCarry(carry), None)
            ends = sum(jnp.sum(leaf) for leaf in jax.tree.leaves(found.model_state))
            return ends, (found.loss, found.grads)

        def expected(params, carry):
            def of_row(x, y, start):
                logits, _ = eqx.combine(params, rest).run(x, start)
                return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

            return (
                sum(
                    of_row(inputs[row], targets[row], jax.tree.map(lambda leaf, row=row: leaf[row], carry))
                    for row in range(ROWS)
                )
                / ROWS
            )

        onwards, (loss, found) = jax.grad(ours, has_aux=True)(wide, carry)
        wanted, (grads, through) = jax.jit(jax.value_and_grad(expected, argnums=(0, 1)))(wide, carry)
    assert loss == pytest.approx(float(wanted), rel=1e-13)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(grads), strict=True):
        assert one.dtype == np.float64
        np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-14)
    # The carry matters, and yet no gradient goes back through what is carried on.
    assert max(float(np.abs(leaf).max()) for leaf in jax.tree.leaves(through)) > 1e-3
    assert all(not np.any(leaf) for leaf in jax.tree.leaves(onwards))


def test_lanes_carry_a_state_each(problem):
    recipes = [RECIPE, Recipe.from_dict(RECIPE.to_dict() | {"seed": 5})]
    group, states = init_group(problem, recipes)
    moved = list(run_chunks(group, states, 0, 4, Fixed(4)))[-1]
    for leaf in jax.tree.leaves(moved.states.model_state):
        assert leaf.shape == (2, ROWS, 4) and not np.allclose(leaf[0], leaf[1])


def test_data_and_recipes_that_cannot_be_continued_are_refused(problem, tmp_path):
    with pytest.raises(RecipeError, match="windows of one long sequence"):
        continued_feed(load("iris").train, RECIPE, ((0, 0),))
    with pytest.raises(RecipeError, match="cannot be combined with accumulate"):
        continued_feed(problem.data.train, Recipe.from_dict(RECIPE.to_dict() | {"accumulate": 3}), ((0, 0),))
    with pytest.raises(RecipeError, match="batch_size must be at most 40"):
        continued_feed(problem.data.train, Recipe.from_dict(RECIPE.to_dict() | {"batch_size": 50}), ((0, 0),))
    series = load(np.sin(np.arange(99.0)), window=4)
    with pytest.raises(ModelError, match="a model with a carry"):
        check_recipe(Problem(MLP([None, 4, None]), series), RECIPE)
    check_recipe(Problem(LSTM(width=4), series), RECIPE)
    gap = np.sin(np.arange(99.0))
    gap[30] = np.nan
    with pytest.raises(RecipeError, match="without gaps"):
        continued_feed(load(gap, window=4).train, RECIPE, ((0, 0),))


def test_an_evaluation_carries_the_state_too(problem):
    recipe = Recipe.from_dict(RECIPE.to_dict() | {"steps": 10, "optimizer": {"name": "sgd", "lr": 3.0}})
    group, states = init_group(problem, [recipe])
    states = list(run_chunks(group, states, 0, 10, Fixed(10)))[-1].states
    weights = (states.params, states.model_state)
    found = evaluate(group.program, group.inputs, group.splits["train"], weights, stride=7)
    each = losses_of(group.program, group.inputs, group.splits["train"], weights)[0]
    built = problem.model(jax.random.key(0))
    rest = eqx.partition(built, eqx.is_inexact_array)[1]
    module = eqx.combine(jax.tree.map(lambda leaf: leaf[0], states.params), rest)
    windows, step = (len(TEXT) - 1) // LENGTH, jax.jit(lambda x, carry: module.run(x, carry))
    stretch = -(-windows // STRETCHES)
    tokens, expected = jnp.asarray(problem.data.train.tokens).astype(jnp.int32), []
    for number in range(windows):
        carry = module.begin() if number % stretch == 0 else carry
        window = tokens[number * LENGTH : number * LENGTH + LENGTH + 1]
        logits, carry = step(window[:-1], carry)
        expected.append(float(optax.softmax_cross_entropy_with_integer_labels(logits, window[1:]).mean()))
    assert found.examples == windows == len(each)
    # Sums of float32 rounding over five positions.
    np.testing.assert_allclose(each, expected, rtol=1e-5)
    assert found.loss[0] == pytest.approx(np.mean(expected), rel=1e-6)
    plain = evaluate(group.program, group.inputs, group.splits["train"], (states.params, eqx.nn.State(built)))
    assert abs(plain.loss[0] - found.loss[0]) > 1e-4
