"""The base of everything a recipe is made of: frozen pytrees with described fields.

A *number* is a leaf: it may differ between lanes and never causes a compilation. An *option* is structure:
another value selects another program. Both carry their documentation, range and source, so that
validation, the TOML form and the docs table are all derived from the one class.

In a file an optional field may be written "off", which is None: TOML has no word for nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields
from inspect import isabstract
from types import ModuleType
from typing import Any, ClassVar, Self, TypeVar

import equinox as eqx
import numpy as np

from thalweg.core.errors import RecipeError
from thalweg.core.names import did_you_mean

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
    """Declare a numeric field of a `Choice`: a leaf, free per lane.

    Args:
        default: Value when none is given.
        doc: What it is, with its unit.
        low, high: Allowed range; the ends belong to it unless `open_low` / `open_high`.
        optional: Whether None (off) is allowed. On or off is structure; the value is not.
        source: Where the default comes from (paper, library).
    """
    described = {
        "kind": "number",
        "doc": doc,
        "low": low,
        "high": high,
        "open_low": open_low,
        "open_high": open_high,
        "optional": optional,
        "source": source,
    }
    return eqx.field(default=default, converter=_as_float, metadata=described)


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
    """Declare a whole-number field that is structure (a batch size, a window length).

    `words` are names that may stand in the number's place, such as `full` for a batch of everything.
    """
    described = {
        "kind": "integer",
        "doc": doc,
        "low": low,
        "high": high,
        "open_low": False,
        "open_high": False,
        "optional": optional,
        "words": words,
        "source": source,
    }
    return eqx.field(default=default, static=True, converter=_as_int, metadata=described)


def option(default: Any, *, doc: str, among: tuple[Any, ...] = (), source: str = "") -> Any:
    """Declare a field that is structure: a name or a flag among a few."""
    described = {"kind": "option", "doc": doc, "among": among, "source": source}
    return eqx.field(default=default, static=True, metadata=described)


def numbers(default: tuple[float, ...], *, doc: str, low: float = -np.inf, source: str = "") -> Any:
    """Declare a field of several numbers: leaves, free per lane; how many there are is structure."""
    described = {
        "kind": "numbers",
        "doc": doc,
        "low": low,
        "high": np.inf,
        "open_low": False,
        "open_high": False,
        "optional": False,
        "source": source,
    }
    return eqx.field(default=default, converter=_as_floats, metadata=described)


def component(default: Any, *, among: Mapping[str, type], doc: str) -> Any:
    """Declare a field that holds another `Choice`, one of the registered classes."""
    described = {"kind": "component", "doc": doc, "among": among}
    return eqx.field(default=default, metadata=described)


def components(*, among: Mapping[str, type], doc: str) -> Any:
    """Declare a field that holds any number of `Choice`s, as a tuple; none to begin with."""
    described = {"kind": "components", "doc": doc, "among": among}
    return eqx.field(default=(), converter=_as_tuple, metadata=described)


class Choice(eqx.Module):
    """A frozen pytree with described fields. Subclasses are final and carry a registered `name`.

    Class attributes:
        name: Standard name in lower case, as in TOML.
        refused: Settings that people expect here and that cannot be, each with the reason.
    """

    name: ClassVar[str]
    refused: ClassVar[Mapping[str, str]] = {}

    def __new__(cls, *args: Any, **settings: Any) -> Self:
        """Refuse unknown settings as every other bad input is refused, with the nearest known name."""
        del args
        _check_known(cls, settings, None)
        return super().__new__(cls)

    def __check_init__(self) -> None:
        for field in fields(self):
            _check(type(self), field, getattr(self, field.name))

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values, nested for components, without fields that are None."""
        found: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            nothing = value is None or (isinstance(value, tuple) and value == default_of(field) == ())
            if not nothing:
                found[field.name] = _plain(value)
        return found

    @classmethod
    def from_dict(cls, given: Mapping[str, Any], where: object = None) -> Self:
        """Build from plain values; the inverse of `to_dict`.

        Raises:
            RecipeError: An unknown key (with the nearest known one), or a value out of its range.
        """
        _check_known(cls, given, where)
        known = cls.described()
        try:
            return cls(**{key: _read(cls, known[key], value, where) for key, value in given.items()})
        except RecipeError as error:
            if error.where is not None or where is None:
                raise
            raise RecipeError(error.who, error.rule, got=error.got, where=where, hint=error.hint) from error

    @classmethod
    def described(cls) -> dict[str, Field[Any]]:
        """Return the fields by name, with their metadata (doc, range, source)."""
        return {field.name: field for field in fields(cls)}


def choose(among: Mapping[str, type], given: Any, who: str, where: object = None) -> Any:
    """Build one of the registered classes from a name, or from a dict with a `name`.

    Raises:
        RecipeError: The name is not registered, or a setting is unknown or out of range.
    """
    given = {"name": given} if isinstance(given, str) else given
    if not isinstance(given, Mapping) or "name" not in given:
        raise RecipeError(
            who,
            "must be a name or a table with a name",
            got=given,
            where=where,
            hint="for example " + next(iter(among)),
        )
    name = given["name"]
    if name not in among:
        raise RecipeError(
            who, "must be one of the known names", got=name, where=where, hint=did_you_mean(str(name), among)
        )
    rest = {key: value for key, value in given.items() if key != "name"}
    return among[name].from_dict(rest, where=where)  # type: ignore[attr-defined]


