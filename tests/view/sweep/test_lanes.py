"""The curves of a sweep's lanes: all of them pale, the best settings in colour."""

import re
from dataclasses import replace

import numpy as np
import pytest

from tests.insight import growing, made, swept
from thalweg.insight.ranking import ranking_of
from thalweg.view.sweep import lanes

LINES = r'class="line c(\d)( faint)?"'


@pytest.fixture
def sweep(tmp_path):
    """A sweep of 24 lanes in a folder with the loss of every lane, 5 steps, and one evaluation."""
    sweep = swept.sweep()
    folder = growing.start(tmp_path / "swept", lanes=24)
    for lane in range(24):
        rows = growing.steps(lane % 2, 0, np.linspace(2, 1, 5)), growing.evaluation(lane % 2, 5, 0.5)
        growing.append(folder / "shards" / f"{lane // 2:03d}", *rows)
    return replace(sweep, folder=folder)


def test_every_lane_has_a_curve_and_the_best_settings_a_colour(sweep):
    ranking = ranking_of(sweep)
    text = str(lanes.draw_sweep(sweep, ranking))
    losses = re.findall(LINES, text[text.index("Training loss") : text.index("Validation loss")])
    assert len(losses) == 2 * 24  # on both scales
    assert sorted(colour for colour, faint in losses if not faint) == sorted("12456" * 2)
    for entry in ranking.entries[:5]:
        assert entry.label in text
    assert '"name":"",' not in text  # the pointer reads the coloured ones


def test_more_lanes_than_can_be_told_apart_are_counted(sweep, monkeypatch):
    monkeypatch.setattr(lanes, "MOST_DRAWN", 10)
    text = str(lanes.draw_sweep(sweep, ranking_of(sweep)))
    assert "14 of the worse lanes are not drawn" in text


def test_lanes_in_memory_are_drawn_and_none_where_nothing_was_logged(sweep, tmp_path):
    records = [made.classification(steps=50, seed=lane) for lane in range(24)]
    in_memory = replace(sweep, folder=tmp_path / "nowhere")
    assert len(re.findall(LINES, str(lanes.draw_sweep(in_memory, ranking_of(sweep), records)))) > 48
    assert lanes.draw_sweep(in_memory, ranking_of(sweep)) is None
