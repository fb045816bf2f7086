"""PyTorch's recurrent layers in JAX, with its weights and its order of gates."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp


def lstm(x: Any, start: Sequence[Any], *form: Any) -> tuple[Any, Any, Any]:
    """Return outputs, last states and last cells of a long short-term memory; `form` is that of `_run`."""

    def step(carry: Any, gates: Any, hidden: Callable[[Any], Any]) -> Any:
        h, c = carry
        i, f, g, o = jnp.split(gates + hidden(h), 4, axis=-1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        return (jax.nn.sigmoid(o) * jnp.tanh(c), c)

    out, ends = _run(step, x, start, *form)
    return out, jnp.stack([end[0] for end in ends]), jnp.stack([end[1] for end in ends])


def gru(x: Any, start: Any, *form: Any) -> tuple[Any, Any]:
    """Return outputs and last states of gated recurrent units; `form` is that of `_run`."""

    def step(carry: Any, gates: Any, hidden: Callable[[Any], Any]) -> Any:
        (h,) = carry
        r, z, n = jnp.split(gates, 3, axis=-1)
        hr, hz, hn = jnp.split(hidden(h), 3, axis=-1)
        r, z = jax.nn.sigmoid(r + hr), jax.nn.sigmoid(z + hz)
        n = jnp.tanh(n + r * hn)
        return ((1 - z) * n + z * h,)

    out, ends = _run(step, x, [start], *form)
    return out, jnp.stack([end[0] for end in ends])


def rnn(function: Callable[[Any], Any]) -> Callable[..., tuple[Any, Any]]:
    """Return the plain recurrent layer with an activation."""

    def run(x: Any, start: Any, *form: Any) -> tuple[Any, Any]:
        def step(carry: Any, gates: Any, hidden: Callable[[Any], Any]) -> Any:
            return (function(gates + hidden(carry[0])),)

        out, ends = _run(step, x, [start], *form)
        return out, jnp.stack([end[0] for end in ends])

    return run


def _run(
    step: Callable[..., Any],
    x: Any,
    start: Sequence[Any],
    weights: Sequence[Any],
    biased: bool,
    layers: int,
    dropout: float,
    train: bool,
    both: bool,
    batch_first: bool,
) -> tuple[Any, list[Any]]:
    """Run every layer in every direction, with the arguments of PyTorch's operations.

    `start` has a row for each layer and direction.
    """
    if dropout and layers > 1:
        raise NotImplementedError("dropout between recurrent layers")
    size, directions = 4 if biased else 2, 2 if both else 1
    if len(weights) != size * layers * directions:
        raise NotImplementedError("a recurrent layer with projections")
    x = x.swapaxes(0, 1) if batch_first else x
    ends = []
    for layer in range(layers):
        outputs = []
        for direction in range(directions):
            at = layer * directions + direction
            inner, outer, *biases = weights[at * size : (at + 1) * size]
            gates = x @ inner.T + (biases[0] if biased else 0.0)

            def hidden(h: Any, outer: Any = outer, biases: Any = biases) -> Any:
                return h @ outer.T + (biases[1] if biased else 0.0)

            def scanned(carry: Any, gates: Any, hidden: Any = hidden) -> Any:
                carry = step(carry, gates, hidden)
                return carry, carry[0]

            first = tuple(each[at] for each in start)
            last, out = jax.lax.scan(scanned, first, jnp.flip(gates, 0) if direction else gates)
            outputs.append(jnp.flip(out, 0) if direction else out)
            ends.append(last)
        x = jnp.concatenate(outputs, axis=-1)
    return (x.swapaxes(0, 1) if batch_first else x), ends
