"""References of a record of any age: relations and differences in words."""

from types import SimpleNamespace

import pytest

from thalweg.insight.standing import Standing, _standing, difference_text, standing


def score(value, low, high, difference=0.02):
    return {"name": "trees", "value": value, "difference": difference, "low": low, "high": high}


@pytest.mark.parametrize(
    ("low", "high", "higher", "relation"),
    [
        (0.01, 0.03, True, "better"),
        (-0.03, -0.01, True, "worse"),
        (0.01, 0.03, False, "worse"),  # a larger error
        (-0.03, -0.01, False, "better"),
        (-0.03, 0.01, True, "unclear"),
        (-0.03, 0.01, False, "unclear"),
        (None, None, True, "unclear"),
    ],
)
def test_a_reference_is_better_or_worse_where_the_interval_excludes_zero(low, high, higher, relation):
    assert _standing(score(0.9, low, high), higher).relation == relation
    assert _standing(score(None, low, high), higher) is None


def test_a_difference_is_written_with_its_interval():
    one = Standing("trees", 0.9, None, None, -0.013, (-0.02, -0.006), "worse")
    assert one.gap("accuracy") == "1.30 points (95 % interval 0.600 to 2.00)"
    across = Standing("trees", 0.9, None, None, 0.013, (-0.006, 0.032), "unclear")
    assert "(95 % interval -0.600 to 3.20)" in across.gap("accuracy")
    assert Standing("trees", 0.9, None, None, None, None, "unclear").gap("rmse") == ""
    assert difference_text("rmse", Standing("t", 2.0, None, None, 0.5, None, "unclear")) == "+0.5"


def test_a_record_says_whether_more_is_better():
    scores = [{"name": "trees", "value": 2.0, "difference": 0.5, "low": 0.1, "high": 0.9}]
    for higher, relation in ((True, "better"), (False, "worse")):
        entry = {"metric": "rmse", "higher_is_better": higher, "scores": scores}
        (one,) = standing(SimpleNamespace(result={"references": entry})).standings
        assert one.relation == relation
