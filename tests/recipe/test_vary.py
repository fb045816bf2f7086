"""Many recipes from one: products, zipped columns, sampled points; every mistake is refused by name."""

import jax
import numpy as np
import pytest

from thalweg.core.errors import RecipeError
from thalweg.recipe.optimizers import OPTIMIZERS, SAM, SGD, AdamW, Muon
from thalweg.recipe.ranges import Range, domain, read_values
from thalweg.recipe.recipe import Recipe
from thalweg.recipe.schedules import Cosine, OneCycle
from thalweg.recipe.settings import path_of
from thalweg.recipe.vary import MOST_LANES, quasi_random


def test_every_combination_is_made_and_the_last_setting_changes_fastest():
    recipes = Recipe(AdamW(b1=0.8)).vary(lr=np.array([1e-3, 1e-2]), weight_decay=[0.0, 0.1], seed=range(3))
    assert [(r.optimizer.lr, r.optimizer.weight_decay, r.seed) for r in recipes] == [
        (lr, decay, seed) for lr in (1e-3, 1e-2) for decay in (0.0, 0.1) for seed in range(3)
    ]
    assert {r.optimizer.b1 for r in recipes} == {0.8}
    assert all(type(r.seed) is int for r in recipes)


def test_settings_that_vary_together():
    rates = np.geomspace(1e-4, 1e-1, 4)
    recipes = Recipe(AdamW(), schedule=Cosine()).vary_together(
        {"optimizer.lr": rates}, seed=range(4), floor=[0.0, 0.1, 0.2, 0.3]
    )
    assert [r.optimizer.lr for r in recipes] == list(rates)
    assert [(r.seed, r.schedule.floor) for r in recipes] == [(0, 0.0), (1, 0.1), (2, 0.2), (3, 0.3)]
    with pytest.raises(RecipeError, match=r"one length; got \{'lr': 2, 'seed': 1\}"):
        Recipe().vary_together(lr=[1, 2], seed=[1])


def values(text, whole=False):
    return read_values(text, whole, "lr")


def test_text_forms_of_values():
    assert values("1e-4..1e-1:4log") == [1e-4, 1e-3, 1e-2, 1e-1]
    assert values("0..0.5:6lin") == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]
    assert values("-1..1:3lin") == [-1.0, 0.0, 1.0]
    assert values("0..2") == [0, 1, 2] and values("3..3") == [3]
    assert values("sgd, adamw,muon") == ["sgd", "adamw", "muon"]
    assert values("0.1,off, .5") == [0.1, "off", 0.5]
    assert values("true,false") == [True, False]
    assert values("[0.3, 0.6],[0.5]") == [[0.3, 0.6], [0.5]]


def test_a_factor_multiplies_from_end_to_end():
    assert values("32..1024:2x") == [32, 64, 128, 256, 512, 1024]
    assert values("1..100:3x") == [1, 3, 9, 27, 81, 100]
    assert values("1e-4..1e-1:10x") == [1e-4, 1e-3, 1e-2, 1e-1]
    assert values("2..10:1.5x", whole=True) == [2, 3, 4, 7, 10]
    assert all(type(value) is int for value in values("32..1024:2x"))


def test_a_long_range_must_say_how_many_values_it_has():
    assert len(values("0..63")) == 64
    with pytest.raises(RecipeError) as caught:
        values("32..1024")
    assert "993 values" in str(caught.value)
    for form in ("32..1024:2x", "32..1024:16lin", "32..1024:16log"):
        assert form in str(caught.value) and len(values(form, whole=True)) <= 16
    with pytest.raises(RecipeError) as caught:
        values("0..100")
    assert "0..100:16lin" in str(caught.value) and "log" not in str(caught.value)


def test_spaced_values_are_rounded_within_a_hundredth_of_their_distance():
    spaced = values("1e-4..1e-1:16log")
    assert np.allclose(spaced, np.geomspace(1e-4, 1e-1, 16), rtol=2e-3)
    assert all(len(f"{value:.12g}".lstrip("0.")) <= 8 for value in spaced)
    near = values("1000..1001:5lin")
    assert near == [1000.0, 1000.25, 1000.5, 1000.75, 1001.0]  # four digits would make them one
    odd = values("0.00012345..0.1:3log")
    assert odd[0] == 0.00012345 and odd[-1] == 0.1


def test_values_of_whole_number_settings_are_rounded_and_unique():
    recipes = Recipe().vary(batch_size="16..256:5log")
    assert [r.batch_size for r in recipes] == [16, 32, 64, 128, 256]
    assert [r.batch_size for r in Recipe().vary(batch_size="2..4:9log")] == [2, 3, 4]


