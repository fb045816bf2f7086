"""`Anatomy`: rows of a problem as arrays, what kind of target they have, and how a result is scored.

Whatever form a problem has (a loss or an objective, data of ours or arrays of the user), the checks see
inputs, targets and outputs as matrices, and one metric in which more is better: accuracy of classes, R^2 of
values; without targets the loss itself, negated.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from thalweg.core import keys
from thalweg.core.compiler import filter_jit_once
from thalweg.core.errors import DataError
from thalweg.insight.doctor.network import Passed, look, loss_given
from thalweg.insight.references import score
from thalweg.problem.data.data import LANGUAGE
from thalweg.problem.data.stream import Streamed
from thalweg.problem.models.adapter import PartitionedModel, build_as_trained
from thalweg.problem.problem import Problem
from thalweg.recipe.recipe import Recipe

# Rows that are looked at, evenly spaced over a split.
ROWS = 2000
# Training rows below which more validation rows than these are looked at, and how many.
FEW_ROWS, MANY_HELD = 60, 200
# Distinct whole numbers up to which a target of one column is taken as classes.
MOST_CLASSES = 64
CLASSES, BINARY, LABELS, VALUES, SELF, TEXT, NONE = (
    "classes",
    "binary",
    "labels",
    "values",
    "self",
    "text",
    "none",
)
# Targets for which the lowest point of the loss is searched, and outputs at which, beside those around them.
TRIED_VALUES, LINK_GRID = 7, np.logspace(-1, 1.5, 26)
# Outputs at which a loss is tried to find where it changes its mind between two classes.
GRID = np.concatenate([-np.logspace(1, -2, 13), [0.0], np.logspace(-2, 1, 13), np.linspace(0.05, 0.95, 19)])


@dataclass(frozen=True)
class Rows:
    """Rows of a split.

    Args:
        inputs, targets: As the network takes them, `row ...`.
        x: What enters the module, `row ...`; None where that is not known.
        y: Targets as the loss sees them, `row ...`; None where there are none.
        distinct: How many different rows of the split these are.
    """

    inputs: PyTree
    targets: PyTree
    x: np.ndarray | None = None
    y: np.ndarray | None = None
    distinct: int = 0

    @property
    def count(self) -> int:
        """Number of rows."""
        return jax.tree.leaves((self.inputs, self.targets))[0].shape[0]

    @property
    def different(self) -> np.ndarray:
        """Positions of rows that differ: those of a small split are repeated (see `_rows`)."""
        return np.unique(np.linspace(0, self.count - 1, self.distinct).round().astype(int))

    def some(self, which: Any) -> "Rows":
        """Return some of the rows."""

        def take(leaf: Any) -> Any:
            return leaf[which]

        x, y = (None if each is None else each[which] for each in (self.x, self.y))
        return Rows(jax.tree.map(take, self.inputs), jax.tree.map(take, self.targets), x, y, self.distinct)


@dataclass(frozen=True)
class Anatomy:
    """A problem, opened.

    Args:
        problem, recipe: What was diagnosed.
        built: The module of the recipe's seed, before training.
        train, held: Rows of the training split and of the validation split (None where there is none).
        first: The pass of untrained weights over the training rows, in inference mode.
        kind: `classes`, `binary` (one output for two classes), `labels` (several yes-or-no labels), `values`,
            `self` (the inputs are the target), `text`, or `none`.
        boundary: The output above which the second of two classes is meant.
        leaf: For an objective, the number of the batch's leaf that holds the targets.
    """

    problem: Problem
    recipe: Recipe
    built: PartitionedModel
    train: Rows
    held: Rows | None
    first: Passed
    kind: str
    boundary: float = 0.5
    levels: np.ndarray | None = None
    leaf: int | None = None
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def metric(self) -> str:
        """Name of the metric: `accuracy`, `r2` or `loss`."""
        if self.kind in (CLASSES, BINARY, LABELS):
            return "accuracy"
        return "r2" if self.kind == VALUES else "loss"

    @property
    def classes(self) -> np.ndarray | None:
        """Class numbers of the training rows, or None."""
        return None if self.train.y is None else self.numbered(self.train.y)

    def numbered(self, y: np.ndarray) -> np.ndarray | None:
        """Return targets as class numbers, `row`, where they are classes."""
        if self.kind == CLASSES and y.ndim == 2 and y.shape[1] > 1:
            return y.argmax(axis=1)
        if self.kind in (CLASSES, BINARY) and self.levels is not None:
            return np.searchsorted(self.levels, y.reshape(len(y)))
        return None

    def reference_targets(self, rows: Rows) -> np.ndarray | None:
        """Return targets as references take them; None where references do not apply."""
        if rows.x is None or rows.y is None:
            return None
        if self.kind in (CLASSES, BINARY):
            return self.numbered(rows.y)
        return rows.y.reshape(len(rows.y), -1) if self.kind == VALUES else None

    def scored(self, passed: Passed, rows: Rows) -> float:
        """Return the metric of a pass over rows; the loss is negated."""
        loss = float(passed.loss)
        outputs = None if passed.outputs is None else np.asarray(passed.outputs, np.float64)
        if self.metric == "loss" or outputs is None or rows.y is None:
            return -loss if np.isfinite(loss) else -np.inf
        if not np.isfinite(outputs).all():
            return 0.0 if self.metric == "accuracy" else -1.0
        numbers = self.numbered(rows.y)
        if self.kind == CLASSES and numbers is not None:
            return score(outputs.reshape(len(outputs), -1).argmax(axis=1), numbers, "accuracy")
        if self.kind == BINARY and numbers is not None:
            return score((outputs.reshape(len(outputs)) > self.boundary).astype(int), numbers, "accuracy")
        if self.kind == LABELS:
            return score((outputs > self.boundary).astype(int), rows.y.astype(int), "accuracy")
        return score(outputs, rows.y, "r2")


def opened(problem: Problem, recipe: Recipe) -> Anatomy:
    """Open a problem.

    Raises:
        DataError: Its data are a stream, whose rows cannot be looked at.
    """
    if isinstance(problem.data.train, Streamed):
        rule, hint = "needs data in memory", "give a part of the stream as arrays"
        raise DataError("doctor", rule, got="a stream of batches", hint=hint)
    built = build_as_trained(problem.model, recipe.seed)
    count = min(ROWS, problem.data.train.count())
    other = problem.data.validation
    if other is not None and count < FEW_ROWS:  # a score on as few rows would be mostly chance
        count = max(count, min(MANY_HELD, other.count()))
    train, held = _rows(problem, "train", count), _rows(problem, "validation", count)
    assert train is not None
    first = passed(problem, built, train)
    train, leaf = _described(problem, train, first)
    if held is not None:
        held, _ = _described(problem, held, passed(problem, built, held), leaf)
    kind, levels = _kind(problem, train, first)
    boundary = 0.5
    if kind in (BINARY, LABELS):
        boundary = _boundary(problem, built, train, first)
    anatomy = Anatomy(problem, recipe, built, train, held, first, kind, boundary, levels, leaf)
    return replace(anatomy, kind=NONE) if kind == VALUES and has_link(anatomy) else anatomy


def has_link(anatomy: Anatomy) -> bool:
    """Return whether the loss is lowest not at the target but at an increasing function of it.

    So it is for log-rates of counts, or logits of shares: outputs and targets cannot be compared then.
    """
    y = np.asarray(anatomy.train.y, np.float64).reshape(anatomy.train.count, -1)
    values = np.unique(y[:, 0])
    if y.shape[1] != 1 or len(values) < 3:
        return False
    chosen = values[np.linspace(0, len(values) - 1, min(TRIED_VALUES, len(values))).astype(int)]
    around = y.mean() + (y.std() or 1.0) * np.linspace(-4, 4, 41)
    grid = np.unique(np.concatenate([around, -LINK_GRID, LINK_GRID])).astype(np.float32)
    tried = grid.reshape(-1, *[1] * np.ndim(anatomy.first.outputs))
    tried = np.broadcast_to(tried, (len(grid), 1, *np.shape(anatomy.first.outputs)[1:])).copy()
    inner, ends = [], 0
    for value in chosen:
        row = np.array([int(np.flatnonzero(y[:, 0] == value)[0])])
        losses = tried_losses(anatomy, anatomy.train.some(row), tried)
        if not np.isfinite(losses).all():
            return False
        at = int(losses.argmin())
        ends += at in (0, len(grid) - 1)
        if 0 < at < len(grid) - 1:
            inner.append((value, grid[at]))
    lowest = np.array([at for _, at in inner])
    if len(inner) < 3 or ends > 1 or not (np.diff(lowest) > 0).all():
        return False
    step = 0.3 * (y.std() or 1.0)
    return bool(np.mean([abs(value - at) > step for value, at in inner]) > 0.5)


def passed(problem: Problem, built: PartitionedModel, rows: Rows) -> Passed:
    """Return the pass of a module over rows, in inference mode."""
    return Passed(*_pass(_Static(problem), built, rows.inputs, rows.targets))


class _Static:
    """A problem as a static argument: equal where the computation of its losses is."""

    def __init__(self, problem: Problem):
        self.problem = problem
        self._key = (problem.loss, problem.noisy)

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Static) and self._key == other._key


@filter_jit_once
def _pass(static: _Static, built: PartitionedModel, inputs: PyTree, targets: PyTree) -> Any:
    return tuple(look(static.problem, built, (inputs, targets), keys.lane_key(0), training=False))


@filter_jit_once
def _tried(static: _Static, built: PartitionedModel, inputs: PyTree, targets: PyTree, outputs: Any) -> Any:
    def of(one: Any) -> Any:
        return loss_given(static.problem, built, (inputs, targets), one, keys.lane_key(0))

    return jax.lax.map(of, outputs)


def tried_losses(anatomy: Anatomy, rows: Rows, outputs: np.ndarray) -> np.ndarray:
    """Return the mean loss for each of several given outputs, `try row ...`."""
    static = _Static(anatomy.problem)
    return np.asarray(_tried(static, anatomy.built, rows.inputs, rows.targets, outputs), np.float64)


@filter_jit_once
def _slope(static: _Static, built: PartitionedModel, inputs: PyTree, targets: PyTree, outputs: Any) -> Any:
    def of(one: Any) -> Any:
        return loss_given(static.problem, built, (inputs, targets), one, keys.lane_key(0))

    return jnp.abs(jax.grad(of)(outputs)).max()


def loss_slope(anatomy: Anatomy) -> float:
    """Return the largest derivative of the loss in the outputs of the untrained weights."""
    rows, outputs = anatomy.train, jnp.asarray(anatomy.first.outputs)
    return float(_slope(_Static(anatomy.problem), anatomy.built, rows.inputs, rows.targets, outputs))


def held_of(anatomy: Anatomy, problem: Problem) -> Rows | None:
    """Return the validation rows of a problem whose data were changed; else the anatomy's own."""
    if problem.data.validation is anatomy.problem.data.validation:
        return anatomy.held
    changed = replace(anatomy.problem, data=problem.data, **given(anatomy.problem))
    rows = _rows(changed, "validation", anatomy.train.count)
    if rows is None:
        return None
    return _described(changed, rows, passed(anatomy.problem, anatomy.built, rows), anatomy.leaf)[0]


