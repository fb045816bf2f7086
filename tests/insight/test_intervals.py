"""Intervals against independent computations and against their own promise."""

import numpy as np
import pytest
from scipy import stats

from thalweg.insight import intervals


def pairs(both: int, only_first: int, only_second: int, neither: int):
    first = np.array([True] * (both + only_first) + [False] * (only_second + neither))
    second = np.array([True] * both + [False] * only_first + [True] * only_second + [False] * neither)
    return first, second


@pytest.mark.parametrize(("right", "number"), [(0, 5), (5, 5), (348, 359), (9731, 10000), (1, 2)])
def test_wilson_equals_scipy(right, number):
    expected = stats.binomtest(right, number).proportion_ci(method="wilson")
    assert intervals.wilson(right, number) == pytest.approx((expected.low, expected.high), abs=1e-12)


@pytest.mark.parametrize(("b", "c"), [(1, 7), (0, 15), (20, 3), (150, 190), (0, 1)])
def test_mid_p_equals_the_binomial_sum(b, c):
    first, second = pairs(10, b, c, 10)
    distribution = stats.binom(b + c, 0.5)
    expected = 2 * distribution.cdf(min(b, c)) - distribution.pmf(min(b, c))
    assert intervals.mcnemar_mid_p(first, second) == pytest.approx(expected, rel=1e-9)


def test_mid_p_of_the_published_example():
    # Airway hyper-responsiveness, 21 children, (b, c) = (1, 7): 0.039 (Fagerland, Lydersen & Laake 2013).
    assert intervals.mcnemar_mid_p(*pairs(1, 1, 7, 12)) == pytest.approx(0.0391, abs=5e-5)


def test_mid_p_is_one_when_both_are_right_equally_often():
    assert intervals.mcnemar_mid_p(*pairs(3, 4, 4, 3)) == 1.0


def test_paired_shares_by_hand():
    difference, low, high = intervals.paired_shares(*pairs(1, 1, 7, 12))
    p12, p21, n = 2 / 23, 8 / 23, 23
    half = 1.959964 * np.sqrt((p12 + p21 - (p12 - p21) ** 2) / n)
    assert difference == pytest.approx(6 / 21)
    assert (low, high) == pytest.approx((p21 - p12 - half, p21 - p12 + half), abs=1e-6)


def test_paired_shares_never_collapse_where_nobody_differs():
    _, low, high = intervals.paired_shares(*pairs(5, 0, 0, 1))
    assert low < 0 < high


def test_paired_shares_cover_the_truth_in_about_95_of_100_draws():
    random = np.random.default_rng(0)
    covered = 0
    for _ in range(1000):
        cell = random.choice(4, size=80, p=[0.8, 0.04, 0.1, 0.06])
        _, low, high = intervals.paired_shares((cell == 0) | (cell == 1), (cell == 0) | (cell == 2))
        covered += low <= 0.06 <= high
    assert 935 <= covered <= 985  # 950 expected; the method is slightly wide, four deviations below are 27


def test_the_bootstrap_agrees_with_the_normal_interval_of_a_mean():
    values = np.random.default_rng(1).exponential(1.0, (4000, 1))
    low, high = intervals.bootstrap(values, lambda means: means[:, 0])
    error = values.std() / np.sqrt(len(values))
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.15 * error)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.15 * error)


def test_the_bootstrap_in_blocks_is_as_wide_as_without():
    values = np.random.default_rng(2).exponential(1.0, (90_000, 1))
    low, high = intervals.bootstrap(values, lambda means: means[:, 0])
    error = values.std() / np.sqrt(len(values))
    assert high - low == pytest.approx(2 * 1.96 * error, rel=0.08)


def test_the_bootstrap_keeps_pairs_together():
    base = np.random.default_rng(3).normal(0, 10, 500)
    columns = np.stack([base, base + 1.0], axis=1)
    low, high = intervals.bootstrap(columns, lambda means: means[:, 1] - means[:, 0])
    assert (low, high) == pytest.approx((1.0, 1.0))


