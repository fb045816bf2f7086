"""Recurrent networks and the GPT: carry, truncation, causality, initial weights, sampled text."""

import dataclasses
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from thalweg.core.errors import BadInput, ModelError
from thalweg.problem.models import GPT, GRU, LSTM, RNN
from thalweg.problem.models.recurrent import GRUCell, LSTMCell, RNNCell, unroll
from thalweg.problem.models.sampling import Sampling, sample

KEY = jax.random.key(0)
TOKENS = jnp.asarray([3, 1, 4, 1, 5, 2, 6, 5])
KINDS = [RNN, LSTM, GRU]


def network(kind, **settings):
    return kind(width=6, layers=2, embedding=4, **settings).fitted((8,), 7)(KEY)


def _sigmoid(values):
    return 1 / (1 + np.exp(-values))


def _rnn(x, past, w, u, b, inner):
    return (np.tanh(w @ x + u @ past[0] + b),)


def _lstm(x, past, w, u, b, inner):
    enter, forget, new, leave = np.split(w @ x + u @ past[0] + b, 4)
    memory = _sigmoid(forget) * past[1] + _sigmoid(enter) * np.tanh(new)
    return _sigmoid(leave) * np.tanh(memory), memory


def _gru(x, past, w, u, b, inner):
    (reset, keep, new), (past_reset, past_keep, past_new) = np.split(w @ x + b, 3), np.split(u @ past[0], 3)
    keep = _sigmoid(keep + past_keep)
    new = np.tanh(new + _sigmoid(reset + past_reset) * (past_new + inner))
    return ((1 - keep) * new + keep * past[0],)


