"""Which weights count: the last ones, unless the best are better by more than chance explains."""

from types import SimpleNamespace

import numpy as np
import pytest

import thalweg as tw
from thalweg.run.session import finalize
from thalweg.run.session.finalize import BEST, FINAL, select_weights

RNG = np.random.default_rng(0)
NOISE = RNG.normal(0, 1, 200)
BASE = RNG.normal(3, 1, 200)


def lane_states(stopped: str, step: int = 5) -> SimpleNamespace:
    best = SimpleNamespace(weights="best", step=np.array([step]))
    program = SimpleNamespace(select="loss")
    group = SimpleNamespace(program=program, inputs=None, splits={"validation": None})
    used = np.array([True])
    return SimpleNamespace(best=best, stopped=[stopped], used=used, group=group, examples=lambda *_: None)


@pytest.mark.parametrize(
    ("stopped", "shift", "expected"),
    [
        ("epochs", -0.5, FINAL),  # the last weights are better
        ("epochs", 0.05, FINAL),  # worse, by less than the standard error of 1/sqrt(200) = 0.07
        ("steps", 0.5, BEST),  # worse by seven standard errors
        ("patience", 0.05, BEST),  # stopped before its end: the schedule had not settled
        ("interrupted", -0.5, BEST),
        ("diverged", 0.0, BEST),
        ("epochs", float("nan"), BEST),  # last weights whose loss is NaN never count
    ],
)
def test_the_rule_of_one_standard_error(monkeypatch, stopped, shift, expected):
    centred = NOISE - NOISE.mean()
    losses = {"final": BASE + centred + shift, "best": BASE}
    monkeypatch.setattr(finalize, "losses_of", lambda _, __, ___, weights, ____: losses[weights][None])
    assert select_weights(lane_states(stopped), "final") == [expected]


def test_without_an_evaluation_the_last_weights_count():
    assert select_weights(lane_states("interrupted", step=-1), "final") == [FINAL]


def test_final_evaluations_have_the_step_of_the_weights_that_were_tested():
    x = np.random.default_rng(1).normal(size=(90, 3)).astype(np.float32)
    data = tw.load((x, (x[:, 0] + np.random.default_rng(2).normal(size=90) > 0).astype(int)))
    # A metric that is asked for selects outright, and the first of equal ones counts.
    problem = tw.Problem(tw.MLP([3, 16, 2]), data, metric="accuracy")
    run = tw.train(problem, tw.Recipe(tw.Adam(lr=0.05), batch_size=16, epochs=40), progress=False)
    best = run.result["best"]["step"]
    assert run.result["weights"] == "best" and best < run.result["steps"]
    last = run.record.evaluations.group_by("part").last()
    assert dict(zip(last["part"], last["step"], strict=True))["test"] == best
