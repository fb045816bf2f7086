"""Figures of runs and predictions whose model or loss jaxlib 0.10.2 miscompiles by default, against NumPy.

The fault needs more than 32,768 rows in one product: examples of 80 rows in batches of 512, examples of 10
rows in slices of 4,096, or a whole training split in one batch (jax-ml/jax#39103).
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import thalweg as tw
from thalweg.core.compiler import jit
from thalweg.engine.evaluate import losses_of
from thalweg.engine.group import init_group
from thalweg.insight.landscape.sharpness import full_loss

MATRIX = np.array([[1, 2, 3], [0.5, -1, 2], [3, 1, -2]], np.float32)
# Of a mean in float32 over 512 examples.
MEAN = 2e-6


def squares(rows):
    """The form that is miscompiled: the squared length of M @ row, for every row."""
    return jax.vmap(lambda row: jnp.sum((MATRIX @ row) ** 2))(rows)


def squares_by_numpy(rows):
    return ((np.asarray(rows, np.float64).reshape(-1, 3) @ np.float64(MATRIX.T)) ** 2).sum(axis=1)


def loss(outputs, targets):
    """A loss of a user, on batches."""
    return squares((outputs - targets).reshape(-1, 3)).reshape(len(outputs), -1).sum(axis=1)


def one(output, target):
    """A loss of a user, on an example."""
    return jnp.sum((MATRIX @ (output - target)) ** 2)


def reweighted(output, target):
    """Another one, whose miscompiled part has no gradient."""
    error = output - target
    return jax.lax.stop_gradient(jnp.sum((MATRIX @ error) ** 2)) * jnp.tanh(error[0])


class Shift(eqx.Module):
    """Adds a number to each input."""

    by: jax.Array

    def __call__(self, x):
        return x + self.by


class Squares(eqx.Module):
    """A user's module; an example holds several rows."""

    scale: jax.Array

    def __call__(self, x):
        return self.scale * squares(x.reshape(-1, 3))


class Lengths(Squares):
    """The same on whole batches."""

    whole_batches = True

    def __call__(self, x, *, key=None):
        return self.scale * squares(x.reshape(-1, 3)).reshape(len(x), -1)


class Table(eqx.Module):
    """A module that computes a table of whole numbers when it is built."""

    scale: jax.Array
    table: jax.Array

    def __init__(self, key):
        rows = jax.random.randint(jax.random.key(1), (40_000, 3), -8, 9).astype(jnp.float32)
        self.scale = jnp.ones(())
        self.table = squares(2 * rows).astype(jnp.int32)

    def __call__(self, x):
        return self.scale * self.table[jnp.clip(jnp.abs(x[:1] * 4000).astype(jnp.int32), 0, 39_999)]


def values(rows, columns, seed=0):
    return np.random.default_rng(seed).normal(size=(rows, columns)).astype(np.float32)


def mean_loss(data, name):
    split = data.splits[name]
    inputs = np.asarray(data.preparation.scale(np.asarray(split.inputs)), np.float64)
    return squares_by_numpy(inputs - np.asarray(split.targets, np.float64)).sum() / split.count()


@pytest.fixture(scope="module")
def many_rows():
    """A run on examples of 80 rows."""
    data = tw.load((values(2000, 240), values(2000, 240, seed=1)), test=0.3)
    problem = tw.Problem(Shift(jnp.zeros(240)), data, loss=loss, metric=tw.Metric("own", loss, False))
    return problem, tw.train(problem, tw.Recipe(tw.SGD(lr=1e-30), batch_size=512, epochs=1))


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_losses_of_evaluations(many_rows, split):
    problem, run = many_rows
    assert run.result[f"{split}_loss"] == pytest.approx(mean_loss(problem.data, split), rel=MEAN)


def test_losses_of_training_steps(many_rows):
    problem, run = many_rows
    losses = run.record.steps["loss"].to_numpy().astype(np.float64)
    rows = problem.data.train.count()
    sizes = np.minimum(512, rows - 512 * np.arange(len(losses)))
    assert (losses * sizes).sum() / rows == pytest.approx(mean_loss(problem.data, "train"), rel=MEAN)


def test_losses_of_single_examples(many_rows):
    problem, _ = many_rows
    group, states = init_group(problem, [tw.Recipe(tw.SGD(lr=1e-30), batch_size=512, epochs=1)])
    train = problem.data.train
    inputs = np.asarray(problem.data.preparation.scale(np.asarray(train.inputs)), np.float64)
    found = losses_of(group.program, group.inputs, group.splits["train"], (states.params, states.model_state))
    expected = (
        squares_by_numpy(inputs - np.asarray(train.targets, np.float64)).reshape(len(inputs), -1).sum(1)
    )
    np.testing.assert_allclose(found[0], expected, rtol=1e-5)


