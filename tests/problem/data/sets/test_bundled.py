import subprocess
import sys

import numpy as np
import pytest
from sklearn import datasets

from tests.problem.data.given import refused
from thalweg.problem.data.sets import bundled

READERS = {
    "iris": datasets.load_iris,
    "wine": datasets.load_wine,
    "breast_cancer": datasets.load_breast_cancer,
    "diabetes": lambda: datasets.load_diabetes(scaled=False),
}


@pytest.mark.parametrize("name", bundled.TABLES)
def test_tables_are_those_of_scikit_learn(name):
    expected, (frame, target) = READERS[name](), bundled.table(name)
    assert frame.columns == [*expected.feature_names, target]
    assert np.array_equal(frame.drop(target).to_numpy(), expected.data)
    names = getattr(expected, "target_names", None)
    labels = expected.target if names is None else np.asarray(names)[expected.target]
    assert frame[target].to_list() == labels.tolist()


def test_digits_are_those_of_scikit_learn():
    expected, digits = datasets.load_digits(), bundled.digits()
    assert np.array_equal(digits.inputs, expected.images) and np.array_equal(digits.targets, expected.target)


def test_reading_data_does_not_import_scikit_learn():
    code = "import sys, thalweg.problem.data.load as l; l.load('digits'); sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_file_that_scikit_learn_lacks_is_refused(monkeypatch):
    monkeypatch.setattr(bundled.importlib.util, "find_spec", lambda name: None)
    with refused("scikit-learn must contain digits.csv.gz"):
        bundled.digits()
