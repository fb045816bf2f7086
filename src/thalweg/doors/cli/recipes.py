"""`thalweg recipes`: optimizers, schedules and named recipes, with their settings."""

import dataclasses

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from thalweg.core.errors import RecipeError, did_you_mean
from thalweg.core.stop_reason import EXIT_DONE
from thalweg.doors.cli.output import print_json, print_text
from thalweg.recipe import toml
from thalweg.recipe.book import BOOK
from thalweg.recipe.catalogue import Row, rows


def recipes(name: str | None, as_json: bool) -> int:
    """Print the table, or one of its rows in full."""
    if name is None:
        known = rows()
        if as_json:
            print_json({"rows": [dataclasses.asdict(row) for row in known]})
        else:
            print_text(_table(known))
        return EXIT_DONE
    row = _row(name)
    if as_json:
        print_json(row)
    else:
        print_text(_in_full(row))
    return EXIT_DONE


def _row(name: str) -> Row:
    matches = [row for row in rows() if row.name == name]
    if not matches:
        names = [row.name for row in rows()]
        raise RecipeError(
            "recipes", "must be a name in the catalogue", got=name, hint=did_you_mean(name, names)
        )
    return matches[0]


def _table(known: list[Row]) -> RenderableType:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for title in ("name", "kind", "when"):
        table.add_column(title, overflow="fold")
    for row in known:
        table.add_row(Text(row.name, style="bold"), Text(row.kind), Text(row.when))
    return table


def _in_full(row: Row) -> RenderableType:
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
