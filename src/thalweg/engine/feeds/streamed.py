"""The streamed feed: batches come from the host, ahead of time, and each dispatch brings its own data along.

A thread reads the stream into a queue of bounded size while the device works. A dispatch's batches are put
one below the other into one part, which the compiled loop reads by index exactly as it reads resident data:
so a stream of the same batches trains to the same bits.
"""

import queue
import threading
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np

from thalweg.core.errors import DataError, RecipeError
from thalweg.engine.program import Batches
from thalweg.problem.data.split import Split
from thalweg.problem.data.stream import Streamed
from thalweg.recipe.recipe import Recipe

# What one dispatch may bring along, and what may wait in the queue beside it: enough steps to hide it, and
# few enough that memory is not filled. Four times as much took longer a batch, not shorter.
DISPATCH_BYTES = 8 * 2**20
# XLA reads a host array in place, without a copy, where it begins at a multiple of this.
ALIGNMENT = 64
# The queue looks up this often, in seconds, whether its reader still wants it.
PATIENCE = 0.2


class Ahead:
    """Batches of a stream, read in a thread of their own.

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
        weakref.finalize(self, self._stop.set)  # whoever drops this ends the thread

    def take(self) -> list[np.ndarray]:
        """Return the next batch's arrays, waiting for them if need be.

        Raises:
            DataError: The stream has ended, or a batch has other shapes than the first.
            Exception: What the stream's own code raised.
        """
        found = self._queue.get()
        if isinstance(found, Exception):
            self._queue.put(found)  # whoever asks again hears the same
            raise found
        return found

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
            "must go on for as many batches as the recipe has steps",
            got=f"its end before batch {number}",
            hint="take fewer steps, or let the stream start again at its end",
        )
        _put(waiting, ended, stop)
    except Exception as error:  # handed to the reader, who raises it
        _put(waiting, error, stop)


def _put(waiting: queue.Queue, item: list[np.ndarray] | Exception, stop: threading.Event) -> bool:
    """Wait for room; return False when nobody wants the item any more."""
    while not stop.is_set():
        try:
            waiting.put(item, timeout=PATIENCE)
            return True
        except queue.Full:
            continue
    return False


@dataclass
class StreamedFeed:
    """What `engine.feed.Feed` is for resident data; see there.

    Args:
        streamed: The stream.
        seeds: The lanes' seeds; all read the same batches.

    Attributes:
        position: Batches consumed: where a run that goes on must start.
    """

    streamed: Streamed
    seeds: tuple[int, ...]
    position: int = 0
    _ahead: Ahead | None = field(default=None, repr=False)

    masked = False

    @property
    def count(self) -> int:
        """Examples in what counts as an epoch."""
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
        taken = [self._at(step).take() for step in range(start, start + steps)]
        size = self.batch_size
        laid = [_laid(leaves, capacity * size) for leaves in zip(*taken, strict=True)]
        part = jax.tree.unflatten(jax.tree.structure(self.streamed.first), laid)
        order = np.arange(capacity * size, dtype=np.int32).reshape(1, capacity, size)
        indices = jnp.asarray(np.broadcast_to(order, (len(self.seeds), capacity, size)))
        return part, Batches(indices, jnp.full(capacity, size, jnp.int32))

    def prefetch(self, start: int) -> None:
        """Do nothing: the thread reads ahead by itself."""

    def _at(self, step: int) -> Ahead:
        """Return the reader with its next batch at `step`: a step is a batch."""
        if self._ahead is None or self.position != step:
            if self._ahead is not None:
                self._ahead.close()
            self._ahead, self.position = Ahead(self.streamed, step, self.most_steps), step
        self.position += 1
        return self._ahead

    def close(self) -> None:
        """End the reading."""
        if self._ahead is not None:
            self._ahead.close()
            self._ahead = None


def _laid(leaves: Sequence[np.ndarray], rows: int) -> jax.Array:
    """Put arrays one below the other, in room for so many rows; what lies beyond them is never read.

    The memory is new each time and never written again: the device reads it in place where it can.
    """
    shape, dtype = (rows, *leaves[0].shape[1:]), leaves[0].dtype
    size = int(np.prod(shape)) * dtype.itemsize
    raw = np.empty(size + ALIGNMENT, np.uint8)
    begin = -raw.ctypes.data % ALIGNMENT
    room = raw[begin : begin + size].view(dtype).reshape(shape)
    np.concatenate(leaves, out=room[: len(leaves) * leaves[0].shape[0]])
    return jax.device_put(room)


def check_streamed(streamed: Streamed, recipe: Recipe) -> None:
    """Refuse what of a recipe a stream cannot do.

    Raises:
        RecipeError: No length in steps, or another batch size than the stream's.
    """
    if recipe.steps is None:
        raise RecipeError(
            "recipe",
            "a stream has no end, so the length must be in steps",
            got=f"epochs={recipe.epochs}",
            hint="for example Recipe(steps=10_000)",
        )
    if recipe.batch_size != streamed.batch_size:
        raise RecipeError(
            "recipe",
            f"batch_size must be the stream's, {streamed.batch_size}",
            got=recipe.batch_size,
            hint=f"use batch_size={streamed.batch_size}, or make other batches",
        )
