"""The streamed feed: the host reads batches ahead of time, and each dispatch sends its own data.

A thread reads the stream into a queue of bounded size while the device works. The batches of a dispatch are
concatenated into one split, which the compiled loop reads by index exactly as it reads resident data. So a
stream of the same batches trains to the same bits.
"""

import math
import queue
import threading
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np

from thalweg.core.caller import setting
from thalweg.core.errors import DataError, RecipeError
from thalweg.engine.program import Batches
from thalweg.problem.data.split import Split
from thalweg.problem.data.stream import Streamed
from thalweg.recipe.recipe import Recipe

# Bytes of the batches that one dispatch may send, and that may wait in the queue at the same time: enough
# steps to hide the dispatch, few enough to keep memory free. Four times as many made a batch slower.
DISPATCH_BYTES = 8 * 2**20
# XLA reads a host array in place, without a copy, if its address is a multiple of this.
ALIGNMENT = 64
# Seconds between two checks whether the reader of a full queue has closed it.
POLL_SECONDS = 0.2


class Prefetcher:
    """Reads the batches of a stream in a thread.

    Args:
        streamed: The stream.
        start: Number of the first batch.
        depth: Batches that may wait.
    """

    def __init__(self, streamed: Streamed, start: int, depth: int):
        self._queue: queue.Queue = queue.Queue(max(1, depth))
        self._stop = threading.Event()
        arguments = (streamed, start, self._queue, self._stop)
        threading.Thread(target=_read, args=arguments, daemon=True, name="thalweg-stream").start()
        weakref.finalize(self, self._stop.set)  # the thread ends when this object is dropped

    def take(self) -> list[np.ndarray]:
        """Return the next batch's arrays; wait for them if necessary.

        Raises:
            DataError: The stream has ended, or a batch has other shapes than the first.
            Exception: What the stream's own code raised.
        """
        batch = self._queue.get()
        if isinstance(batch, Exception):
            self._queue.put(batch)  # the next call raises it again
            raise batch
        return batch

    def close(self) -> None:
        """End the thread."""
        self._stop.set()


def _read(streamed: Streamed, start: int, waiting: queue.Queue, stop: threading.Event) -> None:
    try:
        number, checked = start, streamed.checker()
        for batch in streamed.make(start):
            if not _put(waiting, checked(batch, number), stop):
                return
            number += 1
        ended = DataError(
            "stream",
            "must have as many batches as the recipe has steps",
            got=f"its end before batch {number}",
            hint="use fewer steps, or let the stream start again at its end",
        )
        _put(waiting, ended, stop)
    except Exception as error:  # raised in `take`
        _put(waiting, error, stop)


def _put(waiting: queue.Queue, item: list[np.ndarray] | Exception, stop: threading.Event) -> bool:
    """Wait for room in the queue; return False once the queue is closed."""
    while not stop.is_set():
        try:
            waiting.put(item, timeout=POLL_SECONDS)
            return True
        except queue.Full:
            continue
    return False


@dataclass
class StreamedFeed:
    """Batches from a stream; the interface of `ResidentFeed`.

    Args:
        streamed: The stream.
        seeds: The lanes' seeds; all read the same batches.

    Attributes:
        position: Batches consumed: where a resumed run must start.
    """

    streamed: Streamed
    seeds: tuple[int, ...]
    position: int = 0
    _prefetcher: Prefetcher | None = field(default=None, repr=False)

    masked = False

    @property
    def streams(self) -> tuple[tuple[int, int], ...]:
        """As of `ResidentFeed`: all lanes read from the first row on."""
        return tuple((seed, 0) for seed in self.seeds)

    @property
    def count(self) -> int:
        """Examples in an epoch, as the stream defines it."""
        return self.streamed.count()

    @property
    def batch_size(self) -> int:
        """Rows in a batch."""
        return self.streamed.batch_size

    @property
    def epoch_steps(self) -> int:
        """Steps between two evaluations."""
        return self.streamed.every

    @property
    def most_steps(self) -> int:
        """Steps that a dispatch may have."""
        size = sum(leaf.nbytes for leaf in jax.tree.leaves(self.streamed.first))
        return max(1, DISPATCH_BYTES // size)

    def dispatch(
        self, splits: Mapping[str, Split], start: int, steps: int, capacity: int
    ) -> tuple[Split, Batches]:
        """Return the data of `steps` steps from `start`, and their order; both padded to `capacity` steps."""
        del splits
        batches = [self._at(step).take() for step in range(start, start + steps)]
        size = self.batch_size
        leaves = [_concatenate(arrays, capacity * size) for arrays in zip(*batches, strict=True)]
        split = jax.tree.unflatten(jax.tree.structure(self.streamed.first), leaves)
        order = np.arange(capacity * size, dtype=np.int32).reshape(1, capacity, size)
        indices = jnp.asarray(np.broadcast_to(order, (len(self.seeds), capacity, size)))
        return split, Batches(indices, jnp.full(capacity, size, jnp.int32))

    def prefetch(self, start: int, steps: int) -> None:
        """Do nothing: the thread reads ahead."""

    def _at(self, step: int) -> Prefetcher:
        """Return a prefetcher whose next batch is that of `step`."""
        if self._prefetcher is None or self.position != step:
            if self._prefetcher is not None:
                self._prefetcher.close()
            self._prefetcher, self.position = Prefetcher(self.streamed, step, self.most_steps), step
        self.position += 1
        return self._prefetcher

    def close(self) -> None:
        """End the thread."""
        if self._prefetcher is not None:
            self._prefetcher.close()
            self._prefetcher = None


def _concatenate(arrays: Sequence[np.ndarray], rows: int) -> jax.Array:
    """Concatenate arrays along their first axis into one of `rows` rows; the rest is never read.

    The memory is new each time and never written again: the device reads it in place where it can.
    """
    aligned = aligned_empty((rows, *arrays[0].shape[1:]), arrays[0].dtype)
    np.concatenate(arrays, out=aligned[: len(arrays) * arrays[0].shape[0]])
    return jax.device_put(aligned)


def aligned_empty(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Return an array, not initialised, which a CPU device can read in place."""
    size = math.prod(shape) * dtype.itemsize
    raw = np.empty(size + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size].view(dtype).reshape(shape)


def check_streamed(streamed: Streamed, recipe: Recipe) -> None:
    """Check that a recipe can be used with a stream.

    Raises:
        RecipeError: The length is not in steps, or the batch size is not that of the stream; of a table, the
            order is another than its own.
    """
    if streamed.ends:
        if isinstance(recipe.batch_size, str):
            hint = f"for example {setting('batch_size', 256)}"
            rule = "what is streamed is never in memory as a whole"
            raise RecipeError("recipe", rule, got=f"batch_size={recipe.batch_size}", hint=hint)
        if recipe.shuffle != "reshuffle":
            rule = "what is streamed is shuffled for each epoch; a table, by chunks and a buffer"
            hint = f"leave {setting('shuffle', recipe.shuffle)} out"
            raise RecipeError("recipe", rule, got=f"shuffle={recipe.shuffle}", hint=hint)
        return
    if recipe.steps is None:
        raise RecipeError(
            "recipe",
            "a stream has no end, so the recipe's length must be in steps",
            got=f"epochs={recipe.epochs}",
            hint="for example Recipe(steps=10_000)",
        )
    if recipe.batch_size != streamed.batch_size:
        raise RecipeError(
            "recipe",
            f"batch_size must be the stream's, {streamed.batch_size}",
            got=recipe.batch_size,
            hint=f"use batch_size={streamed.batch_size}, or change the stream's batches",
        )
