"""A group: lanes of equal structure, which share one compiled program.

This module turns a problem and recipes into what the training loop needs: the static program, its inputs and
the first states.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, PyTree

from thalweg.core import keys
from thalweg.core.compiler import brief_compilation, jit
from thalweg.core.errors import ModelError
from thalweg.core.tree import dotted, stack
from thalweg.core.tree import lane as take_lane
from thalweg.engine import update
from thalweg.engine.backward import loss_scale
from thalweg.engine.compilation import TRACES
from thalweg.engine.feeds import BaseFeed, Feed, feed_for, resident
from thalweg.engine.feeds.gathered import DEVICE, HOST, gathered
from thalweg.engine.mesh import on_each
from thalweg.engine.program import MAP, Frozen, Inputs, Program, numbers, split_model, structure
from thalweg.engine.state import RUNNING, State
from thalweg.problem.data.data import REGRESSION, Data
from thalweg.problem.data.fold_rows import FoldRows
from thalweg.problem.data.folds import FoldedData
from thalweg.problem.data.split import Split
from thalweg.problem.data.validation_folds import MemberRows
from thalweg.problem.models.adapter import PartitionedModel, build, initial_carry, is_factory
from thalweg.problem.problem import Problem
from thalweg.recipe.averaging import NoAverage
from thalweg.recipe.optimizers import Optimizer
from thalweg.recipe.precision import numbers_dtype, to_storage_dtype
from thalweg.recipe.recipe import CONTINUED, Recipe
from thalweg.recipe.schedules import Schedule

# A dispatch holds at most this many indices (4 bytes each: 1 MB), and this many steps.
INDEX_BUDGET, STEP_BUDGET = 2**18, 2048
# A run records about this many rows of layer statistics; fewest and most steps between two of them.
# They cost 16-45 % of a step on small networks; at every 25th step that is at most 2 %.
TELEMETRY_ROWS, TELEMETRY_STEPS = 100, (25, 1000)


@dataclass(frozen=True)
class LaneGroup:
    """Lanes that share a program.

    Args:
        program: What selects the compilation.
        inputs: What every dispatch is called with.
        splits: The data's splits, on the device; the training split may be on the host.
        feed: The order of the data.
        recipes: One for each lane.
        total: Updates planned, the same for all lanes.
    """

    program: Program
    inputs: Inputs
    splits: dict[str, Split]
    feed: Feed
    recipes: tuple[Recipe, ...]
    total: int

    @property
    def width(self) -> int:
        """Lanes that the program has room for; those beyond `recipes` never run."""
        return int(self.inputs.stream.shape[0])


def init_group(
    problem: Problem,
    recipes: list[Recipe],
    start: Callable[[PyTree], PyTree] | None = None,
    *,
    splits: dict[str, Split] | None = None,
    width: int | None = None,
    layout: str = MAP,
    folds: Sequence[int] = (),
    mesh: Mesh | None = None,
    data_on: str = DEVICE,
) -> tuple[LaneGroup, State]:
    """Return the group and the first states of its lanes.

    Args:
        problem: What is learned.
        recipes: One for each lane; equal in structure and in length.
        start: Changes a lane's first parameters (passed and returned without a lane axis), for fine-tuning.
        splits: The data on the device, from `resident`; None puts it there.
        width: Lanes to make room for. Groups of equal width share one compilation; the lanes beyond the
            recipes never run.
        layout: How lanes are computed; `map` gives each the bits of the lane alone.
        folds: The fold of the data that each lane reads, all of one size; empty where the data have none.
        mesh: The devices that share the rows of a batch; None for one device.
        data_on: Where the training rows are, `device` or `host`.
    """
    lanes = len(recipes)
    recipes = [*recipes, *[recipes[-1]] * ((width or lanes) - lanes)]
    folds = [*folds, *[folds[-1]] * (len(recipes) - len(folds))] if folds else []
    first, data = recipes[0], problem.data
    feed: Any = feed_of(problem, recipes, folds)
    feed = gathered(feed, data.train, mesh) if data_on == HOST else feed
    total = first.length(feed.epoch_steps)
    with brief_compilation(_trains_briefly(problem)):
        built = initial(problem, [recipe.seed for recipe in recipes])
    if start is not None:
        started = [start(take_lane(built.params, index)) for index in range(len(recipes))]
        built = built._replace(params=stack(started))
    if first.shuffle == CONTINUED:
        built = built._replace(model_state=initial_carry(problem.shapes, len(recipes), feed.batch_size))
    params, model_state = to_storage_dtype((built.params, built.model_state), first.precision)
    program, inputs = _program(problem, recipes, folds, feed, split_model(built.fixed), layout)
    program = replace(program, mesh=mesh)
    inputs = on_each(mesh, jax.device_put(replace(inputs, lanes=_array(lanes, np.int32))))
    words = _words([recipe.seed for recipe in recipes])
    with brief_compilation(_trains_briefly(problem)):
        states = _first_states(program, inputs, *on_each(mesh, (params, model_state, words)))
    splits = resident(data, mesh, data_on) if splits is None else splits
    group = LaneGroup(program, inputs, splits, feed, tuple(recipes[:lanes]), total)
    return group, on_each(mesh, states)


def group_shapes(problem: Problem, recipe: Recipe) -> tuple[LaneGroup, State]:
    """Return what `init_group` returns for one lane, with shapes in place of the states and no data.

    Nothing is computed, compiled or put on a device.
    """
    feed, built = feed_of(problem, [recipe]), problem.shapes
    carried = initial_carry(built, 1, feed.batch_size) if recipe.shuffle == CONTINUED else None
    params, model_state = eqx.filter_eval_shape(
        to_storage_dtype, (_with_lane(built.params), _with_lane(built.model_state)), recipe.precision
    )
    arrays, rest = eqx.partition(built.fixed, _is_abstract)
    program, inputs = _program(problem, [recipe], [], feed, (Frozen.of(rest), arrays), MAP)
    state = (params, model_state if carried is None else carried)
    words = _words([recipe.seed])
    states = eqx.filter_eval_shape(_states, program, inputs, *state, words)
    return LaneGroup(program, inputs, {}, feed, (recipe,), recipe.length(feed.epoch_steps)), states


def _with_lane(tree: PyTree) -> PyTree:
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((1, *leaf.shape), leaf.dtype) if _is_abstract(leaf) else leaf, tree
    )


def _program(
    problem: Problem,
    recipes: list[Recipe],
    folds: list[int],
    feed: Feed,
    parts: tuple[Frozen, PyTree],
    layout: str,
) -> tuple[Program, Inputs]:
    """Return the program of a group, and its inputs on the host; `parts` are those of `split_model`."""
    first, (model, model_arrays) = recipes[0], parts
    capacity = min(feed.most_steps, max(8, min(STEP_BUDGET, INDEX_BUDGET // feed.batch_size)))
    program = Program(
        model=model,
        recipe=structure(first),
        loss=problem.loss,
        metric=problem.metric,
        more=() if problem.objective is not None else problem.more_metrics,
        batch_size=feed.batch_size,
        masked=feed.masked,
        capacity=capacity,
        statistics=capacity // TELEMETRY_STEPS[0] + 1,
        layout=layout,
        select=problem.select,
        noisy=problem.noisy or first.shuffle == CONTINUED,  # `problem.noisy` was determined without a carry
        brief=_trains_briefly(problem),
    )
    dtype, total = numbers_dtype(first.precision), first.length(feed.epoch_steps)
    shift, scale, unit = _of_preparations(problem, dtype)
    # NumPy arrays, transferred at once: an array that JAX creates is a program, compiled in every process.
    inputs = Inputs(
        numbers=numbers(recipes),
        model_arrays=model_arrays,
        shift=shift,
        scale=scale,
        target_scale=unit,
        total=_array(total, dtype),
        epoch_steps=_array(feed.epoch_steps, dtype),
        every=_array(_every(total), np.int32),
        stream=_array(_streams(feed, problem.data, recipes, folds), np.int32),
        lanes=_array(len(recipes), np.int32),
        fold=_array(folds or None, np.int32),
    )
    return program, inputs


def _trains_briefly(problem: Problem) -> bool:
    """Return whether training takes about as long as compiling: small tables, which have validation folds."""
    return isinstance(problem.data.train, MemberRows)


def length(problem: Problem, recipe: Recipe, fold: int | None = None) -> int:
    """Return how many updates a recipe makes on a problem's training split, or on that of a fold."""
    return recipe.length(feed_of(problem, [recipe], () if fold is None else [fold]).epoch_steps)


