"""Many threads, one compilation: the first to need a program compiles it while the others wait.

JAX would let every thread that finds a program missing compile it for itself, one beside the other.
"""

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import jax


class Traces(Counter[str]):
    """How often each compiled function was traced in this process, and how often by the calling thread."""

    def __init__(self) -> None:
        super().__init__()
        self._local = threading.local()

    def count(self, name: str) -> None:
        """Note one trace."""
        self[name] += 1
        setattr(self._local, name, self.mine(name) + 1)

    def mine(self, name: str) -> int:
        """Return the calling thread's own count."""
        return getattr(self._local, name, 0)


TRACES = Traces()

_GUARD = threading.Lock()
_LOCKS: dict[Any, threading.Lock] = {}
_COMPILED: set[Any] = set()


def with_one_compilation(function: Callable[..., Any], program: Any, *arguments: Any) -> Any:
    """Call a jitted function whose first argument is its static program.

    Calls of equal function, program and shapes wait for the first of them; later ones go straight through.
    """
    key = (function, program, _signature(arguments))
    if key in _COMPILED:
        return function(program, *arguments)
    with _GUARD:
        lock = _LOCKS.setdefault(key, threading.Lock())
    with lock:
        found = function(program, *arguments)
        _COMPILED.add(key)
        return found


def _signature(arguments: Any) -> Any:
    leaves, treedef = jax.tree.flatten(arguments)
    return treedef, tuple((getattr(leaf, "shape", leaf), str(getattr(leaf, "dtype", ""))) for leaf in leaves)
