"""Dividing a batch into microbatches, so that it stays in the cache, does not change its gradient."""

import jax
import numpy as np
import pytest

import thalweg as tw
from thalweg.problem.models import cnn


def trained(normalisation: str, batch: int) -> list[np.ndarray]:
    """Return the weights after three updates in float64; the last batch of an epoch is short."""
    jax.clear_caches()  # the block is a constant of the program
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (2 * batch + 5, 8, 8)).astype(np.uint8)
    data = tw.load((images, random.integers(0, 3, len(images))), test=0.0, validation=0.0)
    problem = tw.Problem(tw.CNN([4], hidden=8, normalisation=normalisation), data)
    recipe = tw.Recipe(tw.SGD(lr=0.1), batch_size=batch, steps=3, precision="f64", shuffle="none")
    return [np.asarray(leaf) for leaf in jax.tree.leaves(tw.train(problem, recipe).params)]


@pytest.mark.parametrize("batch", [12, 17])
def test_microbatches_give_the_gradient_of_the_whole_batch(batch, monkeypatch):
    with jax.enable_x64(True):
        at_once = trained("none", batch)
        monkeypatch.setattr(cnn, "BLOCK", 5)
        divided = trained("none", batch)
    assert any((one != other).any() for one, other in zip(at_once, divided, strict=True))  # it was divided
    for one, other in zip(at_once, divided, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)


def test_batch_norm_sees_the_whole_batch(monkeypatch):
    with jax.enable_x64(True):
        at_once = trained("batch", 12)
        monkeypatch.setattr(cnn, "BLOCK", 5)
        for one, other in zip(at_once, trained("batch", 12), strict=True):
            np.testing.assert_array_equal(one, other)
