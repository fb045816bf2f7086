"""Healthy programs over images, sequences and text: convolutions, a recurrent network, attention."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from sklearn import datasets

import thalweg as tw
from benchmarks.doctor.programs import (
    BINARY,
    CLASSES,
    VALUES,
    Setup,
    identity,
    log_loss,
    logit_loss,
    squared,
)

WORDS, LENGTH = 20, 12  # of the sentences


class Convolutions(eqx.Module):
    """Two convolutions, each with an activation and pooling, and the numbers that are left."""

    convolutions: list
    pool: eqx.nn.MaxPool2d
    act: Callable = eqx.field(static=True)

    def __init__(self, key: Any, act: Callable, channels: tuple[int, ...] = (1, 8, 16)):
        keys = jax.random.split(key, len(channels) - 1)
        pairs = zip(channels[:-1], channels[1:], keys, strict=True)
        self.convolutions = [eqx.nn.Conv2d(*pair, 3, padding=1, key=k) for *pair, k in pairs]
        self.pool, self.act = eqx.nn.MaxPool2d(2, 2), act

    def __call__(self, x: Any) -> Any:
        """Return the numbers of one image, `channel row column`."""
        for convolution in self.convolutions:
            x = self.pool(self.act(convolution(x)))
        return jnp.ravel(x)


class Recurrent(eqx.Module):
    """A gated recurrent unit over a sequence; its last state."""

    cell: eqx.nn.GRUCell

    def __init__(self, key: Any, act: Callable, width: int = 24):
        self.cell = eqx.nn.GRUCell(1, width, key=key)

    def __call__(self, x: Any) -> Any:
        """Return the last state after `step`, `step 1`."""
        start = jnp.zeros(self.cell.hidden_size)
        return jax.lax.scan(lambda state, each: (self.cell(each, state), None), start, x)[0]


class Attention(eqx.Module):
    """Embedded words with their places, a block of attention and affine layers, and the mean of places."""

    words: eqx.nn.Embedding
    places: Any
    attention: eqx.nn.MultiheadAttention
    norms: list
    wide: eqx.nn.Linear
    narrow: eqx.nn.Linear
    act: Callable = eqx.field(static=True)

    def __init__(self, key: Any, act: Callable, width: int = 16):
        keys = jax.random.split(key, 5)
        self.words = eqx.nn.Embedding(WORDS, width, key=keys[0])
        self.places = 0.5 * jax.random.normal(keys[1], (LENGTH, width))
        self.attention = eqx.nn.MultiheadAttention(2, width, key=keys[2])
        self.norms = [eqx.nn.LayerNorm(width) for _ in range(2)]
        self.wide = eqx.nn.Linear(width, 2 * width, key=keys[3])
        self.narrow = eqx.nn.Linear(2 * width, width, key=keys[4])
        self.act = act

    def __call__(self, x: Any) -> Any:
        """Return the mean over the places of one sentence, `place`."""
        h = jax.vmap(self.words)(x) + self.places
        n = jax.vmap(self.norms[0])(h)
        h = h + self.attention(n, n, n)
        n = jax.vmap(self.norms[1])(h)
        h = h + jax.vmap(lambda each: self.narrow(self.act(self.wide(each))))(n)
        return h.mean(axis=0)


def structured_tasks(seed: int = 0) -> dict[str, Setup]:
    """Return the healthy setups by name."""
    random = np.random.default_rng(seed)
    adam = tw.Recipe(tw.Adam(lr=3e-3), batch_size=32, epochs=20)
    # A convolution without an activation is not affine beside pooling, nor is a recurrent network.
    flat = ("hidden_linear", "depth_unnormalised")
    digits = datasets.load_digits()
    chosen = random.permutation(len(digits.data))[:700]
    waves, which = _waves(random, 500)
    forecast, following = _series(random)
    sentences, order = _sentences(random, 600)
    many = {"act": jax.nn.relu, "out": identity, "loss": logit_loss, "recipe": adam}
    found = [
        Setup(
            "pictures",
            CLASSES,
            (digits.images[chosen, None] / 16).astype(np.float32),
            digits.target[chosen].astype(np.int32),
            (64, 32, 10),
            stem=Convolutions,
            unfit=flat,
            **many,
        ),
        Setup(
            "stripes",
            BINARY,
            *_stripes(random, 500),
            (144, 16, 1),
            act=jax.nn.relu,
            out=jax.nn.sigmoid,
            loss=log_loss,
            recipe=adam,
            stem=Convolutions,
            unfit=flat,
        ),
        # Sorted rows are planted with five epochs of SGD, in which a recurrent network learns nothing.
        Setup(
            "tones",
            CLASSES,
            waves,
            which,
            (24, 16, 3),
            stem=Recurrent,
            unfit=(*flat, "data_unshuffled"),
            **many,
        ),
        Setup(
            "forecast",
            VALUES,
            forecast,
            following,
            (24, 16, 1),
            act=jax.nn.relu,
            out=identity,
            loss=squared,
            recipe=adam,
            stem=Recurrent,
            unfit=("data_leakage", "hidden_activation_wrong:no slope"),
        ),
        Setup(
            "sentences",
            CLASSES,
            sentences,
            order,
            (16, 16, 2),
            stem=Attention,
            unfit=(*flat, "inputs_unscaled", "hidden_activation_wrong", "init_symmetric", "data_unshuffled"),
            **many,
        ),
    ]
    return {setup.task: setup for setup in found}


def _stripes(random: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return noisy images of stripes, and whether they are upright."""
    upright, phase = random.integers(0, 2, count), random.uniform(0, 2 * np.pi, (count, 1))
    bar = np.sin(np.arange(12) * 1.5 + phase)
    images = np.where(upright[:, None, None] == 1, bar[:, None, :], bar[:, :, None])
    noisy = images + random.normal(0, 0.7, (count, 12, 12))
    return noisy[:, None].astype(np.float32), upright.astype(np.float32)


def _waves(random: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return noisy waves of three frequencies, and which."""
    which, phase = random.integers(0, 3, count), random.uniform(0, 2 * np.pi, (count, 1))
    waves = np.sin(np.arange(24) * np.array([0.3, 0.6, 1.0])[which][:, None] + phase)
    return (waves + random.normal(0, 0.3, waves.shape))[..., None].astype(np.float32), which.astype(np.int32)


def _series(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return windows of a noisy series of two waves, and the value that follows each."""
    at = np.arange(625)
    series = np.sin(at / 4) + 0.5 * np.sin(at / 11) + random.normal(0, 0.15, len(at))
    windows = np.lib.stride_tricks.sliding_window_view(series, 25).astype(np.float32)
    return windows[:, :-1, None], windows[:, -1]


def _sentences(random: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return sentences of words by number, and whether they hold more of one word than of another."""
    sentences = random.integers(0, WORDS, (count, LENGTH))
    sentences = np.where(
        random.random((count, LENGTH)) < 0.5, random.integers(0, 2, (count, LENGTH)), sentences
    )
    return sentences.astype(np.int32), ((sentences == 0).sum(axis=1) > (sentences == 1).sum(axis=1)).astype(
        np.int32
    )
