"""Gradients that vanish without a NaN: by depth, by saturation, through time. And one that explodes.

Each is a loss of parameters and inputs, whose line at fault ends in `# fault: NAME`.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

WIDTH = 8


class Vanishing(NamedTuple):
    """A case.

    Args:
        name: As in the comment that marks the line.
        loss: `(parameters, x) -> loss`.
        ops: Primitives that may be named.
        verdict: `vanishes` or `explodes`.
        depth: Layers, or steps in time.
        scale: Of the weights.
    """

    name: str
    loss: Any
    ops: tuple[str, ...]
    verdict: str
    depth: int
    scale: float

    def inputs(self, seed: int) -> tuple[Any, Any]:
        """Return parameters and an input drawn from a seed."""
        random = np.random.default_rng(seed)

        def weights() -> Any:
            drawn = random.normal(size=(WIDTH, WIDTH)) / np.sqrt(WIDTH)
            return jnp.asarray(self.scale * drawn, jnp.float32)

        count = 1 if self.loss in (through_time, exploding_in_time) else self.depth
        parameters = {"first": {"weight": weights()}}
        parameters |= {f"layer{at}": {"weight": weights()} for at in range(count)}
        return parameters, jnp.asarray(random.normal(size=WIDTH), jnp.float32)


def by_depth(parameters: Any, x: Any, depth: int) -> Any:
    """Stack sigmoid layers."""
    h = x
    for layer in parameters.values():
        h = layer["weight"] @ h
        h = jax.nn.sigmoid(h)  # fault: by depth
    return jnp.mean(h**2)


def by_saturation(parameters: Any, x: Any, depth: int) -> Any:
    """Drive tanh far into saturation."""
    h = x
    for layer in parameters.values():
        h = layer["weight"] @ h
        h = jnp.tanh(h)  # fault: by saturation
    return jnp.mean(h**2)


def by_small_weights(parameters: Any, x: Any, depth: int) -> Any:
    """Multiply by weights that are far too small."""
    h = x
    for layer in parameters.values():
        h = layer["weight"] @ h  # fault: by small weights
        h = jnp.where(h > 0, h, 0.5 * h)
    return jnp.mean(h)


def through_time(parameters: Any, x: Any, depth: int) -> Any:
    """Forget over many steps."""
    weight = parameters["layer0"]["weight"]
    start = parameters["first"]["weight"] @ x

    def cell(h: Any, _: Any) -> Any:
        h = weight @ h
        return jax.nn.sigmoid(h), None  # fault: through time

    return jnp.mean(jax.lax.scan(cell, start, None, length=depth)[0])


def exploding(parameters: Any, x: Any, depth: int) -> Any:
    """Multiply by weights that are far too large."""
    h = x
    for layer in parameters.values():
        h = layer["weight"] @ h  # fault: exploding
        h = jnp.where(h > 0, h, 0.5 * h)
    return jnp.mean(h)


def exploding_in_time(parameters: Any, x: Any, depth: int) -> Any:
    """Multiply by the same large weights at every step."""
    weight = parameters["layer0"]["weight"]
    start = parameters["first"]["weight"] @ x

    def cell(h: Any, _: Any) -> Any:
        h = weight @ h  # fault: exploding in time
        return jnp.where(h > 0, h, 0.5 * h), None

    return jnp.mean(jax.lax.scan(cell, start, None, length=depth)[0])


CASES = (
    *(Vanishing("by depth", by_depth, ("logistic",), "vanishes", depth, 1.0) for depth in (12, 16, 24)),
    *(Vanishing("by saturation", by_saturation, ("tanh",), "vanishes", depth, 300.0) for depth in (4, 6)),
    *(
        Vanishing("by small weights", by_small_weights, ("dot_general",), "vanishes", 8, s)
        for s in (0.03, 0.1)
    ),
    *(Vanishing("through time", through_time, ("logistic",), "vanishes", time, 1.0) for time in (15, 30)),
    *(Vanishing("exploding", exploding, ("dot_general",), "explodes", depth, 12.0) for depth in (8, 12)),
    *(
        Vanishing("exploding in time", exploding_in_time, ("dot_general",), "explodes", t, 8.0)
        for t in (12, 20)
    ),
)
