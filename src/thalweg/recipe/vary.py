"""Many recipes from one: every combination of values, values that go together, or points drawn from ranges.

A row is a mapping from names of settings to values. Whole parts (another optimizer) are put in first, for
they bring settings of their own, and then the numbers.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from itertools import product
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from thalweg.core.choice import Choice
from thalweg.core.errors import RecipeError
from thalweg.recipe.ranges import Range, domain, values
from thalweg.recipe.setting import path_of, settings_by_path, with_setting

if TYPE_CHECKING:
    from thalweg.recipe.recipe import Recipe

Row = Mapping[str, Any]

# Ten values of each of four settings are half of this; instead of more, a few hundred drawn points find as
# good a place (Bergstra & Bengio, Random Search for Hyper-Parameter Optimization, 2012).
MOST_LANES = 20_000


def every(recipe: "Recipe", given: Mapping[str, Any]) -> list["Recipe"]:
    """Return a recipe for every combination of values; the last setting changes fastest.

    Args:
        recipe: What does not vary.
        given: For each setting (a path such as `optimizer.lr`, or its end) an iterable of values, or text as
            `ranges.values` reads it.

    Raises:
        RecipeError: No such setting, a name that means several, no values, the same value twice, a value that
            is impossible, or more than `MOST_LANES` combinations.
    """
    columns = read_columns(recipe, given)
    refuse_too_many(combinations(columns))
    for name, column in columns.items():
        _refuse_twins(name, column)
    if {"epochs", "steps"} <= set(columns):
        raise RecipeError(
            "vary", "takes epochs or steps, not both: each replaces the other", got=list(columns)
        )
    return with_rows(recipe, [dict(zip(columns, row, strict=True)) for row in product(*columns.values())])


def together(recipe: "Recipe", given: Mapping[str, Any]) -> list["Recipe"]:
    """Return one recipe for each place in the columns, which must be of one length.

    Args:
        recipe, given: As for `every`.

    Raises:
        RecipeError: As for `every`, or the lengths differ.
    """
    columns = read_columns(recipe, given)
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) != 1:
        raise RecipeError("vary", "settings that vary together must have one length", got=lengths)
    refuse_too_many(next(iter(lengths.values())))
    rows = zip(*columns.values(), strict=True)
    return with_rows(recipe, [dict(zip(columns, row, strict=True)) for row in rows])


def drawn(recipe: "Recipe", count: int, space: Mapping[str, Any], key: Any = 0) -> list["Recipe"]:
    """Return `count` recipes spread evenly over a space, by a scrambled Sobol sequence.

    Its points keep apart from each other, so that as many of them see more of every range than points drawn
    independently do.

    Args:
        recipe: What does not vary.
        count: Recipes; powers of two are covered most evenly.
        space: For each setting what `ranges.domain` takes: `(1e-5, 1e-1)`, logarithmic; `Range(0, 0.5,
            log=False)`; a list of choices; text.
        key: Seed of the scrambling: an integer, or a JAX key. The same key gives the same points.

    Raises:
        RecipeError: As for `every`, or no point at all.

    Reference: Sobol, On the Distribution of Points in a Cube, 1967; Owen, Scrambling Sobol and
    Niederreiter-Xing Points, 1998.
    """
    return with_rows(recipe, drawn_rows(recipe, count, space, key))


def drawn_rows(recipe: "Recipe", count: int, space: Mapping[str, Any], key: Any = 0) -> list[dict[str, Any]]:
    """Return the values that make the recipes of `drawn`, one row for each."""
    domains = read_space(space)
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise RecipeError("sample", "the number of recipes must be a whole number from 1 on", got=count)
    refuse_too_many(count)
    points = quasi_random(count, len(domains), key)
    columns = {name: _placed(given, points[:, i]) for i, (name, given) in enumerate(domains.items())}
    columns = _fitting(recipe, columns, {name for name in domains if isinstance(domains[name], Range)})
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def read_space(space: Mapping[str, Any]) -> dict[str, Range | list[Any]]:
    """Return what each setting is drawn from.

    Raises:
        RecipeError: Nothing varies, or something is no range.
    """
    return {name: _within(name, domain, given) for name, given in _some(space).items()}


def is_whole(recipe: "Recipe", name: str) -> bool:
    """Tell whether a setting takes whole numbers."""
    return settings_by_path(recipe)[path_of(recipe, name)].metadata.get("kind") == "integer"


def read_columns(recipe: "Recipe", given: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return the values of each setting as a list; whole numbers where the setting is one.

    Raises:
        RecipeError: Nothing varies, a setting is unknown, or has no values.
    """
    columns = {name: _within(name, _listed, column) for name, column in _some(given).items()}
    spaced = {name for name, column in given.items() if isinstance(column, str) and ":" in column}
    found = _fitting(recipe, columns, spaced)
    return found | {name: list(dict.fromkeys(found[name])) for name in spaced}  # 16, 16.4 are one batch size


def combinations(columns: Mapping[str, Sequence[Any]]) -> int:
    """Return how many recipes `every` would make."""
    return math.prod(map(len, columns.values()))


def refuse_too_many(count: int, cost: str | None = None) -> None:
    """Refuse more than `MOST_LANES` lanes.

    Args:
        count: Lanes.
        cost: What they would take, where that can be told.
    """
    if count > MOST_LANES:
        raise RecipeError(
            "vary",
            f"must make at most {MOST_LANES:,} lanes",
            got=f"{count:,} lanes",
            where=cost,
            hint="take fewer values, or draw points from the ranges: recipe.sample, or --sample 256",
        )


