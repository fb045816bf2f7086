"""The search for the best network: its budget, its rounds, what it never looks at, what a resume repeats."""

import json
from dataclasses import replace

import numpy as np
import pytest

import thalweg as tw
from tests.doors.process import called
from thalweg.core.errors import BadInput
from thalweg.insight.best import best as searching
from thalweg.insight.best import rounds
from thalweg.insight.best.allowance import Allowance, Watched
from thalweg.insight.best.best import best
from thalweg.insight.best.mattered import mattered
from thalweg.problem.models import parse
from thalweg.run.progress import CallerStops, Silent, Status
from thalweg.view.best import show
from thalweg.view.text import plain

RANDOM = np.random.default_rng(0)
INPUTS = RANDOM.normal(size=(160, 4)).astype(np.float32)
DATA = (INPUTS, (INPUTS @ [1, -1, 2, 0] > 0).astype(int))
RECIPE = tw.Recipe(epochs=4, batch_size=32, patience=1)
# Updates of one training, and what two rounds cost at most.
ONE = 16
QUICK = {"model": "mlp:4", "recipe": RECIPE, "budget": 14 * ONE, "optimizers": "adamw", "progress": False}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("best") / "run"


@pytest.fixture(scope="module")
def found(folder):
    return best(DATA, keep=folder, **QUICK)


def test_the_run_is_the_winner_trained_as_fit_trains_it(found, folder):
    run = tw.fit(DATA, found.model, found.recipe, progress=False, references=False)
    assert run.result["validation_loss"] == pytest.approx(found.winner.figure, rel=1e-4)
    assert run.result["test_metric"] == found.run.result["test_metric"]
    assert tw.restore(folder).answers(INPUTS[:3])
    assert found.run.folder == folder and (folder / "best.json").is_file()


def test_the_budget_holds_and_everything_that_was_tried_is_written(found, folder):
    spent = sum(trial.updates for trial in found.trials) + found.run.result["steps"]
    assert found.rounds >= 1 and found.trials[0].round == 0
    assert spent <= QUICK["budget"]
    content = json.loads((folder / "best.json").read_text())
    assert len(content["trials"]) == len(found.trials) and content["spent"] == spent
    assert all(trial["rate"] for trial in content["trials"])


def test_the_winner_is_the_best_that_ran_to_its_end(found):
    whole = [trial.figure for trial in found.trials if trial.whole]
    assert found.winner.figure == min(whole) and found.winner.whole
    assert found.recipe.patience is None  # candidates have the same length


def test_what_was_frozen_cannot_win(found):
    """Its figure is of a shorter training than the final run's."""
    search = rounds.Search(found.run.problem, None, Allowance.parse(1), Silent())  # type: ignore[arg-type]
    frozen = replace(found.winner, whole=False, figure=0.0)
    search.rounds = [rounds.Round({}, [frozen, found.winner], 0.0, 1.0, 1.0)]
    assert search.winner == found.winner


def test_nothing_but_the_final_run_sees_the_test_split(monkeypatch):
    seen = []

    def train(problem, recipes, **options):
        seen.append(problem.data.test)
        return original(problem, recipes, **options)

    original = rounds.train
    monkeypatch.setattr(rounds, "train", train)
    result = best(DATA, **QUICK)
    assert len(seen) == result.rounds + 1 and set(seen) == {None}


def test_a_resume_repeats_no_round(found, folder, tmp_path, monkeypatch):
    """The folder of a search that was killed in its last round gives the same answer from what is left."""
    content = json.loads((folder / "best.json").read_text())
    content["rounds"] = content["rounds"][:1]
    content["spent"] = float(content["rounds"][0]["trials"][0]["updates"])
    killed = tmp_path / "killed"
    killed.mkdir()
    (killed / "best.json").write_text(json.dumps(content))
    trained = []
    original = rounds.train
    monkeypatch.setattr(rounds, "train", lambda *a, **k: trained.append(a) or original(*a, **k))
    again = best(DATA, keep=killed, resume=True, **QUICK)
    assert len(trained) == found.rounds  # all but the default
    assert again.winner == found.winner and again.trials == found.trials
    trained.clear()
    # A larger budget trains no more either: the run in the folder is of the winner of these rounds.
    finished = best(DATA, keep=folder, resume=True, **QUICK | {"budget": 40 * ONE})
    assert not trained and finished.winner == found.winner


