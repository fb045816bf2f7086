"""A finding as text: the pick first, within 80 columns, nothing claimed that is not known."""

from dataclasses import replace

import pytest

from tests.insight import found
from thalweg.insight.finder import verdict
from thalweg.insight.finder.finding import Cost
from thalweg.view.finding import page
from thalweg.view.text import plain

ABOUT = {"data": "mnist", "task": "classification", "model": "mlp:784-512-10", "run": "runs/mnist-find-1"}


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (found.finding, "optimizer.lr 0.0037 (0.0021 to 0.0064)"),
        (found.flat, "optimizer.lr 0.0037: all rates from 0.0001 to 0.03 are equally good"),
        (found.kept, "optimizer.lr 0.001, the recipe's own: no better rate was shown"),
        (found.lost, "optimizer.lr: every lane diverged"),
        (lambda: replace(found.lost(), status="cannot learn"), "optimizer.lr: no rate lets the model learn"),
    ],
)
def test_the_headline_says_which_rate_to_take(make, said):
    assert verdict.headline(make()) == said
    shown = plain(page.show(make(), ABOUT))
    assert shown.splitlines()[0] == said and max(map(len, shown.splitlines())) <= 80


def test_the_table_points_out_the_lowest_loss_and_the_own_rate():
    lines = plain(page.show(found.kept(), ABOUT)).splitlines()
    assert sum("lowest" in line for line in lines) == 1
    assert [line.split()[0] for line in lines if line.endswith("recipe's own")] == ["0.001"]
    assert sum(line.endswith(" diverged") for line in lines) == 2


def test_the_cost_is_a_share_of_the_run():
    assert "4,860 updates (9.72 % of the run's 50,000)" in plain(page.show(found.finding(), {}))
    dear = replace(found.finding(), cost=Cost(150_000, 50_000, 61.0))
    assert "3.0 times the run's 50,000" in plain(page.show(dear, {}))


def test_no_edge_is_claimed_where_none_was_seen():
    assert "No lane diverged." in plain(page.show(found.flat(), {}))
    assert "diverged" not in plain(page.show(found.empty(), {}))
    assert "is 0.15. 2/\u03bbmax" in " ".join(plain(page.show(found.full_batch(), {})).split())


def test_a_run_says_in_a_line_how_its_rate_was_found():
    told = {**found.finding().to_dict(), "cost": {"share": 0.0972}}
    assert (
        verdict.in_a_line(told)
        == "optimizer.lr 0.0037 (0.0021 to 0.0064), found, at the cost of 9.72 % of the run"
    )
    assert verdict.in_a_line({}) == "the rate none, found"
    kept = {"setting": "optimizer.lr", "value": 0.001, "status": "cannot tell", "cost": {"share": 0.0}}
    said = "optimizer.lr 0.001, the recipe's own, as no better one was shown, at the cost of 0 % of the run"
    assert verdict.in_a_line(kept) == said
