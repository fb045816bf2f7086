"""The tape of a run: one example through the trained weights, or the update at which a run failed."""

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from thalweg.core import keys
from thalweg.core.caller import argument
from thalweg.core.compiler import filter_jit
from thalweg.core.errors import BadInput
from thalweg.core.tree import lane as take_lane
from thalweg.core.tree import paths, row
from thalweg.engine.backward import LOSS_SCOPE, Lane
from thalweg.engine.step import step, step_batch, step_loss
from thalweg.insight.tape.nonfinite import BACKWARD, UPDATE, Birth, NonFinite, births_of
from thalweg.insight.tape.recording import is_inexact, numbers
from thalweg.insight.tape.tape import Tape, taped
from thalweg.problem.data.split import Split, first_leaf
from thalweg.problem.data.stream import Streamed
from thalweg.problem.models.adapter import PartitionedModel, apply, build_as_trained, shapes_as_trained
from thalweg.problem.objective import Objective, as_batch, mean
from thalweg.problem.problem import Problem
from thalweg.run.folder import weights as files
from thalweg.run.replay import Replay, Saved, replay


def tape_of_run(saved: Saved, example: int = 0, weights: str | None = None) -> Tape:
    """Return the tape of one training example through a run's weights, as in an evaluation.

    Dropout is off, and batch norm uses its running statistics. An objective that gives one number for a whole
    batch is given as many examples as the recipe's batch has, from this one on.

    Args:
        saved: The run.
        example: Number of the example in the training split, from 0.
        weights: `best` or `final`; None for those that the run selected.

    Raises:
        BadInput: There is no such example.
    """
    record, problem = saved.record, saved.problem
    which = weights or record.result.get("weights") or "final"
    if which not in ("best", "final"):
        raise BadInput(argument("weights"), "must be best or final", got=which, hint="try best")
    assert record.folder is not None
    built = shapes_as_trained(problem.model, saved.recipe.seed)
    arrays = files.load(record.folder / f"{which}.safetensors", False)
    params = files.load_into(built.params, arrays)
    model_state = files.load_into(built.model_state, arrays, prefix=files.STATE)
    about = {"run": str(record.folder), "weights": which}
    batch = saved.recipe.batch(problem.data.train.count())
    return tape_of_model(problem, PartitionedModel(params, model_state, built.fixed), example, batch, about)


def tape_of_model(
    problem: Problem, model: PartitionedModel, example: int, batch: int, about: dict[str, Any]
) -> Tape:
    """Return the tape of one training example through a model; see `tape_of_run`."""
    rows = batch if problem.whole_batches else 1
    inputs, targets = _examples(problem.data.train, example, rows, batch)
    inputs, rows = problem.data.preparation.scale(inputs), first_leaf(inputs).shape[0]
    shown = f"example {example}" if rows == 1 else f"examples {example} to {example + rows - 1}"
    name = f"{problem.model_name} on {problem.data.name}, {shown}"
    facts = about | {"example": example, "rows": rows, "split": "train"}
    return _taped(loss_of(problem, model), model.params, inputs, targets, name, facts)


