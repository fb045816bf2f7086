"""When evaluations are due, on how many examples, and what a resumed run has spent."""

import time
from types import SimpleNamespace

import numpy as np
import pytest

from thalweg.engine.evaluate import Means
from thalweg.engine.state import RUNNING, STOPPED, State
from thalweg.problem.data.split import Rows, Windows
from thalweg.problem.losses.metrics import accuracy, rmse
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe
from thalweg.run.folder.log import Log
from thalweg.run.session import lane_states
from thalweg.run.session.lane_states import MOST_ROWS, MOST_WINDOWS, LaneStates, Timings
from thalweg.run.spec import Lane


@pytest.mark.parametrize(
    ("epoch_steps", "total", "expected"),
    [
        (50, 200, [50, 100, 150, 200]),
        (30, 150, [60, 120, 150]),  # two epochs, so that 50 updates lie between
        (14, 100, [56, 100]),
        (60, 200, [60, 120, 180, 200]),
        (1, 120, [50, 100, 120]),
        (500, 120, [120]),
    ],
)
def test_evaluations_are_at_ends_of_epochs_fifty_updates_apart(epoch_steps, total, expected):
    lanes = SimpleNamespace(last_evaluation=0)
    lanes.group = SimpleNamespace(feed=SimpleNamespace(epoch_steps=epoch_steps), total=total)
    found = []
    while lanes.last_evaluation < total:
        lanes.last_evaluation = LaneStates.next_stop.fget(lanes)
        found.append(lanes.last_evaluation)
    assert found == expected


def rows(count: int) -> Rows:
    return Rows(np.zeros((count, 1), np.float32), np.zeros((count, 1), np.float32))


@pytest.mark.parametrize(
    ("split", "data", "stride"),
    [
        ("train", rows(MOST_ROWS), 1),
        ("train", rows(2 * MOST_ROWS + 1), 3),
        ("train", Windows(np.zeros(MOST_WINDOWS * 2 + 4, np.int32), 4), 2),
        ("validation", rows(2 * MOST_ROWS), 1),
        ("test", rows(2 * MOST_ROWS), 1),
    ],
)
def test_only_a_large_training_split_is_sampled(monkeypatch, split, data, stride):
    strides = []

    def evaluate(program, inputs, examples, weights, every, which, predict):
        strides.append(every)
        return Means(np.array([0.5]), np.array([0.25]), np.array([1]), 0.0)

    monkeypatch.setattr(lane_states, "evaluate", evaluate)
    for metric in (accuracy, rmse):
        program = SimpleNamespace(metric=metric)
        group = SimpleNamespace(splits={split: data}, program=program, inputs=None, feed=None)
        lanes = SimpleNamespace(group=group, timings=Timings())
        means = LaneStates.evaluate(lanes, split, (None, None), np.array([True]))
        assert means.metric[0] == 0.25 and means.loss[0] == 0.5  # metrics come finished
    assert strides == [stride] * 2


NAN = float("nan")


def four_lanes(monkeypatch, metrics, losses, **settings) -> LaneStates:
    """Return four lanes of one model of a number each, whose evaluations give these figures in turn.

    The last lane only fills the width of the program. Lanes that are not evaluated have NaN.
    """
    program = SimpleNamespace(metric=rmse, mesh=None, select="loss", batch_size=1)
    recipes = [Recipe(SGD(lr=0.1), batch_size=1, steps=10, **settings)] * 3
    places = {"splits": {"validation": rows(4)}, "feed": SimpleNamespace(epoch_steps=50), "total": 10}
    group = SimpleNamespace(recipes=recipes, width=4, program=program, inputs=None, **places)
    nothing, codes = np.zeros(4), np.array([RUNNING] * 3 + [STOPPED], np.int32)
    states = State(nothing, None, None, None, None, None, None, np.full(4, 5), codes, nothing)
    figures = iter(zip(losses, metrics, strict=True))

    def evaluate(program, inputs, examples, weights, every, which, predict):
        loss, metric = (np.where(which, [*each, NAN], NAN) for each in next(figures))
        return Means(loss, metric, np.full(4, 4), 0.0)

    monkeypatch.setattr(lane_states, "evaluate", evaluate)
    lanes = tuple(Lane(number, recipes[0], "", None) for number in range(3))
    return LaneStates(group, lanes, states, Log(None, [], lanes=3))


def test_a_lane_that_stopped_keeps_its_reason_and_its_last_evaluation(monkeypatch):
    losses = [[1.0, 1.0, 1.0], [2.0, 3.0, 0.5], [NAN, NAN, 0.25]]
    metrics = [[9.0, 8.0, 7.0], [0.5, 8.0, 7.0], [NAN, NAN, 6.0]]
    lanes = four_lanes(monkeypatch, metrics, losses, patience=1, target=0.5)
    for _ in losses:
        lanes.validate()
    # At its second evaluation the first lane has reached the target, and has run out of patience as well.
    assert lanes.stopped == ["target", "patience", None, "unused"]
    assert np.asarray(lanes.states.code).tolist() == [STOPPED, STOPPED, RUNNING, STOPPED]
    shown = [(lane.state, lane.validation_loss, lane.metric) for lane in lanes.status().lanes]
    assert shown == [("target", 2.0, 0.5), ("patience", 3.0, 8.0), ("running", 0.25, 6.0)]


def test_a_resumed_run_has_spent_what_it_had_spent_before():
    timings = Timings(start=time.perf_counter())
    timings.add_earlier({"total": 1000.0, "compile": 1.0, "train": 2.0, "evaluate": 3.0})
    assert timings.total >= timings.earlier == 1000.0
    assert (timings.compile, timings.train, timings.evaluate) == (1.0, 2.0, 3.0)
    shard = Timings(compile=1.0, train=1.0, evaluate=1.0, earlier=1500.0)
    timings.add(shard)
    assert (timings.compile, timings.train, timings.evaluate) == (2.0, 3.0, 4.0)
    assert timings.earlier == 1500.0 and timings.total >= 1500.0
    timings.add(timings)  # a run of one shard shares its clock
    assert timings.train == 3.0


def test_activities_that_overlap_do_not_exceed_the_total():
    timings = Timings(start=time.perf_counter() - 1e6, compile=4e5, train=1e6, evaluate=2e5)
    alone = timings.seconds(threads=2)
    assert (alone["compile"], alone["train"], alone["evaluate"]) == (2e5, 5e5, 1e5)
    scaled = timings.seconds()
    assert sum(scaled[name] for name in ("compile", "train", "evaluate")) == pytest.approx(scaled["total"])
    assert scaled["train"] / scaled["compile"] == pytest.approx(2.5)
