"""The forms in which a model of one's own may come: with its state, with several inputs, as functions."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import thalweg as tw

RANDOM = np.random.default_rng(0)
X, Z = RANDOM.normal(size=(80, 3)).astype(np.float32), RANDOM.normal(size=(80, 2)).astype(np.float32)
Y = (X.sum(1) > Z.sum(1)).astype(int)
RECIPE = tw.Recipe(tw.SGD(lr=0.1), batch_size=8, steps=4)


class Normalised(eqx.Module):
    first: eqx.nn.Linear
    norm: eqx.nn.BatchNorm

    def __init__(self, key):
        self.first = eqx.nn.Linear(3, 2, key=key)
        self.norm = eqx.nn.BatchNorm(2, "batch", mode="batch")

    def __call__(self, x, state):
        return self.norm(self.first(x), state)


class Two(eqx.Module):
    left: eqx.nn.Linear
    right: eqx.nn.Linear

    def __init__(self, key):
        keys = jax.random.split(key)
        self.left, self.right = eqx.nn.Linear(3, 2, key=keys[0]), eqx.nn.Linear(2, 2, key=keys[1])

    def __call__(self, x, z):
        return self.left(x) - self.right(z)


def trained(model, inputs=X, **options):
    problem = tw.Problem(model, tw.load((inputs, Y)), **options)
    return tw.train(problem, RECIPE, progress=False)


def weights(run):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(eqx.filter(run.model, eqx.is_inexact_array))]


@pytest.fixture(scope="module")
def plain():
    return trained(Normalised)


def equal(run, other):
    return all((a == b).all() for a, b in zip(weights(run), weights(other), strict=True))


def test_a_factory_may_give_a_module_with_its_state(plain):
    run = trained(lambda key: eqx.nn.make_with_state(Normalised)(key))
    assert equal(run, plain) and run.record.problem["model"]["spec"] == "Normalised"


def test_a_module_with_its_state_is_a_model():
    run = trained(eqx.nn.make_with_state(Normalised)(jax.random.key(0)))
    assert run.record.problem["model"]["spec"] == "Normalised"


def test_inputs_in_a_tuple_or_a_dictionary_are_arguments_of_the_module():
    pair, named = trained(Two, (X, Z)), trained(Two, {"z": Z, "x": X})
    np.testing.assert_allclose(weights(pair)[0], weights(named)[0], rtol=1e-6)
    inputs = {"x": X[:5], "z": Z[:5]}
    assert set(named.predict(inputs)["prediction"].tolist()) <= {0, 1}
    mean, scale = X[named.problem.data.rows["train"]].mean(0), X[named.problem.data.rows["train"]].std(0)
    np.testing.assert_allclose(named.problem.data.train.inputs["x"].mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(
        named.problem.data.train.inputs["x"][0],
        (X[named.problem.data.rows["train"][0]] - mean) / scale,
        rtol=1e-4,
        atol=1e-5,
    )


def test_inputs_of_another_number_of_rows_are_refused():
    with pytest.raises(tw.DataError, match="the same number of rows; got 79 rows of z, 80 targets"):
        tw.load(({"x": X, "z": Z[1:]}, Y))


def init(key, x):
    return {"w": jax.random.normal(key, (2, x.size)), "b": jnp.zeros(2)}


def apply(params, x):
    return params["w"] @ x + params["b"]


def test_a_pair_of_functions_is_a_model(tmp_path):
    model = tw.adapt(init, apply, X[0])
    problem = tw.Problem(model, tw.load((X, Y)), name="my pair")
    run = tw.train(problem, RECIPE, keep=tmp_path / "run", progress=False)
    again = tw.restore(tmp_path / "run", model=model)
    np.testing.assert_array_equal(again.model.params["w"], run.model.params["w"])
    assert [layer["path"] for layer in run.record.problem["model"]["layers"]] == ["params.b", "params.w"]
    assert run.record.problem["model"]["spec"] == "my pair"


def test_a_function_is_told_whether_it_trains_and_gets_noise():
    def noisy(params, x, train, key):
        mask = jax.random.bernoulli(key, 0.5, x.shape) if train else jnp.ones(x.shape)
        return apply(params, x * mask)

    problem = tw.Problem(tw.adapt(init, noisy, X[0]), tw.load((X, Y)))
    assert problem.noisy
    run = tw.train(problem, RECIPE, progress=False)
    one, other = run.outputs(X[:4]), run.outputs(X[:4])
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("arguments", [(3,), (init, 3), (init,)])
def test_what_is_no_pair_of_functions_is_refused(arguments):
    with pytest.raises(tw.ModelError, match="adapt"):
        tw.adapt(*arguments)


def test_a_flax_module_is_a_model():
    nnx = pytest.importorskip("flax.nnx", reason="Flax is not installed")

    class Net(nnx.Module):
        def __init__(self, rngs):
            self.hidden = nnx.Linear(3, 8, rngs=rngs)
            self.dropout = nnx.Dropout(0.5, rngs=rngs)
            self.head = nnx.Linear(8, 2, rngs=rngs)

        def __call__(self, x):
            return self.head(self.dropout(nnx.relu(self.hidden(x))))

    class Statistics(nnx.Module):
        def __init__(self, rngs):
            self.norm = nnx.BatchNorm(3, rngs=rngs)

    problem = tw.Problem(tw.adapt(Net), tw.load((X, Y)))
    assert problem.noisy and problem.model_name.endswith("Net")
    runs = tw.train(problem, RECIPE.vary(lr=[0.1, 0.2]), strict=True, progress=False)
    assert equal(runs[0], tw.train(problem, RECIPE, progress=False))
    np.testing.assert_array_equal(runs[0].outputs(X[:3]), runs[0].outputs(X[:3]))
    with pytest.raises(tw.ModelError, match="BatchStat"):
        tw.Problem(tw.adapt(Statistics), tw.load((X, Y)))
