"""Options of the catalogue's models: what they compute, and that those that are not given change nothing."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import thalweg as tw
from thalweg.problem.models import parse
from thalweg.problem.models.layers.activations import ACTIVATIONS, relu
from thalweg.problem.models.layers.convolution import Convolution, max_pool
from thalweg.problem.models.layers.initialisations import Fans, initialisation
from thalweg.problem.models.layers.linear import Linear

KEY = jax.random.key(0)
IMAGE = jnp.asarray(np.random.default_rng(0).normal(size=(8, 8, 1)), jnp.float32)


def made(text, shape, outputs=3):
    return parse(text).fitted(shape, outputs)(KEY)


def same(tree, other):
    pairs = zip(jax.tree.leaves(tree), jax.tree.leaves(other), strict=True)
    return all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in pairs)


def test_options_that_are_not_given_change_no_bit():
    keys = jax.random.split(KEY, 3)
    pairs = [(6, 5), (5, 4), (4, 3)]
    layers = [Linear(*pair, key=k) for pair, k in zip(pairs, keys, strict=True)]
    perceptron, x = made("mlp:5,4", (6,)), jnp.arange(6.0)
    assert same(perceptron.layers, layers)
    right = layers[2](relu(layers[1](relu(layers[0](x)))))
    np.testing.assert_array_equal(perceptron(x), right)
    network = made("cnn:4,hidden=6", (8, 8))
    convolution = Convolution((1, 4), key=keys[0])
    hidden, head = Linear(4 * 4 * 4, 6, key=keys[1]), Linear(6, 3, key=keys[2])
    assert same((network.convolutions, network.hidden, network.head), ((convolution,), hidden, head))
    right = head(relu(hidden(relu(max_pool(convolution(IMAGE))).ravel())))
    np.testing.assert_array_equal(network(IMAGE), right)


def test_an_mlp_has_an_activation_for_each_layer_and_one_for_its_outputs():
    module, x = made("mlp:5,4,activation=tanh/silu,output=exponential", (6,)), jnp.arange(6.0)
    first, second, last = module.layers
    right = jnp.exp(last(jax.nn.silu(second(jnp.tanh(first(x))))))
    np.testing.assert_allclose(module(x), right, rtol=1e-6)


def test_initial_weights_and_biases_are_those_of_each_layer():
    module = made("mlp:5,initialisation=constant(0.5)/uniform(0.25),bias=constant(-1)", (6,))
    assert jnp.all(module.layers[0].weight == 0.5) and jnp.all(module.layers[1].bias == -1)
    assert 0.15 < jnp.abs(module.layers[1].weight).max() <= 0.25
    assert all(layer.bias is None for layer in made("mlp:5,bias=off", (6,)).layers)


def test_a_truncated_normal_has_no_value_beyond_two_deviations():
    draws = initialisation("truncated(0.1)").sample(KEY, (100, 100), Fans(100, 100))
    # The variance of a standard normal cut at 2: 1 - 4 phi(2) / (2 Phi(2) - 1).
    assert jnp.abs(draws).max() <= 0.2 and float(draws.std()) == pytest.approx(0.1 * 0.7737**0.5, rel=0.02)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mlp:5,4,activation=tanh/silu/relu", "one for all 2 layers, or one for each"),
        ("mlp:5,initialisation=he/he/he", "one for all 2 layers"),
        ("mlp:5,activation=tan", "known name"),
        ("mlp:5,initialisation=uniform(-1)", "positive number"),
        ("mlp:5,bias=false", "known name"),
        ("cnn:4,kernel=0", "whole numbers of at least 1"),
        ("cnn:4,5,kernel=3/3/3", "one for all 2 layers"),
        ("gpt:norm=before", "must be one of"),
    ],
)
def test_impossible_options_are_refused(text, message):
    with pytest.raises(tw.ModelError, match=message):
        parse(text)


@pytest.mark.parametrize(
    "text", ["mlp:5,4,activation=tanh/silu,output=sigmoid,bias=off", "cnn:4,kernel=5,pool=1"]
)
def test_a_spec_is_read_back(text):
    assert parse(parse(text).spec()) == parse(text)


def test_a_cnn_has_kernels_padding_pooling_activation_and_dropout_of_its_own():
    module = made("cnn:2,3,kernel=3/2,padding=valid,pool=1/2,activation=gelu/identity,hidden=4", (8, 8))
    first, second = module.convolutions

    def valid(image, layer):
        out = jax.lax.conv_general_dilated(
            image[None], layer.weight, (1, 1), "VALID", dimension_numbers=("NHWC", "OHWI", "NHWC")
        )
        return out[0] + layer.bias

    hidden = valid(ACTIVATIONS["gelu"](valid(IMAGE, first)), second)  # 8 -> 6 -> 5
    pooled = hidden[:4, :4].reshape(2, 2, 2, 2, 3).max((1, 3))
    right = module.head(jax.nn.relu(module.hidden(pooled.ravel())))
    np.testing.assert_allclose(module(IMAGE), right, rtol=2e-5, atol=1e-6)
    noisy = made("cnn:2,drop_channels=0.5", (8, 8))
    assert not np.array_equal(noisy(IMAGE, key=KEY), noisy(IMAGE))
    with pytest.raises(tw.ModelError, match="at least 10 pixels; got 9 x 9"):
        parse("cnn:2,3,padding=valid").fitted((9, 9), 3)


def test_post_norm_is_applied_after_each_sum():
    module = made("gpt:layers=1,heads=2,width=4,norm=post", (5,))
    assert module.norm is None
    (block,) = module.blocks
    x = jax.random.normal(KEY, (5, 4))
    first, _ = block.first_norm(x + block.attention(x), None)
    right, _ = block.second_norm(first + block.shrink(block.activation(block.expand(first))), None)
    np.testing.assert_allclose(block(x, key=None), right, rtol=1e-6)


def test_without_a_mask_every_position_sees_all_others(tmp_path):
    (tmp_path / "text.txt").write_text("hello world " * 50)
    x, later = jnp.array([0, 1, 2, 0, 1]), jnp.array([0, 1, 2, 0, 2])
    open_, masked = (made(f"gpt:layers=1,heads=2,width=4,causal={each}", (5,)) for each in ("false", "true"))
    assert not np.allclose(open_(x)[0], open_(later)[0]) and np.allclose(masked(x)[0], masked(later)[0])
    with pytest.raises(tw.ModelError, match="must be causal to predict the next token"):
        model = parse("gpt:layers=1,heads=2,width=4,causal=false")
        tw.Problem(model, tw.load(tmp_path / "text.txt", context=8))


def test_outputs_behind_an_activation_are_not_taken_for_logits():
    with pytest.raises(tw.ModelError, match="must give logits"):
        tw.Problem(tw.MLP([None, 4, None], output="softmax"), "iris")
    leaves = jax.tree.leaves(eqx.filter(made("mlp:4", (4,)), eqx.is_array))
    assert len(leaves) == 4
