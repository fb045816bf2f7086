"""Lines, time series and continued windows on the command line, as processes."""

import json

import numpy as np
import pytest

from tests.doors.process import thalweg

LINES = "\n".join(f"{a}{b}{c}" for a in "kms" for b in "aeiou" for c in ("n", "ra", "lito", "")) + "\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    at = tmp_path_factory.mktemp("sequences")
    (at / "names.txt").write_text(LINES)
    wave = 10 + np.sin(np.arange(200) / 4)
    (at / "wave.csv").write_text("x,y\n" + "\n".join(f"{i % 7},{v}" for i, v in enumerate(wave)) + "\n")
    return at


def test_lines(folder):
    done = thalweg(
        *("fit", "names.txt", "--lines", "--model", "lstm:8", "--recipe", "names", "--steps", 30),
        *("--set", "batch_size=16", "--out", "r-lines", "--json", "--quiet"),
        at=folder,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["task"] == "language" and 0 < result["test_loss"] < np.log(12)
    told = json.loads((folder / "r-lines" / "problem.json").read_text())
    assert told["data"]["source"]["options"]["lines"] is True
    assert (told["loss"], told["data"]["preparation"]["columns"]["kind"]) == ("cross_entropy", "lines")
    asked = thalweg("predict", "r-lines", "names.txt", at=folder)
    assert asked.returncode == 2 and "no prediction for a row" in asked.stderr


def test_a_series_from_fit_to_predict(folder):
    done = thalweg(
        *("fit", "wave.csv", "--window", 8, "--horizon", 2, "--target", "y", "--model", "linear"),
        *("--steps", 60, "--out", "r-series", "--json", "--quiet"),
        at=folder,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["model"] == "linear:16-2"
    answers = thalweg("predict", "r-series", "wave.csv", at=folder)
    lines = answers.stdout.splitlines()
    assert lines[0] == "prediction_0,prediction_1" and len(lines) == 1 + 200 - 7
    assert 8 < float(lines[-1].split(",")[0]) < 12


def test_a_text_continued_window_by_window(folder):
    done = thalweg(
        *("fit", "names.txt", "--context", 4, "--validation", 0.2, "--model", "rnn:8", "--recipe", "adamw"),
        *("--steps", 12, "--set", "shuffle=continued", "--set", "batch_size=4", "--out", "r-continued"),
        *("--json", "--quiet"),
        at=folder,
    )
    assert done.returncode == 0, done.stderr
    assert np.isfinite(json.loads(done.stdout)["validation_loss"])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("wave.csv", "--window", 500, "--target", "y"), "must have at least 501 rows"),
        (("wave.csv", "--window", 8), "column to predict"),
        (("wave.csv", "--horizon", 3, "--target", "y"), "horizon needs a window"),
        (("wave.csv", "--lines"), "lines is for text"),
        (("names.txt", "--window", 3), "window is for time series"),
    ],
)
def test_impossible_mixes_are_refused(folder, words, told):
    done = thalweg("fit", *words, "--out", "never", at=folder)
    assert done.returncode == 2 and told in done.stderr and "hint:" in done.stderr
    assert not (folder / "never").exists()
