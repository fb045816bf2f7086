"""Where estimators of a search leave what they would train on, and find the networks that were trained.

A search trains the networks of all its estimators together. An estimator that is fitted inside of one looks
here first: see `search`.
"""

import hashlib
import pickle
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import equinox as eqx
import jax
import numpy as np

from thalweg.problem.problem import Problem
from thalweg.recipe.recipe import Recipe
from thalweg.run.run import Run

Key = tuple[str, str, str]
Made = TypeVar("Made")


class Handed(BaseException):
    """What an estimator was about to train; raised by its `fit` while they are collected.

    No `Exception`, so that no estimator around it takes it for a failure.

    Args:
        problem, recipe: What to train.
        key: What differs where the model, the data or the settings do.
    """

    def __init__(self, problem: Problem, recipe: Recipe, key: Key):
        super().__init__()
        self.problem, self.recipe, self.key = problem, recipe, key
        self.model, self.data, self.settings = key


class Shelf:
    """The networks of a search, by what they were trained on.

    Args:
        seed: Of estimators without one of their own.
    """

    def __init__(self, seed: int):
        self.seed = seed
        self.runs: dict[Key, Run] = {}
        self._made: dict[Hashable, Any] = {}
        self._collecting = False

    def once(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """Return what `make` returned for this key; it is called the first time alone.

        Candidates share data and models, and each is fitted twice on every fold.
        """
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    def clear(self) -> None:
        """Forget the networks and what they were made of."""
        self.runs.clear()
        self._made.clear()

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Let estimators raise `Handed` inside of this block, instead of training."""
        self._collecting = True
        try:
            yield
        finally:
            self._collecting = False

    def take(self, handed: Handed) -> Run | None:
        """Return the run that was trained on this; None where there is none.

        Raises:
            Handed: They are being collected.
        """
        if self._collecting:
            raise handed
        return self.runs.get(handed.key)


SHELF: ContextVar[Shelf | None] = ContextVar("shelf", default=None)


@contextmanager
def on_shelf(shelf: Shelf) -> Iterator[Shelf]:
    """Let estimators that are fitted inside of this block use a shelf."""
    token = SHELF.set(shelf)
    try:
        yield shelf
    finally:
        SHELF.reset(token)


def described(model: Any) -> str:
    """Return a text that differs where models do; a copy of a module has the same one."""
    leaves = jax.tree.leaves(eqx.filter(model, eqx.is_array))
    return f"{model!r} {digest(*map(np.asarray, leaves))}"


def digest(*values: Any) -> str:
    """Return a digest of the content of arrays, frames and None."""
    content = hashlib.sha256()
    for value in values:
        if isinstance(value, np.ndarray) and value.dtype != object:
            content.update(f"{value.dtype} {value.shape}".encode())
            content.update(np.ascontiguousarray(value).data)
        else:
            content.update(pickle.dumps(value))
    return content.hexdigest()
