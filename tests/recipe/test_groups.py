"""Parameter groups: factors, decay and freezing by path and role, on an Equinox module."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from thalweg.core.errors import RecipeError
from thalweg.core.tree import count, paths, roles
from thalweg.recipe.groups import ParamGroup
from thalweg.recipe.optimizers import OPTIMIZERS, SGD, Adam, AdamW, ScheduleFreeSGD
from thalweg.recipe.recipe import Recipe

MODEL = eqx.nn.MLP(3, 2, 4, 1, key=jax.random.key(0))
PARAMS, FIXED = eqx.partition(MODEL, eqx.is_inexact_array)
ROLES = roles(MODEL)


def loss(params):
    return jnp.sum(jax.vmap(eqx.combine(params, FIXED))(jnp.arange(12.0).reshape(4, 3) / 10) ** 2)


def train(recipe, steps=3, factor=1.0):
    params, state = PARAMS, recipe.update_rule(ROLES).init(PARAMS)
    for _ in range(steps):
        value, grads = jax.value_and_grad(loss)(params)
        rule = recipe.update_rule(ROLES, factor)
        updates, state = rule.update(grads, state, params, value=value, grad=grads, value_fn=loss)
        params = optax.apply_updates(params, updates)
    return by_path(params), state, params


def by_path(tree):
    return dict(zip(paths(tree), map(np.asarray, jax.tree.leaves(tree)), strict=True))


def test_without_groups_the_rule_is_that_of_the_optimizer():
    recipe = Recipe(AdamW(lr=0.1))
    state = recipe.optimizer.transform(ROLES).init(PARAMS)
    assert jax.tree.structure(recipe.update_rule(ROLES).init(PARAMS)) == jax.tree.structure(state)


def test_a_factor_is_a_factor_of_the_rate():
    slow = Recipe(SGD(lr=0.1), groups=(ParamGroup(pattern="layers.0.*", lr_factor=0.25),))
    found, expected = train(slow, steps=1)[0], train(Recipe(SGD(lr=0.025)), steps=1)[0]
    rest = train(Recipe(SGD(lr=0.1)), steps=1)[0]
    for path, value in found.items():
        np.testing.assert_array_equal(value, expected[path] if path.startswith("layers.0") else rest[path])
    assert not np.array_equal(expected["layers.0.weight"], rest["layers.0.weight"])


@pytest.mark.parametrize("name", [name for name, rule in OPTIMIZERS.items() if not rule.needs_closure])
def test_frozen_parameters_stay_and_have_no_state(name):
    optimizer = OPTIMIZERS[name]()
    whole = count(train(Recipe(optimizer))[1])
    found, state, params = train(Recipe(optimizer, groups=(ParamGroup(pattern="layers.0.*", frozen=True),)))
    before = by_path(PARAMS)
    for path, value in found.items():
        assert np.array_equal(value, before[path]) == path.startswith("layers.0"), path
    for path, value in by_path(optimizer.evaluated(state, params)).items():
        if path.startswith("layers.0"):
            np.testing.assert_array_equal(value, before[path])
    assert optimizer.name == "sgd" or count(state) < whole, "state of frozen parameters is a waste"


def test_the_weight_decay_of_a_group_applies_to_biases_too():
    still = Recipe(AdamW(lr=0.1, weight_decay=0.5), groups=(ParamGroup(role="bias", weight_decay=0.5),))
    asked, plain = train(still)[0], train(Recipe(AdamW(lr=0.1, weight_decay=0.5)))[0]
    spared = train(
        Recipe(AdamW(lr=0.1, weight_decay=0.5), groups=(ParamGroup(role="matrix", weight_decay=0.0),))
    )[0]
    bare = train(Recipe(AdamW(lr=0.1, weight_decay=0.0)))[0]
    assert not np.array_equal(asked["layers.0.bias"], plain["layers.0.bias"])
    np.testing.assert_array_equal(spared["layers.0.bias"], bare["layers.0.bias"])
    np.testing.assert_allclose(spared["layers.1.weight"], bare["layers.1.weight"])


def test_a_group_can_switch_a_penalty_on():
    found = train(Recipe(SGD(lr=0.1), groups=(ParamGroup(role="matrix", weight_decay=0.5),)), steps=1)[0]
    plain = train(Recipe(SGD(lr=0.1)), steps=1)[0]
    before = by_path(PARAMS)["layers.0.weight"]
    np.testing.assert_allclose(found["layers.0.weight"], plain["layers.0.weight"] - 0.05 * before, rtol=1e-6)
    np.testing.assert_array_equal(found["layers.0.bias"], plain["layers.0.bias"])


def test_the_first_match_counts_and_an_empty_group_is_an_error():
    both = (ParamGroup(pattern="layers.0.weight", lr_factor=0.0), ParamGroup(role="matrix", lr_factor=0.5))
    found, before = train(Recipe(SGD(lr=0.1), groups=both), steps=1)[0], by_path(PARAMS)
    np.testing.assert_array_equal(found["layers.0.weight"], before["layers.0.weight"])
    assert not np.array_equal(found["layers.1.weight"], before["layers.1.weight"])
    with pytest.raises(RecipeError, match=r"did you mean 'layers\.0\.weight'"):
        Recipe(groups=(ParamGroup(pattern="layer.0.weight"),)).update_rule(ROLES)
    with pytest.raises(RecipeError, match="every group must have a parameter"):
        Recipe(groups=(ParamGroup(), ParamGroup(role="bias"))).update_rule(ROLES)


def test_schedule_free_rules_evaluate_averaged_weights_in_every_group():
    """The averaged weights are recovered with groups as without."""
    recipe = Recipe(ScheduleFreeSGD(lr=0.1, b1=0.5), groups=(ParamGroup(role="bias", lr_factor=0.5),))
    _, state, params = train(recipe, steps=1)
    # After one step x = z, so that y = (z + x)/2 = x.
    for path, value in by_path(recipe.optimizer.evaluated(state, params)).items():
        np.testing.assert_allclose(value, by_path(params)[path], rtol=1e-5, err_msg=path)
    _, state, params = train(recipe, steps=4)
    evaluated = by_path(recipe.optimizer.evaluated(state, params))
    assert not np.allclose(evaluated["layers.0.bias"], by_path(params)["layers.0.bias"])
    assert not np.allclose(evaluated["layers.0.weight"], by_path(params)["layers.0.weight"])


def test_the_schedule_and_the_rate_rule_reach_every_group():
    groups = (ParamGroup(role="bias", lr_factor=0.5),)
    scheduled = train(Recipe(Adam(lr=0.1), groups=groups), factor=0.3)[0]
    direct = train(Recipe(Adam(lr=0.03), groups=groups))[0]
    ruled = train(Recipe(Adam(lr=0.01), groups=groups, rate_rule="linear", batch_size=768))[0]
    for path, value in direct.items():
        np.testing.assert_allclose(scheduled[path], value, rtol=1e-5)
        np.testing.assert_allclose(ruled[path], value, rtol=1e-5)
