"""A trained model's outputs for new data.

Apart from `run.run`, whose imports (recipes, losses, optimizers) a prediction does not need: they would take
as long to load as JAX.
"""

from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

from thalweg.core.compiler import filter_jit
from thalweg.core.errors import DataError
from thalweg.engine.compilation import enable_cache
from thalweg.problem.models.adapter import PartitionedModel, apply

# Rows of a forward pass are filled up to at least this many.
FEWEST_ROWS = 64


def outputs(built: PartitionedModel, inputs: PyTree) -> Any:
    """Return a model's raw outputs for prepared inputs, `example ...`, in slices that fit any memory.

    A model with several outputs gives a tree of them.
    """
    enable_cache()
    parts = [_outputs(built, rows) for rows in _slices(inputs)]
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


def _outputs(built: PartitionedModel, rows: PyTree) -> PyTree:
    """Return the outputs for some rows, filled up with the first of them to a power of two.

    So few programs are compiled, whatever numbers of rows are asked for, and a row has the same outputs
    among few rows and among many: products of whole tiles are summed in one order.
    """
    count = jax.tree.leaves(rows)[0].shape[0]
    if not count:  # one row of zeros is filled up and cut off
        rows = jax.tree.map(lambda leaf: np.zeros((1, *leaf.shape[1:]), leaf.dtype), rows)
    more = max(FEWEST_ROWS, 1 << max(count - 1, 0).bit_length()) - max(count, 1)
    filled = jax.tree.map(lambda leaf: np.concatenate([leaf, np.repeat(leaf[:1], more, axis=0)]), rows)
    return jax.tree.map(lambda leaf: np.asarray(leaf)[:count], _forward(built, filled if more else rows))


def reject_objective(who: str, objective: bool) -> None:
    """Refuse to predict with a model that an objective trained: only its author knows how it is called.

    Raises:
        DataError: It was.
    """
    if objective:
        rule = "a model that an objective trained is called as the objective calls it"
        hint = "use the module itself, run.model: for example jax.vmap(run.model)(x)"
        raise DataError(who, rule, hint=hint)


@filter_jit
def _forward(built: PartitionedModel, rows: PyTree) -> PyTree:
    return apply(built, rows, key=None, training=False)[0]


def _slices(inputs: PyTree, rows: int = 4096) -> list[PyTree]:
    def cut(first: int) -> PyTree:
        return jax.tree.map(lambda leaf: leaf[first : first + rows], inputs)

    count = jax.tree.leaves(inputs)[0].shape[0]
    return [cut(first) for first in range(0, max(count, 1), rows)]
