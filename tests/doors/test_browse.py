"""`thalweg browse` and `thalweg models`: every name is in a table, and a model shows its options."""

import json
import sys

import pytest

from thalweg.doors.cli import app
from thalweg.doors.cli.browse import KINDS
from thalweg.problem.data.sets.named import names
from thalweg.problem.losses import LOSSES, METRICS
from thalweg.problem.models import ARCHITECTURES
from thalweg.recipe.optimizers import OPTIMIZERS
from thalweg.recipe.schedules import SCHEDULES

REGISTRIES = {
    "datasets": names(),
    "models": ARCHITECTURES,
    "losses": LOSSES,
    "metrics": [*METRICS, "f1:CLASS", "top_k:K", "pinball:LEVEL"],
    "optimizers": OPTIMIZERS,
    "schedules": SCHEDULES,
}


@pytest.fixture
def command(monkeypatch, capsys):
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["thalweg", *arguments])
        code = app._outcome()
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def test_every_name_has_a_row_that_says_what_it_is(command):
    told = json.loads(command("browse", "--json")[1])
    assert told.keys() == KINDS.keys() == REGISTRIES.keys()
    for kind, registry in REGISTRIES.items():
        assert [row["name"] for row in told[kind]] == list(registry)
        assert [row["name"] for row in told[kind] if not row["when"]] == []


def test_a_model_is_shown_with_its_options(command):
    code, out, _ = command("models", "show", "mlp")
    assert code == 0 and "dropout" in out and "activation" in out and "relu" in out
    assert command("browse", "models", "mlp")[1] == out


def test_one_kind_is_one_table(command):
    out = command("browse", "losses")[1]
    assert "huber" in out and "adamw" not in out


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["browse", "modles"], "models"),
        (["browse", "models", "mpl"], "mlp"),
        (["models", "show", "cn"], "cnn"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(command, words, hint):
    code, _, error = command(*words)
    assert code == 2 and f"did you mean {hint!r}" in error
