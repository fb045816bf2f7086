"""Verdicts of a race: error rates by simulation, and agreement with independent formulas."""

import numpy as np
import pytest
from scipy import integrate, stats

from thalweg.insight.intervals import anytime
from thalweg.insight.race.verdict import SPREAD, compare, e_process, holm, is_skewed, p_value


def test_the_evidence_is_the_ratio_of_marginal_likelihoods():
    """Against numerical integration over the effect and the scale, with the scale-invariant prior."""
    values = np.array([0.3, 1.1, -0.2, 0.9])

    def density(log_scale, effect):
        scale = np.exp(log_scale)
        return np.exp(stats.norm.logpdf(values, effect * scale, scale).sum()) * stats.norm.pdf(effect)

    null = integrate.quad(lambda s: np.exp(stats.norm.logpdf(values, 0, np.exp(s)).sum()), -6, 6)[0]
    other = integrate.dblquad(density, -6, 6, -6, 6, epsabs=1e-8)[0]
    assert e_process(values, 1.0)[-1] == pytest.approx(other / null, rel=1e-3)
    assert e_process(values, 1.0)[0] == pytest.approx(1.0)  # one value says nothing about its own sign


def test_the_interval_holds_the_means_that_the_evidence_does_not_exclude():
    values = np.random.default_rng(0).normal(1.0, 1.0, 9)
    for end in anytime(values, 0.95, SPREAD):
        assert e_process(values - end)[-1] == pytest.approx(20)


def test_looking_after_every_seed_raises_few_false_alarms():
    random = np.random.default_rng(1)
    races = [random.normal(size=20) for _ in range(1500)]
    alarms = np.mean([p_value(each, fast=False)[0] <= 0.05 for each in races])
    looks = np.mean([p_value(each, fast=True)[0] <= 0.05 for each in races])
    naive = np.mean(
        [min(stats.ttest_1samp(each[:n], 0).pvalue for n in (5, 10, 15, 20)) <= 0.05 for each in races]
    )
    assert alarms <= 0.03 and looks <= 0.055 and naive > 0.09
    found = [p_value(random.normal(1.2, 1.0, 20), fast=False)[0] <= 0.05 for _ in range(200)]
    assert np.mean(found) > 0.9


def test_holm_is_the_published_correction():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


def test_corrected_values_never_fall_behind_smaller_ones():
    assert holm([0.03, 0.01, 0.011, 0.5]) == pytest.approx([0.06, 0.04, 0.04, 0.5])


def test_the_fast_way_counts_its_looks_and_takes_the_best():
    values = np.random.default_rng(4).normal(0.8, 1.0, 20)
    expected = {n: 3 * stats.ttest_1samp(values[:n], 0).pvalue for n in (5, 10, 20)}
    p, look = p_value(values, fast=True)
    assert p == pytest.approx(min(expected.values())) and expected[look] == pytest.approx(p)
    assert p_value(values[:4], fast=True) == (1.0, 4) and p_value(values[:1], fast=False) == (1.0, 1)


def test_the_value_of_the_e_process_is_that_of_its_best_look():
    values = [1.0, 1.1, 0.9, 1.2, 1.0, -6.0, 5.0]
    evidence = e_process(values)
    p, at = p_value(values, fast=False)
    assert at == int(evidence.argmax()) + 1 < len(values) and p == pytest.approx(1 / evidence.max())


def test_intervals_and_calls_count_the_pairs_and_the_looks():
    random = np.random.default_rng(5)
    a, b, c = random.normal(0, 1, 10), random.normal(0, 1, 10), random.normal(0.9, 1, 10)
    found = {(each.first, each.second): each for each in compare({"a": a, "b": b, "c": c}, fast=True)}
    half = stats.t.ppf(1 - 0.05 / 3 / 3 / 2, 9) * (a - c).std(ddof=1) / np.sqrt(10)
    pair = found["a", "c"]
    assert (pair.low, pair.high) == pytest.approx(((a - c).mean() - half, (a - c).mean() + half))
    found = {(each.first, each.second): each for each in compare({"a": a, "b": b, "c": c})}
    assert (found["a", "c"].low, found["a", "c"].high) == pytest.approx(anytime(a - c, 1 - 0.05 / 3, SPREAD))


def test_a_call_has_the_sign_at_the_look_that_settled_it():
    differences = np.array([-0.2, 1.0, 1.1, 0.9, 1.0, 1.05, 0.95, 1.0, 1.1, 0.9, -20.0])
    pairs = compare({"a": differences, "b": np.zeros(11), "d": np.full(11, 100.0)})
    (pair,) = (each for each in pairs if (each.first, each.second) == ("a", "b"))
    evidence = e_process(differences)
    assert (
        pair.decided_at
        == int(np.flatnonzero(evidence >= 60)[0]) + 1
        > 1 + int(np.flatnonzero(evidence >= 20)[0])
    )
    assert pair.difference < 0 and pair.winner == "b"  # less is better, and a was larger when it was settled


def test_three_contestants_are_settled_with_their_directions():
    random = np.random.default_rng(2)
    common = random.normal(size=15)
    values = {
        "a": common + random.normal(0, 0.1, 15),
        "b": common + random.normal(0, 0.1, 15),
        "c": common + 1 + random.normal(0, 0.1, 15),
    }
    by_pair = {(pair.first, pair.second): pair for pair in compare(values)}
    assert by_pair["a", "b"].winner is None
    assert by_pair["a", "c"].winner == "a" and by_pair["a", "c"].high < 0
    assert {pair.winner for pair in compare(values, higher=True)} == {None, "c"}
    assert by_pair["a", "c"].decided_at < 10


def test_equal_contestants_and_single_seeds_say_nothing():
    (pair,) = compare({"a": [1.0] * 6, "b": [1.0] * 6})
    assert (pair.winner, pair.p, pair.difference) == (None, 1.0, 0.0)
    (pair,) = compare({"a": [1.0], "b": [2.0]})
    assert pair.winner is None and pair.low is None


def test_skewed_differences_are_noticed():
    random = np.random.default_rng(3)
    assert is_skewed(random.exponential(size=40)) and not is_skewed(random.normal(size=40))