def further_rows(anatomy: Anatomy) -> Rows | None:
    """Return the validation rows, as many as may be looked at; None where there are none."""
    split = anatomy.problem.data.validation
    if split is None:
        return None
    rows = _rows(anatomy.problem, "validation", min(ROWS, split.count()))
    assert rows is not None
    return _described(anatomy.problem, rows, passed(anatomy.problem, anatomy.built, rows), anatomy.leaf)[0]


def given(problem: Problem) -> dict[str, Any]:
    """Return what `replace` must pass for a problem with an objective, which takes no outputs."""
    return {"outputs": None} if problem.objective is not None else {}


def _rows(problem: Problem, name: str, count: int) -> Rows | None:
    """Return so many rows of a split, evenly spaced; a smaller split repeats its own (one program)."""
    split = problem.data.splits.get(name)
    if split is None:
        return None
    which = np.linspace(0, split.count() - 1, count).round().astype(np.int32)
    inputs, targets = split.batch(jnp.asarray(which))
    distinct = min(count, split.count())
    return Rows(problem.data.preparation.scale(inputs), targets, distinct=distinct)


def _described(
    problem: Problem, rows: Rows, passed: Passed, leaf: int | None = None
) -> tuple[Rows, int | None]:
    """Return rows with inputs and targets as arrays, and which leaf of the batch the targets are."""
    entering = passed.entering
    x = None
    if entering is not None and len(jax.tree.leaves(entering)) == 1:
        x = np.asarray(jax.tree.leaves(entering)[0])
    leaves = jax.tree.leaves(rows.targets)
    if problem.objective is None or leaves:
        y = np.asarray(leaves[0]) if leaves else None
        return replace(rows, x=x, y=y), None
    arrays = [np.asarray(each) for each in jax.tree.leaves(rows.inputs)]
    others = [at for at, each in enumerate(arrays) if x is None or not np.array_equal(each, x)]
    if len(others) == len(arrays):  # what enters was made of one of them
        others = [at for at, each in enumerate(arrays) if x is None or not _same(each, x)]
    leaf = leaf if leaf is not None else (others[0] if x is not None and len(others) == 1 else None)
    y = arrays[leaf] if leaf is not None else None
    return replace(rows, x=x, y=y), leaf


