"""`stream`: batches from the host, without end, to `Data`.

A stream is a function `make(start) -> iterator of (inputs, targets)`: batches from number `start` on. It may
be called several times (a first look, each group of lanes, a run that goes on after a kill), and each time
must give the same batches: then every lane sees the same data, and a run can be taken up at any batch. A
plain iterable is taken as well: it is skipped forward to `start`; an iterator that can be read only once
serves one group of lanes.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PyTree

from thalweg.core.errors import DataError
from thalweg.problem.data.data import CLASSIFICATION, LANGUAGE, REGRESSION, Data
from thalweg.problem.data.fingerprint import fingerprint
from thalweg.problem.data.inputs.array import ArrayInputs
from thalweg.problem.data.inputs.image import BRIGHTEST, ImageInputs
from thalweg.problem.data.note import Note
from thalweg.problem.data.preparation import Preparation
from thalweg.problem.data.reading import IN_MEMORY
from thalweg.problem.data.split import Rows, Split

Make = Callable[[int], Iterator[tuple[PyTree, PyTree]]]

# Steps between two evaluations: often enough to see a run move, seldom enough to cost little.
EVERY = 1000


class Streamed(Split):
    """The training part of a stream. It has no end; what counts as an epoch is the way to an evaluation.

    Args:
        first: The first batch, for whoever needs examples to look at.
        make: See the module.
        every: Steps between two evaluations.
    """

    first: Rows
    make: Make = eqx.field(static=True)
    every: int = eqx.field(static=True)

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
        """The first batch's targets: what a baseline knows of the stream."""
        return self.first.targets

    def count(self) -> int:
        """Return the examples between two evaluations."""
        return self.every * self.batch_size

    def batch(self, indices: Int[Array, " batch"]) -> tuple[PyTree, PyTree]:
        """Return examples of the first batch, over and over: to look at, not to train on."""
        return self.first.batch(jnp.asarray(indices) % self.batch_size)

    def checker(self) -> Callable[[Any, int], list[np.ndarray]]:
        """Return a function of (batch, its number): the batch's arrays, inputs first, as the first batch's.

        It raises a DataError for a batch of another form or of other shapes than the first.
        """
        wanted, form = jax.tree.flatten((self.first.inputs, self.first.targets))

        def checked(batch: Any, number: int) -> list[np.ndarray]:
            leaves, own = jax.tree.flatten(batch)
            if own == form and all(map(_alike, leaves, wanted)):
                return leaves
            found = _as_rows(batch, number)  # slower: arrays of other types are converted
            leaves, own = jax.tree.flatten((found.inputs, found.targets))
            if own != form or _shapes(leaves) != _shapes(wanted):
                raise DataError(
                    "stream",
                    f"every batch must have the shapes of the first, {_shapes(wanted)}",
                    got=str(_shapes(leaves)),
                    where=f"batch {number}",
                    hint="give batches of one size; leave out a short last one",
                )
            return [leaf.astype(like.dtype, copy=False) for leaf, like in zip(leaves, wanted, strict=True)]

        return checked


