"""Where estimators of a search leave what they would train on, and find the networks that were trained.

A search trains the networks of all its estimators together. An estimator that is fitted inside of one looks
here first: see `search`.
"""

import hashlib
import json
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import equinox as eqx
import jax
import numpy as np

from thalweg.problem.data.data import fingerprint
from thalweg.problem.problem import Problem
from thalweg.recipe.recipe import Recipe
from thalweg.run.run import Run


class Handed(BaseException):
    """What an estimator was about to train; raised by its `fit` while they are collected.

    No `Exception`, so that no estimator around it takes it for a failure.
    """

    def __init__(self, problem: Problem, recipe: Recipe):
        super().__init__()
        self.problem, self.recipe = problem, recipe
        # Data that are equal once scaled are others where their scales, and so their predictions, are.
        scales = hashlib.sha256(pickle.dumps(problem.data.preparation)).hexdigest()
        self.model = f"{_described(problem.model)} {problem.class_weight}"
        self.data = f"{fingerprint(problem.data.splits)} {scales}"
        self.settings = json.dumps(recipe.to_dict(), sort_keys=True)
        self.key = (self.model, self.data, self.settings)


class Shelf:
    """The networks of a search, by what they were trained on.

    Args:
        seed: Of estimators without one of their own.
    """

    def __init__(self, seed: int):
        self.seed = seed
        self.runs: dict[tuple[str, str, str], Run] = {}
        self._collecting = False

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Let estimators raise `Handed` inside of this block, instead of training."""
        self._collecting = True
        try:
            yield
        finally:
            self._collecting = False

    def take(self, problem: Problem, recipe: Recipe) -> Run | None:
        """Return the run that was trained on this; None where there is none.

        Raises:
            Handed: They are being collected.
        """
        if not self._collecting and not self.runs:
            return None
        handed = Handed(problem, recipe)
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


def _described(model: Any) -> str:
    """Return a text that differs where models do; a copy of a module has the same one."""
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(eqx.filter(model, eqx.is_array)):
        digest.update(np.asarray(leaf).tobytes())
    return f"{model!r} {digest.hexdigest()}"