def _same(array: np.ndarray, x: np.ndarray) -> bool:
    """Return whether what enters the module was made of an array: same values up to shift and scale."""
    if array.size != x.size or array.dtype.kind not in "iufb":
        return False
    first, second = (np.asarray(each, np.float64).ravel() for each in (array, x))
    if first.std() == 0 or second.std() == 0:
        return False
    return bool(abs(np.corrcoef(first, second)[0, 1]) > 0.999)


def _kind(problem: Problem, rows: Rows, first: Passed) -> tuple[str, np.ndarray | None]:
    if problem.data.task == LANGUAGE:
        return TEXT, None
    y, outputs = rows.y, first.outputs
    if y is None:
        if rows.x is not None and outputs is not None and np.size(outputs) == rows.x.size:
            return SELF, None
        return NONE, None
    if outputs is None or y.dtype.kind not in "iufb" or not np.isfinite(np.asarray(y, np.float64)).all():
        return NONE, None
    width = int(np.prod(outputs.shape[1:]))
    flat = y.reshape(len(y), -1)
    values = np.unique(flat[:ROWS])
    whole = bool(np.all(values == np.round(values)))
    if flat.shape[1] == 1 and problem.data.task != "regression":
        if width > 1 and whole and len(values) <= MOST_CLASSES:
            return CLASSES, values
        if width == 1 and len(values) == 2 and _is_coded(values, y):
            return BINARY, values
        return (VALUES if width == 1 else NONE), None
    if flat.shape[1] > 1 and flat.shape[1] == width and set(values.tolist()) <= {0.0, 1.0}:
        return (CLASSES, None) if (flat.sum(axis=1) == 1).all() else (LABELS, None)
    return (VALUES if width == flat.shape[1] else NONE), None


