"""The errors that Thalweg raises on purpose, and the hints in their messages.

    ThalwegError
    ├── BadInput (also ValueError)      raised before any work starts; exit code 2
    │   ├── DataError                   the data cannot be read or used
    │   ├── ModelError                  the model does not fit the data, or is not a model
    │   ├── RecipeError                 a number or a choice in the recipe is impossible
    │   └── RunFolderError              a run folder is missing, taken, unwritable or damaged
    ├── CompilerError                   the installed JAX is too old, or computes wrong values on this machine
    ├── ShortageError                   memory, disk space or open files ran out; exit code 4
    └── MissingExtra (also ImportError) an optional dependency is needed and not installed

A run that diverges is not an error: failure inside a compiled program is data, a result code per lane
(`thalweg.engine.state`).

All messages have one form: who - the rule - the value - where - and then one action::

    recipe: batch_size must be at least 1; got -3 (in recipe.toml)
    hint: try 128
"""

import pickle
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, Self

from thalweg.core.escape import printable


class ThalwegError(Exception):
    """Base of all errors raised on purpose.

    They can be pickled and copied, so that worker processes (multiprocessing, joblib) can return them.

    Args:
        who: What raises it, e.g. `recipe` or `table`.
        rule: What must hold.
        got: The offending value, unchanged. Left out of the message if None.
        where: File, column, layer or key. Left out if None.
        hint: One action that would help.
        cause: What makes training fail, where the error tells it: a word of the doctor's vocabulary
            (`insight.doctor.vocabulary`), for programs.
    """

    def __init__(
        self,
        who: str,
        rule: str,
        *,
        got: object = None,
        where: object = None,
        hint: str,
        cause: str | None = None,
    ):
        self.who, self.rule, self.got, self.where, self.hint = who, rule, got, where, hint
        self.cause = cause
        super().__init__(self._message())

    def _message(self) -> str:
        text = f"{self.who}: {self.rule}"
        if self.got is not None:
            text += f"; got {_shorten(self.got)}"
        if self.where is not None:
            text += f" ({self.where})"
        return printable(f"{text}\nhint: {self.hint}")

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the message and every attribute; one that cannot be pickled becomes its text."""
        attributes = {name: _picklable(value) for name, value in vars(self).items()}
        return _restored, (type(self), self.args), attributes

    def __copy__(self) -> Self:
        """Return an equal error that shares its attributes."""
        copied = _restored(type(self), self.args)
        vars(copied).update(vars(self))
        return copied

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return an equal error that shares its attributes: not everything in `got` can be copied."""
        del memo
        return self.__copy__()


class BadInput(ThalwegError, ValueError):
    """The input cannot be used. Raised before any work starts."""


class DataError(BadInput):
    """The data cannot be read, or cannot be used for training."""


class ModelError(BadInput):
    """The model does not fit the data, or is not a model."""


class RecipeError(BadInput):
    """A number or a choice in the recipe is impossible."""


class RunFolderError(BadInput):
    """A run folder is missing, already taken, unwritable or damaged."""


class CompilerError(ThalwegError):
    """The installed JAX is too old, or its compiler computes wrong values on this machine."""


class ShortageError(ThalwegError):
    """The machine, or a limit set for this process, ran short of memory, disk space, files or threads."""


class MissingExtra(ThalwegError, ImportError):
    """An optional dependency is needed and not installed."""


class DataWarning(UserWarning):
    """New data were read with an assumption that the caller should know; nothing is wrong for certain."""


def _restored(kind: type[ThalwegError], args: tuple[Any, ...]) -> Any:
    """Return an error with a finished message, without the constructor that makes one."""
    error = kind.__new__(kind, *args)
    super(ThalwegError, error).__init__(*args)
    return error


def _picklable(value: Any) -> Any:
    """Return the value, or its text if it cannot be pickled and read back."""
    try:
        pickle.loads(pickle.dumps(value))
    except Exception:  # pickling runs code of the value's own class, which may raise anything
        return _shorten(value)
    return value


def _shorten(value: object, limit: int = 200) -> str:
    text = value if isinstance(value, str) else " ".join(repr(value).split())
    return text if len(text) <= limit else text[: limit - 3] + "..."


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate that `name` most likely meant, or None if none is close.

    Case is ignored. The cutoff 0.5 is difflib's similarity ratio; its default of 0.6 misses
    common slips such as `weight` for `weight_decay`.
    """
    by_lower = {candidate.lower(): candidate for candidate in candidates}
    matches = get_close_matches(name.lower(), by_lower, n=1, cutoff=0.5)
    return by_lower[matches[0]] if matches else None


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """Return a hint: the nearest candidate, or the list of all if none is close."""
    known = list(candidates)
    match = nearest(name, known)
    if match is not None:
        return f"did you mean {match!r}?"
    return "known are " + ", ".join(known) if known else "there are none"
