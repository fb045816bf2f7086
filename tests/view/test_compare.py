"""Two runs on one page, and their curves in the terminal."""

import re

from tests.insight import made
from thalweg.insight.compare import compare
from thalweg.view import compare as page
from thalweg.view import text

FIRST, SECOND = made.classification(seed=0), made.classification(seed=1, steps=900)


def test_both_runs_have_a_curve_in_each_figure():
    html = page.render(compare(FIRST, SECOND), FIRST, SECOND)
    figures = html.split("<figure")[1:]
    assert len(figures) == 4 and "<script src" not in html and "http" not in html.replace("http://www.w3", "")
    for figure in figures:
        assert set(re.findall(r'class="line c(\d)', figure)) == {"1", "2"}


def test_a_run_without_curves_leaves_those_of_the_other():
    empty = made.empty()
    html = str(page.curves(compare(FIRST, empty), FIRST, empty))
    assert set(re.findall(r'class="line c(\d)', html)) == {"1"}
    assert page.curves(compare(empty, empty), empty, empty) is None


def test_the_terminal_shows_both_curves():
    shown = text.plain(text.compare(compare(FIRST, SECOND), (FIRST, SECOND)))
    lines = [
        line for line in shown.splitlines() if " to " in line and "loss" in line and "interval" not in line
    ]
    assert [line.split()[0] for line in lines] == ["training", "training", "validation", "validation"]
    assert "Curves" not in text.plain(text.compare(compare(FIRST, SECOND)))