def test_a_resume_is_of_the_same_search(found, folder):
    with pytest.raises(BadInput, match="same data and options"):
        best(DATA, keep=folder, resume=True, **QUICK | {"recipe": replace(RECIPE, batch_size=16)})
    with pytest.raises(BadInput, match="must not hold a run or a search"):
        best(DATA, keep=folder, **QUICK)


def test_a_time_stops_training_and_updates_do_not():
    for budget, stops in (("10s", True), (10, False)):
        allowance = Allowance.parse(budget)
        allowance.before = allowance.total
        heard, requests = Watched(Silent(), allowance, 0.0), CallerStops(1)
        heard.update(Status(1, requests=requests))
        assert requests.everything is heard.stopped is stops


def test_budgets_are_read():
    assert Allowance.parse("10m").total == 600 and Allowance.parse("1.5h").total == 5400
    assert not Allowance.parse(5000).seconds


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"budget": "soon"}, "must be a time such as 30s"),
        ({"budget": "1s"}, "at least 10s"),
        ({"budget": 3 * ONE}, f"at least {4 * ONE} updates"),
        ({"optimizers": "adamm"}, "did you mean"),
        ({"optimizers": "l-bfgs"}, "learning rate"),
        ({"model": "mpl:4"}, "mlp"),
        ({"metric": "rmse"}, "rmse"),
        ({"validation": 0}, "validation"),
        ({"folds": 3}, "without folds"),
        ({"resume": True}, "folder"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_trained(changed, words, monkeypatch):
    monkeypatch.setattr(rounds, "train", lambda *a, **k: pytest.fail("trained"))
    with pytest.raises(BadInput, match=words):
        best(DATA, **QUICK | changed)


def test_what_mattered_is_told_from_chance():
    points = RANDOM.uniform(-1, 1, size=(40, 2))
    rounds_of = [i // 8 for i in range(40)]
    rows = [
        {"rate": float(a), "decay": float(b), "width": str(i // 8 % 2)} for i, (a, b) in enumerate(points)
    ]
    shares = {each.setting: each for each in mattered(rows, (points[:, 0] ** 2).tolist(), rounds_of)}
    assert shares["rate"].told and shares["rate"].share > 0.8
    assert not shares["decay"].told and not shares["width"].told
    assert shares["rate"].low <= shares["rate"].share <= shares["rate"].high + 0.05
    assert mattered(rows[:5], [1.0] * 5, [0] * 5) == []


def test_one_bad_round_does_not_make_its_structure_matter():
    """Its eight trials are one draw of a structure, not eight."""
    rows = [{"rate": float(a), "width": str(i // 8 == 4)} for i, a in enumerate(RANDOM.uniform(-1, 1, 40))]
    figures = (RANDOM.normal(size=40) + [9.0 * (i // 8 == 4) for i in range(40)]).tolist()
    assert not any(each.told for each in mattered(rows, figures, [i // 8 for i in range(40)]))


def test_a_space_has_sizes_and_the_model_of_each_can_be_given_to_fit():
    problem = tw.Problem(parse("tabular:8,8,members=2"), tw.load(DATA))
    space = searching.Candidates(searching.without_test(problem), RECIPE, ["adamw", "muon"], [])
    chosen = space.centre | {"width": 2.0, "optimizer": "muon", "length": 2.0}
    model = space.problem(chosen).model
    assert model.sizes[1:-1] == (16, 16) and parse(model.spec()) == model
    assert space.recipe(chosen, (0.0, 0.0, 0.0)).optimizer.name == "muon"
    assert space.updates(chosen) == 2 * space.updates(space.centre)
    assert space.problem(chosen) is space.problem(dict(chosen))  # programs are kept with their problem


def test_the_command_prints_what_repeats_the_winner(tmp_path):
    table = tmp_path / "t.csv"
    rows = [f"{a:.3f},{b:.3f},{'ab'[int(a + b > 0)]}" for a, b in INPUTS[:, :2]]
    table.write_text("\n".join(["x,z,y", *rows]))
    words = ["best", str(table), "--target", "y", "--model", "mlp:4", "--set", "epochs=4"]
    result = called(*words, "--budget", 800, "--out", "run", "--optimizers", "adamw", at=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "cannot tell" in result.stdout or "accounts for" in result.stdout
    command = next(line for line in result.stdout.splitlines() if line.startswith("repeat"))
    assert "--target y" in command and "best.toml" in command and "--budget" not in command
    assert called("check", "run", at=tmp_path).returncode == 0


def test_the_text_fits_80_columns(found):
    text = plain(show(found))
    assert "validation" in text and all(len(line) <= 80 for line in text.splitlines())