def feed_of(problem: Problem, recipes: Sequence[Recipe], folds: Sequence[int] = ()) -> BaseFeed:
    """Return the feed with which recipes of equal structure read the training split, or their folds."""
    return feed_for(problem.data.train, recipes, folds, whole=problem.whole_batches)


def _streams(feed: Feed, data: Data, recipes: Sequence[Recipe], folds: Sequence[int]) -> list[int]:
    """Return the number of the stream of batches that each lane reads."""
    starts = np.asarray(data.train.starts)[list(folds)] if isinstance(data.train, FoldRows) else None
    firsts = [0] * len(recipes) if starts is None or not folds else starts.tolist()
    keys_ = zip(recipes, firsts, strict=True)
    return [feed.streams.index((recipe.seed, first)) for recipe, first in keys_]


def lane_bytes(problem: Problem, recipe: Recipe, parameters_only: bool = False) -> int:
    """Return the bytes that a lane occupies in memory, from shapes alone.

    A lane has its state twice while its chunk runs (before and after), and its best weights so far.
    """
    built = problem.shapes
    if parameters_only:
        return _bytes(built.params)

    def optimizer_state(params: PyTree) -> PyTree:
        first = update.initial(problem.loss, recipe, params, jnp.asarray(keys.lane_words(recipe.seed)))
        return first, recipe.averaging.init(params)

    weights = _bytes((built.params, built.model_state))
    return 2 * (weights + _bytes(eqx.filter_eval_shape(optimizer_state, built.params))) + weights