def test_the_loss_of_a_finder(many_rows):
    problem, _ = many_rows
    value, params = full_loss(problem, tw.Recipe(tw.SGD(lr=1e-30), batch_size=512, epochs=1))
    assert float(jit(value)(params)) == pytest.approx(mean_loss(problem.data, "train"), rel=MEAN)


@pytest.mark.parametrize("loss", [one, reweighted])
def test_a_whole_training_split_in_one_batch(loss):
    data = tw.load((values(56_000, 3), values(56_000, 3, seed=1)))
    assert 32_768 < data.train.count() < 49_152
    problem = tw.Problem(Shift(jnp.zeros(3)), data, loss=loss, metric=loss)
    run = tw.train(problem, tw.Recipe(tw.SGD(lr=1e-30), batch_size="full", epochs=1))
    inputs = np.asarray(data.preparation.scale(np.asarray(data.train.inputs)), np.float64)
    error = inputs - np.asarray(data.train.targets, np.float64)
    factor = np.tanh(error[:, 0]) if loss is reweighted else 1.0
    expected = squares_by_numpy(error) * factor
    assert run.record.steps["loss"][0] == pytest.approx(expected.mean(), rel=1e-5, abs=1e-5 * expected.std())


@pytest.mark.parametrize("module", [Squares, Lengths])
def test_predictions(module, tmp_path):
    inputs = values(5000, 30)
    data = tw.load((inputs, squares_by_numpy(inputs).reshape(5000, 10).astype(np.float32)))
    problem = tw.Problem(module(jnp.ones(())), data)
    run = tw.train(problem, tw.Recipe(tw.SGD(lr=1e-30), epochs=1), keep=tmp_path / "run")
    preparation = data.preparation
    prepared = preparation.columns.inputs(inputs)
    outputs = squares_by_numpy(preparation.scale(prepared)).reshape(5000, 10)
    expected = outputs * preparation.target_scale + preparation.target_mean
    restored = tw.restore(tmp_path / "run", model=module(jnp.zeros(())))
    np.testing.assert_allclose(run.outputs(prepared), outputs, rtol=1e-5)
    np.testing.assert_allclose(run.predict(inputs)["prediction"], expected, rtol=1e-5)
    np.testing.assert_allclose(restored.answers(inputs)["prediction"], expected, rtol=1e-5)


def test_tables_that_a_factory_computes(tmp_path):
    inputs = values(400, 2)
    problem = tw.Problem(Table, tw.load((inputs, inputs[:, :1])))
    run = tw.train(problem, tw.Recipe(tw.SGD(lr=1e-30), epochs=1), keep=tmp_path / "run")
    rows = 2 * np.asarray(jax.random.randint(jax.random.key(1), (40_000, 3), -8, 9))
    expected = squares_by_numpy(rows).astype(np.int32)
    restored = tw.restore(tmp_path / "run", model=Table)
    np.testing.assert_array_equal(run.model.table, expected)
    np.testing.assert_array_equal(restored.built.fixed.table, expected)


class Permuted(eqx.Module):
    """A module whose table is drawn from the key of its weights."""

    scale: jax.Array
    order: jax.Array

    def __init__(self, key):
        self.scale = jnp.ones(8)
        self.order = jax.random.permutation(key, 8)

    def __call__(self, x):
        return self.scale * x[self.order]


def test_a_table_drawn_from_the_seed_is_that_of_training(tmp_path):
    inputs = values(400, 8)
    problem = tw.Problem(Permuted, tw.load((inputs, inputs)))
    recipe = tw.Recipe(tw.SGD(lr=1e-30), batch_size=64, epochs=1, seed=3)
    run = tw.train(problem, recipe, keep=tmp_path / "run")
    group, _ = init_group(problem, [recipe])
    trained = np.asarray(jax.tree.leaves(group.inputs.model_arrays)[0])
    assert sorted(trained) == list(range(8))
    np.testing.assert_array_equal(run.model.order, trained)
    np.testing.assert_array_equal(tw.restore(tmp_path / "run", model=Permuted).built.fixed.order, trained)


def test_lanes_whose_tables_differ_are_refused():
    inputs = values(400, 8)
    problem = tw.Problem(Permuted, tw.load((inputs, inputs)))
    recipes = [tw.Recipe(tw.SGD(lr=0.1), epochs=1, seed=seed) for seed in range(2)]
    init_group(problem, [recipes[1], recipes[1]])
    with pytest.raises(
        tw.ModelError, match=r"the same for every seed \(order\)\nhint: draw them from a fixed"
    ):
        init_group(problem, recipes)
