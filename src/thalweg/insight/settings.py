"""Settings of runs: which are active, and which differ between two runs."""

from collections.abc import Iterator, Mapping
from dataclasses import Field, dataclass
from typing import Any

from thalweg.core.choice import Choice, default_of
from thalweg.insight.curves import layer_table
from thalweg.insight.outcome import table
from thalweg.insight.wording import NOTHING, clipped, setting
from thalweg.recipe.recipe import Recipe
from thalweg.run.folder.record import Record

_VERSIONS = ("thalweg", "python", "jax", "jaxlib", "equinox", "optax", "numpy")
_MODEL = ("spec", "parameters", "loss")
_DATA = ("task", "target", "input_shape", "outputs")
_ABSENT = object()
# Settings without effect unless another one is on.
_ONLY_WITH = {"noise_decay": "noise", "rate_batch": "rate_rule"}


@dataclass(frozen=True)
class Difference:
    """A choice that differs between two runs.

    Args:
        group: `recipe`, `model`, `data`, `versions` or `machine`.
        key: Dotted, such as `optimizer.lr`.
        first, second: As text; `-` where a run has no such choice.
    """

    group: str
    key: str
    first: str
    second: str


def differences(first: Record, second: Record) -> Iterator[Difference]:
    """Yield everything that was chosen differently, the recipe first."""
    yield from _between("recipe", flat(first.recipe), flat(second.recipe))
    model = _model(first), _model(second)
    if model[0].get("spec") != model[1].get("spec"):  # then different layers say nothing new
        model = _chosen(model[0], _MODEL), _chosen(model[1], _MODEL)
    yield from _between("model", *model)
    data = _data(first), _data(second)
    if data[0].get("fingerprint", 1) == data[1].get("fingerprint", 2):  # then another path says nothing
        data = tuple({key: v for key, v in each.items() if key != "source.from"} for each in data)
    yield from _between("data", *data)
    yield from _between(
        "versions", _chosen(first.environment, _VERSIONS), _chosen(second.environment, _VERSIONS)
    )
    machine = [{k: v for k, v in run.environment.items() if k not in _VERSIONS} for run in (first, second)]
    yield from _between("machine", flat(machine[0]), flat(machine[1]))


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested tables into dotted keys: `{"optimizer": {"lr": 1}}` -> `{"optimizer.lr": 1}`.

    A component's `name` becomes the value of the component itself: `optimizer = adamw`.
    """
    result: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            result |= flat(value, f"{prefix}{key}.")
        elif key == "name" and prefix:
            result[prefix[:-1]] = value
        else:
            result[f"{prefix}{key}"] = value
    return result


def active(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return a recipe's settings (nested plain values) without those that are off and do nothing.

    None, zero, false and `none` are off where they are the default; where they replace another default they
    were chosen, and are kept. A setting that depends on another is dropped with it; unknown ones are kept.
    """
    on = _without_off(Recipe, recipe)
    return {key: value for key, value in on.items() if _ONLY_WITH.get(key, key) in on}


def _without_off(kind: type[Choice], values: Mapping[str, Any]) -> dict[str, Any]:
    fields, on = kind.described(), {}
    for key in sorted(values, key=[*fields, *values].index):  # in a TOML file, numbers come before tables
        value = values[key]
        if key in fields and _is_off(fields[key], value):
            continue
        components = fields[key].metadata.get("among", {}) if key in fields else {}
        if isinstance(value, Mapping) and value.get("name") in components:
            value = _without_off(components[value["name"]], value)
        on[key] = value
    return on


def _is_off(field: Field[Any], value: Any) -> bool:
    if field.name == "seed":
        return False
    if isinstance(value, Mapping):
        return value.get("name") == "none"
    idle = value in (None, 0, "none") or (field.name == "accumulate" and value == 1)
    return idle and (value is None or value == default_of(field))


def _between(group: str, first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[Difference]:
    for key in dict.fromkeys([*first, *second]):
        values = first.get(key, _ABSENT), second.get(key, _ABSENT)
        if values[0] != values[1]:
            yield Difference(group, key, *map(_text, values))


def _text(value: Any) -> str:
    return NOTHING if value is _ABSENT else clipped(setting(value), 60)


def _chosen(values: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: values[key] for key in keys if key in values}


def _model(record: Record) -> dict[str, Any]:
    model = _chosen(table(record.problem, "model"), _MODEL) | _chosen(record.problem, ("loss",))
    return model | {str(layer.get("path")): _shape(layer.get("shape")) for layer in layer_table(record)}


def _shape(shape: Any) -> str:
    return "x".join(map(str, shape)) if isinstance(shape, list | tuple) else str(shape)


def _data(record: Record) -> dict[str, Any]:
    data = table(record.problem, "data")
    counts = {f"{split} examples": number for split, number in table(data, "counts").items()}
    source = data.get("source")
    sources = flat(source, "source.") if isinstance(source, Mapping) else {"source": source} if source else {}
    fingerprint = {"fingerprint": str(data["fingerprint"])[:12]} if data.get("fingerprint") else {}
    name = {"data": data["name"]} if "name" in data else {}
    return name | _chosen(data, _DATA) | counts | sources | fingerprint
