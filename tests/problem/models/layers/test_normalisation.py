"""Running statistics of batch norm, and the groups of group norm."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from thalweg.core.errors import ModelError
from thalweg.problem.models.layers.normalisation import DECAY, EPSILON, BatchNorm, GroupNorm, normalisation

BATCHES = np.random.default_rng(0).normal(3.0, 2.0, size=(5, 8, 4, 3)).astype(np.float32)


def stepped(layer, state, batch):
    return jax.vmap(lambda x: layer(x, state), axis_name="batch", out_axes=(0, None))(jnp.asarray(batch))


def quiet(layer, state, x):
    return eqx.nn.inference_mode(layer)(jnp.asarray(x), state)[0]


def test_running_statistics_are_weighted_means_unbiased_from_the_first_step():
    layer, state = eqx.nn.make_with_state(BatchNorm)(3)
    means, variances = [], []
    for batch in BATCHES:
        _, state = stepped(layer, state, batch)
        means.append(batch.mean(axis=(0, 1)))
        variances.append(batch.var(axis=(0, 1), ddof=1))
        weights = np.array([DECAY**k for k in range(len(means))][::-1])
        mean, variance = (np.average(v, axis=0, weights=weights) for v in (means, variances))
        expected = (batch[0] - mean) / np.sqrt(variance + EPSILON)
        np.testing.assert_allclose(quiet(layer, state, batch[0]), expected, rtol=2e-5, atol=2e-5)


def test_the_running_variance_is_unbiased_as_in_torch():
    torch = pytest.importorskip("torch", reason="torch is the reference where it is installed")
    theirs = torch.nn.BatchNorm1d(3, momentum=None)  # momentum None: a plain mean over batches
    theirs(torch.tensor(BATCHES[0].reshape(-1, 3)))
    layer, state = eqx.nn.make_with_state(BatchNorm)(3)
    _, state = stepped(layer, state, BATCHES[0])
    found = quiet(layer, state, BATCHES[1][0])
    expected = theirs.eval()(torch.tensor(BATCHES[1][0])).detach().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_inference_before_any_step_does_not_change_the_input():
    layer, state = eqx.nn.make_with_state(BatchNorm)(3)
    found = quiet(layer, state, BATCHES[0][0])
    np.testing.assert_allclose(found, BATCHES[0][0] / np.sqrt(1 + EPSILON), rtol=1e-6)


def test_no_gradient_flows_into_the_running_statistics():
    layer, state = eqx.nn.make_with_state(BatchNorm)(3)

    def figures(batch):
        return sum(jnp.sum(leaf) for leaf in jax.tree.leaves(stepped(layer, state, batch)[1]))

    assert not np.any(jax.grad(figures)(jnp.asarray(BATCHES[0])))


def test_batch_norm_without_its_state_is_refused():
    with pytest.raises(ModelError, match="must be called with its state"):
        eqx.nn.make_with_state(BatchNorm)(3)[0](jnp.ones(3), None)


@pytest.mark.parametrize(("features", "groups"), [(64, 4), (16, 1), (3, 1), (48, 3), (40, 2), (34, 2)])
def test_groups_have_about_sixteen_features(features, groups):
    assert GroupNorm(features).groups == groups


def test_impossible_norms_are_refused():
    with pytest.raises(ModelError, match="divide"):
        GroupNorm(6, 4)
    with pytest.raises(ModelError, match="did you mean 'layer'"):
        normalisation("layr", 3)
    assert normalisation("none", 3) is None
