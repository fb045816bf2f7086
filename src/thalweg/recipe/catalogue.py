"""The catalogue: every component of recipes as a row, for the docs page, the terminal and tests."""

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
        doc: Its meaning.
        source: Origin of the default; empty where there is nothing to choose.
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
        when: When to use it.
        reference: Authors, title, year.
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
    table = [
        Row(name, kind, choice.formula, choice.when, choice.reference, settings_of(choice))
        for kind, registry in KINDS.items()
        for name, choice in registry.items()
    ]
    table.append(Row("recipe", "recipe", "", _first_line(Recipe), "", settings_of(Recipe)))
    table.append(Row("group", "group", "", _first_line(ParamGroup), "", settings_of(ParamGroup)))
    table += [Row(name, "book", "", entry.about, entry.source, ()) for name, entry in BOOK.items()]
    return table


def settings_of(choice: type[Choice]) -> tuple[Setting, ...]:
    """Return the settings of a choice, in order."""
    return tuple(
        Setting(name, _default(field), field.metadata.get("doc", ""), field.metadata.get("source", ""))
        for name, field in choice.described().items()
    )


def markdown(rows: Iterable[Row]) -> str:
    """Return the catalogue as a Markdown page."""
    table = list(rows)
    lines = [
        "# The catalogue",
        "",
        "<!-- Written by scripts/catalogue.py from the code; edits here are lost. -->",
        "",
        "Every rule under its standard name, as in a recipe. In formulas g is the gradient, w a weight, t",
        "the step (from 1 in optimizers, from 0 in schedules), T the length of the run; `w = ...` assigns,",
        "in the order written, and what is remembered starts at 0. |x| is the norm of a layer; `abs` and",
        "`sqrt` act number by number; b is the momentum. Variants and remarks stand in brackets at the end.",
        "Formulas that consist of assignments are evaluated by a test, as printed, against the code's steps.",
        "Every number can differ between lanes, and changing one does not recompile. Weight decay applies to",
        "matrices, kernels and embeddings; to biases and scales only with a parameter group of their own.",
    ]
    for kind, title in (_TITLES | _OTHER_TITLES).items():
        own = [row for row in table if row.kind == kind]
        lines += ["", f"## {title}", "", *_table(own)] if own or kind in _TITLES else []
    for row in table:
        if row.settings:
            lines += ["", f"### {row.kind} `{row.name}`", "", *_settings(row)]
    return "\n".join(lines) + "\n"


# Of what a problem names; their rows come from the caller.
_OTHER_TITLES = {"loss": "Losses", "metric": "Metrics"}
_TITLES = {
    "optimizer": "Optimizers",
    "schedule": "Schedules",
    "averaging": "Averages of weights",
    "book": "The book of recipes",
}


def _table(rows: list[Row]) -> list[str]:
    if rows and rows[0].kind == "book":
        head = ["| name | what for | source |", "|---|---|---|"]
        return head + [f"| `{row.name}` | {_cell(row.when)} | {_cell(row.reference)} |" for row in rows]
    head = ["| name | formula | when | reference |", "|---|---|---|---|"]
    cells = [" | ".join(map(_cell, (row.formula, row.when, row.reference))) for row in rows]
    return head + [f"| `{row.name}` | {text} |" for row, text in zip(rows, cells, strict=True)]


def _settings(row: Row) -> list[str]:
    head = ["| setting | default | what | source of the default |", "|---|---|---|---|"]
    return head + [
        f"| `{setting.name}` | {_cell(setting.default)} | {_cell(setting.doc)} | {_cell(setting.source)} |"
        for setting in row.settings
    ]


def _cell(text: str) -> str:
    """Escape Markdown: bars end a cell, stars and underscores make italics."""
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
        return ", ".join(map(_item, value)) or "none"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _item(value: Any) -> str:
    return "open" if value is None else f"{value:g}" if isinstance(value, float | int) else str(value)


def _first_line(choice: type[Choice]) -> str:
    return (choice.__doc__ or "").strip().splitlines()[0]
