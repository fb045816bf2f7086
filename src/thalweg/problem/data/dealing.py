"""Units of several rows are dealt out: some are held out, so that rows and classes come near their quotas.

A unit is never divided. Units with the same number of rows of each class are interchangeable: they are one
*kind*, and only how many of each kind are held out is decided. Which of them is drawn.

1. *Dealing*, the largest units first: of each kind the share that is still missing, rounded up or down at
   random, but not more than the quotas allow. Smaller units fill what is left; where there are too few of
   them, a quota is exceeded if that comes nearer to it.
2. *Improving*, until no step helps: hold out one unit more, one less, or exchange two. First so that every
   class occurs where it must, then to lower the cost `K (n - q)^2 + sum_k (n_k - q_k)^2`, with n rows held
   out of q asked for, and n_k of q_k in class k of K.

What follows for the size. Let each unit hold rows of one class. Where n > q, some class has
`n_k - q_k >= (n - q) / K`, and taking back its smallest held-out unit, of s rows, does not lower the cost:
`(K + 1) s^2 <= 2 s (K (n - q) + n_k - q_k)` fails, hence `n - q <= s (K + 1) / (2 K + 2 / K) < 0.61 s`. The
same holds where n < q, with the smallest unit of such a class that is not held out. Without classes it is
`|n - q| <= s / 2`. The exceptions are units that must stay for a class to occur in every split.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, UInt64

# Beyond so many cells in the table of kinds and classes (400 MB), quotas are kept for all rows together.
MOST_CELLS = 50_000_000
# Exchanges are tried among so many kinds, spread evenly over the sizes; with more, single units suffice.
MOST_EXCHANGED = 400


@dataclass(frozen=True)
class Kinds:
    """Units by kind, the largest first; kinds of one size in random order.

    Args:
        of_unit: Kind of each unit, `unit`.
        number: Units of each kind, `kind`.
        rows: Rows of each class in one unit of a kind; the last column is their sum, `kind class+1`.
    """

    of_unit: Int[np.ndarray, " unit"]
    number: Int[np.ndarray, " kind"]
    rows: Float[np.ndarray, "kind class_and_sum"]

    @property
    def occurs(self) -> Float[np.ndarray, "kind class_and_sum"]:
        """1 where a kind has a row of a class."""
        return (self.rows > 0).astype(float)

    @classmethod
    def of(
        cls, unit: Int[np.ndarray, " row"], label: Int[np.ndarray, " row"], words: UInt64[np.ndarray, " unit"]
    ) -> "Kinds":
        """Find the kinds.

        Args:
            unit: Unit of each row, 0, 1, ...
            label: Class of each row, 0, 1, ...
            words: A random word of each unit.
        """
        classes = int(label.max()) + 1
        # The sum of one fixed random number per row, by its class, tells the kind of a unit: two kinds among
        # a million have the same sum with probability below 1e-7.
        numbers = np.random.Philox(key=classes).random_raw(classes)
        sums, sizes = np.zeros(words.size, np.uint64), np.bincount(unit)
        np.add.at(sums, unit, numbers[label])
        _, first, kind, number = np.unique(sums, return_index=True, return_inverse=True, return_counts=True)
        order = np.lexsort((words[first], -sizes[first]))
        position = np.empty(order.size, np.int64)
        position[order] = np.arange(order.size)
        of_unit, first = position[kind], first[order]
        if first.size * classes > MOST_CELLS:
            classes, label = 1, np.zeros_like(label)
        rows = np.zeros((first.size, classes + 1))
        is_first = np.zeros(words.size, bool)
        is_first[first] = True
        counted = is_first[unit]
        np.add.at(rows, (of_unit[unit[counted]], label[counted]), 1)
        rows[:, -1] = sizes[first]
        return cls(of_unit, number[order], rows)


@dataclass(frozen=True)
class Wish:
    """What is asked of the units that are held out; the last of each is for all rows together.

    Args:
        rows: Rows to hold out, by class.
        least: Units with a row of a class that must be held out, by class: 0 or 1.
        most: Units with a row of a class that may be held out, by class.
    """

    rows: Float[np.ndarray, " class_and_sum"]
    least: Int[np.ndarray, " class_and_sum"]
    most: Int[np.ndarray, " class_and_sum"]


def deal(
    kinds: Kinds, wish: Wish, words: UInt64[np.ndarray, " unit"], chances: Float[np.ndarray, " kind"]
) -> Bool[np.ndarray, " unit"]:
    """Return which units are held out, `unit` of bool.

    Args:
        kinds: The units.
        wish: What is asked.
        words: A random word of each unit; of a kind, those with the lowest words are drawn.
        chances: A random number in [0, 1) for each kind.
    """
    drawn = _improved(kinds, wish, _dealt(kinds, wish, chances))
    order = np.lexsort((words, kinds.of_unit))
    starts = np.cumsum(kinds.number) - kinds.number
    held_out = np.zeros(words.size, bool)
    held_out[order] = np.arange(order.size) - np.repeat(starts, kinds.number) < np.repeat(drawn, kinds.number)
    return held_out


def _weights(kinds: Kinds) -> Float[np.ndarray, " class_and_sum"]:
    """The weight of each squared deviation in the cost: all rows count as much as all classes together."""
    classes = kinds.rows.shape[1] - 1
    return np.append(np.ones(classes), float(classes))


def _dealt(kinds: Kinds, wish: Wish, chances: np.ndarray) -> Int[np.ndarray, " kind"]:
    """Return how many units of each kind are held out at first."""
    missing, left = wish.rows.copy(), kinds.number @ kinds.rows
    drawn = np.zeros(kinds.number.size, np.int64)
    for kind, (number, rows) in enumerate(zip(kinds.number, kinds.rows, strict=True)):
        here = np.flatnonzero(rows[:-1])
        shares = np.maximum(missing[here], 0) / left[here]
        # Rounded so that a share which is exactly a whole number of units is not one unit off.
        fair = round(float(number * (rows[here] @ shares) / rows[-1]), 6)
        left -= number * rows
        # Of a mixed unit only the size is limited: of one class it nearly always has too many rows.
        limited = np.append(here, -1) if here.size == 1 else np.array([-1])
        filled_later = (left[limited] >= missing[limited]).all()
        most = (missing[limited] / rows[limited]).min() + (0.0 if filled_later else 0.5)
        drawn[kind] = max(0, min(int(fair + chances[kind]), number, int(most)))
        missing -= drawn[kind] * rows
    return drawn


def _improved(kinds: Kinds, wish: Wish, drawn: np.ndarray) -> Int[np.ndarray, " kind"]:
    """Take the best step until none helps. Each lowers (unmet needs, cost), so there is an end."""
    drawn = drawn.copy()
    exchanged = np.unique(np.linspace(0, drawn.size - 1, MOST_EXCHANGED).astype(int))
    while True:
        steps = _Steps.of(kinds, wish, drawn)
        step = steps.single() or steps.exchange(exchanged)
        if step is None:
            return drawn
        for kind, change in step:
            drawn[kind] += change


@dataclass(frozen=True)
class _Steps:
    """What one unit more or less of each kind changes.

    Args:
        occurs: As in `Kinds`.
        spare, held: Whether a unit of a kind is left, and whether one is held out.
        more, less: Change of unmet needs by class, for one unit with the class more, or less.
        square, slope: One more changes the cost by `square + slope`, one less by `square - slope`.
        scaled: Rows times the root of the weights, whose products are the cost's mixed terms.
    """

    occurs: np.ndarray
    spare: np.ndarray
    held: np.ndarray
    more: np.ndarray
    less: np.ndarray
    square: np.ndarray
    slope: np.ndarray
    scaled: np.ndarray

    @classmethod
    def of(cls, kinds: Kinds, wish: Wish, drawn: np.ndarray) -> "_Steps":
        units = drawn @ kinds.occurs

        def unmet(count: np.ndarray) -> np.ndarray:
            # Training comes first: it must not lose its last unit to a split that has none.
            return np.maximum(wish.least - count, 0) + 2 * np.maximum(count - wish.most, 0)

        weights = _weights(kinds)
        return cls(
            occurs=kinds.occurs,
            spare=drawn < kinds.number,
            held=drawn > 0,
            more=unmet(units + 1) - unmet(units),
            less=unmet(units - 1) - unmet(units),
            square=kinds.rows**2 @ weights,
            slope=2 * kinds.rows @ (weights * (drawn @ kinds.rows - wish.rows)),
            scaled=kinds.rows * np.sqrt(weights),
        )

    def single(self) -> list[tuple[int, int]] | None:
        """Return the best step of one unit, as (kind, change); None if none helps."""
        needs = np.concatenate([self.occurs @ self.more, self.occurs @ self.less])
        cost = np.concatenate([self.square + self.slope, self.square - self.slope])
        best = _best(needs, cost, np.concatenate([self.spare, self.held]))
        if best is None:
            return None
        count = self.square.size
        return [(best, 1)] if best < count else [(best - count, -1)]

    def exchange(self, kinds: np.ndarray) -> list[tuple[int, int]] | None:
        """Return the best exchange of two units of `kinds`; None if none helps."""
        occurs, scaled = self.occurs[kinds], self.scaled[kinds]
        gain, loss = occurs @ self.more, occurs @ self.less
        needs = gain[:, None] + loss[None] - (occurs * (self.more + self.less)) @ occurs.T
        into, out = (self.square + self.slope)[kinds], (self.square - self.slope)[kinds]
        cost = into[:, None] + out[None] - 2 * scaled @ scaled.T
        best = _best(needs.ravel(), cost.ravel(), np.outer(self.spare[kinds], self.held[kinds]).ravel())
        if best is None:
            return None
        more, less = divmod(best, kinds.size)
        return [(int(kinds[more]), 1), (int(kinds[less]), -1)]


def _best(needs: np.ndarray, cost: np.ndarray, possible: np.ndarray) -> int | None:
    """Return the step that meets most needs, and among those the cheapest; None if none lowers either."""
    if not possible.any():
        return None
    fewest = min(0.0, needs[possible].min())
    candidates = np.flatnonzero(possible & (needs == fewest))
    if not candidates.size:
        return None
    best = candidates[cost[candidates].argmin()]
    return int(best) if fewest < 0 or cost[best] < -0.5 else None  # costs are whole numbers
