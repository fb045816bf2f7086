"""Stop reasons have one home: every fact is in their row, and no other module spells a reason out."""

import ast
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from thalweg.core import stop_reason
from thalweg.core.stop_reason import ENDING_SETTINGS, Facts, StopReason
from thalweg.run.session import finalize

SOURCE = Path(stop_reason.__file__).parents[1]
# Words that mean a reason wherever they are compared with; the others are also ordinary settings and columns.
WORDS = {"diverged", "interrupted", "halved", "gradient_below", "loss_change_below"}
# Keys of files and tables that happen to be such a word.
KEYS = {("insight/search.py", "diverged"), ("run/session/halving.py", "halved")}
LEVELS = {"good", "unclear", "bad"}


@pytest.mark.parametrize("reason", StopReason)
def test_every_reason_has_a_label_a_sentence_and_consequences_that_exist(reason):
    facts = reason.facts
    assert facts.label and facts.sentence[0].isupper() and not facts.sentence.endswith(".")
    assert facts.level in LEVELS and facts.exit_code in (0, 3, 130)
    assert (reason in ENDING_SETTINGS) == facts.setting
    assert StopReason.facts_of(str(reason)) is facts and StopReason(str(reason)) is reason


def test_a_reason_of_another_version_stands_for_itself():
    facts = StopReason.facts_of("melted")
    assert facts == Facts("melted", "Stopped (melted)") and not facts.planned


def spelled_out(text: str) -> list[str]:
    """Return the reasons that a module compares with, looks up, or uses as keys, as string literals."""
    words = []
    for node in ast.walk(ast.parse(text)):
        nodes: list[ast.AST | None] = []
        if isinstance(node, ast.Compare):
            nodes = [node.left, *node.comparators]
        elif isinstance(node, ast.Dict):
            nodes = list(node.keys)
        elif isinstance(node, ast.MatchValue):
            nodes = [node.value]
        inner = [leaf for part in nodes if part is not None for leaf in ast.walk(part)]
        words += [leaf.value for leaf in inner if isinstance(leaf, ast.Constant) and leaf.value in WORDS]
    return words


def test_no_other_module_compares_with_a_reason_that_it_spells_out():
    places = [
        (str(path.relative_to(SOURCE)), word)
        for path in sorted(SOURCE.rglob("*.py"))
        if path != Path(stop_reason.__file__)
        for word in spelled_out(path.read_text(encoding="utf-8"))
    ]
    assert [place for place in places if place not in KEYS] == []


@pytest.mark.parametrize(
    "line",
    [
        'lost = result["stopped"] == "diverged"',
        'early = reason in ("patience", "halved")',
        'colour = {"interrupted": "yellow"}.get(reason)',
        'match reason:\n    case "loss_change_below":\n        pass',
    ],
)
def test_a_planted_comparison_is_caught(line):
    assert spelled_out(line)


def with_row(row: str) -> ModuleType:
    """Return the module of reasons with one row more."""
    text, start = Path(stop_reason.__file__).read_text(encoding="utf-8"), "    @classmethod\n    def facts_of"
    module = ModuleType("more_reasons")
    exec(text.replace(start, f"    {row}\n\n{start}"), module.__dict__)
    return module


@pytest.mark.parametrize(("at_rest", "expected"), [(True, "final"), (False, "best")])
def test_a_new_reason_is_one_row(monkeypatch, at_rest, expected):
    """Its setting ends runs, and its weights are selected as the row says."""
    module = with_row(f'MELTED = "melted", Facts("melted", "Melted", setting=True, at_rest={at_rest})')
    assert (*ENDING_SETTINGS, "melted") == module.ENDING_SETTINGS
    assert module.StopReason.facts_of("melted").label == "melted"
    monkeypatch.setattr(finalize, "StopReason", module.StopReason)
    monkeypatch.setattr(finalize, "losses_of", lambda *_: np.zeros((1, 9)))
    lanes = SimpleNamespace(
        best=SimpleNamespace(weights=None, step=np.array([5])),
        stopped=["melted"],
        used=np.array([True]),
        group=SimpleNamespace(
            program=SimpleNamespace(select="loss"), inputs=None, splits={"validation": None}
        ),
        examples=lambda *_: None,
    )
    assert finalize.select_weights(lanes, (None, None)) == [expected]  # type: ignore[arg-type]
