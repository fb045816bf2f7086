"""Models in one line: `mlp:512`, `mlp:256,256,skip=true`, `resnet:18`; `Architecture.spec` writes it."""

from dataclasses import Field
from typing import Any

from thalweg.core.errors import ModelError, did_you_mean
from thalweg.problem.models.architecture import Architecture
from thalweg.problem.models.registry import ALIASES, ARCHITECTURES


def parse(text: str) -> Architecture:
    """Read a model from one line.

    The form is `NAME[:VALUE,...][,SETTING=VALUE,...]`; values without a name are the architecture's main
    setting (hidden widths of an `mlp`; or, with dashes, all its widths: `mlp:784-512-10`).

    Args:
        text: The line, for example `mlp:512,activation=gelu`.

    Raises:
        ModelError: An unknown name or setting (with the nearest known one), or a value that is impossible.
    """
    name, _, rest = str(text).strip().partition(":")
    name = ALIASES.get(name.strip(), name.strip())
    if name not in ARCHITECTURES:
        known = [*ARCHITECTURES, *ALIASES]
        raise ModelError("model", "must be a known architecture", got=text, hint=did_you_mean(name, known))
    kind = ARCHITECTURES[name]
    bare, named = _split(rest)
    if bare:
        if not kind.bare:
            raise ModelError(
                name, "takes only settings with a name", got=text, hint=f"for example {kind.name}"
            )
        named = {kind.bare: ",".join(bare)} | named
    return kind(**_settings(kind, named, text))


def _split(rest: str) -> tuple[list[str], dict[str, str]]:
    bare, named = [], {}
    for word in filter(None, (item.strip() for item in rest.split(","))):
        key, equals, value = word.partition("=")
        if equals:
            named[key.strip().replace("-", "_")] = value.strip()
        else:
            bare.append(word)
    return bare, named


def _settings(kind: type[Architecture], named: dict[str, str], text: str) -> dict[str, Any]:
    known = kind.described()
    found = {}
    for key, value in named.items():
        if key not in known:
            raise ModelError(kind.name, f"has no setting {key!r}", got=text, hint=did_you_mean(key, known))
        try:
            found[key] = _value(known[key], value)
        except ValueError:
            got, doc = f"{value!r} in {text!r}", known[key].metadata.get("doc")
            raise ModelError(kind.name, f"cannot read {key}", got=got, hint=doc) from None
    return found


def _value(field: Field[Any], text: str) -> Any:
    """Read one value by the kind of its field.

    Raises:
        ValueError: The text is not of that kind.
    """
    kind = field.metadata.get("kind")
    if text == "none" and field.default is None:
        return None
    if kind == "sizes":
        return _sizes(text)
    if kind == "widths":
        return tuple(int(word) for word in text.split(","))
    if kind in ("integer", "number"):
        return int(text) if kind == "integer" else float(text)
    if any(isinstance(choice, bool) for choice in field.metadata.get("among", ())):
        return {"true": True, "false": False}.get(text.lower(), text)
    return text


def _sizes(text: str) -> tuple[int | None, ...]:
    if "-" in text.lstrip("-"):
        return tuple(None if word == "?" else int(word) for word in text.split("-"))
    return (None, *(int(word) for word in text.split(",")), None)
