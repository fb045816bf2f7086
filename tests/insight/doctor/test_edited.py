"""The program of a module of a user's own is read, and changed, without its source."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.insight.doctor.programs import Net
from thalweg.insight.doctor.circuit import circuit_of
from thalweg.insight.doctor.edited import Constant, Edits, edited
from thalweg.insight.doctor.plan import reinitialised

X = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)


def module(act=jax.nn.sigmoid, out=jax.nn.softmax):
    return Net([3, 8, 8, 2], act, out, jax.random.key(0))


def test_affine_maps_and_activations_are_found():
    circuit, _ = circuit_of(lambda net, x: net(x), module(), (X[0],), {})
    assert [affine.leaving.aval.shape for affine in circuit.affines] == [(8,), (8,), (2,)]
    assert [site.name for site in circuit.between(0)] == ["sigmoid"]
    assert circuit.affines[0].parameters == (0, 1)


@pytest.mark.parametrize("act", [jax.nn.sigmoid, lambda z: jnp.exp(z) / jnp.exp(z).sum(), lambda z: z])
def test_hidden_activations_are_replaced_or_put_in(act):
    changed = edited(module(act), Edits(hidden="relu", output="linear"))
    plain = Net([3, 8, 8, 2], jax.nn.relu, lambda z: z, jax.random.key(0))
    np.testing.assert_allclose(jax.vmap(changed)(X), jax.vmap(plain)(X), rtol=1e-6)


def test_inputs_enter_scaled_and_outputs_leave_in_their_unit():
    base = module(out=lambda z: z)
    shift, scale = Constant.of([-1.0, 0.0, 2.0]), Constant.of([2.0, 1.0, 0.5])
    changed = edited(
        base,
        Edits(
            input_shift=shift,
            input_scale=scale,
            output_shift=Constant.of(3.0),
            output_scale=Constant.of(10.0),
        ),
    )
    expected = 10 * jax.vmap(base)((X + shift.array) * scale.array) + 3
    np.testing.assert_allclose(jax.vmap(changed)(X), expected, rtol=1e-5)


def test_the_gradient_reaches_the_inner_module():
    changed = edited(module(), Edits(hidden="tanh", normalise=True))
    grads = eqx.filter_grad(lambda net: jax.vmap(net)(X)[:, 0].sum())(changed)
    assert all(float(jnp.abs(leaf).max()) > 0 for leaf in jax.tree.leaves(grads.inner.layers[0].weight))


class Sparse(eqx.Module):
    """A module with fields that are empty."""

    norm: None
    layer: eqx.nn.Linear
    more: list
    last: eqx.nn.Linear


def test_new_weights_are_drawn_in_a_module_with_empty_fields():
    one, two = (eqx.nn.Linear(3, 3, key=jax.random.key(seed)) for seed in (0, 1))
    old = Sparse(None, one, [], two)
    new = reinitialised(old, jax.random.key(2))
    assert jax.tree.structure(new) == jax.tree.structure(old)
    for before, after in ((old.layer, new.layer), (old.last, new.last)):
        assert not np.array_equal(before.weight, after.weight)
        assert np.all(np.asarray(after.bias) == 0)
