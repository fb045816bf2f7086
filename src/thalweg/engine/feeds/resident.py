"""The feed of resident data: the data stays on the device, the host sends the order chunk by chunk.

The order is a pure function of (seed, epoch), so any step can be reached again.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

import jax
import numpy as np

from thalweg.core.keys import draws, order
from thalweg.engine.program import Batches
from thalweg.problem.data.split import Split
from thalweg.recipe.recipe import CONTINUED

# A dispatch holds at most this many steps.
MOST_STEPS = 2048


@dataclass
class ResidentFeed:
    """Which rows each step reads.

    Args:
        count: Examples in an epoch.
        batch_size: Rows in a batch.
        shuffle: `reshuffle` each epoch, `once`, `none`, draw with `replacement`, or `continued` stretches.
        keep_last: Whether an epoch's short last batch counts.
        streams: One for each distinct stream of batches: its seed, and the first of its rows. Lanes with the
            same seed share one; with folds, those with the same seed and fold.
        span: Distance between the indices of two consecutive windows, for `continued`.
    """

    count: int
    batch_size: int
    shuffle: str
    keep_last: bool
    streams: tuple[tuple[int, int], ...]
    span: int = 1
    _orders: OrderedDict[tuple[int, int], np.ndarray] = field(default_factory=OrderedDict, repr=False)

    most_steps = MOST_STEPS

    @property
    def epoch_steps(self) -> int:
        """Updates in one epoch."""
        whole, rest = divmod(self.count, self.batch_size)
        return whole + (1 if rest and self.keep_last else 0)

    @property
    def masked(self) -> bool:
        """Whether an epoch ends in a short batch."""
        return self.keep_last and self.count % self.batch_size != 0

    def dispatch(
        self, splits: Mapping[str, Split], start: int, steps: int, capacity: int
    ) -> tuple[Split, Batches]:
        """Return the data of `steps` steps from `start`, and their order, padded to `capacity` steps."""
        return splits["train"], self.batches(start, steps, capacity)

    def batches(self, start: int, steps: int, capacity: int) -> Batches:
        """Return the order of `steps` steps from `start`, padded to `capacity` steps."""
        return jax.device_put(Batches(*self.order_of(start, steps, capacity)))  # type: ignore[arg-type]

    def order_of(self, start: int, steps: int, capacity: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the arrays of `batches`, on the host."""
        indices = np.zeros((len(self.streams), capacity, self.batch_size), np.int32)
        sizes = np.full(capacity, self.batch_size, np.int32)
        done = 0
        while done < steps:
            epoch, offset = divmod(start + done, self.epoch_steps)
            run = min(steps - done, self.epoch_steps - offset)
            self._fill(indices, sizes, epoch, slice(offset, offset + run), done)
            done += run
        return indices, sizes

    def prefetch(self, start: int, steps: int) -> None:
        """Compute the order of the epoch after that of step `start`, before it is needed."""
        del steps
        for seed, _ in self.streams:
            self._order(seed, start // self.epoch_steps + 1)

    def _fill(self, indices: np.ndarray, sizes: np.ndarray, epoch: int, steps: slice, at: int) -> None:
        first, last = steps.start * self.batch_size, min(steps.stop * self.batch_size, self.count)
        for stream, (seed, start) in enumerate(self.streams):
            rows = start + self._order(seed, epoch)[first:last]
            indices[stream].reshape(-1)[at * self.batch_size : at * self.batch_size + len(rows)] = rows
        short = (last - first) % self.batch_size
        if short:
            sizes[at + (steps.stop - steps.start) - 1] = short

    def _order(self, seed: int, epoch: int) -> np.ndarray:
        """Return the order of an epoch, from a small cache."""
        if self.shuffle in ("none", CONTINUED):
            seed, epoch = 0, 0
        elif self.shuffle == "once":
            epoch = 0
        if (seed, epoch) not in self._orders:
            self._orders[seed, epoch] = self._draw(seed, epoch)
            while len(self._orders) > 3 * len(self.streams):
                self._orders.popitem(last=False)
        return self._orders[seed, epoch]

    def _draw(self, seed: int, epoch: int) -> np.ndarray:
        if self.shuffle == "none":
            return np.arange(self.count, dtype=np.int32)
        if self.shuffle == CONTINUED:  # a batch has the next window of every stretch
            stretches = self.span * np.arange(self.count, dtype=np.int32).reshape(self.batch_size, -1)
            return stretches.T.ravel()
        if self.shuffle == "replacement":
            return draws(seed, epoch, self.count)
        return order(seed, epoch, self.count)
