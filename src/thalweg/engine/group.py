"""A group: lanes of equal structure, which share one compiled program.

Here a problem and recipes become what the loop takes: the static program, its inputs and the first states.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from thalweg.core import keys
from thalweg.core.tree import lane as take_lane
from thalweg.core.tree import roles, stack
from thalweg.engine.backward import loss_scale
from thalweg.engine.compiling import TRACES
from thalweg.engine.feeds.choose import AnyFeed, feed_for
from thalweg.engine.program import MAP, Inputs, Program, numbers, split_model, structure
from thalweg.engine.state import RUNNING, State
from thalweg.problem.data.data import Data
from thalweg.problem.data.split import Split
from thalweg.problem.data.stream import Streamed
from thalweg.problem.models.adapter import PartitionedModel, build, initial_carry, is_factory
from thalweg.problem.problem import Problem
from thalweg.recipe.averaging import NoAverage
from thalweg.recipe.optimizers import Optimizer
from thalweg.recipe.precision import kept, numbers_dtype
from thalweg.recipe.recipe import CONTINUED, Recipe
from thalweg.recipe.rule import rule_of
from thalweg.recipe.schedules import Schedule

# A dispatch holds at most this many indices (4 bytes each: 1 MB), and this many steps.
INDEX_BUDGET, STEP_BUDGET = 2**18, 2048
# Per-layer figures cost 16-45 % of a step on small networks; every 25th step that is at most 2 %.
FEWEST_STEPS_BETWEEN_FIGURES, MOST_STEPS_BETWEEN_FIGURES, ROWS_OF_FIGURES = 25, 1000, 100


@dataclass(frozen=True)
class LaneGroup:
    """Lanes that share a program.

    Args:
        program: What selects the compilation.
        inputs: What every dispatch is called with.
        splits: The data's splits, on the device.
        feed: The order of the data.
        recipes: One for each lane.
        total: Updates planned, the same for all lanes.
    """

    program: Program
    inputs: Inputs
    splits: dict[str, Split]
    feed: AnyFeed
    recipes: tuple[Recipe, ...]
    total: int

    @property
    def width(self) -> int:
        """Lanes that the program has room for; those beyond `recipes` stand still."""
        return int(self.inputs.stream.shape[0])


def resident(data: Data) -> dict[str, Split]:
    """Put the data's splits on the device; once for all the groups that train on them. A stream brings its
    own.
    """
    splits = {name: part for name, part in data.splits.items() if not isinstance(part, Streamed)}
    return jax.device_put(splits)


def prepare(
    problem: Problem,
    recipes: list[Recipe],
    start: Callable[[PyTree], PyTree] | None = None,
    *,
    splits: dict[str, Split] | None = None,
    width: int | None = None,
    layout: str = MAP,
) -> tuple[LaneGroup, State]:
    """Make the group and the first states of its lanes.

    Args:
        problem: What is learned.
        recipes: One for each lane; equal in structure and in length.
        start: Changes a lane's first parameters (given and returned without a lane axis), for fine-tuning.
        splits: The data on the device, from `resident`; None puts it there.
        width: Lanes to make room for. Groups of equal width share one compilation; the lanes beyond the
            recipes are never run.
        layout: How lanes are computed; `map` gives each the bits of the lane alone.
    """
    lanes = len(recipes)
    recipes = [*recipes, *[recipes[-1]] * ((width or lanes) - lanes)]
    first, data = recipes[0], problem.data
    feed = feed_of(problem, recipes)
    batch_size = feed.batch_size
    total = first.length(feed.epoch_steps)
    built = initial(problem, [recipe.seed for recipe in recipes])
    if start is not None:
        started = [start(take_lane(built.params, index)) for index in range(len(recipes))]
        built = built._replace(params=stack(started))
    if first.shuffle == CONTINUED:
        built = built._replace(model_state=initial_carry(problem.shapes, len(recipes), batch_size))
    params, model_state = kept((built.params, built.model_state), first.precision)
    model, model_arrays = split_model(built.fixed)
    capacity = min(feed.most_steps, max(8, min(STEP_BUDGET, INDEX_BUDGET // batch_size)))
    program = Program(
        model=model,
        recipe=structure(first),
        loss=problem.loss,
        metric=problem.metric,
        batch_size=batch_size,
        masked=feed.masked,
        capacity=capacity,
        statistics=capacity // FEWEST_STEPS_BETWEEN_FIGURES + 1,
        layout=layout,
        noisy=problem.noisy or first.shuffle == CONTINUED,  # what is carried was not asked
    )
    ready, dtype = data.preparation, numbers_dtype(first.precision)
    # Made by NumPy and sent: each array that JAX makes itself is a small program, compiled in every process.
    inputs = Inputs(
        numbers=numbers(recipes),
        model_arrays=model_arrays,
        shift=_array(ready.input_shift, dtype),
        scale=_array(ready.input_scale, dtype),
        target_scale=_unit(problem, dtype),
        total=_array(total, dtype),
        epoch_steps=_array(feed.epoch_steps, dtype),
        every=_array(_every(total), np.int32),
        stream=_array([feed.seeds.index(recipe.seed) for recipe in recipes], np.int32),
        lanes=_array(lanes, np.int32),
    )
    inputs = jax.device_put(inputs)
    states = _first_states(program, inputs, params, model_state, _words([recipe.seed for recipe in recipes]))
    splits = resident(data) if splits is None else splits
    return LaneGroup(program, inputs, splits, feed, tuple(recipes[:lanes]), total), states


def length(problem: Problem, recipe: Recipe) -> int:
    """Return how many updates a recipe plans on a problem's training part."""
    return recipe.length(feed_of(problem, [recipe]).epoch_steps)


