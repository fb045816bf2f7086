"""Runs whose rule and schedule are functions: lanes, resume in another process, folders."""

import importlib
import subprocess
import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import thalweg as tw
from thalweg.run.folder import kept_data
from thalweg.run.validate import notes_on

MODULE = """
import equinox as eqx
import jax
import jax.numpy as jnp
import optax

def rule(learning_rate=0.05, pull=0.1):
    return optax.chain(optax.add_decayed_weights(pull), optax.sgd(learning_rate, momentum=0.9))

def ramp(step, total, warmup=0.25):
    return jnp.minimum(1.0, (step + 1) / jnp.maximum(warmup * total, 1.0))

def squares(logits, labels):
    return jnp.sum((jax.nn.softmax(logits) - jax.nn.one_hot(labels, 2)) ** 2, axis=-1)

class Net(eqx.Module):
    layer: eqx.nn.Linear
    head: eqx.nn.Linear

    def __init__(self, key, width):
        keys = jax.random.split(key)
        self.layer = eqx.nn.Linear(3, width, key=keys[0])
        self.head = eqx.nn.Linear(width, 2, key=keys[1])

    def __call__(self, x):
        return self.head(jnp.tanh(self.layer(x)))
"""


@pytest.fixture(scope="module")
def problem():
    data = np.random.default_rng(0)
    inputs = data.normal(size=(80, 3)).astype(np.float32)
    return tw.Problem(tw.MLP([3, 4, 2]), tw.load((inputs, (inputs.sum(1) > 0).astype(int))))


def ramp(step, total, warmup=0.25):
    return jnp.minimum(1.0, (step + 1) / jnp.maximum(warmup * total, 1.0))


def rule(learning_rate=0.05, pull=0.1, power=2):
    return optax.chain(
        optax.add_decayed_weights(pull), optax.sgd(learning_rate, momentum=0.9 if power > 1 else None)
    )


@pytest.fixture(scope="module")
def recipes():
    recipe = tw.Recipe(tw.Custom(rule), schedule=tw.CustomSchedule(ramp), batch_size=8, steps=24)
    return recipe.vary(pull=[0.0, 0.1])


@pytest.fixture(scope="module")
def solo(problem, recipes):
    return tw.train(problem, recipes[1], progress=False)


def bits(run):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(run.model) if hasattr(leaf, "dtype")]


def same(run, other):
    return all((a == b).all() for a, b in zip(bits(run), bits(other), strict=True))


def test_lanes_of_a_custom_rule_and_schedule_are_their_solo_runs(problem, recipes, solo):
    runs = tw.train(problem, recipes, strict=True, progress=False)
    assert len(runs.result["groups"]) == 1
    assert same(runs[1], solo) and not same(runs[0], solo)


def test_the_schedule_decides_the_logged_rate(solo):
    rates = solo.record.steps["learning_rate"].drop_nulls().to_numpy()
    np.testing.assert_allclose(rates[:6], 0.05 * np.arange(1, 7) / 6, rtol=1e-5)
    np.testing.assert_allclose(rates[6:], 0.05, rtol=1e-5)


def test_an_interrupted_run_of_functions_resumes_bit_for_bit(problem, recipes, solo, tmp_path):
    stream = tw.stream_train(problem, recipes[1], keep=tmp_path / "run", every=12)
    for status in stream:
        if status.step >= 12:
            status.stop()
    assert stream.result().result["steps"] < 24
    assert same(tw.resume(tmp_path / "run", problem, progress=False), solo)


