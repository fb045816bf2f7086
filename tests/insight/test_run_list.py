"""The list of runs: the state of each, what is read again, filters and the order."""

import pytest

from tests.insight import growing
from thalweg.core.errors import BadInput
from thalweg.insight import run_list
from thalweg.insight.run_list import RunList, differing
from thalweg.insight.run_query import filtered, ordered
from thalweg.run.folder import lock


@pytest.fixture
def runs(tmp_path):
    """A folder with a run in every state, and one of an earlier version in a subfolder."""
    growing.start(tmp_path / "running")
    growing.end(growing.start(tmp_path / "done"), test_metric={"name": "accuracy", "value": 0.8})
    growing.end(growing.start(tmp_path / "cut"), stopped="interrupted", test_metric=None)
    growing.end(growing.start(tmp_path / "lost"), stopped="diverged", test_metric=None)
    growing.start(tmp_path / "killed", is_running=False)
    old = growing.end(growing.start(tmp_path / "more" / "old"))
    (old / "run.json").unlink()
    growing.write(old, "recipe.toml", "epochs = 4\n[optimizer]\nname = 'sgd'\nlr = 0.5\n")
    growing.start(tmp_path / "sweep", lanes=3)
    (tmp_path / "data").mkdir()
    return tmp_path


def names(found):
    return {run.name for run in found}


def test_the_states(runs):
    states = {run.name: (run.state, run.why) for run in RunList([runs]).look()}
    assert states == {
        "running": ("running", ""),
        "done": ("finished", "completed"),
        "cut": ("interrupted", "interrupted"),
        "lost": ("failed", "diverged"),
        "killed": ("failed", "ended without a result"),
        "more/old": ("finished", "completed"),
        "sweep": ("running", ""),
    }


def test_a_second_look_reads_only_what_changed(runs, monkeypatch):
    listing, read = RunList([runs]), []
    summary_of = run_list.summary_of
    monkeypatch.setattr(
        run_list, "summary_of", lambda folder, name: read.append(name) or summary_of(folder, name)
    )
    listing.look()
    read.clear()
    listing.look()
    assert read == []
    growing.end(runs / "running")
    # No such process: it was killed.
    growing.write(runs / "sweep", lock.NAME, lock.this_process() | {"pid": 4194305})
    found = {run.name: run.state for run in listing.look()}
    assert sorted(read) == ["running", "sweep"]
    assert found["running"] == "finished" and found["sweep"] == "failed"


def test_the_best_lane_stands_for_a_sweep(runs):
    rows = [
        {"lane": 0, "validation_loss": 0.4, "test_metric": 0.7, "epochs": 4.0},
        {"lane": 1, "validation_loss": 0.3, "test_metric": 0.6, "epochs": 3.0},
        {"lane": 2, "validation_loss": None, "test_metric": None, "epochs": 1.0},
    ]
    metric = {"name": "accuracy", "higher_is_better": True}
    sweep = {"lanes": 3, "rows": rows, "metric": metric, "stopped": {"epochs": 2, "diverged": 1}}
    growing.write(runs / "sweep", "sweep.json", sweep)
    growing.write(runs / "sweep", "run.json", {"ended": True})
    found = next(run for run in RunList([runs]).look() if run.name == "sweep")
    assert (found.state, found.why, found.lanes) == ("finished", "completed, diverged", 3)
    assert (found.validation_loss, found.metric.value, found.epochs) == (0.3, 0.6, 3.0)


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        (["state=finished"], {"done", "more/old"}),
        (["lr<0.3", "state=finished"], {"done"}),
        (["optimizer.lr>=0.5"], {"more/old"}),
        (["metric>0.85"], {"more/old"}),
        (["why=*verged"], {"lost"}),
        (["name!=*o*", "name!=sweep"], {"running", "cut", "killed"}),
    ],
)
def test_filters(runs, conditions, expected):
    assert names(filtered(RunList([runs]).look(), conditions)) == expected


def test_the_best_metric_comes_first_and_runs_without_one_last(runs):
    order = [run.name for run in ordered(RunList([runs]).look(), "metric")]
    assert order[:2] == ["more/old", "done"] and len(order) == 7


@pytest.mark.parametrize("condition", ["state", "lr<much", "learning_rat=1", "=3"])
def test_a_condition_that_means_nothing_is_refused(runs, condition):
    with pytest.raises(BadInput, match=r"^filter: "):
        filtered(RunList([runs]).look(), [condition])


def test_what_differs_between_runs(runs):
    found = {run.name: run for run in RunList([runs]).look()}
    assert differing([found["done"], found["more/old"]]) == {"optimizer.lr": [0.1, 0.5]}


def test_folds_stand_for_their_mean(runs):
    figures = [(0.4, 0.7, 1), (0.2, 0.9, 1), (0.6, 0.5, 2), (0.1, 0.5, 2)]
    rows = [
        {"fold": i % 2, "validation_loss": v, "test_metric": m, "lr": r}
        for i, (v, m, r) in enumerate(figures)
    ]
    for varied, loss, metric in (([], 0.325, 0.65), (["lr"], 0.3, 0.8)):
        sweep = {"lanes": 4, "rows": rows, "metric": {"name": "accuracy"}, "varied": varied}
        growing.write(runs / "sweep", "sweep.json", sweep)
        found = next(run for run in RunList([runs]).look() if run.name == "sweep")
        assert found.validation_loss == pytest.approx(loss) and found.metric.value == pytest.approx(metric)
