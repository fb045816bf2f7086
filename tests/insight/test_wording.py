"""Figures as words."""

import pytest

from thalweg.insight import wording


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        ("abc", "-"),
        (True, "-"),
        (float("nan"), "NaN"),
        (float("-inf"), "-infinite"),
        (0, "0"),
        (0.0693248, "0.06932"),
        (1234.567, "1,235"),
        (1e-5, "1e-05"),
        (3.14e-9, "3.14e-09"),
        (58044.2, "58,044"),
    ],
)
def test_a_measured_figure_has_four_significant_digits(value, text):
    assert wording.figure(value) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.5, "50.0 %"),
        (0.97917, "97.92 %"),
        (0.01, "1.00 %"),
        (1.0, "100 %"),
        (0.99996, "100.00 %"),
        (0, "0 %"),
        (None, "-"),
    ],
)
def test_shares_are_finer_near_the_ends(share, text):
    assert wording.percent(share) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.417, "0.42 s"),
        (12.34, "12.3 s"),
        (200, "3 min 20 s"),
        (7500, "2 h 05 min"),
        (float("nan"), "-"),
        (-1, "-"),
    ],
)
def test_durations(value, text):
    assert wording.seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.001, "0.001"),
        (1e-8, "1e-08"),
        (0.1 + 0.2, "0.30000000000000004"),
        (None, "none"),
        (False, "false"),
        (60000, "60,000"),
    ],
)
def test_settings_are_not_rounded(value, text):
    assert wording.setting(value) == text


def test_lists_and_plurals():
    assert wording.listing(["a"]) == "a"
    assert wording.listing(list("abcdef"), 2) == "a, b and 4 more"
    assert wording.listing([]) == ""
    assert wording.plural(1, "step") == "1 step"
    assert wording.plural(0.088, "epoch") == "0.088 epochs"
    assert wording.size(669_706) == "669.7 k"


def test_only_shares_are_written_in_per_cent():
    assert wording.measure("accuracy", 0.973) == "97.30 %"
    assert wording.measure("rmse", 0.973) == "0.9730"
