"""`Stream`: a training run as an iterator of statuses, for a loop of the caller's own."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from thalweg.core.errors import BadInput
from thalweg.run.progress import Progress, Status
from thalweg.run.run import Run, Runs
from thalweg.run.session.session import Session


class Stream(Iterator[Status]):
    """A run that trains while it is iterated over. Between two statuses nothing is computed.

    Leaving the loop pauses the run: iterating again, or `result`, continues it. A stream that is closed or
    forgotten before its end leaves the run folder as a kill would: resumable from its last checkpoint.

    Args:
        session: What is trained.
        folder: The run folder; None for memory only.
        progress: A listener, which receives every status before the caller does.
        held: What is released when the run has ended, or the stream is closed or forgotten.
    """

    def __init__(
        self,
        session: Session,
        folder: Path | None,
        progress: Progress,
        held: contextlib.ExitStack | None = None,
    ):
        self._session, self._progress = session, progress
        self._held = contextlib.ExitStack() if held is None else held
        self._training = session.stream(folder)
        self._result: Run | Runs | None = None
        self._at_end: list[Callable[[Run | Runs], Any]] = []

    def __next__(self) -> Status:
        """Train a short time, at most about a third of a second, and return the status.

        Raises:
            StopIteration: The run has ended.
        """
        with self._session.interrupt:
            return self._advance()

    def stop(self, lane: int | None = None) -> None:
        """Stop the run, or one lane of many, before its next chunk of updates; see `Status.stop`."""
        self._session.requests.add(lane)

    def result(self) -> Run | Runs:
        """Train what is left, and return the run; with many recipes, the runs.

        Raises:
            BadInput: The stream was closed, or training failed.
        """
        with self._session.interrupt, contextlib.suppress(StopIteration):
            while self._result is None:
                self._advance()
        if self._result is None:
            hint = "resume(folder) continues from the last checkpoint"
            raise BadInput("stream_train", "the run has no result: it was closed before its end", hint=hint)
        return self._result

    def close(self) -> None:
        """Abandon the run, as a kill would. After its end, do nothing."""
        self._training.close()
        self._held.close()

    def __del__(self) -> None:
        """Abandon the run when nobody can iterate over it any more."""
        self.close()

    def at_end(self, function: Callable[[Run | Runs], Any]) -> None:
        """Call a function with the result, once, when the run has ended."""
        self._at_end.append(function)

    def _advance(self) -> Status:
        try:
            status = next(self._training)
            self._progress.update(status)
            return status
        except StopIteration as end:
            self._held.close()
            if self._result is None and end.value is not None:
                self._result = end.value
                for function in self._at_end:
                    function(end.value)
            raise
        except BaseException:
            self.close()
            raise
