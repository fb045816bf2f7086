"""`stream`: an endless stream of batches from the host to `Data`.

A stream is a function `make(start) -> iterator of (inputs, targets)`: the batches from number `start` on.
It may be called several times (for the first batch, for each group of lanes, for a resumed run), and must
give the same batches each time: then all lanes see the same data, and a run can resume at any batch. An
iterable is accepted as well, and skipped forward to `start`; an iterator, which can be read only once,
serves one group of lanes.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice
from typing import Any, ClassVar, Protocol, Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PyTree

from thalweg.core.arguments import checked, shown
from thalweg.core.errors import DataError
from thalweg.problem.data.data import (
    CLASSIFICATION,
    IN_MEMORY,
    LANGUAGE,
    REGRESSION,
    Data,
    fingerprint,
)
from thalweg.problem.data.inputs.array import ArrayInputs
from thalweg.problem.data.inputs.image import BRIGHTEST, ImageInputs
from thalweg.problem.data.note import Note
from thalweg.problem.data.preparation import Preparation
from thalweg.problem.data.split import Rows, Split, first_leaf

Make = Callable[[int], Iterator[tuple[PyTree, PyTree]]]

# Steps between two evaluations: often enough to follow a run, seldom enough to cost little.
EVERY = 1000
LARGEST_LABEL = np.iinfo(np.int32).max  # targets are 32-bit on the device


class Streamed(Split):
    """The train split of a stream. It has no end: the steps between two evaluations count as an epoch.

    Class attributes:
        ends: Whether an epoch is one pass over a known number of examples, in batches of any size.

    Args:
        first: The first batch, for callers that need examples.
        make: See the module.
        every: Steps between two evaluations.
    """

    first: Rows
    make: Make = eqx.field(static=True)
    every: int = eqx.field(static=True)

    ends: ClassVar[bool] = False

    @property
    def batch_size(self) -> int:
        """Rows of a batch."""
        return self.first.count()

    @property
    def input_shape(self) -> Any:
        """Shape of one example's inputs."""
        return self.first.input_shape

    @property
    def targets(self) -> PyTree:
        """The first batch's targets, for baselines."""
        return self.first.targets

    def in_batches(self, size: int) -> "Streamed":
        """Return the stream in batches of a size; only where it `ends`."""
        del size
        return self

    def count(self) -> int:
        """Return how many examples there are between two evaluations."""
        return self.every * self.batch_size

    def batch(self, indices: Int[Array, " batch"]) -> tuple[PyTree, PyTree]:
        """Return examples of the first batch, repeated: not for training."""
        return self.first.batch(jnp.asarray(indices) % self.first.count())

    def checker(self) -> Callable[[Any, int], list[np.ndarray]]:
        """Return a function of (batch, its number) that gives the batch's arrays, typed as the first batch's.

        It raises a DataError for a batch of another structure or of other shapes than the first.
        """
        expected, structure = jax.tree.flatten((self.first.inputs, self.first.targets))

        def checked(batch: Any, number: int) -> list[np.ndarray]:
            leaves, own_structure = jax.tree.flatten(batch)
            if own_structure == structure and all(map(_alike, leaves, expected)):
                return leaves
            rows = _as_rows(batch, number)  # slower: converts arrays of other types
            leaves, own_structure = jax.tree.flatten((rows.inputs, rows.targets))
            if own_structure != structure or _shapes(leaves) != _shapes(expected):
                rule = f"every batch must have the shapes of the first, {_shapes(expected)}"
                hint = "give batches of one size; leave out a short last one"
                raise DataError("stream", rule, got=str(_shapes(leaves)), where=f"batch {number}", hint=hint)
            return [leaf.astype(like.dtype, copy=False) for leaf, like in zip(leaves, expected, strict=True)]

        return checked


