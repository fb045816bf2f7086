"""Inputs in another unit than those of training are refused; shifted, wild, sparse and blank ones are not."""

import json

import numpy as np
import pytest

from tests.problem.data.given import refused
from thalweg.problem.data.inputs.array import ArrayInputs, Range, check_range
from thalweg.problem.data.inputs.image import ImageInputs
from thalweg.problem.data.load import load
from thalweg.problem.data.predict_inputs import inputs_for
from thalweg.problem.data.preparation import Preparation

RANDOM = np.random.default_rng(0)
LABELS = np.arange(200) % 2
DRAWINGS = np.where(RANDOM.random((200, 12, 12)) < 0.15, RANDOM.integers(1, 256, (200, 12, 12)), 0)
PHOTOS = RANDOM.integers(0, 256, (200, 12, 12, 3))


def columns(train):
    """Return the host side of the preparation for these arrays, as read from a run folder."""
    preparation = load((train, LABELS), test=0, validation=0).preparation
    return Preparation.from_dict(json.loads(json.dumps(preparation.to_dict()))).columns


FORMS = {
    "bytes": lambda x: x.astype(np.uint8),
    "floats of 0..255": lambda x: x.astype(np.float32),
    "whole numbers": lambda x: x.astype(np.int64),
    "rows of 0..255": lambda x: x.reshape(len(x), -1).astype(float),
    "uniform rows": lambda x: RANDOM.uniform(0, 255, (200, 20)),
}
UNIT = {name: (lambda x, form=form: form(x) / 255) for name, form in FORMS.items() if name != "whole numbers"}


@pytest.mark.parametrize("raw", [DRAWINGS, PHOTOS], ids=["drawings", "photos"])
@pytest.mark.parametrize("form", FORMS)
def test_brightness_of_one_unit_is_refused_by_a_model_of_255(form, raw):
    train = FORMS[form](raw)
    model = columns(train)
    assert model.inputs(train[:7]).shape[0] == 7 and model.inputs(train[:1]).shape[0] == 1
    for count in (1, 7, 200):
        with refused("in training" if isinstance(model, ImageInputs) else "in the unit of training"):
            model.inputs(train[:count] / 255)


@pytest.mark.parametrize("raw", [DRAWINGS, PHOTOS], ids=["drawings", "photos"])
@pytest.mark.parametrize("form", UNIT)
def test_brightness_of_255_is_refused_by_a_model_of_one_unit(form, raw):
    train = UNIT[form](raw)
    model = columns(train)
    assert model.inputs(train[:7]).shape[0] == 7
    for count in (1, 7, 200):
        with refused("in the unit of training", "got numbers from"):
            model.inputs(
                np.rint(train[:count] * 255) if form != "uniform rows" else train[:count] * 255 * 1.0
            )


def test_types_of_one_range_are_equal():
    train = PHOTOS.astype(np.uint8)
    model = columns(train)
    for kind in (np.float64, np.float32, np.int32, np.int64, np.uint16):
        assert np.array_equal(model.inputs(train.astype(kind)), train)
    assert np.array_equal(model.inputs(train[:3] * 0.99), np.rint(train[:3] * 0.99))
    floats = columns(train.astype(np.float32))
    assert np.array_equal(floats.inputs(train), train)


def test_masks_of_zero_and_one_are_bytes_too():
    masks = RANDOM.integers(0, 2, (200, 12, 12)).astype(np.uint8)
    model = columns(masks)
    assert np.array_equal(model.inputs(masks.astype(float)), masks)
    with refused("in the unit of training"):
        model.inputs(masks * 255)


def test_blank_and_dark_images_pass():
    model = columns(DRAWINGS.astype(np.uint8))
    for level in (0, 1, 3, 255):
        assert model.inputs(np.full((2, 12, 12), level, np.uint8)).max() == level
    assert model.inputs(np.zeros((2, 12, 12))).max() == 0
    units = columns(DRAWINGS / 255)
    assert (
        units.inputs(np.zeros((2, 12, 12))).max() == 0 and units.inputs(np.full((1, 12, 12), 2.0)).max() == 2
    )


