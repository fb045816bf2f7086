"""The base of everything a recipe consists of: frozen pytrees with described fields.

A *number* is a leaf: it may differ between lanes and never causes a compilation. An *option* is structure:
another value selects another program. Both carry their documentation, range and source, from which
validation, the TOML form and the table in the docs are derived.

In a file an optional field may be written "off", which is None: TOML has no null value.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, fields
from inspect import isabstract
from types import ModuleType
from typing import Any, ClassVar, Self, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from thalweg.core.errors import RecipeError, did_you_mean
from thalweg.core.imports import is_path

T = TypeVar("T")


def number(
    default: float | None = None,
    *,
    doc: str,
    low: float = -np.inf,
    high: float = np.inf,
    open_low: bool = False,
    open_high: bool = False,
    optional: bool = False,
    source: str = "",
) -> Any:
    """Declare a numeric field of a `Choice`: a leaf, which may differ between lanes.

    Args:
        default: Value if none is given.
        doc: What it is, with its unit.
        low, high: Allowed range; the ends belong to it unless `open_low` / `open_high`.
        optional: Whether None (off) is allowed. On or off is structure; the value is not.
        source: Where the default comes from (paper, library).
    """
    ends = {"low": low, "high": high, "open_low": open_low, "open_high": open_high}
    return _field("number", default, doc, converter=_to_float, **ends, optional=optional, source=source)


def integer(
    default: int | None = None,
    *,
    doc: str,
    low: int = 0,
    high: float = np.inf,
    optional: bool = False,
    words: tuple[str, ...] = (),
    source: str = "",
) -> Any:
    """Declare an integer field that is structure (a batch size, a window length).

    `words` are names that may replace the number, such as `full` for a batch of all examples.
    """
    facts = {"low": low, "high": high, "optional": optional, "words": words, "source": source}
    return _field("integer", default, doc, converter=_to_int, static=True, **facts)


def option(default: Any, *, doc: str, among: tuple[Any, ...] = (), source: str = "") -> Any:
    """Declare a field that is structure: a flag, or one of a few names."""
    return _field("option", default, doc, static=True, among=among, source=source)


def constant(default: Any = None, *, doc: str, optional: bool = False, source: str = "") -> Any:
    """Declare a field that is structure and holds any plain value: a flag, a number, text, or several."""
    facts = {"optional": optional, "source": source}
    return _field("constant", default, doc, converter=_to_hashable, static=True, **facts)


def numbers(default: tuple[float, ...], *, doc: str, low: float = -np.inf, source: str = "") -> Any:
    """Declare a field of several numbers: each may differ between lanes; how many there are is structure."""
    return _field("numbers", default, doc, converter=_to_floats, low=low, high=np.inf, source=source)


def component(
    default: Any, *, among: Mapping[str, type], doc: str, converter: Callable[[Any], Any] | None = None
) -> Any:
    """Declare a field that holds another `Choice`, of one of the registered classes.

    `converter` makes one of what else a caller may give, such as a function.
    """
    return _field("component", default, doc, converter=converter, among=among)


def components(*, among: Mapping[str, type], doc: str) -> Any:
    """Declare a field that holds any number of `Choice`s, as a tuple; empty by default."""
    return _field("components", (), doc, converter=_to_tuple, among=among)


def _field(
    kind: str,
    default: Any,
    doc: str,
    converter: Callable[[Any], Any] | None = None,
    static: bool = False,
    **facts: Any,
) -> Any:
    metadata = {"kind": kind, "doc": doc} | facts
    return eqx.field(default=default, converter=converter, static=static, metadata=metadata)


class Registry(dict[str, type[T]]):
    """Classes by name; for the name of a function, `package.module:function`, one is made when asked for.

    Args:
        classes: By name.
        base: What classes made for functions have in common.
        for_function: Returns the class for (name, settings, where); the settings are for examining it.
    """

    def __init__(
        self, classes: Mapping[str, type[T]], base: type, for_function: Callable[[str, Any, object], type[T]]
    ):
        super().__init__(classes)
        self.base, self.for_function = base, for_function


class Choice(eqx.Module):
    """A frozen pytree with described fields. Subclasses are final and carry a registered `name`.

    Class attributes:
        name: Standard name in lower case, as in TOML.
        refused: Settings that users expect here but that are impossible, each with the reason.
        other_names: What else the class is called where it has certain settings, each with these settings.
    """

    name: ClassVar[str]
    refused: ClassVar[Mapping[str, str]] = {}
    other_names: ClassVar[Mapping[str, str]] = {}

    def __new__(cls, *args: Any, **settings: Any) -> Self:
        """Reject unknown settings with a `RecipeError` that suggests the nearest known name."""
        del args
        _check_known(cls, settings, None)
        return super().__new__(cls)

    def __check_init__(self) -> None:
        for field in fields(self):
            _check(_label(type(self)), field, getattr(self, field.name))

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values, nested for components, without fields that are None.

        A field that is None against its default is "off".
        """
        values = [(field, getattr(self, field.name)) for field in fields(self)]
        plain = {field.name: _to_plain(value) for field, value in values if not _is_unset(field, value)}
        return plain | {field.name: "off" for field, value in values if _is_switched_off(field, value)}

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any], where: object = None) -> Self:
        """Build from plain values; the inverse of `to_dict`.

        Raises:
            RecipeError: An unknown key (the message suggests the nearest known one), or a value out of range.
        """
        if not isinstance(settings, Mapping) or not all(isinstance(key, str) for key in settings):
            hint = "for example {'epochs': 5}"
            raise RecipeError(
                _label(cls), "settings must be a table by name", got=settings, where=where, hint=hint
            )
        _check_known(cls, settings, where)
        known = cls.described()
        try:
            return cls(**{key: _from_plain(cls, known[key], value, where) for key, value in settings.items()})
        except RecipeError as error:
            if error.where is not None or where is None:
                raise
            raise RecipeError(
                error.who, error.rule, got=error.got, where=where, hint=error.hint, cause=error.cause
            ) from error

    def replaced(self, **values: Any) -> Self:
        """Return a copy with other values of some fields, which are known to be valid: nothing is checked.

        `dataclasses.replace` checks every setting again, fifty times as long.
        """
        copy = object.__new__(type(self))
        vars(copy).update(vars(self) | values)
        return copy

    @classmethod
    def described(cls) -> dict[str, Field[Any]]:
        """Return the fields by name, with their metadata (doc, range, source)."""
        return {field.name: field for field in fields(cls)}


