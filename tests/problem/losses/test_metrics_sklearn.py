"""Every metric against scikit-learn on the same predictions, with and without weights of the examples."""

import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics as sk
from sklearn.preprocessing import label_binarize

from thalweg.core.errors import ModelError
from thalweg.insight.outcome import HIGHER_IS_BETTER, LOWER_IS_BETTER, Score
from thalweg.problem.losses import METRICS, as_metric, check_task, reading, weighted_metric, whole_split
from thalweg.problem.losses.outputs import (
    LOG_RATES,
    LOGITS,
    PROBABILITIES,
    SCORES,
    VALUES,
    ordered_log_probabilities,
    probabilities,
    quantiles_meaning,
)

rng = np.random.default_rng(0)
ROWS, BATCH = 60, 7
WEIGHTS = rng.uniform(0, 2, ROWS)
Y, Z = rng.integers(0, 4, ROWS), rng.normal(size=(ROWS, 4)).astype(np.float32)
Z = np.round(Z, 1)  # ties
B, ONE = rng.integers(0, 2, ROWS), np.round(rng.normal(size=(ROWS, 1)), 1).astype(np.float32)
L, ZL = rng.integers(0, 2, (ROWS, 3)).astype(np.float32), rng.normal(size=(ROWS, 3)).astype(np.float32)
V, ZV = rng.normal(5, 2, (ROWS, 1)), rng.normal(5, 2, (ROWS, 1))
N, ZN = rng.poisson(3.0, (ROWS, 1)).astype(float), rng.normal(1, 0.3, (ROWS, 1)).astype(np.float32)
# Two outputs, whose order is that of their difference.
TWO = rng.normal(size=(ROWS, 2)).astype(np.float32)
T = (Z + np.arange(4) / 1e3).astype(np.float32)  # without ties, whose order is not defined
P, P1 = (probabilities(part.astype(np.float64), LOGITS) for part in (Z, ONE))


def computed(name, outputs, targets, weights=None, meaning=LOGITS, batch=BATCH, **facts):
    """The metric as the engine computes it: batch by batch, then a mean, or a figure of all that was kept."""
    metric = reading(as_metric(name), meaning, **facts)
    parts = [slice(i, i + batch) for i in range(0, ROWS, batch)]
    if metric.whole is not None:
        kept = [metric.rule(jnp.asarray(outputs[at]), jnp.asarray(targets[at])) for at in parts]
        counted = np.ones(ROWS) if weights is None else weights
        return metric.whole(np.concatenate([np.asarray(k) for k in kept]), targets, counted, None)
    mean = np.ones(ROWS) if weights is None else weights / weights.mean()
    metric = weighted_metric(metric)
    pairs = [(jnp.asarray(targets[at]), jnp.asarray(mean[at], jnp.float32)) for at in parts]
    values = [
        metric.per_example(jnp.asarray(outputs[at]), pair) for at, pair in zip(parts, pairs, strict=True)
    ]
    return float(metric.finish(float(np.concatenate([np.asarray(v, np.float64) for v in values]).mean())))


def entropy(y, p, w):
    return sk.log_loss(y, p, labels=range(p.shape[1]), sample_weight=w)


def rest(figure, y, p, w):
    return figure(label_binarize(y, classes=range(4)), p, average="macro", sample_weight=w)