def feed_of(problem: Problem, recipes: Sequence[Recipe]) -> AnyFeed:
    """Return the order in which recipes of equal structure read the training part."""
    return feed_for(problem.data.train, recipes)


def lane_bytes(problem: Problem, recipe: Recipe, parameters_only: bool = False) -> int:
    """Return the bytes that a lane keeps in memory: nothing is computed for it.

    A lane has its state twice while its chunk runs (before and after) and the best weights so far.
    """
    built = problem.shapes
    if parameters_only:
        return _bytes(built.params)

    def rules(params: PyTree) -> PyTree:
        return rule_of(recipe, roles(params)).init(params), recipe.averaging.init(params)

    kept = _bytes((built.params, built.model_state))
    return 2 * (kept + _bytes(eqx.filter_eval_shape(rules, built.params))) + kept


def _bytes(tree: PyTree) -> int:
    leaves = [leaf for leaf in jax.tree.leaves(tree) if hasattr(leaf, "dtype")]
    return sum(int(np.prod(leaf.shape)) * leaf.dtype.itemsize for leaf in leaves)


def initial(problem: Problem, seeds: list[int]) -> PartitionedModel:
    """Make the module of every lane, stacked; a ready module gives every lane the same start."""
    model, shape = problem.model, problem.shapes
    if is_factory(model):
        made = _made(model, _words(seeds))
    else:
        one = _arrays(build(model, keys.lane_key(0)))
        made = stack([one] * len(seeds))
    # Arrays without gradients are the same in every lane: they are the module's tables, not its start.
    arrays = PartitionedModel(made.params, made.model_state, jax.tree.map(lambda leaf: leaf[0], made.fixed))
    fixed = eqx.combine(arrays.fixed, eqx.filter(shape.fixed, _is_abstract, inverse=True))
    return PartitionedModel(_like(shape.params, arrays.params), arrays.model_state, fixed)


def weights(group: LaneGroup, states: State) -> PyTree:
    """Return the parameters to evaluate and save, per lane (averages, for rules that keep them)."""
    recipe = group.recipes[0]
    own = type(recipe.optimizer).evaluated is Optimizer.evaluated and isinstance(recipe.averaging, NoAverage)
    if own:
        return states.params
    return _evaluated(group.program, group.inputs, states)