def test_the_same_figures_give_the_same_interval():
    values = np.random.default_rng(4).normal(size=(50, 1))
    assert intervals.bootstrap(values, lambda m: m[:, 0]) == intervals.bootstrap(values, lambda m: m[:, 0])


def test_the_interval_of_a_mean_is_students():
    # By hand: mean 2, s = 1, t(0.975; 2) = 4.302653, half = 4.302653 / sqrt(3).
    estimate = intervals.estimate_mean([1.0, 2.0, 3.0])
    assert (estimate.mean, estimate.number) == (2.0, 3)
    assert estimate.half == pytest.approx(2.484137, abs=1e-6)
    assert intervals.estimate_mean([5.0]) == intervals.Estimate(5.0, None, None, 1)
    assert intervals.estimate_mean([]) is None


def test_the_interval_of_a_mean_covers_it_as_often_as_it_says():
    random = np.random.default_rng(0)
    estimates = [intervals.estimate_mean(random.normal(1.0, 2.0, 3)) for _ in range(4000)]
    covered = np.mean([estimate.low <= 1.0 <= estimate.high for estimate in estimates])
    assert abs(covered - 0.95) < 3 * np.sqrt(0.95 * 0.05 / 4000)


def test_differences_are_paired_over_the_seeds_that_both_have():
    values, baseline = {0: 1.0, 1: 5.0, 2: None, 3: 9.0}, {0: 0.5, 1: 4.5, 2: 1.0}
    difference = intervals.paired_difference(values, baseline)
    assert (difference.mean, difference.number) == (0.5, 2) and difference.half == 0.0
    assert intervals.paired_difference({0: 1.0}, {1: 1.0}) is None


def test_a_mean_of_equal_values_is_written_without_an_interval():
    assert intervals.estimate_mean([1.0, 1.0, 1.0]).text("accuracy") == "100 %"
    assert "to" in intervals.estimate_mean([1.0, 0.9, 1.0]).text("accuracy")


def test_blocks_hold_all_rows_but_a_rest():
    columns = np.arange(2.0 * intervals.MOST_BLOCKS + 1)[:, None]
    blocks = intervals._in_blocks(columns, np.random.default_rng(0))
    size = -(-len(columns) // intervals.MOST_BLOCKS)
    assert len(blocks) == len(columns) // size and size == 3


def test_an_interval_looked_at_as_it_grows_holds_at_all_looks_and_is_narrow_at_three():
    random = np.random.default_rng(0)
    missed = 0
    for _ in range(2000):
        values = random.normal(size=6)
        ends = [intervals.sequential(values[:n]) for n in (3, 4, 5, 6)]
        missed += not all(low <= 0 <= high for low, high in ends)
    assert missed < 0.05 * 2000
    three = np.array([0.1, 0.2, 0.4])
    assert np.ptp(intervals.sequential(three)) < 0.65 * np.ptp(intervals.anytime(three))
    assert intervals.sequential([0.1]) is None
    assert intervals.sequential([0.1, 0.1]) == (0.1, 0.1)
    assert intervals.sequential([0.1, 0.2]) == (-np.inf, np.inf)


def test_folds_that_share_rows_widen_the_interval_of_their_mean():
    # Nadeau & Bengio 2003, by hand: three values with a deviation of 1, t = 4.303, 30 test rows for 60.
    found = intervals.estimate_mean([1.0, 2.0, 3.0], overlap=30 / 60)
    assert found.half == pytest.approx(4.302653 * (1 / 3 + 0.5) ** 0.5, rel=1e-6)
    paired = intervals.paired_difference({0: 2.0, 1: 4.0, 2: 6.0}, {0: 1.0, 1: 2.0, 2: 3.0}, overlap=0.5)
    assert (paired.mean, paired.half) == (2.0, pytest.approx(found.half))
