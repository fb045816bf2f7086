"""Curves, thresholds, lift, calibration and costs are those of scikit-learn, or of counting."""

import numpy as np
import pytest
from sklearn import metrics as peer
from sklearn.calibration import calibration_curve

import thalweg as tw
from thalweg.insight.decisions import statements
from thalweg.insight.decisions.calibration import calibration
from thalweg.insight.decisions.cost import ErrorCost, cost_entry
from thalweg.insight.decisions.curves import POINTS, Ranking, thinned

DRAW = np.random.default_rng(4)
SCORE = DRAW.random(500).round(2)  # with ties
POSITIVE = DRAW.random(500) < SCORE**2
RANKING = Ranking(POSITIVE, SCORE)


def test_curves_and_areas_are_those_of_scikit_learn():
    across, up = RANKING.roc()
    expected = peer.roc_curve(POSITIVE, SCORE, drop_intermediate=False)
    np.testing.assert_allclose(across, expected[0], atol=1e-12)
    np.testing.assert_allclose(up, expected[1], atol=1e-12)
    precision, recall = RANKING.precision_recall()
    expected = peer.precision_recall_curve(POSITIVE, SCORE)
    np.testing.assert_allclose(precision[::-1], expected[0][:-1], atol=1e-12)
    np.testing.assert_allclose(recall[::-1], expected[1][:-1], atol=1e-12)
    assert RANKING.auc()[0] == pytest.approx(peer.roc_auc_score(POSITIVE, SCORE), abs=1e-12)
    assert RANKING.average_precision() == pytest.approx(
        peer.average_precision_score(POSITIVE, SCORE), abs=1e-12
    )


def test_the_interval_of_the_area_is_that_of_delong_by_all_pairs():
    ours, others = SCORE[POSITIVE][:, None], SCORE[~POSITIVE]
    pairs = (ours > others) + 0.5 * (ours == others)
    variance = pairs.mean(axis=1).var(ddof=1) / len(ours) + pairs.mean(axis=0).var(ddof=1) / len(others)
    area, low, high = RANKING.auc()
    half = 1.959963984540054 * np.sqrt(variance)
    assert (area - low, high - area) == pytest.approx((half, half), abs=1e-12)


@pytest.mark.parametrize("threshold", [0.0, 0.31, 0.5, 0.8, 1.1])
def test_a_threshold_flags_what_reaches_it(threshold):
    at, flagged = RANKING.at(threshold), threshold <= SCORE
    tn, fp, fn, tp = peer.confusion_matrix(POSITIVE, flagged).ravel()
    assert (at["tn"], at["fp"], at["fn"], at["tp"]) == (tn, fp, fn, tp)
    assert at["flagged"] == flagged.mean() and at["recall"] == peer.recall_score(POSITIVE, flagged)
    if flagged.any():
        assert at["precision"] == peer.precision_score(POSITIVE, flagged)
        assert at["f1"] == pytest.approx(peer.f1_score(POSITIVE, flagged), abs=1e-12)
    else:
        assert at["precision"] is None


def test_lift_counts_the_positives_of_the_highest_scores():
    score = DRAW.permutation(1000) / 1000
    positive = DRAW.random(1000) < score
    best = np.argsort(-score)
    for each in Ranking(positive, score).lift():
        count = round(each["top"] * 1000)
        found = positive[best[:count]].sum() / positive.sum()
        assert each["found"] == pytest.approx(found, abs=1e-12)
        assert each["lift"] == pytest.approx(found / each["top"], abs=1e-12)


def test_among_equal_scores_none_comes_first():
    ranking = Ranking(np.arange(100) < 20, np.zeros(100))
    assert [each["lift"] for each in ranking.lift()] == pytest.approx([1.0] * 6)


def test_a_thinned_curve_keeps_its_ends_and_stays_on_the_curve():
    x, y = np.linspace(0, 1, 5000), np.linspace(0, 1, 5000) ** 0.3
    few = thinned(x, y)
    assert len(few["x"]) <= POINTS + 2 and (few["x"][0], few["x"][-1], few["y"][-1]) == (0.0, 1.0, 1.0)
    np.testing.assert_allclose(np.array(few["x"]) ** 0.3, few["y"], atol=1e-5)
    assert np.diff(few["y"]).max() < 0.1  # the steep beginning has points of its own


def test_the_calibration_curve_is_that_of_scikit_learn():
    stated = DRAW.random(400)
    happened = DRAW.random(400) < stated**1.5
    found = calibration(stated, happened)
    shares, means = calibration_curve(happened, stated, n_bins=10, strategy="quantile")
    bins = found["bins"]
    np.testing.assert_allclose([each["happened"] for each in bins], shares, atol=1e-12)
    np.testing.assert_allclose([each["stated"] for each in bins], means, atol=1e-12)
    counts = np.array([each["rows"] for each in bins])
    assert counts.sum() == 400 and all(each["low"] <= each["happened"] <= each["high"] for each in bins)
    assert found["error"] == pytest.approx(np.sum(counts * np.abs(shares - means)) / 400, abs=1e-12)
    assert found["error"] > 2 * found["chance"]


