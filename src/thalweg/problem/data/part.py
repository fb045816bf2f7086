"""Parts of a data set, as the compiled program sees them: arrays in, a batch by indices out.

A part is a pytree whose arrays lie on the device and enter every program as arguments (never closed over).
"""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PyTree, Shaped


class Part(eqx.Module):
    """A train, validation or test part."""

    @abc.abstractmethod
    def count(self) -> int:
        """Return how many examples there are."""

    @abc.abstractmethod
    def batch(self, indices: Int[Array, " batch"]) -> tuple[PyTree, PyTree]:
        """Return (inputs, targets) of the examples at `indices`, with a leading batch axis. Pure."""


class Rows(Part):
    """Examples along the first axis of arrays.

    Args:
        inputs: One array, or a tree of arrays, `example ...`. Images may stay uint8.
        targets: One array or a tree, `example ...`: int32 classes or float32 values.
    """

    inputs: PyTree[Shaped[Array | np.ndarray, "example ..."]]
    targets: PyTree[Shaped[Array | np.ndarray, "example ..."]]

    def count(self) -> int:
        """Return the length of the first axis."""
        return first_leaf(self.targets).shape[0]

    def batch(self, indices: Int[Array, " batch"]) -> tuple[PyTree, PyTree]:
        """Gather rows by index."""
        return _take(self.inputs, indices), _take(self.targets, indices)


class Windows(Part):
    """Windows of one long sequence; the target of each position is the token after it.

    Args:
        tokens: The sequence, int, `position`.
        length: Tokens in a window (context), in tokens.
        stride: Distance between the starts of neighbouring windows: 1 for training (every start),
            `length` for an evaluation that counts each token once.
    """

    tokens: Shaped[Array | np.ndarray, " position"]
    length: int = eqx.field(static=True)
    stride: int = eqx.field(static=True, default=1)

    def count(self) -> int:
        """Return how many whole windows there are, each with a next token for its last position."""
        return max(0, (self.tokens.shape[0] - 1 - self.length) // self.stride + 1)

    def batch(self, indices: Int[Array, " batch"]) -> tuple[Array, Array]:
        """Return (tokens, next tokens), both int32 `batch position`."""
        positions = indices[:, None] * self.stride + jnp.arange(self.length + 1)
        found = jnp.asarray(self.tokens)[positions].astype(jnp.int32)
        return found[:, :-1], found[:, 1:]


def first_leaf(tree: PyTree) -> Array | np.ndarray:
    """Return the first array of a tree."""
    return jax.tree.leaves(tree)[0]


def _take(tree: PyTree, indices: Int[Array, " batch"]) -> PyTree:
    return jax.tree.map(lambda leaf: jnp.asarray(leaf)[indices], tree)
