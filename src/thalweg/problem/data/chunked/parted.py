"""Which rows are for training, validation and test: a hash of the row's number decides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# SplitMix64 (Steele, Lea and Flood, Fast Splittable Pseudorandom Number Generators, 2014).
_GOLDEN, _FIRST, _SECOND = (
    np.uint64(n) for n in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
)
TRAIN, VALIDATION, TEST, UNUSED = 0, 1, 2, 3
_PARTS, _KEPT = 0, 1  # what a hash is drawn for


@dataclass(frozen=True)
class Parting:
    """How rows are dealt.

    Args:
        test, validation: Shares of all rows.
        seed: Selects one of the divisions.
        most: Held-out rows that are kept for evaluation, of each part; the hash chooses them.
        count: Rows in all.
    """

    test: float
    validation: float
    seed: int
    most: int
    count: int

    def of(self, start: int, count: int) -> np.ndarray:
        """Return the part of each of `count` rows from number `start` on: `TRAIN`, ..., `UNUSED`."""
        drawn = _uniform(start, count, self.seed, _PARTS)
        parts = np.full(count, TRAIN, np.uint8)
        parts[drawn < self.test + self.validation] = VALIDATION
        parts[drawn < self.test] = TEST
        for part, share in ((TEST, self.test), (VALIDATION, self.validation)):
            kept = self.kept(share)
            if kept < 1:
                left_out = (parts == part) & (_uniform(start, count, self.seed, _KEPT) >= kept)
                parts[left_out] = UNUSED
        return parts

    def kept(self, share: float) -> float:
        """Return the share of a held-out part's rows that are kept."""
        return min(1.0, self.most / max(1.0, share * self.count))


def _uniform(start: int, count: int, seed: int, purpose: int) -> np.ndarray:
    """Return a number in 0..1 for each row, a pure function of seed, purpose and the row's number."""
    with np.errstate(over="ignore"):
        key = _mixed(np.array([seed % 2**64], np.uint64) * _GOLDEN + np.uint64(purpose + 1))
        rows = np.arange(start, start + count, dtype=np.uint64)
        return (_mixed(_mixed(rows * _GOLDEN + key) + key) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mixed(words: np.ndarray) -> np.ndarray:
    words = (words ^ (words >> np.uint64(30))) * _FIRST
    words = (words ^ (words >> np.uint64(27))) * _SECOND
    return words ^ (words >> np.uint64(31))