@partial(jax.jit, static_argnums=0)
def _made(model: Any, lane_keys: Array) -> PartitionedModel:
    TRACES.count("start")

    # Mapped, not batched, so that a lane's start is the same bits alone and among others.
    def of_lane(words: Array) -> PartitionedModel:
        return _arrays(build(model, keys.purpose_key(keys.wrapped(words), keys.INITIALISATION)))

    return jax.lax.map(of_lane, lane_keys)


@partial(jax.jit, static_argnames="program")
def _first_states(program: Program, inputs: Inputs, params: PyTree, model_state: PyTree, key: Array) -> State:
    TRACES.count("start")

    def of_lane(given: tuple[PyTree, PyTree, PyTree, Array]) -> State:
        lane_numbers, lane_params, lane_model_state, lane_key = given
        recipe = jax.tree.unflatten(program.recipe, lane_numbers)
        return State(
            params=lane_params,
            model_state=lane_model_state,
            optimizer=rule_of(recipe, roles(lane_params)).init(lane_params),
            schedule=recipe.schedule.init(),
            average=recipe.averaging.init(lane_params),
            scale=loss_scale(recipe),
            key=lane_key,
            step=jnp.int32(0),
            code=jnp.int32(RUNNING),
            limit=jnp.float32(jnp.inf),
        )

    return jax.lax.map(of_lane, (inputs.numbers, params, model_state, key))


@partial(jax.jit, static_argnames="program")
def _evaluated(program: Program, inputs: Inputs, states: State) -> PyTree:
    def of_lane(given: tuple[PyTree, State]) -> PyTree:
        recipe = jax.tree.unflatten(program.recipe, given[0])
        state = given[1]
        return recipe.averaging.evaluated(
            state.average, recipe.optimizer.evaluated(state.optimizer, state.params)
        )

    return jax.lax.map(of_lane, (inputs.numbers, states))


def _arrays(built: PartitionedModel) -> PartitionedModel:
    return PartitionedModel(
        built.params, eqx.filter(built.model_state, eqx.is_array), eqx.filter(built.fixed, eqx.is_array)
    )


def _like(shape: PyTree, arrays: PyTree) -> PyTree:
    return jax.tree.unflatten(jax.tree.structure(shape), jax.tree.leaves(arrays))


def _is_abstract(leaf: Any) -> bool:
    return isinstance(leaf, jax.ShapeDtypeStruct)


def _words(seeds: list[int]) -> np.ndarray:
    return np.stack([keys.lane_words(seed) for seed in seeds])


def _array(value: Any, dtype: Any) -> Any:
    return None if value is None else np.asarray(value, dtype)


def _unit(problem: Problem, dtype: Any) -> Any:
    return _array(problem.data.preparation.target_scale if problem.data.task == "regression" else None, dtype)


def _every(total: int) -> int:
    return int(np.clip(total // ROWS_OF_FIGURES, FEWEST_STEPS_BETWEEN_FIGURES, MOST_STEPS_BETWEEN_FIGURES))


def observe(group: LaneGroup, states: State, losses: np.ndarray) -> State:
    """Show every lane's validation loss to its schedule; only schedules that watch a metric change."""
    if type(group.recipes[0].schedule).observe is Schedule.observe:
        return states
    seen = jnp.asarray(losses, group.inputs.total.dtype)
    return _observed(group.program, group.inputs, states, seen)


@partial(jax.jit, static_argnames="program")
def _observed(program: Program, inputs: Inputs, states: State, losses: Array) -> State:
    def of_lane(given: tuple[PyTree, PyTree, Array]) -> PyTree:
        recipe = jax.tree.unflatten(program.recipe, given[0])
        return recipe.schedule.observe(given[1], given[2])

    after = jax.lax.map(of_lane, (inputs.numbers, states.schedule, losses))
    return eqx.tree_at(lambda states: states.schedule, states, after, is_leaf=lambda leaf: leaf is None)
