"""The shape of documents from files: which entries have which types, as a table that reads like the document.

A schema is a type or a tuple of types; `[schema]` for a list; a mapping for an object, by name, whose other
entries may be anything; `Each(schema)` for an object whose names are free. None is accepted everywhere (files
hold null where there is no number), and so is a missing entry: older versions wrote fewer.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

NUMBER = (int, float)
_WORDS = {str: "text", bool: "true or false", int: "a whole number", float: "a number", dict: "a table"}
_WORDS |= {list: "a list"}


class Each(NamedTuple):
    """An object with free names; the schema of every entry."""

    schema: Any


def misfit(value: Any, schema: Any, path: str = "") -> str | None:
    """Return where a value is not of a schema, and how, as `steps is a list, not a number`; or None."""
    if value is None or schema is Any:
        return None
    if isinstance(schema, Each):
        return _wrong(value, dict, path) or _first(
            misfit(inner, schema.schema, _join(path, name)) for name, inner in value.items()
        )
    if isinstance(schema, Mapping):
        return _wrong(value, dict, path) or _first(
            misfit(value.get(name), inner, _join(path, name)) for name, inner in schema.items()
        )
    if isinstance(schema, list):
        return _wrong(value, list, path) or _first(
            f"{path}[{at}] is null" if inner is None else misfit(inner, schema[0], f"{path}[{at}]")
            for at, inner in enumerate(value)
        )
    return _wrong(value, schema, path)


def _wrong(value: Any, kinds: Any, path: str) -> str | None:
    kinds = kinds if isinstance(kinds, tuple) else (kinds,)
    if type(value) in kinds:
        return None
    wanted = (
        "a number" if kinds == NUMBER else " or ".join(str(_WORDS.get(kind, kind.__name__)) for kind in kinds)
    )
    return f"{path or 'it'} is {_WORDS.get(type(value), type(value).__name__)}, not {wanted}"


def _first(misfits: Any) -> str | None:
    return next((text for text in misfits if text is not None), None)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else str(name)
