"""Compilation: XLA's persistent cache in the user's cache folder, and one compilation for many threads."""

import os
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import platformdirs


def cache_folder() -> Path | None:
    """Return the folder for files that are reused between processes; None if caching is switched off."""
    setting = os.environ.get("THALWEG_CACHE", "")
    return None if setting == "off" else Path(setting or platformdirs.user_cache_dir("thalweg"))


def enable_cache() -> None:
    """Turn XLA's persistent cache on, unless the user has configured (or switched off) a cache of their own.

    `THALWEG_CACHE` names another folder; `THALWEG_CACHE=off` disables it. Programs that compile in less than
    a tenth of a second are not stored: reading them back takes about as long.
    """
    folder = cache_folder()
    if folder is None or getattr(jax.config, "jax_compilation_cache_dir", None) is not None:
        return
    jax.config.update("jax_compilation_cache_dir", str(folder / "compiled"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)


class Traces(Counter[str]):
    """How often each compiled function was traced in this process, and how often by the calling thread."""

    def __init__(self) -> None:
        super().__init__()
        self._local = threading.local()

    def count(self, name: str) -> None:
        """Count one trace."""
        self[name] += 1
        setattr(self._local, name, self.mine(name) + 1)

    def mine(self, name: str) -> int:
        """Return the calling thread's own count."""
        return getattr(self._local, name, 0)


TRACES = Traces()

_GUARD = threading.Lock()
_LOCKS: dict[Any, threading.Lock] = {}
_COMPILED: set[Any] = set()


def compile_once(function: Callable[..., Any], program: Any, *arguments: Any) -> Any:
    """Call a jitted function whose first argument is its static program; compile it in one thread only.

    JAX would let every thread that needs a missing program compile it for itself. Here the first thread
    compiles while calls with the same function, program and shapes wait; later calls do not wait.
    """
    key = (function, program, _signature(arguments))
    if key in _COMPILED:
        return function(program, *arguments)
    with _GUARD:
        lock = _LOCKS.setdefault(key, threading.Lock())
    with lock:
        results = function(program, *arguments)
        _COMPILED.add(key)
        return results


def _signature(arguments: Any) -> Any:
    leaves, treedef = jax.tree.flatten(arguments)
    return treedef, tuple((getattr(leaf, "shape", leaf), str(getattr(leaf, "dtype", ""))) for leaf in leaves)