def _bytes(tree: PyTree) -> int:
    leaves = [leaf for leaf in jax.tree.leaves(tree) if hasattr(leaf, "dtype")]
    return sum(int(np.prod(leaf.shape)) * leaf.dtype.itemsize for leaf in leaves)


def initial(problem: Problem, seeds: list[int]) -> PartitionedModel:
    """Build the module of every lane, stacked; an instance gives every lane the same start."""
    model, shapes = problem.model, problem.shapes
    if is_factory(model):
        arrays = _build_lanes(model, _words(seeds))  # type: ignore[arg-type]
        _check_tables(arrays.fixed)
    else:
        arrays = stack([_arrays(build(model, keys.lane_key(0)))] * len(seeds))
    # Arrays without gradients, such as lookup tables, are the same in every lane.
    tables = jax.tree.map(lambda leaf: leaf[0], arrays.fixed)
    fixed = eqx.combine(tables, eqx.filter(shapes.fixed, _is_abstract, inverse=True))
    params = jax.tree.unflatten(jax.tree.structure(shapes.params), jax.tree.leaves(arrays.params))
    return PartitionedModel(params, arrays.model_state, fixed)


def _check_tables(fixed: PyTree) -> None:
    """Refuse arrays without gradients that differ between lanes, `lane ...`: lanes share them.

    Raises:
        ModelError: Some do.
    """
    for path, leaf in jax.tree_util.tree_leaves_with_path(fixed):
        values = np.asarray(keys.plain(leaf))
        if (values != values[:1]).any():
            raise ModelError(
                "model",
                "arrays that are not trained (of integers, flags or keys) must be the same for every seed",
                where=dotted(path),
                hint="draw them from a fixed key, such as jax.random.key(0), or train one seed at a time",
            )


def weights(group: LaneGroup, states: State) -> PyTree:
    """Return the parameters to evaluate and save, per lane (averages, where the recipe keeps them)."""
    optimizer, averaging = group.recipes[0].optimizer, group.recipes[0].averaging
    if type(optimizer).evaluated is Optimizer.evaluated and isinstance(averaging, NoAverage):
        return states.params
    return _evaluated(group.program, group.inputs, states)


@partial(jit, static_argnums=0)
def _build_lanes(model: Any, lane_keys: Array) -> PartitionedModel:
    TRACES.count("start")

    # Mapped, not batched, so that a lane starts with the same bits alone and among others.
    def of_lane(words: Array) -> PartitionedModel:
        return _arrays(build(model, keys.purpose_key(keys.wrapped(words), keys.INITIALISATION)))

    return jax.lax.map(of_lane, lane_keys)


