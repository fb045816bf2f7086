"""Predicted beside measured cost: made for a run that is long enough, and left out of every other."""

from dataclasses import replace

import pytest

import thalweg as tw
from tests.insight.cost.test_cost import made
from thalweg.insight.cost import measured


@pytest.fixture(scope="module")
def run() -> tw.Run:
    recipe = tw.Recipe(tw.SGD(lr=0.1), batch_size=32, steps=8)
    return tw.train(tw.Problem(tw.MLP([8, 16, 3]), made((8,))), recipe, progress=False)


def lasting(run: tw.Run, train: float, compiling: float = 0.1) -> tw.Run:
    """The run, as if it had taken so many seconds."""
    result = run.result | {"seconds": {"train": train, "compile": compiling}}
    return replace(run, record=replace(run.record, result=result))


def test_a_long_run_is_compared_with_its_prediction(run):
    cost = measured.judged(lasting(run, 40.0))["cost"]
    predicted = tw.cost(run.problem, run.recipe, measure=False)
    assert cost["step_seconds"]["measured"] == 40.0 / 8
    assert cost["memory"]["predicted"] == predicted.memory.total
    assert 0.5 < cost["memory"]["compiled"] / cost["memory"]["predicted"] < 2
    assert cost["operations"] == {"step": predicted.step, "rate": predicted.step / 5.0}


def test_a_short_run_and_one_that_mostly_compiled_are_not(run):
    assert measured.judged(lasting(run, 29.0)) == {}
    assert measured.judged(lasting(run, 40.0, compiling=3.0)) == {}
    assert measured.judged(run) == {}


def test_a_prediction_that_fails_leaves_the_run(run, monkeypatch):
    def failing(*_, **__):
        raise RuntimeError

    monkeypatch.setattr(measured, "cost", failing)
    assert measured.judged(lasting(run, 40.0)) == {}