def test_honest_shifts_of_a_table_pass():
    train = np.column_stack(
        [
            RANDOM.normal(0, 1, 200),
            RANDOM.lognormal(0, 2, 200),
            RANDOM.poisson(0.05, 200),
            np.linspace(1900, 2000, 200),
            (np.arange(200) == 7).astype(float),  # one of 200 rows
            np.ones(200),
        ]
    )
    model = columns(train)
    shifted = train[:20].copy()
    shifted[:, 0] += 15
    shifted[:, 3] = 2026
    shifted[:, 4] = 1
    shifted[:, 5] = 1e6  # constant in training
    assert np.isfinite(model.inputs(shifted)).all()
    wild = train[:20].copy()
    wild[:, 1] = 1e9
    wild[:5] = 1e9
    assert np.isfinite(model.inputs(wild)).all()
    assert np.isfinite(model.inputs(np.zeros((3, 6)))).all()


def test_a_table_in_another_unit_is_refused():
    train = RANDOM.normal(20, 5, (200, 4))
    with refused("inputs must be in the unit of training", "training had", "convert them"):
        columns(train).inputs(train * 1000)
    with refused("in the unit of training"):
        columns(train).inputs(train / 1000)
    with refused("in the unit of training"):
        columns(train[:, :1]).inputs(train[:9, :1] * 1000)


def test_random_training_rows_and_their_shifts_always_pass():
    """No row that training could have had, moved by up to five of its standard deviations, is refused."""
    for seed in range(200):
        rng = np.random.default_rng(seed)
        width = int(rng.integers(1, 30))
        draws = (rng.normal, rng.standard_cauchy, rng.exponential, rng.lognormal, rng.random)
        sample = draws[seed % len(draws)]
        scales = 10.0 ** rng.uniform(-3, 3, width)
        train = sample(size=(50, width)) * scales + rng.normal(size=width) * scales * rng.integers(0, 3)
        model = ArrayInputs.fit(train)
        new = train[rng.integers(0, 50, 9)] + rng.uniform(-5, 5, width) * train.std(axis=0)
        assert model.inputs(new[: int(rng.integers(1, 10))]).shape[1] == width


def test_standardised_columns_without_a_known_range():
    check_range("table", RANDOM.normal(0, 1, (50, 3)) + 15)
    with refused("table must be in the unit of training"):
        check_range("table", RANDOM.normal(0, 1, (50, 3)) + 30)


def test_a_test_split_in_another_unit_is_refused_when_read():
    train, test = PHOTOS[:150] / 255, PHOTOS[150:].astype(float)
    with refused("in the unit of training"):
        load((train, LABELS[:150]), test=(test, LABELS[150:]))


def test_run_folders_of_older_versions_have_no_range():
    plain = columns(PHOTOS.astype(np.uint8)).to_dict()
    old = ImageInputs.from_dict({"shape": plain["shape"], "byte": True})
    assert old.range == Range() and np.array_equal(old.inputs(PHOTOS.astype(float)), PHOTOS)
    with refused("brightness values from 0 to 255"):
        old.inputs(PHOTOS / 255)
    table = ArrayInputs.from_dict({"shape": [1], "mean": [0.0], "scale": [1.0]})
    assert table.inputs(np.full((2, 1), 1e6)).max() == 1e6


def test_prediction_for_files_checks_too(tmp_path):
    train = UNIT["rows of 0..255"](PHOTOS)
    preparation = load((train, LABELS), test=0, validation=0).preparation
    np.save(tmp_path / "x.npy", train * 255)
    with refused("in the unit of training"):
        inputs_for(tmp_path / "x.npy", preparation)


def test_a_faint_example_among_others_is_no_other_unit():
    fitted = ArrayInputs.fit(RANDOM.uniform(1, 255, (50, 6)))
    mixed = RANDOM.uniform(1, 255, (5, 6))
    mixed[0] *= 1e-6
    assert np.isfinite(fitted.inputs(mixed)).all()
