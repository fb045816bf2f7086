"""Real schedulers: Ray, MPI, submitit and SLURM, where they are installed; and SLURM imitated."""

import os
import shutil
import subprocess
import sys
import threading
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from types import SimpleNamespace

import pytest

import thalweg as tw
from tests.faults.cluster import different
from thalweg.core.errors import BadInput, MissingExtra
from thalweg.run.cluster import jobs, unit
from thalweg.run.cluster.jobs import Jobs, LostWorker, Queue, check, outcome, outside_of_a_job
from thalweg.run.folder import stop_request

# Run where the executor is started: a call that fails, a worker that dies, and a sweep after both.
SCRIPT = """
import sys
import numpy as np
import thalweg as tw
from thalweg.run.cluster.jobs import LostWorker

def main():
    rows = np.random.default_rng(0).normal(size=(120, 4)).astype(np.float32)
    problem = tw.Problem(tw.MLP([4, 8, 2]), tw.load((rows, (rows[:, 0] > 0).astype(int))))
    recipes = [tw.Recipe(tw.SGD(lr=rate), batch_size=16, steps=40) for rate in (0.01, 0.1)]
    name, folder = sys.argv[1:]
    with tw.executor(name) as workers:
        assert isinstance(workers.submit(divmod, 1, 0).exception(60), ZeroDivisionError)
        if name != "mpi":  # which ends with any of its processes
            dies = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
            assert isinstance(workers.submit(exec, dies).exception(60), LostWorker)
        tw.train(problem, recipes, keep=folder, executor=workers, progress=False)
    print("trained")

if __name__ == "__main__":
    main()
"""


def trained(folder, name, *launcher):
    """Run the script with an executor; return the folder of its sweep."""
    path = folder / "script.py"
    path.write_text(SCRIPT)
    command = [*launcher, str(path), name, str(folder / "sweep")]
    # Open MPI refuses root, and more processes than cores, otherwise.
    more = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    more |= {"OMPI_MCA_rmaps_base_oversubscribe": "1", "RAY_USAGE_STATS_ENABLED": "0"}
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"} | more
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and "trained" in done.stdout, done.stdout + done.stderr
    assert "os.fork" not in done.stderr, done.stderr
    return folder / "sweep"


def test_a_sweep_on_ray(alone, tmp_path):
    pytest.importorskip("ray", reason="needs Ray: pip install 'thalweg[ray]'")
    assert different(alone, trained(tmp_path, "ray", sys.executable)) == ""


def test_a_sweep_on_mpi(alone, tmp_path):
    pytest.importorskip("mpi4py", reason="needs mpi4py: pip install 'thalweg[mpi]'")
    if shutil.which("mpiexec") is None:
        pytest.skip("needs mpiexec of an MPI library")
    launcher = ("mpiexec", "-n", "3", sys.executable, "-m", "mpi4py.futures")
    assert different(alone, trained(tmp_path, "mpi", *launcher)) == ""


def test_a_sweep_on_local_jobs_of_submitit(alone, tmp_path):
    pytest.importorskip("submitit", reason="needs submitit: pip install 'thalweg[slurm]'")
    assert different(alone, trained(tmp_path, "slurm:local,timeout_min=10", sys.executable)) == ""


def test_a_sweep_on_slurm(alone, tmp_path):
    pytest.importorskip("submitit", reason="needs submitit: pip install 'thalweg[slurm]'")
    if not shutil.which("sinfo") or subprocess.run(["sinfo"], capture_output=True).returncode:
        pytest.skip("needs a SLURM that answers")
    assert different(alone, trained(tmp_path, "slurm:timeout_min=10", sys.executable)) == ""


