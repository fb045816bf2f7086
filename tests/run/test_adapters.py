"""Adapters (LoRA): what is trained, saved, resumed and exported, against the two factors by hand."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import thalweg as tw
from thalweg.core.errors import RecipeError
from thalweg.core.tree import count, paths
from thalweg.engine.group import init_group
from thalweg.problem.models import parse
from thalweg.recipe.groups import ParamGroup
from thalweg.recipe.optimizers.custom import custom

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(48, 6)).astype(np.float32)
Y = (X @ RANDOM.normal(size=6) + 1.0).astype(np.float32)
LORA = ParamGroup(pattern="layers.*", adapter="lora", rank=2, alpha=3.0)
RECIPE = tw.Recipe(tw.AdamW(lr=0.02), batch_size="full", steps=25, groups=(LORA,), clip_norm=0.5)


@pytest.fixture(scope="module")
def problem():
    return tw.Problem(tw.MLP([6, 5, 1]), tw.load((X, Y), test=0.0, validation=0.0))


def by_path(tree):
    return dict(zip(paths(tree), map(np.asarray, jax.tree.leaves(tree)), strict=True))


def start(problem, recipe):
    """The first parameters and factors."""
    _, states = init_group(problem, [recipe])
    first = jax.tree.map(lambda leaf: leaf[0], states)
    return first.params, getattr(first.optimizer, "factors", None)


def by_hand(problem, recipe, rule, steps):
    """Train the two factors of every matrix, written out: gradients by JAX through `w + s b @ a`."""
    params, factors = start(problem, recipe)
    (scale,) = {group.alpha / group.rank for group in recipe.groups if group.is_adapted}
    weights = by_path(params)
    rows = problem.data.train
    inputs = problem.data.preparation.scale(np.asarray(rows.inputs))

    def predicted(thin):
        h = inputs
        for i in range(2):
            w = weights[f"layers.{i}.weight"]
            if f"layers.{i}.weight" in thin:
                b, a = thin[f"layers.{i}.weight"]
                w = w + scale * b @ a
            h = h @ w.T + weights[f"layers.{i}.bias"]
            h = jax.nn.relu(h) if i == 0 else h
        return h

    def loss(thin):
        return jnp.mean((predicted(thin)[:, 0] - np.asarray(rows.targets).reshape(-1)) ** 2)

    rule = optax.chain(optax.clip_by_global_norm(recipe.clip_norm), rule)
    thin = {name: tuple(each) for name, each in factors.items()}
    state = rule.init(thin)
    for _ in range(steps):
        grads = jax.grad(loss)(thin)
        updates, state = rule.update(grads, state, thin)
        thin = optax.apply_updates(thin, updates)
    merged = {name: weights[name] + scale * b @ a for name, (b, a) in thin.items()}
    return {**weights, **merged}


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (RECIPE.optimizer, optax.adamw(0.02, weight_decay=RECIPE.optimizer.weight_decay)),
        (tw.SGD(lr=0.2), optax.sgd(0.2)),  # for which the norm that is clipped counts: no biases are in it
    ],
    ids=["adamw", "sgd"],
)
def test_training_is_that_of_the_two_factors_by_hand(problem, rule, expected):
    recipe = replace(RECIPE, optimizer=rule, schedule=tw.Constant())
    run = tw.train(problem, recipe, progress=False)
    final, expected = by_path(run.params), by_hand(problem, recipe, expected, 25)
    before = by_path(start(problem, recipe)[0])
    for name, values in final.items():
        np.testing.assert_allclose(values, expected[name], rtol=2e-4, atol=2e-5, err_msg=name)
        moved = np.abs(values - before[name]).max()
        assert (moved == 0.0) if name.endswith("bias") else (moved > 1e-3), name
    change = final["layers.0.weight"] - before["layers.0.weight"]
    assert np.linalg.matrix_rank(change, tol=1e-4) == 2


def test_the_state_has_the_size_of_the_factors(problem):
    _, states = init_group(problem, [RECIPE])
    thin = 2 * (6 + 5) + 2 * (5 + 1)
    assert count(states.optimizer.factors) == thin
    assert 2 * thin <= count(states.optimizer.rule) < 2 * thin + 8  # two moments each, and the counts
    _, whole = init_group(problem, [replace(RECIPE, groups=())])
    assert count(whole.optimizer) >= 2 * (6 * 5 + 5 + 5 + 1)


def test_lanes_are_those_of_each_alone_and_numbers_vary(problem):
    recipes = [
        replace(RECIPE, seed=seed, groups=(ParamGroup(adapter="lora", rank=2, alpha=alpha),))
        for seed, alpha in [(0, 2.0), (0, 8.0), (1, 2.0)]
    ]
    together = tw.train(problem, recipes, strict=True, progress=False)
    assert together.result["groups"] == [[0, 1, 2]], "alpha must not select a program"
    alone = [tw.train(problem, recipe, progress=False) for recipe in recipes]
    for one, other in zip(together, alone, strict=True):
        for name, values in by_path(one.params).items():
            np.testing.assert_array_equal(values, by_path(other.params)[name], err_msg=name)
    assert not np.allclose(
        by_path(alone[0].params)["layers.0.weight"], by_path(alone[1].params)["layers.0.weight"]
    )


def test_a_run_is_resumed_bit_for_bit_and_keeps_the_sum(problem, tmp_path):
    whole = tw.train(problem, RECIPE, progress=False)
    stream = tw.stream_train(problem, RECIPE, keep=tmp_path / "run", every=10)
    for status in stream:
        if status.step >= 10:
            status.stop()
    stream.result()
    resumed = tw.resume(tmp_path / "run", problem, progress=False)
    assert resumed.result["steps"] == 25
    for name, values in by_path(resumed.params).items():
        np.testing.assert_array_equal(values, by_path(whole.params)[name], err_msg=name)
    restored = tw.restore(tmp_path / "run")
    np.testing.assert_array_equal(restored.model.layers[0].weight, whole.params.layers[0].weight)
    assert restored.record.recipe["groups"][0]["adapter"] == "lora"


def test_other_parameters_are_trained_as_their_group_says(problem):
    groups = (
        ParamGroup(pattern="layers.0.*", adapter="lora", rank=1),
        ParamGroup(pattern="*.bias", frozen=True),
    )
    before = by_path(start(problem, replace(RECIPE, groups=groups))[0])
    after = by_path(tw.train(problem, replace(RECIPE, groups=groups), progress=False).params)
    moved = {name: not np.array_equal(before[name], after[name]) for name in before}
    assert moved == {
        "layers.0.weight": True,
        "layers.0.bias": False,
        "layers.1.weight": True,
        "layers.1.bias": False,
    }


def test_kernels_are_adapted_as_matrices():
    pictures = RANDOM.normal(size=(24, 8, 8)).astype(np.float32)
    data = tw.load((pictures, np.arange(24) % 3), test=0.0, validation=0.0)
    group = ParamGroup(pattern="convolutions.*", adapter="lora", rank=2)
    recipe = tw.Recipe(tw.SGD(lr=0.1), batch_size="full", steps=3, groups=(group,))
    problem = tw.Problem(parse("cnn:4"), data)
    before, _ = start(problem, recipe)
    run = tw.train(problem, recipe, progress=False)
    change = by_path(run.params)["convolutions.0.weight"] - by_path(before)["convolutions.0.weight"]
    assert np.linalg.matrix_rank(change.reshape(len(change), -1), tol=1e-6) in (1, 2)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"adapter": "lora", "frozen": True}, "an adapter is trained"),
        ({"rank": 4}, "rank and alpha are those of an adapter"),
        ({"adapter": "lora", "rank": 0}, "rank"),
        ({"adapter": "lora", "alpha": 0.0}, "alpha"),
        ({"adapter": "dora"}, "adapter must be one of 'none', 'lora'"),
        ({"match": "layers.*"}, "by pattern"),
    ],
)
def test_a_group_that_cannot_be_is_refused(settings, words):
    with pytest.raises(RecipeError, match=words):
        tw.Recipe.from_dict({"groups": [settings]})


def test_adapters_that_do_not_go_with_the_model_or_the_optimizer_are_refused(problem):
    members = tw.Problem(tw.Tabular(members=2), problem.data)
    with pytest.raises(RecipeError, match="for one matrix, or a kernel"):
        tw.train(members, replace(RECIPE, groups=(ParamGroup(adapter="lora"),)), progress=False)
    biases = replace(RECIPE, groups=(ParamGroup(role="bias", adapter="lora"),))
    with pytest.raises(RecipeError, match="and one with an adapter a matrix"):
        tw.train(problem, biases, progress=False)
    with pytest.raises(RecipeError, match="evaluates an average"):
        tw.Recipe(tw.ScheduleFreeSGD(), groups=(LORA,))
    averaged = custom(optax.contrib.schedule_free_sgd, learning_rate=0.1)
    with pytest.raises(RecipeError, match="evaluates an average"):
        tw.train(problem, tw.Recipe(averaged, batch_size="full", steps=2, groups=(LORA,)), progress=False)