def test_another_optimizer_starts_from_its_own_defaults():
    recipes = Recipe(AdamW(lr=0.5, weight_decay=0.3), batch_size=64).vary(
        {"optimizer.lr": [0.01, 0.1], "optimizer": "sgd,adamw,muon"}
    )
    assert [(r.optimizer.name, r.optimizer.lr) for r in recipes[:3]] == [
        ("sgd", 0.01),
        ("adamw", 0.01),
        ("muon", 0.01),
    ]
    assert recipes[1].optimizer == AdamW(lr=0.01) and recipes[5].optimizer == Muon(lr=0.1)
    assert {r.batch_size for r in recipes} == {64}
    named = Recipe().vary(optimizer=["sgd", SGD(lr=0.3, momentum=0.9)], lr=[0.2])
    assert [r.optimizer.momentum for r in named] == [None, 0.9]
    assert [r.schedule.name for r in Recipe().vary(schedule="constant,cosine,one-cycle")] == [
        "constant",
        "cosine",
        "one-cycle",
    ]
    assert Recipe().vary({"optimizer": ["l-bfgs"], "batch_size": ["full"]})[0].batch_size == "full"


def test_a_short_name_stands_for_the_one_path_that_ends_with_it():
    assert path_of(Recipe(), "lr") == "optimizer.lr"
    assert path_of(Recipe(SAM(base=SGD())), "lr") == "optimizer.base.lr"
    assert path_of(Recipe(Muon()), "adam_lr") == "optimizer.adam_lr"
    assert path_of(Recipe(Muon()), "optimizer.lr") == "optimizer.lr"
    assert path_of(Recipe(), "seed") == "seed"
    for name, rule in OPTIMIZERS.items():
        if len(rule.rates) == 1 and not rule.line_search:
            assert path_of(Recipe(rule()), "lr").endswith("lr"), name


@pytest.mark.parametrize(
    ("recipe", "settings", "message"),
    [
        (Recipe(Muon()), {"lr": [0.1]}, "'lr' names optimizer.lr and optimizer.adam_lr"),
        (
            Recipe(SGD(momentum=0.9), schedule=OneCycle()),
            {"low": [0.5], "optimizer.momentun": [0.9]},
            "did you mean 'optimizer.momentum'",
        ),
        (Recipe(), {"weight_decy": [1.0]}, "did you mean 'weight_decay'"),
        (Recipe(), {"optimizer": ["sgd", "adamv"]}, "did you mean 'adam'"),
        (Recipe(), {"optimizer": ["adam", "Momentum"]}, "Momentum is sgd with momentum=0.9"),
        (Recipe(), {"optimizer": ["nesterov"]}, "nesterov is sgd with momentum=0.9 and nesterov=true"),
        (Recipe(), {"lr": ["adam", "sgd"]}, "lr must be a number; got adam (where lr=adam)"),
        (Recipe(), {"optimizer": "1..3:3lin"}, "optimizer is a choice, not a number"),
        (Recipe(), {"shuffle": "1..3:3lin"}, "known are reshuffle, once, none, replacement"),
        (Recipe(), {"lr": []}, "must have at least one value"),
        (Recipe(), {"lr": ""}, "must have at least one value"),
        (Recipe(), {"lr": "1e-3,,1e-2"}, "a value between two commas"),
        (Recipe(), {"lr": 0.1}, "write [0.1]"),
        (Recipe(), {}, "at least one setting must vary"),
        (Recipe(), {"lr": "3..1"}, "the low end must be below the high end; got 3..1 (lr)"),
        (Recipe(), {"lr": "0.1..0.1:3log"}, "the low end must be below the high end"),
        (Recipe(), {"lr": "0..1:4log"}, "a logarithmic range must be above 0; got 0..1"),
        (Recipe(), {"lr": "-1..1:4log"}, "a logarithmic range must be above 0"),
        (Recipe(), {"lr": "1e-4..1e-1"}, "must say how many values it has; got 1e-4..1e-1"),
        (Recipe(), {"lr": "1e-4..1e-1"}, "write 1e-4..1e-1:16lin, 1e-4..1e-1:2x or 1e-4..1e-1:16log"),
        (Recipe(), {"lr": "1e-4..1e-1:1x"}, "the factor must be above 1; got 1x"),
        (Recipe(), {"batch_size": "0..8:2x"}, "must be above 0"),
        (Recipe(), {"batch_size": "32..1024"}, "every whole number would be 993 values"),
        (
            Recipe(),
            {"lr": "1e-4..1e-1:log"},
            "after the colon must come a count with log or lin, or a factor with x",
        ),
        (
            Recipe(),
            {"lr": "1e-4..1e-1:9exp"},
            "after the colon must come a count with log or lin, or a factor with x",
        ),
        (Recipe(), {"lr": "1e-4..1e-1:0log"}, "must have 1 to 100,000 values"),
        (Recipe(), {"lr": "1e-4..1e-1:1log"}, "one value is not a range"),
        (Recipe(), {"lr": "low..high:3log"}, "numbers at both ends"),
        (Recipe(), {"lr": [0.1, 0.2, 0.1]}, "values must differ; got 0.1 (lr, twice)"),
        (Recipe(), {"lr": [1e-3, -1.0]}, "lr must be at least 0; got -1.0 (where lr=-1.0)"),
        (Recipe(), {"optimizer": ["sgd", "l-bfgs"]}, "(where optimizer=l-bfgs)"),
        (Recipe(), {"optimizer": ["adamw", "sgd"], "b1": [0.9]}, "has no setting 'b1' (where optimizer=sgd"),
        (Recipe(), {"epochs": [1, 2], "steps": [3]}, "takes epochs or steps, not both"),
        (Recipe(), {"seed": "0..99999:100000lin", "lr": "1e-4..1e-1:10log"}, "got 1,000,000 lanes"),
    ],
)
def test_mistakes_are_refused_by_name(recipe, settings, message):
    with pytest.raises(RecipeError) as caught:
        recipe.vary(settings)
    assert message in str(caught.value)


