"""`stream_train`: a run as a loop of the caller's own, which stops lanes and runs and changes no bit."""

import numpy as np
import pytest

from tests.made import problem
from tests.run.test_resume import BASE, assert_same
from thalweg.core.errors import BadInput
from thalweg.run.folder.record import read
from thalweg.run.folder.sweep_record import read as read_sweep
from thalweg.run.progress import Status
from thalweg.run.resume import resume
from thalweg.run.spec import SaveOptions
from thalweg.run.train import stream_train, train
from thalweg.run.verify import examine


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return the folder of a run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    train(problem(), BASE, keep=folder)
    return folder


def losses(run):
    return run.record.steps["loss"].to_numpy()


def test_the_loop_gives_the_bits_of_train_wherever_chunks_end(whole, tmp_path):
    stream = stream_train(problem(), BASE, keep=tmp_path / "run", every=5)
    seen = list(stream)
    assert_same(whole, tmp_path / "run")
    total = read(whole).result["steps"]
    assert {status.step for status in seen} >= {*range(5, total, 5), total}
    assert all(status.total_steps == total and status.figures["loss"] > 0 for status in seen)
    evaluated = [status for status in seen if status.evaluated]
    history = read(whole).evaluations.filter(part="validation")
    assert [status.figures["validation_loss"] for status in evaluated] == history["loss"].to_list()[
        : len(evaluated)
    ]
    assert "accuracy" in evaluated[-1].figures and seen[-1].lanes[0].state == "epochs"
    assert stream.result() is stream.result() and not list(stream)


def test_between_two_statuses_nothing_is_computed():
    stream = stream_train(problem(), BASE, every=10)
    assert next(stream).step == 10
    assert [next(stream).step for _ in range(2)] == [20, 30]
    assert stream.result().result["stopped"] == "epochs"


def test_a_stopped_run_ends_at_its_next_chunk_and_resumes_bit_for_bit(whole, tmp_path):
    stream = stream_train(problem(), BASE, keep=tmp_path / "run", every=25)
    for status in stream:
        if status.step >= 50:
            status.stop()
    run = stream.result()
    assert run.result["stopped"] == "caller" and run.result["steps"] == 50
    assert len(losses(run)) == 50 and run.predict(np.zeros((2, 6), np.float32))["prediction"].shape == (2,)
    assert examine(tmp_path / "run").ended is False
    resume(tmp_path / "run", problem())
    assert_same(whole, tmp_path / "run")


def test_the_only_lane_of_a_run_is_the_run(tmp_path):
    stream = stream_train(problem(), BASE, keep=tmp_path / "run", every=20)
    next(stream).stop(lane=0)
    assert stream.result().result["stopped"] == "caller" and examine(tmp_path / "run").ended is False


@pytest.mark.parametrize("workers", [1, 2])
def test_a_stopped_lane_leaves_the_others_as_they_are(workers, tmp_path, monkeypatch):
    monkeypatch.setattr("thalweg.engine.plan.usable_cores", lambda: workers)
    recipes = BASE.vary(lr=[0.001, 0.01, 0.02])
    stream = stream_train(problem(), recipes, keep=tmp_path / "sweep", strict=True, every=14)
    for status in stream:
        if status.lanes[1].step >= 28:
            status.stop(lane=1)
    runs = stream.result()
    assert [run.result["stopped"] for run in runs] == ["epochs", "caller", "epochs"]
    assert 28 <= runs[1].result["steps"] < runs[0].result["steps"]
    alone = train(problem(), recipes[2])
    assert np.array_equal(losses(runs[2]), losses(alone))
    assert np.array_equal(losses(runs[1]), losses(train(problem(), recipes[1]))[: runs[1].result["steps"]])
    assert read_sweep(tmp_path / "sweep").table["stopped"].to_list() == ["epochs", "caller", "epochs"]
    assert examine(tmp_path / "sweep").ended


def test_a_stopped_lane_stays_stopped_in_a_resumed_sweep(tmp_path):
    recipes = BASE.vary(lr=[0.001, 0.01])
    keep = SaveOptions(tmp_path / "sweep", every="off")
    stream = stream_train(problem(), recipes, keep=keep, strict=True, every=14)
    for status in stream:
        status.stop(lane=1)
        if status.lanes[1].state == "caller" and status.lanes[0].step > 28:
            status.stop()
    assert stream.result().result["stopped"] == {"caller": 2}
    runs = resume(tmp_path / "sweep", problem())
    assert [run.result["stopped"] for run in runs] == ["epochs", "caller"]
    assert np.array_equal(losses(runs[0]), losses(train(problem(), recipes[0])))


def test_a_forgotten_loop_leaves_a_folder_that_resumes(whole, tmp_path):
    stream = stream_train(problem(), BASE, keep=SaveOptions(tmp_path / "run", every="7"))
    for status in stream:
        if status.step >= 40:
            break
    stream.close()
    with pytest.raises(BadInput, match=r"closed before its end\nhint: resume"):
        stream.result()
    resume(tmp_path / "run", problem())
    assert_same(whole, tmp_path / "run")


def test_a_function_receives_each_status_and_can_stop_the_run():
    seen = []

    def stop_soon(status):
        seen.append(status)
        if status.step >= 28 and status.requests is not None:
            status.stop()

    run = train(problem(), BASE, progress=stop_soon)
    assert run.result["stopped"] == "caller"
    lines = [str(status) for status in seen]
    assert lines[0] == "blobs: 168 steps" and lines[-1].startswith("blobs: stopped (caller), test accuracy ")
    assert "/168, loss 0." in lines[1] and seen[0].figures == {}


@pytest.mark.parametrize("lane", [3, -1, "0", True, 1.0])
def test_a_lane_that_does_not_exist_is_refused(lane):
    stream = stream_train(problem(), BASE.vary(lr=[0.1, 0.2]), every=1)
    status = next(stream)
    with pytest.raises(BadInput, match="lane of the run"):
        status.stop(lane=lane)
    stream.close()


def test_a_status_outside_of_training_stops_nothing():
    with pytest.raises(BadInput, match="being trained"):
        Status(3).stop()


@pytest.mark.parametrize("every", [0, -5])
def test_an_interval_below_one_update_is_refused(every):
    with pytest.raises(BadInput, match="at least one update"):
        stream_train(problem(), BASE, every=every)
