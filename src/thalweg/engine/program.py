"""What a compiled program consists of: a static part that selects it, and the inputs of every call.

Two runs with equal `Program` share one compilation; everything in `Inputs` may change without another one.
"""

from dataclasses import dataclass, replace
from typing import Any, Self

import equinox as eqx
import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int, PyTree

from thalweg.core.choice import default_of
from thalweg.core.stop_reason import StopReason
from thalweg.core.tree import lane as take_lane
from thalweg.problem.losses.loss import Loss
from thalweg.problem.losses.metrics import Metric
from thalweg.problem.models.adapter import PartitionedModel
from thalweg.problem.objective import Objective
from thalweg.recipe.precision import numbers_dtype
from thalweg.recipe.recipe import Recipe


@dataclass(frozen=True)
class Frozen:
    """A hashable pytree with hashable leaves."""

    leaves: tuple[Any, ...]
    treedef: Any

    @classmethod
    def of(cls, tree: PyTree) -> Self:
        """Freeze a tree."""
        leaves, treedef = jax.tree.flatten(tree)
        return cls(tuple(leaves), treedef)

    @property
    def tree(self) -> PyTree:
        """The tree that was frozen."""
        return jax.tree.unflatten(self.treedef, self.leaves)


# Layouts, how lanes are computed: one after another inside the program, or all in one batched product.
MAP, BATCH = "map", "batch"


@dataclass(frozen=True)
class Program:
    """What selects the compiled program. Hashable; equal programs are compiled once.

    Args:
        model: The module's functions, flags and other fixed, non-array leaves.
        recipe: The recipe's structure: its choices, without its numbers.
        loss, metric: What is minimised, and what is reported.
        more: Further metrics, which are recorded.
        select: Whether the validation `loss` or the `metric` decides which weights are best.
        batch_size: Rows in a batch.
        masked: Whether a batch may be short, so that losses are weighted.
        capacity: The most steps of one dispatch; how many it runs is an input.
        statistics: The most rows of layer statistics of one dispatch.
        layout: `map` or `batch`.
        noisy: Whether the model's outputs depend on its key.
        mesh: The devices that share the rows of a batch (`engine.mesh`); None for one device.
        brief: Whether it is compiled briefly, because it runs briefly.
    """

    model: Frozen
    recipe: Any
    loss: Loss | Objective
    metric: Metric
    more: tuple[Metric, ...]
    batch_size: int
    masked: bool
    capacity: int
    statistics: int
    layout: str = MAP
    noisy: bool = True
    select: str = "loss"
    mesh: Mesh | None = None
    brief: bool = False

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """All metrics, that of the headline first."""
        return (self.metric, *self.more)

    @property
    def figures(self) -> tuple[str, ...]:
        """Names of what an objective computes besides its loss."""
        return self.loss.figures if isinstance(self.loss, Objective) else ()


class Inputs(eqx.Module):
    """The inputs of a program that are the same at every dispatch of a run.

    Args:
        numbers: The recipe's numbers, `lane`, float32 (float64 where its precision is `f64`); so are the
            floating-point numbers below.
        model_arrays: The module's fixed arrays (integer tables and the like), shared by all lanes.
        shift, scale: The part of the preparation that is done on the device, or None; with folds, `fold ...`.
        target_scale: Unit of the target, for metrics; with folds, `fold ...`.
        total, epoch_steps: Updates planned, updates in an epoch.
        every: Steps between two rows of layer statistics.
        stream: Which stream of batches each lane reads, `lane`.
        lanes: Number of lanes; the program may have room for more.
        fold: Which fold of the data each lane reads, `lane`; None without folds.
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
    fold: Int[Array, " lane"] | None = None

    def of_fold(self, fold: Int[Array, ""] | None) -> Self:
        """Return the inputs of a lane that reads this fold; without folds, the same."""
        if fold is None:
            return self
        own = take_lane((self.shift, self.scale, self.target_scale), fold)
        return replace(self, shift=own[0], scale=own[1], target_scale=own[2], fold=None)

    def prepared(self, inputs: PyTree) -> PyTree:
        """Apply the preparation that is done on the device to a batch of inputs."""
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
    """Divide a module's untrained leaves into those that select the program and the arrays that enter it."""
    arrays, rest = eqx.partition(fixed, eqx.is_array)
    return Frozen.of(rest), arrays


def rebuilt(program: Program, inputs: Inputs, params: PyTree, model_state: PyTree) -> PartitionedModel:
    """Rebuild the module from its parameters and its fixed leaves, inside or outside of a trace."""
    return PartitionedModel(params, model_state, eqx.combine(inputs.model_arrays, program.model.tree))


def _is_read_by_host(reason: StopReason) -> bool:
    facts = reason.facts
    return facts.planned or (facts.setting and not facts.in_program)


# Settings that only the host reads: on or off, the program is the same.
HOST_SETTINGS = tuple(reason.value for reason in StopReason if _is_read_by_host(reason))


def structure(recipe: Recipe) -> Any:
    """Return what selects the program: the recipe without its numbers, its seed and its length."""
    return jax.tree.structure(_compiled(recipe))


def numbers(recipes: list[Recipe]) -> PyTree[Float[np.ndarray, " lane"]]:
    """Stack the numbers of recipes of equal structure along the lane axis, as float32 (float64 for `f64`).

    One dtype for all, whatever the user wrote: 1, 1.0 and np.float32(1) would be three traces.
    """
    dtype = numbers_dtype(recipes[0].precision)
    leaves = [[np.asarray(leaf, dtype) for leaf in jax.tree.leaves(_compiled(recipe))] for recipe in recipes]
    return [np.stack(column) for column in zip(*leaves, strict=True)]


def _compiled(recipe: Recipe) -> Recipe:
    described = recipe.described()
    return recipe.replaced(seed=0, **{name: default_of(described[name]) for name in HOST_SETTINGS})
