"""Run folders written by an earlier version stay readable: each is read, shown, checked, reported, predicted
from, and the one whose writer was killed resumes to the weights of an uninterrupted run.

The folders lie in `tests/data/old_runs`:

    fit          thalweg fit people.csv --target rich --model mlp:8 --epochs 12 --checkpoint-every 30
    sweep        thalweg sweep iris --vary optimizer.lr=1e-3,1e-2 --vary seed=0,1 --model mlp:4 --epochs 10
    killed       thalweg fit iris --checkpoint-every 100, and as in KILLED; its process was killed on the way
    answers.csv  what `thalweg predict fit people.csv` wrote then
"""

import contextlib
import gc
import io
import json
import runpy
import shutil
import sys
import warnings
from pathlib import Path

import jax
import numpy as np
import polars as pl
import pytest
from safetensors.numpy import load_file

import thalweg as tw

DATA = Path(__file__).parents[1] / "data"
OLD, PEOPLE = DATA / "old_runs", DATA / "people.csv"
FOLDERS = ("fit", "sweep", "sweep/lanes/003", "killed")
KILLED = ("--model", "mlp:8", "--steps", 1500, "--seed", 3, "--set", "batch_size=4")
# Of environment.json: where these are as they were, bits are, too.
BITS = ("jax", "jaxlib", "device", "devices", "processor", "cores", "compiler")


@pytest.fixture
def old(tmp_path, monkeypatch):
    """Return a copy of the old folders, which is also where commands are called."""
    shutil.copytree(OLD, tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "runs"


def thalweg(*arguments):
    """Run the command in this process: its exit code and what it printed."""
    out, before, threshold = io.StringIO(), sys.argv, gc.get_threshold()
    sys.argv = ["thalweg", *map(str, arguments)]
    try:
        with contextlib.redirect_stdout(out), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # runpy's, where the module was imported before
            runpy.run_module("thalweg", run_name="__main__")
        code = 0
    except SystemExit as end:
        code = end.code or 0
    finally:
        sys.argv = before
        gc.set_threshold(*threshold)
    return code, out.getvalue()


@pytest.mark.parametrize("name", FOLDERS)
def test_it_is_shown_and_checked(old, name):
    for command in ("show", "check"):
        code, said = thalweg(command, old / name)
        assert code == 0 and said.strip(), command
        code, said = thalweg(command, old / name, "--json")
        assert code == 0 and json.loads(said), command


@pytest.mark.parametrize("name", ("fit", "sweep", "sweep/lanes/003"))
def test_it_is_reported(old, name):
    code, _ = thalweg("report", old / name)
    assert code == 0
    page = (old / name / "report.html").read_text(encoding="utf-8")
    assert "</html>" in page and "<svg" in page


@pytest.mark.parametrize(("name", "steps"), (("fit", 72), ("sweep/lanes/000", 70)))
def test_its_log_and_result_are_read(old, name, steps):
    record = tw.read(old / name)
    assert record.steps["step"].to_list() == list(range(steps))
    assert record.steps["loss"].is_finite().all()
    assert record.evaluations["part"].unique().sort().to_list() == ["test", "train", "validation"]
    assert record.layers["path"].n_unique() == 4
    assert record.result["steps"] == steps
    told = record.evaluations.filter(pl.col("part") == "test")["loss"][-1]
    assert record.result["test_loss"] == told
    assert len(record.test) and (record.test["target"] == record.test["prediction"]).mean() == pytest.approx(
        record.result["test_metric"]["value"]
    )


def test_two_of_them_are_compared(old):
    code, said = thalweg("compare", old / "sweep/lanes/000", old / "sweep/lanes/003", "--json")
    assert code == 0 and json.loads(said)


def test_it_answers_as_it_did(old, tmp_path):
    code, _ = thalweg("predict", old / "fit", PEOPLE, "--out", tmp_path / "answers.csv")
    assert code == 0
    before, now = pl.read_csv(old / "answers.csv"), pl.read_csv(tmp_path / "answers.csv")
    assert now.drop_in_place("row").to_list() == list(range(len(before)))
    assert now.columns == before.columns
    assert now["prediction"].to_list() == before["prediction"].to_list()
    np.testing.assert_allclose(now["probability_yes"], before["probability_yes"], atol=1e-5)


def test_its_model_is_restored(old):
    trained = tw.restore(old / "fit")
    answers = trained.answers(PEOPLE)
    assert answers["prediction"].tolist() == pl.read_csv(old / "answers.csv")["prediction"].to_list()


def test_a_finished_one_is_extended(old):
    # It was begun on a file that lies elsewhere now, so the data are brought.
    data = tw.load(PEOPLE, target="rich")
    problem = tw.Problem(tw.MLP([None, 8, None]), data)
    run = tw.resume(old / "fit", problem, change=tw.Change(epochs=14, schedule="stretch"))
    assert run.result["steps"] == 84 and run.result["stopped"] == "epochs"
    assert thalweg("check", old / "fit")[0] == 0


def test_the_killed_run_resumes_to_the_weights_of_an_uninterrupted_one(old, tmp_path, capsys):
    assert not (old / "killed/final.safetensors").exists()
    was = json.loads((old / "killed/environment.json").read_text(encoding="utf-8"))
    assert thalweg("resume", old / "killed")[0] == 0
    if jax.default_backend() == "cpu":
        assert (
            "the bits may differ" in (said := capsys.readouterr().err) and "compiler defaults is now" in said
        )
    assert thalweg("fit", "iris", *KILLED, "--out", tmp_path / "whole", "-q")[0] == 0
    now = json.loads((tmp_path / "whole/environment.json").read_text(encoding="utf-8"))
    same = all(was.get(name) == now[name] for name in BITS)
    for file in ("final.safetensors", "best.safetensors"):
        gone_on, whole = load_file(old / "killed" / file), load_file(tmp_path / "whole" / file)
        assert gone_on.keys() == whole.keys()
        for name, array in whole.items():
            if same:
                np.testing.assert_array_equal(gone_on[name], array)
            else:  # the steps before the kill were made by another processor, XLA or options of it
                np.testing.assert_allclose(gone_on[name], array, rtol=0.05, atol=0.05)
    steps = tw.read(old / "killed").steps
    assert steps["step"].to_list() == list(range(1500))
    assert thalweg("check", old / "killed")[0] == 0
