"""Errors: one form of message, a hint in every refusal, and a way between processes."""

import ast
import copy
import importlib
import multiprocessing
import pickle
import pkgutil
import threading
from pathlib import Path

import numpy as np
import pytest

import thalweg
from thalweg.core.errors import DataError, RecipeError, ThalwegError
from thalweg.insight.fit import NoLearningRate

SOURCE = Path(thalweg.__file__).parent
ATTRIBUTES = ("who", "rule", "got", "where", "hint")


def kinds() -> list[type[ThalwegError]]:
    """Return every class of error in the package."""
    for module in pkgutil.walk_packages([str(SOURCE)], "thalweg."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found, queue = [], [ThalwegError]
    while queue:
        kind = queue.pop()
        found.append(kind)
        queue += kind.__subclasses__()
    return [kind for kind in found if kind.__module__.startswith("thalweg.")]


KINDS = kinds()


def made(kind: type[ThalwegError], got: object = 3) -> ThalwegError:
    """Return an error as its constructor leaves it, with an attribute of a subclass's own."""
    error = kind.__new__(kind)
    ThalwegError.__init__(error, "who", "the rule", got=got, where=Path("here"), hint="do this")
    error.extra = {"more": [1, 2]}  # type: ignore[attr-defined]
    return error


def ways(error: ThalwegError) -> list[ThalwegError]:
    pickled = [pickle.loads(pickle.dumps(error, protocol)) for protocol in range(2, 6)]
    return [*pickled, copy.copy(error), copy.deepcopy(error)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_copy_is_the_same_error(kind):
    error = made(kind)
    for again in ways(error):
        assert type(again) is kind and again is not error
        assert str(again) == str(error) == "who: the rule; got 3 (here)\nhint: do this"
        assert all(getattr(again, name) == getattr(error, name) for name in ATTRIBUTES)
        assert again.extra == {"more": [1, 2]}  # type: ignore[attr-defined]


class Finding:
    """A stand-in with what `NoLearningRate` reads."""

    reason = "every lane diverged"
    value, status = None, "diverged"


def test_the_constructor_of_a_subclass_is_not_called_again(monkeypatch):
    monkeypatch.setattr("thalweg.insight.fit.headline", lambda finding: finding.status)
    error = NoLearningRate(Finding())  # type: ignore[arg-type]
    for again in ways(error):
        assert str(again) == str(error)
        assert again.finding.reason == "every lane diverged"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "got", [lambda: 0, threading.Lock(), (row for row in "abc")], ids=["f", "lock", "rows"]
)
def test_a_value_that_cannot_be_pickled_becomes_its_text(got):
    again = pickle.loads(pickle.dumps(made(DataError, got)))
    assert again.got == repr(got) and str(again) == str(made(DataError, got))
    assert copy.deepcopy(made(DataError, got)).got is got


class Unreadable:
    """Pickles, and cannot be read back: what makes a pool wait forever."""

    def __reduce__(self):
        return _refuse, ()

    def __repr__(self):
        return "Unreadable()"


def _refuse():
    raise ValueError("cannot be read back")


def test_a_value_that_cannot_be_read_back_becomes_its_text():
    assert pickle.loads(pickle.dumps(made(DataError, Unreadable()))).got == "Unreadable()"


def refused(value: float) -> None:
    raise RecipeError("recipe", "must be small", got=lambda: value, hint="try 1")


def test_a_worker_process_returns_the_error():
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        waiting = pool.apply_async(refused, (7.0,))
        with pytest.raises(RecipeError, match="must be small") as caught:
            waiting.get(timeout=120)
    assert caught.value.hint == "try 1" and "<lambda>" in caught.value.got


def test_an_array_is_shown_in_one_line():
    error = DataError("data", "must be flat", got=np.zeros((3, 2)), hint="flatten it")
    assert len(str(error).splitlines()) == 2


def raises_without_hint() -> list[str]:
    """Return where one of our errors is made without a hint, or with one that may be None."""
    names = {kind.__name__ for kind in KINDS} - {"NoLearningRate"}
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", None) in names:
                hints = [keyword.value for keyword in node.keywords if keyword.arg == "hint"]
                if not hints or any(_may_be_none(hint) for hint in hints):
                    found.append(f"{path.relative_to(SOURCE)}:{node.lineno}")
    return found


def _may_be_none(hint: ast.expr) -> bool:
    if isinstance(hint, ast.IfExp):
        return _may_be_none(hint.body) or _may_be_none(hint.orelse)
    return isinstance(hint, ast.Constant) and not hint.value


def test_every_refusal_has_a_hint():
    assert raises_without_hint() == []
