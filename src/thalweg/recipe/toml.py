"""Recipes as text: TOML in, TOML out, and the `path=value` settings of the command line.

A recipe that is written and read back is equal. Unknown keys are refused with the nearest known one.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import tomli_w

from thalweg.core.documents import parse_toml
from thalweg.core.errors import RecipeError, did_you_mean
from thalweg.core.files import read_file
from thalweg.recipe.book import named
from thalweg.recipe.recipe import Recipe
from thalweg.recipe.settings import with_setting

# Bytes of a recipe file. The longest of ours has 2,000.
LONGEST = 1 << 20


def read(source: Path | str) -> Recipe:
    """Read a recipe from a TOML file, or from TOML text.

    Args:
        source: A path, or TOML text: a string with a line break or an equals sign.

    Raises:
        RecipeError: The file is missing or not TOML, or a setting is unknown or out of range.
    """
    if isinstance(source, str) and ("\n" in source or "=" in source):
        return Recipe.from_dict(_parse(source, "recipe text"))
    path = Path(source)
    return Recipe.from_dict(_parse(_text(path), path), where=path)


def write(recipe: Recipe) -> str:
    """Return a recipe as TOML; `read` of it is equal. Settings that are off are left out."""
    return tomli_w.dumps(_plain(recipe.to_dict()))


def named_or_file(text: str) -> Recipe:
    """Return a recipe by its name in the book, or from a TOML file: text with a slash, or ending in .toml.

    Raises:
        RecipeError: It is neither a name nor a readable file.
    """
    is_file = text.endswith(".toml") or "/" in text
    return read(Path(text)) if is_file else named(text)


def settings(base: Mapping[str, Any], changes: Iterable[str]) -> dict[str, Any]:
    """Return recipe settings with `path=value` changes applied in order, as `optimizer.lr=3e-4`.

    A value is read as TOML (a number, a boolean, a list, a quoted string), otherwise as a bare string; `off`
    switches an optional setting off.

    Args:
        base: Settings as `Recipe.to_dict` returns them.
        changes: One `path=value` each.

    Raises:
        RecipeError: A change has no equals sign, or nothing before it.
    """
    changed = dict(base)
    for text in changes:
        path, equals, value = text.partition("=")
        if not equals or not path.strip():
            raise RecipeError(
                "recipe", "a setting must be path=value", got=text, hint="try optimizer.lr=3e-4"
            )
        changed = with_setting(changed, path.strip(), _value(value.strip()))
    return changed


def _value(text: str) -> Any:
    try:
        return parse_toml(f"value = {text}")["value"]
    except ValueError:
        return text


def _text(path: Path) -> str:
    try:
        return read_file(path, LONGEST).decode("utf-8")
    except FileNotFoundError:
        neighbours = [file.name for file in path.parent.glob("*.toml")] if path.parent.is_dir() else []
        hint = did_you_mean(path.name, neighbours) if neighbours else "see thalweg recipes show adamw"
        raise RecipeError("recipe", "the file must exist", got=str(path), hint=hint) from None
    except (OSError, UnicodeDecodeError) as error:
        hint = "write it as text in UTF-8, in a folder that you may read"
        raise RecipeError(
            "recipe",
            "the file must be readable text",
            got=getattr(error, "strerror", None) or str(error),
            where=path,
            hint=hint,
        ) from error


def _parse(text: str, where: object) -> dict[str, Any]:
    try:
        return parse_toml(text)
    except ValueError as error:
        raise RecipeError(
            "recipe",
            "must be TOML",
            got=str(error),
            where=where,
            hint="write name = value; text needs quotes",
        ) from error


def _plain(value: Any) -> Any:
    """Return TOML's types for tuples and arrays; float32 in its shortest form, 0.001 not 0.0010000000475."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if isinstance(value, (np.ndarray, np.generic, jax.Array)):
        return float(str(np.asarray(value)[()]))
    return value
