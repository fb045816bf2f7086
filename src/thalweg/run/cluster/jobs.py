"""Jobs of SLURM, through submitit, as an executor; and outcomes of calls that are sent elsewhere.

submitit learns from `sacct` that a job has ended without a result, minutes later, and not at all where SLURM
keeps no accounts. Here the queue itself is asked: a job that is no longer in it, and has left no result, was
lost.
"""

import contextlib
import os
import pickle
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future
from typing import Any

from thalweg.core.errors import BadInput

# Seconds between two looks at the results of the jobs, and between two at the queue.
JOB_SECONDS, QUEUE_SECONDS = 2.0, 10.0
# So often in a row the queue must lack a job that has left no result, which may be late on a shared disk.
MOST_MISSES = 2
# Seconds until SLURM must have answered.
ANSWER_SECONDS = 60.0


class LostWorker(BrokenExecutor):
    """The worker of a call ended before the call did."""


def outcome(
    fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Any, Exception | None]:
    """Call a function; return its result, or the error that it raised, as this process sees it.

    Schedulers send errors as text, or as classes of their own.
    """
    try:
        return fn(*args, **kwargs), None
    except Exception as error:  # whatever it raises is reported
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:  # pickling runs code of the error's own class
            return None, RuntimeError(f"{type(error).__name__}: {error}")
        return None, error


def settle(future: Future[Any], answer: tuple[Any, Exception | None]) -> None:
    """Give a future what `outcome` returned elsewhere."""
    result, error = answer
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


class Jobs(Executor):
    """Jobs of a cluster, through submitit; calls that are submitted at once become one array of jobs.

    Args:
        submitter: A `submitit.AutoExecutor`.
        queue: What says which jobs have been lost; None where the jobs themselves say it.
        submitting: A context in which jobs are submitted.
    """

    def __init__(
        self,
        submitter: Any,
        queue: "Queue | None" = None,
        submitting: Callable[[], contextlib.AbstractContextManager[Any]] = contextlib.nullcontext,
    ):
        self._submitter, self._queue, self._submitting = submitter, queue, submitting
        self._waiting: list[tuple[Future[Any], Callable[[], Any]]] = []
        self._jobs: list[tuple[Future[Any], Any]] = []
        self._accepted = False
        self._guard, self._over = threading.Lock(), threading.Event()
        threading.Thread(target=self._follow, daemon=True).start()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Submit a call with the next array of jobs."""
        future: Future[Any] = Future()
        with self._guard:
            if self._over.is_set():
                raise RuntimeError("the executor was shut down")
            self._waiting.append((future, lambda: self._submitter.submit(outcome, fn, args, kwargs)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Cancel the jobs that have not ended, if so asked."""
        self._over.set()
        with self._guard:
            for _, job in self._jobs if cancel_futures else ():
                with contextlib.suppress(OSError):  # no scancel
                    job.cancel(check=False)

    def _follow(self) -> None:
        while not self._over.wait(JOB_SECONDS):
            with self._guard:
                waiting, self._waiting = self._waiting, []
                waiting = [pair for pair in waiting if pair[0].set_running_or_notify_cancel()]
                if waiting:
                    self._start(waiting)
                ended = [(future, job) for future, job in self._jobs if self._has_ended(job)]
                self._jobs = [pair for pair in self._jobs if pair not in ended]
                lost = [] if self._queue is None else self._queue.lost([job for _, job in self._jobs])
                gone = [pair for pair in self._jobs if pair[1] in lost]
                self._jobs = [pair for pair in self._jobs if pair not in gone]
            for future, job in ended:
                _take(future, job)
            for future, job in gone:
                words = f"job {job.job_id} ended without a result; its log is {job.paths.stderr}"
                future.set_exception(LostWorker(words))

    def _has_ended(self, job: Any) -> bool:
        return job.done() if self._queue is None else _has_result(job)

    def _start(self, waiting: list[tuple[Future[Any], Callable[[], Any]]]) -> None:
        try:
            with self._submitting(), self._submitter.batch():
                jobs = [start() for _, start in waiting]
        except Exception as error:  # of the scheduler's commands
            reason = error if self._accepted else refused(str(error))
            for future, _ in waiting:
                future.set_exception(reason)
            return
        self._accepted = True
        self._jobs += [(future, job) for (future, _), job in zip(waiting, jobs, strict=True)]


class Queue:
    """SLURM's queue: which jobs have left it without a result."""

    def __init__(self) -> None:
        self._misses: dict[str, int] = {}
        self._looked = time.monotonic()

    def lost(self, jobs: list[Any]) -> list[Any]:
        """Return the jobs that have ended without a result; none of them where the queue does not answer."""
        if not jobs or time.monotonic() - self._looked < QUEUE_SECONDS:
            return []
        present, self._looked = _queued(), time.monotonic()
        if present is None:
            return []
        missing = [job for job in jobs if job.job_id not in present and not _has_result(job)]
        self._misses = {job.job_id: self._misses.get(job.job_id, 0) + 1 for job in missing}
        return [job for job in missing if self._misses[job.job_id] >= MOST_MISSES]


def _queued() -> set[str] | None:
    """Return the numbers of this user's jobs in the queue; None where it does not answer."""
    command = ["squeue", f"--user={os.getuid()}", "--noheader", "--array", "--format=%i"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return set(answer.stdout.split())


def _has_result(job: Any) -> bool:
    with contextlib.suppress(OSError):
        # A change of the folder's mode to what it is makes NFS look again.
        job.paths.folder.chmod(job.paths.folder.stat().st_mode)
    return job.paths.result_pickle.exists()


def _take(future: Future[Any], job: Any) -> None:
    try:
        answer = job.result()
    except Exception as error:  # of submitit: the job left nothing, or what cannot be read
        future.set_exception(LostWorker(f"{type(error).__name__}: {error}"))
    else:
        settle(future, answer)


@contextlib.contextmanager
def outside_of_a_job() -> Iterator[None]:
    """Hide what SLURM says of the job that this process runs in, which would bind the jobs submitted here."""
    hidden = {
        name: os.environ.pop(name)
        for name in list(os.environ)
        if name.startswith(("SLURM_", "SLURMD_", "SRUN_", "SUBMITIT_", "PMI_", "PMIX_"))
        and name != "SLURM_CONF"
    }
    try:
        yield
    finally:
        os.environ.update(hidden)


def refused(words: str) -> BadInput:
    """Return the error for jobs that SLURM does not accept, in its own words."""
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    hint = "sinfo shows the partitions and their limits; sacctmgr the accounts"
    return BadInput("executor", "SLURM must accept the jobs", got=lines[-1] if lines else words, hint=hint)


def check(submitter: Any, submitting: Callable[[], contextlib.AbstractContextManager[Any]]) -> None:
    """Ask SLURM whether it would accept such jobs, without submitting one.

    Nodes that are down at the moment are no reason to refuse: jobs wait for them.

    Raises:
        BadInput: It would not, for whatever is invalid, or does not answer.
    """
    script = submitter._executor._make_submission_file_text("true", "test")
    try:
        with submitting():
            answer = subprocess.run(
                ["sbatch", "--test-only"],
                input=script,
                capture_output=True,
                text=True,
                timeout=ANSWER_SECONDS,
            )
    except (OSError, subprocess.SubprocessError) as error:
        raise refused(str(error)) from error
    said = answer.stderr.lower()
    if answer.returncode and any(word in said for word in ("invalid", "unrecognized", "unable to contact")):
        raise refused(answer.stderr)
