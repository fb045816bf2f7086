"""How rows are divided into train, validation and test splits: a pure function of the split seed.

Random splits are stratified for classes. Rows that belong together (a group, or copies of one row) form a
*unit*, which is never divided between splits; `dealing` decides which units are held out.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from thalweg.core.caller import option
from thalweg.core.errors import DataError
from thalweg.problem.data.data import CLASSIFICATION
from thalweg.problem.data.dealing import Kinds, Wish, deal
from thalweg.problem.data.labels import Target, check_class_sizes, listed
from thalweg.problem.data.note import Note
from thalweg.problem.data.options import RANDOM, TIME, LoadOptions

# Key of the random stream, counted down from 255 next to the purposes of `thalweg.core.keys`: a split shares
# no random word with the order of an epoch.
SPLIT = 254

# Copies are divided between the splits only if more than this share of the rows are copies and fewer rows
# than this differ. Such rows are combinations of a few values (class, age and sex of the passengers of a
# ship), not accidental repeats: a fifth of them would be a handful of inputs, none of which is in training.
MAX_COPIES = 0.5
FEW_DISTINCT = 50
# A split whose size is further from what was asked than this share of it is pointed out.
NOTED = 0.1
# Rows hashed at a time, and their bytes, few enough for the cache.
BLOCK, BLOCK_BYTES = 1024, 2**22

HeldOut = Mapping[str, tuple[np.ndarray, float]]  # by name: the rows of a split, and the share asked for


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
) -> tuple[list[dict[str, np.ndarray]], tuple[Note, ...]]:
    """Split rows with a target: stratified for classes, copies and groups kept together.

    Args:
        hashes: Of each row's inputs, or of its value in the column of `split=group=COLUMN`.
        target: The encoded target.
        options: Shares, kind of split, seed.
        separate_test: Whether the test split comes separately.

    Returns:
        (row indices by split, of every fold where there are folds; notes).
    """
    random, classes = options.split == RANDOM, target.task == CLASSIFICATION
    if options.group:
        units = first_copies(hashes)
        count = np.unique(units).size
        notes = (Note("group", f"{count} groups of {options.group}, each in one split only."),)
    else:
        units, notes = units_of(first_copies(hashes), random)
    share = 0.0 if separate_test else options.test_share
    if random and classes and share > 0:
        check_class_sizes(target)
    labels = target.values if classes else None
    if options.folds is not None:
        folds = fold_rows(hashes.size, options, labels=labels, units=units)
        text = f"{len(folds)} folds of about {folds[0].test.size} rows: each is the test split of one lane."
        return [fold.by_name() for fold in folds], (*notes, Note("folds", text))
    rows = split_rows(hashes.size, options, labels=labels, units=units, separate_test=separate_test)
    if options.split != TIME:
        held_out = {"test": (rows.test, share), "validation": (rows.validation, options.validation)}
        notes += _sizes_note(hashes.size, held_out, options.group) + _classes_note(target, held_out)
    return [rows.by_name()], notes


def _sizes_note(count: int, held_out: HeldOut, group: str | None) -> tuple[Note, ...]:
    """Note splits whose size differs much from what was asked, because units are not divided."""
    off, left = [], count
    for name, (rows, share) in held_out.items():
        asked = max(1, round(left * share)) if share > 0 else 0
        if abs(rows.size - asked) > max(1, NOTED * asked):
            off.append(f"{name} has {rows.size} of {left} rows ({rows.size / left:.1%}, asked {share:.1%})")
        left -= rows.size
    if not off:
        return ()
    why = f"rows of one {group}" if group else "copies of a row"
    return (Note("split", f"{'; '.join(off)}: {why} are never divided between splits."),)


def _classes_note(target: Target, held_out: HeldOut) -> tuple[Note, ...]:
    """Note classes that a split lacks although its share of them is a row or more, or that have one row."""
    if target.classes is None or target.values.ndim != 1:
        return ()
    left = np.bincount(target.values, minlength=len(target.classes))
    notes = []
    for name, (rows, share) in held_out.items():
        counts = np.bincount(target.values[rows], minlength=left.size)
        missing = [
            str(target.classes[i])
            for i in np.flatnonzero((counts == 0) & ((left * share >= 1) | (left == 1)))
        ]
        if share > 0 and missing:
            text = (
                f"the {name} split has no row of {listed(missing)}: too few rows, or rows that stay together."
            )
            notes.append(Note("split", text))
        left = left - counts
    return tuple(notes)


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
        draw = _Draw(options.split_seed, count, labels, units)
        rest, test = draw.hold_out(rows, share, options.validation)
        train, validation = draw.hold_out(rest, options.validation)
    given = f"{count} rows" if units is None else f"{count} rows in {np.unique(units).size} undivided groups"
    _check_filled(given, "test", share, test)
    _check_filled(given, "validation", options.validation, validation)
    if train.size < 1:
        hint = "give more rows, or smaller shares for test and validation"
        raise DataError("split", "the train split must have at least 1 row", got=given, hint=hint)
    return RowSplit(train, validation, test)


def fold_rows(
    count: int, options: LoadOptions, *, labels: np.ndarray | None = None, units: np.ndarray | None = None
) -> list[RowSplit]:
    """Deal rows into folds; in each, one part is the test split, and a share of the others for validation.

    Args:
        count, labels, units: As for `split_rows`.
        options: Number of folds, share of the validation split, seed.

    Raises:
        DataError: There are too few rows, or groups, for the folds.
    """
    assert options.folds is not None
    groups = count if units is None else np.unique(units).size
    units_given = "" if units is None else f" in {groups} undivided groups"
    got, rule = f"{count} rows{units_given}", f"{options.folds} folds must each have rows for every split"
    hint = f"use fewer folds, or {option('validation', 0)}"
    if options.folds > groups:
        raise DataError("split", rule, got=got, hint=hint)
    draw = _Draw(options.split_seed, count, labels, units)
    left, parts = np.arange(count), []
    for remaining in range(options.folds, 1, -1):
        left, part = draw.hold_out(left, 1 / remaining)
        parts.append(part)
    parts.append(left)
    splits = []
    for part in parts:
        rest = np.setdiff1d(np.arange(count), part, assume_unique=True)
        draw.words = draw.stream.random_raw(count)  # other validation rows in each fold
        train, validation = draw.hold_out(rest, options.validation)
        wanting = not part.size or not train.size or (options.validation > 0 and not validation.size)
        if wanting:
            raise DataError("split", rule, got=got, hint=hint)
        splits.append(RowSplit(train, validation, part))
    return splits


class _Draw:
    """Draws rows or units at random, class by class, until the share is reached."""

    def __init__(self, seed: int, count: int, labels: np.ndarray | None, units: np.ndarray | None):
        self.stream = np.random.Philox(key=np.array([seed % 2**64, SPLIT], dtype=np.uint64))
        self.words = self.stream.random_raw(count)
        self.labels = np.zeros(count, np.int64) if labels is None else labels
        self.units = np.arange(count) if units is None else units

    def hold_out(self, rows: np.ndarray, share: float, later: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
        """Return (the rows that remain, the rows held out), both ascending.

        Args:
            rows: The rows to divide.
            share: Share of them to hold out.
            later: Share of the remaining rows that another split will take.
        """
        if share <= 0 or rows.size == 0:
            return rows, rows[:0]
        heads, inverse = np.unique(self.units[rows], return_inverse=True)
        _, classes = np.unique(self.labels[rows], return_inverse=True)
        quotas = _quotas(np.bincount(classes), share)
        if heads.size == rows.size:
            drawn = self._draw_rows(heads, classes, quotas)
        else:
            drawn = self._draw_units(heads, inverse, classes, quotas, (share, later))
        return rows[~drawn[inverse]], rows[drawn[inverse]]

    def _draw_rows(self, heads: np.ndarray, classes: np.ndarray, quotas: np.ndarray) -> np.ndarray:
        order = np.lexsort((self.words[heads], classes))
        starts = np.searchsorted(classes[order], np.arange(quotas.size))
        drawn = np.zeros(heads.size, bool)
        drawn[order] = np.arange(heads.size) - starts[classes[order]] < quotas[classes[order]]
        return drawn

    def _draw_units(
        self,
        heads: np.ndarray,
        unit: np.ndarray,
        classes: np.ndarray,
        quotas: np.ndarray,
        shares: tuple[float, float],
    ) -> np.ndarray:
        words = self.words[heads]
        kinds = Kinds.of(unit, classes, words)
        counts, units = kinds.number @ kinds.rows, kinds.number @ kinds.occurs
        rows = np.append(quotas, quotas.sum())
        if rows.size != counts.size:  # too many classes and kinds of units to keep the quota of each
            rows = np.array([quotas.sum()] * 2)
        here, later = counts * shares[0], counts * (1 - shares[0]) * shares[1]
        here[-1] = np.inf  # some rows are asked for, however few
        keep = 1 + ((later >= 1) & (units >= 3))
        wish = Wish(rows, ((here >= 1) & (units >= 2)).astype(np.int64), np.maximum(units - keep, 0))
        chances = self.stream.random_raw(kinds.number.size) / 2.0**64
        return deal(kinds, wish, words, chances)


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


def _check_filled(given: str, name: str, share: float, rows: np.ndarray) -> None:
    if share > 0 and rows.size == 0:
        rule, hint = f"the {name} split must have at least 1 row", f"give more rows, or {option(name, 0)}"
        raise DataError("split", rule, got=given, hint=hint)


def row_hashes(rows: np.ndarray) -> np.ndarray:
    """Return a 64-bit hash of the bytes of each row of an array, `example`.

    Among a million different rows two have the same hash with probability below 1e-7.
    """
    flat = np.ascontiguousarray(rows).reshape(rows.shape[0], -1)
    whole = flat.view(np.dtype((np.void, flat.shape[1] * flat.itemsize)))[:, 0]
    rows_at_once = max(1, min(BLOCK, BLOCK_BYTES // max(1, whole.itemsize)))  # large pictures: a few
    blocks = (whole[first : first + rows_at_once].tolist() for first in range(0, whole.size, rows_at_once))
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
    distinct = first.size - copies
    if copies > MAX_COPIES * first.size and distinct < FEW_DISTINCT:
        text += (
            f", which take only {distinct} values: too few to divide, so test rows also occur in training."
        )
        return None, (Note("duplicates", text),)
    text += "; copies are kept in one split, so that no test row occurs in training."
    return first, (Note("duplicates", text),)


def shared_rows(train: np.ndarray, held_out: np.ndarray, split: str = "test") -> tuple[Note, ...]:
    """Note how many rows of a held-out split also occur in training; both are given by their hashes."""
    shared = int(np.isin(held_out, train).sum())
    if not shared:
        return ()
    text = (
        f"{shared} of {held_out.size} {split} rows also occur in training: the {split} score is too "
        "optimistic for new rows."
    )
    return (Note("duplicates", text),)
