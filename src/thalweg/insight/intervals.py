"""95 % intervals: of a test figure over the choice of test examples, and of a mean over seeds.

Each interval covers one source of chance. Those over test examples (`wilson`, `paired_shares`, `bootstrap`)
say nothing about the seed of the training run; those over seeds (`estimate_mean`) nothing about the examples.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from thalweg.core.lazy import special
from thalweg.insight.wording import SHARES, measure

Z95 = 1.959963984540054  # the 97.5 % point of the normal distribution: two-sided 95 %
RESAMPLES = 2000  # Efron & Tibshirani 1993 advise 1000 or more for percentile intervals
# Of fewer than this many normal values the percentile interval of a mean square covers it in less than 80 of
# 100 samples (measured: 74 for 5 values, 41 for 2), and of one value it has no width.
FEWEST_RESAMPLED = 10
# With more examples than this, random blocks of them are resampled: bounded work, same variance of the mean.
MOST_BLOCKS = 20_000


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds.

    Args:
        mean: In the figure's own unit.
        low, high: Ends of its 95 % interval; None for a single value.
        number: How many values there are.
    """

    mean: float
    low: float | None
    high: float | None
    number: int

    @property
    def half(self) -> float | None:
        """Half the width of the interval; None for a single value."""
        return None if self.high is None else self.high - self.mean

    def text(self, name: str | None = None) -> str:
        """Write the mean as the metric `name` is written, with the interval where there is one."""
        mean = measure(name, self.mean)
        if self.low is None or self.high is None or self.low == self.high:
            return mean
        return f"{mean} ({range_text(name, (self.low, self.high))})"


def range_text(name: str | None, interval: tuple[float, float]) -> str:
    """Write an interval as the metric `name` is written: `94.23 to 96.10 %`."""
    # Student's interval of a share may reach beyond the possible.
    ends = (min(1.0, max(0.0, end)) for end in interval) if name in SHARES else interval
    low, high = (measure(name, end) for end in ends)
    both = low.endswith(" %") and high.endswith(" %")
    return f"{low.removesuffix(' %') if both else low} to {high}"


def estimate_mean(values: Iterable[float], overlap: float = 0.0) -> Estimate | None:
    """Return the mean with its 95 % interval; None without values.

    Args:
        values: One for each seed or fold.
        overlap: Test rows over training rows, for folds: their training rows overlap, so that their figures
            vary together, and the variance of the mean is `s^2 (1 / n + overlap)`. 0 for seeds.

    `mean ± t s / sqrt(n)`, with s the standard deviation (n - 1) and t the 97.5 % point of Student's t with
    n - 1 degrees of freedom. Exact for normally distributed values; wide for few of them (t = 12.7 for two,
    4.3 for three, 2.8 for five).

    References: Student, The Probable Error of a Mean, 1908; Nadeau & Bengio, Inference for the Generalization
    Error, 2003 (the variance over folds).
    """
    sample = np.asarray(list(values), np.float64)
    if not len(sample):
        return None
    mean = float(sample.mean())
    if len(sample) == 1:
        return Estimate(mean, None, None, 1)
    error = sample.std(ddof=1) * np.sqrt(1 / len(sample) + overlap)
    half = float(special.stdtrit(len(sample) - 1, 0.975) * error)
    return Estimate(mean, mean - half, mean + half, len(sample))


def paired_difference(
    values: Mapping[Any, float | None], baseline: Mapping[Any, float | None], overlap: float = 0.0
) -> Estimate | None:
    """Return the mean of `values - baseline` over the seeds (or folds) that have both; None where none has.

    Args:
        values, baseline: A figure for each seed or fold; None where the lane has none.
        overlap: As for `estimate_mean`.
    """
    both = ((values[seed], baseline[seed]) for seed in values if seed in baseline)
    differences = (value - other for value, other in both if value is not None and other is not None)
    return estimate_mean(differences, overlap)


