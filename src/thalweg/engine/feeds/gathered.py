"""The feed of data that stay on the host: each dispatch sends the rows that its steps read.

The order is that of resident data, and so is everything that is computed from the rows. On a mesh each device
gets its own share of the rows of each batch, and each process gathers those of its own devices alone. While
the device works, a thread gathers the rows of the next dispatch.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Int, PyTree

from thalweg.core.caller import argument, option, setting
from thalweg.core.errors import BadInput
from thalweg.core.tree import row
from thalweg.engine.feeds.resident import MOST_STEPS, ResidentFeed
from thalweg.engine.feeds.streamed import DISPATCH_BYTES, StreamedFeed, aligned_empty
from thalweg.engine.mesh import DATA
from thalweg.engine.program import Batches
from thalweg.problem.data.data import Data
from thalweg.problem.data.folds import FoldedData
from thalweg.problem.data.split import Split, first_leaf
from thalweg.problem.data.stream import Streamed
from thalweg.recipe.recipe import CONTINUED, Recipe

# Where the training rows are: whole on each device, or in the host's memory.
DEVICE, HOST = "device", "host"
# Bytes that are gathered by one call of NumPy: few enough for the cache, enough to hide the call.
BLOCK_BYTES = 2**18


class Dispatched(Split):
    """The rows that the steps of one dispatch read, batch after batch.

    Args:
        examples: (inputs, targets), `slot row ...`: for each stream of batches the steps of the dispatch.
        batch_size: Rows in a slot.
    """

    divided: ClassVar[bool] = True

    examples: PyTree
    batch_size: int = eqx.field(static=True)

    def count(self) -> int:
        """Return the rows of all slots."""
        return first_leaf(self.examples).shape[0] * self.batch_size

    @property
    def input_shape(self) -> Any:
        """Shapes without the slot and the row."""
        return jax.tree.map(lambda leaf: tuple(leaf.shape[2:]), self.examples[0])

    def batch(self, indices: Int[Array, " batch"]) -> tuple[PyTree, PyTree]:
        """Return the batch whose rows have these indices; only a whole batch, in its order."""
        slot = indices[0] // self.batch_size
        return jax.tree.map(lambda leaf: row(leaf, slot), self.examples)


class DispatchedRows(Dispatched):
    """`Dispatched`, of examples that are single rows."""

    one_row: ClassVar[bool] = True


class Sample(Split):
    """Some examples of a split that is on the host, to evaluate on.

    Args:
        examples: (inputs, targets), `example ...`.
        added: Their `offsets`.
        counted: Their `example_weights`.
    """

    examples: PyTree
    added: np.ndarray | None = None
    counted: np.ndarray | None = None

    def count(self) -> int:
        """Return how many examples there are."""
        return first_leaf(self.examples).shape[0]

    @property
    def input_shape(self) -> Any:
        """Shapes without the first axis."""
        return jax.tree.map(lambda leaf: tuple(leaf.shape[1:]), self.examples[0])

    def batch(self, indices: Int[Array, " batch"]) -> tuple[PyTree, PyTree]:
        """Gather examples by index."""
        return jax.tree.map(lambda leaf: jnp.asarray(leaf)[indices], self.examples)

    @property
    def offsets(self) -> np.ndarray | None:
        """As of the split."""
        return self.added

    @property
    def example_weights(self) -> np.ndarray | None:
        """As of the split."""
        return None if self.counted is None else np.asarray(self.counted)


class WeightedSample(Sample):
    """`Sample`, whose targets come with weights."""

    weighted: ClassVar[bool] = True


class _Share(NamedTuple):
    """What one device gets of each batch; `device` is None for the device that JAX chooses."""

    device: Any
    rows: slice
    buffers: list[np.ndarray]


class _Gathering:
    """The rows of one dispatch, `slot row ...` for each device, gathered step by step.

    Args:
        feed: Says which rows.
        start: The first step.
        capacity: Steps that there is room for.
        before: An earlier one that may have gathered the first of these steps already.
    """

    def __init__(self, feed: "GatheredFeed", start: int, capacity: int, before: "_Gathering | None" = None):
        self.start, self.capacity, self._feed, self._before = start, capacity, feed, before
        streams = len(feed.streams)
        self._indices = np.zeros((streams, capacity, feed.batch_size), np.int32)
        self.sizes = np.full(capacity, feed.batch_size, np.int32)
        self._ordered = self.done = 0
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self.shares = [
            _Share(device, rows, list(_buffers(feed.rows_like, streams * capacity, rows)))
            for device, rows in feed.divided()
        ]

    def begin(self, steps: int) -> None:
        """Gather so many steps in a thread."""
        self._order_until(steps)
        self._thread = threading.Thread(target=self._run, args=(steps,), daemon=True, name="thalweg-gather")
        self._thread.start()

    def finish(self, steps: int) -> None:
        """Wait for the thread, and gather what is missing of so many steps.

        Raises:
            Exception: What reading the rows raised.
        """
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._error is not None:
            raise self._error
        self._order_until(steps)
        self._fill(steps)

    def _run(self, steps: int) -> None:
        try:
            self._fill(steps)
        except BaseException as error:  # raised in `finish`
            self._error = error

    def _order_until(self, steps: int) -> None:
        first = self._ordered
        if first < steps:
            order = self._feed.order.order_of(self.start + first, steps - first, steps - first)
            self._indices[:, first:steps], self.sizes[first:steps] = order
            self._ordered = steps

    def _fill(self, steps: int) -> None:
        self._take_over()
        at_once = max(1, BLOCK_BYTES // max(1, self._feed.step_bytes))
        for first in range(self.done, steps, at_once):
            last = min(steps, first + at_once)
            for stream, order in enumerate(self._indices[:, first:last]):
                for share in self.shares:
                    self._gather(share, order[:, share.rows], stream * self.capacity + first)
            self.done = last

    def _gather(self, share: _Share, order: np.ndarray, slot: int) -> None:
        """Write the rows of some slots, `slot row`, into the memory of a device."""
        rows = self._feed.split.gather(order.reshape(-1))
        self._feed.gathered += order.size
        for buffer, leaf in zip(share.buffers, jax.tree.leaves(rows), strict=True):
            buffer[slot : slot + len(order)] = leaf.reshape(*order.shape, *leaf.shape[1:])

    def _take_over(self) -> None:
        """Copy the steps that an earlier dispatch gathered without using them."""
        before, self._before = self._before, None
        skipped = 0 if before is None else self.start - before.start
        if before is None or self.done or not 0 <= skipped < before.done:
            return
        count = min(self.capacity, before.done - skipped)
        for stream in range(len(self._indices)):
            to, at = stream * self.capacity, stream * before.capacity + skipped
            for share, earlier in zip(self.shares, before.shares, strict=True):
                for buffer, full in zip(share.buffers, earlier.buffers, strict=True):
                    buffer[to : to + count] = full[at : at + count]
        self.done = count


def _buffers(like: Sequence[np.ndarray], slots: int, rows: slice) -> Iterator[np.ndarray]:
    """Return memory for rows, one array for each of a row's."""
    for leaf in like:
        dtype = np.dtype(jax.dtypes.canonicalize_dtype(leaf.dtype))
        yield aligned_empty((slots, rows.stop - rows.start, *leaf.shape[1:]), dtype)


