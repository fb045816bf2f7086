"""Whole networks against their equations in NumPy."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.contracts.layers import filled
from thalweg.problem.models import CNN, MLP, Architecture, LinearModel, ResNet
from thalweg.problem.models.layers.convolution import im2col, max_pool

X = np.random.default_rng(1).normal(size=(3, 2)).astype(np.float32)


def filled_module(architecture: Architecture):
    """Return the module with random numbers in every array."""
    return filled(eqx.filter_eval_shape(architecture, jax.random.key(0)))


def affine(layer, x):
    return np.asarray(layer.weight) @ x + np.asarray(layer.bias)


def normal(norm, x):
    return (x - x.mean()) / np.sqrt(x.var() + 1e-5) * np.asarray(norm.scale) + np.asarray(norm.shift)


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("norm", ["none", "layer"])
def test_the_mlp_is_norm_then_activation_then_skip(skip, norm):
    module = filled_module(MLP([6, 5, 5, 4, 3], activation="tanh", normalisation=norm, skip=skip))
    hidden = X.ravel()
    for index, layer in enumerate(module.layers[:-1]):
        output = affine(layer, hidden)
        output = np.tanh(output if norm == "none" else normal(module.norms[index], output))
        # Only the second hidden layer is as wide as its input.
        hidden = hidden + output if skip and index == 1 else output
    np.testing.assert_allclose(
        module(jnp.asarray(X)), affine(module.layers[-1], hidden), rtol=1e-5, atol=1e-5
    )


def test_the_linear_model_is_one_affine_map_and_starts_at_zero():
    module = filled_module(LinearModel([6, 3]))
    np.testing.assert_allclose(module(jnp.asarray(X)), affine(module.layers[0], X.ravel()), rtol=1e-5)
    start = LinearModel([6, 3])(jax.random.key(0))
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(eqx.filter(start, eqx.is_array)))


def test_dropout_is_not_applied_to_the_last_layer():
    module = MLP([6, 400, 50], dropout=0.5)(jax.random.key(0))
    noisy, quiet = (np.asarray(module(jnp.asarray(X), key=key)) for key in (jax.random.key(1), None))
    assert np.all(noisy != 0)
    assert not np.allclose(noisy, quiet)


def test_integers_are_converted_to_floating_point():
    module = filled_module(MLP([6, 5, 3]))
    pixels = jnp.arange(6, dtype=jnp.uint8).reshape(3, 2)
    np.testing.assert_array_equal(module(pixels), module(pixels.astype(jnp.float32)))


def test_the_cnn_alternates_convolution_activation_and_pooling():
    module = filled_module(CNN([2, 3], hidden=7).fitted((8, 8), 4))
    image = np.random.default_rng(0).normal(size=(8, 8)).astype(np.float32)
    hidden = jnp.asarray(image)[..., None]
    for layer in module.convolutions:
        hidden = max_pool(jnp.maximum(im2col(hidden, layer.weight, 1) + layer.bias, 0))
    features = np.maximum(affine(module.hidden, np.asarray(hidden).ravel()), 0)
    np.testing.assert_allclose(
        module(jnp.asarray(image)), affine(module.head, features), rtol=1e-4, atol=1e-4
    )


def test_depth_counts_the_layers_with_weights():
    for depth, sizes in ((8, (3, 16)), (20, (9, 16)), (18, (8, 64)), (34, (16, 64))):
        module = eqx.filter_eval_shape(ResNet(depth).fitted((32, 32, 3), 10), jax.random.key(0))
        assert (len(module.blocks), module.stem.weight.shape[0]) == sizes
        assert 1 + 2 * len(module.blocks) + 1 == depth


def test_large_images_are_shrunk_first_and_small_ones_are_not():
    assert ResNet(18).fitted((224, 224, 3), 1000).shrink
    assert not ResNet(18).fitted((32, 32, 3), 10).shrink
    module = ResNet(18).fitted((224, 224, 3), 1000)
    shape = eqx.filter_eval_shape(module, jax.random.key(0))
    assert shape.stem.weight.shape == (64, 7, 7, 3)
    # torchvision's resnet18 has 11.69 million parameters; ours lacks the three projections (172,032) and
    # their norms, of two numbers a channel.
    count = sum(leaf.size for leaf in jax.tree.leaves(shape) if isinstance(leaf, jax.ShapeDtypeStruct))
    running = sum(2 * norm.scale.size + 1 for block in shape.blocks for norm in block.norms) + 2 * 64 + 1
    assert count - running == 11_689_512 - 172_032 - 2 * (128 + 256 + 512)


def test_the_stride_of_the_first_convolution_shrinks_the_image():
    image = jax.random.normal(jax.random.key(0), (8, 8, 3))
    architecture = ResNet(8, channels=4, stride=2, normalisation="layer").fitted((8, 8, 3), 5)
    module = architecture(jax.random.key(1))
    assert module.stem.weight.shape == (4, 3, 3, 3)
    assert module.stem(image).shape == (4, 4, 4)
    assert module(image).shape == (5,)
    usual = ResNet(8, channels=4, normalisation="layer").fitted((8, 8, 3), 5)(jax.random.key(1))
    assert usual.stem(image).shape == (8, 8, 4)
