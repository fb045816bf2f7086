"""Who wins a race: paired differences over seeds, tested while they come in.

Two ways. The e-process may be looked at after every seed: the chance that it ever calls a difference between
equal contestants is at most the level. The fast way looks at fixed numbers of seeds with Student's t test,
each look at its share of the level. Both are corrected for the number of pairs by Holm's method.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from thalweg.core.lazy import special
from thalweg.insight.intervals import anytime

LEVEL = 0.05
# c of the e-process: effects in units of the noise have a normal prior of variance 1/c.
SPREAD = 1.0
# Seeds at which the fast way looks.
FAST_LOOKS = (5, 10, 20)
# A third moment this many standard errors from 0 is called skewed.
SKEWED = 2.0


@dataclass(frozen=True)
class Pair:
    """Two contestants, compared seed by seed.

    Args:
        first, second: Their names.
        difference: Mean of the first's values minus the second's.
        low, high: 95 % interval of that, for all pairs and looks together; None for fewer than two seeds.
        seeds: How many seeds were compared.
        p: The p-value, corrected for the number of pairs; valid at whatever number of seeds the race stopped.
        winner: The better of the two; None: cannot tell.
        decided_at: Seeds after which that was settled; None where it is not.
        skewed: Whether the differences are skewed, which the tests' assumption (normal noise) excludes.
    """

    first: str
    second: str
    difference: float
    low: float | None
    high: float | None
    seeds: int
    p: float
    winner: str | None
    decided_at: int | None
    skewed: bool


def e_process(differences: Sequence[float], spread: float = SPREAD) -> Float[np.ndarray, " seed"]:
    """Return the evidence against a mean of 0 after each value: 1 for none, 20 for level 0.05.

    The t-mixture e-process `E = sqrt(c / (n + c)) ((n + c) V / ((n + c) V - S^2))^(n/2)`, where S is the sum
    of the n values and V that of their squares. For normal values with mean 0 and any variance it is a
    martingale in what is invariant to scale, so the chance that it ever reaches 1/a is at most a, whenever
    one looks or stops (Ville's inequality).

    Args:
        differences: Paired differences, in the order in which they came.
        spread: c, see SPREAD.

    Reference: Wang & Ramdas, Anytime-valid t-tests and Confidence Sequences for Gaussian Means with Unknown
    Variance, 2025, after Lai, On Confidence Sequences, 1976; Perez-Ortiz, Lardy, de Heide & Grunwald,
    E-statistics, Group Invariance and Anytime-valid Testing, 2024.
    """
    values = np.asarray(differences, np.float64)
    n = np.arange(1, len(values) + 1)
    sums, squares = np.cumsum(values), np.cumsum(values**2)
    total = (n + spread) * squares
    with np.errstate(divide="ignore", invalid="ignore"):
        grown = n / 2 * (np.log(total) - np.log(np.maximum(total - sums**2, 0.0)))
    logs = 0.5 * np.log(spread / (n + spread)) + grown
    # Equal contestants: no evidence at all. Equal differences: bounded by what n values can show.
    return np.exp(np.where(squares > 0, np.minimum(logs, 700.0), 0.0))


def p_value(differences: Sequence[float], fast: bool) -> tuple[float, int]:
    """Return the p-value of a mean of 0 and after how many values it was reached.

    Args:
        differences: Paired differences, in order.
        fast: Whether to look at `FAST_LOOKS` only, by Student's t test, times the number of looks
            (Bonferroni); else `1 / max E` over all looks.
    """
    values = np.asarray(differences, np.float64)
    if len(values) < 2:
        return 1.0, len(values)
    if not fast:
        evidence = e_process(differences)
        at = int(evidence.argmax())
        return min(1.0, 1 / float(evidence[at])), at + 1
    found = [(_t_test(values[:look]), look) for look in FAST_LOOKS if look <= len(values)]
    p, look = min(found, default=(1.0, len(values)))
    return min(1.0, len(FAST_LOOKS) * p), look


def holm(p: Sequence[float]) -> list[float]:
    """Return p-values corrected so that all calls together err at most at the level.

    Reference: Holm, A Simple Sequentially Rejective Multiple Test Procedure, 1979.
    """
    order = np.argsort(np.asarray(p))
    corrected, largest = np.zeros(len(p)), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, (len(p) - rank) * p[index])
        corrected[index] = min(1.0, largest)
    return corrected.tolist()


def compare(
    values: dict[str, Sequence[float]], higher: bool = False, fast: bool = False, level: float = LEVEL
) -> list[Pair]:
    """Return the verdict on every pair of contestants.

    Args:
        values: For each contestant one value for each seed, in the order of the seeds.
        higher: Whether more is better.
        fast: See `p_value`.
        level: The chance that any call is wrong where there is no difference.
    """
    names = list(values)
    pairs = [(a, b) for number, a in enumerate(names) for b in names[number + 1 :]]
    differences = [np.subtract(values[a], values[b]) for a, b in pairs]
    found = [p_value(each.tolist(), fast) for each in differences]
    corrected = holm([p for p, _ in found])
    return [
        _pair(names_of, each, (p, at), len(pairs), higher, fast, level)
        for names_of, each, p, (_, at) in zip(pairs, differences, corrected, found, strict=True)
    ]


def _pair(
    names: tuple[str, str],
    differences: np.ndarray,
    found: tuple[float, int],
    pairs: int,
    higher: bool,
    fast: bool,
    level: float,
) -> Pair:
    p, at = found
    mean = float(differences.mean()) if len(differences) else 0.0
    decided = p <= level
    if decided and not fast:  # the first seed at which it would have been called among all pairs
        enough = np.flatnonzero(e_process(differences.tolist()) >= pairs / level)
        at = int(enough[0]) + 1 if len(enough) else at
    # The sign at the look that settled it.
    side = float(differences[:at].mean()) if decided else 0.0
    winner = names[0] if side and (side > 0) == higher else names[1] if side else None
    if fast:
        interval = student(differences, level / pairs / len(FAST_LOOKS))
    else:
        interval = anytime(differences, 1 - level / pairs, SPREAD)
    low, high = (None, None) if interval is None else interval
    return Pair(
        *names,
        mean,
        low,
        high,
        len(differences),
        p,
        winner if decided else None,
        at if decided else None,
        is_skewed(differences),
    )


def student(values: np.ndarray, level: float) -> tuple[float, float] | None:
    """Return Student's interval of a mean, at confidence `1 - level`; None for fewer than two values."""
    if len(values) < 2:
        return None
    half = float(
        special.stdtrit(len(values) - 1, 1 - level / 2) * values.std(ddof=1) / math.sqrt(len(values))
    )
    return float(values.mean()) - half, float(values.mean()) + half


def is_skewed(values: np.ndarray) -> bool:
    """Return whether the third moment of eight or more values is too large for normal ones.

    Reference: Joanes & Gill, Comparing Measures of Sample Skewness and Kurtosis, 1998 (its standard error for
    normal values).
    """
    n = len(values)
    if n < 8 or values.std() == 0:
        return False
    skewness = float(np.mean((values - values.mean()) ** 3) / values.std() ** 3)
    adjusted = skewness * math.sqrt(n * (n - 1)) / (n - 2)
    error = math.sqrt(6 * n * (n - 1) / ((n - 2) * (n + 1) * (n + 3)))
    return abs(adjusted) > SKEWED * error


def _t_test(values: np.ndarray) -> float:
    """Return the two-sided p-value of Student's t test of a mean of 0."""
    error = values.std(ddof=1) / math.sqrt(len(values))
    if error == 0:
        return 1.0 if values.mean() == 0 else 0.0
    return float(2 * special.stdtr(len(values) - 1, -abs(values.mean()) / error))
