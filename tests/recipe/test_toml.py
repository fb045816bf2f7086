"""Recipes as text: what is written reads back equal, and what is wrong says so."""

import jax.numpy as jnp
import numpy as np
import pytest

from thalweg.core.errors import RecipeError
from thalweg.recipe.averaging import EMA
from thalweg.recipe.book import BOOK, default_recipe, named
from thalweg.recipe.groups import ParamGroup
from thalweg.recipe.optimizers import OPTIMIZERS, SAM, SGD, AdamW
from thalweg.recipe.recipe import Recipe
from thalweg.recipe.schedules import SCHEDULES, Cosine, MultiStep, Warmup
from thalweg.recipe.toml import named_or_file, read, settings, write

RICH = Recipe(
    SAM(base=AdamW(lr=3e-4, weight_decay=0.05), rho=0.1),
    schedule=Warmup(length=0.1, unit="fraction", then=Cosine(floor=0.1)),
    batch_size="full",
    steps=7,
    averaging=EMA(decay=0.9),
    noise=0.1,
)
GROUPED = Recipe(
    SGD(momentum=0.9, nesterov=True, weight_decay=1e-4),
    schedule=MultiStep(points=(0.3, 0.6, 0.9)),
    groups=(ParamGroup(pattern="layers.0.*", lr_factor=0.1), ParamGroup(role="bias", frozen=True)),
    clip_norm=1.0,
    precision="bf16",
)


@pytest.mark.parametrize("recipe", [Recipe(), RICH, GROUPED, *[entry.recipe for entry in BOOK.values()]])
def test_what_is_written_reads_back_equal(recipe, tmp_path):
    assert read(write(recipe)) == recipe
    path = tmp_path / "recipe.toml"
    path.write_text(write(recipe))
    assert named_or_file(str(path)) == recipe


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_runs_from_toml(name):
    recipe = read(f'batch_size = "full"\noptimizer = "{name}"')
    assert recipe.optimizer == OPTIMIZERS[name]()
    assert read(write(recipe)) == recipe


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule_runs_from_toml(name):
    recipe = read(f'[schedule]\nname = "{name}"')
    assert recipe.schedule == SCHEDULES[name]()
    assert read(write(recipe)) == recipe


def test_numbers_from_inside_a_program_are_written_short():
    recipe = Recipe(AdamW(lr=jnp.float32(0.001)), clip_norm=np.float32(0.1))
    assert "lr = 0.001\n" in write(recipe) and "clip_norm = 0.1" in write(recipe)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("batchsize = 3", "has no setting 'batchsize'"),
        ("[optimizer]\nname = 'adamm'", "got adamm"),
        ("[optimizer]\nname = 'adam'\nmomentum = 0.9", "takes no 'momentum': b1 is its momentum"),
        ("[optimizer]\nname = 'l-bfgs'\nlr = 1.0", "takes no 'lr': a line search finds the step length"),
        ("lr = 0.1", "takes no 'lr': it belongs to the optimizer"),
        ("clip_norm = -1.0", "clip_norm must be above 0; got -1.0"),
        ("batch_size = 'all'", "batch_size must be a whole number, or 'full'"),
        ("epochs = 2\nsteps = 3", "takes epochs or steps, not both"),
        ("seed = [", "must be TOML"),
        ("[schedule]\nname = 'multi-step'\npoints = 3", "points must be a list of numbers"),
        ("[schedule]\nname = 'multi-step'\npoints = [0.5, 'x']", "points must be a number"),
        ("[[groups]]\npattern = 'a'\nlr = 3", "takes no 'lr': a group has lr_factor"),
    ],
)
def test_errors_name_the_mistake(text, message):
    with pytest.raises(RecipeError) as caught:
        read(text + "\n")
    assert message in str(caught.value)


def test_a_wrong_file_is_named_with_the_nearest_name(tmp_path):
    (tmp_path / "good.toml").write_text("epochs = 0")
    with pytest.raises(RecipeError, match=r"epochs must be at least 1; got 0 \(.*good\.toml\)"):
        read(tmp_path / "good.toml")
    with pytest.raises(RecipeError, match=r"did you mean 'good\.toml'"):
        read(tmp_path / "god.toml")
    with pytest.raises(RecipeError, match="did you mean 'nanogpt-cpu'"):
        named_or_file("nanogpt-cpuu")
    (tmp_path / "broken.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(RecipeError, match="readable text"):
        read(tmp_path / "broken.toml")


def test_settings_from_the_command_line():
    base = Recipe(AdamW(weight_decay=0.1), epochs=3, clip_norm=1.0).to_dict()
    changes = [
        "optimizer.lr=3e-4",
        "schedule=warmup-cosine",
        "schedule.floor=0.1",
        "steps=5",
        "clip_norm=off",
        "shuffle=none",
    ]
    recipe = Recipe.from_dict(settings(base, changes))
    assert (recipe.optimizer.lr, recipe.optimizer.weight_decay) == (3e-4, 0.1)
    assert (recipe.steps, recipe.epochs, recipe.clip_norm, recipe.shuffle) == (5, None, None, "none")
    assert recipe.schedule.name == "warmup-cosine" and recipe.schedule.floor == 0.1
    # Another optimizer starts from its own numbers.
    assert Recipe.from_dict(settings(base, ["optimizer=muon"])).optimizer == OPTIMIZERS["muon"]()
    assert base["clip_norm"] == 1.0, "the base must not change"


@pytest.mark.parametrize("wrong", ["lr", "=3", "optimizer.lr"])
def test_a_setting_is_path_and_value(wrong):
    with pytest.raises(RecipeError, match="must be path=value"):
        settings({}, [wrong])


def test_the_name_of_an_optimizer_is_a_recipe():
    assert named("adamw") == Recipe(AdamW())
    assert named("l-bfgs").batch_size == "full"
    assert named("sgd") == BOOK["sgd"].recipe


@pytest.mark.parametrize(
    ("examples", "batch", "epochs"),
    [(1, 1, 19_200), (107, 16, 180), (1300, 32, 60), (15_000, 128, 34), (54_000, 256, 19), (10**7, 256, 10)],
)
def test_the_default_batch_grows_with_the_data(examples, batch, epochs):
    recipe = default_recipe("classification", examples)
    assert (recipe.batch_size, recipe.epochs) == (batch, epochs)
