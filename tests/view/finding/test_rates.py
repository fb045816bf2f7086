"""What is drawn of a finding: every lane, honest means, and an axis that a lane far off does not flatten."""

import re
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from tests.insight import found
from thalweg.view.figure import lr_figure
from thalweg.view.figure.lr_picture import OWN, PICK, picture


def test_the_marks_are_ascending_and_within_the_axis():
    shown = picture(found.full_batch())
    assert [mark.kind for mark in shown.marks] == ["own", "chosen", "predicted", "edge"]
    assert all(0 < float(shown.x.position(mark.value)) < 1 for mark in shown.marks)
    assert shown.x.log and shown.interval == (2.1e-3, 6.4e-3)


def test_the_own_rate_that_is_kept_is_one_mark():
    shown = picture(found.kept())
    assert [mark.kind for mark in shown.marks] == [PICK, "edge"] and "recipe's own, kept" in shown.marks[
        0
    ].label
    assert OWN not in {mark.kind for mark in shown.marks}


def test_where_a_seed_diverged_there_is_no_mean():
    """A mean over the seeds that came through would be too good."""
    finding = found.finding()
    longest = finding.curve.filter(pl.col("rung") == 2)
    rate = longest["rate"].max()
    hit = (pl.col("rung") == 2) & (pl.col("rate") == rate) & (pl.col("seed") == 1)
    curve = finding.curve.with_columns(diverged_at=pl.when(hit).then(9).otherwise(pl.col("diverged_at")))
    rung = picture(replace(finding, curve=curve)).rungs[-1]
    assert np.isnan(rung.means[-1]) and np.isfinite(rung.means[:-1]).all()
    assert rung.diverged == (rate,) and (rung.lane_rates == rate).sum() == 2


@pytest.mark.parametrize("far", [50.0, 1e30])
def test_a_lane_far_off_does_not_flatten_the_others(far):
    finding = found.kept()
    last = finding.curve.filter(pl.col("loss").is_not_null())["rate"].max()
    loss = pl.when(pl.col("rate") == last).then(far).otherwise(pl.col("loss"))
    shown = picture(replace(finding, curve=finding.curve.with_columns(loss=loss)))
    assert shown.above and shown.y.high < 2.0
    assert not picture(finding).above


def test_the_axis_shows_the_fitted_curve():
    finding = found.finding()
    shown = picture(finding)
    assert shown.y.low < finding.fitted["loss"].min() < finding.curve["loss"].min()


def test_nothing_trained_is_nothing_drawn():
    assert picture(found.empty()) is None and lr_figure.draw(found.empty()) is None


def test_where_all_lanes_diverged_there_are_only_marks():
    shown = picture(found.lost())
    assert shown.interval is None and len(shown.diverged) == len(set(found.lost().curve["rate"]))
    figure = lr_figure.draw(found.lost())
    assert 'class="interval"' not in figure and 'class="grid"' not in figure and "Dots" not in figure
    assert re.search(r'<path d="([^"]*)" class="lost"', figure)[1]


def test_a_figure_has_a_dot_for_each_lane_and_a_mark_for_each_lost_rate():
    finding = found.finding()
    figure = lr_figure.draw(finding)
    dots = re.findall(r'<path d="([^"]*)" class="dots rung"', figure)
    assert sum(d.count("h0") for d in dots) == finding.curve["diverged_at"].is_null().sum()
    lost = finding.curve.filter(pl.col("diverged_at").is_not_null())["rate"].n_unique()
    assert re.search(r'<path d="([^"]*)" class="lost"', figure)[1].count("M") == lost == 2


def test_the_longest_lanes_are_drawn_darkest():
    strengths = [lr_figure.strength(place, 3) for place in range(3)]
    assert strengths == sorted(strengths) and strengths[-1] == 100 and lr_figure.strength(0, 1) == 100
