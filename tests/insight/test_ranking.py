"""Ranking a sweep: which setting is best, how sure that is, and which are tied with it."""

import json

import numpy as np
import pytest

from tests.insight import swept
from tests.insight.swept import row, table
from thalweg.core.errors import RunFolderError
from thalweg.insight.ranking import _seed, as_dict, label_of, rank, ranking_of
from thalweg.insight.sweep_statements import headline, statements
from thalweg.run.folder.filesystem import plain

VARIED = ["optimizer.lr", "seed"]


def of_losses(losses: dict[float, list[float | None]], **values):
    """Rank settings by learning rate, a loss for each seed."""
    rows = []
    for rate, found in losses.items():
        for seed, loss in enumerate(found):
            rows.append(row(len(rows), loss, **{"optimizer.lr": rate, "seed": seed}, **values))
    return rank(table(rows), VARIED, "accuracy")


def said(ranking, kind: str) -> str:
    return " ".join(statement.text for statement in statements(ranking) if statement.kind == kind)


def test_settings_are_ranked_by_their_mean_estimate_mean():
    ranking = of_losses({0.1: [0.5, 0.1, 0.3], 0.2: [0.25, 0.2, 0.3], 0.3: [0.9, 0.9, 0.9]})
    assert [entry.setting for entry in ranking.entries] == [
        {"optimizer.lr": 0.2},
        {"optimizer.lr": 0.1},
        {"optimizer.lr": 0.3},
    ]
    assert [entry.rank for entry in ranking.entries] == [1, 2, 3]
    assert ranking.best.loss.mean == pytest.approx(0.25) and ranking.best.lanes == (3, 4, 5)
    assert ranking.seeds == 3 and ranking.lanes == 9 and ranking.by == "validation_loss"


def test_differences_are_paired_estimate_mean():
    """Seeds matter much more than the setting, and the same for both: only pairing sees the difference."""
    ranking = of_losses({0.1: [0.1, 0.9, 0.5], 0.2: [0.110, 0.911, 0.512]})
    second = ranking.entries[1]
    assert second.status == "worse"
    assert second.behind.mean == pytest.approx(0.011) and second.behind.low > 0
    assert second.loss.low < ranking.best.loss.mean  # unpaired, the intervals overlap widely


def test_a_tie_is_reported():
    ranking = of_losses({0.1: [0.10, 0.20, 0.12], 0.2: [0.20, 0.11, 0.13], 0.3: [0.5, 0.6, 0.52]})
    assert [entry.status for entry in ranking.entries] == ["best", "cannot tell", "worse"]
    assert "1 of 2 other settings cannot be distinguished from the best (lr=0.2)" in said(ranking, "tied")


def test_only_common_seeds_are_paired():
    ranking = of_losses({0.1: [0.1, 0.1, 0.1], 0.2: [0.2, 0.3]})
    assert ranking.entries[1].behind.number == 2
    alone = of_losses({0.1: [0.1, 0.1], 0.2: [0.2]})
    assert alone.entries[1].status == "one seed" and alone.entries[1].behind.low is None


def test_one_seed_gives_no_interval_and_says_why():
    ranking = of_losses({0.1: [0.1], 0.2: [0.2]})
    assert ranking.best.loss.low is None and ranking.entries[1].status == "one seed"
    assert "may be luck" in said(ranking, "luck") and said(ranking, "tied") == ""


def test_a_setting_with_a_diverged_seed_ranks_after_those_without():
    ranking = of_losses({0.1: [0.5, 0.5], 0.2: [0.1, None], 0.3: [None, None]})
    assert [entry.status for entry in ranking.entries] == ["best", "diverged in part", "diverged"]
    assert [entry.rank for entry in ranking.entries] == [1, 2, None]
    assert ranking.entries[1].diverged == ((3, 37),)
    text = said(ranking, "diverged")
    assert text == "3 of 6 lanes diverged: lr=0.2 (1 of 2, step 37); lr=0.3 (2 of 2, step 37)."


def test_the_loss_before_divergence_does_not_count():
    rows = [
        row(0, 0.3, **{"optimizer.lr": 0.1, "seed": 0}),
        row(1, None, validation_loss=0.01, **{"optimizer.lr": 9.0, "seed": 0}),
    ]
    ranking = rank(table(rows), VARIED)
    assert ranking.best.setting == {"optimizer.lr": 0.1} and ranking.entries[1].loss is None


def test_every_lane_diverged():
    ranking = of_losses({0.1: [None], 0.2: [None]})
    assert ranking.best is None and headline(ranking).endswith("every lane diverged")
    assert ranking.test_loss is None and [statement.kind for statement in statements(ranking)] == ["diverged"]


def test_frozen_lanes_rank_after_completed_ones():
    rows = [
        row(0, 0.9, **{"optimizer.lr": 0.1, "seed": 0}),
        row(1, 0.2, **{"optimizer.lr": 0.2, "seed": 0, "stopped": "halved", "steps": 100}),
        row(2, 0.3, **{"optimizer.lr": 0.3, "seed": 0, "stopped": "halved", "steps": 300}),
    ]
    ranking = rank(table(rows), VARIED)
    assert [entry.setting["optimizer.lr"] for entry in ranking.entries] == [0.1, 0.3, 0.2]
    assert ranking.entries[1].status == "frozen"