def test_numbers_vary_without_changing_the_structure():
    recipes = Recipe(AdamW()).vary(lr="1e-4..1e-1:4log", clip_norm=[0.5, 1.0], seed=[0])
    assert len({jax.tree.structure(recipe) for recipe in recipes}) == 1


def test_sampled_points_fill_their_ranges_evenly():
    recipes = Recipe().sample(64, {"lr": (1e-5, 1e-1), "b1": Range(0.8, 0.99, log=False)}, key=3)
    rates = np.log10([r.optimizer.lr for r in recipes])
    assert len(recipes) == 64 and rates.min() >= -5 and rates.max() <= -1
    # One point in each 64th of the range: independent draws would leave gaps.
    assert sorted(np.floor((rates + 5) / 4 * 64 - 1e-9)) == pytest.approx(range(64), abs=1)
    assert np.histogram(rates, 8, (-5, -1))[0].tolist() == [8] * 8
    assert 0.8 <= min(r.optimizer.b1 for r in recipes) <= max(r.optimizer.b1 for r in recipes) <= 0.99


def test_sampled_choices_whole_numbers_and_keys():
    space = {
        "optimizer": ["sgd", "adamw"],
        "lr": "1e-3..1:log",
        "batch_size": (8, 512),
        "floor": "0..0.2:lin",
    }
    recipe = Recipe(schedule=Cosine())
    recipes = recipe.sample(10, space, key=1)
    assert len(recipes) == 10 and {r.optimizer.name for r in recipes} == {"sgd", "adamw"}
    assert all(type(r.batch_size) is int and 8 <= r.batch_size <= 512 for r in recipes)
    assert recipe.sample(10, space, key=1) == recipes != recipe.sample(10, space, key=2)
    assert recipe.sample(10, space, key=jax.random.key(5)) == recipe.sample(10, space, key=jax.random.key(5))


def test_quasi_random_points_do_not_depend_on_their_number():
    assert (quasi_random(7, 3, 4) == quasi_random(64, 3, 4)[:7]).all()
    assert quasi_random(1, 1).shape == (1, 1)


@pytest.mark.parametrize(
    ("count", "space", "message"),
    [
        (0, {"lr": (1e-3, 1e-1)}, "must be a whole number from 1 on; got 0"),
        (4, {"lr": (1e-1, 1e-3)}, "the low end must be below the high end"),
        (4, {"lr": (0.0, 1e-3)}, "write 0..0.001:lin, or start above 0"),
        (4, {"lr": 0.1}, "must be a pair, a Range, a list of choices or text"),
        (4, {"lr": []}, "at least one value"),
        (4, {"optimizer": (1.0, 3.0)}, "optimizer is a choice, not a number"),
        (4, {"b1": (0.5, 2.0)}, "b1 must be at least 0 and below 1"),
        (4, {}, "at least one setting must vary"),
        (MOST_LANES + 1, {"lr": (1e-3, 1e-1)}, "at most 20,000 lanes"),
    ],
)
def test_invalid_spaces_are_refused(count, space, message):
    with pytest.raises(RecipeError) as caught:
        Recipe().sample(count, space)
    assert message in str(caught.value)


def test_domains():
    assert domain((1e-3, 1)) == Range(1e-3, 1) and domain("0..1:lin") == Range(0, 1, log=False)
    assert domain("0..2") == [0, 1, 2] and domain(range(3)) == [0, 1, 2]
    assert domain([1e-3, 1e-1]) == [1e-3, 1e-1]  # a list is a choice, a pair a range