def test_chance_is_what_right_probabilities_show():
    errors, chances = [], []
    for _ in range(40):
        stated = DRAW.random(300)
        found = calibration(stated, DRAW.random(300) < stated)
        errors.append(found["error"])
        chances.append(found["chance"])
    assert np.mean(errors) == pytest.approx(np.mean(chances), rel=0.15)
    assert calibration(np.linspace(0, 1, 29), np.zeros(29, bool)) is None


@pytest.mark.parametrize("fp, fn", [(1, 1), (1, 5), (7, 0.5), (0, 2), (3, 0)])
def test_the_threshold_costs_least_on_the_rows_that_chose_it(fp, fn):
    cost = ErrorCost(fp, fn)
    least = min(cost.each(POSITIVE, SCORE, t).mean() for t in np.r_[-1, np.arange(-0.005, 1.02, 0.01)])
    chosen = cost.best(POSITIVE, SCORE)
    assert cost.each(POSITIVE, SCORE, chosen).mean() == pytest.approx(least, abs=1e-12)
    flagged = chosen <= SCORE
    by_hand = fp * (flagged & ~POSITIVE).sum() + fn * (~flagged & POSITIVE).sum()
    assert by_hand / len(SCORE) == pytest.approx(least, abs=1e-12)


def test_of_equal_thresholds_the_one_for_right_probabilities_is_taken():
    positive, score = np.array([False, True]), np.array([0.1, 0.9])
    assert ErrorCost(1, 4).best(positive, score) == pytest.approx(0.2)
    assert ErrorCost(1, 99).best(positive, score) > 0.1  # 0.01 would flag the negative


def test_the_test_rows_do_not_choose_the_threshold():
    held = np.array([False, False, True, True]), np.array([0.1, 0.2, 0.3, 0.4])
    test = np.array([False, False, True, True]), np.array([0.5, 0.6, 0.7, 0.8])
    entry = cost_entry(ErrorCost(1, 1), held, test, probabilities=True)
    assert 0.2 < entry["threshold"] <= 0.3 and entry["validation"] == 0.0
    assert entry["test"] == 0.5 and entry["usual"] == 0.5 and entry["all"] == entry["none"] == 0.5
    assert (entry["chosen_on"], entry["rows"], entry["saved"]) == ("validation", 4, 0.0)
    alone = cost_entry(ErrorCost(1, 3), None, test, probabilities=True)
    assert (alone["threshold"], alone["chosen_on"]) == (0.25, "probabilities")
    assert cost_entry(ErrorCost(1, 3), None, test, probabilities=False) is None


def test_what_is_saved_has_the_interval_of_paired_rows():
    entry = cost_entry(ErrorCost(1, 9), (POSITIVE, SCORE), (POSITIVE, SCORE), probabilities=True)
    cost = ErrorCost(1, 9)
    each = cost.each(POSITIVE, SCORE, 0.5) - cost.each(POSITIVE, SCORE, entry["threshold"])
    assert entry["saved"] == pytest.approx(each.mean(), abs=1e-12)
    half = 1.9647 * each.std(ddof=1) / np.sqrt(500)  # Student's t with 499 degrees of freedom
    assert entry["high"] - entry["saved"] == pytest.approx(half, rel=1e-3)


@pytest.mark.parametrize("given", ["fp=1,fn=5", "fn=5 fp=1", {"fp": 1, "fn": 5}, ErrorCost(1.0, 5.0)])
def test_a_cost_as_text_or_table(given):
    assert ErrorCost.of(given) == ErrorCost(1.0, 5.0)


@pytest.mark.parametrize(
    "given, word",
    [
        ("fp=1", "false negatives"),
        ("fp=1,fn=x", "must be a number"),
        ("fp=1,fp=2", "has one cost"),
        ("fp=-1,fn=1", "not negative"),
        ("fp=0,fn=0", "must cost something"),
        ({"fp": 1, "fn": 2, "tp": 3}, "must name the costs"),
        (5, "must name the costs"),
        ("fp=nan,fn=1", "finite"),
    ],
)
def test_a_wrong_cost_is_refused(given, word):
    with pytest.raises(tw.BadInput, match=word):
        ErrorCost.of(given)


@pytest.mark.parametrize(
    ("saved", "low", "high", "told"),
    [
        (0.2, 0.1, 0.3, "the first saves 0.20 (95 % interval 0.10 to 0.30)."),
        (-0.2, -0.5, 0.1, "the first costs 0.20 more (95 % interval -0.10 to 0.50)."),
        (0.0, 0.0, 0.0, "at 0.5: no difference."),
    ],
)
def test_what_a_threshold_saves_or_costs_has_one_sign(saved, low, high, told):
    cost = {"fp": 1, "fn": 5, "test": 0.3, "usual": 0.5, "threshold": 0.2, "usual_threshold": 0.5}
    cost |= {"chosen_on": "costs", "saved": saved, "low": low, "high": high}
    assert statements._cost(cost).endswith(told)