def choose(among: Mapping[str, type], choice: Any, who: str, where: object = None) -> Any:
    """Build one of the registered classes from a name, or from a dict with a `name`.

    Raises:
        RecipeError: The name is not registered, or a setting is unknown or out of range.
    """
    choice = {"name": choice} if isinstance(choice, str) else choice
    if not isinstance(choice, Mapping) or "name" not in choice:
        hint = "for example " + next(iter(among))
        raise RecipeError(who, "must be a name or a table with a name", got=choice, where=where, hint=hint)
    name = choice["name"]
    settings = {key: value for key, value in choice.items() if key != "name"}
    kind = among.get(name) if isinstance(name, str) else None
    if kind is None and isinstance(among, Registry) and is_path(name):
        kind = among.for_function(name, settings, where)
    if kind is None:
        hint = _meant(among, str(name)) or did_you_mean(str(name), among)
        raise RecipeError(who, "must be one of the known names", got=name, where=where, hint=hint)
    return kind.from_dict(settings, where=where)  # type: ignore[attr-defined]


def _meant(among: Mapping[str, type], name: str) -> str:
    """Return the class that a name stands for together with settings; empty if there is none."""
    for own, kind in among.items():
        settings = getattr(kind, "other_names", {}).get(name.lower())
        if settings is not None:
            return f"{name} is {own} with {settings}"
    return ""


def registry(base: type[T], *modules: ModuleType) -> dict[str, type[T]]:
    """Return the final subclasses of `base` that the modules define, by name, in order of definition.

    Defining a class registers it: there is no other list of classes.
    """
    classes = [kind for module in modules for kind in vars(module).values() if isinstance(kind, type)]
    own = {module.__name__ for module in modules}
    final = (kind for kind in classes if issubclass(kind, base) and kind.__module__ in own)
    return {kind.name: kind for kind in final if not isabstract(kind)}  # type: ignore[attr-defined]


def default_of(field: Field[Any]) -> Any:
    """Return the default of a field, or None if it has none."""
    if field.default is not MISSING:
        return field.default
    return field.default_factory() if field.default_factory is not MISSING else None


def _to_float(value: Any) -> Any:
    # Booleans stay as they are, so that the check refuses them.
    is_number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    try:
        return float(value) if is_number else value
    except OverflowError:  # a whole number beyond 1e308; the check refuses it
        return value


def _to_floats(value: Any) -> Any:
    return tuple(_to_float(item) for item in value) if isinstance(value, (tuple, list)) else value


def _to_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, (tuple, list)) else value


