"""The catalogue: every choice a recipe can be made of, as rows that the docs, the terminal and tests read."""

from collections.abc import Iterable
from dataclasses import Field, dataclass
from typing import Any

from thalweg.core.choice import Choice, default_of
from thalweg.recipe.averaging import AVERAGES
from thalweg.recipe.book import BOOK
from thalweg.recipe.groups import ParamGroup
from thalweg.recipe.optimizers import OPTIMIZERS
from thalweg.recipe.recipe import Recipe
from thalweg.recipe.schedules import SCHEDULES


@dataclass(frozen=True)
class Setting:
    """One setting of a choice.

    Args:
        name: As in TOML.
        default: As in TOML; `off` for None.
        doc: What it is.
        source: Where the default comes from; empty where there is nothing to choose.
    """

    name: str
    default: str
    doc: str
    source: str


@dataclass(frozen=True)
class Row:
    """One choice.

    Args:
        name: As in TOML.
        kind: `optimizer`, `schedule`, `averaging`, `recipe` (a recipe's own settings), `group` or `book`.
        formula: The published equation in plain text; empty for kinds that have none.
        when: When to take it.
        reference: Authors and year.
        settings: Its settings with their defaults.
    """

    name: str
    kind: str
    formula: str
    when: str
    reference: str
    settings: tuple[Setting, ...]


KINDS: dict[str, dict[str, Any]] = {"optimizer": OPTIMIZERS, "schedule": SCHEDULES, "averaging": AVERAGES}


def rows() -> list[Row]:
    """Return every row: optimizers, schedules, averages, the recipe's own settings, groups, and the book."""
    found = [
        Row(name, kind, choice.formula, choice.when, choice.reference, settings_of(choice))
        for kind, registry in KINDS.items()
        for name, choice in registry.items()
    ]
    found.append(Row("recipe", "recipe", "", _first_line(Recipe), "", settings_of(Recipe)))
    found.append(Row("group", "group", "", _first_line(ParamGroup), "", settings_of(ParamGroup)))
    found += [Row(name, "book", "", entry.about, entry.source, ()) for name, entry in BOOK.items()]
    return found


def settings_of(choice: type[Choice]) -> tuple[Setting, ...]:
    """Return the settings of a choice, in order."""
    return tuple(
        Setting(name, _default(field), field.metadata.get("doc", ""), field.metadata.get("source", ""))
        for name, field in choice.described().items()
    )


def markdown(found: Iterable[Row]) -> str:
    """Return the catalogue as a Markdown page."""
    given = list(found)
    lines = [
        "# The catalogue",
        "",
        "<!-- Written by scripts/catalogue.py from the code; edits here are lost. -->",
        "",
        "Every rule under its standard name, as it stands in a recipe. In formulas g is the gradient, w a",
        "weight, t the number of the step (from 1 in optimizers, from 0 in schedules), T the run's length;",
        "`w = ...` assigns. Every number can differ between lanes, and changing one compiles nothing. Weight",
        "decay touches matrices, kernels and embeddings, never biases and scales, unless a group asks.",
    ]
    for kind, title in _TITLES.items():
        lines += ["", f"## {title}", "", *_table([row for row in given if row.kind == kind])]
    for row in given:
        if row.settings:
            lines += ["", f"### {row.kind} `{row.name}`", "", *_settings(row)]
    return "\n".join(lines) + "\n"


_TITLES = {
    "optimizer": "Optimizers",
    "schedule": "Schedules",
    "averaging": "Averages of weights",
    "book": "The book of recipes",
}


def _table(found: list[Row]) -> list[str]:
    if found and found[0].kind == "book":
        head = ["| name | what for | source |", "|---|---|---|"]
        return head + [f"| `{row.name}` | {_cell(row.when)} | {_cell(row.reference)} |" for row in found]
    head = ["| name | formula | when | reference |", "|---|---|---|---|"]
    cells = [(row.formula, row.when, row.reference) for row in found]
    return head + [
        f"| `{row.name}` | {' | '.join(map(_cell, texts))} |" for row, texts in zip(found, cells, strict=True)
    ]


def _settings(row: Row) -> list[str]:
    head = ["| setting | default | what | source of the default |", "|---|---|---|---|"]
    return head + [
        f"| `{setting.name}` | {_cell(setting.default)} | {_cell(setting.doc)} | {_cell(setting.source)} |"
        for setting in row.settings
    ]


def _cell(text: str) -> str:
    """Escape what Markdown would read: bars end a cell, stars and underscores make italics."""
    for sign in ("\\", "|", "*", "_", "<", ">"):
        text = text.replace(sign, "\\" + sign)
    return text


def _default(field: Field[Any]) -> str:
    value = default_of(field)
    if isinstance(value, Choice):
        return value.name
    if value is None:
        return "off"
    if isinstance(value, tuple):
        return ", ".join(f"{item:g}" for item in value) or "none"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _first_line(choice: type[Choice]) -> str:
    return (choice.__doc__ or "").strip().splitlines()[0]
