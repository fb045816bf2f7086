"""Misfits are refused before any work: the losses' own checks, on a sample of the data."""

from dataclasses import replace

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from tests.made import blobs, line, net, problem
from thalweg.core.errors import DataError, ModelError, RecipeError
from thalweg.engine.compilation import TRACES
from thalweg.problem.data.data import Data
from thalweg.problem.losses import BinaryCrossEntropy, CrossEntropy, KullbackLeibler
from thalweg.problem.models import MLP
from thalweg.problem.problem import Problem
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe
from thalweg.run.train import train
from thalweg.run.validate import check_loss, check_recipe

RECIPE = Recipe(SGD(lr=0.1), batch_size=16, steps=2)


def with_targets(data: Data, targets: np.ndarray, **changed: object) -> Data:
    return replace(data, train=eqx.tree_at(lambda part: part.targets, data.train, targets), **changed)


class Shares(eqx.Module):
    """A model that returns probabilities in a way that its program does not show."""

    layer: eqx.nn.Linear

    def __init__(self, key):
        self.layer = eqx.nn.Linear(6, 3, key=key)

    def __call__(self, x):
        positive = jnp.exp(self.layer(x))
        return positive * (1.0 / jnp.sum(positive))


def test_probabilities_where_logits_belong_are_refused_and_nothing_is_written(tmp_path):
    before = TRACES["chunk"]
    with pytest.raises(
        ModelError, match=r"takes logits, and these outputs are probabilities.*\nhint: remove"
    ):
        train(Problem(Shares, blobs()), RECIPE, keep=tmp_path / "run")
    assert not (tmp_path / "run").exists() and TRACES["chunk"] == before


@pytest.mark.parametrize("model", [net, MLP([6, 8, 3])])
@pytest.mark.parametrize("label", [3, -1])
def test_a_single_label_out_of_range_is_found_anywhere(model, label):
    data = blobs(count=3000)
    targets = np.asarray(data.train.targets).copy()
    targets[1234] = label
    with pytest.raises(DataError, match=rf"labels must lie in 0..2; got {label}"):
        train(Problem(model, with_targets(data, targets)), RECIPE)


def test_targets_that_are_not_finite_are_refused():
    data = line(2000)
    for value in (np.nan, np.inf, -np.inf):
        targets = np.asarray(data.train.targets).copy()
        targets[777] = value
        with pytest.raises(DataError, match="targets must be finite"):
            check_loss(Problem(MLP([1, 4, 1]), with_targets(data, targets)))


def test_sorted_labels_are_checked_from_end_to_end():
    data = blobs(classes=2)
    targets = np.sort(np.asarray(data.train.targets)).astype(np.int32) * 2  # 0 and 2: no yes or no
    with pytest.raises(DataError, match=r"probabilities, in \[0, 1\]; got 2"):
        check_loss(Problem(MLP([6, 4, 1]), with_targets(data, targets), loss=BinaryCrossEntropy()))


def test_targets_of_another_shape_are_refused():
    with pytest.raises(ModelError, match="kl: targets must be distributions"):
        check_loss(Problem(MLP([6, 8, 3]), blobs(), loss=KullbackLeibler()))
    with pytest.raises(ModelError, match="mse: outputs and targets must have the same shape"):
        check_loss(Problem(net, blobs(), loss="mse"))
    with pytest.raises(
        DataError, match=r"cross_entropy: targets must be probabilities.*\(in the training split\)"
    ):
        check_loss(Problem(MLP([1, 4, 1]), line(), loss=CrossEntropy()))


def test_what_fits_passes_and_of_a_function_only_the_shape_is_checked():
    check_loss(problem())
    check_loss(Problem(MLP([6, 8, 3]), blobs()))
    check_loss(
        Problem(MLP([1, 4, 1]), line(), loss=lambda outputs, targets: jnp.square(outputs - targets).sum())
    )
    with pytest.raises(ModelError, match="one floating-point number per example"):
        check_loss(Problem(MLP([1, 4, 1]), line(), loss=lambda outputs, targets: outputs > targets))


def test_our_own_architectures_are_checked_without_a_computation(monkeypatch):
    monkeypatch.setattr("thalweg.run.validate.outputs", lambda *_: 1 / 0)
    check_loss(Problem(MLP([6, 8, 3]), blobs()))
    with pytest.raises(ZeroDivisionError):
        check_loss(problem())


def test_a_batch_is_at_most_the_training_split():
    count = blobs().train.count()
    check_recipe(problem(), Recipe(SGD(lr=0.1), batch_size=count, steps=2))
    with pytest.raises(RecipeError, match=f"at most the training split's {count} examples"):
        check_recipe(problem(), Recipe(SGD(lr=0.1), batch_size=count + 1, steps=2))


@pytest.mark.parametrize(
    ("given", "reached", "missed", "said"),
    [
        (problem(), [0.5, 1.0], 1.5, "at most 1, the best possible accuracy"),
        (Problem(MLP([1, 4, 1]), line()), [3.0, 0.0], -0.5, "at least 0, the best possible rmse"),
    ],
)
def test_a_target_better_than_the_best_is_refused(given, reached, missed, said):
    for target in reached:
        check_recipe(given, replace(RECIPE, target=target))
    with pytest.raises(RecipeError, match=f"target must be {said}"):
        check_recipe(given, replace(RECIPE, target=missed))


def test_several_values_in_place_of_one_are_refused():
    several = Recipe(SGD(lr=jnp.array([0.1, 0.2])), batch_size=16, steps=2)
    with pytest.raises(RecipeError, match=r"lr must be one number.*\nhint: .*recipe\.vary"):
        check_recipe(problem(), several)
