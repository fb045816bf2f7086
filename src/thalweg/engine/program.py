"""What a compiled program is made of: a static part that selects it, and inputs that it is called with.

Two runs whose `Program` is equal share one compilation; everything in `Inputs` may change freely.
"""

from dataclasses import dataclass, replace
from typing import Any, Self

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

from thalweg.core.choice import default_of
from thalweg.core.stop_reason import StopReason
from thalweg.problem.losses.loss import Loss
from thalweg.problem.losses.metrics import Metric
from thalweg.problem.models.adapter import PartitionedModel
from thalweg.recipe.precision import numbers_dtype
from thalweg.recipe.recipe import Recipe


@dataclass(frozen=True)
class Frozen:
    """A pytree of hashable leaves, itself hashable."""

    leaves: tuple[Any, ...]
    treedef: Any

    @classmethod
    def of(cls, tree: PyTree) -> Self:
        """Freeze a tree."""
        leaves, treedef = jax.tree.flatten(tree)
        return cls(tuple(leaves), treedef)

    @property
    def tree(self) -> PyTree:
        """The tree again."""
        return jax.tree.unflatten(self.treedef, self.leaves)


# How lanes are computed: one after another inside the program, or all in one product.
MAP, BATCH = "map", "batch"


@dataclass(frozen=True)
class Program:
    """What selects the compiled program. Hashable; equal programs are compiled once.

    Args:
        model: The module's functions, flags and other fixed, non-array leaves.
        recipe: The recipe's structure: its choices, without its numbers.
        loss, metric: What is minimised, what is read.
        batch_size: Rows in a batch.
        masked: Whether a batch may be short, so that losses are weighted.
        capacity: Steps that one dispatch can hold; how many it runs is an input.
        statistics: Rows that one dispatch can hold of the per-layer figures.
        layout: `map` or `batch`.
        noisy: Whether the model's outputs depend on its key.
    """

    model: Frozen
    recipe: Any
    loss: Loss
    metric: Metric
    batch_size: int
    masked: bool
    capacity: int
    statistics: int
    layout: str = MAP
    noisy: bool = True


class Inputs(eqx.Module):
    """What a program is called with, the same at every dispatch of a run.

    Args:
        numbers: The recipe's numbers, `lane`, float32 (float64 where its precision is `f64`), and so with
            the floating numbers below.
        model_arrays: The module's fixed arrays (integer tables and the like), shared by all lanes.
        shift, scale: Device side of the preparation, or None.
        target_scale: Unit of the target, for metrics.
        total, epoch_steps: Updates planned, updates in an epoch.
        every: Steps between two rows of per-layer figures.
        stream: Which row of the order each lane reads, `lane`.
        lanes: How many lanes there are.
    """

    numbers: PyTree[Float[Array, " lane"]]
    model_arrays: PyTree
    shift: PyTree
    scale: PyTree
    target_scale: PyTree
    total: Float[Array, ""]
    epoch_steps: Float[Array, ""]
    every: Int[Array, ""]
    stream: Int[Array, " lane"]
    lanes: Int[Array, ""]

    def prepared(self, inputs: PyTree) -> PyTree:
        """Apply the device side of the preparation to a batch of inputs."""
        if self.scale is None:
            return inputs
        return (inputs.astype(self.total.dtype) + self.shift) * self.scale


class Batches(eqx.Module):
    """The order of one dispatch: which rows each step reads.

    Args:
        indices: `stream step row`; rows beyond a short batch repeat row 0 and carry no weight.
        sizes: Valid rows in each batch, `step`.
    """

    indices: Int[Array, "stream step row"]
    sizes: Int[Array, " step"]


def split_model(fixed: PyTree) -> tuple[Frozen, PyTree]:
    """Part a module's untrained leaves into what selects the program and what enters it."""
    arrays, rest = eqx.partition(fixed, eqx.is_array)
    return Frozen.of(rest), arrays


def rebuilt(program: Program, inputs: Inputs, params: PyTree, model_state: PyTree) -> PartitionedModel:
    """Put the module together again, inside or outside of a trace."""
    return PartitionedModel(params, model_state, eqx.combine(inputs.model_arrays, program.model.tree))


def _is_read_by_host(reason: StopReason) -> bool:
    facts = reason.facts
    return facts.planned or (facts.setting and not facts.in_program)


# Settings that only the host reads. They are no part of the program: on or off, it is the same one.
HOST = tuple(reason.value for reason in StopReason if _is_read_by_host(reason))


def structure(recipe: Recipe) -> Any:
    """Return what of a recipe selects the program: all but its numbers, its seed and its length."""
    return jax.tree.structure(_compiled(recipe))


def numbers(recipes: list[Recipe]) -> PyTree[Float[np.ndarray, " lane"]]:
    """Stack the numbers of recipes of equal structure along the lane axis, as float32 (float64 for `f64`).

    One dtype for all, whatever was typed: 1, 1.0 and np.float32(1) would be three traces.
    """
    dtype = numbers_dtype(recipes[0].precision)
    leaves = [[np.asarray(leaf, dtype) for leaf in jax.tree.leaves(_compiled(recipe))] for recipe in recipes]
    return [np.stack(column) for column in zip(*leaves, strict=True)]


def _compiled(recipe: Recipe) -> Recipe:
    known = recipe.described()
    return replace(recipe, seed=0, **{name: default_of(known[name]) for name in HOST})
