"""Choices made from functions: the arguments of a function as the described fields of a `Choice`.

An argument whose value is a number is a number of the recipe, traced and free per lane; a flag, a name or
None selects the program. Of a number that the function branches on in Python (`if momentum > 0`) each value
selects a program too.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import new_class
from typing import Any, Generic, TypeVar

import jax
import numpy as np

from thalweg.core import imports
from thalweg.core.choice import Choice, constant, number
from thalweg.core.errors import RecipeError, did_you_mean

C = TypeVar("C", bound=Choice)

# What JAX raises where code asks for the value of a traced number.
BRANCHES = (jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError)
_PLAIN = (bool, int, float, str, type(None))
_NUMERIC = ("float", "Scalar", "ArrayLike", "Numeric")


@dataclass(frozen=True)
class Argument:
    """An argument of a function that is a setting.

    Args:
        name: Its name.
        is_number: Whether it is a number, to be traced.
        default: Its default; None if it has none.
        optional: Whether None is a value.
    """

    name: str
    is_number: bool
    default: Any = None
    optional: bool = False

    def field(self, doc: str, low: float = -np.inf) -> Any:
        """Declare it as a field."""
        source = "the function's default" if self.default is not None else ""
        if self.is_number:
            return number(self.default, doc=doc, low=low, optional=self.optional, source=source)
        return constant(self.default, doc=doc, optional=self.optional, source=source)


def arguments_of(function: Callable[..., Any], who: str, skip: int = 0) -> dict[str, Argument]:
    """Return the arguments of a function that can be settings, by name.

    Those with defaults that are no plain values (functions, dtypes) are left out and keep their default.

    Args:
        function: The function.
        who: Its name, for messages.
        skip: Arguments at the start that are no settings.

    Raises:
        RecipeError: It has no signature, or takes any number of arguments without names.
    """
    hint = "wrap it in a function that has a named argument for each number: def rule(learning_rate): ..."
    try:
        parameters = list(inspect.signature(function).parameters.values())[skip:]
    except (TypeError, ValueError):
        raise RecipeError(who, "must have a signature that Python can read", hint=hint) from None
    if any(each.kind is inspect.Parameter.VAR_POSITIONAL for each in parameters):
        raise RecipeError(who, "must have a name for each argument", got="*arguments", hint=hint)
    named = [each for each in parameters if each.kind is not inspect.Parameter.VAR_KEYWORD]
    return {each.name: argument for each in named if (argument := _argument(each)) is not None}


def _argument(parameter: inspect.Parameter) -> Argument | None:
    default, required = parameter.default, parameter.default is inspect.Parameter.empty
    note = "" if parameter.annotation is inspect.Parameter.empty else str(parameter.annotation)
    if required or default is None:
        numeric = any(word in note for word in _NUMERIC)
        # Masks and the like are annotated as a tree of anything, or a function.
        numeric = numeric and (required or "Callable" not in note or "Any" not in note)
        return Argument(parameter.name, numeric, None, not required)
    if _is_number(default):
        return Argument(parameter.name, True, default, "None" in note or "Optional" in note)
    plain = isinstance(default, _PLAIN) or (isinstance(default, tuple) and all(map(_is_plain, default)))
    return Argument(parameter.name, False, default, True) if plain else None


def with_values(arguments: Mapping[str, Argument], given: Mapping[str, Any], who: str) -> dict[str, Argument]:
    """Return the arguments, those without a default and an annotation as what the given values are.

    Raises:
        RecipeError: A value has no form in a recipe: it is a function, a mask, a dtype.
    """
    for name, value in given.items():
        if name not in arguments:
            continue  # the choice itself refuses it
        if not (_is_plain(value) or (isinstance(value, (tuple, list)) and all(map(_is_plain, value)))):
            kind = getattr(value, "__name__", type(value).__name__)
            hint = f"wrap it in a function of your own: def rule(...): return {who.partition(':')[2]}(...)"
            if callable(value):
                hint = "a schedule is the recipe's: Recipe(optimizer, schedule=...); else " + hint
            rule = f"{name} must be a number, a flag or text, which a recipe can hold"
            raise RecipeError(who, rule, got=kind, hint=hint)
    known = dict(arguments)
    for name, argument in arguments.items():
        value = given.get(name)
        if not argument.is_number and argument.default is None and _is_number(value):
            known[name] = Argument(name, True, None, argument.optional)
    return known


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def _is_plain(value: Any) -> bool:
    return isinstance(value, _PLAIN) or _is_number(value)


def bound(function: Callable[..., Any], who: str, args: tuple[Any, ...], skip: int = 0) -> dict[str, Any]:
    """Return arguments that are given by position, by name.

    Raises:
        RecipeError: There are too many.
    """
    names = list(inspect.signature(function).parameters)[skip:] if args else []
    if len(args) > len(names):
        rule = f"takes at most {len(names)} arguments"
        raise RecipeError(who, rule, got=f"{len(args)}", hint="give them by name")
    return dict(zip(names, args, strict=False))


def called(found: Any, name: str, where: object) -> Callable[..., Any]:
    """Return what a recipe names, which must be a function.

    Raises:
        RecipeError: It is a class, a module or anything else.
    """
    if isinstance(found, type) or not callable(found):
        hint = "name a function, as optax:adabelief"
        raise RecipeError(
            "recipe", "a name with a colon must be that of a function", got=name, where=where, hint=hint
        )
    return found


def define(base: type[C], function: Callable[..., Any], fields: dict[str, Any], **attributes: Any) -> type[C]:
    """Define a subclass of `base` for a function.

    Args:
        base: Has the class attribute `function`.
        function: The function.
        fields: Declared fields, by name.
        attributes: Class attributes.

    Raises:
        RecipeError: A field would hide an attribute of the class.
    """
    name = attributes["name"]
    for field in fields:
        if hasattr(base, field) or field in ("function", "name"):
            hint = f"wrap it in a function that has another name for {field}"
            raise RecipeError(name, f"an argument cannot be named {field!r} here", got=field, hint=hint)
    contents = {"__annotations__": dict.fromkeys(fields, Any), "__module__": base.__module__, **fields}
    contents |= {"function": staticmethod(function), "__doc__": function.__doc__, **attributes}
    return new_class(
        f"{base.__name__}[{name}]", (base,), exec_body=lambda namespace: namespace.update(contents)
    )


def remade(base: type[C], name: str, function: Callable[..., Any] | None, values: dict[str, Any]) -> C:
    """Return a choice again that was pickled or copied: from its function, or its import path."""
    function = imports.find(name, RecipeError, base.__name__) if function is None else function
    return base.of(function, values)  # type: ignore[attr-defined]


def refuse_unknown(who: str, arguments: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Reject a value for an argument that is no setting.

    Raises:
        RecipeError: There is one.
    """
    for name in given:
        if name not in arguments:
            hint = did_you_mean(name, sorted(arguments))
            raise RecipeError(who, f"has no setting {name!r}", got=given[name], hint=hint)


class MadeClasses(Generic[C]):
    """The classes that were made for functions, by the functions' names.

    Args:
        make: Examines a function, and defines its class, from the function, its name and the settings.
        path: The setting that names such a function in a recipe, for messages.
    """

    def __init__(self, make: Callable[[Callable[..., Any], str, Mapping[str, Any]], type[C]], path: str):
        self._make, self._path = make, path
        self._classes: dict[str, type[C]] = {}

    def of(self, function: Callable[..., Any], settings: Mapping[str, Any]) -> type[C]:
        """Return the class for a function; it is examined the first time, with these settings.

        Raises:
            RecipeError: The function cannot be used.
        """
        name = imports.name_of(function)
        kind = self._classes.get(name)
        if kind is None or (imports.importable(name) and getattr(kind, "function", None) is not function):
            kind = self._classes[name] = self._make(function, name, settings)
        return kind

    def named(self, name: str, settings: Mapping[str, Any], where: object) -> type[C]:
        """Return the class for the name of a function, in a recipe that was read.

        Raises:
            RecipeError: It cannot be found, must not be imported, or cannot be used.
        """
        if name in self._classes:
            return self._classes[name]
        return self.of(called(imports.find(name, RecipeError, self._path, where), name, where), settings)