def _is_coded(values: np.ndarray, y: np.ndarray) -> bool:
    """Return whether two values are codes of classes: small whole numbers, or 0 and any other."""
    return bool(np.all(values == np.round(values)) and abs(values).max() <= 255)


def _boundary(problem: Problem, built: PartitionedModel, rows: Rows, first: Passed) -> float:
    """Return the single output at which the loss of both classes is the same, found by trying outputs."""
    y = np.asarray(rows.y, np.float64).reshape(rows.count, -1)[:, 0]
    low, high = (np.flatnonzero(y == end)[:1] for end in (y.min(), y.max()))
    shape = np.asarray(first.outputs).shape[1:]
    grid = np.sort(GRID).astype(np.float32)
    anatomy = Anatomy(problem, None, built, rows, None, first, NONE)  # type: ignore[arg-type]
    outputs = np.broadcast_to(grid.reshape(-1, 1, *[1] * len(shape)), (len(grid), 1, *shape))
    losses = [tried_losses(anatomy, rows.some(at), outputs.copy()) for at in (low, high)]
    with np.errstate(invalid="ignore"):  # both may be infinite
        difference = losses[0] - losses[1]  # positive where the second class is likelier
    good = np.isfinite(difference)
    signs = np.sign(difference[good])
    changed = np.flatnonzero((signs[1:] > 0) & (signs[:-1] <= 0))
    if not len(changed):
        outputs = np.asarray(first.outputs)
        return 0.5 if (outputs >= 0).all() and (outputs <= 1).all() else 0.0
    at, values = grid[good], difference[good]
    low_end, high_end = changed[-1], changed[-1] + 1
    share = -values[low_end] / (values[high_end] - values[low_end])
    return float(at[low_end] + share * (at[high_end] - at[low_end]))


def scores_of(
    anatomy: Anatomy, problem: Problem, modules: Sequence[PartitionedModel], rows: Rows
) -> list[float]:
    """Return the metric of several trained modules of a problem on rows of the anatomy."""
    return [anatomy.scored(passed(problem, module, rows), rows) for module in modules]