@pytest.mark.parametrize(("cell", "step"), [(RNNCell, _rnn), (LSTMCell, _lstm), (GRUCell, _gru)])
def test_a_cell_computes_its_equations(cell, step):
    """With the order of gates and the two biases of PyTorch, so that weights can be exchanged."""
    random = np.random.default_rng(0)
    made = cell(4, 5, key=KEY)
    drawn = jax.tree.map(lambda leaf: jnp.asarray(random.normal(size=leaf.shape), leaf.dtype), made)
    inputs, hidden = random.normal(size=(6, 4)), random.normal(size=(2, 5))
    want, past = [], tuple(hidden[: 2 if cell is LSTMCell else 1])
    start = tuple(map(jnp.asarray, past)) if cell is LSTMCell else jnp.asarray(past[0])
    weights = [np.asarray(leaf) for leaf in (drawn.weight, drawn.recurrent, drawn.bias)]
    for x in inputs:
        past = step(x, past, *weights, np.asarray(getattr(drawn, "inner", 0)))
        want.append(past[0])
    _, found = unroll(drawn, jnp.asarray(inputs, jnp.float32), jax.tree.map(jnp.float32, start))
    np.testing.assert_allclose(found, want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_sequence_in_two_pieces_gives_the_same_as_in_one(kind):
    module = network(kind)
    whole = module(TOKENS)
    first, carry = module.run(TOKENS[:3], module.begin())
    second, _ = module.run(TOKENS[3:], carry)
    np.testing.assert_allclose(jnp.concatenate([first, second]), whole, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_truncation_changes_gradients_but_not_values(kind):
    full, cut = network(kind), network(kind, truncation=3)
    np.testing.assert_array_equal(full(TOKENS), cut(TOKENS))

    def reach(module, position):
        """Return the gradient of the output at `position` with respect to the vector of each token."""

        def output(vectors):
            hidden = eqx.tree_at(lambda m: m.embedding, module, None, is_leaf=lambda leaf: leaf is None)
            end = hidden.run(vectors[: position + 1], hidden.begin())[0]
            return end.sum()

        return np.abs(jax.grad(output)(module.embedding(TOKENS))).sum(axis=-1)

    assert (reach(full, 5)[:6] > 0).all()
    assert (reach(cut, 5)[:6] > 0).tolist() == [False, False, False, True, True, True]
    assert (reach(cut, 6)[:7] > 0).tolist() == [False] * 6 + [True]


def test_truncated_gradients_equal_those_of_pieces_with_the_carry_cut():
    """One pass with truncation 4 equals two passes over 4 steps with the gradient of the carry stopped."""
    module = network(LSTM, truncation=4)
    params, rest = eqx.partition(module, eqx.is_inexact_array)

    def at_once(params):
        return jnp.sum(jnp.square(eqx.combine(params, rest)(TOKENS)))

    def in_pieces(params):
        module = dataclasses.replace(eqx.combine(params, rest), truncation=None)
        first, carry = module.run(TOKENS[:4], module.begin())
        second, _ = module.run(TOKENS[4:], jax.lax.stop_gradient(carry))
        return jnp.sum(jnp.square(first)) + jnp.sum(jnp.square(second))

    ours, theirs = (jax.tree.leaves(jax.grad(loss)(params)) for loss in (at_once, in_pieces))
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_the_forget_gate_starts_at_one():
    bias = network(LSTM).cells[0].bias
    np.testing.assert_array_equal(bias.reshape(4, 6)[1], 1.0)
    assert not np.any(bias.reshape(4, 6)[jnp.asarray([0, 2, 3])])


def test_a_series_gives_one_output():
    module = LSTM(width=6).fitted((8, 3), 2)(KEY)
    assert module.embedding is None
    assert module(jnp.ones((8, 3))).shape == (2,)


SMALL = GPT(layers=2, heads=2, width=16).fitted((8,), 7)


@pytest.mark.parametrize("module", [SMALL(KEY), network(LSTM)], ids=["gpt", "lstm"])
def test_no_position_sees_later_ones(module):
    changed = TOKENS.at[5].set(0)
    before, after = module(TOKENS), module(changed)
    np.testing.assert_array_equal(before[:5], after[:5])
    assert not np.allclose(before[5:], after[5:])


def test_initial_weights_of_the_gpt_are_those_of_nanogpt():
    module = GPT(layers=2, heads=4, width=128, context=64, vocabulary=65)(KEY)
    block = module.blocks[0]
    for weight in (
        module.tokens.weight,
        module.positions.weight,
        block.attention.mix.weight,
        block.expand.weight,
    ):
        assert float(weight.std()) == pytest.approx(0.02, rel=0.05)
    for weight in (block.attention.out.weight, block.shrink.weight):
        assert float(weight.std()) == pytest.approx(0.02 / math.sqrt(4), rel=0.05)
    # The loss of an untrained model is that of a uniform guess.
    logits = module(jnp.arange(64) % 65)
    surprise = -jax.nn.log_softmax(logits)[:, 0].mean()
    assert surprise == pytest.approx(math.log(65), rel=0.05)


def test_the_gpt_has_as_many_parameters_as_nanogpt():
    # Tokens, positions, 4 blocks of 12 x 128^2 + 2 x 128, one last norm; nanoGPT prints 0.80M.
    module = GPT().fitted((64,), 65)(KEY)
    count = sum(leaf.size for leaf in jax.tree.leaves(eqx.filter(module, eqx.is_array)))
    assert count == 65 * 128 + 64 * 128 + 4 * (12 * 128**2 + 2 * 128) + 128


def test_tied_and_untied_heads():
    assert SMALL(KEY).head is None
    untied = GPT(layers=1, heads=2, width=16, tied=False).fitted((8,), 7)(KEY)
    assert untied.head is not None
    assert untied.head.roles == {"weight": "head"}
    assert untied(TOKENS).shape == (8, 7)


def test_a_sequence_beyond_the_context_is_refused():
    with pytest.raises(ModelError, match=r"takes 8 positions; got a sequence of 9"):
        SMALL(KEY)(jnp.zeros(9, int))


class Successor(eqx.Module):
    """Gives token t + 1 after token t with certainty, and 0 after 6."""

    def __call__(self, x):
        return 100.0 * jax.nn.one_hot((x + 1) % 7, 7)


@pytest.mark.parametrize("context", [1, 3, 8, 40])
def test_sampling_continues_a_prompt_beyond_the_context(context):
    tokens = sample(Successor(), jnp.asarray([2, 3]), Sampling(12, context, temperature=1.0), key=KEY)
    np.testing.assert_array_equal(tokens, (np.arange(12) + 4) % 7)


def test_sampling_gives_the_model_all_tokens_before():
    module = SMALL(KEY)
    tokens = sample(module, TOKENS[:3], Sampling(2, 8, temperature=0.0), key=KEY)
    sequence = list(TOKENS[:3])
    for token in tokens:
        assert token == jnp.argmax(module(jnp.asarray(sequence))[-1])
        sequence.append(token)


def test_sampling_follows_the_probabilities_of_the_top_tokens():
    class Fixed(eqx.Module):
        def __call__(self, x):
            return jnp.broadcast_to(jnp.log(jnp.asarray([0.6, 0.3, 0.1])), (*x.shape, 3))

    prompt = jnp.asarray([0])
    drawn = np.asarray(sample(Fixed(), prompt, Sampling(4000, 4, temperature=1.0), key=KEY))
    shares = np.bincount(drawn, minlength=3) / 4000
    np.testing.assert_allclose(shares, [0.6, 0.3, 0.1], atol=5 * math.sqrt(0.25 / 4000))
    top = np.asarray(sample(Fixed(), prompt, Sampling(500, 4, temperature=1.0, top=2), key=KEY))
    assert set(top) == {0, 1}
    cold = np.asarray(sample(Fixed(), prompt, Sampling(50, 4, temperature=0.0), key=KEY))
    assert set(cold) == {0}


@pytest.mark.parametrize(
    "sampling", [Sampling(length=0), Sampling(context=0), Sampling(temperature=-1.0), Sampling(top=-1)]
)
def test_impossible_settings_of_sampling_are_refused(sampling):
    with pytest.raises(BadInput, match="at least"):
        sample(Successor(), jnp.asarray([0]), sampling, key=KEY)
    with pytest.raises(BadInput, match="prompt"):
        sample(Successor(), jnp.zeros(0, int), Sampling(), key=KEY)