class RowReader(Protocol):
    """Reads the training rows of a set in files, in batches of any size."""

    @property
    def count(self) -> int:
        """Training rows."""
        ...

    @property
    def targets(self) -> np.ndarray | None:
        """The target of every training row, in no order; None where they are only read row by row."""
        ...

    def batches(self, size: int, start: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the batches of a size, from number `start` on, without end."""
        ...


class StoredRows(Streamed):
    """The train split of a set in files. It has an end: an epoch reads every training row once.

    Args:
        first, make, every: As for `Streamed`; `first` are rows spread over the set.
        reader: Reads the rows.
        facts: Numbers that differ where the rows do.
    """

    reader: RowReader = eqx.field(static=True)
    facts: np.ndarray

    ends = True

    @classmethod
    def of(cls, first: Rows, reader: RowReader, facts: np.ndarray) -> Self:
        """Return the split of a reader."""
        size = first.count()
        return cls(first, partial(reader.batches, size), -(-reader.count // size), reader, facts)

    def count(self) -> int:
        """Return how many training rows there are."""
        return self.reader.count

    def in_batches(self, size: int) -> Streamed:
        """Return the stream of batches of a size."""
        rows = np.resize(np.arange(self.first.count()), size)
        first = Rows(np.asarray(self.first.inputs)[rows], np.asarray(self.first.targets)[rows])
        return Streamed(first, partial(self.reader.batches, size), -(-self.count() // size))


@checked(DataError)
def stream(
    source: Make | Iterable[Any],
    *,
    classes: Any = None,
    task: str | None = None,
    validation: Any = None,
    test: Any = None,
    every: int = EVERY,
    name: str = "stream",
) -> Data:
    """Train on an endless stream of batches from the host.

    Batches are read ahead in a thread. The recipe's `batch_size` must be the stream's, its length must be in
    steps, and its `shuffle` has no effect. Inputs are used unchanged, except that bytes (images) are scaled
    to 0..1 on the device. Regression targets are not standardised.

    Args:
        source: `make(start) -> iterator of (inputs, targets)`, or an iterable of such batches; see the
            module. Inputs `row ...`; targets integers (classes, or the next token of each position) or
            values, `row` or `row value`.
        classes: Classes (labels, or their number), or the vocabulary; required if targets are integers.
        task: `classification`, `regression` or `language`; None: regression for values, classification for
            integers, language if inputs and targets are integers of one shape.
        validation, test: Held-out (inputs, targets), or a split; None for none.
        every: Steps between two evaluations; they count as an epoch.
        name: Name of the set.

    Raises:
        DataError: The first batch cannot be used, or held-out examples do not fit it.

    Example:
        >>> import itertools
        >>> import numpy as np
        >>> rng = np.random.default_rng
        >>> def make(start):
        ...     for number in itertools.count(start):
        ...         x = rng(number).normal(size=(32, 4)).astype("float32")
        ...         yield x, x.sum(axis=1)
        >>> data = stream(make, validation=next(make(10**9)))
    """
    if isinstance(every, bool) or not isinstance(every, int) or every < 1:
        raise DataError("stream", "every must be a whole number of steps", got=every, hint=f"try {EVERY}")
    if isinstance(source, (np.ndarray, jax.Array)) and not source.ndim:
        rule = "must be a function make(start), or an iterable of batches"
        raise DataError("stream", rule, got=shown(source), hint="for example [(x, y)]")
    make = source if callable(source) else _Skipped(source)
    first = _first(make)
    train = Streamed(first, make, every)
    task = _task(first) if task is None else task
    labels = _labels(classes, task, first)
    held_out = {"validation": _held_out(validation, first), "test": _held_out(test, first)}
    splits = {"train": train} | {name: split for name, split in held_out.items() if split is not None}
    text = f"an endless stream in batches of {train.batch_size}; {every} steps count as an epoch."
    data = Data.of_splits(name, task, splits, _preparation(first, labels), (Note("stream", text),))
    return replace(data, fingerprint=fingerprint(splits), source={"from": IN_MEMORY, "options": {}})


@dataclass(eq=False)
class _Skipped:
    """An iterable as a `make`: read from the beginning, and skipped forward."""

    source: Iterable[Any]
    _peeked: tuple[Any, ...] = ()
    _used: bool = False

    def __call__(self, start: int) -> Iterator[Any]:
        iterator = iter(self.source)
        if iterator is not self.source:
            return islice(iterator, start, None)
        if self._used:
            raise DataError(
                "stream",
                "an iterator can be read only once",
                got="a second use, by another group of lanes or another run",
                hint="give a function make(start) that returns the batches from number start on",
            )
        self._used = True
        return islice(chain(self._peeked, iterator), start, None)

    def peek(self) -> Any:
        """Return the first batch without consuming it."""
        if iter(self.source) is not self.source:
            return next(iter(self.source))
        self._peeked = (next(iter(self.source)),)
        return self._peeked[0]


def _first(make: Make) -> Rows:
    try:
        batches = make if isinstance(make, _Skipped) else make(0)
        if not isinstance(batches, _Skipped) and not isinstance(batches, Iterable):
            rule, hint = "make(start) must return an iterator of batches", "use yield, or return iter([...])"
            raise DataError("stream", rule, got=shown(batches), hint=hint)
        batch = batches.peek() if isinstance(batches, _Skipped) else next(iter(batches))
    except StopIteration:
        raise DataError("stream", "must give a batch", got="nothing", hint="check the source") from None
    return _as_rows(batch, 0)


def _as_rows(batch: Any, number: int) -> Rows:
    rule = "every batch must be (inputs, targets), arrays with one row for each example"
    where = f"batch {number}"
    if not isinstance(batch, (tuple, list)) or len(batch) != 2:
        raise DataError("stream", rule, got=type(batch).__name__, where=where, hint="yield x, y")
    inputs, targets = jax.tree.map(_array, batch[0]), jax.tree.map(_array, batch[1])
    leaves = jax.tree.leaves((inputs, targets))
    lengths = {leaf.shape[0] if leaf.ndim else 0 for leaf in leaves}
    if len(lengths) != 1 or 0 in lengths or any(leaf.dtype.kind not in "iufb" for leaf in leaves):
        got = ", ".join(f"{leaf.dtype} {leaf.shape}" for leaf in leaves)
        raise DataError("stream", rule, got=got, where=where, hint="yield x, y with equal numbers of rows")
    return Rows(inputs, jax.tree.map(_column, targets))


def _array(leaf: Any) -> np.ndarray:
    """Return an array as the device takes it: float32, int32, or bytes unchanged."""
    array = np.asarray(leaf)
    if array.dtype.kind == "f":
        return array.astype(np.float32, copy=False)
    return array if array.dtype == np.uint8 or array.dtype.kind not in "iub" else array.astype(np.int32)


def _alike(leaf: Any, like: np.ndarray) -> bool:
    return type(leaf) is np.ndarray and leaf.dtype == like.dtype and leaf.shape == like.shape


def _shapes(leaves: Iterable[np.ndarray]) -> tuple[tuple[int, ...], ...]:
    return tuple(leaf.shape for leaf in leaves)


def _task(first: Rows) -> str:
    inputs, targets = first_leaf(first.inputs), first_leaf(first.targets)
    if targets.dtype.kind == "f":
        return REGRESSION
    return LANGUAGE if inputs.dtype.kind in "iu" and inputs.shape == targets.shape else CLASSIFICATION


def _labels(classes: Any, task: str, first: Rows) -> tuple[Any, ...] | None:
    if task == REGRESSION:
        return None
    if isinstance(classes, int) and not isinstance(classes, bool) and 1 < classes <= LARGEST_LABEL:
        return tuple(range(classes))
    names = (
        tuple(classes)
        if isinstance(classes, str)
        or (isinstance(classes, (list, tuple, range, np.ndarray)) and np.ndim(classes))
        else ()
    )
    if len(names) < 2:
        largest = int(np.max(first_leaf(first.targets)))
        rule = "classes must be the number of classes or tokens, or their names"
        where = f"the largest target of the first batch is {largest}"
        hint = f"for example classes={max(largest + 1, 2)}"
        raise DataError("stream", rule, got=shown(classes), where=where, hint=hint)
    return names


def _held_out(examples: Any, first: Rows) -> Split | None:
    if examples is None or isinstance(examples, Split):
        return examples
    rows = _as_rows(examples, 0)
    leaves, expected = jax.tree.leaves(rows), jax.tree.leaves(first)
    same = jax.tree.structure(rows) == jax.tree.structure(first)
    if not same or [leaf.shape[1:] for leaf in leaves] != [leaf.shape[1:] for leaf in expected]:
        rule = "held-out examples must have the shapes of the stream's"
        hint = "make them the way the stream is made"
        raise DataError("stream", rule, got=f"{_shapes(leaves)}, batches are {_shapes(expected)}", hint=hint)
    return jax.tree.map(lambda leaf, like: leaf.astype(like.dtype, copy=False), rows, first)


def _column(leaf: np.ndarray) -> np.ndarray:
    """Add an axis to targets of one value, as every other reader does."""
    return leaf[:, None] if leaf.ndim == 1 and leaf.dtype.kind == "f" else leaf


def _preparation(first: Rows, labels: tuple[Any, ...] | None) -> Preparation:
    if isinstance(first.inputs, np.ndarray) and first.inputs.dtype == np.uint8 and first.inputs.ndim > 2:
        return Preparation(ImageInputs.fit(first.inputs), labels, input_shift=0.0, input_scale=1 / BRIGHTEST)
    example = np.asarray(first_leaf(first.inputs))
    return Preparation(ArrayInputs.fit(example, standardise=False), labels)