CASES = [
    ("accuracy", Z, Y, lambda w: sk.accuracy_score(Y, Z.argmax(1), sample_weight=w)),
    ("balanced_accuracy", Z, Y, lambda w: sk.balanced_accuracy_score(Y, Z.argmax(1), sample_weight=w)),
    ("macro_f1", Z, Y, lambda w: sk.f1_score(Y, Z.argmax(1), average="macro", sample_weight=w)),
    ("micro_f1", Z, Y, lambda w: sk.f1_score(Y, Z.argmax(1), average="micro", sample_weight=w)),
    ("f1:c", Z, Y, lambda w: sk.f1_score(Y, Z.argmax(1), average=None, sample_weight=w)[2]),
    ("roc_auc", Z, Y, lambda w: rest(sk.roc_auc_score, Y, P, w)),
    ("roc_auc", ONE, B, lambda w: sk.roc_auc_score(B, P1[:, 1], sample_weight=w)),
    ("roc_auc", TWO, B, lambda w: sk.roc_auc_score(B, TWO[:, 1] - TWO[:, 0], sample_weight=w)),
    ("average_precision", Z, Y, lambda w: rest(sk.average_precision_score, Y, P, w)),
    ("average_precision", ONE, B, lambda w: sk.average_precision_score(B, ONE[:, 0], sample_weight=w)),
    ("log_loss", Z, Y, lambda w: entropy(Y, P, w)),
    ("log_loss", ONE, B, lambda w: entropy(B, P1, w)),
    ("perplexity", Z, Y, lambda w: np.exp(entropy(Y, P, w))),
    ("brier", Z, Y, lambda w: sk.brier_score_loss(Y, P, labels=range(4), sample_weight=w)),
    ("brier", ONE, B, lambda w: sk.brier_score_loss(B, P1[:, 1], sample_weight=w)),
    ("top_k:2", T, Y, lambda w: sk.top_k_accuracy_score(Y, T, k=2, sample_weight=w)),
    ("accuracy", ZL, L, lambda w: 1 - np.average(((ZL > 0) != L).mean(1), weights=w)),
    ("exact_match", ZL, L, lambda w: sk.accuracy_score(L, ZL > 0, sample_weight=w)),
    ("macro_f1", ZL, L, lambda w: sk.f1_score(L, ZL > 0, average="macro", sample_weight=w)),
    ("micro_f1", ZL, L, lambda w: sk.f1_score(L, ZL > 0, average="micro", sample_weight=w)),
    ("roc_auc", ZL, L, lambda w: sk.roc_auc_score(L, ZL, average="macro", sample_weight=w)),
    ("average_precision", ZL, L, lambda w: sk.average_precision_score(L, ZL, sample_weight=w)),
    ("rmse", ZV, V, lambda w: sk.root_mean_squared_error(V, ZV, sample_weight=w)),
    ("mae", ZV, V, lambda w: sk.mean_absolute_error(V, ZV, sample_weight=w)),
    ("r2", ZV, V, lambda w: sk.r2_score(V, ZV, sample_weight=w)),
    ("mape", ZV, V, lambda w: sk.mean_absolute_percentage_error(V, ZV, sample_weight=w)),
    ("pinball:0.9", ZV, V, lambda w: sk.mean_pinball_loss(V, ZV, alpha=0.9, sample_weight=w)),
    ("poisson_deviance", ZN, N, lambda w: sk.mean_poisson_deviance(N, np.exp(ZN), sample_weight=w)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "outputs", "targets", "reference"), CASES, ids=[case[0] for case in CASES])
def test_equals_scikit_learn(name, outputs, targets, reference):
    meaning = LOG_RATES if name == "poisson_deviance" else VALUES if outputs is ZV else LOGITS
    facts = {"meaning": meaning, "classes": list("abcd")}
    for weights in (None, WEIGHTS):
        assert computed(name, outputs, targets, weights, **facts) == pytest.approx(
            reference(weights), rel=3e-6
        )
    whole = computed(name, outputs, targets, WEIGHTS, batch=ROWS, **facts)
    assert whole == pytest.approx(computed(name, outputs, targets, WEIGHTS, **facts), rel=1e-6)


def test_every_metric_is_compared():
    # Calibration has no counterpart in scikit-learn, and top5 is top_k:5.
    compared = {name.partition(":")[0] for name, *_ in CASES} | {"calibration_error", "top5"}
    assert set(METRICS) <= compared


def test_calibration_error_is_the_published_sum_over_bins():
    confidence, right = P.max(1), P.argmax(1) == Y
    total = 0.0
    for low in np.arange(15) / 15:
        inside = (confidence > low) & (confidence <= low + 1 / 15)
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert computed("calibration_error", Z, Y) == pytest.approx(total, rel=1e-9)


