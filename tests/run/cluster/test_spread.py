"""Sweeps on the workers of an executor: the same bytes as on one machine, whatever happens to a worker."""

import functools
import json
import os
import signal
import threading
import time
from concurrent.futures import CancelledError, Executor, Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import thalweg as tw
from tests.faults.cluster import different
from thalweg.core.errors import BadInput, DataError, ModelError, RecipeError, RunFolderError
from thalweg.engine.plan import UNIT_BYTES, plan_units
from thalweg.run.cluster import spread, unit
from thalweg.run.cluster.executors import Processes
from thalweg.run.folder.lock import Lock
from thalweg.run.resume import Change, resume
from thalweg.run.session import unit_record
from thalweg.run.spec import Halving, SaveOptions
from thalweg.run.train import plan, train

RATES, SEEDS = (0.01, 0.1, 1.0), (0, 1)
RECIPES = [
    tw.Recipe(tw.SGD(lr=rate), batch_size=16, steps=120, seed=seed) for rate in RATES for seed in SEEDS
]
ROWS = np.random.default_rng(0).normal(size=(240, 4)).astype(np.float32)


@pytest.fixture(scope="module")
def problem():
    targets = (ROWS @ np.array([1.0, -1.0, 2.0, 0.5]) > 0).astype(int)
    return tw.Problem(tw.MLP([4, 8, 2]), tw.load((ROWS, targets)))


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(spread, "BUSY_SECONDS", 0.05)
    monkeypatch.setattr(spread, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(unit, "PULSE_SECONDS", 0.0)


def keep(folder, **more):
    return SaveOptions(folder, every="30", **more)


@pytest.fixture(scope="module")
def alone(problem, tmp_path_factory):
    """The sweep on one machine, in the units' shards."""
    folder = tmp_path_factory.mktemp("alone") / "sweep"
    runs = train(problem, RECIPES, keep=keep(folder), strict=True, progress=False)
    return folder, runs


class Faulty(Executor):
    """Runs calls at once, in this thread; a function decides what becomes of each."""

    def __init__(self, becomes):
        self.becomes, self.calls = becomes, 0

    def submit(self, fn, /, *args, **kwargs):
        self.calls += 1
        future = Future()
        try:
            future.set_result(self.becomes(self.calls, functools.partial(fn, *args, **kwargs)))
        except BaseException as error:
            future.set_exception(error)
        return future


def test_a_sweep_in_threads_gives_the_bytes_of_one_machine(problem, alone, tmp_path):
    seen = []
    with ThreadPoolExecutor(2) as workers:
        runs = train(problem, RECIPES, keep=keep(tmp_path / "s"), executor=workers, progress=seen.append)
    assert different(alone[0], tmp_path / "s") == ""
    assert runs.table.equals(alone[1].table)
    for one, other in zip(runs, alone[1], strict=True):
        assert np.array_equal(one.outputs(ROWS), other.outputs(ROWS))
    assert not (tmp_path / "s" / "shards").exists()
    assert tw.read(tmp_path / "s" / "lanes" / "000").result["stopped"] == "steps"
    states = {lane.state for status in seen for lane in status.lanes}
    assert {"waiting", "running", "steps"} <= states, "the table is live"


def test_shards_depend_on_the_lanes_alone(problem, monkeypatch):
    many = [tw.Recipe(tw.SGD(lr=rate)) for rate in np.geomspace(1e-4, 1, 256).tolist()]
    first = plan_units(problem, many)
    monkeypatch.setattr("thalweg.engine.plan.usable_cores", lambda: 7)
    monkeypatch.setattr("thalweg.engine.plan.free_memory", lambda: 10**12)
    assert first.shards == plan_units(problem, many).shards == plan(problem, many, units=True).shards
    assert {len(shard.lanes) for shard in first.shards} == {16} and {s.layout for s in first.shards} == {
        "map"
    }
    assert [len(shard.lanes) for shard in plan_units(problem, many[:5]).shards] == [1] * 5
    monkeypatch.setattr("thalweg.engine.plan.lane_bytes", lambda *_, **__: UNIT_BYTES // 2)
    assert {len(shard.lanes) for shard in plan_units(problem, many).shards} == {2}


def test_units_whose_workers_die_are_trained_again(problem, alone, tmp_path):
    """Every worker dies once: before it has begun, or after it has finished but before it could say so."""

    def becomes(call, work):
        if call % 2:
            if call % 4 == 3:
                work()
            raise CancelledError
        return work()

    workers = Faulty(becomes)
    train(problem, RECIPES, keep=keep(tmp_path / "s"), executor=workers, progress=False)
    assert workers.calls >= 2 * len(RECIPES) - 1 and different(alone[0], tmp_path / "s") == ""


def test_a_unit_resumes_from_the_checkpoint_of_a_worker_that_died(problem, alone, tmp_path, monkeypatch):
    begun = []

    def dies(number, work, real=unit.Session.stream_shard):
        def stream(session, folder, shard, at_rung):
            training = real(session, folder, shard, at_rung)
            for count, status in enumerate(training):
                begun.append((number, status.step))
                if number == 1 and status.step >= 60 and count:
                    training.close()
                    raise CancelledError
                yield status
            return None

        if number != 1:
            return work()
        with monkeypatch.context() as patched:
            patched.setattr(unit.Session, "stream_shard", stream)
            return work()

    train(
        problem, RECIPES[:1] + RECIPES[2:3], keep=keep(tmp_path / "s"), executor=Faulty(dies), progress=False
    )
    shard = [step for number, step in begun if number == 1]
    assert shard and max(shard) < 120
    lanes = [json.loads((tmp_path / "s" / "lanes" / f"00{n}" / "result.json").read_text()) for n in (0, 1)]
    reference = [json.loads((alone[0] / "lanes" / f"00{n}" / "result.json").read_text()) for n in (0, 2)]
    assert [lane["test_loss"] for lane in lanes] == [lane["test_loss"] for lane in reference]


def test_an_error_is_tried_a_few_times_and_named(problem, tmp_path):
    def fails(call, work):
        raise OSError(28, "No space left on device")

    workers, notes = Faulty(fails), []
    with pytest.raises(RunFolderError, match=r"unit \d failed 5 times.*No space left") as caught:
        train(
            problem,
            RECIPES,
            keep=keep(tmp_path / "s"),
            executor=workers,
            progress=lambda s: notes.append(s.note),
        )
    assert "resume" in caught.value.hint and any("tried again" in note for note in notes if note)

    runs = resume(tmp_path / "s", progress=False)  # without workers
    assert set(runs.table["stopped"]) == {"steps"}


def test_a_worker_that_always_dies_ends_the_sweep(problem, tmp_path, monkeypatch):
    monkeypatch.setattr(spread, "MOST_LOSSES", 3)

    def dies(call, work):
        raise CancelledError

    with pytest.raises(RunFolderError, match="lost its worker 4 times"):
        train(problem, RECIPES, keep=keep(tmp_path / "s"), executor=Faulty(dies), progress=False)


def test_bad_data_on_a_worker_are_not_tried_again(problem, tmp_path):
    def fails(call, work):
        raise DataError("data", "must be those", hint="restore them")

    workers = Faulty(fails)
    with pytest.raises(DataError, match="must be those"):
        train(problem, RECIPES, keep=keep(tmp_path / "s"), executor=workers, progress=False)
    assert workers.calls == len(RECIPES)


def test_the_lock_decides_between_two_workers(problem, alone, tmp_path):
    """The second worker returns at once and is tried again later; nothing is trained twice."""
    folder, held = tmp_path / "s", []

    def becomes(call, work):
        if call == 1:
            place = unit_record.place_of(folder, 0)
            place.mkdir(parents=True)
            held.append(Lock(place))
            held[0].__enter__()
        elif call > len(RECIPES) and held:  # what was refused is tried again: the other worker has ended
            held.pop().__exit__(None, None, None)
        return work()

    workers, notes = Faulty(becomes), []
    train(problem, RECIPES, keep=keep(folder), executor=workers, progress=lambda s: notes.append(s.note))
    assert workers.calls > len(RECIPES) and different(alone[0], folder) == ""
    assert not any("failed" in note for note in notes if note), "another worker is no failure"


def test_a_record_of_another_sweep_or_a_damaged_one_counts_for_nothing(tmp_path):
    record = unit_record.UnitRecord("mine", unit_record.FINISHED, [], notes=[], losses=[])
    record.write(tmp_path)
    assert unit_record.read(tmp_path, "mine") == record
    assert unit_record.read(tmp_path, "another") is None
    path = tmp_path / unit_record.FILE
    path.write_bytes(path.read_bytes().replace(b"finished", b"Finished"))
    assert unit_record.read(tmp_path, "mine") is None


def test_a_sweep_resumes_with_other_workers_and_skips_what_is_finished(problem, alone, tmp_path):
    folder = tmp_path / "s"

    def some(call, work):
        if call > 3:
            raise RecipeError("worker", "was lost", hint="none")
        return work()

    with pytest.raises(RecipeError):
        train(problem, RECIPES, keep=keep(folder), executor=Faulty(some), progress=False)
    finished = [path.stat().st_mtime_ns for path in sorted(folder.glob("lanes/*/run.json"))]
    assert len(finished) == 3
    damaged = folder / "lanes" / "001" / "final.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    trained = []

    def counts(call, work):
        trained.append(work.args[1])
        return work()

    resume(folder, executor=Faulty(counts), progress=False)
    assert sorted(trained) == [1, 3, 4, 5], "the unit of the damaged lane is trained again"
    assert different(alone[0], folder) == ""


def test_halving_decides_as_on_one_machine(problem, tmp_path):
    """Rungs are barriers: units save their states, wait for the decision, and follow it."""
    halving = Halving(factor=2.0, first=0.5)
    one, other = tmp_path / "one", tmp_path / "other"
    train(problem, RECIPES, keep=keep(one), strict=True, halving=halving, progress=False)
    workers = Faulty(lambda call, work: work())
    runs = train(problem, RECIPES, keep=keep(other), executor=workers, halving=halving, progress=False)
    assert different(one, other) == "" and (runs.table["stopped"] == "halved").sum() == 2
    assert workers.calls == 2 * len(RECIPES)


def test_a_halving_sweep_whose_coordinator_died_at_a_rung_resumes_without_workers(problem, tmp_path):
    halving = Halving(factor=2.0, first=0.5)
    one, other = tmp_path / "one", tmp_path / "other"
    train(problem, RECIPES, keep=keep(one), strict=True, halving=halving, progress=False)

    def some(call, work):
        if call > 5:
            raise RecipeError("worker", "was lost", hint="none")
        return work()

    with pytest.raises(RecipeError):
        train(problem, RECIPES, keep=keep(other), executor=Faulty(some), halving=halving, progress=False)
    resume(other, progress=False)
    assert different(one, other) == ""


def test_a_stop_of_the_caller_saves_and_can_be_resumed(problem, alone, tmp_path):
    def stop(status):
        if status.note is None:
            status.stop()

    with ThreadPoolExecutor(1) as workers, pytest.raises(KeyboardInterrupt):
        train(problem, RECIPES, keep=keep(tmp_path / "s"), executor=workers, progress=stop)
    resume(tmp_path / "s", progress=False)
    assert different(alone[0], tmp_path / "s") == ""


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"executor": object()}, BadInput, "must be an executor"),
        ({"executor": ThreadPoolExecutor}, BadInput, "must be an executor"),
        ({"keep": None}, BadInput, "needs a folder"),
        ({"recipe": RECIPES[0]}, BadInput, "several recipes"),
    ],
)
def test_what_cannot_be_spread_is_refused(problem, tmp_path, change, error, words):
    arguments = {"recipe": RECIPES, "keep": tmp_path / "s", "executor": Faulty(None)} | change
    with pytest.raises(error, match=words):
        train(problem, progress=False, **arguments)
    assert not (tmp_path / "s").exists()


