"""Small programs with planted faults, each with the word for its cause; a user's own modules and losses."""

from itertools import pairwise

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import thalweg as tw


class Net(eqx.Module):
    """A network as a user would write it: activations are calls, not fields."""

    layers: list
    act: object = eqx.field(static=True)
    out: object = eqx.field(static=True)

    def __init__(self, sizes, act, out, key, gain=1.0):
        keys = jax.random.split(key, len(sizes) - 1)
        made = [eqx.nn.Linear(*pair, key=k) for pair, k in zip(pairwise(sizes), keys, strict=True)]
        self.layers = jax.tree.map(lambda leaf: leaf * gain if eqx.is_inexact_array(leaf) else leaf, made)
        self.act, self.out = act, out

    def __call__(self, x):
        for layer in self.layers[:-1]:
            x = self.act(layer(x))
        return self.out(self.layers[-1](x))


def net(sizes, act=jnp.tanh, out=lambda z: z, gain=1.0):
    return lambda key: Net(sizes, act, out, key, gain)


def crossed(count=200, scale=1.0, seed=0):
    """Points in the plane; the class is the sign of the product of both coordinates."""
    x = np.random.default_rng(seed).normal(size=(count, 2)).astype(np.float32)
    return {"x": x * np.float32(scale), "y": (x[:, 0] * x[:, 1] > 0).astype(np.float32)}


def wave(count=200, scale=1.0, offset=0.0, seed=0):
    x = np.random.default_rng(seed).normal(size=(count, 3)).astype(np.float32)
    y = np.sin(2 * x[:, 0]) + x[:, 1] * x[:, 2]
    return {"x": x, "y": (scale * y + offset).astype(np.float32)}


def blobs(count=300, classes=4, seed=0):
    random = np.random.default_rng(seed)
    centres, y = 2 * random.normal(size=(classes, 6)), random.integers(0, classes, count)
    return (centres[y] + random.normal(size=(count, 6))).astype(np.float32), y.astype(np.int64)


def log_loss(model, batch):
    p, y = jax.vmap(model)(batch["x"])[:, 0], batch["y"]
    return -jnp.mean(y * jnp.log(p) + (1 - y) * jnp.log(1 - p))


def squared(model, batch):
    return jnp.mean((jax.vmap(model)(batch["x"])[:, 0] - batch["y"]) ** 2)


def of_probabilities(outputs, targets):
    return -jnp.log(outputs[jnp.arange(len(targets)), targets])


def of_logits(outputs, targets):
    return -jax.nn.log_softmax(outputs)[jnp.arange(len(targets)), targets]


def examples(tree):
    return tw.examples(tree, validation=0.2, test=0.0)


def unit(**changes):
    return tw.Recipe(tw.Adam(lr=1e-2), batch_size=32, epochs=20, **changes)


# Faults that static checks name with certainty: what is wrong, and how the program is written.
CERTAIN = {
    "head_softmax_single": lambda: tw.Problem(
        net([2, 8, 1], out=jax.nn.softmax), examples(crossed()), objective=squared
    ),
    "head_activation_wrong": lambda: tw.Problem(
        net([3, 8, 1], out=jax.nn.relu), examples(wave()), objective=squared
    ),
    "head_activation_missing": lambda: tw.Problem(
        net([6, 8, 4]), tw.load(blobs()), loss=of_probabilities, outputs="probabilities"
    ),
    "head_double_activation": lambda: tw.Problem(
        net([6, 8, 4], out=jax.nn.softmax), tw.load(blobs()), loss=of_logits, outputs="logits"
    ),
    "lr_sign": lambda: tw.Problem(
        net([3, 8, 1]), examples(wave()), objective=lambda model, batch: -squared(model, batch)
    ),
    "label_encoding_wrong": lambda: tw.Problem(
        net([2, 8, 1], out=jax.nn.sigmoid),
        examples(crossed() | {"y": crossed()["y"] + 1}),
        objective=log_loss,
    ),
    "init_symmetric": lambda: tw.Problem(net([6, 8, 4], gain=0.0), tw.load(blobs())),
    "hidden_linear": lambda: tw.Problem(
        net([2, 8, 8, 1], act=lambda z: z, out=jax.nn.sigmoid), examples(crossed()), objective=log_loss
    ),
}
HEALTHY = {
    "own module and objective": lambda: tw.Problem(
        net([2, 8, 1], out=jax.nn.sigmoid), examples(crossed()), objective=log_loss
    ),
    "values": lambda: tw.Problem(net([3, 8, 1]), examples(wave()), objective=squared),
    "classes": lambda: tw.Problem(net([6, 8, 4]), tw.load(blobs())),
}
