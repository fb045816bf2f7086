"""Executors of other libraries, each through the same sweep; skipped where its package is missing."""

import logging
import random
from concurrent.futures import Future

import pytest

import thalweg as tw
from tests.faults.cluster import Sweep, different, kill
from thalweg.run.cluster import jobs as cluster_jobs
from thalweg.run.cluster.executors import Dask, Processes
from thalweg.run.cluster.jobs import Jobs


def test_a_sweep_on_dask(problem, recipes, alone, tmp_path):
    """A scheduler and two workers in threads of this process: `scripts/distributed` has real ones."""
    distributed = pytest.importorskip("distributed", reason="needs thalweg[dask]")
    cluster = distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=False,
        dashboard_address="127.0.0.1:0",
        silence_logs=logging.CRITICAL,
    )
    workers = Dask(distributed.Client(cluster), cluster)
    tw.train(problem, recipes, keep=tmp_path / "s", executor=workers, progress=False)
    assert different(alone, tmp_path / "s") == ""
    workers.shutdown()
    with pytest.raises(RuntimeError, match="scheduler is gone"):
        workers.submit(int)


def test_a_dask_worker_that_is_killed_costs_nothing_but_time(tmp_path):
    """The shortest form of `scripts/distributed`: real processes, of which one gets SIGKILL."""
    pytest.importorskip("distributed", reason="needs thalweg[dask]")
    lanes = ["--steps", "800", "--vary", "optimizer.lr=1e-3..1e-1:4log"]
    reference = Sweep(tmp_path, "reference", *lanes, "--strict")
    assert reference.end(300) == 0, reference.said()
    sweep = Sweep(tmp_path, "killed", *lanes, "--on", "dask:local:2")
    killed = kill(sweep, 1, random.Random(0), most_at_once=1, pause=0.0)
    assert sweep.end(300) == 0, sweep.said()
    assert killed == 1 and different(reference.folder, sweep.folder) == ""


class _Job:
    def __init__(self, call):
        self._call, self.cancelled = call, False

    def done(self):
        return not self.cancelled

    def result(self):
        return self._call()

    def cancel(self, check=True):
        self.cancelled = True


class _Submitter:
    """Stands for submitit's executor: jobs of one `batch` form an array."""

    def __init__(self):
        self.arrays, self.calls = [], []

    def batch(self):
        return self

    def __enter__(self):
        self.calls = []

    def __exit__(self, *_):
        self.arrays.append(len(self.calls))

    def submit(self, function, *args, **kwargs):
        self.calls.append(function)
        return _Job(lambda: function(*args, **kwargs))


def test_jobs_that_are_submitted_at_once_are_one_array(monkeypatch):
    monkeypatch.setattr(cluster_jobs, "JOB_SECONDS", 0.05)
    submitter = _Submitter()
    jobs = Jobs(submitter)
    futures = [jobs.submit(divmod, 7, number) for number in (1, 2, 0)]
    assert all(isinstance(future, Future) for future in futures)
    assert [future.result(5) for future in futures[:2]] == [(7, 0), (3, 1)]
    with pytest.raises(ZeroDivisionError):
        futures[2].result(5)
    assert submitter.arrays == [3]
    jobs.shutdown(cancel_futures=True)
    with pytest.raises(RuntimeError, match="shut down"):
        jobs.submit(int)


def test_a_pool_whose_process_died_is_replaced():
    workers = Processes(1)
    assert workers.submit(abs, -3).result(60) == 3
    dying = workers.submit(exec, "import os; os._exit(1)")
    assert dying.exception(60) is not None
    assert workers.submit(abs, -4).result(60) == 4
    workers.shutdown()
