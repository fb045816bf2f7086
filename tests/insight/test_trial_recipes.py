"""The recipes that trials train: every variant with every seed, its schedule as short as the trial."""

import pytest

from tests.made import problem
from thalweg.insight import trials
from thalweg.insight.trials import Variant, run_trials
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe
from thalweg.recipe.schedules import WarmupCosine

WHOLE = Recipe(SGD(lr=0.1), schedule=WarmupCosine(warmup=40, unit="steps"), batch_size=16, steps=400)


class Stopped(Exception):
    """Raised in place of training."""


def recipes_of(monkeypatch, variants, *arguments, **options) -> list[Recipe]:
    """Return the recipes that would be trained."""

    def train(_, recipes, **__):
        raise Stopped(recipes)

    monkeypatch.setattr(trials, "train", train)
    with pytest.raises(Stopped) as stopped:
        run_trials(problem(), variants, *arguments, **options)
    return stopped.value.args[0]


@pytest.mark.parametrize(
    ("options", "steps", "warmup"),
    [
        ({"steps": 40}, 40, 4.0),
        ({"steps": 40, "total": 800}, 40, 2.0),
        ({"steps": 100, "budget": 160}, 40, 4.0),  # four lanes
        ({}, 400, 40.0),
    ],
)
def test_the_schedule_is_shortened_with_the_run(monkeypatch, options, steps, warmup):
    variants = [Variant("one", WHOLE), Variant("other", Recipe.from_dict(WHOLE.to_dict() | {"patience": 3}))]
    found = recipes_of(monkeypatch, variants, [7, 9], **options)
    assert [recipe.seed for recipe in found] == [7, 9, 7, 9]
    assert [recipe.steps for recipe in found] == [steps] * 4
    assert [float(recipe.schedule.warmup) for recipe in found] == [warmup] * 4
    # A run that stopped early could not be compared.
    assert found[2].patience == (None if options else 3)
