"""The recipe: impossible combinations are refused with a reason; numbers are leaves."""

import jax
import pytest

from thalweg.core.caller import command_line
from thalweg.core.errors import RecipeError
from thalweg.recipe.averaging import AVERAGES, EMA, SWA, Tail
from thalweg.recipe.groups import ParamGroup
from thalweg.recipe.optimizers import LBFGS, OPTIMIZERS, SAM, SGD, Adam, AdamW, GradientDescent, Lion, RMSprop
from thalweg.recipe.recipe import Recipe
from thalweg.recipe.schedules import (
    SCHEDULES,
    Cosine,
    CosineRestarts,
    Exponential,
    OneCycle,
    Plateau,
    Warmup,
    WarmupCosine,
    WarmupStableDecay,
)


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
        (lambda: Recipe(LBFGS()), "use batch_size='full'"),
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


ABSURD = {
    "betas": lambda: AdamW(b2=1.0),
    "momentum": lambda: SGD(momentum=1.0),
    "negative decay": lambda: AdamW(weight_decay=-0.1),
    "clip": lambda: Recipe(clip_norm=0.0),
    "clip by value": lambda: Recipe(clip_value=0.0),
    "epochs": lambda: Recipe(epochs=0),
    "decay that grows": lambda: Exponential(decay=1.1),
    "plateau that grows": lambda: Plateau(drop=2.0),
    "an improvement of all": lambda: Plateau(threshold=1.0),
    "restarts that shrink": lambda: CosineRestarts(growth=0.5),
    "an average that stays": lambda: EMA(decay=1.0, ramp=False),
    "Wolfe's conditions exclude each other": lambda: LBFGS(decrease=0.5, curvature=0.4),
    "no step decreases so much": lambda: GradientDescent(decrease=1.0),
    "a seed that does not fit": lambda: Recipe(seed=2**63),
}


@pytest.mark.parametrize("name", ABSURD)
def test_absurd_settings_are_refused(name):
    with pytest.raises(RecipeError, match=r"must .*\nhint: "):
        ABSURD[name]()


def test_every_number_has_a_range():
    # A loss may be the metric, so its target has any sign; all else is at least 0 and finite.
    kinds = [Recipe, ParamGroup, *OPTIMIZERS.values(), *SCHEDULES.values(), *AVERAGES.values()]
    tried = 0
    for kind in kinds:
        for name, field in kind.described().items():
            if field.metadata.get("kind") not in ("number", "integer", "numbers") or name == "target":
                continue
            for wrong in (-1, float("nan"), float("inf")):
                with pytest.raises(RecipeError):
                    kind(**{name: (wrong,) if field.metadata["kind"] == "numbers" else wrong})
                tried += 1
    assert tried > 200


LENGTHS = [(rule, name) for kind in (SCHEDULES, AVERAGES) for rule in kind.values() for name in rule.lengths]


@pytest.mark.parametrize(("rule", "name"), LENGTHS, ids=lambda part: getattr(part, "name", part))
def test_a_fraction_of_the_run_above_1_is_refused_and_the_unit_named(rule, name):
    # 500 steps given as a fraction: a largest rate of 2e-6 in place of 1e-3, without a word.
    unit, several = rule.lengths[name], rule.described()[name].metadata["kind"] == "numbers"

    def make(length, word="fraction"):
        return rule(**{name: (0.5, length) if several else length, unit: word})

    wrong = rf"is a fraction of the run \({unit} = 'fraction'\) and must be at most 1"
    with pytest.raises(RecipeError, match=rf"{wrong}.*\nhint: for .*500 steps also give {unit}='steps'"):
        make(500)
    where = "averaging" if rule.name in AVERAGES else "schedule"
    with command_line(), pytest.raises(RecipeError, match=f"--set {where}.{unit}=steps"):
        make(1.001)
    assert make(1.0) and make(500, "steps") and make(500, "epochs")


def test_lengths_that_do_not_fit_into_the_run_are_refused_or_told():
    together, alone = WarmupStableDecay(warmup=0.2, decay=0.9), Tail(start=1.0)
    with pytest.raises(
        RecipeError, match=r"warmup and decay must fit .*; got 0.2 \+ 0.9\nhint: .* 1 together"
    ):
        together.check_inside(100, 10)
    with pytest.raises(RecipeError, match="else no weights are averaged"):
        alone.check_inside(100, 10)
    fitting = (
        WarmupStableDecay(warmup=0.1, decay=0.9),
        Tail(start=0.99),
        Cosine(),
        SWA(start=9, unit="epochs"),
    )
    fitting += (WarmupCosine(warmup=100, unit="steps"), Warmup(length=10))
    assert [each.check_inside(100, 10) for each in fitting] == [""] * len(fitting)
    # A recipe of the book in a short trial: it runs, and says what happens.
    assert WarmupCosine(warmup=101, unit="steps").check_inside(100, 10) == (
        "warmup-cosine: warmup takes 101 updates, and the run makes 100: the learning rate is never the full "
        "one. Give at most 100 steps, or train longer."
    )
    assert "Give at most 9.9 epochs" in SWA(start=10, unit="epochs").check_inside(100, 10)


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
