"""Work that is begun in a thread, and waited for where its result is read.

For what leaves other threads alone: unpacking and hashing. Nobody waits for it at the end of the process.
"""

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


def begun(work: Callable[[], T]) -> Future[T]:
    """Begin some work; who reads the future waits for its result, or gets its error."""
    found: Future[T] = Future()

    def do() -> None:
        try:
            found.set_result(work())
        except BaseException as error:  # the reader's to raise
            found.set_exception(error)

    Thread(target=do, daemon=True).start()
    return found