def _examples(split: Split, first: int, rows: int, batch: int) -> tuple[PyTree, PyTree]:
    """Return some training examples from one on, fewer at the end of the split.

    Of a stream they are numbered as it gives them, from its beginning; it is read again from the batch that
    has the first of them.

    Raises:
        BadInput: There is no such example.
        DataError: The stream can be read only once, or its code failed.
    """
    if not isinstance(split, Streamed):
        if not 0 <= first < split.count():
            raise _no_example(first, f"the training split has examples 0 to {split.count() - 1}")
        return split.batch(jnp.arange(first, min(first + rows, split.count()), dtype=jnp.int32))
    if first < 0:
        raise _no_example(first, "the first example of a stream is 0")
    stream = split.in_batches(batch)
    number, offset = divmod(first, stream.batch_size)
    checked = stream.checker()
    read = list(islice(stream.make(number), -(-(offset + rows) // stream.batch_size)))
    if not read:
        raise _no_example(first, f"the stream ended before batch {number}")
    batches = [checked(each, number + at) for at, each in enumerate(read)]
    leaves = [jnp.concatenate(parts)[offset : offset + rows] for parts in zip(*batches, strict=True)]
    return jax.tree.unflatten(jax.tree.structure((stream.first.inputs, stream.first.targets)), leaves)


def _no_example(got: int, hint: str) -> BadInput:
    return BadInput(argument("example"), "must be an example of the training split", got=got, hint=hint)


def loss_of(problem: Problem, model: PartitionedModel) -> Callable[[PyTree, PyTree, PyTree], Any]:
    """Return a batch's mean loss as in an evaluation, `(params, inputs, targets) -> loss`."""

    def loss(params: PyTree, inputs: PyTree, targets: PyTree) -> Any:
        module = model._replace(params=params)
        if isinstance(problem.loss, Objective):
            whole = as_batch(inputs, targets)
            return mean(problem.loss.measure(module, whole, keys.lane_key(0), training=False).losses)
        outputs, _ = apply(module, inputs, key=None, training=False)
        with jax.named_scope(LOSS_SCOPE):
            return mean(problem.loss(outputs, targets))

    return loss


def tape_of_script(problem: Problem, recipe: Any, example: int = 0) -> Tape:
    """Return the tape of one training example through a problem's first weights."""
    built = build_as_trained(problem.model, recipe.seed)
    batch = recipe.batch(problem.data.train.count())
    return tape_of_model(problem, built, example, batch, {"weights": "initial"})


def tape_of_birth(saved: Saved) -> Tape:
    """Replay a diverged run, and return the tape of the update at which NaN or an infinity was born.

    Raises:
        RunFolderError: The run did not diverge, or does not when it is replayed.
    """
    replayed = replay(saved)
    lane, state, order = _lane_of(replayed)
    rows = filter_jit(lambda: step_batch(lane, state, order))()

    def loss(params: PyTree, inputs: PyTree, targets: PyTree) -> Any:
        return step_loss(lane, state, rows._replace(inputs=inputs, targets=targets), params)

    about = {
        "run": str(saved.record.folder),
        "step": replayed.step,
        "replayed_from": replayed.start,
        "reason": replayed.reason,
        "loss": replayed.loss,
        "limit": replayed.limit,
    }
    if not saved.alone:  # its sweep rounded differently
        about["stopped_at"] = int(saved.record.result["steps"])
    name = f"{saved.problem.model_name} on {saved.problem.data.name}, update {replayed.step}"
    found = _taped(loss, state.params, rows.inputs, rows.targets, name, about)
    if found.nonfinite.birth is None and replayed.reason == "weights":
        return _of_update(found, lane, state, order)
    indices = np.asarray(order[0])
    if isinstance(saved.problem.data.train, Streamed):  # of a dispatch's own rows
        indices = indices + replayed.step * len(indices)
    return _with_example(found, loss, state.params, (rows.inputs, rows.targets), indices)


def _taped(
    loss: Any, params: PyTree, inputs: PyTree, targets: PyTree, name: str, about: dict[str, Any]
) -> Tape:
    """Record a loss of parameters; inputs and targets are constants that have names."""
    names = [*paths(params), *_names("inputs", inputs), *_names("targets", targets)]
    closed, arrays = _closed(loss, params, inputs, targets)
    count = len(jax.tree.leaves(params))
    live = [at < count and is_inexact(array) for at, array in enumerate(arrays)]
    return taped(closed, arrays, names, name, about, live)


def _closed(loss: Any, *trees: PyTree) -> tuple[Any, list[Any]]:
    return jax.make_jaxpr(loss)(*trees), [jnp.asarray(leaf) for leaf in jax.tree.leaves(trees)]


def _names(name: str, tree: PyTree) -> list[str]:
    return [f"{name}.{path}" if path else name for path in paths(tree)]


def _lane_of(replayed: Replay) -> tuple[Lane, Any, tuple[Any, Any]]:
    """Return the lane, its state, and the rows of the failing update."""
    group = replayed.group
    split, batches = group.feed.dispatch(group.splits, replayed.step, 1, group.program.capacity)
    recipe = jax.tree.unflatten(group.program.recipe, take_lane(group.inputs.numbers, 0))
    lane = Lane(group.program, group.inputs, recipe, split)
    rows = row(batches.indices, group.inputs.stream[0])[0]
    return lane, take_lane(replayed.states, 0), (rows, batches.sizes[0])


def _of_update(found: Tape, lane: Lane, state: Any, order: tuple[Any, Any]) -> Tape:
    """Find the birth in what follows the gradient: clipping, and the optimizer's update."""
    params, fixed = eqx.partition(state, eqx.is_array)

    def after(arrays: PyTree) -> PyTree:
        return step(lane, eqx.combine(arrays, fixed), order)[0].params

    closed, arrays = _closed(after, params)
    with jax.disable_jit():
        birth = births_of(closed, arrays)
    if birth is None:
        return found
    reached = tuple(paths(state.params))
    birth = Birth(**{**vars(birth), "phase": UPDATE})
    return Tape(**{**vars(found), "nonfinite": NonFinite(birth, reached)})


def _with_example(
    found: Tape, loss: Any, params: PyTree, batch: tuple[PyTree, PyTree], indices: np.ndarray
) -> Tape:
    """Add the row of the batch, and its example, that made the first NaN or infinity.

    An axis as long as the batch may count its rows. Then the row at fault, given another row's example, must
    change the op's numbers there and nowhere else. Where batch statistics mix the rows, no axis passes.
    """
    birth = found.nonfinite.birth
    array = None if birth is None or birth.op is None else _at_birth(birth)
    if birth is None or birth.op is None or birth.index is None or array is None:
        return found
    for axis, length in enumerate(array.shape):
        finite = np.isfinite(array).all(axis=tuple(at for at in range(array.ndim) if at != axis))
        if length != len(indices) or not finite.any():
            continue
        at, other = birth.index[axis], int(np.flatnonzero(finite)[0])
        inputs, targets = _copied(batch, other, at)
        again = _taped(loss, params, inputs, targets, found.name, {})
        op = again.ops[birth.op.number] if birth.op.number < len(again.ops) else None
        compared = None if op is None else _at_birth(Birth(**{**vars(birth), "op": op}))
        if op is not None and op.name == birth.op.name and _only_at(array, compared, axis, at):
            return Tape(**{**vars(found), "about": found.about | {"row": at, "example": int(indices[at])}})
    return found


def _copied(batch: PyTree, start: int, to: int) -> Any:
    """Return a batch with one row in place of another."""
    return jax.tree.map(lambda leaf: leaf.at[to].set(leaf[start]), batch)


def _at_birth(birth: Birth) -> np.ndarray | None:
    """Return the array in which the birth was seen: an op's output, or the gradient of its operand."""
    assert birth.op is not None
    if birth.phase == BACKWARD:
        gradient = birth.op.downstream[birth.position] if birth.op.downstream else None
        return None if gradient is None else numbers(gradient)
    bad = [value for value in birth.op.outputs if is_inexact(value.array)]
    return numbers(bad[0].array) if bad else None


def _only_at(array: np.ndarray, other: np.ndarray | None, axis: int, at: int) -> bool:
    """Return whether two arrays differ at one position of an axis, and nowhere else."""
    if other is None or array.shape != other.shape:
        return False
    differs = ~((array == other) | (np.isnan(array) & np.isnan(other)))
    elsewhere = [position for position in range(array.shape[axis]) if position != at]
    return bool(differs.any()) and not np.take(differs, elsewhere, axis=axis).any()


def saved_path(run: Any) -> Path | None:
    """Return the folder of a run, given itself or as a path; None for something else."""
    if isinstance(run, (str, Path)):
        return Path(run)
    folder = getattr(run, "folder", None)
    return folder if isinstance(folder, Path) else None