def registry(base: type[T], *modules: ModuleType) -> dict[str, type[T]]:
    """Return the final subclasses of `base` that the modules define, by name, in order of definition.

    To register a class is to define it: nothing else names it.
    """
    classes = [kind for module in modules for kind in vars(module).values() if isinstance(kind, type)]
    own = {module.__name__ for module in modules}
    final = (kind for kind in classes if issubclass(kind, base) and kind.__module__ in own)
    return {kind.name: kind for kind in final if not isabstract(kind)}  # type: ignore[attr-defined]


def default_of(field: Field[Any]) -> Any:
    """Return the default of a field, or None when it has none."""
    if field.default is not MISSING:
        return field.default
    return field.default_factory() if field.default_factory is not MISSING else None


def _as_float(value: Any) -> Any:
    if isinstance(value, (bool, np.bool_)):
        return value  # left as it is, so that the check can refuse it
    if isinstance(value, (int, float, np.integer, np.floating)):
        return float(value)
    return value


def _as_floats(value: Any) -> Any:
    return tuple(_as_float(item) for item in value) if isinstance(value, (tuple, list)) else value


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, (tuple, list)) else value


def _as_int(value: Any) -> Any:
    if isinstance(value, (float, np.floating, np.integer)) and float(value).is_integer():
        return int(value)
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, Choice):
        return {"name": value.name} | value.to_dict()
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _read(cls: type, field: Field[Any], value: Any, where: object) -> Any:
    kind, who = field.metadata.get("kind"), f"{_label(cls)}.{field.name}"
    if kind == "component" and not isinstance(value, Choice):
        return choose(field.metadata["among"], value, who, where)
    if kind == "components" and isinstance(value, Sequence) and not isinstance(value, str):
        among = field.metadata["among"]
        return tuple(item if isinstance(item, Choice) else _one_of(among, item, who, where) for item in value)
    return None if value == "off" and field.metadata.get("optional") else value


def _one_of(among: Mapping[str, type], given: Any, who: str, where: object) -> Any:
    if len(among) == 1 and isinstance(given, Mapping):
        given = {"name": next(iter(among))} | dict(given)  # nothing to choose, so nothing to name
    return choose(among, given, who, where)


def _check_known(cls: type, given: Mapping[str, Any], where: object) -> None:
    known = {field.name for field in fields(cls)}
    for key in given:
        if key in known:
            continue
        reason = getattr(cls, "refused", {}).get(key)
        if reason is not None:
            raise RecipeError(_label(cls), f"takes no {key!r}: {reason}", got=given[key], where=where)
        raise RecipeError(
            _label(cls), f"has no setting {key!r}", where=where, hint=did_you_mean(key, sorted(known))
        )


def _label(cls: type) -> str:
    return getattr(cls, "name", cls.__name__.lower())


def _check(cls: type, field: Field[Any], value: Any) -> None:
    described, who = field.metadata, _label(cls)
    kind = described.get("kind")
    if kind in ("number", "integer"):
        _check_number(who, field, value)
    elif kind == "numbers":
        if not isinstance(value, tuple):
            raise RecipeError(who, f"{field.name} must be a list of numbers", got=value)
        for item in value:
            _check_number(who, field, item)
    elif kind == "option" and described["among"] and value not in described["among"]:
        raise RecipeError(
            who,
            f"{field.name} must be one of {', '.join(map(repr, described['among']))}",
            got=value,
            hint=did_you_mean(str(value), map(str, described["among"])),
        )
    elif kind in ("component", "components"):
        held = value if kind == "components" and isinstance(value, tuple) else (value,)
        if not all(isinstance(item, tuple(described["among"].values())) for item in held):
            raise RecipeError(who, f"{field.name} must be one of {', '.join(described['among'])}", got=value)


def _check_number(who: str, field: Field[Any], value: Any) -> None:
    described, kind = field.metadata, field.metadata["kind"]
    if (value is None and described["optional"]) or (
        isinstance(value, str) and value in described.get("words", ())
    ):
        return
    if hasattr(value, "dtype") and not isinstance(value, np.generic):
        return  # an array or a tracer: already inside a program, checked when the recipe was made
    if not isinstance(value, int if kind == "integer" else float) or isinstance(value, bool):
        word = "a whole number" if kind == "integer" else "a number"
        also = "".join(f", or {name!r}" for name in described.get("words", ()))
        raise RecipeError(who, f"{field.name} must be {word}{also}", got=value)
    low, high = described["low"], described["high"]
    above = value > low if described["open_low"] else value >= low
    below = value < high if described["open_high"] else value <= high
    if not (above and below) or (kind != "integer" and not np.isfinite(value)):
        default = default_of(field)
        raise RecipeError(
            who,
            f"{field.name} must be {_range(described)}",
            got=value,
            hint=f"try {default}" if default is not None else None,
        )


def _range(described: Mapping[str, Any]) -> str:
    low, high = described["low"], described["high"]
    parts = []
    if np.isfinite(low):
        parts.append(f"above {low:g}" if described["open_low"] else f"at least {low:g}")
    if np.isfinite(high):
        parts.append(f"below {high:g}" if described["open_high"] else f"at most {high:g}")
    return " and ".join(parts) if parts else "finite"
