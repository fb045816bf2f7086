"""Rows of several folds in one split: a lane reads those of its own fold."""

from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PyTree

from thalweg.core.tree import row
from thalweg.problem.data.split import Rows, Split


class FoldRows(Rows):
    """Rows of several folds, one fold after another; a lane reads those of its own fold.

    Args:
        starts: First row of each fold, int32, `fold`.
        counts: Rows of each fold, int32, `fold`.
        most: Rows of the largest fold.
    """

    starts: Int[Array | np.ndarray, " fold"]
    counts: Int[Array | np.ndarray, " fold"]
    most: int = eqx.field(static=True)

    def count(self) -> int:
        """Return how many rows the largest fold has."""
        return self.most

    def of_fold(self, fold: Int[Array, ""]) -> "FoldSlice":
        """Return the rows of one fold, inside of a trace."""
        counts, starts = jnp.asarray(self.counts), jnp.asarray(self.starts)
        return FoldSlice(Rows(self.inputs, self.targets), row(starts, fold), row(counts, fold))

    def gather(self, indices: np.ndarray) -> None:
        """None: every lane evaluates on the rows of its own fold, which a traced number selects."""

    @property
    def known_targets(self) -> None:
        """None: targets of different folds do not belong together."""
        return None

    def fewer(self, most: int) -> "FoldRows":
        """Return the split itself: every fold keeps its rows."""
        return self


class FoldSlice(Split):
    """The rows of one fold, which a traced number selects: their count is traced, too.

    Args:
        rows: The rows of all folds.
        start, length: First row of the fold, and how many there are.
    """

    one_row: ClassVar[bool] = True

    rows: Rows
    start: Int[Array, ""]
    length: Int[Array, ""]

    def count(self) -> Any:
        """Return the number of rows, traced."""
        return self.length

    @property
    def input_shape(self) -> Any:
        """Shape of one row."""
        return self.rows.input_shape

    def batch(self, indices: Int[Array, " batch"]) -> tuple[PyTree, PyTree]:
        """Gather rows by their index within the fold."""
        return self.rows.batch(self.start + indices)
