"""Functions by name: the import path under which a run folder records a function, and the way back.

`optax:adabelief` is the function `adabelief` of the module `optax`. A name that is read from a file is
imported only where the caller allows it (`allowing`), because importing a module executes it; the functions
of `TRUSTED`, which Thalweg depends on, need no permission. What was named in this process (`name_of`) is
found again without an import.

A function without an import path (a lambda, one defined in another function, a notebook or a script) is named
by where it was defined and a digest of what it computes: its code, its defaults and the values that it
encloses. The name is the same in another process that defines it in the same way, and another one if it was
changed.
"""

import functools
import hashlib
import importlib
import os
import re
import sys
import threading
import types
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np

from thalweg.core.caller import option
from thalweg.core.errors import BadInput, did_you_mean

# Modules whose public functions a file may name: those of a library that Thalweg calls in any case.
TRUSTED = ("optax", "optax.contrib", "jax.nn.initializers")
_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[\w.<>]+(#[0-9a-f]{8})?")

_blocks = {"open": 0}  # blocks of `allowing` that are open, of every thread
_lock = threading.Lock()
_known: dict[str, Any] = {}


@contextmanager
def allowing(allowed: bool = True) -> Iterator[None]:
    """Import what a file names inside this block, in every thread, if `allowed`.

    Modules in the working directory are found too, as with `python -m`.
    """
    if not allowed:
        yield
        return
    here = os.getcwd()
    with _lock:
        # Blocks of several threads close in any order, so they are counted: restoring what was there before
        # would leave imports allowed for ever after two that overlap.
        _blocks["open"] += 1
        adds = here not in sys.path and "" not in sys.path
        if adds:
            sys.path.append(here)
    try:
        yield
    finally:
        with _lock:
            _blocks["open"] -= 1
            if adds:
                sys.path.remove(here)


def is_path(name: object) -> bool:
    """Return whether text has the form of an import path: `package.module:function`."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def name_of(function: Any) -> str:
    """Return the name of a function, and remember it: `find` of the name returns the function.

    The shortest module that has the function is named: `optax:adabelief`, where it is defined in
    `optax._src.alias`.
    """
    module = getattr(function, "__module__", None) or type(function).__module__
    words = getattr(function, "__qualname__", None) or type(function).__qualname__
    parts = module.split(".")
    for end in range(1, len(parts) + 1):
        path = ".".join(parts[:end])
        # What is defined in a script is not found under `__main__` by another process.
        if path in sys.modules and path != "__main__" and _at(sys.modules[path], words) is function:
            name = f"{path}:{words}"
            break
    else:
        name = f"{module}:{words}#{digest(function)}"
    _known[name] = function
    return name


def importable(name: str) -> bool:
    """Return whether another process can import what has this name."""
    return "#" not in name


def find(name: str, error: type[BadInput], who: str, where: object = None) -> Any:
    """Return the object with a name that `name_of` gave, here or in another process.

    Raises:
        BadInput: Of the class `error`: there is no such object, it may not be imported, or it has no import
            path and was not named in this process.
    """
    if name in _known:
        return _known[name]
    path, _, words = name.partition(":")
    if not importable(name):
        rule = "a function without an import path must be passed again"
        hint = (
            f"define {words.rpartition('#')[0]} as it was and use it in a recipe or problem first, "
            "or move it into a module of its own"
        )
        raise error(who, rule, got=name, where=where, hint=hint)
    trusted = path in TRUSTED and "." not in words and not words.startswith("_")
    if not (trusted or _blocks["open"]):
        rule = "importing a function executes its module, which must be allowed"
        raise error(who, rule, got=name, where=where, hint=f"if you trust it: {option('allow_import')}")
    try:
        module = importlib.import_module(path)
    except Exception as failure:  # the module is the user's code, which may raise anything
        reason = f"{type(failure).__name__}: {failure}"
        hint = "run from the folder that holds the module, or install it"
        raise error(
            who, f"the module {path} must be importable", got=reason, where=where, hint=hint
        ) from None
    found = _at(module, words)
    if found is None:
        hint = did_you_mean(words, [each for each in vars(module) if not each.startswith("_")])
        raise error(who, f"the module {path} must have what is named", got=name, where=where, hint=hint)
    _known[name] = found
    return found


def record_of(function: Any) -> dict[str, Any] | None:
    """Return how to import a function or a class again, as plain values; None if that is not possible.

    A `functools.partial` is recorded with its arguments, if they are numbers, flags and text.
    """
    if function is None or not callable(function):
        return None
    arguments, settings = (), {}
    if isinstance(function, functools.partial):
        function, arguments, settings = function.func, function.args, function.keywords
    if not all(
        isinstance(value, (bool, int, float, str, type(None))) for value in (*arguments, *settings.values())
    ):
        return None
    if not hasattr(function, "__qualname__"):  # an instance
        return None
    name = name_of(function)
    return {"import": name, "arguments": list(arguments), "settings": settings} if importable(name) else None


def from_record(record: Mapping[str, Any], error: type[BadInput], who: str, where: object = None) -> Any:
    """Return the function of a record.

    Raises:
        BadInput: As for `find`.
    """
    function = find(record["import"], error, who, where)
    arguments, settings = record.get("arguments") or (), record.get("settings") or {}
    return functools.partial(function, *arguments, **settings) if arguments or settings else function


def digest(value: Any) -> str:
    """Return eight hexadecimal digits of what a function computes: code, defaults, enclosed values."""
    hasher = hashlib.sha256()
    for piece in _pieces(value, frozenset()):
        hasher.update(piece.encode() if isinstance(piece, str) else piece)
        hasher.update(b"\0")
    return hasher.hexdigest()[:8]


def _at(module: Any, words: str) -> Any:
    value = module
    for word in words.split("."):
        value = getattr(value, word, None)
    return value


def _pieces(value: Any, seen: frozenset[int]) -> Iterator[str | bytes]:
    """Yield what distinguishes a value, without addresses where possible, so that two processes agree."""
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes)):
        yield repr(value)
    elif isinstance(value, (np.ndarray, np.generic, jax.Array)):
        plain = np.asarray(value)
        yield f"{plain.dtype}{plain.shape}"
        yield plain.tobytes()
    elif isinstance(value, (type, types.BuiltinFunctionType, types.ModuleType)):
        yield f"{getattr(value, '__module__', '')}.{value.__name__}"
    elif id(value) in seen:
        yield "itself"
    else:
        yield type(value).__qualname__
        parts = _parts(value)
        for part in [f"{id(value):x}"] if parts is None else parts:  # an address tells at least others apart
            yield from _pieces(part, seen | {id(value)})


def _parts(value: Any) -> list[Any] | None:
    """Return what a value consists of; None where that is hidden."""
    if isinstance(value, types.CodeType):
        return [value.co_code, value.co_names, value.co_consts]
    if isinstance(value, Mapping):
        return [part for pair in value.items() for part in pair]
    if isinstance(value, (tuple, list)):
        return list(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=repr)
    if isinstance(value, functools.partial):
        return [value.func, value.args, value.keywords]
    if isinstance(value, types.MethodType):
        return [value.__func__, value.__self__]
    if isinstance(value, types.FunctionType):
        cells = [_content(cell) for cell in value.__closure__ or ()]
        return [value.__qualname__, value.__code__, value.__defaults__, value.__kwdefaults__, cells]
    if hasattr(value, "__wrapped__"):
        return [value.__wrapped__]
    return [vars(value)] if hasattr(value, "__dict__") else None


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not yet assigned
        return None
