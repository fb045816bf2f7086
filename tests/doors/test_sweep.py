"""`thalweg sweep`: a ranked table and one JSON object; every slip is refused before anything is compiled."""

import json
import math
import sys

import pytest

from tests.doors.process import thalweg
from thalweg.doors.cli import app, sweep
from thalweg.engine.compilation import TRACES
from thalweg.run.folder import sweep_record as sweeps

BASE = ["--recipe", "sgd", "--model", "mlp:8", "--steps", "60"]
SWEPT = ["sweep", "digits", *BASE, "--vary", "optimizer.lr=0.01,0.1,1e9", "--vary", "seed=0..1", "--strict"]


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A folder with a sweep in which the largest rate diverges, and its output as a process."""
    folder = tmp_path_factory.mktemp("sweep")
    return folder, thalweg(*SWEPT, "--out", "found", "--json", at=folder)


@pytest.fixture
def here(swept, monkeypatch, capsys):
    """Run a command in that folder, in this process; return its exit code and what it printed."""
    monkeypatch.chdir(swept[0])

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["thalweg", *arguments])
        code = app._outcome()
        return code, capsys.readouterr().out

    return run


def test_the_json_holds_the_ranked_settings(swept):
    _, found = swept
    assert found.returncode == 0, found.stderr
    told = json.loads(found.stdout)
    assert told["lanes"] == 6 and told["varied"] == ["optimizer.lr", "seed"]
    assert [entry["setting"]["optimizer.lr"] for entry in told["rank"]] == [0.1, 0.01, 1e9]
    assert [entry["status"] for entry in told["rank"]][-1] == "diverged"
    assert told["rank"][0]["loss"]["number"] == 2 and told["rank"][1]["behind"]["mean"] > 0
    assert told["best"]["lanes"] == [2, 3] and told["best"]["test_metric"]["mean"] > 0.1
    assert "\x1b" not in found.stderr and "6 lanes" in found.stderr


def test_a_lane_alone_reaches_the_same(swept, here):
    """`fit` with a lane's settings gives its losses, to the bit where --strict asks for it."""
    folder, _ = swept
    arguments = [*BASE, "--set", "optimizer.lr=0.1", "--seed", "1", "--out", "alone", "--json", "--quiet"]
    alone = json.loads(here("fit", "digits", *arguments)[1])
    lane = sweeps.read(folder / "found").lane(3).result
    assert (alone["test_loss"], alone["validation_loss"]) == (lane["test_loss"], lane["validation_loss"])


def test_a_sweep_is_shown_and_reported(swept, here):
    folder, _ = swept
    code, shown = here("show", "found")
    assert code == 0 and "best is lr=0.1" in shown and "2 of 6 lanes diverged" in shown
    assert max(map(len, shown.splitlines())) <= 80
    told = json.loads(here("show", "found", "--json")[1])
    assert told["rank"] == json.loads(swept[1].stdout)["rank"]
    assert here("report", "found", "--out", "page.html") == (0, "page.html\n")
    assert "6 lanes, 3 settings" in (folder / "page.html").read_text()
    assert here("show", "found/lanes/003")[0] == 0


def test_the_same_command_resumes_and_another_is_refused(swept, here):
    again = here(*SWEPT, "--out", "found", "--resume", "auto", "--json", "--quiet")
    assert again[0] == 0 and json.loads(again[1])["rank"] == json.loads(swept[1].stdout)["rank"]
    assert here(*SWEPT[:-2], "seed=0..2", "--out", "found", "--resume", "auto")[0] == 2
    models = ["--vary", "model=mlp:4,mlp:8", "--steps", "10", "--out", "found", "--resume", "auto"]
    assert here("sweep", "digits", *models)[0] == 2


def test_models_vary_too(swept, here):
    folder, _ = swept
    varied = ["--vary", "model=mlp:4,mlp:8,8", "--vary", "seed=0..1", "--steps", "30", "--recipe", "sgd"]
    code, shown = here("sweep", "digits", *varied, "--out", "models", "--quiet", "--json")
    told = json.loads(shown)
    assert code == 0 and told["varied"] == ["model", "seed"]
    assert {entry["setting"]["model"] for entry in told["rank"]} == {"mlp:64-4-10", "mlp:64-8-8-10"}
    names = sorted(path.name for path in (folder / "models").iterdir())
    written = ["environment.json", "problem.json", "report.html", "run.json", "sweep.json"]
    assert names == sorted([*written, "model-0", "model-1"])
    assert here("check", "models")[0] == 0
    (folder / "models" / "model-1" / "lanes" / "001" / "run.json").rename(folder / "kept")
    code, shown = here("check", "models")
    assert code == 3 and "model-1/lanes/001/run.json: no such file" in shown
    (folder / "kept").rename(folder / "models" / "model-1" / "lanes" / "001" / "run.json")
    assert here("resume", "models")[0] == 2
    found = sweeps.read(folder / "models")
    assert found.table["lane"].to_list() == [0, 1, 2, 3] and found.table["group"].to_list() == [0, 0, 1, 1]
    lane = found.lane(3).result
    assert lane["model"] == "mlp:64-8-8-10" and lane["run"] == "models/model-1/lanes/001"
    assert lane["validation_loss"] == found.table["validation_loss"][3]