def wilson(right: int, number: int) -> tuple[float, float]:
    """Return the 95 % Wilson score interval of a share.

    Args:
        right: Successes.
        number: Trials, at least 1.

    Reference: Wilson, Probable Inference, the Law of Succession, and Statistical Inference, 1927; recommended
    for all sizes by Brown, Cai & DasGupta, Interval Estimation for a Binomial Proportion, 2001.
    """
    share, z2 = right / number, Z95**2
    centre = (share + z2 / (2 * number)) / (1 + z2 / number)
    half = Z95 / (1 + z2 / number) * math.sqrt(share * (1 - share) / number + z2 / (4 * number**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def paired_shares(
    first_right: Bool[np.ndarray, " n"], second_right: Bool[np.ndarray, " n"]
) -> tuple[float, float, float]:
    """Return the difference of two shares on the same examples, with its 95 % interval.

    With b examples of n that only the first has right and c that only the second has right:
    `p12 = (b+1)/(n+2)`, `p21 = (c+1)/(n+2)`, and the interval is
    `p21 - p12 ± z sqrt((p12 + p21 - (p12 - p21)^2) / (n+2))`.

    Returns:
        Second minus first (the plain difference, (c-b)/n), low end, high end.

    Reference: Bonett & Price, Adjusted Wald Confidence Interval for a Difference of Binomial Proportions
    Based on Paired Data, 2012.
    """
    number = len(first_right)
    only_first, only_second = discordant(first_right, second_right)
    p12, p21 = (only_first + 1) / (number + 2), (only_second + 1) / (number + 2)
    half = Z95 * math.sqrt((p12 + p21 - (p12 - p21) ** 2) / (number + 2))
    return (only_second - only_first) / number, max(-1.0, p21 - p12 - half), min(1.0, p21 - p12 + half)


def mcnemar_mid_p(first_right: Bool[np.ndarray, " n"], second_right: Bool[np.ndarray, " n"]) -> float:
    """Return the two-sided mid-p value of McNemar's test: that both runs are right equally often.

    With b and c as in `paired_shares`, and X ~ Binomial(b+c, 1/2):
    `2 P(X <= min(b, c)) - P(X = min(b, c))`, and 1 where b = c.

    Reference: Fagerland, Lydersen & Laake, The McNemar Test for Binary Matched-pairs Data:
    Mid-p and Asymptotic are Better than Exact Conditional, 2013.
    """
    only_first, only_second = discordant(first_right, second_right)
    number, fewer = only_first + only_second, min(only_first, only_second)
    if only_first == only_second:
        return 1.0
    at = [_log_binomial(number, k) - number * math.log(2) for k in range(fewer + 1)]
    return min(1.0, 2 * sum(map(math.exp, at)) - math.exp(at[-1]))


def discordant(first_right: Bool[np.ndarray, " n"], second_right: Bool[np.ndarray, " n"]) -> tuple[int, int]:
    """Count the examples that only the first run has right, and those that only the second has right."""
    return int((first_right & ~second_right).sum()), int((~first_right & second_right).sum())


def bootstrap(
    columns: Float[np.ndarray, "n k"], statistic: Callable[[np.ndarray], np.ndarray], seed: int = 0
) -> tuple[float, float]:
    """Return the 95 % percentile bootstrap interval of a function of column means.

    Whole rows are drawn with replacement, so two runs' errors on one example stay paired. The draws come from
    a fixed seed: equal figures give equal intervals.

    Args:
        columns: One row per example, such as the squared errors of two runs; callers give no interval for
            fewer than FEWEST_RESAMPLED.
        statistic: Maps means `(resamples, k)` to values `(resamples,)`, such as a difference of roots.

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
    """Average rows in random blocks of equal size where there are more than MOST_BLOCKS.

    Rows that do not fill a block (fewer than one in MOST_BLOCKS) are left out.
    """
    size = -(-len(columns) // MOST_BLOCKS)
    if size <= 1:
        return columns
    number = len(columns) // size
    chosen = random.permutation(len(columns))[: number * size]
    return columns[chosen].reshape(number, size, -1).mean(axis=1)


def _log_binomial(number: int, k: int) -> float:
    return math.lgamma(number + 1) - math.lgamma(k + 1) - math.lgamma(number - k + 1)


def anytime(
    differences: Iterable[float], level: float = 0.95, spread: float = 0.05
) -> tuple[float, float] | None:
    """Return an interval of a mean that may be looked at as it grows; None for fewer than two values.

    All means mu with `M(mu) < 1 / (1 - level)` for the mixture `M = sqrt(c / (n + c)) ((n + c) V / ((n + c)
    V - S^2))^(n/2)`, where S and V are the sum and the sum of squares of the deviations from mu, and effects
    in units of the noise have a normal prior of variance 1/c. It holds at all sample sizes at once.

    Args:
        differences: Values, such as paired differences over seeds.
        level: Its confidence.
        spread: c. Its default expects effects of four to five times the noise: repairs are large.

    Reference: Wang & Ramdas, Anytime-valid t-tests and Confidence Sequences for Gaussian Means with Unknown
    Variance, 2025, after Lai 1976.
    """
    values = np.asarray(list(differences), np.float64)
    n = len(values)
    if n < 2 or not np.isfinite(values).all():
        return None
    mean, squares = float(values.mean()), float(((values - values.mean()) ** 2).sum())
    # With d = mean - mu: V = squares + n d^2, S = n d. M < limit is an upper bound of d^2 / squares.
    limit = ((1 / (1 - level)) * math.sqrt((n + spread) / spread)) ** (2 / n)
    denominator = n * (n + spread - spread * limit)
    if denominator <= 0:
        return (mean, mean) if squares == 0 else (-math.inf, math.inf)
    half = math.sqrt((limit - 1) * (n + spread) * squares / denominator)
    return mean - half, mean + half


def sequential(differences: Iterable[float], level: float = 0.95) -> tuple[float, float] | None:
    """Return an interval of a mean that may be looked at from three values on; None for fewer than two.

    Student's interval at the confidence `1 - (1 - level) / 2^(n - 2)`: the errors of all looks, at three,
    four, five values and so on, sum to `1 - level`, so that all of them hold at once. At three values it is
    0.6 times as wide as `anytime`, at six as wide, beyond that wider. Two values have one only if they are
    equal.

    Args:
        differences: Values, such as paired differences over seeds.
        level: Its confidence over all looks.

    Reference: the union bound over looks, as in Jennison & Turnbull, Group Sequential Methods, 1999.
    """
    values = np.asarray(list(differences), np.float64)
    n = len(values)
    if n < 2 or not np.isfinite(values).all():
        return None
    mean = float(values.mean())
    if n == 2:
        return (mean, mean) if values[0] == values[1] else (-math.inf, math.inf)
    error = (1 - level) / 2 ** (n - 2)
    half = float(special.stdtrit(n - 1, 1 - error / 2) * values.std(ddof=1) / math.sqrt(n))
    return mean - half, mean + half
