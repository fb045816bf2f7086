"""How rows are divided into train, validation and test splits: a pure function of the split seed.

Random splits are stratified for classes. Rows that belong together (a group, or copies of one row) form a
*unit*, which is never divided between splits.
"""

from dataclasses import dataclass

import numpy as np

from thalweg.core.errors import DataError
from thalweg.problem.data.data import CLASSIFICATION
from thalweg.problem.data.labels import Target, check_class_sizes
from thalweg.problem.data.note import Note
from thalweg.problem.data.options import RANDOM, TIME, LoadOptions

# Key of the random stream, counted down from 255 next to the purposes of `thalweg.core.keys`: a split shares
# no random word with the order of an epoch.
SPLIT = 254

# If more rows than this share are copies, rows are combinations of a few values (votes, board positions)
# rather than accidental repeats, and keeping copies together would leave too few rows to draw from.
MAX_COPIES = 0.5
# Rows hashed at a time, few enough for the cache.
BLOCK = 1024


@dataclass(frozen=True)
class RowSplit:
    """Row indices of each split, ascending; empty if there is no such split."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray

    def by_name(self) -> dict[str, np.ndarray]:
        """Return the row indices of the splits that exist, by name."""
        splits = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: rows for name, rows in splits.items() if rows.size}


def split_examples(
    hashes: np.ndarray, target: Target, options: LoadOptions, *, separate_test: bool
) -> tuple[dict[str, np.ndarray], tuple[Note, ...]]:
    """Split rows with a target: stratified for classes, copies and groups kept together.

    Args:
        hashes: Of each row's inputs, or of its value in the column of `split=group=COLUMN`.
        target: The encoded target.
        options: Shares, kind of split, seed.
        separate_test: Whether the test split comes separately.

    Returns:
        (row indices by split, notes).
    """
    random, classes = options.split == RANDOM, target.task == CLASSIFICATION
    if options.group:
        units = first_copies(hashes)
        count = np.unique(units).size
        notes = (Note("group", f"{count} groups of {options.group}, each in one split only."),)
    else:
        units, notes = units_of(first_copies(hashes), random)
    if random and classes and (0.0 if separate_test else options.test_share) + options.validation > 0:
        check_class_sizes(target)
    labels = target.values if classes else None
    rows = split_rows(hashes.size, options, labels=labels, units=units, separate_test=separate_test)
    return rows.by_name(), notes


def split_rows(
    count: int,
    options: LoadOptions,
    *,
    labels: np.ndarray | None = None,
    units: np.ndarray | None = None,
    separate_test: bool = False,
) -> RowSplit:
    """Split `count` rows.

    Args:
        count: Number of rows.
        options: Shares, kind of split, seed.
        labels: Class of each row (int), to give every split the same proportions; None: not stratified.
        units: For each row the index of the first row of its unit; None: each row is its own.
        separate_test: Whether the test split comes separately, so that none is taken from these rows.

    Raises:
        DataError: There are too few rows for the splits.
    """
    share = 0.0 if separate_test else options.test_share
    rows = np.arange(count)
    if options.split == TIME:
        rest, test = _cut(rows, share)
        train, validation = _cut(rest, options.validation)
    else:
        labels = labels if options.split == RANDOM else None
        draw = _Draw(options.split_seed, count, labels, units)
        rest, test = draw.hold_out(rows, share)
        train, validation = draw.hold_out(rest, options.validation)
    _check_filled(count, "test", share, test)
    _check_filled(count, "validation", options.validation, validation)
    if train.size < 1:
        hint = "give more rows, or smaller shares for test and validation"
        raise DataError("split", "the train split must have at least 1 row", got=f"{count} rows", hint=hint)
    return RowSplit(train, validation, test)


class _Draw:
    """Draws units at random, class by class, until the share is reached."""

    def __init__(self, seed: int, count: int, labels: np.ndarray | None, units: np.ndarray | None):
        stream = np.random.Philox(key=np.array([seed % 2**64, SPLIT], dtype=np.uint64))
        self.words = stream.random_raw(count)
        self.labels = np.zeros(count, np.int64) if labels is None else labels
        self.units = np.arange(count) if units is None else units

    def hold_out(self, rows: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
        """Return (the rows that remain, the rows held out), both ascending."""
        if share <= 0 or rows.size == 0:
            return rows, rows[:0]
        heads, inverse, sizes = np.unique(self.units[rows], return_inverse=True, return_counts=True)
        _, classes = np.unique(self.labels[heads], return_inverse=True)
        order = np.lexsort((self.words[heads], classes))
        ends = np.cumsum(sizes[order])
        starts = np.searchsorted(classes[order], np.arange(classes.max() + 1))
        before = (ends - sizes[order])[starts]
        within = ends - before[classes[order]] - sizes[order] / 2
        quotas = _quotas(np.bincount(classes, weights=sizes), share)
        drawn = np.zeros(heads.size, bool)
        drawn[order] = within <= quotas[classes[order]]
        if not drawn.any() and heads.size > 1:  # every unit is larger than the share: take a smallest one
            drawn[order[sizes[order].argmin()]] = True
        return rows[~drawn[inverse]], rows[drawn[inverse]]


def _quotas(counts: np.ndarray, share: float) -> np.ndarray:
    """Return how many rows of each class to hold out: the share of all rows, by largest remainders."""
    exact = counts * share
    quotas = np.floor(exact)
    remaining = max(1, round(float(counts.sum() * share))) - int(quotas.sum())
    by_remainder = np.argsort(-(exact - quotas), kind="stable")
    quotas[by_remainder[:remaining]] += 1
    return np.minimum(quotas, np.maximum(counts - 1, 0))  # every class keeps a row for training


def _cut(rows: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
    border = rows.size - (max(1, round(rows.size * share)) if share > 0 else 0)
    return rows[:border], rows[border:]


def _check_filled(count: int, name: str, share: float, rows: np.ndarray) -> None:
    if share > 0 and rows.size == 0:
        rule, hint = f"the {name} split must have at least 1 row", f"give more rows, or {name}=0"
        raise DataError("split", rule, got=f"{count} rows", hint=hint)


def row_hashes(rows: np.ndarray) -> np.ndarray:
    """Return a 64-bit hash of the bytes of each row of an array, `example`.

    Among a million different rows two have the same hash with probability below 1e-7.
    """
    flat = np.ascontiguousarray(rows).reshape(rows.shape[0], -1)
    whole = flat.view(np.dtype((np.void, flat.shape[1] * flat.itemsize)))[:, 0]
    blocks = (whole[first : first + BLOCK].tolist() for first in range(0, whole.size, BLOCK))
    return np.fromiter((hash(row) for block in blocks for row in block), np.int64, whole.size)


def first_copies(hashes: np.ndarray) -> np.ndarray:
    """Return for each row, given by its hash, the index of the first row equal to it, `example`."""
    _, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    return first[inverse]


def units_of(first: np.ndarray, random: bool) -> tuple[np.ndarray | None, tuple[Note, ...]]:
    """Return (units for the split, notes) from the first copy of each row.

    Args:
        first: As from `first_copies`.
        random: Whether the splits are drawn at random.
    """
    copies = int((first != np.arange(first.size)).sum())
    if copies == 0:
        return None, ()
    text = f"{copies} of {first.size} rows repeat the inputs of an earlier row"
    if not random:
        return None, (Note("duplicates", f"{text}."),)
    if copies > MAX_COPIES * first.size:
        text += ": too many to keep copies in one split, so many test rows also occur in training."
        return None, (Note("duplicates", text),)
    text += "; copies are kept in one split, so that no test row occurs in training."
    return first, (Note("duplicates", text),)


def shared_rows(train: np.ndarray, test: np.ndarray) -> tuple[Note, ...]:
    """Note how many test rows also occur in training; both are given by their hashes."""
    shared = int(np.isin(test, train).sum())
    if not shared:
        return ()
    text = (
        f"{shared} of {test.size} test rows also occur in training: the test score is too optimistic for new "
        "rows."
    )
    return (Note("duplicates", text),)
