"""The recipe: impossible combinations are refused with a reason; numbers are leaves."""

import jax
import pytest

from thalweg.core.errors import RecipeError
from thalweg.recipe.groups import ParamGroup
from thalweg.recipe.optimizers import LBFGS, SAM, SGD, Adam, AdamW, GradientDescent, Lion, RMSprop
from thalweg.recipe.recipe import Recipe
from thalweg.recipe.schedules import Cosine, OneCycle


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Adam(momentum=0.9), "adam: takes no 'momentum': b1 is its momentum; got 0.9"),
        (lambda: AdamW(nesterov=True), "the optimizer for that is nadam"),
        (lambda: Lion(eps=1e-8), "it divides by nothing"),
        (lambda: LBFGS(lr=1.0), "a line search finds the step length"),
        (lambda: SAM(lr=1.0), "set optimizer.base.lr"),
        (lambda: SGD(nesterov=True), "nesterov needs a momentum"),
        (lambda: SGD(b1=0.9), "its momentum is named momentum"),
        (lambda: Adam(b1=1.0), "b1 must be at least 0 and below 1; got 1.0"),
        (lambda: Adam(lr=-1e-3), "lr must be at least 0; got -0.001\nhint: try 0.001"),
        (lambda: Adam(lr=float("nan")), "lr must be at least 0"),
        (lambda: Adam(lr="high"), "lr must be a number; got high"),
        (lambda: Adam(lr=True), "lr must be a number; got True"),
        (lambda: RMSprop(centered=True), "did you mean 'centred'"),
        (lambda: Recipe(optimiser=Adam()), "did you mean 'optimizer'"),
        (lambda: Recipe(batch_size=2.5), "batch_size must be a whole number, or 'full'; got 2.5"),
        (lambda: Recipe(batch_size=-3), "batch_size must be at least 1; got -3\nhint: try 128"),
        (lambda: Recipe(accumulate=9, batch_size=8), "accumulate must be at most batch_size"),
        (lambda: Recipe(LBFGS()), 'set batch_size = "full"'),
        (lambda: Recipe(LBFGS(), batch_size="full", schedule=Cosine()), "takes no schedule; got cosine"),
        (lambda: Recipe(GradientDescent(), batch_size="full", clip_norm=1.0), "without clip_norm"),
        (lambda: Recipe(batch_size="full", rate_rule="linear"), "rate_rule needs a batch_size in examples"),
        (lambda: Recipe(SAM(), groups=(ParamGroup(),)), "takes no parameter groups"),
        (
            lambda: Recipe(LBFGS(), groups=(ParamGroup(weight_decay=0.1),), batch_size="full"),
            "takes no parameter groups",
        ),
        (lambda: Recipe(shuffle="always"), "shuffle must be one of"),
    ],
)
def test_impossible_combinations_are_refused_with_a_reason(make, message):
    with pytest.raises(RecipeError) as caught:
        make()
    assert message in str(caught.value)


def test_numbers_are_leaves_and_choices_are_structure():
    one, other = Recipe(AdamW(lr=1e-3), clip_norm=1.0), Recipe(AdamW(lr=1e-2), clip_norm=2.0)
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for changed in (Recipe(AdamW()), Recipe(Adam(), clip_norm=1.0), Recipe(clip_norm=1.0, batch_size=64)):
        assert jax.tree.structure(one) != jax.tree.structure(changed)


def test_the_rate_grows_with_the_batch():
    assert Recipe(batch_size=1024).rate_factor() == 1.0
    assert Recipe(batch_size=1024, rate_rule="linear").rate_factor() == 4.0
    assert Recipe(batch_size=1024, rate_rule="sqrt").rate_factor() == 2.0
    assert Recipe(batch_size=64, rate_rule="linear", rate_batch=128).rate_factor() == 0.5


def test_batches_and_lengths():
    assert Recipe(batch_size="full").batch(77) == 77
    assert Recipe(batch_size=1).batch(77) == 1
    assert Recipe(steps=5).length(10) == 5
    assert Recipe(epochs=3).length(10) == 30
    assert Recipe().length(10) == 100


def test_scaled_changes_every_rate_and_a_momentum_that_is_on():
    assert SAM(base=SGD(lr=0.2, momentum=0.5)).scaled(0.5).base.lr == 0.1
    muon = Recipe.from_dict({"optimizer": "muon"}).optimizer.scaled(0.5, 0.8)
    assert (muon.lr, muon.adam_lr, muon.momentum) == (0.01, 1.5e-4, 0.8)
    assert SGD(lr=1.0).scaled(0.5, 0.9).momentum is None
    assert SGD(lr=1.0, momentum=0.5).scaled(1.0, 0.9).momentum == 0.9
    assert Adam().scaled(1.0, 0.8).b1 == 0.8
    assert LBFGS().scaled(0.1) == LBFGS()
    assert OneCycle().init() == ()
