"""Executors by name: `processes:4`, `dask:local:4`, `dask:ADDRESS`, `slurm:OPTIONS`, `ray`, `mpi`.

Each is a `concurrent.futures.Executor` of a library that schedules; what is here adapts its face, where that
differs, and replaces a broken pool of processes.
"""

import importlib
import logging
import multiprocessing
import signal
import socket
import sys
import uuid
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from thalweg.core.arguments import checked
from thalweg.core.device import usable_cores
from thalweg.core.errors import BadInput, MissingExtra, did_you_mean
from thalweg.run.cluster.jobs import Jobs, LostWorker, Queue, check, outcome, outside_of_a_job, settle

# Seconds until a scheduler must have answered.
CONNECT_SECONDS = 15
# Deaths of a worker in which Dask itself tries a unit again, before it is submitted anew.
DASK_DEATHS = 3
WHO = "executor"
FORMS = (
    "processes:4",
    "dask:local:4",
    "dask:tcp://HOST:8786",
    "slurm:partition=cpu,timeout_min=60",
    "ray",
    "mpi",
)


@checked(BadInput)
def executor(name: str) -> AbstractContextManager[Executor]:
    """Name workers for `train(..., executor=...)`: a context that starts them, and ends them afterwards.

    Workers of a cluster are connected to, and left. Processes are spawned: a script that uses them needs
    `if __name__ == "__main__":` around its own work.

    Args:
        name: `processes:N` for N processes on this machine (default: one per core); `dask:local:N` for Dask
            workers on this machine, `dask:ADDRESS` for a Dask scheduler; `slurm:OPTIONS` for jobs through
            submitit, with its options (`partition=cpu,timeout_min=60`) and `local` for jobs on this machine;
            `ray` for the Ray cluster of this machine, or one started for this, `ray:HOST:PORT` for another;
            `mpi` within `mpiexec -n N python -m mpi4py.futures`.

    Returns:
        A context manager; what it gives is a `concurrent.futures.Executor`.

    Raises:
        BadInput: There is no such executor; or, on entry, it does not answer.
        MissingExtra: On entry: the package that it needs is not installed.

    Example:
        >>> import thalweg as tw
        >>> problem = tw.Problem(tw.MLP([64, 16, 10]), tw.load("digits"))
        >>> recipes = tw.Recipe(epochs=5).vary(seed=[0, 1, 2, 3])
        >>> with tw.executor("processes:2") as workers:  # doctest: +SKIP
        ...     runs = tw.train(problem, recipes, executor=workers, keep="runs/spread")
    """
    kind, _, rest = name.partition(":")
    if kind not in _MAKERS:
        hint = did_you_mean(kind, _MAKERS) + "; for example " + ", ".join(FORMS[:3])
        raise BadInput(WHO, f"must be one of {', '.join(_MAKERS)}", got=name, hint=hint)
    return _started(kind, rest)


@contextmanager
def _started(kind: str, rest: str) -> Iterator[Executor]:
    workers = _MAKERS[kind](rest)
    try:
        yield workers
    finally:
        workers.shutdown(wait=True, cancel_futures=True)


class Processes(Executor):
    """Worker processes on this machine; if one dies, all are replaced, as a broken pool stays broken.

    Args:
        count: How many.
    """

    def __init__(self, count: int):
        self._count, self._pool = count, self._started(count)

    @staticmethod
    def _started(count: int) -> ProcessPoolExecutor:
        # Not forked: threads of JAX do not survive that.
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(count, context, initializer=_ignore_interrupt)

    @property
    def pids(self) -> list[int]:
        """The numbers of the worker processes that have been started."""
        return list(getattr(self._pool, "_processes", None) or {})

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Submit a call, to new processes if one of the old ones has died."""
        try:
            return self._pool.submit(fn, *args, **kwargs)
        except BrokenExecutor:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = self._started(self._count)
            return self._pool.submit(fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the processes, after the calls that they work on."""
        self._pool.shutdown(wait, cancel_futures=cancel_futures)


