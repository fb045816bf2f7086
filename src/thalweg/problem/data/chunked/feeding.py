"""The training rows of a table in chunks as a stream: an order for each epoch, and batches from any step on.

The chunks of an epoch come in an order drawn for it. As many of them as fit a buffer are read together, and
their rows are mixed: rows that are far apart in the file meet only if their chunks do. No row is left out of
an epoch, or read twice; a batch may reach from one epoch into the next.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from thalweg.core.keys import order
from thalweg.core.lazy import pl
from thalweg.problem.data.chunked.chunks import ChunkedTable
from thalweg.problem.data.chunked.parted import TRAIN
from thalweg.problem.data.chunked.scan import Scanned
from thalweg.problem.data.split import Rows

# A buffer has at most so many rows and bytes (as text, or unpacked), but at least one chunk. Both are
# constants, so that the batches do not depend on the machine.
BUFFER_ROWS, BUFFER_BYTES = 1 << 18, 1 << 26
# Rows that become inputs at a time.
PIECE = 1 << 13
# Examples that stand for the training rows where some are needed: for shapes, baselines and checks.
EXAMPLES = 1 << 12


@dataclass(frozen=True, eq=False)
class ChunkReader:
    """Reads training rows in the order of an epoch.

    Args:
        table: The table.
        scanned: What is known of it.
        seed: Selects the orders.
    """

    table: ChunkedTable
    scanned: Scanned
    seed: int

    targets = None  # they are only read row by row

    @property
    def count(self) -> int:
        """Training rows."""
        return int(self.scanned.trained.sum())

    def batches(self, size: int, start: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the batches of a size, from number `start` on, without end."""
        epoch, offset = divmod(start * size, self.count)
        waiting: list[tuple[np.ndarray, np.ndarray]] = []
        rows = 0
        while True:
            for inputs, targets in self._epoch(epoch, offset):
                waiting.append((inputs, targets))
                rows += len(targets)
                if rows < size:
                    continue
                x, y = (np.concatenate(arrays) for arrays in zip(*waiting, strict=True))
                whole = rows // size * size
                for at in range(0, whole, size):
                    yield x[at : at + size], y[at : at + size]
                waiting, rows = [(x[whole:], y[whole:])], rows - whole
            epoch, offset = epoch + 1, 0

    def _epoch(self, epoch: int, offset: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield inputs and targets of an epoch piece by piece, from row `offset` of its order on."""
        for number, chunks in enumerate(self.buffers(epoch)):
            count = int(self.scanned.trained[chunks].sum())
            if offset >= count:
                offset -= count
                continue
            frame = pl.concat([self.rows(chunk) for chunk in chunks], how="vertical")
            mixed = order(self.seed, (epoch << 24) + number, count)
            for at in range(offset, count, PIECE):
                yield self.examples(frame[mixed[at : at + PIECE]])
            offset = 0

    def buffers(self, epoch: int) -> list[list[int]]:
        """Return the chunks that are read together, in the order of an epoch."""
        buffers: list[list[int]] = []
        rows = size = 0
        for number in order(self.seed, epoch, len(self.table.chunks)).tolist():
            chunk = self.table.chunks[number]
            if not buffers or rows + chunk.rows > BUFFER_ROWS or size + chunk.size > BUFFER_BYTES:
                buffers.append([])
                rows = size = 0
            buffers[-1].append(number)
            rows, size = rows + chunk.rows, size + chunk.size
        return buffers

    def rows(self, number: int) -> pl.DataFrame:
        """Return the training rows of a chunk, the columns that are used and the target."""
        names = [rule.column for rule in self.scanned.columns.rules]
        frame = self.table.rows(number).select(*dict.fromkeys((*names, self.scanned.target.found.name)))
        used = self.scanned.parting.of(int(self.table.starts[number]), frame.height) == TRAIN
        used[self.scanned.without.get(number, np.zeros(0, int))] = False
        return frame.filter(pl.Series(used))

    def examples(self, frame: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """Return rows as inputs `row feature` and targets."""
        inputs = self.scanned.columns.inputs(frame, new=False)
        return inputs, self.scanned.target.targets(frame[self.scanned.target.found.name])

    def spread(self) -> Rows:
        """Return at most `EXAMPLES` training rows, spread over the table."""
        chosen = np.flatnonzero(self.scanned.trained)
        chosen = chosen[np.unique(np.linspace(0, len(chosen) - 1, min(len(chosen), 8)).round().astype(int))]
        each = -(-EXAMPLES // len(chosen))
        frames = [frame.gather_every(max(1, frame.height // each))[:each] for frame in map(self.rows, chosen)]
        return Rows(*self.examples(pl.concat(frames, how="vertical")))
