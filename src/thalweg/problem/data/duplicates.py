"""Copies of the same row: kept in one part where rows are drawn at random, pointed out elsewhere."""

import numpy as np

from thalweg.problem.data.note import Note

# With more copies than this share, rows are combinations of a few values (votes, board positions) rather than
# slips, and keeping copies together would leave too few rows to draw from.
MOST_COPIES = 0.5
# Rows that are hashed at a time, few enough for the cache.
BLOCK = 1024


def row_hashes(rows: np.ndarray) -> np.ndarray:
    """Return a 64-bit hash of the bytes of each row of an array, `example`.

    Among a million rows two different ones meet with probability below 1e-7.
    """
    flat = np.ascontiguousarray(rows).reshape(rows.shape[0], -1)
    whole = flat.view(np.dtype((np.void, flat.shape[1] * flat.itemsize)))[:, 0]
    blocks = (whole[first : first + BLOCK].tolist() for first in range(0, whole.size, BLOCK))
    return np.fromiter((hash(row) for block in blocks for row in block), np.int64, whole.size)


def first_copies(hashes: np.ndarray) -> np.ndarray:
    """Return for each row, given by its hash, the index of the first row equal to it, `example`."""
    _, first, which = np.unique(hashes, return_index=True, return_inverse=True)
    return first[which]


def units_of(first: np.ndarray, drawn: bool) -> tuple[np.ndarray | None, tuple[Note, ...]]:
    """Return (units for the split, notes) from the first copies.

    Args:
        first: As from `first_copies`.
        drawn: Whether the parts are drawn at random here.
    """
    copies = int((first != np.arange(first.size)).sum())
    if copies == 0:
        return None, ()
    share = f"{copies} of {first.size} rows repeat the inputs of an earlier row"
    if not drawn:
        return None, (Note("duplicates", f"{share}."),)
    if copies > MOST_COPIES * first.size:
        text = f"{share}: too many to keep copies in one part, so the test part holds many known rows."
        return None, (Note("duplicates", text),)
    return first, (
        Note("duplicates", f"{share}; such rows were kept in one part, so that none leaks into the test."),
    )


def shared_rows(train: np.ndarray, test: np.ndarray) -> tuple[Note, ...]:
    """Point out test rows that the training part holds too; both are given by their hashes."""
    return shared_note(int(np.isin(test, train).sum()), test.shape[0])


def shared_note(found: int, count: int) -> tuple[Note, ...]:
    """Return the note on test rows that also lie in the training part, if any do."""
    if not found:
        return ()
    text = (
        f"{found} of {count} test rows also lie in the training part: the test flatters what learns by heart."
    )
    return (Note("duplicates", text),)
