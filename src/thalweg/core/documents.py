"""JSON and TOML from files that anybody may have written: parsed strictly, into values safe to use.

Refused, as a `ValueError` that says what is wrong: objects and lists nested more than 64 deep (the parsers
and their readers call themselves), numbers that are not finite or do not fit into 64 bits, the same key twice
(programs differ in which one they believe), text that is not Unicode. Python's own parsers let the last four
pass, and end with a RecursionError at the first.
"""

import json
import math
import re
import tomllib
from collections.abc import Iterable
from typing import Any

# No document of ours is nested deeper than 12.
DEEPEST = 64
_LARGEST = 2**64  # of whole numbers, exclusive; the smallest is minus half of it
_SURROGATE = re.compile("[\ud800-\udfff]")


def parse_json(content: bytes | str, surrogates: bool = False) -> Any:
    """Return the value of a JSON document, in UTF-8 if it is given as bytes.

    Args:
        content: The document.
        surrogates: Whether text may hold halves of surrogate pairs: they stand for bytes of file names that
            are not UTF-8.

    Raises:
        ValueError: It is not JSON, or breaks one of the rules above.
    """
    text = _text(content, "surrogatepass" if surrogates else "strict")
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_int=_whole,
            parse_float=_finite,
            parse_constant=_constant,
        )
    except RecursionError:
        raise ValueError(f"is nested more than {DEEPEST} deep") from None
    return _checked(value, surrogates)


def parse_toml(content: bytes | str) -> dict[str, Any]:
    """Return the table of a TOML document, in UTF-8 if it is given as bytes. TOML has NaN and infinity.

    Raises:
        ValueError: It is not TOML, or breaks one of the rules above.
    """
    try:
        return _checked(tomllib.loads(_text(content)))
    except RecursionError:
        raise ValueError(f"is nested more than {DEEPEST} deep") from None
    except ValueError as error:
        if "integer string conversion" in str(error):  # Python's limit of digits
            raise ValueError("has a number that does not fit into 64 bits") from None
        raise


def _text(content: bytes | str, errors: str = "strict") -> str:
    if isinstance(content, str):
        return content
    try:
        return content.decode("utf-8", errors)
    except UnicodeDecodeError as error:
        raise ValueError(f"is not UTF-8: byte 0x{content[error.start]:02x} at {error.start}") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in pairs:
        if name in values:
            raise ValueError(f"has the key {name[:60]!r} twice")
        values[name] = value
    return values


def _whole(digits: str) -> int:
    value = int(digits) if len(digits) <= 21 else _LARGEST
    if not -_LARGEST // 2 <= value < _LARGEST:
        raise ValueError(f"has a number that does not fit into 64 bits: {digits[:24]}")
    return value


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"has a number that is not finite: {digits[:24]}")
    return value


def _constant(name: str) -> None:
    raise ValueError(f"has {name}, which JSON does not know")


def _checked(value: Any, surrogates: bool = False) -> Any:
    """Return a value that is not too deep and holds no lone surrogates, without calling itself."""
    level: list[Any] = [value]
    for _ in range(DEEPEST):
        level = [inner for outer in level for inner in _inside(outer, surrogates)]
        if not level:
            return value
    raise ValueError(f"is nested more than {DEEPEST} deep")


def _inside(value: Any, surrogates: bool) -> Iterable[Any]:
    if isinstance(value, dict):
        return [*value, *value.values()]
    if isinstance(value, list):
        return value
    if isinstance(value, str) and not surrogates and _SURROGATE.search(value):
        raise ValueError("has text that is not Unicode: half of a surrogate pair")
    if isinstance(value, int) and not -_LARGEST // 2 <= value < _LARGEST:
        raise ValueError("has a number that does not fit into 64 bits")
    return ()
