"""The command line as a process: what a run prints and leaves, and what can be done with it afterwards."""

import json

import polars as pl
import pytest

from tests.doors.process import thalweg
from tests.doors.test_bad_input import table
from thalweg.run.folder import weights

FIELDS = {
    "run",
    "task",
    "model",
    "parameters",
    "steps",
    "epochs",
    "stopped",
    "train_loss",
    "test_loss",
    "test_metric",
    "seconds",
    "examples_per_second",
}


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A folder with two runs on a small table, and the first one's output."""
    folder = tmp_path_factory.mktemp("cli")
    table(folder)
    found = thalweg(
        "fit", "people.csv", "--target", "income", "--epochs", "3", "--json", at=folder, fresh=True
    )
    again = thalweg(
        "fit",
        "people.csv",
        "--target",
        "income",
        "--epochs",
        "3",
        "--set",
        "optimizer.lr=0.02",
        "--out",
        "runs/other",
        at=folder,
    )
    return folder, found, again


def test_json_is_one_object_and_everything_else_goes_to_standard_error(fitted):
    _, found, _ = fitted
    assert found.returncode == 0, found.stderr
    result = json.loads(found.stdout)
    assert result.keys() >= FIELDS
    assert result["seconds"].keys() >= {"total", "compile", "train", "evaluate"}
    assert result["run"] == "runs/people-1" and result["task"] == "regression" and result["epochs"] == 3
    # Plain lines where there is no terminal; so short a run may be over before the first one of an epoch.
    assert "done after 9 steps" in found.stderr and "\x1b" not in found.stderr


def test_without_json_people_read_it(fitted):
    _, _, again = fitted
    assert again.returncode == 0, again.stderr
    assert "test rmse" in again.stdout and "runs/other" in again.stdout
    assert max(map(len, again.stdout.splitlines())) <= 80


def test_a_run_is_shown_compared_and_reported(fitted):
    folder, _, _ = fitted
    assert "people" in thalweg("show", "runs/people-1", at=folder).stdout
    compared = thalweg("compare", "runs/people-1", "runs/other", at=folder)
    assert "optimizer.lr" in compared.stdout and compared.returncode == 0
    (folder / "runs" / "other" / "report.html").unlink()
    assert thalweg("report", "runs/other", at=folder).stdout.strip() == "runs/other/report.html"
    page = (folder / "runs" / "other" / "report.html").read_text()
    assert page.lower().startswith("<!doctype html>") and "http://" not in page.replace(
        "http://www.w3.org", ""
    )


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_predictions_for_rows_with_and_without_the_target(fitted, suffix):
    folder, _, _ = fitted
    new = "age,town\n25,A\n40,Z\n,B\n"  # an unknown town, a missing age, no target
    (folder / "new.csv").write_text(new)
    found = thalweg("predict", "runs/people-1", "new.csv", "--out", f"new-answers.{suffix}", at=folder)
    assert found.returncode == 0, found.stderr
    answers = getattr(pl, f"read_{suffix}")(folder / f"new-answers.{suffix}")
    assert answers.columns == ["row", "prediction", "low", "high"] and answers["row"].to_list() == [0, 1, 2]
    assert answers["prediction"].is_between(0, 5000).all()  # in the target's own unit


def test_a_diverged_run_says_when(tmp_path):
    arguments = [
        "digits",
        "--recipe",
        "sgd",
        "--set",
        "optimizer.lr=1e6",
        "--epochs",
        "1",
        "--json",
        "--quiet",
    ]
    found = thalweg("fit", *arguments, at=tmp_path)
    assert found.returncode == 3
    result = json.loads(found.stdout)
    assert result["stopped"] == "diverged" and result["stopped_at"]["step"] < 10
    assert (tmp_path / result["run"] / "report.html").exists()


def test_the_same_command_gives_the_same_weights(tmp_path):
    for name in ("a", "b"):
        thalweg("fit", "digits", "--epochs", "2", "--seed", "3", "--out", name, "--quiet", at=tmp_path)
    one, other = (weights.load(tmp_path / name / "final.safetensors") for name in ("a", "b"))
    assert one.keys() == other.keys() and all((one[name] == other[name]).all() for name in one)


def test_fine_tuning_from_a_run(tmp_path):
    thalweg("fit", "digits", "--epochs", "2", "--out", "first", "--quiet", at=tmp_path)
    arguments = [
        "digits",
        "--recipe",
        "sgd",
        "--set",
        "optimizer.lr=0",
        "--steps",
        "1",
        "--init",
        "first",
        "--json",
    ]
    found = thalweg("fit", *arguments, "--out", "second", at=tmp_path)
    first = json.loads((tmp_path / "first" / "result.json").read_text())
    assert json.loads(found.stdout)["test_metric"] == first["test_metric"]


def test_recipes_are_listed_and_told(tmp_path):
    assert "muon" in thalweg("recipes", at=tmp_path).stdout
    assert "Loshchilov" in thalweg("recipes", "show", "adamw", at=tmp_path).stdout
    assert thalweg("recipes", "show", "adamv", at=tmp_path).returncode == 2


def test_help_names_every_command(tmp_path):
    found = thalweg("--help", at=tmp_path)
    assert found.returncode == 0
    for command in ("fit", "predict", "show", "compare", "report", "recipes"):
        assert command in found.stdout
