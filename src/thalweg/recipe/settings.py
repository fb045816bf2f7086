"""Settings by their dotted path, such as `optimizer.lr`: find one, replace one, see which ones vary."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field
from typing import Any, TypeVar

from thalweg.core.choice import Choice
from thalweg.core.errors import RecipeError, did_you_mean

Value = TypeVar("Value")

_REPLACES = {"epochs": "steps", "steps": "epochs"}


def with_setting(settings: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Return recipe settings (nested plain values) with the one at a dotted `path` replaced.

    Naming another optimizer or schedule replaces the whole component: its numbers mean other things there.
    Epochs replace steps and the other way round.
    """
    head, _, rest = path.partition(".")
    changed = dict(settings)
    if not rest:
        changed.pop(_REPLACES.get(head, ""), None)
        changed[head] = value
        return changed
    inner = changed.get(head, {})
    inner = {"name": inner} if isinstance(inner, str) else inner
    if not isinstance(inner, Mapping):
        raise RecipeError("recipe", f"{head} has no setting {rest!r}", got=path, hint=f"set {head} itself")
    changed[head] = with_setting(inner, rest, value)
    return changed


def settings_by_path(choice: Choice, prefix: str = "") -> dict[str, Field[Any]]:
    """Return every setting of a choice and its components by dotted path: `optimizer`, `optimizer.lr`, ...

    Parameter groups are left out: there may be any number of them.
    """
    settings: dict[str, Field[Any]] = {}
    for name, field in type(choice).described().items():
        if field.metadata.get("kind") == "components":
            continue
        settings[prefix + name] = field
        inner = getattr(choice, name)
        if isinstance(inner, Choice):
            settings |= settings_by_path(inner, f"{prefix}{name}.")
    return settings


def path_of(choice: Choice, name: str) -> str:
    """Return the dotted path that `name` stands for: a full path, or the end of exactly one.

    The end of several learning rates of one optimizer, such as `lr` with Muon, is ambiguous.

    Raises:
        RecipeError: No setting has that name, or several do.
    """
    known = settings_by_path(choice)
    if name in known:
        return name
    matches = [path for path in known if path.endswith(f".{name}")]
    rates = [f"optimizer.{rate}" for rate in getattr(getattr(choice, "optimizer", None), "rates", ())]
    matches += [path for path in rates if path.endswith(f"_{name}") and matches]
    if len(matches) == 1:
        return matches[0]
    if matches:
        hint = f"give the full path: {matches[0]}"
        raise RecipeError("recipe", f"{name!r} names {' and '.join(matches)}", hint=hint)
    short = [path.rpartition(".")[2] for path in known]
    hint = did_you_mean(name, known if "." in name else dict.fromkeys([*known, *short]))
    raise RecipeError("recipe", f"has no setting {name!r}", hint=hint)


def per_recipe(function: Callable[[Any], Value], recipes: Sequence[Any]) -> list[Value]:
    """Return a function's value for each recipe, computed once for its lanes on all folds."""
    distinct = {id(recipe): recipe for recipe in recipes}
    values = {name: function(recipe) for name, recipe in distinct.items()}
    return [values[id(recipe)] for recipe in recipes]


def flat_settings(recipes: Sequence[Choice]) -> list[dict[str, Any]]:
    """Return each recipe's settings by dotted path; a component's name is at `optimizer.name`."""
    return per_recipe(lambda recipe: _flat(recipe.to_dict()), recipes)


def varied(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return the paths of the settings that vary, `optimizer` before `optimizer.lr`.

    A component's own settings count only where they vary among recipes with the same components. SGD and
    AdamW have different default rates, which does not make `optimizer.lr` vary.
    """
    names = dict.fromkeys(path for row in rows for path in row if path.endswith(".name"))
    kinds: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        kinds.setdefault(tuple(row.get(path) for path in names), []).append(row)
    varying = {path for path in names if len({row.get(path) for row in rows}) > 1}
    for alike in kinds.values():
        paths = dict.fromkeys(path for row in alike for path in row)
        varying |= {path for path in paths if len({_hashable(row.get(path)) for row in alike}) > 1}
    order = dict.fromkeys(path for row in rows for path in row)
    return [path.removesuffix(".name") for path in order if path in varying]


def values(row: dict[str, Any], paths: Sequence[str]) -> list[Any]:
    """Return a recipe's values at these paths: None where it has no such setting, a component's name."""
    return [row.get(path, row.get(f"{path}.name")) for path in paths]


def label(row: dict[str, Any], paths: Sequence[str]) -> str:
    """Return a recipe's values at these paths as text for people: `lr 0.001, seed 0`."""
    pairs = zip(paths, values(row, paths), strict=True)
    return ", ".join(
        f"{path.rpartition('.')[2]} {_short(value)}" for path, value in pairs if value is not None
    )


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return flat


def _hashable(value: Any) -> Any:
    return repr(value) if isinstance(value, (list, dict)) else value


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
