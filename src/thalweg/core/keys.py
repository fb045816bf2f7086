"""Random keys: lane key -> purpose key -> step key, each derived by folding in.

Every random number of a run is a pure function of (seed, purpose, step), so any step can be reached again,
and lanes with the same seed are paired: same initial weights, same order of data, same dropout.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

# Purposes are never renumbered: the numbers are part of what a seed means.
INITIALISATION = 0
MODEL = 1
ORDER = 2
GRADIENT = 3
AUGMENTATION = 4
SAMPLE = 5
EVALUATION = 6
ADAPTERS = 7


def lane_words(seed: int) -> np.ndarray:
    """Return the two words of a lane's key, uint32, from its seed (any integer of 64 bits): high, low.

    They equal those of `jax.random.key(seed)` with 64-bit integers, for which JAX would compile a program in
    every process.
    """
    return np.array(divmod(seed % 2**64, 2**32), np.uint32)


def wrapped(words: np.ndarray | Array) -> Key[Array, ""]:
    """Return the key that consists of these words.

    Threefry is named explicitly, so that a new default in JAX does not change what a seed means.
    """
    return jax.random.wrap_key_data(words, impl="threefry2x32")  # type: ignore[arg-type]


def lane_key(seed: int) -> Key[Array, ""]:
    """Return the key of a lane, from its seed."""
    return wrapped(lane_words(seed))


def purpose_key(key: Key[Array, ""], purpose: int) -> Key[Array, ""]:
    """Return the key for one purpose of a lane."""
    return jax.random.fold_in(key, purpose)


def order(seed: int, epoch: int, count: int) -> np.ndarray:
    """Return the order of `count` examples in an epoch, int32, a pure function of its arguments.

    Philox's raw stream is guaranteed stable by NumPy's compatibility policy (NEP 19), unlike
    `Generator.permutation`; sorting random 64-bit words gives a uniform permutation up to ties
    (probability below 1e-9 for a million rows), which the stable sort breaks by position.
    """
    return np.argsort(_words(seed, epoch, count), kind="stable").astype(np.int32)


def draws(seed: int, epoch: int, count: int) -> np.ndarray:
    """Return `count` examples drawn with replacement, int32, a pure function of its arguments.

    The remainder of 64-bit words favours no example by more than `count` / 2^64.
    """
    return (_words(seed, epoch, count) % np.uint64(count)).astype(np.int32)


def _words(seed: int, epoch: int, count: int) -> np.ndarray:
    key = np.array([seed % 2**64, (epoch << 8) + ORDER], dtype=np.uint64)
    return np.random.Philox(key=key).random_raw(count)


def plain(array: Any) -> Any:
    """Return an array in a form that can be saved: the raw data of typed keys, other arrays unchanged."""
    return jax.random.key_data(array) if _is_typed(array) else array


def as_before(saved: Any, like: Any) -> Array:
    """Return the array that `plain` converted, of the same kind as `like`."""
    if _is_typed(like):
        return jax.random.wrap_key_data(jnp.asarray(saved), impl=jax.random.key_impl(like))
    return jnp.asarray(saved)


def _is_typed(array: Any) -> bool:
    return isinstance(array, jax.Array) and bool(jnp.issubdtype(array.dtype, jax.dtypes.prng_key))
