"""A run is asked to stop through its folder: a whole run can be resumed, a lane stops for good."""

import numpy as np
import pytest

import thalweg as tw
from thalweg.core.stop_reason import StopReason
from thalweg.run.folder import stop_request
from thalweg.run.folder.stop_request import FILE, StopRequest, StopRequests
from thalweg.run.progress import Silent
from thalweg.run.resume import resume

RECIPE = tw.Recipe(tw.SGD(lr=0.1), batch_size=32, epochs=40)


def problem():
    x = np.random.default_rng(0).normal(size=(200, 4)).astype("float32")
    return tw.Problem(tw.MLP([4, 8, 3]), tw.load((x, (x[:, 0] > 0).astype(int) + (x[:, 1] > 0))))


class Asks(Silent):
    """Ask a run to stop once it has made some updates."""

    def __init__(self, folder, lanes=None, after=50):
        self.folder, self.lanes, self.after = folder, lanes, after

    def update(self, status):
        if self.after is not None and status.step >= self.after:
            stop_request.ask(self.folder, self.lanes)
            self.after = None


def test_a_run_that_is_asked_to_stop_can_be_resumed_bit_for_bit(tmp_path):
    whole = tw.train(problem(), RECIPE, keep=tmp_path / "whole")
    asked = tw.train(problem(), RECIPE, keep=tmp_path / "asked", progress=Asks(tmp_path / "asked"))
    assert asked.result["stopped"] == StopReason.INTERRUPTED
    assert 0 < asked.result["steps"] < whole.result["steps"]
    assert not (tmp_path / "asked" / FILE).exists()
    stop_request.ask(tmp_path / "asked")  # too late: nobody trains
    resumed = resume(tmp_path / "asked", problem())
    assert resumed.result["stopped"] == StopReason.EPOCHS and not (tmp_path / "asked" / FILE).exists()
    assert resumed.record.steps.equals(whole.record.steps)


def test_a_lane_that_is_asked_to_stop_leaves_the_others_as_they_are(tmp_path):
    recipes = RECIPE.vary(seed=[0, 1, 2])
    free = tw.train(problem(), recipes, strict=True)
    asked = tw.train(problem(), recipes, strict=True, keep=tmp_path / "s", progress=Asks(tmp_path / "s", [1]))
    reasons = [run.result["stopped"] for run in asked]
    assert reasons == [StopReason.EPOCHS, StopReason.REQUESTED, StopReason.EPOCHS]
    assert asked[1].result["steps"] < free[1].result["steps"] and not (tmp_path / "s" / FILE).exists()
    for lane in (0, 2):
        assert asked[lane].record.steps.equals(free[lane].record.steps)


def test_a_stopped_lane_stays_stopped_when_the_sweep_is_resumed(tmp_path):
    folder, recipes = tmp_path / "s", RECIPE.vary(seed=[0, 1])

    class Both(Asks):
        def update(self, status):
            if status.step >= 50 and self.after is not None:
                stop_request.ask(folder, [0])
            super().update(status)

    tw.train(problem(), recipes, keep=folder, progress=Both(folder, after=100))
    assert stop_request.read(folder) == StopRequest(False, frozenset([0]))
    resumed = resume(folder, problem())
    assert [run.result["stopped"] for run in resumed] == [StopReason.REQUESTED, StopReason.EPOCHS]
    assert not (folder / FILE).exists()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"lanes": 3}', '{"run": 1, "lanes": ["x", true]}'])
def test_a_damaged_request_asks_for_nothing(tmp_path, content):
    (tmp_path / FILE).write_text(content)
    assert StopRequests(tmp_path).read() == StopRequest()


def test_requests_add_up_until_they_are_followed(tmp_path):
    requests = StopRequests(tmp_path)
    stop_request.ask(tmp_path, [3])
    assert requests.read() == StopRequest(False, frozenset([3]))
    stop_request.ask(tmp_path, [1])
    stop_request.ask(tmp_path)
    assert requests.read() == StopRequest(True, frozenset([1, 3]))
    requests.end(interrupted=True)
    assert requests.read() == StopRequest(False, frozenset([1, 3]))
