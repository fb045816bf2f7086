"""The ensemble on tables: its members alone, the folds that they leave out, its loss and its mean."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from thalweg.core import keys
from thalweg.core.errors import ModelError
from thalweg.problem.losses import as_loss
from thalweg.problem.members import Folded, Members, mean_of
from thalweg.problem.models import Tabular, parse
from thalweg.problem.models.tabular import as_text, places_of

X = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)


def network(**settings):
    own = Tabular([3, 4, 2], members=4, folds=2, averaged="softmax", **settings)
    return own(keys.lane_key(0))


def alone(module, member):
    """Return the outputs of one member, computed layer by layer."""
    hidden = X if module.embedding is None else module.embedding(jnp.asarray(X))
    first, last = module.layers
    hidden = jax.nn.relu(hidden @ first.weight[member] + first.bias[member])
    return hidden @ last.weight[member] + last.bias[member]


@pytest.mark.parametrize("embedding", ["none", "periodic"])
def test_a_prediction_is_the_mean_of_the_members_probabilities(embedding):
    module = network(embedding=embedding)
    each = np.stack([jax.nn.softmax(alone(module, m)) for m in range(4)])
    found = jax.nn.softmax(eqx.nn.inference_mode(module)(X))
    np.testing.assert_allclose(found, each.mean(axis=0), rtol=1e-5)


def test_a_row_trains_the_members_of_other_folds_and_is_validated_by_those_of_its_own():
    module, fold = network(), np.array([0, 1, 0, 1, 0, 1], np.int32)
    given = module(Folded(X, fold))
    assert isinstance(given, Members)
    assert np.asarray(given.weights[:2]).tolist() == [[0, 0.5, 0, 0.5], [0.5, 0, 0.5, 0]]
    held_out = eqx.nn.inference_mode(module)(Folded(X, -1 - fold))
    own = np.stack([jax.nn.softmax(alone(module, m)) for m in (0, 2)]).mean(axis=0)
    np.testing.assert_allclose(jax.nn.softmax(held_out[0]), own[0], rtol=1e-5)


def test_the_loss_is_the_mean_of_the_members_losses_and_moves_no_member_by_rows_of_its_fold():
    module, loss, targets = network(), as_loss("cross_entropy"), np.array([0, 1, 1, 0, 1, 0])
    each = np.stack([loss(alone(module, m), targets) for m in range(4)])
    np.testing.assert_allclose(loss(module(X), targets), each.mean(axis=0), rtol=1e-5)
    rows = Folded(X, np.zeros(6, np.int32))
    grads = eqx.filter_grad(lambda module: loss(module(rows), targets).mean())(module)
    weight = np.abs(np.asarray(grads.layers[0].weight)).sum(axis=(1, 2))
    assert (weight[[0, 2]] == 0).all()
    assert (weight[[1, 3]] > 0).all()


def test_a_single_logit_is_averaged_as_a_probability():
    module = Tabular([3, 4, 1], members=2, averaged="sigmoid")(keys.lane_key(0))
    each = np.stack([jax.nn.sigmoid(alone(module, m)) for m in range(2)])
    found = jax.nn.sigmoid(eqx.nn.inference_mode(module)(X))
    np.testing.assert_allclose(found, each.mean(axis=0), rtol=1e-5)


def test_only_named_places_are_embedded():
    own = Tabular([3, 4, 2], embedding="periodic", embedded="0+2")(keys.lane_key(0))
    made = own.embedding(jnp.asarray(X))
    assert made.shape == (6, 3 + 2 * 3)
    assert (np.asarray(made[:, :3]) == X).all()
    changed = X.copy()
    changed[:, 1] += 1
    assert (np.asarray(own.embedding(jnp.asarray(changed)))[:, 3:] == np.asarray(made)[:, 3:]).all()


def test_outputs_of_members_are_averaged_by_what_each_counts():
    random = np.random.default_rng(0)
    outputs, weights = random.normal(size=(5, 3, 2)), random.random((5, 3))
    found = mean_of(Members(jnp.asarray(outputs), jnp.asarray(weights)))
    np.testing.assert_allclose(found, np.einsum("emo,em->eo", outputs, weights), rtol=1e-5)
    assert mean_of(X) is X


def test_places_as_text_and_back():
    assert as_text([0, 1, 2, 5, 7, 8]) == "0-2+5+7-8"
    assert places_of("0-2+5+7-8") == (0, 1, 2, 5, 7, 8)
    spec = Tabular([None, 8, None], embedding="periodic", embedded="0-2+5", members=3)
    assert parse(spec.spec()) == spec
    with pytest.raises(ModelError, match="embedded must be all, or places"):
        Tabular([None, 8, None], embedded="first")