def test_every_lane_diverged(here):
    code, shown = here("sweep", "digits", *BASE, "--vary", "optimizer.lr=1e9,1e10", "--out", "lost")
    assert code == 3 and "every lane diverged" in shown


def test_halving_freezes_the_worse_settings(here):
    varied = [
        "--vary",
        "optimizer.lr=1e-6..0.3:9log",
        "--halving",
        "--steps",
        "500",
        "--out",
        "halved",
        "--json",
    ]
    told = json.loads(here("sweep", "digits", "--recipe", "sgd", "--model", "mlp:8", *varied, "--quiet")[1])
    standings = [entry["status"] for entry in told["rank"]]
    assert standings.count("frozen") >= 6 and standings[0] == "best"
    assert told["stopped"]["halved"] == standings.count("frozen")


def test_the_plan_trains_nothing(swept, here):
    varied = ["--vary", "batch_size=16,32", "--vary", "seed=0..3", "--plan", "--out", "planned"]
    before = sum(TRACES.values())
    code, shown = here("sweep", "digits", *BASE, *varied)
    assert code == 0 and shown.startswith("8 lanes in 2 groups")
    assert not (swept[0] / "planned").exists() and sum(TRACES.values()) == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--vary", "optimizer.lrr=1e-4..1:8log"], "did you mean 'optimizer.lr'"),
        (["--vary", "optimizer.lr=adam,sgd"], "lr must be a number; got adam"),
        (["--vary", "optimizer.lr="], "must have at least one value"),
        (["--vary", "optimizer.lr=0..1:4log"], "a logarithmic range must be above 0"),
        (["--vary", "optimizer.lr"], "must be PATH=RANGE"),
        (["--vary", "lr=1,2", "--vary", "lr=3"], "each setting may be given only once"),
        (["--vary", "lr=0.1,0.2", "--recipe", "muon"], "'lr' names optimizer.lr and optimizer.adam_lr"),
        (["--vary", "optimizer=sgd,l-bfgs"], "(where optimizer=l-bfgs)"),
        (["--vary", "batch_size=16,100000"], "batch_size must be at most"),
        (["--vary", "model=mlp:8,mlq:9"], "did you mean 'mlp'"),
        (["--vary", "model=mlp:8,mlp:8"], "models that differ"),
        (["--vary", "model=mlp:8,mlp:9", "--model", "mlp:7"], "be set by --model"),
        (["--vary", "seed=0..2", "--seed", "1"], "be set by --seed"),
        (["--vary", "model=mlp:8"], "at least one setting must vary"),
        (["--vary", "lr=1e-3..1:log"], "after the colon must come a count with log or lin"),
        (["--vary", "lr=1e-3..1:log", "--sample", "0"], "must be a whole number from 1 on; got 0"),
        (
            ["--vary", "lr=1e-4..1:1000log", "--vary", "seed=0..999:1000lin"],
            "got 1,000,000 lanes (predicted: ",
        ),
        (["--vary", "lr=0.1,0.2", "--validation", "0", "--halving"], "needs a validation split"),
    ],
)
def test_slips_are_refused_before_anything_is_compiled(arguments, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["thalweg", "sweep", "digits", *arguments])
    before = sum(TRACES.values())
    assert app._outcome() == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and said in error
    assert sum(TRACES.values()) == before and list(tmp_path.iterdir()) == []


def test_a_million_lanes_say_what_they_would_take(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        sys,
        "argv",
        ["thalweg", "sweep", "digits", "--vary", "lr=1e-4..1:1000log", "--vary", "seed=0..999:1000lin"],
    )
    assert app._outcome() == 2
    error = capsys.readouterr().err
    assert "predicted: " in error and "GiB if held at once" in error and "--sample" in error


def test_drawn_points_get_every_seed():
    recipes = sweep._sampled(5, sweep.Recipe(), {"lr": "1e-4..1e-1:log", "seed": "0..2"})
    assert [recipe.seed for recipe in recipes] == [0, 1, 2] * 5
    rates = [recipe.optimizer.lr for recipe in recipes]
    assert len(set(rates)) == 5 and all(len(set(rates[i : i + 3])) == 1 for i in range(0, 15, 3))
    assert all(1e-4 <= rate <= 1e-1 and math.isfinite(rate) for rate in rates)


def test_models_are_split_where_a_new_one_begins():
    assert sweep.models_of("mlp:32,mlp:256,256,dropout=0.1,linear", "--vary") == [
        "mlp:32",
        "mlp:256,256,dropout=0.1",
        "linear",
    ]