@partial(jit, static_argnames="program")
def _first_states(program: Program, inputs: Inputs, params: PyTree, model_state: PyTree, key: Array) -> State:
    TRACES.count("start")
    return _states(program, inputs, params, model_state, key)


def _states(program: Program, inputs: Inputs, params: PyTree, model_state: PyTree, key: Array) -> State:
    def of_lane(recipe: Recipe, params: PyTree, model_state: PyTree, key: Array) -> State:
        return State(
            params=params,
            model_state=model_state,
            optimizer=update.initial(program.loss, recipe, params, key),
            schedule=recipe.schedule.init(),
            average=recipe.averaging.init(params),
            scale=loss_scale(recipe),
            key=key,
            step=jnp.int32(0),
            code=jnp.int32(RUNNING),
            limit=jnp.float32(jnp.inf),
        )

    return _map_lanes(program, inputs, of_lane, params, model_state, key)


@partial(jit, static_argnames="program")
def _evaluated(program: Program, inputs: Inputs, states: State) -> PyTree:
    def of_lane(recipe: Recipe, state: State) -> PyTree:
        params = recipe.optimizer.evaluated(state.optimizer, state.params)
        return recipe.averaging.evaluated(state.average, params)

    return _map_lanes(program, inputs, of_lane, states)


def _map_lanes(program: Program, inputs: Inputs, function: Callable[..., PyTree], *trees: PyTree) -> PyTree:
    """Map a function of a lane's recipe and its share of each tree over all lanes, one after another."""

    def of_lane(lane: tuple[PyTree, ...]) -> PyTree:
        return function(jax.tree.unflatten(program.recipe, lane[0]), *lane[1:])

    return jax.lax.map(of_lane, (inputs.numbers, *trees))


def _arrays(built: PartitionedModel) -> PartitionedModel:
    return PartitionedModel(
        built.params, eqx.filter(built.model_state, eqx.is_array), eqx.filter(built.fixed, eqx.is_array)
    )


def _is_abstract(leaf: Any) -> bool:
    return isinstance(leaf, jax.ShapeDtypeStruct)


def _words(seeds: list[int]) -> np.ndarray:
    return np.stack([keys.lane_words(seed) for seed in seeds])


def _array(value: Any, dtype: Any) -> Any:
    return None if value is None else np.asarray(value, dtype)


def _of_preparations(problem: Problem, dtype: Any) -> tuple[Any, Any, Any]:
    """Return shift and scale of the inputs and the unit of the target, those of all folds stacked."""

    def numbers_of(data: Data) -> tuple[Any, Any, Any]:
        preparation = data.preparation
        shift, scale = (_array(v, dtype) for v in (preparation.input_shift, preparation.input_scale))
        return shift, scale, _unit(data, dtype)

    if not isinstance(problem.data, FoldedData):
        return numbers_of(problem.data)
    return jax.tree.map(lambda *leaves: np.stack(leaves), *map(numbers_of, problem.data.folds))


def _unit(data: Data, dtype: Any) -> Any:
    """Return the unit of the target; of several, that of each. None for classes."""
    ready = data.preparation
    if ready.heads:
        values = [head.target_scale if head.task == REGRESSION else None for head in ready.heads]
        return {head.name: _array(each, dtype) for head, each in zip(ready.heads, values, strict=True)}
    return _array(ready.target_scale if data.task == REGRESSION else None, dtype)


def _every(total: int) -> int:
    return int(np.clip(total // TELEMETRY_ROWS, *TELEMETRY_STEPS))


def observe(group: LaneGroup, states: State, losses: np.ndarray) -> State:
    """Pass every lane's validation loss to its schedule; only schedules that watch a metric use it."""
    if type(group.recipes[0].schedule).observe is Schedule.observe:
        return states
    return _observe(group.program, group.inputs, states, np.asarray(losses, group.inputs.total.dtype))


@partial(jit, static_argnames="program")
def _observe(program: Program, inputs: Inputs, states: State, losses: Array | np.ndarray) -> State:
    def of_lane(recipe: Recipe, schedule: PyTree, loss: Array) -> PyTree:
        return recipe.schedule.observe(schedule, loss)

    after = _map_lanes(program, inputs, of_lane, states.schedule, losses)
    return eqx.tree_at(lambda states: states.schedule, states, after, is_leaf=lambda leaf: leaf is None)
