"""Every rule in a compiled program: fixed dtypes, no second trace, independent lanes, savable state.

The model is an Equinox module with leaves that are not trained, as in the engine.
"""

import io
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from thalweg.core.tree import roles, stack
from thalweg.recipe.optimizers import OPTIMIZERS

INPUTS = np.random.default_rng(0).normal(size=(6, 3))
TARGETS = np.random.default_rng(1).normal(size=(6, 2))


def model() -> Any:
    """A matrix, a bias, a scale and leaves that are not trained."""
    return eqx.nn.Sequential([eqx.nn.Linear(3, 2, key=jax.random.key(0)), eqx.nn.LayerNorm(2)])


def partitioned(dtype: Any) -> tuple[Any, Any]:
    params, fixed = eqx.partition(model(), eqx.is_inexact_array)
    return jax.tree.map(lambda w: w.astype(dtype), params), fixed


def numbers(optimizer: Any, factor: float = 1.0) -> Any:
    """The rule's numbers as the engine passes them, float32 scalars, with the rates times a factor."""
    scaled = optimizer.scaled(factor)
    return jax.tree.map(jnp.float32, scaled)


def steps_of(fixed: Any, count: int) -> Any:
    """Return `run(optimizer, params, state) -> (params, state)` over `count` steps."""

    def loss_of(params: Any) -> Any:
        dtype = jax.tree.leaves(params)[0].dtype
        whole = eqx.combine(params, fixed)
        return jnp.mean((jax.vmap(whole)(INPUTS.astype(dtype)) - TARGETS.astype(dtype)) ** 2)

    def step(optimizer: Any, carry: Any) -> Any:
        params, state = carry
        loss, grads = jax.value_and_grad(loss_of)(params)
        rule = optimizer.transform(roles(params))
        updates, state = rule.update(grads, state, params, value=loss, grad=grads, value_fn=loss_of)
        return optax.apply_updates(params, updates), state

    def run(optimizer: Any, params: Any, state: Any) -> Any:
        # A loop with a carry refuses any change of structure, dtype or weak type.
        return jax.lax.fori_loop(0, count, lambda _, carry: step(optimizer, carry), (params, state))

    return run


def saved_and_loaded(tree: Any) -> Any:
    """Through bytes, without pickle."""
    leaves, treedef = jax.tree.flatten(tree)
    buffer = io.BytesIO()
    np.savez(buffer, *map(np.asarray, leaves))
    buffer.seek(0)
    with np.load(buffer, allow_pickle=False) as found:
        return jax.tree.unflatten(treedef, [jnp.asarray(found[f"arr_{i}"]) for i in range(len(leaves))])


def same_bits(one: Any, other: Any) -> bool:
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return all(np.array_equal(np.asarray(a), np.asarray(b), equal_nan=True) for a, b in pairs)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("dtype", ["bfloat16", "float64"])
def test_keeps_dtypes_and_structure(name, dtype):
    with jax.enable_x64(dtype == "float64"):
        params, fixed = partitioned(jnp.dtype(dtype))
        optimizer = numbers(OPTIMIZERS[name]())
        state = optimizer.transform(roles(params)).init(params)
        after = jax.eval_shape(steps_of(fixed, 2), optimizer, params, state)
        for before, now in zip(jax.tree.leaves((params, state)), jax.tree.leaves(after), strict=True):
            assert (before.shape, before.dtype) == (now.shape, now.dtype)
        wide = [leaf.dtype for leaf in jax.tree.leaves(after[0])]
        assert set(wide) == {jnp.dtype(dtype)}


def marked(name: str) -> Any:
    """Line searches are the same in lanes and alone as users' programs are compiled (tests/conftest.py)."""
    optimised = OPTIMIZERS[name].line_search or name in ("adamw", "muon")
    return pytest.param(name, marks=[pytest.mark.optimised] if optimised else [])


@pytest.mark.parametrize("name", [marked(name) for name in OPTIMIZERS])
def test_lanes_are_independent_never_retrace_and_survive_saving(name):
    """A lane does not depend on its neighbours or on being saved; another number does not recompile."""
    params, fixed = partitioned(jnp.float32)
    traces = []

    @jax.jit
    def run(optimizers: Any, params: Any, states: Any) -> Any:
        traces.append(1)
        return jax.lax.map(lambda lane: steps_of(fixed, 3)(*lane), (optimizers, params, states))

    start = jax.jit(jax.vmap(lambda optimizer: optimizer.transform(roles(params)).init(params)))

    def first(*factors: float) -> tuple:
        optimizers = stack([numbers(OPTIMIZERS[name](), factor) for factor in factors])
        return optimizers, stack([params] * len(factors)), start(optimizers)

    # Three lanes with different rates (where the rule has one), and the middle one alone, saved half-way.
    optimizers, *initial = first(0.5, 1.0, 2.0)
    once = run(optimizers, *initial)
    among = run(optimizers, *once)
    middle = jax.tree.map(lambda leaf: leaf[1:2], (optimizers, *initial))
    alone = run(middle[0], *saved_and_loaded(run(*middle)))
    assert same_bits(jax.tree.map(lambda leaf: leaf[1:2], among), alone)
    assert not same_bits(once[0], among[0]), "the weights must have moved"
    if OPTIMIZERS[name].rates:
        assert not same_bits(
            jax.tree.map(lambda leaf: leaf[0], among), jax.tree.map(lambda leaf: leaf[1], among)
        )

    before = len(traces)
    run(*first(0.3, 1.7, 2.9))
    assert len(traces) == before
