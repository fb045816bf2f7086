"""`LaneSet`: variants of equal structure as lanes of one compiled program, trained update by update.

The program has room for all variants that there can be, so that one more, one less, or another number
compiles nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

from thalweg.core.compiler import jit
from thalweg.core.tree import lane as take_lane
from thalweg.core.tree import paths, row, with_row
from thalweg.engine.backward import Lane
from thalweg.engine.compilation import TRACES, compile_once
from thalweg.engine.dispatch import ChunkLength, next_chunk
from thalweg.engine.feeds.resident import ResidentFeed
from thalweg.engine.group import init_group, weights
from thalweg.engine.program import Inputs, Program, numbers, rebuilt
from thalweg.engine.state import RUNNING, State
from thalweg.engine.step import step_batch, step_loss
from thalweg.insight.tape.tape import Tape
from thalweg.insight.tape.tape import tape as recorded
from thalweg.problem.data.split import Split
from thalweg.problem.models.adapter import apply
from thalweg.problem.problem import Problem
from thalweg.recipe.recipe import Recipe

# Lanes that a program has room for: the variant that the controls change, and eight that are pinned.
MOST_PINNED = 8
WIDTH = 1 + MOST_PINNED
# Updates of one dispatch, and row numbers that it holds at most, over all lanes.
CAPACITY, INDEX_BUDGET = 128, 2**18


class _Exactly(ChunkLength):
    """A chunk of the length that is asked for."""

    def __init__(self, steps: int):
        super().__init__(steps)
        self.steps = steps

    def observe(self, steps: int, seconds: float) -> None:
        """Do not adapt."""


@dataclass(frozen=True)
class Update:
    """The last update of a lane, kept for the tape.

    Args:
        states: The states before it.
        step: Its number.
    """

    states: State
    step: int


class LaneSet:
    """Lanes that share a program; lane i trains recipe i.

    Args:
        problem: What is learned.
        recipes: One for each lane, at most `WIDTH`, equal in structure and length.
        splits: The data on the device.
    """

    def __init__(self, problem: Problem, recipes: Sequence[Recipe], splits: dict[str, Split] | None = None):
        self.problem = problem
        group, self.states = init_group(problem, list(recipes), splits=splits, width=WIDTH)
        assert isinstance(group.feed, ResidentFeed)
        batch = group.feed.batch_size
        capacity = min(CAPACITY, group.program.capacity, max(8, INDEX_BUDGET // (batch * WIDTH)))
        # A row of layer statistics at any update that is asked for.
        program = replace(group.program, capacity=capacity, statistics=capacity)
        self.group = replace(group, program=program)
        self.last: Update | None = None
        self.gradient_norms = np.full((WIDTH, len(jax.tree.leaves(self.states.params))), np.nan)
        self.set_recipes(recipes)

    def set_recipes(self, recipes: Sequence[Recipe]) -> None:
        """Give the lanes other numbers or seeds; nothing is compiled.

        A seed decides only about the batches and the noise from now on; the initial weights stay.
        """
        filled = [*recipes, *[recipes[-1]] * (WIDTH - len(recipes))]
        # A stream of batches for each lane, whatever the seeds: as many streams, the same program.
        feed = replace(self.group.feed, streams=tuple((recipe.seed, 0) for recipe in filled))  # type: ignore[type-var]
        inputs = replace(
            self.group.inputs,
            numbers=jax.device_put(numbers(filled)),
            stream=jax.device_put(np.arange(WIDTH, dtype=np.int32)),
            lanes=jax.device_put(np.int32(len(recipes))),
            total=jax.device_put(np.asarray(recipes[0].length(feed.epoch_steps), self._total_dtype)),
        )
        self.group = replace(self.group, feed=feed, inputs=inputs, recipes=tuple(recipes))

    @property
    def _total_dtype(self) -> Any:
        return self.group.inputs.total.dtype

    @property
    def count(self) -> int:
        """Number of lanes."""
        return len(self.group.recipes)

    @property
    def epoch_steps(self) -> int:
        """Updates in an epoch."""
        return self.group.feed.epoch_steps

    @property
    def layers(self) -> list[str]:
        """Names of the parameter arrays, in the order of `gradient_norms`."""
        return paths(take_lane(self.states.params, 0))

    @property
    def stopped(self) -> np.ndarray:
        """Whether each lane has diverged, `lane`."""
        return np.asarray(self.states.code)[: self.count] != RUNNING

    def fork(self, lane: int, recipes: Sequence[Recipe]) -> None:
        """Append a copy of a lane, with its weights and the optimizer's state."""
        self._select([*range(self.count), lane], recipes)

    def keep(self, lanes: Sequence[int], recipes: Sequence[Recipe]) -> None:
        """Keep only some lanes."""
        self._select(lanes, recipes)

    def _select(self, lanes: Sequence[int], recipes: Sequence[Recipe]) -> None:
        order = [*lanes, *[0] * (WIDTH - len(lanes))]
        # On the host: an operation on the device would be compiled for every shape.
        self.states = jax.device_put(jax.tree.map(lambda leaf: np.asarray(leaf)[order], self.states))
        self.gradient_norms, self.last = self.gradient_norms[order], None
        self.set_recipes(recipes)

    def advance(self, start: int, steps: int) -> None:
        """Make updates `start` to `start + steps - 1` of every lane that has not diverged."""
        done = 0
        while done < steps:
            some = min(steps - done, self.group.program.capacity)
            # As many updates as there are between two rows of statistics: one row, whatever the start.
            every = jax.device_put(np.int32(some))
            group = replace(self.group, inputs=replace(self.group.inputs, every=every))
            before = self.states
            result = next_chunk(group, before, start + done, start + steps, _Exactly(some))
            self.states, self.last = result.states, Update(before, start + done) if some == 1 else None
            self._observe(result.chunk.layers, result.chunk.layer_steps)
            done += some

    def _observe(self, layers: Any, steps: Any) -> None:
        known = np.asarray(steps)[:, 0] >= 0
        self.gradient_norms[known] = np.asarray(layers)[known, 0, :, 1]

    def look(
        self, inputs: Float[np.ndarray, "row feature"], targets: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return outputs and losses of every lane on some rows, as in an evaluation, `lane row ...`."""
        group, states = self.group, self.states
        pair = weights(group, states), states.model_state
        outputs, losses = compile_once(_looked, group.program, group.inputs, inputs, targets, pair)
        return np.asarray(outputs)[: self.count], np.asarray(losses)[: self.count]

    def params(self, lane: int) -> PyTree:
        """Return the weights of a lane, on the host."""
        return jax.tree.map(lambda leaf: np.asarray(leaf)[lane], weights(self.group, self.states))

    def tape(self, lane: int) -> Tape | None:
        """Record the last update of a lane, op by op; None unless it was a single one."""
        if self.last is None:
            return None
        group, states, number = self.group, self.last.states, self.last.step
        split, batches = group.feed.dispatch(group.splits, number, 1, group.program.capacity)
        recipe = jax.tree.unflatten(group.program.recipe, take_lane(group.inputs.numbers, lane))
        own, state = Lane(group.program, group.inputs, recipe, split), take_lane(states, lane)
        order = row(batches.indices, group.inputs.stream[lane])[0], batches.sizes[0]
        batch = step_batch(own, state, order)
        return recorded(
            lambda params: step_loss(own, state, batch, params), state.params, name=f"update {number + 1}"
        )


@partial(jit, static_argnames="program")
def _looked(
    program: Program,
    inputs: Inputs,
    rows: Float[Array, "row feature"],
    targets: Array,
    pair: tuple[PyTree, PyTree],
) -> tuple[Float[Array, "lane row out"], Float[Array, "lane row"]]:
    """Return outputs and losses of the first `inputs.lanes` lanes; of the others NaN."""
    TRACES.count("play")

    def of_lane(index: Int[Array, ""]) -> tuple[Array, Array]:
        module = rebuilt(program, inputs, *take_lane(pair, index))
        outputs, _ = apply(module, inputs.prepared(rows), key=None, training=False)
        return outputs, program.loss(outputs, targets)  # type: ignore[operator]

    shapes = jax.eval_shape(of_lane, jax.ShapeDtypeStruct((), jnp.int32))
    unset = jax.tree.map(lambda leaf: jnp.full((WIDTH, *leaf.shape), jnp.nan, leaf.dtype), shapes)

    def body(index: Array, results: tuple[Array, Array]) -> tuple[Array, Array]:
        return jax.tree.map(lambda lanes, leaf: with_row(lanes, leaf, index), results, of_lane(index))

    return jax.lax.fori_loop(0, inputs.lanes, body, unset)