def test_what_a_worker_cannot_rebuild_is_refused(problem, tmp_path):
    arguments = {"recipe": RECIPES, "executor": Faulty(None), "progress": False}
    with pytest.raises(DataError, match="by name"):
        train(problem, keep=keep(tmp_path / "s", data=False), **arguments)
    own = tw.Problem(lambda key: tw.MLP([4, 8, 2])(key), problem.data)
    with pytest.raises(ModelError, match="import"):
        train(own, keep=keep(tmp_path / "s"), **arguments)
    with pytest.raises(BadInput, match="as it was planned"):
        resume(tmp_path, executor=Faulty(None), change=Change(steps=300))


@pytest.mark.parametrize(
    "name", ["processes:0", "processes:x", "proceses:2", "", "dask", "slurm:partition", "dask:local:-1"]
)
def test_names_of_executors_that_do_not_exist_are_refused(name):
    with pytest.raises((BadInput, tw.MissingExtra)) as caught, tw.executor(name):
        pass
    assert caught.value.hint


def test_a_killed_process_costs_nothing_but_time(problem, alone, tmp_path):
    """A worker of a pool of two is killed with SIGKILL while it trains."""
    folder, killed = tmp_path / "s", []
    with tw.executor("processes:2") as workers:
        assert isinstance(workers, Processes)

        def assassin():
            while not killed and not (folder / "result").exists():
                if list(folder.glob("shards/*/unit.json")) and workers.pids:
                    killed.append(workers.pids[0])
                    os.kill(killed[0], signal.SIGKILL)
                time.sleep(0.01)

        thread = threading.Thread(target=assassin, daemon=True)
        thread.start()
        train(problem, RECIPES, keep=keep(folder), executor=workers, progress=False)
    assert killed and killed[0] not in workers.pids
    assert different(alone[0], Path(folder)) == ""
