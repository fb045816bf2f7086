"""A recipe that fits into less memory: the fastest change of it, predicted, then verified by compiling.

The changes tried: recomputation in blocks, microbatches, bfloat16 passes, a smaller batch, and recomputation
with microbatches. Those that compute the same gradient come first: recomputation always, microbatches where
the model has no statistics of a batch. Within a kind the fastest that fits is taken, by predicted time or,
without rates, by operations. Of 4, 8 or 16 blocks as few are computed again as the budget allows, which is
found by halving: the more are, the less memory is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp

from thalweg.core import device
from thalweg.core.arguments import checked
from thalweg.core.caller import argument, setting
from thalweg.core.errors import BadInput, ShortageError
from thalweg.core.limits import as_bytes
from thalweg.engine.dispatch import run_chunk
from thalweg.engine.group import lane_bytes
from thalweg.insight.cost import graph, timing, trace
from thalweg.insight.cost.cost import memory_bytes
from thalweg.insight.cost.flops import count
from thalweg.insight.cost.rates import known
from thalweg.problem.data.stream import Streamed
from thalweg.problem.problem import Problem
from thalweg.recipe.recipe import Recipe
from thalweg.recipe.recompute import NONE

# Bytes of activations for each byte of an example, above what the catalogue's models keep (resnet:18 on 32 x
# 32 images: 1,000).
GENEROUS = 2000
# Numbers of blocks and of microbatches that are tried.
BLOCKS, MICROBATCHES = (2, 4, 8, 16), (2, 4, 8, 16, 32, 64)


@dataclass(frozen=True)
class Fitting:
    """A recipe that fits.

    Args:
        recipe: The recipe with the changes.
        changes: The changes by setting; empty where the recipe fits as it is.
        budget: Bytes that it was to fit in.
        before, predicted, compiled: Bytes before the change, predicted, and of the compiled program.
        slowdown: Predicted time of an update over that before, for equally many examples.
        same_gradient: Whether the gradient is that of the recipe before.
    """

    recipe: Recipe
    changes: dict[str, Any]
    budget: int
    before: int
    predicted: int
    compiled: int
    slowdown: float
    same_gradient: bool

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        names = ("budget", "before", "predicted", "compiled", "slowdown", "same_gradient")
        return {"changes": self.changes} | {name: getattr(self, name) for name in names}


@checked(BadInput)
def fit_in(problem: Problem, recipe: Recipe, budget: int) -> Fitting:
    """Return the fastest change of a recipe that needs at most `budget` bytes.

    Raises:
        BadInput: Nothing that is tried fits; the message says the least that would.
    """
    before = memory_bytes(problem, recipe)
    if before <= budget and (compiled := compiled_bytes(problem, recipe)) <= budget:
        return Fitting(recipe, {}, budget, before, before, compiled, 1.0, True)
    unit, least = work(problem, recipe), before
    examples = problem.data.train.count()
    for same, kind in _kinds(problem, recipe, budget):
        fitting: list[tuple[float, int, dict[str, Any]]] = []
        for changes in kind:
            needed = memory_bytes(problem, replace(recipe, **changes))
            least = min(least, needed)
            if needed <= budget:
                changed = replace(recipe, **changes)
                updates = recipe.batch(examples) / changed.batch(examples)  # for equally many examples
                fitting.append((work(problem, changed) * updates / unit, needed, changes))
        for slowdown, needed, changes in sorted(fitting, key=lambda one: one[:2]):
            changed = replace(recipe, **changes)
            if (compiled := compiled_bytes(problem, changed)) <= budget:
                return Fitting(changed, changes, budget, before, needed, compiled, slowdown, same)
    rule = "must hold the run with one of the changes that are tried"
    got = f"{as_bytes(budget)}; the least that would do is {as_bytes(least)}"
    raise BadInput(argument("fit_in"), rule, got=got, hint="use a smaller model or fewer examples")


def reject_larger_than_memory(problem: Problem, recipe: Recipe) -> None:
    """Refuse a run that is predicted not to fit in the free memory of this machine, and name what would.

    Small runs are not traced for it: those whose data, states and batch, with `GENEROUS` times the bytes of
    an example for its activations, are far below what is free.

    Raises:
        ShortageError: It does not fit.
    """
    free, train = device.free_memory(), problem.data.train
    if not device.on_cpu() or isinstance(train, Streamed):
        return
    data = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(train))
    batch = recipe.batch(train.count()) * GENEROUS * max(1, data // max(1, train.count()))
    # The state twice over and in three more copies, with an optimizer that keeps two numbers a weight.
    states = 15 * lane_bytes(problem, recipe, parameters_only=True)
    if 2 * (data + states + batch) < free:
        return
    needed = memory_bytes(problem, recipe)
    if needed <= free:
        return
    try:
        changes = fit_in(problem, recipe, free).changes
        hint = "this fits: " + " ".join(setting(path, value) for path, value in changes.items())
    except BadInput as error:
        hint = f"{error.got}; use a smaller model or fewer examples"
    rule = "the run must fit in the free memory"
    raise ShortageError("fit", rule, got=f"{as_bytes(needed)} predicted, {as_bytes(free)} free", hint=hint)


def _kinds(problem: Problem, recipe: Recipe, budget: int) -> Iterator[tuple[bool, list[dict[str, Any]]]]:
    """Yield groups of changes, the best kind first, with whether they keep the gradient."""
    batch = recipe.batch(problem.data.train.count())
    blocks: list[dict[str, Any]] = []
    if recipe.recompute == NONE:
        blocks = [{"recompute": f"blocks:{count}"} for count in BLOCKS]
    parts = [{"accumulate": n} for n in MICROBATCHES if recipe.accumulate < n <= batch]
    # Statistics of a batch are those of a microbatch where there are some.
    apart = bool(jax.tree.leaves(trace.shapes(problem, recipe).states.model_state))
    few = [fewest_blocks(problem, recipe, budget, count) for count in BLOCKS[1:]] if blocks else []
    yield True, [*({"recompute": how} for how in few if how), *blocks, *([] if apart else parts)]
    both = [block | part for block in blocks[:2] for part in parts]
    yield not apart, [*(parts if apart else []), *both]
    if recipe.precision == "f32":
        yield False, [{"precision": "bf16"}]
    sizes = [batch // n for n in MICROBATCHES if batch // n >= recipe.accumulate]
    yield False, [{"batch_size": size} for size in dict.fromkeys(sizes) if size >= 1]


def fewest_blocks(problem: Problem, recipe: Recipe, budget: int, blocks: int) -> str:
    """Return the setting by which the fewest blocks are computed again; empty if it takes all of them."""
    low, high = 1, blocks - 1  # the fewest that fit, if any do, are among these
    while low < high:
        middle = (low + high) // 2
        fits = memory_bytes(problem, replace(recipe, recompute=f"blocks:{blocks}:{middle}")) <= budget
        low, high = (low, middle) if fits else (middle + 1, high)
    return f"blocks:{blocks}:{low}" if low < blocks - 1 else ""


def work(problem: Problem, recipe: Recipe) -> float:
    """Return the predicted seconds of an update, or its operations where the rates are not known."""
    whole = graph.computation(trace.one_update(trace.shapes(problem, recipe)))
    measured = known()
    return timing.of_update(whole, measured) if measured else float(max(1, count(whole).total))


def compiled_bytes(problem: Problem, recipe: Recipe) -> int:
    """Return the bytes of the compiled program, by XLA's buffer assignment."""
    shapes = trace.shapes(problem, recipe)
    count: Any = jax.ShapeDtypeStruct((), jnp.int32)
    lowered = run_chunk.lower(
        shapes.group.program, shapes.group.inputs, shapes.split, shapes.batches, count, shapes.states
    )
    memory: Any = lowered.compile().memory_analysis()
    taken = memory.temp_size_in_bytes + memory.argument_size_in_bytes + memory.output_size_in_bytes
    return int(taken - memory.alias_size_in_bytes)
