"""Temperatures and intervals, fitted to predictions whose law is known."""

import numpy as np
import pytest

from thalweg.problem.calibration import Calibration
from thalweg.problem.data.inputs.array import ArrayInputs
from thalweg.problem.data.preparation import Preparation

RANDOM = np.random.default_rng(0)


def drawn(rows):
    """Return logits, and classes drawn with exactly the probabilities that the logits stand for."""
    logits = 2 * RANDOM.normal(size=(rows, 3))
    return logits, (logits + RANDOM.gumbel(size=logits.shape)).argmax(axis=1)


def log_loss(logits, classes):
    return np.mean(np.logaddexp.reduce(logits, axis=1) - logits[np.arange(len(classes)), classes])


def test_the_temperature_undoes_a_known_factor():
    logits, classes = drawn(20_000)
    found = Calibration.fit(3 * logits, classes, "logits")
    assert found.temperature == pytest.approx(3, rel=0.05)
    lowest = log_loss(found.applied(3 * logits, "logits"), classes)
    assert lowest < log_loss(3 * logits, classes)
    assert all(lowest < log_loss(3 * logits / (by * found.temperature), classes) for by in (0.99, 1.01))


def test_log_probabilities_stay_log_probabilities_and_a_single_logit_is_one_of_two_classes():
    logits, classes = drawn(200)
    logs = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    found = Calibration(200, temperature=2.0)
    assert np.exp(found.applied(logs, "log_probabilities")).sum(axis=1) == pytest.approx(np.ones(200))
    assert (
        found.applied(logits[:, :1], "logits").tolist()
        == np.stack([0 * logits[:, 0], logits[:, 0] / 2], axis=1).tolist()
    )
    assert Calibration.fit(logits[:, :1], (classes > 0).astype(int), "logits").half_width is None


def test_intervals_hold_nine_in_ten_new_values():
    shares = []
    for _ in range(200):
        errors = RANDOM.standard_t(3, size=(60, 1))
        half = Calibration.fit(np.zeros((60, 1)), errors, "values").half_width
        shares.append(np.mean(np.abs(RANDOM.standard_t(3, size=2000)) <= half))
    assert 0.89 < np.mean(shares) < 0.92


def test_the_half_width_is_the_error_of_the_rank_that_the_theory_names():
    """Of 39 errors 1..39, either sign, rank ceil(40 * 0.9) = 36; of 30, rank ceil(31 * 0.9) = 28."""
    for rows, rank in ((39, 36), (30, 28)):
        targets = (np.arange(1, rows + 1) * np.where(np.arange(rows) % 2, 1.0, -1.0))[:, None]
        assert Calibration.fit(np.zeros((rows, 1)), targets, "values").half_width == rank


@pytest.mark.parametrize(
    ("outputs", "targets", "meaning"),
    [
        (np.zeros((29, 2)), np.zeros(29, int), "logits"),
        (np.full((50, 2), np.nan), np.zeros(50, int), "logits"),
        (np.zeros((50, 2)), np.zeros(50, int), "scores"),
        (np.zeros((50, 2)), np.zeros((50, 2)), "values"),
    ],
)
def test_too_few_or_other_predictions_give_no_calibration(outputs, targets, meaning):
    assert Calibration.fit(outputs, targets, meaning) is None


def test_a_result_without_one_has_none_and_plain_values_give_it_back():
    own = Calibration(40, half_width=0.5)
    assert Calibration.of({}) is None
    assert Calibration.of({"calibration": own.to_dict()}) == own


def test_an_interval_is_as_wide_as_the_errors_in_the_unit_of_the_target():
    """Half-widths are of standardised targets; people read kilograms."""
    columns = ArrayInputs.fit(np.zeros((2, 1), np.float32), standardise=False)
    preparation = Preparation(columns, target_mean=(100.0,), target_scale=(20.0,))
    own = Calibration(40, half_width=0.5)
    answers = preparation.answers(np.array([[0.0], [1.0]]), "regression", "values", calibration=own)
    np.testing.assert_allclose(answers["prediction"], [100, 120])
    np.testing.assert_allclose(answers["low"], [90, 110])
    np.testing.assert_allclose(answers["high"], [110, 130])
