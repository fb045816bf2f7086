"""Models into which faults are planted: `host(parameters, x, y, plant) -> loss`, one number for a batch.

`plant` maps the activations of one example (a vector) to a vector of the same length; the identity in a clean
run. Ordinary healthy features are in them on purpose: masks of minus infinity, `where` with a safe operand,
clipped exponentials, a zero row.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

ROWS, WIDTH, TIMES = 4, 6, 5
Plant = Callable[[Any], Any]


class Host(NamedTuple):
    """A model and its loss.

    Args:
        name: For the table.
        loss: `(parameters, x, y, plant) -> loss`.
        make: `generator -> (parameters, x, y)`.
    """

    name: str
    loss: Callable[..., Any]
    make: Callable[[np.random.Generator], tuple[Any, Any, Any]]


def _weights(random: np.random.Generator, *shape: int) -> Any:
    return jnp.asarray(random.normal(size=shape) / np.sqrt(shape[-1]), jnp.float32)


def _dense(random: np.random.Generator, inputs: int, outputs: int) -> dict[str, Any]:
    return {"weight": _weights(random, outputs, inputs), "bias": jnp.zeros(outputs)}


def _apply(layer: dict[str, Any], h: Any) -> Any:
    return layer["weight"] @ h + layer["bias"]


def _layers(random: np.random.Generator, depth: int) -> dict[str, Any]:
    return {str(at): _dense(random, WIDTH, WIDTH) for at in range(depth)}


def _normal(random: np.random.Generator, *shape: int) -> Any:
    return jnp.asarray(random.normal(size=shape), jnp.float32)


def mlp_loss(parameters: Any, x: Any, y: Any, plant: Plant) -> Any:
    """Regress with an MLP, a loop in Python over layers."""

    def one(row: Any, target: Any) -> Any:
        h = row
        for name, layer in parameters.items():
            h = jax.nn.relu(_apply(layer, h))
            h = plant(h) if name == "1" else h
        return jnp.mean((h - target) ** 2)

    return jnp.mean(jax.vmap(one)(x, y))


def classifier_loss(parameters: Any, x: Any, y: Any, plant: Plant) -> Any:
    """Classify under `jit`, with log-softmax."""

    @jax.jit
    def one(row: Any, label: Any) -> Any:
        h = jnp.tanh(_apply(parameters["0"], row))
        h = plant(h)
        return -jax.nn.log_softmax(_apply(parameters["1"], h))[label]

    return jnp.mean(jax.vmap(one)(x, jnp.argmax(y, axis=1)))


def recurrent_loss(parameters: Any, x: Any, y: Any, plant: Plant) -> Any:
    """Run a recurrent cell through time in a `scan`."""

    def one(row: Any, target: Any) -> Any:
        def cell(h: Any, at: Any) -> Any:
            h = jnp.tanh(_apply(parameters["cell"], h) + row)
            return jnp.where(at == 2, plant(h), h), jnp.sum(h)

        h, sums = jax.lax.scan(cell, jnp.zeros(WIDTH), jnp.arange(TIMES))
        return jnp.mean((_apply(parameters["head"], h) - target) ** 2) + 1e-3 * jnp.mean(sums)

    return jnp.mean(jax.vmap(one)(x, y))


def attention_loss(parameters: Any, x: Any, y: Any, plant: Plant) -> Any:
    """Attend over positions, with a causal mask of minus infinity."""

    def one(row: Any, target: Any) -> Any:
        h = row[:, None] * parameters["embedding"]["weight"]
        query, key, value = (h @ parameters[name]["weight"] for name in ("query", "key", "value"))
        scores = query @ key.T / np.sqrt(WIDTH)
        scores = jnp.where(np.tril(np.ones((WIDTH, WIDTH), bool)), scores, -jnp.inf)
        mixed = jax.nn.softmax(scores) @ value
        return jnp.mean((plant(mixed[-1]) - target) ** 2)

    return jnp.mean(jax.vmap(one)(x, y))


def residual_loss(parameters: Any, x: Any, y: Any, plant: Plant) -> Any:
    """Add residual blocks with layer norm, recomputed in the backward pass."""

    @jax.checkpoint
    def block(layer: Any, h: Any) -> Any:
        centred = h - jnp.mean(h)
        return h + jax.nn.gelu(_apply(layer, centred * jax.lax.rsqrt(jnp.var(h) + 1e-5)))

    def one(row: Any, target: Any) -> Any:
        h = row
        for layer in parameters.values():
            h = block(layer, h)
        return jnp.mean((jax.checkpoint(plant)(h) - target) ** 2)

    return jnp.mean(jax.vmap(one)(x, y))


def branching_loss(parameters: Any, x: Any, y: Any, plant: Plant) -> Any:
    """Choose by a `cond` inside a loop over the rows."""

    def one(total: Any, pair: Any) -> Any:
        row, target = pair
        h = jax.nn.softplus(_apply(parameters["0"], row))
        h = jax.lax.cond(jnp.sum(h) > -1.0, plant, lambda h: -h, h)
        return total + jnp.mean((_apply(parameters["1"], h) - target) ** 2), None

    return jax.lax.scan(one, jnp.float32(0.0), (x, y))[0] / ROWS


def autoencoder_loss(parameters: Any, x: Any, y: Any, plant: Plant) -> Any:
    """Reconstruct through a bottleneck of a mean and a clipped exponential, with a safe logarithm."""

    def one(row: Any, target: Any) -> Any:
        code = _apply(parameters["encoder"], row)
        scale = jnp.exp(jnp.clip(code, -4.0, 4.0))
        positive = jax.nn.relu(code)
        entropy = jnp.where(positive > 0, positive * jnp.log(jnp.where(positive > 0, positive, 1.0)), 0.0)
        out = _apply(parameters["decoder"], plant(code))
        return jnp.mean((out - row) ** 2) + 1e-3 * jnp.mean(scale + entropy - code) + 0 * jnp.sum(target)

    return jnp.mean(jax.vmap(one)(x, y))


def convolution_loss(parameters: Any, x: Any, y: Any, plant: Plant) -> Any:
    """Convolve, pool, and normalise over the batch."""
    signal = x[:, None, :]
    kernel = parameters["convolution"]["weight"]
    h = jax.lax.conv_general_dilated(signal, kernel, (1,), "SAME")
    h = (h - jnp.mean(h, axis=(0, 2), keepdims=True)) * jax.lax.rsqrt(
        jnp.var(h, axis=(0, 2), keepdims=True) + 1e-5
    )
    h = jnp.max(jax.nn.relu(h), axis=1)
    h = jax.vmap(lambda row: plant(_apply(parameters["head"], row)))(h)
    return jnp.mean((h - y) ** 2)


def _with(**make: Callable[[np.random.Generator], Any]) -> Callable[[np.random.Generator], Any]:
    def made(random: np.random.Generator) -> Any:
        parameters = {name: each(random) for name, each in make.items()}
        return parameters, _normal(random, ROWS, WIDTH), _normal(random, ROWS, WIDTH)

    return made


def _depth(depth: int) -> Callable[[np.random.Generator], Any]:
    def made(random: np.random.Generator) -> Any:
        return _layers(random, depth), _normal(random, ROWS, WIDTH), _normal(random, ROWS, WIDTH)

    return made


def _square(random: np.random.Generator) -> Any:
    return {"weight": _weights(random, WIDTH, WIDTH)}


def _plain(random: np.random.Generator) -> Any:
    return _dense(random, WIDTH, WIDTH)


def _kernel(random: np.random.Generator) -> Any:
    return {"weight": _weights(random, 3, 1, 3)}


HOSTS = (
    Host("mlp", mlp_loss, _depth(3)),
    Host("classifier", classifier_loss, _depth(2)),
    Host("recurrent", recurrent_loss, _with(cell=_plain, head=_plain)),
    Host(
        "attention",
        attention_loss,
        _with(embedding=_square, query=_square, key=_square, value=_square),
    ),
    Host("residual", residual_loss, _depth(3)),
    Host("branching", branching_loss, _depth(2)),
    Host("autoencoder", autoencoder_loss, _with(encoder=_plain, decoder=_plain)),
    Host("convolution", convolution_loss, _with(convolution=_kernel, head=_plain)),
)
