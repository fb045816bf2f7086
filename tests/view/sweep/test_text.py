"""A sweep in the terminal: whole in 80 columns, every setting or a word on those left out."""

import pytest

from tests.insight import swept
from tests.insight.swept import row, table
from thalweg.insight.ranking import rank, ranking_of
from thalweg.view.sweep.text import difference, show
from thalweg.view.text import plain


def shown(sweep, **settings) -> str:
    return plain(show(ranking_of(sweep), sweep.result, **settings))


@pytest.mark.parametrize("optimizers", [("adamw",), ("sgd", "adamw", "muon")])
@pytest.mark.parametrize("seeds", [1, 3])
def test_eighty_columns_hold_a_line_for_each_setting(optimizers, seeds):
    sweep = swept.sweep(optimizers, seeds=seeds)
    text = shown(sweep)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    for entry in ranking_of(sweep).entries:
        mark = "diverged" if entry.diverged else "±" if seeds > 1 else "0."
        assert any(entry.label in line and mark in line for line in lines)


def test_what_matters_is_said():
    text = shown(swept.sweep())
    for part in (
        "best is lr=",
        "24 lanes, 8 settings",
        "95 % interval",
        "tied",
        "diverged, step 37",
        "mlp:512",
        "33.0 s",
    ):
        assert part in text


def test_settings_left_out_are_counted():
    text = shown(swept.sweep(("sgd", "adamw", "muon")), most=5)
    assert "19 more settings in sweep.json" in text
    assert sum("±" in line for line in text.splitlines()) == 5


def test_a_sweep_in_which_everything_diverged():
    rows = [row(i, None, **{"optimizer.lr": 10.0**i}) for i in range(3)]
    text = plain(show(rank(table(rows), ["optimizer.lr"]), {}))
    assert "every lane diverged" in text and "lr=100" in text


def test_differences_carry_their_sign():
    entries = ranking_of(swept.sweep()).entries
    assert difference(entries[0].behind) == ""
    assert difference(entries[3].behind).startswith("+0.")
    assert difference(ranking_of(swept.sweep(seeds=1)).entries[3].behind).startswith("+0.")
