"""`thalweg recipes`: optimizers, schedules and named recipes, with their settings and plots of schedules."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from thalweg.core.choice import choose
from thalweg.core.errors import RecipeError, did_you_mean
from thalweg.core.imports import allowing, is_path
from thalweg.core.stop_reason import EXIT_DONE
from thalweg.doors.cli.outfile import check_out, write_out
from thalweg.doors.cli.output import print_json, print_text
from thalweg.recipe import toml
from thalweg.recipe.book import BOOK
from thalweg.recipe.catalogue import Row, rows, settings_of
from thalweg.recipe.optimizers import class_named as optimizer_named
from thalweg.recipe.recipe import Recipe
from thalweg.recipe.schedules import SCHEDULES, Schedule
from thalweg.view.schedule import curve_of, plot, text, with_warmup
from thalweg.view.terminal import say, terminal


def recipes(
    words: list[str], as_json: bool, allow_import: bool = False, options: Mapping[str, Any] | None = None
) -> int:
    """Print the table, one of its rows in full, or the plot of a schedule."""
    options = options or {}
    verb, *names = words if words and words[0] in ("show", "plot") else ["show", *words]
    given = [name for name in ("steps", "warmup", "set_", "out") if options.get(name) not in (None, [])]
    if verb == "show" and given:
        flags = ", ".join("--" + name.strip("_") for name in given)
        hint = "for example thalweg recipes plot cosine --steps 1000"
        raise RecipeError("recipes", "only plot takes these options", got=flags, hint=hint)
    with allowing(allow_import):
        if verb == "plot":
            return _plot(names, as_json, options)
        if not names:
            known = rows()
            if as_json:
                print_json({"rows": [dataclasses.asdict(row) for row in known]})
            else:
                print_text(table(known))
            return EXIT_DONE
        row = _row(names[0])
    if as_json:
        print_json(row)
    else:
        print_text(in_full(row))
    return EXIT_DONE


def _plot(names: list[str], as_json: bool, options: Mapping[str, Any]) -> int:
    """Print the plot of a schedule, or of the learning rate of a recipe; write it if asked."""
    out: Path | None = options["out"]
    if len(names) != 1:
        hint = "for example thalweg recipes plot cosine --warmup 100 --steps 1000"
        raise RecipeError(
            "recipes", "plot takes the name of one schedule or recipe", got=" ".join(names), hint=hint
        )
    if out is not None:
        check_out(out, force=options["force"])
    drawn = _chosen(names[0], options["set_"] or [], options["warmup"])
    curve = curve_of(drawn, options["steps"])
    if out is not None:
        write_out(out, plot(drawn, steps=options["steps"]).file(out), force=options["force"])
    if as_json:
        print_json(
            {"title": curve.title, "step": curve.rate.step.tolist(), curve.name: curve.rate.value.tolist()}
        )
    else:
        say(text(curve, ascii_only=terminal().options.ascii_only))
        if out is not None:
            say(f"\nfigure {out}")
    return EXIT_DONE


def _chosen(name: str, changes: list[str], warmup: float | None) -> Schedule | Recipe:
    """Return the schedule or the recipe with a name, changed as the options say."""
    is_schedule = name in SCHEDULES or is_path(name)
    if not is_schedule:
        if name not in BOOK and not name.endswith(".toml") and "/" not in name:
            hint = did_you_mean(name, [*SCHEDULES, *BOOK])
            raise RecipeError("recipes", "plot takes a schedule or a recipe", got=name, hint=hint)
        recipe = Recipe.from_dict(toml.settings(toml.named_or_file(name).to_dict(), changes), where="--set")
        changed = recipe.schedule if warmup is None else with_warmup(recipe.schedule, warmup)
        return dataclasses.replace(recipe, schedule=changed)
    schedule = choose(
        SCHEDULES, toml.settings({"name": name}, changes), "recipes", "--set" if changes else None
    )
    return schedule if warmup is None else with_warmup(schedule, warmup)


def _row(name: str) -> Row:
    if is_path(name):
        kind = optimizer_named(name, {}, None)
        return Row(name, "optimizer", "", kind.when, "", settings_of(kind))
    matches = [row for row in rows() if row.name == name]
    if not matches:
        names = [row.name for row in rows()]
        raise RecipeError(
            "recipes", "must be a name in the catalogue", got=name, hint=did_you_mean(name, names)
        )
    return matches[0]


def table(known: list[Row]) -> RenderableType:
    """Return rows as a table of names, kinds and uses."""
    grid = Table(box=None, padding=(0, 2, 0, 0))
    for title in ("name", "kind", "when"):
        grid.add_column(title, overflow="fold")
    for row in known:
        grid.add_row(Text(row.name, style="bold"), Text(row.kind), Text(row.when))
    return grid


def in_full(row: Row) -> RenderableType:
    """Return a row with its formula, its reference and its settings."""
    lines = [Text(f"{row.name} ({row.kind})", style="bold"), Text(row.when)]
    lines += [Text(f"formula    {row.formula}")] if row.formula else []
    lines += [Text(f"reference  {row.reference}")] if row.reference else []
    settings = Table(box=None, padding=(0, 2, 0, 0))
    for title in ("setting", "default", "what it is", "source"):
        settings.add_column(title, overflow="fold")
    for setting in row.settings:
        settings.add_row(
            *(Text(cell) for cell in (setting.name, setting.default, setting.doc, setting.source))
        )
    sections: list[RenderableType] = [*lines, Text(), settings]
    if row.name in BOOK:
        sections += [Text(), Text(toml.write(BOOK[row.name].recipe))]
    return Group(*sections)