def test_a_folder_names_own_functions_and_imports_them_only_when_allowed(problem, tmp_path, monkeypatch):
    (tmp_path / "own_functions.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    own_functions = importlib.import_module("own_functions")

    recipe = tw.Recipe(tw.Custom(own_functions.rule), schedule=own_functions.ramp, batch_size=8, steps=8)
    problem = tw.Problem(partial(own_functions.Net, width=5), problem.data, loss=own_functions.squares)
    run = tw.train(problem, recipe, keep=tmp_path / "run", progress=False)
    for name in ("own_functions:rule", "own_functions:ramp"):
        assert f'name = "{name}"' in (tmp_path / "run" / "recipe.toml").read_text()
    code = """
import sys, thalweg as tw
for use in (tw.restore, lambda run: tw.resume(run, progress=False)):
    try:
        use(sys.argv[1])
    except tw.ThalwegError as error:
        print(error, "own_functions" in sys.modules)
tw.resume(sys.argv[1], change=tw.Change(steps=12, schedule="hold"), allow_import=True, progress=False)
print(tw.restore(sys.argv[1], allow_import=True).model.layer.weight.shape)
"""
    process = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "run")], capture_output=True, text=True, cwd=tmp_path
    )
    assert process.stdout.count("must be allowed") == 2 == process.stdout.count("allow_import=True False")
    assert process.stdout.splitlines()[-1] == "(5, 3)", process.stderr
    assert run.record.problem["model"]["import"] == {
        "import": "own_functions:Net",
        "arguments": [],
        "settings": {"width": 5},
    }


def test_a_rule_alone_stands_for_a_recipe(problem):
    stream = tw.stream_train(problem, optax.sgd(0.1))
    (recipe,) = stream._session._spec.recipes
    assert recipe == tw.Recipe(tw.Custom(optax.sgd(0.1)), batch_size=problem.data.train.count())


def test_a_rule_that_fails_on_the_model_is_refused_before_anything_is_compiled(problem):
    def masked(learning_rate=0.1):
        return optax.masked(optax.sgd(learning_rate), lambda params: {"weights": True})

    with pytest.raises(tw.RecipeError, match="must make an update of this model's parameters"):
        tw.train(problem, tw.Custom(masked), progress=False)


def test_lanes_that_vary_in_a_branch_are_told(problem, recipes):
    assert (
        "branches in Python on power: each of its 2 values"
        in notes_on(problem, recipes[0].vary(power=[1, 2]))[0]
    )
    assert not notes_on(problem, recipes)


def test_data_in_memory_are_kept_and_the_run_resumes_without_them(problem, recipes, solo, tmp_path):
    stream = tw.stream_train(problem, recipes[1], keep=tmp_path / "run", every=12)
    for status in stream:
        if status.step >= 12:
            status.stop()
    stream.result()
    kept = kept_data.read(tmp_path / "run")
    assert kept.fingerprint == problem.data.fingerprint and kept.preparation == problem.data.preparation
    np.testing.assert_array_equal(kept.rows["test"], problem.data.rows["test"])
    assert same(tw.resume(tmp_path / "run", progress=False), solo)
    path = tmp_path / "run" / "data.safetensors"
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    with pytest.raises(tw.RunFolderError, match="data must be as they were written"):
        kept_data.read(tmp_path / "run")


def test_a_run_that_keeps_no_data_asks_for_them(problem, recipes, tmp_path):
    tw.train(problem, recipes[1], keep=tw.SaveOptions(tmp_path / "run", data=False), progress=False)
    assert not kept_data.is_kept(tmp_path / "run")
    with pytest.raises(tw.DataError, match="must be passed again"):
        tw.resume(tmp_path / "run", change=tw.Change(steps=30), progress=False)
    assert kept_data.pack(problem.data, most=100) is None


def test_trees_of_inputs_are_kept():
    tree = {"x": np.ones((20, 2), np.float32), "more": (np.arange(20), [np.zeros((20, 1), np.uint8)])}
    data = tw.examples(tree)
    outline = kept_data._outline(data.train.inputs)
    arrays = {f"t/{i}": leaf for i, leaf in enumerate(jax.tree.leaves(data.train.inputs))}
    filled = kept_data._filled(outline, arrays, "t")
    assert jax.tree.structure(filled) == jax.tree.structure(data.train.inputs)
    assert kept_data.pack(data) is not None
