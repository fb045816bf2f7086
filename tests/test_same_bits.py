"""`scripts/same_bits`: comparing two recordings names each difference down to the row."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import save_file

SCRIPTS = Path(__file__).parents[1] / "scripts"
LOSSES = [0.5, 0.25, float("nan")]


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """Return a function that creates a recording of one run without training."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from bits import digests  # noqa: PLC0415 - the path is set above

    def make(name, losses=LOSSES, weight=1.0, **figures):
        run = tmp_path / name / "runs/step/plain"
        (run / "run").mkdir(parents=True)
        save_file({"w": np.array([0.0, weight], np.float32)}, run / "run/final.safetensors")
        pl.DataFrame({"loss": losses, "seconds": np.random.default_rng().random(3)}).write_parquet(
            run / "run/steps.parquet"
        )
        result = {"run": name, "test_metric": {"value": 0.9}, "seconds": {"total": 1}} | figures
        (run / "run/result.json").write_text(json.dumps(result))
        manifest = {"runs": {"step/plain": digests.of(run)}, "left_out": {}, "machine": {}}
        (tmp_path / name / "manifest.json").write_text(json.dumps(manifest))
        return tmp_path / name

    return make


def compared(first, second, *rest):
    command = [sys.executable, str(SCRIPTS / "same_bits"), "compare", str(first), str(second), *rest]
    process = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return process.returncode, process.stdout, process.stderr


def test_equal_recordings_are_equal_regardless_of_times(recorded):
    slow, quick = {"allowed": 0.5, "skipped": {"nearest": "too slow"}}, {"allowed": 2.0, "skipped": {}}
    first, second = recorded("a", references=slow), recorded("b", references=quick)
    assert compared(first, second)[:2] == (0, "1 runs equal\n")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"losses": [0.5, 0.125, float("nan")]}, "steps.parquet: loss: "),
        ({"losses": [0.5, 0.125, float("nan")]}, "(1 of 3 rows, first row 1: 0.25, 0.125)"),
        ({"losses": [0.5, 0.25, 0.0]}, "first row 2: nan, 0.0"),
        ({"weight": 1.5}, "final.safetensors: w: "),
        ({"weight": 1.5}, "(1 of 2 numbers, first at 1: 1.0, 1.5; 0.5 apart at most)"),
        ({"test_metric": {"value": 0.8}}, "result.json: test_metric.value: 0.9 != 0.8"),
    ],
)
def test_a_difference_is_named(recorded, change, message):
    code, out, _ = compared(recorded("a"), recorded("b", **change))
    assert code == 1 and message in out and "in 1 of 1 runs" in out


def test_a_new_figure_is_noted_and_a_missing_one_is_a_difference(recorded):
    plain, more = recorded("a"), recorded("b", version=2)
    code, _, err = compared(plain, more)
    assert code == 0 and "result.json version" in err
    code, out, _ = compared(more, plain)
    assert code == 1 and "version: 2 != '(missing)'" in out


def test_a_run_that_is_not_selected_is_not_compared(recorded):
    code, out, _ = compared(recorded("a"), recorded("b", weight=2.0), "--only", "feed")
    assert code == 2 and out == "0 runs equal\n"
