"""The doctor's rivals: a watched training, and the rules that judge it."""

from dataclasses import replace

import jax
import numpy as np
import pytest
from benchmarks.doctor.programs import tasks
from benchmarks.doctor.repairs import scaled
from benchmarks.doctor.rules import alarms, issue
from benchmarks.doctor.trace import traced

import thalweg as tw


@pytest.fixture(scope="module")
def dying():
    """The trace of six epochs of a network whose units are dead from the first step on."""
    recipe = tw.Recipe(tw.Adam(lr=5e-3), batch_size=64, epochs=6)
    return traced(tasks()["rings"].changed(act=jax.nn.relu, bias=-6.0, recipe=recipe))


def test_dead_units_are_seen_by_the_rules_that_look_for_them(dying):
    assert dying.loss.shape == (6 * dying.per_epoch,) and len(dying.hidden) == 7
    found = {alarm.rule: alarm.step for alarm in alarms("SageMaker Debugger", dying)}
    assert found["DeadRelu"] == dying.per_epoch - 1 and found["VanishingGradient"] == 0
    assert "SaturatedActivation" not in found and "ExplodingTensor" not in found
    assert issue(dying) == ("relu", 3 * dying.per_epoch - 1)


def test_autotrainer_tells_its_problems_apart(dying):
    alive = replace(dying, zero=np.zeros_like(dying.zero), norm=np.ones_like(dying.norm))
    assert issue(alive) == ("not_converge", 3 * dying.per_epoch - 1)
    tiny = alive.norm * np.where(np.arange(alive.norm.shape[1]) == 0, 1e-5, 1.0)
    assert issue(replace(alive, norm=tiny))[0] == "vanish"
    assert issue(replace(alive, norm=np.where(tiny < 1, 1e4, 1.0)))[0] == "explode"
    good = np.linspace(0.5, 0.9, 7)
    learns = replace(alive, train_score=good, held_score=good)
    assert issue(learns) is None
    swinging = np.array([0.5, 0.8, 0.9, 0.7, 0.9, 0.7, 0.9])
    assert issue(replace(learns, train_score=swinging))[0] == "unstable"
    assert issue(replace(learns, held_loss=np.full(7, np.nan)))[0] == "explode"


def test_alarms_come_in_the_order_of_their_steps(dying):
    steps = [alarm.step for alarm in alarms("SageMaker Debugger", dying)]
    assert steps == sorted(steps)
    large = replace(dying, setup=dying.setup.changed(x=dying.setup.x * 250))
    assert next(a.rule for a in alarms("UMLAUT", large)) == "inputs beyond -1 to 1"
    inside = replace(dying, setup=dying.setup.changed(x=dying.setup.x / 250))
    assert "inputs beyond -1 to 1" not in [a.rule for a in alarms("UMLAUT", inside)]


def test_inputs_are_scaled_by_columns_and_words_stay():
    setup = tasks()["cancer"]
    columns = scaled(setup.changed(x=setup.x * 250 + 3)).x
    np.testing.assert_allclose(columns.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(columns.std(axis=0), 1, atol=1e-3)
    words = setup.changed(x=np.ones((4, 3), np.int32))
    assert scaled(words) is words
