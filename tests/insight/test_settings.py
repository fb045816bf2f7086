"""Which settings are in force: what is off is not shown, what was switched off is."""

from thalweg.insight.settings import active
from thalweg.recipe.averaging import EMA
from thalweg.recipe.optimizers import SGD, AdamW
from thalweg.recipe.recipe import Recipe
from thalweg.recipe.schedules import WarmupCosine
from thalweg.view.text import recipe_line


def test_what_is_off_is_left_out():
    shown = active(Recipe(SGD(lr=0.1), epochs=3).to_dict())
    off = {"noise", "noise_decay", "rate_rule", "rate_batch", "skip_nonfinite", "averaging", "accumulate"}
    off |= {"clip_norm", "target", "seconds", "gradient_below", "loss_change_below", "groups"}
    assert not off & set(shown)
    assert {"optimizer", "schedule", "batch_size", "epochs", "seed", "precision"} <= set(shown)
    assert "nesterov" not in shown["optimizer"] and shown["optimizer"]["lr"] == 0.1
    assert shown["seed"] == 0  # zero is a seed like any other


def test_settings_have_one_order_whatever_file_they_come_from():
    recipe = Recipe(SGD(lr=0.1), epochs=3).to_dict()
    assert list(active(dict(reversed(recipe.items())))) == list(active(recipe))


def test_what_is_on_brings_its_own_settings_along():
    recipe = Recipe(noise=0.1, rate_rule="linear", averaging=EMA(), accumulate=2, target=0.9, steps=9)
    shown = active(recipe.to_dict())
    assert shown["noise_decay"] == 0.55 and shown["rate_batch"] == 256
    assert shown["averaging"]["name"] == "ema" and (shown["accumulate"], shown["target"]) == (2, 0.9)


def test_what_was_switched_off_against_its_default_stays():
    recipe = Recipe(AdamW(weight_decay=0.0, b1=0.0), schedule=WarmupCosine(warmup=0.0, floor=0.0))
    shown = active(recipe.to_dict())
    assert (shown["optimizer"]["weight_decay"], shown["optimizer"]["b1"]) == (0.0, 0.0)
    assert shown["schedule"]["warmup"] == 0.0 and "floor" not in shown["schedule"]


def test_settings_of_another_version_are_shown_as_they_are():
    given = {"optimizer": {"name": "unheard", "lr": 0, "x": None}, "novelty": 0}
    assert active(given) == given


def test_the_line_that_people_read():
    line = recipe_line(Recipe(SGD(lr=0.1), epochs=3).to_dict())
    assert line.startswith("sgd (lr 0.1, ") and "none" not in line and "false" not in line
