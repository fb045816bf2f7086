"""The naive forecast of a series: one figure and one name in result.json, in sentences and in the report."""

import json

import numpy as np
import polars as pl
import pytest

from thalweg.insight.summary import summarise
from thalweg.insight.wording import measure
from thalweg.problem.data.load import load
from thalweg.problem.models import MLP
from thalweg.problem.problem import Problem
from thalweg.recipe.optimizers import AdamW
from thalweg.recipe.recipe import Recipe
from thalweg.run.folder.record import read
from thalweg.run.scores import baseline
from thalweg.run.train import train
from thalweg.view.report.page import render

RNG = np.random.default_rng(0)
WALK = 50 + np.cumsum(RNG.normal(0, 1, 400))


def test_summary_json_and_report_show_one_baseline(tmp_path):
    problem = Problem(MLP([None, 4, None]), load(WALK, window=4))
    run = train(problem, Recipe(AdamW(lr=1e-3), batch_size=32, steps=30), keep=tmp_path / "run")
    naive = float(np.sqrt(np.mean((WALK[324:] - WALK[323:-1]) ** 2)))  # the test rows are 320 to 399
    assert run.result["baseline"] == {
        "name": "rmse",
        "value": pytest.approx(naive, rel=1e-5),
        "of": "the last known value",
    }
    assert json.loads((tmp_path / "run/result.json").read_text())["baseline"] == run.result["baseline"]
    shown, record = measure("rmse", naive), read(tmp_path / "run")
    sentence = next(s.text for s in summarise(record).statements if s.kind == "metric")
    assert f"the last known value gives {shown}" in sentence and "mean" not in sentence
    page = render(record)
    assert f"baseline {shown}" in page and f"the last known value gives {shown}" in page


def test_the_baseline_of_several_steps_repeats_the_last_value():
    data = load(WALK, window=4, horizon=3)
    errors = [WALK[at : at + 3] - WALK[at - 1] for at in range(324, 398)]
    found = baseline(data)
    assert found is not None
    assert found["value"] == pytest.approx(np.sqrt(np.mean(np.square(errors))), rel=1e-5)


def test_a_forecast_of_quantiles_is_compared_with_the_last_value_too():
    data = load(WALK, window=4)
    assert baseline(data, "quantiles:0.1,0.5,0.9") == baseline(data)


def test_the_last_value_is_one_that_is_known():
    """Where the last row of a window is missing, the one before it is the naive forecast, not the mean."""
    gaps = WALK.copy()
    gaps[330:400:7] = np.nan
    known = pl.Series(gaps).fill_nan(None).forward_fill().to_numpy()
    targets = [at for at in range(324, 400) if not np.isnan(gaps[at])]
    found = baseline(load(gaps, window=4))
    assert found is not None
    naive = np.sqrt(np.mean([(gaps[at] - known[at - 1]) ** 2 for at in targets]))
    assert found["value"] == pytest.approx(naive, rel=1e-5)


def test_the_baseline_of_classes_in_a_series_is_the_last_class():
    calm = pl.DataFrame(
        {"x": RNG.normal(0, 1, 400), "state": np.where(np.arange(400) // 20 % 2, "on", "off")}
    )
    found = baseline(load(calm, target="state", window=4))
    assert found == {"name": "accuracy", "value": pytest.approx(73 / 76), "of": "the last known class"}


def test_several_series_have_the_naive_forecast_of_each():
    walks = [100.0 * i + np.cumsum(RNG.normal(0, 1, 200)) for i in range(3)]
    frame = pl.DataFrame({"s": np.repeat(["a", "b", "c"], 200), "y": np.concatenate(walks)})
    found = baseline(load(frame, target="y", window=4, series="s"))
    errors = [np.diff(walk)[163:] for walk in walks]
    assert found is not None
    assert found["value"] == pytest.approx(np.sqrt(np.mean(np.square(errors))), rel=1e-4)
