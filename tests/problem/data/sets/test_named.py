import numpy as np
import pytest

from tests.problem.data.given import REAL, needs_real, refused
from thalweg.problem.data.load import load
from thalweg.problem.data.sets import synthetic
from thalweg.problem.data.sets.named import names

SHAPES = {
    "digits": ("classification", (8, 8), 10, 1797),
    "iris": ("classification", (4,), 3, 150),
    "wine": ("classification", (13,), 3, 178),
    "breast_cancer": ("classification", (30,), 2, 569),
    "diabetes": ("regression", (10,), 1, 442),
    "xor": ("classification", (2,), 2, 1000),
    "moons": ("classification", (2,), 2, 1000),
    "circles": ("classification", (2,), 2, 1000),
    "spirals": ("classification", (2,), 2, 1000),
    "sine": ("regression", (1,), 1, 1000),
    "linear": ("regression", (1,), 1, 1000),
    "quadratic": ("regression", (1,), 1, 1000),
}


@pytest.mark.parametrize("name", SHAPES)
def test_sets_that_need_no_file(name):
    data = load(name)
    count = sum(split.count() for split in data.splits.values())
    assert (data.task, data.input_shape, data.outputs, count) == SHAPES[name]
    assert set(data.splits) == {"train", "validation", "test"} and data.name == name
    assert load(name).fingerprint == data.fingerprint


def test_digits_are_bytes_from_0_to_16():
    data = load("digits")
    assert data.train.inputs.dtype == np.uint8 and data.train.inputs.max() == 16
    assert data.preparation.classes == tuple(range(10))


def test_iris_names_its_classes():
    assert load("iris").preparation.classes == ("setosa", "versicolor", "virginica")


@pytest.mark.parametrize("name", synthetic.SETS)
def test_synthetic_sets_never_change(name):
    # Written down once: lessons and tests refer to these very numbers. The last bits are the processor's.
    raw = synthetic.make(name)
    assert float(raw.inputs[:, 0] @ np.cos(np.arange(1000))) == pytest.approx(MADE[name], abs=1e-3)


MADE = {
    "xor": 15.1222,
    "moons": -12.2855,
    "circles": 10.5205,
    "spirals": -1.4892,
    "sine": 19.7004,
    "linear": 12.8021,
    "quadratic": 6.3518,
}


@pytest.mark.parametrize("name", ["moons", "circles", "spirals", "xor"])
def test_synthetic_classes_are_learnable(name):
    data = load(name)
    train, test = data.train, data.test
    near = (
        ((np.asarray(test.inputs)[:, None] - np.asarray(train.inputs)[None]) ** 2).sum(axis=2).argmin(axis=1)
    )
    assert np.mean(np.asarray(train.targets)[near] == test.targets) > 0.95  # one nearest neighbour


def test_an_unknown_name_gets_the_nearest():
    with refused("must be a named set", "got digts", "did you mean the named set 'digits'?"):
        load("digts")


def test_all_names_are_known():
    assert set(SHAPES) < set(names()) and {"mnist", "fashion_mnist", "cifar10", "tinyshakespeare"} < set(
        names()
    )


@needs_real
def test_mnist_has_its_own_test_split():
    data = load("mnist", folder=REAL)
    assert [split.count() for split in data.splits.values()] == [54_000, 6_000, 10_000]
    assert data.input_shape == (28, 28) and data.train.inputs.dtype == np.uint8
    assert -data.preparation.input_shift / 255 == pytest.approx(0.1307, abs=5e-4)
    assert 1 / data.preparation.input_scale / 255 == pytest.approx(0.3081, abs=5e-4)


@needs_real
def test_fashion_mnist_names_its_classes(monkeypatch):
    monkeypatch.setenv("THALWEG_DATA", str(REAL))
    data = load("fashion_mnist", validation=0)
    assert data.train.count() == 60_000 and data.preparation.classes[0] == "T-shirt"
    assert np.bincount(data.train.targets).tolist() == [6000] * 10


@needs_real
def test_the_variable_may_name_the_folder_itself(monkeypatch):
    monkeypatch.setenv("THALWEG_DATA", str(REAL / "cifar10"))
    data = load("cifar10")
    assert data.test.count() == 1000 and data.input_shape == (32, 32, 3)


@needs_real
def test_tinyshakespeare_has_the_65_characters_of_nanogpt():
    data = load("tinyshakespeare", folder=REAL)
    assert data.outputs == 65 and data.train.tokens.size == 1_003_855
    assert data.train.tokens.dtype == np.uint8
    assert data.preparation.columns.text(data.train.tokens[:13]) == "First Citizen"
