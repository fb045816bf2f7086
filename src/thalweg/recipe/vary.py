"""Many recipes from one: every combination of values, rows of columns, or points drawn from ranges.

A row is a mapping from names of settings to values. Whole components (another optimizer) are replaced first,
because they bring their own settings, and then the numbers.
"""

import contextlib
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import Field
from importlib import import_module
from typing import Any, TypeVar

import jax
import numpy as np

from thalweg.core.arguments import shown
from thalweg.core.caller import argument, either
from thalweg.core.choice import Choice
from thalweg.core.errors import RecipeError
from thalweg.recipe.ranges import Range, as_list, domain, read_values
from thalweg.recipe.settings import path_of, settings_by_path, with_setting

Row = Mapping[str, Any]
R = TypeVar("R", bound=Choice)  # in practice a Recipe, whose methods call this module

# Ten values of each of four settings are half of this. With more settings, a few hundred drawn points find an
# equally good recipe (Bergstra & Bengio, Random Search for Hyper-Parameter Optimization, 2012).
MOST_LANES = 20_000


def product(recipe: R, settings: Mapping[str, Any]) -> list[R]:
    """Return a recipe for every combination of values; the last setting changes fastest.

    Args:
        recipe: What does not vary.
        settings: For each setting (a path such as `optimizer.lr`, or its end) an iterable of values, or text
            as for `ranges.read_values`.

    Raises:
        RecipeError: An unknown or ambiguous setting, no values, the same value twice, an impossible value, or
            more than `MOST_LANES` combinations.
    """
    columns = read_columns(recipe, settings)
    reject_too_many(combinations(columns))
    for name, column in columns.items():
        _reject_duplicates(name, column)
    if {"epochs", "steps"} <= set(columns):
        rule = "takes epochs or steps, not both: each replaces the other"
        raise RecipeError("vary", rule, got=list(columns), hint="vary one of them")
    return with_rows(recipe, _rows(columns, itertools.product(*columns.values())))


def zipped(recipe: R, settings: Mapping[str, Any]) -> list[R]:
    """Return one recipe for each row of the columns, which must be of one length.

    Args:
        recipe, settings: As for `product`.

    Raises:
        RecipeError: As for `product`, or the lengths differ.
    """
    columns = read_columns(recipe, settings)
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) != 1:
        rule = "settings that vary together must have one length"
        raise RecipeError("vary", rule, got=lengths, hint="give each as many values; vary() combines all")
    reject_too_many(next(iter(lengths.values())))
    return with_rows(recipe, _rows(columns, zip(*columns.values(), strict=True)))


def sample(recipe: R, count: int, space: Mapping[str, Any], key: Any = 0) -> list[R]:
    """Return `count` recipes spread evenly over a space, by a scrambled Sobol sequence.

    Its points avoid each other, so they cover every range more evenly than independent draws.

    Args:
        recipe: What does not vary.
        count: Recipes; powers of two cover the space most evenly.
        space: For each setting, as for `ranges.domain`: `(1e-5, 1e-1)`, logarithmic; `Range(0, 0.5,
            log=False)`; a list of choices; text.
        key: Seed of the scrambling: an integer, or a JAX key. The same key gives the same points.

    Raises:
        RecipeError: As for `product`, or a count below 1.

    Reference: Sobol, On the Distribution of Points in a Cube, 1967; Owen, Scrambling Sobol and
    Niederreiter-Xing Points, 1998.
    """
    return with_rows(recipe, sample_rows(recipe, count, space, key))


def sample_rows(recipe: Choice, count: int, space: Mapping[str, Any], key: Any = 0) -> list[dict[str, Any]]:
    """Return the rows of values from which `sample` makes recipes."""
    domains = read_space(space)
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        rule = "the number of recipes must be a whole number from 1 on"
        raise RecipeError(argument("sample"), rule, got=count, hint="try 64")
    reject_too_many(count)
    points = quasi_random(count, len(domains), key)
    fields = _fields(recipe, {name: d for name, d in domains.items() if isinstance(d, list)}, domains)
    columns = {
        name: _drawn(domains[name], points[:, i], name, fields[name]) for i, name in enumerate(domains)
    }
    return _rows(columns, zip(*columns.values(), strict=True))


