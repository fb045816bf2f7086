"""Figures: gaps, marks, shades and orders are as the numbers say."""

import json
import re

import numpy as np
import pytest

from tests.insight import made
from thalweg.insight.answers import confusion
from thalweg.insight.curves import Curve
from thalweg.view.figure import heat
from thalweg.view.figure.plot import Line, Plot, draw
from thalweg.view.figure.svg_paths import path
from thalweg.view.report import answers


def plot(values, **settings) -> str:
    curve = Curve(np.arange(len(values), dtype=float), np.array(values, float))
    return draw(Plot("t", "t", [Line("a", curve)], **settings))


def test_paths_break_where_values_are_not_finite():
    drawn = path(np.array([0, 0.25, 0.5, 0.75, 1.0]), np.array([0.0, 0.5, np.nan, 0.5, 1.0]))
    assert drawn == "M0 1000L250 500M750 500L1000 0"


@pytest.mark.parametrize(
    "values",
    [[], [1.0], [np.nan] * 3, [1.0, np.nan, np.inf], [0.0] * 5, [1e-30, 1e30], [-1.0, 1.0], [1e-320, 1.0]],
)
@pytest.mark.parametrize("switch", [False, True])
def test_any_curve_can_be_drawn(values, switch):
    drawn = plot(values, switch=switch)
    assert drawn.startswith("<figure")
    assert not re.search(r'd="[^"]*(nan|inf)', drawn)


def test_the_switch_is_offered_where_a_logarithm_exists_and_begins_with_what_shows_more():
    wide = plot([0.001, 0.1, 10.0], switch=True)
    assert re.search(r'id="t-log" class="pick log" checked', wide)
    narrow = plot([1.0, 1.1, 1.2], switch=True)
    assert re.search(r'id="t-linear" class="pick linear" checked', narrow)
    assert "pick log" not in plot([-1.0, 0.0, 1.0], switch=True)


def test_readings_are_rounded_numbers():
    inside = re.search(r'application/json">(.*?)</script>', plot([1 / 3, np.nan])).group(1)
    assert json.loads(inside)["series"] == [{"name": "a", "x": [0, 1], "y": [0.3333, None]}]


def test_shades_are_joined_along_rows_and_blanks_left_out():
    drawn = heat.shade_paths(np.array([[0, 3, 3, 5], [3, 0, 0, 0]]))
    assert 'd="M1 0h2v1H1zM0 1h1v1H0z"' in drawn
    assert 'd="M3 0h1v1H3z"' in drawn
    assert drawn.count("<path") == 2


def test_anything_above_zero_is_visible():
    assert heat.shades_of(np.array([0.0, 1e-9, 1.0])).tolist() == [0, 1, heat.SHADES]


def test_few_classes_keep_their_order_and_many_put_the_confused_together():
    few = confusion(made.classification(classes=10))
    assert answers.reading_order(few).tolist() == list(range(10))
    many = confusion(made.classification(classes=30, examples=3000))
    swapped = many.counts.copy()
    swapped[3, 27] += 500  # 3 and 27 are taken for each other
    swapped[27, 3] += 500
    order = answers.reading_order(type(many)(swapped, many.classes)).tolist()
    assert sorted(order) == list(range(30))
    assert abs(order.index(3) - order.index(27)) == 1


@pytest.mark.parametrize("classes", [2, 3, 12, 13, 40, 41, 100])
def test_the_matrix_is_drawn_for_any_number_of_classes(classes):
    counted = confusion(made.classification(classes=classes, examples=2000, accuracy=0.7))
    drawn = answers.matrix(counted)
    if classes <= answers.FIGURES:
        assert drawn.count("<td") == classes * classes
        assert f">{int(counted.counts[0, 0])}<" in drawn
    else:
        told = json.loads(re.search(r'application/json">(.*?)</script>', drawn).group(1))
        assert sum(count for _, _, count in told["counts"]) == counted.counts.sum()
