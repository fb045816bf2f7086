"""Finding the batch size: what is useful, what fits, which rate goes with each."""

import json

import numpy as np
import pytest

from tests import made
from tests.insight.finder import planted
from thalweg.core.errors import RecipeError
from thalweg.insight.finder.batch_limits import fits, update_bytes
from thalweg.insight.finder.batch_size import find_batch_size
from thalweg.problem.models import MLP
from thalweg.problem.problem import Problem
from thalweg.recipe.optimizers import LBFGS, SGD
from thalweg.recipe.recipe import Recipe

RECIPE = Recipe(SGD(lr=0.01), batch_size=16, epochs=20)


@pytest.fixture(scope="module")
def problem():
    return planted.blobs()


@pytest.fixture(scope="module")
def finding(problem):
    return find_batch_size(problem, RECIPE, sizes=[8, 16, 128], share=2.0)


def test_every_size_has_its_rate_and_what_it_reached(finding):
    assert finding.table["batch"].to_list() == [8, 16, 128]
    for row in finding.table.drop_nulls("low").iter_rows(named=True):
        assert row["low"] <= row["value"] <= row["high"]
    assert np.isfinite(finding.table["loss"].to_numpy()).all()


def test_scaling_rules_start_from_the_own_size(finding):
    rows = {row["batch"]: row for row in finding.table.iter_rows(named=True)}
    rate = rows[16]["value"]
    assert rows[16]["linear"] == rows[16]["sqrt"] == pytest.approx(rate, rel=1e-2)
    assert rows[128]["linear"] == pytest.approx(8 * rate, rel=1e-2)
    assert rows[128]["sqrt"] == pytest.approx(8**0.5 * rate, rel=1e-2)


def test_the_size_taken_is_useful_and_fits(finding):
    assert finding.value in (8, 16, 128) and finding.value <= finding.fits.batch
    assert finding.value <= finding.largest_useful or finding.value == 8
    assert finding.recipe.batch_size == finding.value and finding.recipe.optimizer.lr == finding.lr
    assert "noise scale" in finding.reason and "linear scaling" in finding.reason


def test_it_is_plain_data(finding):
    values = json.loads(json.dumps(finding.to_dict()))
    assert values["noise_scale"]["low"] <= values["noise_scale"]["value"] <= values["noise_scale"]["high"]
    assert values["cost"]["steps"] == finding.cost.steps > 0 and len(values["table"]) == 3


def test_the_run_keeps_its_number_of_examples(problem):
    finding = find_batch_size(problem, Recipe(SGD(lr=0.01), batch_size=16, steps=200), sizes=[64], share=1.0)
    assert finding.recipe.steps == 50


@pytest.mark.parametrize("sizes", [[0], [2.5], [True], [211], []])
def test_invalid_sizes_are_refused(problem, sizes):
    with pytest.raises(RecipeError, match="find_batch_size: sizes"):
        find_batch_size(problem, RECIPE, sizes=sizes)


def test_an_optimizer_without_a_rate_is_refused(problem):
    with pytest.raises(RecipeError, match="learning rate"):
        find_batch_size(problem, Recipe(LBFGS(), batch_size="full"))


def test_where_nothing_can_be_learned_no_size_is_named():
    finding = find_batch_size(planted.blocked(), RECIPE, sizes=[16], share=1.0)
    assert finding.value is None and "cannot learn" in finding.reason and finding.recipe == RECIPE


@pytest.fixture(scope="module")
def wide():
    return Problem(MLP([6, 512, 512, 3]), made.blobs(count=3000))


def test_an_answer_leaves_its_margin_free(wide):
    needed = update_bytes(wide, RECIPE, 512)
    finding = fits(wide, RECIPE, free=round(needed / 0.7), margin=0.3)
    # Buffers are shared, so that sizes are no straight line: an answer may be too small, never too large.
    assert 0.4 * 512 < finding.batch < 1.05 * 512
    assert update_bytes(wide, RECIPE, finding.batch) <= 0.7 * finding.bytes_free * 1.02


def test_with_room_enough_the_whole_part_fits_and_with_none_nothing(wide):
    assert fits(wide, RECIPE, free=10**12).batch == wide.data.train.count()
    assert fits(wide, RECIPE, free=1000).batch == 0
