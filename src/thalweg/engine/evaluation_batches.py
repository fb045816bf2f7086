"""Which rows an evaluation computes at a time: enough for full matrix products, no more than memory holds."""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr
from jaxtyping import Array, Int, PyTree

from thalweg.engine.program import BATCH, Program
from thalweg.problem.data.split import Split

# Rows in a batch of evaluation: enough for full matrix products, few enough to stay in cache.
EVALUATION_ROWS = 512
# Batched lanes share this many rows, but each has at least the second number.
BATCHED_ROWS, FEWEST_ROWS = 1024, 16
# A batch of a small split is filled up to a multiple of this, so that folds whose sizes differ by a row have
# batches of one size: a lane then has the bits of its fold alone.
ROWS_MULTIPLE = 64
# Bytes of the largest array of a batch. An evaluation must not need many times what training does, whose
# batches are smaller: 512 photographs of 128 x 128 pixels in 32 channels would be 1 GiB.
MOST_BYTES = 1 << 26
# A number of rows that is no dimension of a network: what it divides grows with the rows.
PRIME = 509


class Batches(NamedTuple):
    """Which examples each batch of an evaluation has: `rows`, `stride` apart, from each of the starts."""

    starts: Int[Array, " batch"]
    rows: int
    stride: int


def batches_of(program: Program, split: Split, width: int, stride: int, row_bytes: int) -> Batches:
    """Return the batches of a split.

    Args:
        program: Its layout counts.
        split: What is evaluated.
        width: Number of lanes.
        stride: Every `stride`-th example is used.
        row_bytes: Bytes of a row in the largest array of a forward pass, from `row_bytes`.
    """
    several = program.layout == BATCH and width > 1
    most = max(FEWEST_ROWS, BATCHED_ROWS // width) if several else EVALUATION_ROWS
    most = fitting_rows(most, row_bytes * (width if several else 1))
    rows = min(most, -(-split.count() // ROWS_MULTIPLE) * ROWS_MULTIPLE)
    return Batches(jnp.arange(0, split.count(), rows * stride), rows, stride)


def fitting_rows(most: int, row_bytes: int) -> int:
    """Return `most` rows if memory holds them, else the largest power of two of rows that it holds."""
    fitting = MOST_BYTES // max(row_bytes, 1)
    return most if fitting >= most else 1 << max(fitting, 1).bit_length() - 1


def row_bytes(forward: Callable[..., Any], *given: PyTree) -> int:
    """Return the bytes of one row in the largest array that a forward pass of `PRIME` rows computes.

    Args:
        forward: Computes the outputs of `PRIME` rows; it is traced, and nothing is computed.
        *given: Its arguments, of which only the shapes are used.
    """
    shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), given)
    return max(_sizes(jax.make_jaxpr(forward)(*shapes)), default=0)


def _sizes(of: ClosedJaxpr | Jaxpr) -> Iterator[int]:
    jaxpr = of.jaxpr if isinstance(of, ClosedJaxpr) else of
    for equation in jaxpr.eqns:
        for value in equation.outvars:
            array: Any = value.aval
            if any(size and size % PRIME == 0 for size in getattr(array, "shape", ())):
                yield math.prod(array.shape) // PRIME * array.dtype.itemsize
        for inner in jax.tree.leaves(list(equation.params.values()), is_leaf=_is_program):
            if _is_program(inner):
                yield from _sizes(inner)


def _is_program(value: Any) -> bool:
    return isinstance(value, ClosedJaxpr | Jaxpr)
