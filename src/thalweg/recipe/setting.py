"""Settings by their dotted path: which paths a recipe has, which one a short name means, and one replaced."""

from collections.abc import Mapping
from dataclasses import Field
from typing import Any

from thalweg.core.choice import Choice
from thalweg.core.errors import RecipeError, did_you_mean

_REPLACES = {"epochs": "steps", "steps": "epochs"}


def with_setting(given: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Return recipe settings (nested plain values) with the one at a dotted `path` replaced.

    Naming another optimizer or schedule replaces the whole part: its numbers mean other things there.
    Epochs replace steps and the other way round.
    """
    head, _, rest = path.partition(".")
    changed = dict(given)
    if not rest:
        changed.pop(_REPLACES.get(head, ""), None)
        changed[head] = value
        return changed
    inner = changed.get(head, {})
    inner = {"name": inner} if isinstance(inner, str) else inner
    if not isinstance(inner, Mapping):
        raise RecipeError("recipe", f"{head} has no setting {rest!r}", got=path)
    changed[head] = with_setting(inner, rest, value)
    return changed


def settings_by_path(choice: Choice, prefix: str = "") -> dict[str, Field[Any]]:
    """Return every setting of a choice and of its parts, by dotted path: `optimizer`, `optimizer.lr`, ...

    Parameter groups are left out: there may be any number of them.
    """
    found: dict[str, Field[Any]] = {}
    for name, field in type(choice).described().items():
        if field.metadata.get("kind") == "components":
            continue
        found[prefix + name] = field
        inner = getattr(choice, name)
        if isinstance(inner, Choice):
            found |= settings_by_path(inner, f"{prefix}{name}.")
    return found


def path_of(choice: Choice, name: str) -> str:
    """Return the dotted path that `name` means: a full path, or the end of just one.

    A name that ends several learning rates of one optimizer means all of them, and so none: `lr` with Muon.

    Raises:
        RecipeError: No setting is called so, or several are.
    """
    known = settings_by_path(choice)
    if name in known:
        return name
    ends = [path for path in known if path.endswith(f".{name}")]
    ends += [path for path in _rates(choice) if path.endswith(f"_{name}") and ends]
    if len(ends) == 1:
        return ends[0]
    if ends:
        paths = " and ".join(ends)
        raise RecipeError("recipe", f"{name!r} names {paths}", hint=f"give the full path: {ends[0]}")
    short = [path.rpartition(".")[2] for path in known]
    hint = did_you_mean(name, known if "." in name else dict.fromkeys([*known, *short]))
    raise RecipeError("recipe", f"has no setting {name!r}", hint=hint)


def _rates(choice: Choice) -> list[str]:
    optimizer = getattr(choice, "optimizer", None)
    return [f"optimizer.{rate}" for rate in getattr(optimizer, "rates", ())]