@dataclass
class GatheredFeed:
    """Rows of data on the host; the interface of `ResidentFeed`.

    Args:
        order: Which rows each step reads.
        split: The training split, on the host.
        mesh: The devices that share the rows of a batch; None for one device.

    Attributes:
        gathered: Rows that this process has read so far.
    """

    order: ResidentFeed
    split: Split
    mesh: Mesh | None = None
    gathered: int = 0
    _ahead: _Gathering | None = field(default=None, repr=False)
    _latest: _Gathering | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        first = self.split.gather(np.zeros(1, np.int64))
        self._structure = jax.tree.structure(first)
        self.rows_like: list[np.ndarray] = jax.tree.leaves(first)

    @property
    def streams(self) -> tuple[tuple[int, int], ...]:
        """As of `ResidentFeed`."""
        return self.order.streams

    @property
    def count(self) -> int:
        """Examples in an epoch."""
        return self.order.count

    @property
    def batch_size(self) -> int:
        """Rows in a batch."""
        return self.order.batch_size

    @property
    def epoch_steps(self) -> int:
        """Updates in one epoch."""
        return self.order.epoch_steps

    @property
    def masked(self) -> bool:
        """Whether an epoch ends in a short batch."""
        return self.order.masked

    @property
    def step_bytes(self) -> int:
        """Bytes of a batch of one stream."""
        return self.batch_size * sum(leaf.nbytes for leaf in self.rows_like)

    @property
    def most_steps(self) -> int:
        """Steps that a dispatch may have: the same in every process.

        At least two: XLA compiles a loop over a single slot otherwise, with other last bits.
        """
        return max(2, min(MOST_STEPS, DISPATCH_BYTES // max(1, self.step_bytes * len(self.streams))))

    def divided(self) -> list[tuple[Any, slice]]:
        """Return the devices of this process, each with the rows of a batch that are its own."""
        if self.mesh is None:
            return [(None, slice(0, self.batch_size))]
        devices, own = list(self.mesh.devices.flat), jax.process_index()
        ends = [self.batch_size * at // len(devices) for at in range(len(devices) + 1)]
        placed = zip(devices, map(slice, ends[:-1], ends[1:]), strict=True)
        return [(device, rows) for device, rows in placed if device.process_index == own]

    def dispatch(
        self, splits: Mapping[str, Split], start: int, steps: int, capacity: int
    ) -> tuple[Split, Batches]:
        """Return the rows of `steps` steps from `start`, and their order; both padded to `capacity` steps."""
        del splits
        ahead, self._ahead = self._ahead, None
        if ahead is None or (ahead.start, ahead.capacity) != (start, capacity):
            ahead = _Gathering(self, start, capacity, self._latest)
        ahead.finish(steps)
        self._latest = ahead
        slots = len(self.streams) * capacity
        leaves = [self._placed(slots, number, ahead.shares) for number in range(len(self.rows_like))]
        kind = DispatchedRows if self.split.one_row else Dispatched
        rows = np.arange(slots * self.batch_size, dtype=np.int32).reshape(-1, capacity, self.batch_size)
        batches = jax.device_put(Batches(rows, ahead.sizes))  # type: ignore[arg-type]
        return kind(jax.tree.unflatten(self._structure, leaves), self.batch_size), batches

    def prefetch(self, start: int, steps: int) -> None:
        """Gather the rows of the next dispatch, which is expected to have so many steps."""
        latest = self._latest
        if latest is not None and steps > 0:
            self._ahead = _Gathering(self, start, latest.capacity, latest)
            self._ahead.begin(min(steps, latest.capacity))
        self.order.prefetch(start, steps)

    def sample(self, stride: int) -> Sample:
        """Return every `stride`-th example."""
        split, rows = self.split, np.arange(0, self.split.count(), stride)
        kind = WeightedSample if split.weighted else Sample
        chosen = (None if each is None else each[rows] for each in (split.offsets, split.example_weights))
        return kind(split.gather(rows), *chosen)

    def _placed(self, slots: int, number: int, shares: Sequence[_Share]) -> jax.Array:
        """Return one array of the rows, on the device, or divided over those of the mesh."""
        if self.mesh is None:
            return jax.device_put(shares[0].buffers[number])
        shape = (slots, self.batch_size, *self.rows_like[number].shape[1:])
        rows = NamedSharding(self.mesh, PartitionSpec(None, DATA))
        parts = [jax.device_put(share.buffers[number], share.device) for share in shares]
        return jax.make_array_from_single_device_arrays(shape, rows, parts)


def gathered(feed: ResidentFeed | StreamedFeed, split: Split, mesh: Mesh | None) -> GatheredFeed:
    """Return the feed of the same rows, from the host; `check_gathered` has let it pass."""
    assert isinstance(feed, ResidentFeed)
    return GatheredFeed(feed, split, mesh)


def to_evaluate(feed: Any, name: str, split: Split, stride: int) -> tuple[Split, int]:
    """Return a split and the stride with which to evaluate it; of training rows on the host, the sample."""
    if name == "train" and isinstance(feed, GatheredFeed):
        return feed.sample(stride), 1
    return split, stride


def check_gathered(data: Data, recipes: Sequence[Recipe]) -> None:
    """Refuse data whose rows cannot be read from the host, dispatch by dispatch.

    Raises:
        BadInput: They cannot.
    """
    who, got, there = argument("data_on"), option("data_on", HOST), f"use {option('data_on', DEVICE)}"
    if isinstance(data.train, Streamed):
        rule, hint = "is for data in memory; a stream is on the host anyway", "leave it out"
        raise BadInput(who, rule, got=got, hint=hint)
    if isinstance(data, FoldedData):
        raise BadInput(who, "must be the device for folds, which share their rows", got=got, hint=there)
    if any(recipe.shuffle == CONTINUED for recipe in recipes):
        rule = "must be the device where a state is carried from batch to batch"
        hint = f"{there}, or {setting('shuffle', 'reshuffle')}"
        raise BadInput(who, rule, got=f"{got} {setting('shuffle', CONTINUED)}", hint=hint)
    if data.train.gather(np.zeros(1, np.int64)) is None:
        rule = "must be the device for data of this kind"
        raise BadInput(who, rule, got=type(data.train).__name__, hint=there)
