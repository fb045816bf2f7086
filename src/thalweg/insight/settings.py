"""Which choices differ between two runs: recipe, model, data, versions, machine. No results here.

And which settings of a recipe are in force at all.
"""

from collections.abc import Iterator, Mapping
from dataclasses import Field, dataclass
from typing import Any

from thalweg.core.choice import Choice, default_of
from thalweg.insight.layers import layer_table
from thalweg.insight.outcome import table
from thalweg.insight.wording import NOTHING, clipped, setting
from thalweg.recipe.recipe import Recipe
from thalweg.run.folder.record import Record

_VERSIONS = ("thalweg", "python", "jax", "jaxlib", "equinox", "optax", "numpy")
_MODEL = ("spec", "parameters", "loss")
_DATA = ("task", "target", "input_shape", "outputs")
_ABSENT = object()
# Settings that nobody reads unless another one is on.
_ONLY_WITH = {"noise_decay": "noise", "rate_batch": "rate_rule"}


@dataclass(frozen=True)
class Difference:
    """A choice that two runs made differently.

    Args:
        group: `recipe`, `model`, `data`, `versions` or `machine`.
        key: Dotted, for example `optimizer.lr`.
        first, second: As text; `-` where one run has no such choice.
    """

    group: str
    key: str
    first: str
    second: str


def differences(first: Record, second: Record) -> Iterator[Difference]:
    """Go through everything that was chosen and yield what is not the same, the recipe first."""
    yield from _between("recipe", flat(first.recipe), flat(second.recipe))
    model = _model(first), _model(second)
    if model[0].get("spec") != model[1].get("spec"):  # then the layers differ too, which says nothing new
        model = _chosen(model[0], _MODEL), _chosen(model[1], _MODEL)
    yield from _between("model", *model)
    yield from _between("data", _data(first), _data(second))
    yield from _between(
        "versions", _chosen(first.environment, _VERSIONS), _chosen(second.environment, _VERSIONS)
    )
    machine = [{k: v for k, v in run.environment.items() if k not in _VERSIONS} for run in (first, second)]
    yield from _between("machine", flat(machine[0]), flat(machine[1]))


def flat(given: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested tables into dotted keys: `{"optimizer": {"lr": 1}}` -> `{"optimizer.lr": 1}`.

    A part's `name` stands for the part itself: `optimizer = adamw`.
    """
    found: dict[str, Any] = {}
    for key, value in given.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}.")
        elif key == "name" and prefix:
            found[prefix[:-1]] = value
        else:
            found[f"{prefix}{key}"] = value
    return found


def in_force(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return a recipe's settings (nested plain values) without those that are off, and so do nothing.

    Off is nothing, zero, false or `none` where that is the default; what was switched off against its default
    was chosen, and stays. A setting that only another one reads goes with it. Unknown settings stay.
    """
    kept = _kept(Recipe, recipe)
    return {key: value for key, value in kept.items() if _ONLY_WITH.get(key, key) in kept}


def _kept(kind: type[Choice], given: Mapping[str, Any]) -> dict[str, Any]:
    known, found = kind.described(), {}
    for key, value in given.items():
        if key in known and _is_off(known[key], value):
            continue
        parts = known[key].metadata.get("among", {}) if key in known else {}
        if isinstance(value, Mapping) and value.get("name") in parts:
            value = _kept(parts[value["name"]], value)
        found[key] = value
    return found


def _is_off(field: Field[Any], value: Any) -> bool:
    if field.name == "seed":
        return False
    if isinstance(value, Mapping):
        return value.get("name") == "none"
    idle = value in (None, 0, "none") or (field.name == "accumulate" and value == 1)
    return idle and (value is None or value == default_of(field))


def _between(group: str, first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[Difference]:
    for key in dict.fromkeys([*first, *second]):
        one, two = first.get(key, _ABSENT), second.get(key, _ABSENT)
        if one != two:
            yield Difference(group, key, _text(one), _text(two))


def _text(value: Any) -> str:
    return NOTHING if value is _ABSENT else clipped(setting(value), 60)


def _chosen(given: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: given[key] for key in keys if key in given}


def _model(record: Record) -> dict[str, Any]:
    told = _chosen(table(record.problem, "model"), _MODEL)
    told |= {"loss": record.problem["loss"]} if "loss" in record.problem else {}
    return told | {str(layer.get("path")): _shape(layer.get("shape")) for layer in layer_table(record)}


def _shape(shape: Any) -> str:
    return "x".join(map(str, shape)) if isinstance(shape, list | tuple) else str(shape)


def _data(record: Record) -> dict[str, Any]:
    data = table(record.problem, "data")
    counts = {f"{part} examples": number for part, number in table(data, "counts").items()}
    source = data.get("source")
    sources = flat(source, "source.") if isinstance(source, Mapping) else {"source": source} if source else {}
    fingerprint = {"fingerprint": str(data["fingerprint"])[:12]} if data.get("fingerprint") else {}
    name = {"data": data["name"]} if "name" in data else {}
    return name | _chosen(data, _DATA) | counts | sources | fingerprint