def _to_hashable(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    return tuple(map(_to_hashable, value)) if isinstance(value, (tuple, list)) else value


def _to_int(value: Any) -> Any:
    if isinstance(value, (float, np.floating, np.integer)) and float(value).is_integer():
        return int(value)
    return value


def _is_unset(field: Field[Any], value: Any) -> bool:
    return value is None or (isinstance(value, tuple) and not value and default_of(field) == ())


def _is_switched_off(field: Field[Any], value: Any) -> bool:
    return value is None and field.metadata.get("optional", False) and default_of(field) is not None


def _to_plain(value: Any) -> Any:
    if isinstance(value, Choice):
        return {"name": value.name} | value.to_dict()
    return [_to_plain(item) for item in value] if isinstance(value, tuple) else value


def _from_plain(cls: type, field: Field[Any], value: Any, where: object) -> Any:
    kind, who, among = field.metadata.get("kind"), f"{_label(cls)}.{field.name}", field.metadata.get("among")
    if kind == "component" and not isinstance(value, Choice):
        return choose(among, value, who, where)  # type: ignore[arg-type]
    if kind == "components" and isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(_item_from_plain(among, item, who, where) for item in value)  # type: ignore[arg-type]
    is_off = isinstance(value, str) and value == "off" and field.metadata.get("optional")
    return None if is_off else value


def _item_from_plain(among: Mapping[str, type], item: Any, who: str, where: object) -> Any:
    if isinstance(item, Choice):
        return item
    if len(among) == 1 and isinstance(item, Mapping):
        item = {"name": next(iter(among))} | dict(item)  # with a single class the name may be left out
    return choose(among, item, who, where)


def _check_known(cls: type, settings: Mapping[str, Any], where: object) -> None:
    known = {field.name for field in fields(cls)}
    for key in settings:
        if key in known:
            continue
        reason = getattr(cls, "refused", {}).get(key)
        if reason is not None:
            rule, place = f"takes no {key!r}: {reason}", re.search(r"\w+\.[\w.]+", reason)
            hint = f"leave {key} out" if place is None else f"use {place[0]}"
            raise RecipeError(_label(cls), rule, got=settings[key], where=where, hint=hint)
        hint = did_you_mean(key, sorted(known))
        raise RecipeError(_label(cls), f"has no setting {key!r}", where=where, hint=hint)


def _label(cls: type) -> str:
    return getattr(cls, "name", cls.__name__.lower())


def _check(who: str, field: Field[Any], value: Any) -> None:
    kind, among = field.metadata.get("kind"), field.metadata.get("among")
    if kind in ("number", "integer"):
        _check_number(who, field, value)
    elif kind == "numbers":
        if not isinstance(value, tuple):
            rule, hint = (
                f"{field.name} must be a list of numbers",
                f"for example {list(default_of(field) or (0.5,))}",
            )
            raise RecipeError(who, rule, got=value, hint=hint)
        for item in value:
            _check_number(who, field, item)
    elif kind == "option" and not among and not isinstance(value, str):
        raise RecipeError(
            who, f"{field.name} must be text", got=value, hint=f"for example {default_of(field)!r}"
        )
    elif (
        kind == "option"
        and among
        and not (isinstance(value, (str, int, float, type(None))) and value in among)
    ):
        rule = f"{field.name} must be one of {', '.join(map(repr, among))}"
        raise RecipeError(who, rule, got=value, hint=did_you_mean(str(value), map(str, among)))
    elif kind in ("component", "components"):
        items = value if kind == "components" and isinstance(value, tuple) else (value,)
        kinds = (*among.values(), *([among.base] if isinstance(among, Registry) else []))  # type: ignore[union-attr]
        if not all(isinstance(item, kinds) for item in items):
            rule = f"{field.name} must be one of {', '.join(among)}"  # type: ignore[arg-type]
            raise RecipeError(who, rule, got=value, hint=f"for example {next(iter(among))!r}")  # type: ignore[arg-type]


# What makes training fail, for settings whose value is refused, by name and whether it is too low.
_CAUSES = {("lr", True): "lr_sign", ("dropout", False): "dropout_high"}


def _check_number(who: str, field: Field[Any], value: Any) -> None:
    facts, words = field.metadata, field.metadata.get("words", ())
    if (value is None and facts.get("optional")) or (isinstance(value, str) and value in words):
        return
    whole = facts["kind"] == "integer"
    if not whole and isinstance(value, (jax.Array, np.ndarray)) and jnp.issubdtype(value.dtype, jnp.floating):
        return  # an array or a tracer inside a program; its value was checked when the recipe was made
    if not isinstance(value, int if whole else float) or isinstance(value, bool):
        rule = "must be " + ("a whole number" if whole else "a number")
        rule = f"{field.name} {rule}" + "".join(f", or {word!r}" for word in words)
        raise RecipeError(who, rule, got=value, hint=f"try {_example(field)}")
    above = value > facts["low"] if facts.get("open_low") else value >= facts["low"]
    below = value < facts["high"] if facts.get("open_high") else value <= facts["high"]
    if not (above and below) or not (whole or np.isfinite(value)):
        rule = f"{field.name} must be {_range_text(facts)}"
        cause = _CAUSES.get((field.name, value < facts["low"]))
        raise RecipeError(who, rule, got=value, hint=f"try {_example(field)}", cause=cause)


def _example(field: Field[Any]) -> float | int:
    """Return a value that a numeric field takes: its default, or a round number in its range."""
    default, facts = default_of(field), field.metadata
    if isinstance(default, (int, float)):
        return default
    if isinstance(default, tuple) and default:
        return default[0]
    low = facts["low"] if np.isfinite(facts["low"]) else 0
    if facts["kind"] == "integer":
        return int(min(low + 9, facts["high"]))
    return (low + min(low + 2, facts["high"])) / 2


def _range_text(facts: Mapping[str, Any]) -> str:
    ends = []
    if np.isfinite(facts["low"]):
        ends.append(f"{'above' if facts.get('open_low') else 'at least'} {facts['low']:g}")
    if np.isfinite(facts["high"]):
        ends.append(f"{'below' if facts.get('open_high') else 'at most'} {facts['high']:g}")
    return " and ".join(ends) if ends else "finite"
