"""Compilation: XLA's persistent cache in the user's cache folder, and one compilation for many threads."""

import contextlib
import hashlib
import importlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax

from thalweg.core.cache import cache_folder, make_private
from thalweg.core.compiler import brief_compilation
from thalweg.core.disk import DISK, replace
from thalweg.core.limits import return_freed_memory

# Unlike that of JAX's own files: neither reads what the other wrote.
_SUFFIX = ".verified"
_DIGEST_BYTES = 32
_LARGEST_PROGRAM = 1 << 32  # bytes; those of a fit take some 6 MB


def enable_cache() -> None:
    """Turn XLA's persistent cache on, unless the user has configured (or switched off) a cache of their own.

    `THALWEG_CACHE` names another folder; `THALWEG_CACHE=off` disables it. Programs that compile in less than
    a tenth of a second are not stored: reading them back takes about as long.
    """
    folder = cache_folder()
    if folder is None or getattr(jax.config, "jax_compilation_cache_dir", None) is not None:
        return
    programs = folder / "compiled"
    with contextlib.suppress(OSError):
        make_private(folder)
        make_private(programs)
    jax.config.update("jax_compilation_cache_dir", str(programs))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    if getattr(jax.config, "jax_compilation_cache_max_size", -1) != -1:
        return  # JAX's own cache can be limited in size
    with contextlib.suppress(ImportError):  # another JAX keeps its own cache
        module = importlib.import_module("jax._src.compilation_cache")
        if getattr(module, "_cache", "") is None:
            setattr(module, "_cache", ProgramCache(programs))  # noqa: B010 (an attribute that is not typed)


@contextmanager
def small_programs() -> Iterator[None]:
    """Also store programs that compile fast, inside of this block: single operations, of which it runs many.

    Compiling one takes some 25 ms, reading it back one.
    """
    enable_cache()
    name = "jax_persistent_cache_min_compile_time_secs"
    before = getattr(jax.config, name)
    jax.config.update(name, 0.0)
    try:
        yield
    finally:
        jax.config.update(name, before)


class ProgramCache:
    """Compiled programs on disk, in place of JAX's own cache, which it hands out as they are.

    JAX's cache writes a file under its final name. One that a full disk cut short, or whose bits flipped, is
    never replaced there, and every later process warns. Here files are renamed when complete and end with
    their SHA-256. One that does not match it is removed, and the program compiled again. A disk that is full
    costs the entry.

    Args:
        folder: Where the programs are.
    """

    def __init__(self, folder: Path):
        self._path = folder  # JAX names it in its messages

    def get(self, key: str) -> bytes | None:
        """Return a program; None if it is not there or not as it was written."""
        path = self._file(key)
        try:
            content = DISK.read(path, _LARGEST_PROGRAM)
        except OSError:
            return None
        program, digest = content[:-_DIGEST_BYTES], content[-_DIGEST_BYTES:]
        if hashlib.sha256(program).digest() == digest:
            return program
        with contextlib.suppress(OSError):
            DISK.remove(path)
        return None

    def put(self, key: str, value: bytes) -> None:
        """Keep a program for later processes."""
        with contextlib.suppress(OSError):
            replace(self._file(key), value + hashlib.sha256(value).digest(), durable=False)

    def _file(self, key: str) -> Path:
        return self._path / f"{key}{_SUFFIX}"


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
_RUNNING: set[object] = set()

# Programs that stay compiled from one run to the next. A fit of a new shape compiles about five, of 6 MB each
# (mlp on 8 columns, jaxlib 0.10.2), so that they take some 300 MB at most.
MOST_PROGRAMS = 50


@contextmanager
def in_use() -> Iterator[None]:
    """Keep compiled programs inside of this block, which is a run; afterwards there are not too many of them.

    They are given up all at once, by `jax.clear_caches`, and only when no run is going on: in the middle of a
    run what is given up would be compiled again. JAX's caches for single functions keep the traces.
    """
    run = object()
    with _GUARD:
        _RUNNING.add(run)
    try:
        yield
    finally:
        with _GUARD:
            _RUNNING.discard(run)
            if not _RUNNING and len(_COMPILED) > MOST_PROGRAMS:
                forget()


def forget() -> None:
    """Give up all compiled programs of this process, which no run may be using, and their memory."""
    _COMPILED.clear()
    _LOCKS.clear()
    jax.clear_caches()
    return_freed_memory()


def compile_once(function: Callable[..., Any], program: Any, *arguments: Any) -> Any:
    """Call a jitted function whose first argument is its static program; compile it in one thread only.

    JAX would let every thread that needs a missing program compile it for itself. Here the first thread
    compiles while calls with the same function, program and shapes wait; later calls do not wait.
    """
    device: Any = jax.config.jax_default_device  # type: ignore[attr-defined]
    key = (function, program, device, _signature(arguments))
    with brief_compilation(getattr(program, "brief", False)):
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
