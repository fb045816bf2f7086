"""Deferred imports and background work: what a process postpones when it starts.

`from thalweg.core.lazy import pl` gives Polars, which is loaded when one of its names is first used; likewise
`pq` (pyarrow's Parquet), `Image` (Pillow), `special` (SciPy's functions), `psutil`,
`charset_normalizer` and `torch`. Importing Polars takes a tenth of the import time of a training process,
which creates its first table at the end, and none if the data are arrays. A module that uses these names
starts with `from __future__ import annotations`, so that its signatures do not load them.
"""

import gc
import sys
from collections.abc import Callable
from concurrent.futures import Future
from importlib import import_module
from threading import Lock, Thread
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from thalweg.core.errors import MissingExtra

T = TypeVar("T")
_idle = Lock()


def import_large(name: str) -> ModuleType:
    """Import a module with Python's garbage collector paused.

    JAX and its dependencies create half a million permanent objects. The collector would scan them again and
    again: 0.14 s during the import, and 0.1 s when the first program is traced. Afterwards they belong to the
    oldest generation.
    """
    if name in sys.modules:
        return import_module(name)
    running = gc.isenabled()
    gc.disable()
    try:
        return import_module(name)
    finally:
        if running:
            if gc.get_freeze_count() == 0:  # else the application froze objects on purpose
                gc.freeze()
                gc.unfreeze()
            gc.enable()


def extra(who: str, name: str, extra: str) -> ModuleType:
    """Import a package that is not installed with Thalweg itself.

    Args:
        who: What needs it, for the message.
        name: The package.
        extra: The extra of Thalweg that installs it.

    Raises:
        MissingExtra: It is not installed, or lacks something itself.
    """
    try:
        return import_large(name)
    except ImportError as error:
        hint = f"pip install 'thalweg[{extra}]'"
        raise MissingExtra(who, f"needs {name}", got=f"no {error.name or name}", hint=hint) from error


class LazyModule(ModuleType):
    """Stand for a module until one of its names is first used."""

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(import_large(self.__name__), name)
        if callable(attribute):  # the next access bypasses this method; plain values may change
            setattr(self, name, attribute)
        return attribute


if TYPE_CHECKING:
    import charset_normalizer
    import polars as pl
    import psutil
    import pyarrow.parquet as pq
    from PIL import Image
    from scipy import special
else:
    pl, Image, special = LazyModule("polars"), LazyModule("PIL.Image"), LazyModule("scipy.special")
    pq, psutil = LazyModule("pyarrow.parquet"), LazyModule("psutil")
    charset_normalizer = LazyModule("charset_normalizer")
torch: Any = LazyModule("torch")  # of an extra: see `extra`


def idle_work() -> None:
    """Do work that a run needs at its end, while the device computes a long chunk: import Polars.

    Only one thread does it at a time. Two threads that import parts of Polars at once can both be left with a
    half-imported module.
    """
    if _idle.acquire(blocking=False):
        try:
            import_large("polars")
        finally:
            _idle.release()


def in_background(work: Callable[[], T]) -> Future[T]:
    """Start work in a thread; the future's `result()` waits for it, and raises its error.

    Only for work without shared state, such as unpacking and hashing. The thread is a daemon: the process
    does not wait for it at exit.
    """
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # `result()` raises it
            future.set_exception(error)

    Thread(target=run, daemon=True).start()
    return future
