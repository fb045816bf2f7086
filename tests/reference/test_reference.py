"""Runs equal an independent reference: every logged figure, the kept weights and the result, to 1e-9.

Four programs, four to seven lanes each, some broken off and resumed twice. `python -m tests.reference` is the
long form, over all pairs of settings.
"""

import ast
from pathlib import Path
from typing import Any

import jax
import pytest

from tests.reference import design
from tests.reference.comparison import compared, far_weights
from tests.reference.library import case, trained
from thalweg.recipe.optimizers import OPTIMIZERS
from thalweg.recipe.recipe import Recipe
from thalweg.recipe.schedules import SCHEDULES
from thalweg.run.resume import Change, resume
from thalweg.run.train import train

HERE = Path(__file__).parent
PLATEAU = {"name": "plateau", "drop": 0.5, "patience": 0, "threshold": 0.3}

# Name of the problem, settings of all lanes, settings of each lane, and where the run is broken off.
SWEEPS: dict[str, tuple[str, dict[str, Any], list[dict[str, Any]], tuple[int, ...]]] = {
    "classes": (
        "classes",
        {
            "optimizer": {"name": "adamw", "lr": 0.02, "weight_decay": 0.05, "eps": 1e-7},
            "schedule": {"name": "warmup", "length": 0.2, "then": PLATEAU},
            "averaging": {"name": "ema", "decay": 0.95},
            "accumulate": 3,
            "clip_norm": 0.5,
            "batch_size": 16,
            "epochs": 16,
        },
        [
            {},
            {"optimizer.lr": 0.3, "patience": 1},
            {"optimizer.lr": 0.2, "patience": 2},  # reached at 156, having waited once when it is broken off
            {"optimizer.lr": 0.03, "target": 0.5, "clip_norm": 2.0},
            {"optimizer.lr": 0.003, "loss_change_below": 0.3, "seed": 1},
            {"optimizer.lr": 0.5, "patience": 2},
            {"optimizer.lr": 0.2, "seed": 1},  # the best weights are better than the last, but not clearly
        ],
        (60, 130),
    ),
    "holes": (
        "holes",
        {
            "optimizer": {"name": "sgd", "lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.02},
            "schedule": {"name": "one-cycle", "rise": 0.4, "start": 0.1},
            "averaging": {"name": "swa", "start": 0.3, "every": 9.0, "every_unit": "steps"},
            "groups": [{"role": "bias", "lr_factor": 0.3}],
            "skip_nonfinite": True,
            "clip_value": 0.05,
            "epochs": 3,
        },
        [{}, {"seed": 1}, {"optimizer.lr": 0.2, "seed": 2}, {"optimizer.lr": 0.01, "clip_value": 0.5}],
        (40, 90),
    ),
    "values": (
        "values",
        {
            "optimizer": {"name": "rmsprop", "lr": 0.003, "eps": 1e-6, "momentum": 0.7, "weight_decay": 0.02},
            "schedule": {"name": "warmup-cosine", "warmup": 0.1, "floor": 0.1},
            "averaging": {"name": "tail", "start": 0.4},
            "shuffle": "replacement",
            "steps": 140,
        },
        [
            {},
            {"optimizer.lr": 0.01, "seed": 1},
            {"optimizer.lr": 0.02, "seed": 2, "patience": 1},
            {"target": 2.0, "seed": 3},
            {"optimizer.lr": 0.03},
        ],
        (),
    ),
    "labels": (
        "labels",
        {
            "optimizer": {"name": "sgd", "lr": 0.1},
            "schedule": {"name": "step", "every": 31.0, "drop": 0.5, "unit": "steps"},
            "gradient_below": 0.1,
            "groups": [{"pattern": "layers.0.bias", "frozen": True}],
            "last_batch": "drop",
            "epochs": 3,
        },
        [
            {},
            {"optimizer.lr": 1.0, "gradient_below": 0.3},
            {"optimizer.lr": 3.0, "seed": 1},
            {"optimizer.lr": 1e4, "seed": 1},
            {"optimizer.lr": 0.3, "gradient_below": 1e-4, "seed": 2, "patience": 1},
            {"optimizer.lr": 1e12, "gradient_below": 1e-4, "seed": 3},
        ],
        (),
    ),
}


def recipes(settings: dict[str, Any], lanes: list[dict[str, Any]]) -> list[Recipe]:
    base = {"batch_size": 4, "precision": "f64"} | settings
    made = []
    for lane in lanes:
        own = dict(lane)
        optimizer = base["optimizer"] | {"lr": own.pop("optimizer.lr", base["optimizer"]["lr"])}
        made.append(Recipe.from_dict(base | own | {"optimizer": optimizer}))
    return made


@pytest.mark.optimised  # differences of rounding grow beyond the tolerance otherwise
@pytest.mark.parametrize("name", SWEEPS)
def test_runs_equal_the_reference(name, tmp_path):
    problem, settings, lanes, breaks = SWEEPS[name]
    with jax.enable_x64(True):
        runs = trained(problem, recipes(settings, lanes), tmp_path / "run", breaks=breaks)
        for lane, (recipe, run) in enumerate(zip(recipes(settings, lanes), runs, strict=True)):
            assert not compared(problem, recipe, run), f"lane {lane}"


def test_an_extended_run_that_holds_its_schedule_equals_the_reference(tmp_path):
    """In float64 the length that the schedule was planned over is float64, too."""
    settings = {
        "optimizer": {"name": "sgd", "lr": 0.5},
        "schedule": {"name": "polynomial", "power": 0.5, "floor": 0.3},
        "batch_size": 16,
        "precision": "f64",
    }
    before, after = (Recipe.from_dict(settings | {"steps": steps}) for steps in (7, 12))
    with jax.enable_x64(True):
        train(case("labels").problem, before, keep=tmp_path / "run")
        resume(tmp_path / "run", case("labels").problem, change=Change(steps=12, schedule="hold"))
        assert not far_weights("labels", after, tmp_path / "run", planned=7)


def test_every_optimizer_with_plain_equations_and_every_schedule_is_in_the_design():
    # The search of L-BFGS and the eigenvectors of SOAP have no equation of a line; line searches are compared
    # in tests/contracts.
    left_out = {"l-bfgs", "soap", "gradient-descent"}
    assert {name.removesuffix("-nesterov") for name in design.OPTIMIZERS} == OPTIMIZERS.keys() - left_out
    assert design.SCHEDULES.keys() == SCHEDULES.keys()


def test_the_reference_imports_nothing_of_ours():
    for name in ("network", "losses", "schedules", "optimizers", "training", "design"):
        tree = ast.parse((HERE / f"{name}.py").read_text())
        modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        modules |= {
            alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
        }
        assert not [module for module in modules if module.split(".")[0] in ("thalweg", "jax", "optax")], name