def with_rows(recipe: "Recipe", rows: Sequence[Row]) -> list["Recipe"]:
    """Return `recipe` with each row's values in place of its own.

    Raises:
        RecipeError: A row makes an impossible recipe; the message names the row.
    """
    plain, known = recipe.to_dict(), type(recipe).described()
    resolved: dict[str, dict[str, str]] = {}
    found = []
    for row in rows:
        where = "where " + ", ".join(f"{name}={value}" for name, value in row.items())
        try:
            wholes = {name: value for name, value in row.items() if name in known}
            settings = _with(plain, wholes)
            kind = str([value for name, value in wholes.items() if _is_part(known[name])])
            if kind not in resolved:
                base = type(recipe).from_dict(settings) if wholes else recipe
                resolved[kind] = {name: path_of(base, name) for name in row if name not in known}
            settings = _with(settings, {path: row[name] for name, path in resolved[kind].items()})
            found.append(type(recipe).from_dict(settings))
        except RecipeError as error:
            raise RecipeError(error.who, error.rule, got=error.got, where=where, hint=error.hint) from error
    return found


def quasi_random(count: int, dimensions: int, key: Any = 0) -> np.ndarray:
    """Return `count` points of a scrambled Sobol sequence in the unit cube, `point dimension`."""
    qmc = import_module("scipy.stats.qmc")  # half a second to load, and wanted here alone
    sobol = qmc.Sobol(dimensions, scramble=True, rng=_seed(key))
    return sobol.random_base2(max(0, (count - 1).bit_length()))[:count]


def _some(given: Mapping[str, Any]) -> Mapping[str, Any]:
    if not given:
        raise RecipeError("vary", "at least one setting must vary", hint="for example lr=[1e-3, 1e-2]")
    return given


def _listed(column: Any) -> list[Any]:
    if isinstance(column, str):
        return values(column)
    if not isinstance(column, Iterable):
        raise RecipeError("vary", "values must be a list, or text", got=column, hint=f"write [{column}]")
    found = [_plain(item) for item in column]
    if not found:
        raise RecipeError("vary", "must have at least one value", got=column)
    return found


def _plain(item: Any) -> Any:
    if isinstance(item, Choice):
        return {"name": item.name} | item.to_dict()
    return item.item() if isinstance(item, np.generic) else item


def _within(name: str, read: Any, given: Any) -> Any:
    """Read one setting's values; an error names the setting."""
    try:
        return read(given)
    except RecipeError as error:
        raise RecipeError(error.who, error.rule, got=error.got, where=name, hint=error.hint) from error


def _fitting(recipe: "Recipe", columns: dict[str, list[Any]], spaced: set[str]) -> dict[str, list[Any]]:
    """Check that every name is a setting somewhere, and round spaced values of whole-number settings."""
    known = type(recipe).described()
    parts = {name: column for name, column in columns.items() if name in known and _is_part(known[name])}
    bases = [recipe, *(_base(recipe, name, value) for name, column in parts.items() for value in column)]
    found = {}
    for name, column in columns.items():
        described = _field(bases, name).metadata
        kind = described.get("kind")
        if name in spaced and kind in ("component", "option"):
            known = ", ".join(map(str, described["among"]))
            raise RecipeError(
                "vary", f"{name} is a choice, not a number", got=column, hint=f"known are {known}"
            )
        found[name] = [round(value) for value in column] if name in spaced and kind == "integer" else column
    return found


def _base(recipe: "Recipe", name: str, value: Any) -> Any:
    """Return the recipe with another part; as it is, where that alone is impossible (which is said later)."""
    try:
        return type(recipe).from_dict(_with(recipe.to_dict(), {name: value}))
    except RecipeError:
        return recipe


def _field(bases: Sequence["Recipe"], name: str) -> Any:
    """Return the field that a name means in the first of the recipes that has it."""
    errors: list[RecipeError] = []
    for base in bases:
        try:
            return settings_by_path(base)[path_of(base, name)]
        except RecipeError as error:
            errors.append(error)
    raise errors[0]


def _is_part(field: Any) -> bool:
    return field.metadata.get("kind") == "component"


def _with(plain: dict[str, Any], row: Row) -> dict[str, Any]:
    for path, value in row.items():
        plain = with_setting(plain, path, _plain(value))
    return plain


def _placed(given: Range | list[Any], shares: np.ndarray) -> list[Any]:
    if isinstance(given, Range):
        if given.log:
            return [float(f"{value:.4g}") for value in given.at(shares)]
        digits = 4 - math.floor(math.log10(given.high - given.low))
        return [round(float(value), digits) for value in given.at(shares)]
    return [given[min(int(share * len(given)), len(given) - 1)] for share in shares]


def _refuse_twins(name: str, column: list[Any]) -> None:
    seen = set()
    for value in column:
        if repr(value) in seen:
            raise RecipeError("vary", "values must differ", got=value, where=f"{name}, twice")
        seen.add(repr(value))


def _seed(key: Any) -> int:
    if isinstance(key, (int, np.integer)):
        return int(key) % 2**63
    return int(np.asarray(jax.random.key_data(key)).astype(np.uint64).ravel()[-1])
