"""Several networks trained as one model: their outputs side by side, and which of them learns from which row.

A row that belongs to a fold is trained on by all members but that of its fold (of its folds, where there are
more members than folds), whose outputs for it are therefore out-of-fold predictions: a validation loss over
all rows, from networks that have not seen them.

Reference: Krogh & Vedelsby, Neural Network Ensembles, Cross Validation, and Active Learning, 1995.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree


class Members(NamedTuple):
    """Outputs of all members of an ensemble while it is trained; the loss is the mean of theirs.

    Args:
        outputs: `example member ...`.
        weights: What the loss of each member counts for each example, `example member`.
    """

    outputs: PyTree
    weights: Float[Array, "example member"]


def mean_of(outputs: PyTree) -> PyTree:
    """Return outputs as they are, of an ensemble in training the mean over its members, `example ...`."""
    if not isinstance(outputs, Members):
        return outputs

    def mean(leaf: Array) -> Array:
        shares = outputs.weights.reshape(*outputs.weights.shape, *(1,) * (leaf.ndim - 2))
        return jnp.sum(leaf * shares, axis=1)

    return jax.tree.map(mean, outputs.outputs)


class Folded(NamedTuple):
    """Inputs of rows that belong to folds.

    Args:
        inputs: As the model takes them otherwise, `example ...`.
        fold: In a training split the fold f of each row, `example`: its members are left out. In a
            validation split `-1 - f`: its members alone predict the row.
    """

    inputs: PyTree
    fold: Int[Array, " example"]


def chosen(fold: Int[Array, " example"], members: int, folds: int) -> Bool[Array, "example member"]:
    """Return which members a row is for; member m belongs to fold `m % folds`."""
    own = jnp.arange(members) % folds
    within = own == jnp.where(fold < 0, -1 - fold, fold)[:, None]
    return jnp.where(fold[:, None] < 0, within, ~within)