def _ignore_interrupt() -> None:
    """Leave Ctrl-C, which reaches all processes of a terminal, to the one that started them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def dask_setup(worker: object) -> None:
    """Prepare a worker process that Dask starts on this machine; Dask calls it."""
    del worker
    _ignore_interrupt()


class Dask(Executor):
    """Workers of a Dask cluster.

    Args:
        client: A `distributed.Client`.
        owned: What is closed in the end, besides the client.
    """

    def __init__(self, client: Any, owned: Any = None):
        self.client, self._owned = client, owned
        # A unit has effects: it is no pure function of its arguments, whose result may be reused.
        self._executor = client.get_executor(pure=False)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Submit a call to the scheduler."""
        if self.client.status != "running":
            raise RuntimeError(f"the Dask scheduler is gone (the client is {self.client.status})")
        return self._executor.submit(fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Leave the cluster, or end it where it was started for this."""
        self._executor.shutdown(wait=wait)
        self.client.close(timeout=5)
        if self._owned is not None:
            self._owned.close(timeout=30)


class Ray(Executor):
    """Tasks of a Ray cluster, of one core each.

    Args:
        ray: The module, connected.
        owned: Whether the connection was made for this, and ends with it.
    """

    def __init__(self, ray: Any, owned: bool = True):
        self._ray, self._owned = ray, owned
        # Another task, rather than Ray, tries a unit again: the coordinating process counts what is lost.
        self._task = ray.remote(max_retries=0)(outcome)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Submit a call as a task."""
        if not self._ray.is_initialized():
            raise RuntimeError("the Ray cluster is gone")
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()
        self._task.remote(fn, args, kwargs).future().add_done_callback(partial(_of_ray, future))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Leave the cluster, or end it where it was started for this."""
        if self._owned:
            self._ray.shutdown()


def _of_ray(future: Future[Any], task: Future[Any]) -> None:
    error = task.exception()
    if error is None:
        settle(future, task.result())
    else:  # errors of the call are results: this one is of its worker, or of the cluster
        future.set_exception(LostWorker(f"{type(error).__name__}: {error}"))


def _processes(rest: str) -> Executor:
    return Processes(_count(rest, f"processes:{rest}"))


def _dask(rest: str) -> Executor:
    name = f"dask:{rest}"
    config = _package("dask.config", "thalweg[dask]")
    # What Dask says of lost workers and schedulers is for whoever runs the cluster; here, errors say it.
    config.set(logging={"distributed": "critical", "distributed.client": "critical"})
    distributed = _package("distributed", "thalweg[dask]")
    kind, _, count = rest.partition(":")
    if kind == "local":
        config.set({"distributed.scheduler.allowed-failures": DASK_DEATHS})
        workers = _count(count, name)
        # One unit at a time in a process, which has its own programs and threads.
        cluster = distributed.LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
            preload=[__name__],
        )
        return Dask(distributed.Client(cluster), cluster)
    if not rest:
        raise BadInput(WHO, "dask needs an address, or local", got=name, hint=f"{FORMS[1]} or {FORMS[2]}")
    try:
        return Dask(distributed.Client(rest, timeout=CONNECT_SECONDS))
    except (OSError, ValueError, TimeoutError) as error:
        hint = "start one with `dask scheduler`, and workers with `dask worker ADDRESS`"
        raise BadInput(
            WHO, "the Dask scheduler must answer", got=str(error), where=rest, hint=hint
        ) from error


def _slurm(rest: str) -> Executor:
    submitit = _package("submitit", "thalweg[slurm]")
    words = [word for word in rest.split(",") if word]
    local, options = "local" in words, {}
    for word in words:
        name, equals, value = word.partition("=")
        if word != "local" and not (name and equals and value):
            raise BadInput(
                WHO, "options of slurm must be NAME=VALUE", got=word, hint=f"for example {FORMS[3]}"
            )
        if word != "local":
            options[name] = _number(value)
    # Numbers of jobs may repeat, of which results must not be taken for those of others.
    folder = Path("thalweg-jobs") / uuid.uuid4().hex[:12]
    try:
        submitter = submitit.AutoExecutor(folder=folder, cluster="local" if local else "slurm")
        shared = submitter._valid_parameters() | {"slurm"}
        named = {
            name if name in shared or name.startswith("slurm_") else f"slurm_{name}": value
            for name, value in options.items()
        }
        submitter.update_parameters(**named)
    except (RuntimeError, NameError, TypeError, ValueError, AssertionError) as error:
        hint = f"the options are those of submitit: {FORMS[3]}; slurm:local runs jobs on this machine"
        got = str(error).partition("\n")[0] or type(error).__name__
        raise BadInput(WHO, "submitit must accept the options", got=got, where=rest, hint=hint) from error
    if local:
        return Jobs(submitter)
    try:
        check(submitter, outside_of_a_job)
    except BadInput:
        with suppress(OSError):  # submitit made it
            folder.rmdir()
        raise
    return Jobs(submitter, Queue(), outside_of_a_job)


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text


def _ray(rest: str) -> Executor:
    ray = _package("ray", "thalweg[ray]")
    rest = f"ray:{rest}" if rest.startswith("//") else rest  # of Ray Client: `ray://HOST:PORT`
    if ray.is_initialized() and not rest:
        return Ray(ray, owned=False)
    if rest:
        _check_reached(ray, rest)
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    where = {"address": rest} if rest else {"include_dashboard": False}
    try:
        with warnings.catch_warnings():
            # Of JAX: Ray forks to start its processes, which run other programs at once.
            warnings.filterwarnings("ignore", "os.fork", RuntimeWarning)
            ray.init(**quiet, **where)
    except Exception as error:  # of many kinds, in Ray itself or where it connects
        raise _no_ray(rest, error) from error
    return Ray(ray)


def _no_ray(address: str, error: Exception) -> BadInput:
    """Return the error for a Ray cluster that cannot be used."""
    hint = "ray:HOST:6379 is what `ray start` prints for a head node; ray alone is that of this machine"
    if type(error).__name__ == "AuthenticationError":
        hint = "set RAY_AUTH_MODE=token, with the token of the cluster in ~/.ray/auth_token"
    got = str(error).partition("\n")[0].partition(" Note: ")[0] or type(error).__name__
    return BadInput(WHO, "Ray must answer", got=got, where=f"ray:{address}", hint=hint)


def _check_reached(ray: Any, address: str) -> None:
    """Refuse an address at which no Ray answers, for which Ray itself would wait for minutes."""
    client, _, place = address.rpartition("//")
    host, colon, port = place.rpartition(":")
    if address in ("auto", "local"):
        return
    if not (host and colon and port.isascii() and port.isdigit() and int(port) < 65536):
        hint = "for example ray:HOST:6379, which `ray start` prints for a head node"
        raise BadInput(WHO, "the address of Ray must be HOST:PORT", got=f"ray:{address}", hint=hint)
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
        if not client:
            ray._raylet.GcsClient(address=address)
    except Exception as error:  # of the network, or one of Ray's many
        raise _no_ray(address, error) from error


def _mpi(rest: str) -> Executor:
    hint = "mpiexec -n 8 python -m mpi4py.futures, followed by the script, or -m thalweg and its arguments"
    if rest:
        raise BadInput(
            WHO, "mpi takes no options: mpiexec says where processes run", got=f"mpi:{rest}", hint=hint
        )
    _package("mpi4py", "thalweg[mpi]")
    # Else each process would be a sweep of its own, or one would start others, which few clusters allow.
    if not any(word.startswith("mpi4py.futures") for word in sys.orig_argv):
        got = "a process that mpi4py.futures did not start"
        raise BadInput(WHO, "mpi needs the processes of mpi4py.futures", got=got, hint=hint)
    try:
        return _package("mpi4py.futures", "thalweg[mpi]").MPIPoolExecutor()
    except RuntimeError as error:
        hint = "apt-get install openmpi-bin, or the module of the cluster that provides mpiexec"
        raise MissingExtra(WHO, "mpi4py needs an MPI library", got=str(error), hint=hint) from error


_MAKERS: dict[str, Callable[[str], Executor]] = {
    "processes": _processes,
    "dask": _dask,
    "slurm": _slurm,
    "ray": _ray,
    "mpi": _mpi,
}


def _package(module: str, install: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        rule, hint = f"these workers need the package {error.name}", f"pip install {install}"
        raise MissingExtra(WHO, rule, got=f"no {error.name}", hint=hint) from error


def _count(text: str, name: str) -> int:
    if not text:
        return usable_cores()
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= 4096):
        raise BadInput(
            WHO, "the number of workers must be 1 to 4096", got=name, hint=f"for example {FORMS[0]}"
        )
    return int(text)
