"""The registry, the docs table and the contract table have the same rows."""

import re
from pathlib import Path

from tests.contracts.rows import MINIMA, NAMES
from tests.contracts.test_schedules import ROWS as SCHEDULE_ROWS
from thalweg.doors.cli import browse
from thalweg.recipe.book import BOOK
from thalweg.recipe.catalogue import KINDS, markdown, rows, settings_of
from thalweg.recipe.optimizers import OPTIMIZERS
from thalweg.recipe.recipe import Recipe
from thalweg.recipe.schedules import SCHEDULES

PAGE = Path(__file__).parents[2] / "docs" / "catalogue.md"


def named(kind: str) -> list[str]:
    return [row.name for row in rows() if row.kind == kind]


def test_the_page_is_up_to_date():
    named = [*browse.KINDS["losses"](), *browse.KINDS["metrics"]()]
    assert PAGE.read_text(encoding="utf-8") == markdown([*rows(), *named]), "run python scripts/catalogue.py"


def test_registry_docs_and_contracts_have_the_same_rows():
    written = {}
    for title in ("Optimizers", "Schedules", "The book of recipes"):
        section = (
            PAGE.read_text(encoding="utf-8").split(f"## {title}\n")[1].split("\n## ")[0].split("\n### ")[0]
        )
        written[title] = re.findall(r"^\| `([^`]+)`", section, flags=re.MULTILINE)
    assert written["Optimizers"] == list(OPTIMIZERS) == named("optimizer")
    assert sorted(OPTIMIZERS) == NAMES == sorted(MINIMA)
    assert written["Schedules"] == list(SCHEDULES) == named("schedule")
    assert sorted(SCHEDULES) == sorted({schedule.name for schedule, _ in SCHEDULE_ROWS})
    assert written["The book of recipes"] == list(BOOK) == named("book")


def test_every_rule_is_described():
    for row in rows():
        assert row.when and (row.reference or row.kind in ("recipe", "group")), row.name
        if row.kind in KINDS:
            assert row.formula, row.name


def test_every_setting_is_described_and_every_rate_has_a_source():
    for row in rows():
        for setting in row.settings:
            assert setting.doc, (row.name, setting.name)
    for rule in OPTIMIZERS.values():
        sources = {setting.name: setting.source for setting in settings_of(rule)}
        for name in (*rule.rates, "b1", "b2", "eps"):
            if name in sources:
                assert sources[name], (rule.name, name)
    assert {setting.name for setting in settings_of(Recipe)} == set(Recipe.described())


def test_a_cell_cannot_break_the_table():
    for line in markdown(rows()).splitlines():
        if line.startswith("|"):
            cells = len(re.findall(r"(?<!\\)\|", line)) - 1
            assert cells in (3, 4), line
