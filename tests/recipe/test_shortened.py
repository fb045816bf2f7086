"""A shortened recipe: the same course over fewer updates, whatever the unit of its lengths."""

import jax.numpy as jnp
import numpy as np
import pytest

from thalweg.recipe.averaging import EMA, SWA, Tail
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe
from thalweg.recipe.schedules import (
    SCHEDULES,
    CosineRestarts,
    Exponential,
    InverseTime,
    MultiStep,
    Plateau,
    StepDecay,
    Warmup,
    WarmupCosine,
    WarmupStableDecay,
)
from thalweg.recipe.schedules.schedule import Clock

TOTAL, STEPS, EPOCH = 4000, 400, 100
COUNTED = [
    StepDecay(every=10, unit="epochs"),
    StepDecay(every=1000, unit="steps"),
    MultiStep(points=(1000, 3000), unit="steps"),
    MultiStep(points=(0.5, 0.75)),
    Exponential(decay=0.95, unit="epochs"),
    Exponential(decay=0.999, unit="steps"),
    Exponential(decay=0.1, unit="fraction"),
    InverseTime(k=0.5, unit="epochs"),
    CosineRestarts(period=5, growth=2, unit="epochs"),
    Warmup(length=4, unit="epochs", then=StepDecay(every=12, unit="epochs")),
    Warmup(length=400, unit="steps", then=CosineRestarts(period=900, growth=1, unit="steps")),
    WarmupCosine(warmup=400, unit="steps"),
    WarmupStableDecay(warmup=2, decay=10, unit="epochs"),
]


def factors(recipe, total):
    """Return the schedule's factors at forty updates, each the last of a fortieth of the run."""
    updates = (np.arange(40) + 1) * total // 40 - 1
    clocks = [Clock(jnp.float32(at), jnp.float32(total), jnp.float32(EPOCH)) for at in updates]
    return np.array([recipe.schedule.factor(clock, recipe.schedule.init()) for clock in clocks])


@pytest.mark.parametrize("schedule", [*COUNTED, *(kind() for kind in SCHEDULES.values())], ids=repr)
def test_the_course_is_the_same_over_fewer_updates(schedule):
    recipe = Recipe(schedule=schedule, steps=TOTAL)
    short = recipe.shortened(STEPS, TOTAL)
    # The last of ten updates is 0.9 of a short update further on: 0.03 on the steepest cosine, of 50 updates.
    assert factors(short, STEPS) == pytest.approx(factors(recipe, TOTAL), abs=0.05)


def test_an_unchanged_length_would_be_noticed():
    recipe = Recipe(schedule=StepDecay(every=10, unit="epochs"), steps=TOTAL)
    untouched = Recipe(schedule=StepDecay(every=10, unit="epochs"), steps=STEPS)
    assert np.abs(factors(untouched, STEPS) - factors(recipe, TOTAL)).max() > 0.5


def test_averages_are_shortened_too():
    assert Recipe(averaging=EMA(decay=0.999)).shortened(40, 400).averaging.decay == pytest.approx(0.999**10)
    tail = Recipe(averaging=Tail(start=200, unit="steps")).shortened(40, 400).averaging
    assert tail.start == pytest.approx(20)
    swa = Recipe(averaging=SWA(start=0.5, every=2, every_unit="epochs")).shortened(40, 400).averaging
    assert (swa.start, swa.every) == (0.5, pytest.approx(0.2))


def test_plateau_waits_fewer_evaluations():
    schedule = Recipe(schedule=Plateau(patience=10, cooldown=4)).shortened(50, 100).schedule
    assert (schedule.patience, schedule.cooldown) == (5, 2)


def test_conditions_that_end_a_run_are_switched_off_and_all_else_stays():
    recipe = Recipe(
        SGD(lr=0.3, momentum=0.8),
        batch_size=16,
        epochs=7,
        patience=2,
        target=0.9,
        loss_change_below=1e-3,
        gradient_below=1e-3,
        seconds=5.0,
        clip_norm=1.0,
        seed=3,
    )
    short = recipe.shortened(5, 50)
    assert short == Recipe(SGD(lr=0.3, momentum=0.8), batch_size=16, steps=5, clip_norm=1.0, seed=3)
