"""Text from a trained model of tokens: one token after another, each drawn from what the model gives."""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from thalweg.core.errors import BadInput


class Sampling(NamedTuple):
    """How tokens are drawn.

    Args:
        length: Tokens to draw.
        context: Tokens that the model sees at a time.
        temperature: Logits are divided by it; 0 takes the likeliest token.
        top: Only so many of the likeliest tokens are drawn from; 0: all.
    """

    length: int = 500
    context: int = 64
    temperature: float = 0.8
    top: int = 0


def sample(
    module: Callable[[Int[Array, " time"]], Float[Array, "time vocabulary"]],
    prompt: Int[Array, " time"],
    how: Sampling,
    *,
    key: Key[Array, ""],
) -> Int[Array, " length"]:
    """Go on from a prompt.

    The model must be causal: what lies to the right of a position must not change its logits.

    Args:
        module: A trained model, in inference mode.
        prompt: At least one token; only the last `context` count.
        how: Length, context and temperature.
        key: Randomness.

    Returns:
        The new tokens, without the prompt.

    Raises:
        BadInput: The prompt is empty, or a number is impossible.
    """
    if prompt.shape[0] < 1:
        raise BadInput("sample", "the prompt must have a token", got="none")
    if how.length < 1 or how.context < 1 or not 0 <= how.temperature < float("inf") or how.top < 0:
        raise BadInput(
            "sample", "length and context must be at least 1, temperature and top at least 0", got=how
        )
    window = jnp.zeros(how.context, jnp.int32)
    seen = prompt[-how.context :].astype(jnp.int32)
    return _drawn(module, window.at[: seen.shape[0]].set(seen), jnp.int32(seen.shape[0]), key, how)


@eqx.filter_jit
def _drawn(module: Callable, window: Array, seen: Array, key: Key[Array, ""], how: Sampling) -> Array:
    def step(carry: tuple[Array, Array], noise: Key[Array, ""]) -> tuple[tuple[Array, Array], Array]:
        window, length = carry
        token = _chosen(module(window)[length - 1], noise, how)
        # A full window moves on by one; one with room keeps its place.
        full = length == how.context
        window = jnp.where(full, jnp.roll(window, -1), window)
        place = jnp.where(full, length - 1, length)
        return (window.at[place].set(token), place + 1), token

    return jax.lax.scan(step, (window, seen), jax.random.split(key, how.length))[1]


def _chosen(logits: Float[Array, " vocabulary"], key: Key[Array, ""], how: Sampling) -> Int[Array, ""]:
    if how.temperature == 0:
        return jnp.argmax(logits).astype(jnp.int32)
    if how.top:
        least = jax.lax.top_k(logits, min(how.top, logits.shape[0]))[0][-1]
        logits = jnp.where(logits < least, -jnp.inf, logits)
    return jax.random.categorical(key, logits / how.temperature).astype(jnp.int32)
