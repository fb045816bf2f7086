"""Which rows go where: train, validation and test indices as a pure function of the split seed.

Random splits are stratified for classes. Rows that belong together (a group, or copies of one row) are
a *unit* and never separated.
"""

from dataclasses import dataclass

import numpy as np

from thalweg.core.errors import DataError
from thalweg.problem.data.options import RANDOM, TIME, LoadOptions

# A purpose of its own, counted down from 255 beside those of `thalweg.core.keys`: a split shares no random
# word with the order of an epoch.
SPLIT = 254


@dataclass(frozen=True)
class Split:
    """Row indices of each part, ascending. Empty where there is no such part."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def split_rows(
    count: int,
    options: LoadOptions,
    *,
    labels: np.ndarray | None = None,
    units: np.ndarray | None = None,
    test_share: float | None = None,
) -> Split:
    """Split `count` rows.

    Args:
        count: Number of rows.
        options: Shares, kind of split, seed.
        labels: Class of each row (int), to give every part the same mix; None for no such care.
        units: For each row the index of the first row of its unit; None: each row is its own.
        test_share: Overrides the share for the test part (0 where the set brings its own).

    Raises:
        DataError: There are too few rows for the parts asked for.
    """
    share = options.test_share if test_share is None else test_share
    rows = np.arange(count)
    if options.split == TIME:
        rest, test = _cut(rows, share)
        train, validation = _cut(rest, options.validation)
    else:
        labels = labels if options.split == RANDOM else None
        draw = _Draw(options.split_seed, count, labels, units)
        rest, test = draw.apart(rows, share)
        train, validation = draw.apart(rest, options.validation)
    _check_filled(count, {"test": (share, test), "validation": (options.validation, validation)}, train)
    return Split(train, validation, test)


class _Draw:
    """Draws units at random, class by class, until the share is reached."""

    def __init__(self, seed: int, count: int, labels: np.ndarray | None, units: np.ndarray | None):
        stream = np.random.Philox(key=np.array([seed % 2**64, SPLIT], dtype=np.uint64))
        self.words = stream.random_raw(count)
        self.labels = np.zeros(count, np.int64) if labels is None else labels
        self.units = np.arange(count) if units is None else units

    def apart(self, rows: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
        """Return (what stays, what is drawn), both ascending."""
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
        if not drawn.any() and heads.size > 1:  # every unit is larger than the share: take a smallest
            drawn[order[sizes[order].argmin()]] = True
        return rows[~drawn[inverse]], rows[drawn[inverse]]


def _quotas(counts: np.ndarray, share: float) -> np.ndarray:
    """Whole rows for each class that sum to the share of all rows, by largest remainders."""
    exact = counts * share
    quotas = np.floor(exact)
    left = max(1, round(float(counts.sum() * share))) - int(quotas.sum())
    by_remainder = np.argsort(-(exact - quotas), kind="stable")
    quotas[by_remainder[:left]] += 1
    return np.minimum(quotas, np.maximum(counts - 1, 0))  # every class keeps a row for training


def _cut(rows: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
    at = rows.size - (max(1, round(rows.size * share)) if share > 0 else 0)
    return rows[:at], rows[at:]


def _check_filled(count: int, parts: dict[str, tuple[float, np.ndarray]], train: np.ndarray) -> None:
    for name, (share, rows) in parts.items():
        if share > 0 and rows.size == 0:
            raise DataError(
                "split",
                f"the {name} part must have at least 1 row",
                got=f"{count} rows",
                hint=f"give more rows, or {name}=0",
            )
    if train.size < 1:
        raise DataError(
            "split",
            "the training part must have at least 1 row",
            got=f"{count} rows",
            hint="give more rows, or smaller shares for test and validation",
        )
