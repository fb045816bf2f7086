"""The types of arguments, checked at the door: public functions and classes refuse what they cannot use.

The annotations say what is accepted. A type is checked if Python can tell: classes, unions, None, numbers,
and the items of lists and tuples. Anything else in an annotation (a protocol, a shape, `Any`) accepts every
value here, and is checked where it is used.
"""

import collections.abc
import functools
import inspect
import types
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, ParamSpec, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np

from thalweg.core.errors import BadInput

P = ParamSpec("P")
T = TypeVar("T")

# What is written in a hint for a type, by its name: higher floors are not imported here.
_EXAMPLES = {
    "Problem": "Problem(None, load('digits'))",
    "Recipe": "Recipe(epochs=5)",
    "Record": "read('runs/digits-1')",
    "Runs": "train(problem, recipe.vary(seed=range(3)))",
    "LoadOptions": "LoadOptions(target='price')",
    "SaveOptions": "SaveOptions('runs/mine')",
    "Change": "Change(epochs=20)",
    "Budget": "Budget(trials=64)",
    "Halving": "Halving()",
    "Path": "'runs/digits-1'",
    "str": "'name'",
    "int": "1",
    "float": "0.1",
    "bool": "True",
    "Mapping": "{'lr': (1e-4, 1e-1)}",
}
_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "True or False",
    "str": "text",
    "Path": "a path",
    "NoneType": "None",
}
_SEQUENCES = (list, tuple, collections.abc.Sequence, collections.abc.Iterable)


def checked(error: type[BadInput]) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Return a decorator: the function raises `error` for an argument that is not of its annotated type.

    A wrong number of arguments, or an unknown keyword, remains Python's own TypeError.
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        signature = inspect.signature(function)

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            given = signature.bind(*args, **kwargs).arguments
            check(error, function.__name__, _hints(function), given)
            return function(*args, **kwargs)

        return call

    return decorate


def check_fields(error: type[BadInput], who: str, instance: Any) -> None:
    """Reject a dataclass whose fields are not of their annotated types; call it in `__post_init__`."""
    values = {field.name: getattr(instance, field.name) for field in fields(instance) if field.init}
    check(error, who, _hints(type(instance)), values)


def check(error: type[BadInput], who: str, hints: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    """Reject values that are not of the types in `hints`, by name.

    Raises:
        BadInput: One is not; of the class `error`.
    """
    for name, value in values.items():
        if name in hints and not _is(value, hints[name]):
            rule = f"{name} must be {' or '.join(dict.fromkeys(_words(hints[name])))}"
            raise error(who, rule, got=shown(value), hint=f"for example {name}={_example(hints[name])}")


def shown(value: Any) -> Any:
    """Return a value as an error shows it: short values as they are, of others the type."""
    return value if isinstance(value, (str, int, float, list, tuple, dict)) else f"{_kind(value)}"


def _kind(value: Any) -> str:
    return (
        f"the class {value.__name__}"
        if isinstance(value, type)
        else f"a value of type {type(value).__name__}"
    )


@functools.cache
def _hints(annotated: Any) -> dict[str, Any]:
    return get_type_hints(annotated)


def _is(value: Any, hint: Any) -> bool:
    origin, items = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return any(_is(value, each) for each in items)
    if origin in _SEQUENCES:
        return _is_sequence(value, origin, items)
    if origin is collections.abc.Mapping:
        return isinstance(value, Mapping) and (
            items[0] is not str or all(isinstance(key, str) for key in value)
        )
    kind = origin or hint
    if _accepts_all(kind):
        return True
    if kind in (int, float):
        numbers = (int, np.integer) if kind is int else (int, float, np.integer, np.floating)
        return isinstance(value, numbers) and not isinstance(value, bool)
    return isinstance(value, (bool, np.bool_) if kind is bool else kind)


def _accepts_all(kind: Any) -> bool:
    """Return whether Python cannot tell what is of this type: `Any`, protocols, and shapes of arrays."""
    is_class = isinstance(kind, type) and kind is not Any
    return not is_class or getattr(kind, "_is_protocol", False) or kind.__module__.startswith("jaxtyping")


def _is_sequence(value: Any, origin: Any, items: tuple[Any, ...]) -> bool:
    """Return whether a value is a list, tuple or array of such items. Iterators are not read."""
    if isinstance(value, (str, bytes, Mapping)):
        return False
    if not isinstance(value, (list, tuple, range, np.ndarray)):
        return origin is collections.abc.Iterable and isinstance(value, collections.abc.Iterable)
    if isinstance(value, np.ndarray) and value.ndim != 1:
        return False
    if origin is tuple and len(items) > 0 and items[-1] is not ...:
        return len(value) == len(items) and all(map(_is, value, items))
    return all(_is(item, items[0]) for item in value) if items else True


def _words(hint: Any) -> list[str]:
    """Return what a type accepts, in words."""
    origin, items = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return [word for each in items for word in _words(each)]
    if origin in _SEQUENCES:
        return ["a list of " + " or ".join(_words(items[0])).removeprefix("a ")] if items else ["a list"]
    name = getattr(origin or hint, "__name__", str(hint))
    return [_WORDS.get(name, f"a {name}")]


def _example(hint: Any) -> str:
    """Return a value of the type as code: of a union, of its first type."""
    origin, items = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _example(items[0])
    if origin in _SEQUENCES:
        return f"[{_example(items[0])}]" if items else "[]"
    name = getattr(origin or hint, "__name__", str(hint))
    return _EXAMPLES.get(name, f"{name}(...)")
