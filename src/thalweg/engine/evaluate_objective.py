"""Evaluation of an objective: batch by batch, each with a key of its own that is the same every time.

One number for a batch may depend on how many rows the batch has (a contrastive loss does), so batches have
the size of training, and the rows that are left are one batch more, which counts by its rows. All lanes and
all evaluations draw the same noise, so that they can be compared.
"""

from dataclasses import replace

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from thalweg.core import keys
from thalweg.engine.evaluation_batches import EVALUATION_ROWS, PRIME, fitting_rows, row_bytes
from thalweg.engine.mesh import share_rows
from thalweg.engine.program import Inputs, Program, rebuilt
from thalweg.problem.data.split import Split
from thalweg.problem.objective import Measured, Objective, as_batch, mean


def objective_sums(
    program: Program, inputs: Inputs, split: Split, stride: int, lane: tuple[PyTree, PyTree]
) -> Float[Array, "batch number"]:
    """Return for every batch the sums over its rows of the loss and of each figure.

    Args:
        program, inputs, split: As for `evaluate`.
        stride: Every `stride`-th example is used.
        lane: Parameters and model state of one lane.
    """

    def sums(number: Array, size: int) -> Float[Array, " number"]:
        measured = _measured(
            program, inputs, split, lane, (number * rows + jnp.arange(size)) * stride, number
        )
        means = [mean(values).astype(jnp.float32) for values in (measured.losses, *measured.figures)]
        return size * jnp.stack(means)

    rows, whole, rest = _batches(program, inputs, split, lane, -(-split.count() // stride))
    results = jax.lax.map(lambda number: sums(number, rows), jnp.arange(whole))
    return jnp.concatenate([results, sums(jnp.int32(whole), rest)[None]]) if rest else results


def objective_losses(
    program: Program, inputs: Inputs, split: Split, lane: tuple[PyTree, PyTree]
) -> Float[Array, " example"]:
    """Return the loss of every example, or of every batch where the objective gives one number for it."""

    def losses(number: Array, size: int) -> Float[Array, " row"]:
        rows_of = number * rows + jnp.arange(size)
        return _measured(program, inputs, split, lane, rows_of, number).losses.reshape(-1)

    rows, whole, rest = _batches(program, inputs, split, lane, split.count())
    results = jax.lax.map(lambda number: losses(number, rows), jnp.arange(whole)).reshape(-1)
    return jnp.concatenate([results, losses(jnp.int32(whole), rest)]) if rest else results


def _batches(
    program: Program, inputs: Inputs, split: Split, lane: tuple[PyTree, PyTree], examples: int
) -> tuple[int, int, int]:
    """Return the rows of a batch, the number of whole batches, and the rows that are left."""
    assert isinstance(program.loss, Objective)
    if not program.loss.per_row:
        rows = min(program.batch_size, examples)
        return rows, *divmod(examples, rows)
    alone = replace(program, mesh=None)

    def forward(inputs: Inputs, split: Split, lane: tuple[PyTree, PyTree]) -> PyTree:
        return _measured(alone, inputs, split, lane, jnp.arange(PRIME), jnp.int32(0)).losses

    rows = min(fitting_rows(EVALUATION_ROWS, row_bytes(forward, inputs, split, lane)), examples)
    return rows, *divmod(examples, rows)


def _measured(
    program: Program,
    inputs: Inputs,
    split: Split,
    lane: tuple[PyTree, PyTree],
    indices: Int[Array, " row"],
    number: Array,
) -> Measured:
    assert isinstance(program.loss, Objective)
    examples, targets = share_rows(program.mesh, split.batch(share_rows(program.mesh, indices)))
    batch = as_batch(inputs.prepared(examples), targets)
    key = jax.random.fold_in(keys.purpose_key(keys.lane_key(0), keys.EVALUATION), number)
    return program.loss.measure(rebuilt(program, inputs, *lane), batch, key, training=False)