def stream(
    source: Make | Iterable[tuple[PyTree, PyTree]],
    *,
    classes: Any = None,
    task: str | None = None,
    validation: Any = None,
    test: Any = None,
    every: int = EVERY,
    name: str = "stream",
) -> Data:
    """Take batches from the host, without end.

    They are read ahead of time in a thread of their own. The recipe's `batch_size` must be the stream's, its
    length must be in steps, and its `shuffle` says nothing. Inputs enter as they are, except that bytes
    (images) become numbers from 0 to 1 on the device. Values to predict are not standardised.

    Args:
        source: `make(start) -> iterator of (inputs, targets)`, or an iterable of such batches; see the
            module. Inputs `row ...`; targets whole numbers (classes, or the next token of each position) or
            values, `row` or `row value`.
        classes: Classes (labels, or how many), or the vocabulary; needed where targets are whole numbers.
        task: `classification`, `regression` or `language`; None: values are regression, whole numbers
            classification, and language where inputs and targets are whole numbers of one shape.
        validation, test: Held-out (inputs, targets), or a part; None for none.
        every: Steps between two evaluations; they count as an epoch.
        name: Name of the set.

    Raises:
        DataError: The first batch cannot be used, or a held-out part does not fit it.

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
    make = source if callable(source) else _Skipped(source)
    first = _first(make)
    train = Streamed(first, make, every)
    task = _task(first) if task is None else task
    labels = _labels(classes, task, first)
    held = {"validation": _held_out(validation, train), "test": _held_out(test, train)}
    parts = {"train": train} | {part: found for part, found in held.items() if found is not None}
    text = f"an endless stream in batches of {train.batch_size}; {every} steps count as an epoch."
    return Data(
        name=name,
        task=task,
        train=train,
        validation=held["validation"],
        test=held["test"],
        preparation=_preparation(first, labels),
        notes=(Note("stream", text),),
        fingerprint=fingerprint(parts),
        source={"from": IN_MEMORY, "options": {}},
    )


@dataclass(eq=False)
class _Skipped:
    """An iterable as a `make`: read from its beginning, and skipped forward."""

    source: Iterable[Any]
    _peeked: tuple[Any, ...] = ()
    _taken: bool = False

    def __call__(self, start: int) -> Iterator[Any]:
        once = iter(self.source)
        if once is not self.source:
            return islice(once, start, None)
        if self._taken:
            raise DataError(
                "stream",
                "an iterator can be read only once",
                got="a second reading, by another group of lanes or another run",
                hint="give a function make(start) that returns an iterator from batch number start on",
            )
        self._taken = True
        return islice(chain(self._peeked, once), start, None)

    def peek(self) -> Any:
        """Return the first batch; it stays the first."""
        if iter(self.source) is not self.source:
            return next(iter(self.source))
        self._peeked = (next(iter(self.source)),)
        return self._peeked[0]


def _first(make: Make) -> Rows:
    try:
        found = make.peek() if isinstance(make, _Skipped) else next(iter(make(0)))
    except StopIteration:
        raise DataError("stream", "must give a batch", got="nothing", hint="check the source") from None
    return _as_rows(found, 0)


def _as_rows(batch: Any, number: int) -> Rows:
    rule, where = (
        "every batch must be (inputs, targets), arrays with one row for each example",
        f"batch {number}",
    )
    if not isinstance(batch, (tuple, list)) or len(batch) != 2:
        raise DataError("stream", rule, got=type(batch).__name__, where=where, hint="yield x, y")
    inputs, targets = (jax.tree.map(_array, part) for part in batch)
    leaves = jax.tree.leaves((inputs, targets))
    lengths = {leaf.shape[0] if leaf.ndim else 0 for leaf in leaves}
    if len(lengths) != 1 or 0 in lengths or any(leaf.dtype.kind not in "iufb" for leaf in leaves):
        got = ", ".join(f"{leaf.dtype} {leaf.shape}" for leaf in leaves)
        raise DataError("stream", rule, got=got, where=where, hint="yield x, y with equal numbers of rows")
    return Rows(inputs, jax.tree.map(_column, targets))


def _array(leaf: Any) -> np.ndarray:
    """Return an array as the device takes it: float32, whole numbers as int32, bytes as they are."""
    array = np.asarray(leaf)
    if array.dtype.kind == "f":
        return array.astype(np.float32, copy=False)
    return array if array.dtype == np.uint8 or array.dtype.kind not in "iub" else array.astype(np.int32)


def _alike(leaf: Any, like: np.ndarray) -> bool:
    return type(leaf) is np.ndarray and leaf.dtype == like.dtype and leaf.shape == like.shape


def _shapes(leaves: Iterable[np.ndarray]) -> tuple[tuple[int, ...], ...]:
    return tuple(leaf.shape for leaf in leaves)


def _task(first: Rows) -> str:
    inputs, targets = (jax.tree.leaves(part)[0] for part in (first.inputs, first.targets))
    if targets.dtype.kind == "f":
        return REGRESSION
    return LANGUAGE if inputs.dtype.kind in "iu" and inputs.shape == targets.shape else CLASSIFICATION


def _labels(classes: Any, task: str, first: Rows) -> tuple[Any, ...] | None:
    if task == REGRESSION:
        return None
    if isinstance(classes, int) and not isinstance(classes, bool) and classes > 1:
        return tuple(range(classes))
    if classes is None or isinstance(classes, (int, bool)) or len(tuple(classes)) < 2:
        largest = int(np.max(jax.tree.leaves(first.targets)[0]))
        raise DataError(
            "stream",
            "classes must say how many classes or tokens there are, or name them",
            got=classes,
            where=f"the largest target of the first batch is {largest}",
            hint=f"for example classes={max(largest + 1, 2)}",
        )
    return tuple(classes)


def _held_out(given: Any, train: Streamed) -> Split | None:
    if given is None or isinstance(given, Split):
        return given
    found = _as_rows(given, 0)
    first = train.first
    leaves, wanted = jax.tree.leaves(found), jax.tree.leaves(first)
    same = jax.tree.structure(found) == jax.tree.structure(first)
    if not same or [leaf.shape[1:] for leaf in leaves] != [leaf.shape[1:] for leaf in wanted]:
        raise DataError(
            "stream",
            "held-out examples must have the shapes of the stream's",
            got=f"{_shapes(leaves)}, batches are {_shapes(wanted)}",
            hint="make them the way the stream is made",
        )
    return jax.tree.map(lambda leaf, like: leaf.astype(like.dtype, copy=False), found, first)


def _column(leaf: np.ndarray) -> np.ndarray:
    """Give targets of one value an axis for it, as every other reader does."""
    return leaf[:, None] if leaf.ndim == 1 and leaf.dtype.kind == "f" else leaf


def _preparation(first: Rows, labels: tuple[Any, ...] | None) -> Preparation:
    if isinstance(first.inputs, np.ndarray) and first.inputs.dtype == np.uint8 and first.inputs.ndim > 2:
        return Preparation(ImageInputs.fit(first.inputs), labels, input_shift=0.0, input_scale=1 / BRIGHTEST)
    example = jax.tree.leaves(first.inputs)[0]
    return Preparation(ArrayInputs.fit(example, standardise=False), labels)