def read_space(space: Mapping[str, Any]) -> dict[str, Range | list[Any]]:
    """Return what each setting is drawn from.

    Raises:
        RecipeError: Nothing varies, or a range is invalid.
    """
    _reject_empty(space)
    return {name: _naming(name, domain, values) for name, values in space.items()}


def is_whole(recipe: Choice, name: str) -> bool:
    """Return whether a setting takes whole numbers."""
    return _is_integer(settings_by_path(recipe)[path_of(recipe, name)])


def read_columns(recipe: Choice, settings: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return the values of each setting as a list; whole numbers where the setting takes them.

    Raises:
        RecipeError: Nothing varies, or a setting is unknown or has no values.
    """
    _reject_empty(settings)
    known = type(recipe).described()
    components = {name for name in settings if name in known and _is_component(known[name])}
    chosen = {name: _naming(name, _listed, settings[name], known[name]) for name in components}
    fields = _fields(recipe, chosen, settings)
    return {name: _naming(name, _listed, values, fields[name]) for name, values in settings.items()}


def combinations(columns: Mapping[str, Sequence[Any]]) -> int:
    """Return the number of recipes that `product` would make."""
    return math.prod(map(len, columns.values()))


def reject_too_many(count: int, cost: str | None = None) -> None:
    """Reject more than `MOST_LANES` lanes.

    Args:
        count: Lanes.
        cost: Their predicted cost, where it is known.
    """
    if count > MOST_LANES:
        raise RecipeError(
            "vary",
            f"must make at most {MOST_LANES:,} lanes",
            got=f"{count:,} lanes",
            where=cost,
            hint=f"take fewer values, or draw points: {either('--sample 256', 'recipe.sample(256, ...)')}",
        )


def with_rows(recipe: R, rows: Sequence[Row]) -> list[R]:
    """Return one recipe for each row, with the row's values in place of its own.

    Raises:
        RecipeError: A row makes an impossible recipe; the message names the row.
    """
    plain, known = recipe.to_dict(), type(recipe).described()
    paths: dict[str, dict[str, str]] = {}  # of short names, by the components of a row
    recipes = []
    for row in rows:
        try:
            top = {name: value for name, value in row.items() if name in known}
            settings = _with(plain, top)
            components = str([value for name, value in top.items() if _is_component(known[name])])
            if components not in paths:
                base = type(recipe).from_dict(settings) if top else recipe
                paths[components] = {name: path_of(base, name) for name in row if name not in known}
            settings = _with(settings, {path: row[name] for name, path in paths[components].items()})
            recipes.append(type(recipe).from_dict(settings))
        except RecipeError as error:
            where = "where " + ", ".join(f"{name}={value}" for name, value in row.items())
            raise RecipeError(error.who, error.rule, got=error.got, where=where, hint=error.hint) from error
    return recipes


def quasi_random(count: int, dimensions: int, key: Any = 0) -> np.ndarray:
    """Return `count` points of a scrambled Sobol sequence in the unit cube, `point dimension`."""
    qmc = import_module("scipy.stats.qmc")  # half a second to load, and needed here only
    sobol = qmc.Sobol(dimensions, scramble=True, rng=_seed(key))
    return sobol.random_base2(max(0, (count - 1).bit_length()))[:count]


def _rows(columns: Mapping[str, Any], rows: Iterable[Sequence[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _reject_empty(settings: Mapping[str, Any]) -> None:
    if not settings:
        raise RecipeError(
            "vary",
            "at least one setting must vary",
            hint=f"for example {either('--vary lr=1e-3,1e-2', 'lr=[1e-3, 1e-2]')}",
        )


def _reject_duplicates(name: str, column: list[Any]) -> None:
    seen = set()
    for value in column:
        if repr(value) in seen:
            where, hint = f"{name}, twice", "leave one out; several runs of one setting differ in their seed"
            raise RecipeError("vary", "values must differ", got=value, where=where, hint=hint)
        seen.add(repr(value))


def _naming(name: str, read: Any, *args: Any) -> Any:
    """Read one setting's values; an error names the setting."""
    try:
        return read(*args)
    except RecipeError as error:
        raise RecipeError(error.who, error.rule, got=error.got, where=name, hint=error.hint) from error


def _listed(column: Any, field: Field[Any]) -> list[Any]:
    """Return a column as a list of plain values."""
    if isinstance(column, str):
        if ".." in column:
            _reject_range_of_names(field, column)
        return read_values(column, _is_integer(field), "vary")
    items = as_list(column)
    if items is None:
        raise RecipeError("vary", "values must be a list, or text", got=column, hint=f"write [{column}]")
    values = [_plain(item) for item in items]
    if not values:
        raise RecipeError("vary", "must have at least one value", got=column, hint="leave the setting out")
    return values


def _drawn(space: Range | list[Any], shares: np.ndarray, name: str, field: Field[Any]) -> list[Any]:
    """Return the values at these shares of a domain."""
    if not isinstance(space, Range):
        return [space[min(int(share * len(space)), len(space) - 1)] for share in shares]
    _naming(name, _reject_range_of_names, field, space.text)
    if space.log:
        values = [float(f"{value:.4g}") for value in space.at(shares)]
    else:
        digits = 4 - math.floor(math.log10(space.high - space.low))
        values = [round(float(value), digits) for value in space.at(shares)]
    return [round(value) for value in values] if _is_integer(field) else values


def _fields(
    recipe: Choice, components: Mapping[str, Sequence[Any]], names: Iterable[str]
) -> dict[str, Field[Any]]:
    """Return the field of each setting, in the recipe or with one of the components that vary."""
    bases = [recipe]
    for name, values in components.items():
        for value in values:
            # An impossible combination is reported later, with its row.
            with contextlib.suppress(RecipeError):
                bases.append(type(recipe).from_dict(_with(recipe.to_dict(), {name: value})))
    return {name: _field(bases, name) for name in names}


def _field(bases: Sequence[Choice], name: str) -> Field[Any]:
    """Return the field that a name stands for in the first of the recipes that has it."""
    errors: list[RecipeError] = []
    for base in bases:
        try:
            return settings_by_path(base)[path_of(base, name)]
        except RecipeError as error:
            errors.append(error)
    raise errors[0]


def _reject_range_of_names(field: Field[Any], text: str) -> None:
    if field.metadata.get("kind") in ("component", "option"):
        known = ", ".join(map(str, field.metadata["among"]))
        raise RecipeError(
            "vary", f"{field.name} is a choice, not a number", got=text, hint=f"known are {known}"
        )


def _is_component(field: Field[Any]) -> bool:
    return field.metadata.get("kind") == "component"


def _is_integer(field: Field[Any]) -> bool:
    return field.metadata.get("kind") == "integer"


def _with(plain: dict[str, Any], row: Row) -> dict[str, Any]:
    for path, value in row.items():
        plain = with_setting(plain, path, _plain(value))
    return plain


def _plain(item: Any) -> Any:
    if isinstance(item, Choice):
        return {"name": item.name} | item.to_dict()
    return item.item() if isinstance(item, np.generic) else item


def _seed(key: Any) -> int:
    if isinstance(key, (int, np.integer)):
        return int(key) % 2**63
    try:
        return int(np.asarray(jax.random.key_data(key)).astype(np.uint64).ravel()[-1])
    except (TypeError, ValueError, IndexError):
        raise RecipeError(
            "sample", "key must be a seed, or a JAX key", got=shown(key), hint="try 0"
        ) from None
