"""Text generation with a trained token model: each token is drawn from the logits after those before it."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from thalweg.core.compiler import filter_jit
from thalweg.core.errors import BadInput


class Sampling(NamedTuple):
    """How tokens are drawn.

    Args:
        length: Number of tokens to draw.
        context: Number of tokens that the model sees at a time.
        temperature: Logits are divided by it; 0 takes the most likely token.
        top: Only this many of the most likely tokens are drawn from; 0: all.
    """

    length: int = 500
    context: int = 64
    temperature: float = 0.8
    top: int = 0


def sample(
    module: Callable[[Int[Array, " time"]], Float[Array, "time vocabulary"]],
    prompt: Int[Array, " time"],
    sampling: Sampling,
    *,
    key: Key[Array, ""],
) -> Int[Array, " length"]:
    """Continue a prompt.

    The model must be causal: its logits at a position do not depend on later positions.

    Args:
        module: A trained model, in inference mode.
        prompt: At least one token; only the last `context` are used.
        sampling: Length, context and temperature.
        key: Randomness.

    Returns:
        The new tokens, without the prompt.

    Raises:
        BadInput: The prompt is empty, or a setting is out of range.
    """
    if prompt.shape[0] < 1:
        raise BadInput(
            "sample", "the prompt must have at least one token", got="none", hint="start with a space"
        )
    length, context, temperature, top = sampling
    if length < 1 or context < 1 or not 0 <= temperature < float("inf") or top < 0:
        rule = "length and context must be at least 1, temperature and top at least 0"
        raise BadInput("sample", rule, got=sampling, hint="try length 100 and temperature 0.8")
    window = jnp.zeros(context, jnp.int32)
    tokens = prompt[-context:].astype(jnp.int32)
    count = tokens.shape[0]
    return _generate(module, window.at[:count].set(tokens), jnp.int32(count), key, sampling)


@filter_jit
def _generate(
    module: Callable, window: Array, count: Array, key: Key[Array, ""], sampling: Sampling
) -> Array:
    def step(carry: tuple[Array, Array], key: Key[Array, ""]) -> tuple[tuple[Array, Array], Array]:
        window, count = carry
        token = _draw(module(window)[count - 1], key, sampling)
        # A full window moves by one token; otherwise the token fills the next position.
        full = count == sampling.context
        window = jnp.where(full, jnp.roll(window, -1), window)
        position = jnp.where(full, count - 1, count)
        return (window.at[position].set(token), position + 1), token

    return jax.lax.scan(step, (window, count), jax.random.split(key, sampling.length))[1]


def _draw(logits: Float[Array, " vocabulary"], key: Key[Array, ""], sampling: Sampling) -> Int[Array, ""]:
    if sampling.temperature == 0:
        return jnp.argmax(logits).astype(jnp.int32)
    if sampling.top:
        least = jax.lax.top_k(logits, min(sampling.top, logits.shape[0]))[0][-1]
        logits = jnp.where(logits < least, -jnp.inf, logits)
    return jax.random.categorical(key, logits / sampling.temperature).astype(jnp.int32)
