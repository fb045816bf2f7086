"""Thalweg trains neural networks by gradient descent: one run or many at once, fast, and it says why.

Three nouns: a `Problem` is what is learned, a `Recipe` is how, a `Run` is what came of it. The verb between them is
`train`. This module is the whole public list. Names load when they are first used, so that the
command line answers before JAX is imported.

Example:
    >>> import thalweg as tw
    >>> problem = tw.Problem(tw.MLP([64, 64, 10]), tw.load("digits"))
    >>> run = tw.train(problem, tw.Recipe(tw.AdamW(lr=3e-3), batch_size=32, epochs=10))
    >>> run.result["test_metric"]["value"] > 0.9
    True
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from thalweg.core.errors import BadInput as BadInput
    from thalweg.core.errors import DataError as DataError
    from thalweg.core.errors import MissingExtra as MissingExtra
    from thalweg.core.errors import ModelError as ModelError
    from thalweg.core.errors import RecipeError as RecipeError
    from thalweg.core.errors import RunFolderError as RunFolderError
    from thalweg.core.errors import ThalwegError as ThalwegError

_PUBLIC = {
    "BadInput": "core.errors",
    "DataError": "core.errors",
}


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_module(f"thalweg.{_PUBLIC[name]}"), name)
    raise AttributeError(f"module 'thalweg' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(_PUBLIC)
