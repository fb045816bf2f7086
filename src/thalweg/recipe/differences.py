"""What tells recipes apart: the settings that vary among them, by dotted path."""

from collections.abc import Sequence
from typing import Any

from thalweg.recipe.recipe import Recipe


def rows_of(recipes: Sequence[Recipe]) -> list[dict[str, Any]]:
    """Return a row for each recipe: its settings by dotted path, a part's name at `optimizer.name`."""
    return [_flat(recipe.to_dict()) for recipe in recipes]


def varied(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return the paths of the settings that vary, `optimizer` before `optimizer.lr`.

    A part's own settings count only where they vary among recipes that made the same choices: that SGD has
    another default rate than AdamW is no variation of `optimizer.lr`.
    """
    chosen = dict.fromkeys(path for row in rows for path in row if path.endswith(".name"))
    kinds: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        kinds.setdefault(tuple(row.get(path) for path in chosen), []).append(row)
    among = {path for path in chosen if len({row.get(path) for row in rows}) > 1}
    for alike in kinds.values():
        paths = dict.fromkeys(path for row in alike for path in row)
        among |= {path for path in paths if len({_hashable(row.get(path)) for row in alike}) > 1}
    order = dict.fromkeys(path for row in rows for path in row)
    return [path.removesuffix(".name") for path in order if path in among]


def values(row: dict[str, Any], paths: Sequence[str]) -> list[Any]:
    """Return a recipe's values at these paths; None where it has no such setting, a name for a part."""
    return [row.get(path, row.get(f"{path}.name")) for path in paths]


def label(row: dict[str, Any], paths: Sequence[str]) -> str:
    """Return a recipe's values at these paths for people: `lr 0.001, seed 0`."""
    told = zip(paths, values(row, paths), strict=True)
    return ", ".join(
        f"{path.rpartition('.')[2]} {_short(value)}" for path, value in told if value is not None
    )


def _flat(given: Any, prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in given.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found


def _hashable(value: Any) -> Any:
    return repr(value) if isinstance(value, (list, dict)) else value


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