def test_outputs_that_mean_something_else_give_the_same_figure():
    for name in ("log_loss", "brier", "calibration_error", "macro_f1"):
        expected = computed(name, Z, Y)
        assert computed(name, P.astype(np.float32), Y, meaning=PROBABILITIES) == pytest.approx(
            expected, rel=1e-5
        )
    logs = np.asarray(ordered_log_probabilities(Z[:, :3].astype(np.float64)))
    found = computed("log_loss", Z[:, :3], Y, meaning="thresholds")
    assert found == pytest.approx(entropy(Y, np.exp(logs), None), rel=1e-5)


def test_quantiles_are_sorted_and_each_has_its_own_figure():
    outputs, meaning = rng.normal(size=(ROWS, 3)).astype(np.float32), quantiles_meaning((0.1, 0.5, 0.9))
    ordered = np.sort(outputs, axis=1)
    each = [sk.mean_pinball_loss(V, ordered[:, i], alpha=level) for i, level in enumerate((0.1, 0.5, 0.9))]
    assert computed("pinball", outputs, V, meaning=meaning) == pytest.approx(np.mean(each), rel=1e-5)
    assert computed("pinball:0.9", outputs, V, meaning=meaning) == pytest.approx(each[2], rel=1e-5)
    assert computed("mae", outputs, V, meaning=meaning) == pytest.approx(2 * each[1], rel=1e-5)
    assert computed("r2", outputs, V, meaning=meaning) == pytest.approx(
        sk.r2_score(V, ordered[:, 1]), rel=1e-6
    )
    with pytest.raises(ModelError, match="a quantile that the loss has"):
        computed("pinball:0.3", outputs, V, meaning=meaning)


def test_a_metric_in_the_unit_of_the_target_needs_its_mean_and_scale():
    standardised = [((part - 5) / 2).astype(np.float32) for part in (ZV, V)]
    found = computed("mape", *standardised, meaning=VALUES, scale=2.0, mean=5.0)
    assert found == pytest.approx(sk.mean_absolute_percentage_error(V, ZV), rel=1e-5)


@pytest.mark.parametrize(
    ("metric", "task", "fits"),
    [
        ("roc_auc", "regression", "r2"),
        ("rmse", "classification", "log_loss"),
        ("brier", "multilabel", "roc_auc"),
    ],
)
def test_a_metric_for_another_task_is_refused_with_those_that_fit(metric, task, fits):
    with pytest.raises(ModelError, match=fits):
        check_task(as_metric(metric), task)


def test_what_cannot_be_is_refused():
    for text in ("top_k:0", "top_k:x", "pinball:1", "rmse:3", "top_k", "f1:"):
        with pytest.raises(ModelError):
            as_metric(text)
    with pytest.raises(ModelError, match="did you mean"):
        reading(as_metric("f1:yess"), LOGITS, classes=("no", "yes"))
    for name in ("log_loss", "brier", "perplexity", "calibration_error"):
        with pytest.raises(ModelError, match="needs probabilities"):
            reading(as_metric(name), SCORES)


def test_reports_know_the_direction_of_every_metric():
    for name, metric in METRICS.items():
        assert Score(f"kind.{name}", 0.5).higher_is_better is metric.higher_is_better
    assert not HIGHER_IS_BETTER & LOWER_IS_BETTER


def test_the_first_bins_of_the_calibration_error_are_apart():
    # 0.05 is of the first of 15 bins and 0.1 of the second: their errors do not cancel.
    confidence, right = np.array([0.05, 0.1]), np.array([False, True])
    assert whole_split.calibration_error(confidence, right, np.ones(2)) == pytest.approx((0.05 + 0.9) / 2)
    edge = whole_split.calibration_error(np.array([1 / 15, 0.01]), np.array([False, True]), np.ones(2))
    assert edge == pytest.approx((0.99 - 1 / 15) / 2)  # (0, 1/15] holds its upper end


def test_a_class_that_is_only_predicted_counts_in_macro_f1():
    target, predicted = np.array([0, 0, 1, 1]), np.array([0, 2, 1, 1])
    counted = whole_split.counts(target, predicted, np.ones(4), 3)
    assert whole_split.macro_f1(counted) == pytest.approx(sk.f1_score(target, predicted, average="macro"))
