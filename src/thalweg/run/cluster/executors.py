"""Executors by name: `processes:4`, `dask:local:4`, `dask:ADDRESS`, `slurm:OPTIONS`, `ray`, `mpi`.

Each is a `concurrent.futures.Executor` of a library that schedules; what is here adapts its face, where that
differs, and replaces a broken pool of processes.
"""

import importlib
import logging
import multiprocessing
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from thalweg.core.arguments import checked
from thalweg.core.device import usable_cores
from thalweg.core.errors import BadInput, MissingExtra, did_you_mean

# Seconds until a scheduler must have answered.
CONNECT_SECONDS = 15
# Seconds between two looks at the jobs of a cluster, which its scheduler answers.
JOB_SECONDS = 2.0
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
            `ray` or `ray:ADDRESS`; `mpi` within `mpiexec -n N python -m mpi4py.futures`.

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


class Jobs(Executor):
    """Jobs of a cluster, through submitit; calls that are submitted at once become one array of jobs.

    Args:
        submitter: A `submitit.AutoExecutor`.
    """

    def __init__(self, submitter: Any):
        self._submitter = submitter
        self._waiting: list[tuple[Future[Any], Callable[[], Any]]] = []
        self._jobs: list[tuple[Future[Any], Any]] = []
        self._guard, self._over = threading.Lock(), threading.Event()
        threading.Thread(target=self._follow, daemon=True).start()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Submit a call with the next array of jobs."""
        future: Future[Any] = Future()
        with self._guard:
            if self._over.is_set():
                raise RuntimeError("the executor was shut down")
            self._waiting.append((future, lambda: self._submitter.submit(fn, *args, **kwargs)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Cancel the jobs that have not ended, if so asked."""
        self._over.set()
        with self._guard:
            for _, job in self._jobs if cancel_futures else ():
                job.cancel()

    def _follow(self) -> None:
        while not self._over.wait(JOB_SECONDS):
            with self._guard:
                waiting, self._waiting = self._waiting, []
                waiting = [pair for pair in waiting if pair[0].set_running_or_notify_cancel()]
                if waiting:
                    self._start(waiting)
                ended = [(future, job) for future, job in self._jobs if job.done()]
                self._jobs = [pair for pair in self._jobs if pair not in ended]
            for future, job in ended:
                _settle(future, job)

    def _start(self, waiting: list[tuple[Future[Any], Callable[[], Any]]]) -> None:
        try:
            with self._submitter.batch():
                jobs = [start() for _, start in waiting]
        except Exception as error:  # of the scheduler's commands
            for future, _ in waiting:
                future.set_exception(error)
            return
        self._jobs += [(future, job) for (future, _), job in zip(waiting, jobs, strict=True)]


def _settle(future: Future[Any], job: Any) -> None:
    try:
        future.set_result(job.result())
    except Exception as error:  # whatever the job raised
        future.set_exception(error)


class Ray(Executor):
    """Tasks of a Ray cluster.

    Args:
        ray: The module, connected.
    """

    def __init__(self, ray: Any):
        self._ray = ray

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Submit a call as a task of one core."""
        return self._ray.remote(max_retries=0)(fn).remote(*args, **kwargs).future()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Leave the cluster."""
        self._ray.shutdown()


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
        path, equals, value = word.partition("=")
        if word != "local" and not (path and equals and value):
            raise BadInput(
                WHO, "options of slurm must be NAME=VALUE", got=word, hint=f"for example {FORMS[3]}"
            )
        if word != "local":
            options[path] = int(value) if value.isdigit() else value
    try:
        submitter = submitit.AutoExecutor(folder="thalweg-jobs", cluster="local" if local else None)
        submitter.update_parameters(**options)
    except (RuntimeError, NameError, TypeError, ValueError) as error:
        hint = f"the options are those of submitit: {FORMS[3]}"
        raise BadInput(
            WHO, "submitit must accept the options", got=str(error), where=rest, hint=hint
        ) from error
    return Jobs(submitter)


def _ray(rest: str) -> Executor:
    ray = _package("ray", "ray")
    try:
        ray.init(address=rest or None, ignore_reinit_error=True, log_to_driver=False)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise BadInput(WHO, "Ray must answer", got=str(error), where=rest, hint="see `ray status`") from error
    return Ray(ray)


def _mpi(rest: str) -> Executor:
    del rest
    return _package("mpi4py.futures", "mpi4py").MPIPoolExecutor()


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