@pytest.mark.parametrize(
    ("package", "name", "words"),
    [
        ("ray", "ray:HOST", "HOST:PORT"),
        ("ray", "ray:127.0.0.1:1", "Ray must answer"),
        ("mpi4py", "mpi", "needs the processes of mpi4py.futures"),
        ("mpi4py", "mpi:4", "takes no options"),
        ("submitit", "slurm:local,timeout_min=soon", "accept the options"),
        ("submitit", "slurm:local,partitoin=cpu", "accept the options"),
    ],
)
def test_what_a_scheduler_cannot_do_is_refused(package, name, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pytest.importorskip(package, reason=f"needs {package}")
    with pytest.raises(BadInput, match=words) as caught, tw.executor(name):
        pass
    assert caught.value.hint


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    for package, name in (
        ("ray", "ray"),
        ("mpi4py", "mpi"),
        ("submitit", "slurm:local"),
        ("distributed", "dask:local"),
    ):
        monkeypatch.setitem(sys.modules, package, None)
        extra = name.partition(":")[0]
        with pytest.raises(MissingExtra, match=rf"pip install thalweg\[{extra}\]"), tw.executor(name):
            pass


def command(folder, name, script):
    """Put a command in a folder that comes first where commands are looked for."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Stands for SLURM's commands: `squeue` says what the file `queue` has."""
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(jobs, "QUEUE_SECONDS", 0.0)
    command(tmp_path, "squeue", f"cat {tmp_path}/queue")
    return tmp_path


def job(folder, number):
    paths = SimpleNamespace(folder=folder, result_pickle=folder / f"{number}.pkl", stderr=folder / "log.err")
    return SimpleNamespace(job_id=number, paths=paths, cancel=lambda check: None)


def test_a_job_that_left_the_queue_without_a_result_is_lost(slurm):
    (slurm / "queue").write_text("7_0\n7_1\n")
    queue, three = Queue(), [job(slurm, f"7_{number}") for number in range(3)]
    assert queue.lost(three) == [], "once may be too early for its result"
    (slurm / "queue").write_text("7_0\n")
    assert queue.lost(three) == [three[2]]
    (slurm / "7_1.pkl").touch()
    assert queue.lost(three[:2]) == [] and queue.lost(three[:2]) == []


def test_a_queue_that_does_not_answer_loses_no_job(slurm):
    command(slurm, "squeue", "exit 1")
    queue, one = Queue(), [job(slurm, "7")]
    assert [queue.lost(one) for _ in range(4)] == [[], [], [], []]
    (slurm / "queue").write_text("")
    command(slurm, "squeue", f"cat {slurm}/queue")
    assert queue.lost(one) == [] and queue.lost(one) == one


def test_a_lost_job_is_a_lost_worker(slurm, monkeypatch):
    monkeypatch.setattr(jobs, "JOB_SECONDS", 0.05)
    (slurm / "queue").write_text("")

    class Submitter:
        batch = staticmethod(outside_of_a_job)

        def submit(self, *call):
            return job(slurm, "8")

    workers = Jobs(Submitter(), Queue())
    error = workers.submit(int).exception(10)
    assert isinstance(error, LostWorker) and "log.err" in str(error)
    workers.shutdown(cancel_futures=True)


@pytest.mark.parametrize(
    ("said", "accepted"),
    [
        ("sbatch: error: invalid partition specified: nope", False),
        ("allocation failure: Unable to contact slurm controller (connect failure)", False),
        ("allocation failure: Requested nodes are busy", True),
    ],
)
def test_jobs_that_slurm_would_not_accept_are_refused_before(slurm, said, accepted):
    command(slurm, "sbatch", f"cat > {slurm}/script; echo '{said}' >&2; exit 1")
    submitter = SimpleNamespace(
        _executor=SimpleNamespace(_make_submission_file_text=lambda command, name: "#SBATCH --partition=nope")
    )
    if accepted:
        check(submitter, outside_of_a_job)
    else:
        with pytest.raises(BadInput, match="SLURM must accept"):
            check(submitter, outside_of_a_job)
    assert "nope" in (slurm / "script").read_text()


def test_a_first_array_that_is_refused_ends_the_sweep(monkeypatch):
    monkeypatch.setattr(jobs, "JOB_SECONDS", 0.05)

    class Submitter:
        batch = staticmethod(outside_of_a_job)

        def submit(self, *call):
            raise RuntimeError("sbatch: error: QOSMaxSubmitJobPerUserLimit")

    workers = Jobs(Submitter())
    assert isinstance(workers.submit(int).exception(10), BadInput)
    workers._accepted = True
    assert not isinstance(workers.submit(int).exception(10), BadInput), "a scheduler may be busy later"
    workers.shutdown()


def test_a_job_within_a_job_does_not_inherit_what_slurm_says_of_the_outer(monkeypatch):
    monkeypatch.setenv("SLURM_NTASKS", "4")
    monkeypatch.setenv("SLURM_CONF", "/etc/slurm.conf")
    with outside_of_a_job():
        assert "SLURM_NTASKS" not in os.environ and os.environ["SLURM_CONF"] == "/etc/slurm.conf"
    assert os.environ["SLURM_NTASKS"] == "4"


class _Unpicklable(Exception):
    def __reduce__(self):
        raise TypeError


def test_an_error_that_cannot_be_sent_is_sent_in_words():
    assert outcome(divmod, (7, 2), {}) == ((3, 1), None)
    assert isinstance(outcome(divmod, (7, 0), {})[1], ZeroDivisionError)

    def fails():
        raise _Unpicklable("words")

    assert str(outcome(fails, (), {})[1]) == "_Unpicklable: words"


class GivesWay(Executor):
    """As Dask and Ray: its futures let themselves be cancelled while the call runs."""

    def __init__(self):
        self.pool, self.calls = ThreadPoolExecutor(2), []

    def submit(self, fn, /, *args, **kwargs):
        future = Future()
        call = self.pool.submit(fn, *args, **kwargs)
        self.calls.append(call)
        call.add_done_callback(lambda done: future.cancelled() or future.set_result(done.result()))
        return future


def test_a_stop_waits_for_workers_whose_futures_give_way(problem, tmp_path, monkeypatch):
    many = [tw.Recipe(tw.SGD(lr=0.01), batch_size=1, steps=20_000, seed=seed) for seed in range(6)]
    workers, begun = GivesWay(), threading.Event()

    def stop(status):
        if status.note is None:
            begun.set()
            status.stop()

    with pytest.raises(KeyboardInterrupt):
        tw.train(problem, many, keep=tmp_path / "s", executor=workers, progress=stop)
    assert begun.is_set() and all(call.done() for call in workers.calls)
    workers.pool.shutdown()

    stop_request.ask(tmp_path / "s")
    monkeypatch.setattr(unit, "Session", None)
    assert unit.train_unit(str(tmp_path / "s"), 5), "what has not begun returns at once"
