"""The image benchmarks: all implementations of convolution agree, and the tables show what was measured."""

import jax
import numpy as np
import pytest
from benchmarks import cifar, convolutions
from benchmarks.contestants import convolutions as forms

from thalweg.problem.models import parse
from thalweg.problem.models.layers.convolution import im2col
from thalweg.recipe.book import BOOK


def test_all_forms_take_part():
    assert set(convolutions.FORMS) == set(forms.FORMS)
    assert {net["net"] for net in convolutions.NETS.values()} == set(forms.NETS)


@pytest.mark.parametrize("form", forms.FORMS)
@pytest.mark.parametrize("stride", [1, 2])
def test_every_form_computes_the_same(form, stride):
    x = jax.random.normal(jax.random.key(0), (6, 5, 8))
    kernel = jax.random.normal(jax.random.key(1), (8, 3, 3, 8))
    found = forms.FORMS[form](x, kernel, stride)
    np.testing.assert_allclose(found, im2col(x, kernel, stride), rtol=1e-4, atol=1e-4)


def test_the_ratio_is_over_the_quicker_memory_format_within_a_round():
    times = {form: [10.0, 20.0, 30.0] for form in convolutions.FORMS}
    peers = {"PyTorch NCHW": [15.0, 30.0, 60.0], "PyTorch NHWC": [40.0, 40.0, 40.0]}
    line = convolutions.table({"milliseconds": {"CNN": times | peers}}).splitlines()[-1]
    assert line.endswith("| 30.0 (15.0-60.0) NCHW | 1.50 (1.50-2.00) |")


def run_of(test: float, minutes: float) -> dict:
    return {"test": test, "validation": test, "process_seconds": 60 * minutes}


@pytest.mark.parametrize(
    ("runs", "word"),
    [
        ([run_of(0.70, 5), run_of(0.67, 5)], "reached"),
        ([run_of(0.70, 5), run_of(0.65, 5)], "not reached"),
        ([run_of(0.70, 5), run_of(0.70, 21)], "not reached"),
    ],
)
def test_the_goal_is_on_the_mean_accuracy_and_on_the_slowest_seed(runs, word):
    line = cifar.table({"model": "m", "recipe": "r", "runs": runs}).splitlines()[-1]
    assert line.endswith(f"20 minutes: {word} |")


def test_the_net_and_the_recipe_exist():
    assert parse(cifar.MODEL).spec() == cifar.MODEL
    assert BOOK[cifar.RECIPE].recipe.augment == "crop-flip"
