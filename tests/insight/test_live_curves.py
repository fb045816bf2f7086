"""Curves that grow: each look reads what is new, a thinned curve keeps its means, lanes find their places."""

import numpy as np
import pytest

from tests.insight import growing
from thalweg.insight.live_curves import GrowingLog, LiveRun, ThinnedCurves
from thalweg.run.folder.log_stream import TABLES


def drawn(curves, lane=0):
    """Return the points of a lane, from the cells that changed since the beginning."""
    cells, values = curves.since(0)
    own = cells // curves.buckets == lane
    return curves.x[cells[own] % curves.buckets], values[own]


def test_a_long_curve_keeps_the_mean_of_each_bucket():
    random, curves = np.random.default_rng(0), ThinnedCurves(2, 8)
    losses = random.normal(size=100)
    for first in range(0, 100, 7):  # in pieces, as a log arrives
        step = np.arange(first, min(100, first + 7))
        curves.add(np.ones(len(step), int), step, losses[step], first + 1)
    assert curves.width == 16 and len(drawn(curves, 0)[0]) == 0
    x, y = drawn(curves, 1)
    means = [losses[at : at + 16].mean() for at in range(0, 100, 16)]
    np.testing.assert_allclose(y, means, rtol=1e-6)
    np.testing.assert_allclose(x, [np.arange(at, min(100, at + 16)).mean() for at in range(0, 100, 16)])
    assert curves.last[1] == losses[-1] and curves.step.tolist() == [-1, 99]


def test_only_cells_that_changed_are_told_again():
    curves = ThinnedCurves(2, 8)
    curves.add(np.array([0, 1]), np.array([0, 0]), np.array([1.0, 2.0]), 1)
    curves.add(np.array([1]), np.array([1]), np.array([4.0]), 2)
    cells, values = curves.since(1)
    assert cells.tolist() == [9] and values.tolist() == [4.0]


def test_values_that_are_not_finite_leave_a_gap():
    curves = ThinnedCurves(1, 8)
    curves.add(np.zeros(3, int), np.arange(3), np.array([1.0, np.nan, np.inf]), 1)
    assert drawn(curves)[1].tolist() == [1.0] and not np.isfinite(curves.last[0])


def test_a_torn_row_is_read_when_it_is_whole(tmp_path):
    growing.append(tmp_path, growing.steps(0, 0, [3.0, 2.0]))
    log, path = GrowingLog(tmp_path / "steps.arrows", TABLES["steps"]), tmp_path / "steps.arrows"
    assert log.read().column("loss").to_pylist() == [3.0, 2.0]
    more = growing.steps(0, 2, [1.0]).serialize().to_pybytes()
    for piece, rows in ((more[:50], 0), (more[50:-3], 0), (more[-3:], 1), (b"", 0)):
        with path.open("ab") as file:
            file.write(piece)
        assert len(log.read()) == rows


def test_a_log_that_was_replaced_is_read_anew(tmp_path):
    folder = growing.start(tmp_path / "run")
    growing.append(folder, growing.steps(0, 0, [3.0, 2.0, 1.0]))
    run = LiveRun(folder)
    assert run.refresh() and run.curves["loss"].step[0] == 2
    growing.append(tmp_path / "cut", growing.steps(0, 0, [3.0]))
    (tmp_path / "cut" / "steps.arrows").replace(folder / "steps.arrows")  # as a resumed run does
    generation = run.generation
    assert run.refresh() and run.generation > generation and run.curves["loss"].step[0] == 0


def test_a_look_without_news_says_so(tmp_path):
    folder = growing.start(tmp_path)
    growing.append(folder, growing.steps(0, 0, [3.0]), growing.evaluation(0, 10, 0.5))
    run = LiveRun(folder)
    assert run.refresh() and not run.refresh()
    assert run.epoch_steps == 10 and run.metric == "accuracy"
    assert drawn(run.curves["validation_loss"]) == (10, 0.5)


def test_the_lanes_of_shards_are_those_of_the_sweep(tmp_path):
    folder = growing.start(tmp_path, lanes=3)
    growing.append(folder / "shards" / "000", growing.steps(0, 0, [5.0]), growing.steps(1, 0, [6.0]))
    growing.append(folder / "shards" / "001", growing.steps(0, 0, [7.0]))
    run = LiveRun(folder)
    run.refresh()
    assert run.lanes == ["lr 0.1", "lr 0.01", "lr 0.001"] and run.values == [[0.1], [0.01], [0.001]]
    assert run.curves["loss"].last.tolist() == [5.0, 6.0, 7.0]


def test_a_lane_that_no_longer_advances_has_stopped(tmp_path):
    folder = growing.start(tmp_path, lanes=2)
    shard, run = folder / "shards" / "000", LiveRun(folder)
    growing.append(shard, growing.steps(0, 0, [5.0] * 4), growing.steps(1, 0, [5.0] * 2))
    run.refresh()
    assert not run.halted.any()  # the look may have come before the other lane was written
    growing.append(shard, growing.steps(0, 4, [5.0] * 4))
    run.refresh()
    assert run.halted.tolist() == [False, True]


@pytest.mark.parametrize("damage", ["{", "[]", '{"ended": false, "origin": {"plan": {"shards": 3}}}'])
def test_a_damaged_folder_shows_no_curves(tmp_path, damage):
    folder = growing.start(tmp_path, lanes=2)
    growing.write(folder, "run.json", damage)
    run = LiveRun(folder)
    run.refresh()
    assert len(run.lanes) == 2 and not (run.curves["loss"].step >= 0).any()
