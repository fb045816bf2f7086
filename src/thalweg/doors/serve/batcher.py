"""`Batcher`: requests that arrive while the model computes are answered together, by its next call.

Rows are read and checked request by request, so that an answer depends on no other request, and a bad request
spoils none. The network is called once for all of them: a row has the same outputs among few rows and among
many (`run.outputs`).
"""

import asyncio
import warnings
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np

from thalweg.core.errors import DataWarning
from thalweg.problem.data.inputs import Examples
from thalweg.run.restore import Trained


class Answer(NamedTuple):
    """The predictions of a request, and notes on its rows, such as cells that were read as missing."""

    columns: dict[str, np.ndarray]
    notes: tuple[str, ...]


class _Prepared(NamedTuple):
    """The rows of a request as the model takes them."""

    examples: Examples
    notes: tuple[str, ...]


class Full(Exception):
    """More rows wait than the server takes."""


@dataclass
class _Waiting:
    """A request: how its rows are read, their number at most, and where the answer goes."""

    read: Callable[[], Any]
    rows: int
    answer: "asyncio.Future[Answer]"


class Batcher:
    """Answers requests in the order in which they came, several at a time.

    Args:
        trained: The model.
        rows: Most rows of a call of the network; a request that has more is a call of its own.
        waiting: Most rows that wait; further requests are refused.
    """

    def __init__(self, trained: Trained, rows: int, waiting: int):
        self._trained, self._rows, self._most = trained, rows, waiting
        self._queue: deque[_Waiting] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._running = False
        self.calls = self.requests = 0

    async def predict(self, read: Callable[[], Any], rows: int) -> Answer:
        """Return the predictions for the rows of a request.

        Args:
            read: Gives the rows as the columns of the preparation take them; called in the model's thread.
            rows: About how many there are.

        Raises:
            Full: Too many rows wait.
            DataError: The rows cannot be used.
        """
        if self._queue and sum(each.rows for each in self._queue) + rows > self._most:
            raise Full
        request = _Waiting(read, rows, asyncio.get_running_loop().create_future())
        self._queue.append(request)
        self.requests += 1
        if not self._running:
            self._running = True
            self._task = asyncio.ensure_future(self._work())
        return await request.answer

    async def _work(self) -> None:
        """Call the model until nobody waits."""
        loop = asyncio.get_running_loop()
        try:
            while self._queue:
                batch = self._next()
                results = await loop.run_in_executor(self._thread, self._answers, batch)
                for request, result in zip(batch, results, strict=True):
                    if request.answer.done():  # who asked has gone
                        continue
                    if isinstance(result, BaseException):
                        request.answer.set_exception(result)
                    else:
                        request.answer.set_result(result)
        finally:
            self._running = False

    def _next(self) -> list[_Waiting]:
        """Take the requests of one call of the network from the queue."""
        batch = [self._queue.popleft()]
        count = batch[0].rows
        while self._queue and count + self._queue[0].rows <= self._rows:
            batch.append(self._queue.popleft())
            count += batch[-1].rows
        return batch

    def _answers(self, batch: list[_Waiting]) -> list[Any]:
        """Return the answer of each request, or the error that its rows give."""
        results: list[Any] = [_prepared(self._trained, request) for request in batch]
        good = [i for i, result in enumerate(results) if isinstance(result, _Prepared)]
        if not good:
            return results
        try:
            inputs = jax.tree.map(
                lambda *leaves: np.concatenate(leaves), *(results[i].examples.inputs for i in good)
            )
            outputs = self._trained.outputs(inputs)
            self.calls += 1
        except Exception as error:  # one that is told to every request of the call
            return [error if isinstance(each, _Prepared) else each for each in results]
        first = 0
        for i in good:
            examples, notes = results[i]
            last = first + len(jax.tree.leaves(examples.inputs)[0])
            own = jax.tree.map(lambda leaf, at=slice(first, last): leaf[at], outputs)
            results[i], first = Answer(_finished(self._trained, examples, own), notes), last
        return results

    def close(self) -> None:
        """End the thread; requests that wait are not answered."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def _prepared(trained: Trained, request: _Waiting) -> Any:
    """Return the examples of a request, or the error that they give."""
    try:
        with warnings.catch_warnings(record=True) as caught:  # only this thread reads rows
            warnings.simplefilter("always", DataWarning)
            examples = trained.preparation.columns.examples(request.read())
    except Exception as error:  # it is told to who asked
        return error
    noted = [str(each.message) for each in caught] + [note.text for note in examples.notes]
    return _Prepared(examples, tuple(noted))


def _finished(trained: Trained, examples: Examples, outputs: Any) -> dict[str, np.ndarray]:
    return examples.labels | trained.answers_of(outputs, examples.offsets)
