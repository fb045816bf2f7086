"""How sure a test figure is: intervals for one run and for two runs on the same examples.

All intervals here cover one thing only, which test examples happened to be drawn. They do not cover the seed
of the training run: with one run each that part is not known.
"""

import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float

Z95 = 1.959963984540054  # the 97.5 % point of the normal distribution: two-sided 95 %
RESAMPLES = 2000  # Efron & Tibshirani 1993 advise 1000 or more for percentile intervals
MOST_BLOCKS = (
    20_000  # above this, examples are resampled in random blocks: bounded work, same variance of means
)


def wilson(right: int, number: int) -> tuple[float, float]:
    """Return the 95 % Wilson score interval of a share.

    Args:
        right: Successes.
        number: Trials, at least 1.

    Reference: Wilson, Probable Inference, the Law of Succession, and Statistical Inference, 1927; advised for
    all sizes by Brown, Cai & DasGupta, Interval Estimation for a Binomial Proportion, 2001.
    """
    share, z2 = right / number, Z95**2
    centre = (share + z2 / (2 * number)) / (1 + z2 / number)
    half = Z95 / (1 + z2 / number) * math.sqrt(share * (1 - share) / number + z2 / (4 * number**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def paired_shares(
    first_right: Bool[np.ndarray, " n"], second_right: Bool[np.ndarray, " n"]
) -> tuple[float, float, float]:
    """Return the difference of two shares on the same examples, with its 95 % interval.

    With b examples only the first has right and c only the second, of n: `p12 = (b+1)/(n+2)`,
    `p21 = (c+1)/(n+2)`, interval `p21 - p12 ± z sqrt((p12 + p21 - (p12 - p21)^2) / (n+2))`.

    Returns:
        Second minus first (the plain difference, (c-b)/n), low end, high end.

    Reference: Bonett & Price, Adjusted Wald Confidence Interval for a Difference of Binomial Proportions
    Based on Paired Data, 2012.
    """
    number = len(first_right)
    only_first, only_second = _discordant(first_right, second_right)
    p12, p21 = (only_first + 1) / (number + 2), (only_second + 1) / (number + 2)
    half = Z95 * math.sqrt((p12 + p21 - (p12 - p21) ** 2) / (number + 2))
    return (only_second - only_first) / number, max(-1.0, p21 - p12 - half), min(1.0, p21 - p12 + half)


def mcnemar_mid_p(first_right: Bool[np.ndarray, " n"], second_right: Bool[np.ndarray, " n"]) -> float:
    """Return the two-sided mid-p value of McNemar's test: that both runs are right equally often.

    With b and c as in `paired_shares`, and X ~ Binomial(b+c, 1/2):
    `p = 2 P(X <= min(b,c)) - P(X = min(b,c))`; 1 when b = c.

    Reference: McNemar 1947; Fagerland, Lydersen & Laake, The McNemar Test for Binary Matched-pairs Data:
    Mid-p and Asymptotic are Better than Exact Conditional, 2013.
    """
    only_first, only_second = _discordant(first_right, second_right)
    number, fewer = only_first + only_second, min(only_first, only_second)
    if only_first == only_second:
        return 1.0
    at = [_log_binomial(number, k) - number * math.log(2) for k in range(fewer + 1)]
    return min(1.0, 2 * sum(map(math.exp, at)) - math.exp(at[-1]))


def bootstrap(
    columns: Float[np.ndarray, "n k"], statistic: Callable[[np.ndarray], np.ndarray], seed: int = 0
) -> tuple[float, float]:
    """Return the 95 % percentile bootstrap interval of a function of column means.

    Rows are drawn with replacement together, so that two runs' errors on one example stay paired. The draws
    come from a fixed seed: the same figures give the same interval.

    Args:
        columns: One row for each example, for example squared errors of two runs.
        statistic: Means `(resamples, k)` to values `(resamples,)`, for example the difference of roots.

    Reference: Efron & Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    random = np.random.default_rng(seed)
    blocks = _in_blocks(np.asarray(columns, np.float64), random)
    means = np.stack(
        [blocks[random.integers(0, len(blocks), len(blocks))].mean(axis=0) for _ in range(RESAMPLES)]
    )
    low, high = np.quantile(statistic(means), [0.025, 0.975])
    return float(low), float(high)


def _in_blocks(
    columns: Float[np.ndarray, "n k"], random: np.random.Generator
) -> Float[np.ndarray, "block k"]:
    """Average rows in random blocks of equal size once there are more than MOST_BLOCKS.

    The few rows that do not fill a block (less than one in MOST_BLOCKS) are left out.
    """
    within = -(-len(columns) // MOST_BLOCKS)
    if within <= 1:
        return columns
    number = len(columns) // within
    chosen = random.permutation(len(columns))[: number * within]
    return columns[chosen].reshape(number, within, -1).mean(axis=1)


def _discordant(first_right: Bool[np.ndarray, " n"], second_right: Bool[np.ndarray, " n"]) -> tuple[int, int]:
    return int((first_right & ~second_right).sum()), int((~first_right & second_right).sum())


def _log_binomial(number: int, k: int) -> float:
    return math.lgamma(number + 1) - math.lgamma(k + 1) - math.lgamma(number - k + 1)
