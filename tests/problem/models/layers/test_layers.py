"""Statistics of dropout, the form of convolutions, ties in pooling, and unknown tokens."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from thalweg.problem.models.layers import convolution
from thalweg.problem.models.layers.dropout import Dropout
from thalweg.problem.models.layers.linear import Embedding

KEY = jax.random.key(0)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_zeroes_a_share_of_rate_and_keeps_the_mean(rate):
    found = np.asarray(Dropout(rate)(jnp.ones(100_000), key=KEY))
    # Five standard deviations of a binomial share.
    assert abs((found == 0).mean() - rate) < 5 * np.sqrt(rate * (1 - rate) / found.size)
    kept = found[found != 0]
    np.testing.assert_allclose(kept, 1 / (1 - rate), rtol=2e-4)
    assert np.unique(kept).size == 1


def test_dropout_is_off_without_a_key_and_in_inference():
    x = jnp.arange(5.0)
    np.testing.assert_array_equal(Dropout(0.5)(x, key=None), x)
    np.testing.assert_array_equal(Dropout(0.5, inference=True)(x, key=KEY), x)


def test_keys_are_split_only_if_something_is_dropped():
    data = [jax.random.key_data(key).tolist() for key in Dropout(0.5).keys(KEY, 3)]
    assert data == jax.random.key_data(jax.random.split(KEY, 3)).tolist()
    for idle in (Dropout(0.0), Dropout(0.5, inference=True)):
        assert idle.keys(KEY, 3) == [None, None, None] == Dropout(0.5).keys(None, 3)


@pytest.mark.parametrize(
    ("backend", "channels", "form"),
    [("cpu", 3, "im2col"), ("cpu", 16, "winograd"), ("gpu", 16, "native"), ("tpu", 3, "native")],
)
def test_the_form_of_convolution_is_chosen_by_backend_and_kernel(backend, channels, form):
    x, kernel = jnp.zeros((8, 8, channels)), jnp.zeros((16, 3, 3, channels))
    assert convolution.form_for(backend, x, kernel, 1) is getattr(convolution, form)


@pytest.mark.parametrize("extent", [(7, 6), (1, 1), (2, 9)])
@pytest.mark.parametrize(("size", "stride"), [(1, 2), (2, 2), (3, 1), (3, 2), (4, 3), (7, 2)])
def test_both_forms_of_convolution_agree(extent, size, stride):
    x = jax.random.normal(KEY, (*extent, 3))
    kernel = jax.random.normal(KEY, (5, size, size, 3))
    ours, theirs = (form(x, kernel, stride) for form in (convolution.im2col, convolution.native))
    assert ours.shape == (-(-extent[0] // stride), -(-extent[1] // stride), 5)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_ties_for_the_maximum_share_the_gradient_evenly():
    image = jnp.asarray([[1.0, 1.0, 9.0], [0.0, 1.0, 9.0], [9.0, 9.0, 9.0]])[..., None]
    gradient = jax.grad(lambda x: convolution.max_pool(x).sum())(image)[..., 0]
    np.testing.assert_allclose(gradient, [[1 / 3, 1 / 3, 0], [0, 1 / 3, 0], [0, 0, 0]], rtol=1e-6)


def test_a_greyscale_integer_image_becomes_floating_point_with_a_channel():
    found = convolution.as_image(jnp.ones((4, 5), jnp.uint8))
    assert found.shape == (4, 5, 1)
    assert found.dtype == jnp.float32


def test_a_token_outside_the_vocabulary_gives_nan():
    layer = Embedding(3, 2, key=KEY)
    found = layer(jnp.asarray([0, 2, 3]))
    np.testing.assert_array_equal(found[:2], layer.weight[jnp.asarray([0, 2])])
    assert jnp.isnan(found[2]).all()
