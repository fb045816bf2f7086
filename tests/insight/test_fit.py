"""`fit` from Python: the way of `thalweg fit` without a command line."""

import numpy as np
import pytest

import thalweg as tw
from tests.insight import found as findings
from thalweg.core.errors import BadInput, RecipeError
from thalweg.insight import fit as fitting
from thalweg.insight.fit import NoLearningRate, RecipeRequest, fit, read_problem

SMALL = {"recipe": "sgd", "steps": 20, "seed": 3}


@pytest.fixture(scope="module")
def digits():
    return tw.load("digits")


def test_names_and_settings_become_a_run(digits):
    run = fit(digits, "mlp:8", settings=["batch_size=16"], lr=0.05, **SMALL)
    assert run.problem.model_spec == "mlp:64-8-10" and run.folder is None
    assert (run.recipe.optimizer.lr, run.recipe.batch_size, run.recipe.steps, run.recipe.seed) == (
        0.05,
        16,
        20,
        3,
    )
    assert run.result["stopped"] == "steps"


def test_it_trains_what_train_trains(digits):
    request = RecipeRequest("sgd", steps=20, seed=3)
    problem = read_problem(digits, "mlp:8")
    plain = tw.train(problem, request.for_data(digits))
    assert fit(digits, "mlp:8", **SMALL).result["test_loss"] == plain.result["test_loss"]


def test_options_of_load_are_passed_on():
    rng = np.random.default_rng(0)
    inputs, labels = rng.normal(size=(200, 3)).astype("f"), rng.integers(0, 2, 200)
    run = fit((inputs, labels), "linear", settings=["batch_size=16"], validation=0.0, test=0.5, **SMALL)
    assert set(run.problem.data.splits) == {"train", "test"} and run.problem.data.test.count() == 100


@pytest.mark.parametrize(
    ("optimizer", "read"),
    [
        ("sgd", lambda rule: rule.lr),
        ("sam", lambda rule: rule.first_rate()),
        ("prodigy", lambda rule: rule.lr),
    ],
)
def test_lr_sets_the_first_rate_of_every_optimizer(digits, optimizer, read):
    recipe = RecipeRequest(settings=[f"optimizer={optimizer}"], lr="0.125").for_data(digits)
    assert float(read(recipe.optimizer)) == 0.125


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"lr": "fast"}, "a number, or auto"),
        ({"lr": 0.1, "settings": ["optimizer.lr=0.2"]}, "given only once"),
        ({"epochs": 1, "steps": 2}, "not both"),
        ({"recipe": "sgdd"}, "did you mean"),
        ({"lr": "auto", "allow_auto": False}, "auto"),
    ],
)
def test_mistakes_are_refused_before_data_are_read(arguments, words):
    with pytest.raises(RecipeError, match=words):
        RecipeRequest(**arguments)


def test_a_resumed_fit_continues_the_run_in_its_folder(digits, tmp_path):
    folder = tmp_path / "run"
    first = fit(digits, "mlp:8", keep=folder, resume=True, **SMALL)
    again = fit(digits, "mlp:8", keep=folder, resume=True, **SMALL)
    assert again.result["test_loss"] == first.result["test_loss"]
    with pytest.raises(BadInput, match="started with"):
        fit(digits, "mlp:8", keep=folder, resume=True, recipe="adamw", steps=20)
    with pytest.raises(BadInput, match="needs the folder"):
        fit(digits, "mlp:8", resume=True, **SMALL)


def test_no_usable_rate_trains_nothing(digits, tmp_path, monkeypatch):
    monkeypatch.setattr(fitting, "find_lr", lambda *_, **__: findings.lost())
    with pytest.raises(NoLearningRate, match="nothing was trained") as error:
        fit(digits, "mlp:8", keep=tmp_path / "run", recipe="sgd", steps=20, lr="auto")
    assert error.value.finding.value is None and not (tmp_path / "run").exists()


def test_options_of_load_are_refused_for_data_already_loaded(digits):
    with pytest.raises(BadInput, match="already loaded"):
        fit(digits, "mlp:8", validation=0.3, **SMALL)
