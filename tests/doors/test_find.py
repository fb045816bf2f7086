"""`thalweg find` and `fit --lr auto`: a rate with its evidence; slips are refused before compiling."""

import json
import sys
from dataclasses import replace

import polars as pl
import pytest

from tests.doors.process import thalweg
from tests.insight import found as made
from thalweg.core.errors import RecipeError
from thalweg.doors.cli import app, find
from thalweg.engine.compilation import TRACES
from thalweg.insight import fit as fitting
from thalweg.recipe import toml
from thalweg.run.folder.record import read

BASE = ["digits", "--recipe", "sgd", "--model", "mlp:8", "--steps", "60"]


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A folder with a finding in it, and the output of the command as a process."""
    folder = tmp_path_factory.mktemp("find")
    return folder, thalweg("find", *BASE, "--budget", "3", "--out", "found", "--json", at=folder)


@pytest.fixture
def here(searched, monkeypatch, capsys):
    """Run a command in that folder, in this process; return its exit code and both of its streams."""
    monkeypatch.chdir(searched[0])

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["thalweg", *arguments])
        code = app._outcome()
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


def finding(make):
    """Return a search that finds what was made up, for the recipe it is given."""

    def find_lr(problem, recipe, *, share=None, progress=None):
        found = make()
        changed = toml.settings(recipe.to_dict(), [f"optimizer.lr={found.value}"] if found.value else [])
        return replace(found, recipe=type(recipe).from_dict(changed), default=recipe.optimizer.lr)

    return find_lr


def never(*arguments, **more):
    raise AssertionError("searched again")


def test_the_json_holds_the_rate_and_what_it_rests_on(searched):
    _, process = searched
    assert process.returncode == 0, process.stderr
    told = json.loads(process.stdout)
    assert {"value", "low", "high", "diverges", "cost", "reason", "status", "run"} <= set(told)
    assert told["run"] == "found" and told["setting"] == "optimizer.lr" and told["default"] == 0.01
    assert told["low"] <= told["value"] <= told["high"]
    assert 0 < told["cost"]["share"] <= 3 and told["cost"]["run_steps"] == 60
    assert "\x1b" not in process.stderr and "curve" not in told


def test_the_folder_holds_the_lanes_the_recipe_and_the_picture(searched, here):
    folder, process = searched
    told = json.loads(process.stdout)
    names = [
        "environment.json",
        "finding.html",
        "finding.json",
        "finding.svg",
        "lanes.parquet",
        "recipe.toml",
    ]
    assert sorted(path.name for path in (folder / "found").iterdir()) == names
    lanes = pl.read_parquet(folder / "found" / "lanes.parquet")
    assert lanes["steps"].sum() >= told["cost"]["steps"] and lanes["rate"].n_unique() > 3
    assert toml.read(folder / "found" / "recipe.toml").optimizer.lr == told["value"]
    trained = [*BASE[:1], *BASE[3:5], "--recipe", "found/recipe.toml", "--out", "trained", "--quiet"]
    assert here("fit", *trained)[0] == 0
    assert read(folder / "trained").recipe["optimizer"]["lr"] == told["value"]


def test_a_finding_is_shown_and_reported(searched, here):
    folder, process = searched
    code, shown, _ = here("show", "found")
    assert code == 0 and "optimizer.lr" in shown and max(map(len, shown.splitlines())) <= 80
    assert json.loads(here("show", "found", "--json")[1]) == json.loads(process.stdout)
    assert here("report", "found", "--out", "page.html")[:2] == (0, "page.html\n")
    assert (folder / "page.html").read_text() == (folder / "found" / "finding.html").read_text()
    code, _, error = here("predict", "found", "digits")
    assert code == 2 and "must hold a run" in error


def test_a_folder_is_not_overwritten_unless_told_to(searched, here, monkeypatch):
    monkeypatch.setattr(find, "find_lr", never)
    code, _, error = here("find", *BASE, "--out", "found")
    assert code == 2 and "must not hold a run already" in error
    assert here("fit", *BASE, "--lr", "auto", "--out", "found")[0] == 2
    here("fit", *BASE, "--out", "run", "--quiet")
    assert here("find", *BASE, "--out", "run")[0] == 2
    monkeypatch.setattr(find, "find_lr", finding(made.finding))
    assert here("find", *BASE, "--out", "run", "--force", "--quiet")[:2] == (0, "")
    assert not (searched[0] / "run" / "result.json").exists()


def test_a_name_of_its_own(here, monkeypatch, tmp_path):
    monkeypatch.setattr(find, "find_lr", finding(made.finding))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        sys, "argv", ["thalweg", "find", *BASE, "--optimizer", "adamw", "--set", "batch_size=16"]
    )
    assert [app._outcome(), app._outcome()] == [0, 0]
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["digits-find-1", "digits-find-2"]
    recipe = toml.read(tmp_path / "runs" / "digits-find-1" / "recipe.toml")
    assert (recipe.optimizer.name, recipe.optimizer.lr, recipe.batch_size) == ("adamw", 3.7e-3, 16)


def test_no_usable_rate_is_an_exit_code_with_its_evidence(searched, here, monkeypatch):
    monkeypatch.setattr(find, "find_lr", finding(made.lost))
    code, shown, _ = here("find", *BASE, "--out", "lost")
    assert code == 3 and "every lane diverged" in shown
    assert (searched[0] / "lost" / "finding.html").exists()
    monkeypatch.setattr(fitting, "find_lr", finding(made.lost))
    code, shown, error = here("fit", *BASE, "--lr", "auto", "--out", "untrained", "--json", "--quiet")
    assert code == 3 and "nothing was trained" in error and not (searched[0] / "untrained").exists()
    assert json.loads(shown)["finding"]["status"] == "all diverged" and json.loads(shown)["run"] is None


def test_batch_sizes_have_a_folder_of_their_own(searched, here, monkeypatch):
    asked = []

    def find_batch_size(problem, recipe, *, sizes, share, progress):
        asked.append((sizes, share))
        return made.batches()

    monkeypatch.setattr(find, "find_batch_size", find_batch_size)
    code, shown, _ = here(
        "find", *BASE, "--batch", "32..128:2x", "--budget", "20%", "--out", "sizes", "--json"
    )
    told = json.loads(shown)
    assert code == 0 and asked == [([32, 64, 128], 0.2)]
    assert (told["value"], told["lr"], told["largest_useful"]) == (256, 2.83e-3, 310)
    assert [row["batch"] for row in told["table"]] == [32, 64, 128, 256, 512, 1024]
    assert json.loads(here("show", "sizes", "--json")[1]) == told
    assert "batch_size 256" in here("show", "sizes")[1]
    assert pl.read_parquet(searched[0] / "sizes" / "sizes.parquet").equals(made.batches().table)
    page = (searched[0] / "sizes" / "finding.html").read_text()
    assert here("report", "sizes")[0] == 0 and (searched[0] / "sizes" / "finding.html").read_text() == page
    monkeypatch.setattr(find, "find_batch_size", lambda *_, **__: made.no_batch())
    assert here("find", *BASE, "--batch", "32,64", "--out", "none", "--quiet")[0] == 3


def test_a_run_with_its_rate_found_resumes_without_another_search(searched, here, monkeypatch):
    folder, auto = searched[0], [*BASE, "--lr", "auto", "--out", "auto"]
    told = json.loads(here("fit", *auto, "--json", "--quiet")[1])
    kept = told["finding"]
    assert kept["cost"]["share"] <= 0.1 and read(folder / "auto").recipe["optimizer"]["lr"] == kept["value"]
    assert read(folder / "auto").finding["status"] == kept["status"]
    assert "\nrate    optimizer.lr" in here("show", "auto")[1]
    assert "How the learning rate was found" in (folder / "auto" / "report.html").read_text()
    monkeypatch.setattr(fitting, "find_lr", never)
    again = json.loads(here("fit", *auto, "--resume", "auto", "--json", "--quiet")[1])
    assert again["finding"] == kept and again["test_loss"] == told["test_loss"]
    assert json.loads(here("resume", "auto", "--json", "--quiet")[1])["finding"] == kept
    code, _, error = here("fit", *auto, "--resume", "auto", "--set", "batch_size=7")
    assert code == 2 and "batch_size = 7, it was" in error


def test_a_run_with_its_own_rate_does_not_resume_with_another(searched, here, monkeypatch):
    monkeypatch.setattr(fitting, "find_lr", never)
    assert here("fit", *BASE, "--lr", "0.02", "--out", "own", "--quiet")[0] == 0
    assert read(searched[0] / "own").recipe["optimizer"]["lr"] == 0.02
    code, _, error = here("fit", *BASE, "--lr", "auto", "--out", "own", "--resume", "auto")
    assert code == 2 and "must have been started with auto" in error


def test_lr_reaches_the_rate_of_an_inner_optimizer(here, searched):
    arguments = ["digits", "--model", "mlp:4", "--steps", "2", "--set", "optimizer=sam"]
    assert here("fit", *arguments, "--lr", "0.05", "--out", "sam", "--quiet")[0] == 0
    assert read(searched[0] / "sam").recipe["optimizer"]["base"]["lr"] == 0.05
    code, _, error = here("fit", *arguments, "--lr", "0.05", "--set", "optimizer.base.lr=0.1")
    assert code == 2 and "the rate must be given only once" in error


def test_lr_is_refused_where_the_optimizer_has_no_rate(here):
    code, _, error = here("fit", "digits", "--recipe", "l-bfgs", "--lr", "0.05")
    assert code == 2 and "l-bfgs: takes no 'lr': a line search finds the step length" in error


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["find", "digits", "--optimizer", "adamv"], "did you mean 'adam'"),
        (["find", "digits", "--budget", "0"], "above 0"),
        (["find", "digits", "--budget", "much"], "above 0"),
        (["find", "digits", "--batch", "1024..32"], "--batch: the low end must be below the high end"),
        (["find", "digits", "--batch", "32,6.5"], "must be batch sizes"),
        (["find", "digits", "--lr", "auto"], "auto is only for thalweg fit"),
        (["find", "digits", "--resume", "auto"], "cannot be resumed"),
        (["find", "digits", "--init", "runs/a"], "searched for new weights only"),
        (["find", "digits", "--model", "mlq:9"], "did you mean 'mlp'"),
        (["fit", "digits", "--lr", "fast"], "must be a number, or auto"),
        (["fit", "digits", "--lr", "0.1", "--set", "optimizer.lr=0.2"], "the rate must be given only once"),
        (["fit", "digits", "--lr", "-1"], "lr"),
        (["sweep", "digits", "--vary", "seed=0..1", "--lr", "auto"], "auto is only for thalweg fit"),
    ],
)
def test_slips_are_refused_before_anything_is_compiled(arguments, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["thalweg", *arguments])
    before = sum(TRACES.values())
    assert app._outcome() == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and said in error
    assert sum(TRACES.values()) == before and list(tmp_path.iterdir()) == []


def test_budgets_and_batch_sizes_are_read():
    assert [find.read_share(text) for text in (None, "0.1", "10%", "3", " 2.5 % ")] == [
        None,
        0.1,
        0.1,
        3,
        0.025,
    ]
    assert find.read_sizes("32..1024:2x") == [32, 64, 128, 256, 512, 1024]
    assert find.read_sizes("32..100:2x") == [32, 64, 100] and find.read_sizes("8..8") == [8]
    assert find.read_sizes("6..8") == [6, 7, 8]
    assert find.read_sizes("64,16") == [16, 64] and find.read_sizes("16..64:3log") == [16, 32, 64]
    for text in ("0..8", "a", "1.5", "0,4", "32..1024"):
        with pytest.raises(RecipeError):
            find.read_sizes(text)