def test_test_figures_are_of_the_best_setting_only():
    """The setting with the best test loss is another one: it must neither be chosen nor be shown."""
    rows = [
        row(0, 0.1, **{"optimizer.lr": 0.1, "seed": 0, "test_loss": 0.7}),
        row(1, 0.2, **{"optimizer.lr": 0.2, "seed": 0, "test_loss": 0.012345}),
    ]
    ranking = rank(table(rows), VARIED, "accuracy")
    assert ranking.best.setting == {"optimizer.lr": 0.1} and ranking.test_loss.mean == 0.7
    assert "0.012345" not in json.dumps(plain(as_dict({}, ranking)))
    assert "Test figures of the other settings are not shown" in said(ranking, "test")


def test_without_a_validation_part_the_training_loss_ranks():
    rows = [
        row(i, None, stopped="epochs", train_loss=loss, **{"optimizer.lr": loss})
        for i, loss in enumerate([2.0, 1.0])
    ]
    ranking = rank(table(rows), ["optimizer.lr"])
    assert ranking.by == "train_loss" and ranking.best.lanes == (1,)
    assert "training loss" in said(ranking, "best")


def test_settings_implied_by_the_optimizer_are_not_factors():
    rows = [
        row(0, 0.1, optimizer="sgd", **{"optimizer.lr": 0.1, "optimizer.momentum": 0.9}),
        row(1, 0.2, optimizer="adamw", **{"optimizer.lr": 0.1, "optimizer.b1": 0.8}),
        row(2, 0.3, optimizer="sgd", **{"optimizer.lr": 0.2, "optimizer.momentum": 0.9}),
    ]
    ranking = rank(table(rows), ["optimizer", "optimizer.lr", "optimizer.momentum", "optimizer.b1"])
    assert ranking.factors == ("optimizer", "optimizer.lr")
    assert [entry.label for entry in ranking.entries] == ["sgd lr=0.1", "adamw lr=0.1", "sgd lr=0.2"]


def test_a_setting_that_is_off_is_a_value_of_its_own():
    rows = [row(0, 0.2, clip_norm=None), row(1, 0.1, clip_norm=1.0)]
    assert [entry.label for entry in rank(table(rows), ["clip_norm"]).entries] == [
        "clip_norm=1",
        "clip_norm=off",
    ]


def test_labels_are_as_short_as_they_can_be():
    assert label_of({"optimizer.lr": 1e-3, "schedule.floor": 0.1}) == "lr=0.001 floor=0.1"
    assert (
        label_of({"optimizer.lr": 1e-3, "optimizer.base.lr": 0.1})
        == "optimizer.lr=0.001 optimizer.base.lr=0.1"
    )
    assert label_of({"model": "mlp:32", "optimizer": "sgd", "batch_size": 64}) == "mlp:32 sgd batch_size=64"
    assert label_of({}) == "the recipe"


def test_the_end_of_a_range_is_pointed_at():
    grid = {10.0**-k: [0.1 * k] for k in range(1, 6)}
    assert "The best optimizer.lr is the largest one tried (0.1)" in said(of_losses(grid), "edge")
    assert said(of_losses({rate: [abs(np.log10(rate) + 3) + 0.1] for rate in grid}), "edge") == ""
    assert said(of_losses({0.1: [0.1], 0.2: [0.2]}), "edge") == ""  # two values have no inside


def test_a_made_sweep_finds_the_rate_it_was_made_with():
    ranking = ranking_of(swept.sweep(optimizers=("sgd", "adamw")))
    assert ranking.metric == "accuracy" and len(ranking.entries) == 16
    assert ranking.best.setting["optimizer.lr"] in (0.025, 0.063, 1.6e-3, 4e-3)
    assert headline(ranking).startswith("48 lanes, 16 settings: best is ")
    assert {entry.label for entry in ranking.entries if entry.status == "diverged"} == {"adamw lr=0.063"}


def test_the_json_is_plain():
    found = json.loads(json.dumps(plain(as_dict({"lanes": 24}, ranking_of(swept.sweep())))))
    assert found["lanes"] == 24 and found["ranked_by"] == "validation_loss"
    assert found["best"]["test_loss"]["number"] == 3
    assert found["rank"][0]["rank"] == 1 and found["rank"][1]["behind"]["low"] is not None
    assert len(found["rank"][0]["losses"]) == 3


def test_the_best_setting_that_diverged_in_part_is_not_called_best():
    ranking = of_losses({0.1: [0.1, None], 0.2: [None, None]})
    assert [entry.status for entry in ranking.entries] == ["diverged in part", "diverged"]
    assert ranking.best is ranking.entries[0]


def test_every_fold_of_every_seed_counts():
    """By the last fold of each seed alone, the other setting would be the best."""
    rows = []
    for rate, found in {0.1: (0.1, 0.9), 0.2: (0.6, 0.6)}.items():
        for seed in range(2):
            for fold, loss in enumerate(found):
                rows.append(row(len(rows), loss, **{"optimizer.lr": rate, "seed": seed, "fold": fold}))
    ranking = rank(table(rows), VARIED, "accuracy")
    assert ranking.best.setting == {"optimizer.lr": 0.1} and ranking.best.loss.mean == pytest.approx(0.5)
    assert ranking.best.loss.number == 4 and ranking.entries[1].behind.number == 4


@pytest.mark.parametrize("seed", ["a\nb", [1], float("inf"), 1.5])
def test_a_damaged_seed_is_refused(seed):
    rows = table([row(0, 0.5, **{"optimizer.lr": 0.1}), row(1, 0.4, **{"optimizer.lr": 0.2})])
    damaged = [dict(each) | {"seed": seed} for each in rows.to_dicts()]
    with pytest.raises(RunFolderError, match="seed of a lane must be a whole number"):
        _seed(damaged[0])
