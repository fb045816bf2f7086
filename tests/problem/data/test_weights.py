"""Weights of examples: those of the rows that are used, with mean 1 whatever part of them is read."""

import numpy as np
import pytest

from thalweg.problem.data.weights import WeightedRows, of_rows, weights_by_split


def test_fewer_rows_have_weights_of_mean_one_again():
    values = np.arange(12.0, dtype=np.float32)
    weights = np.where(np.arange(12) % 3 == 0, 3.0, 0.5).astype(np.float32)
    fewer = WeightedRows(values[:, None], values[:, None], weights).fewer(4)
    rows = np.ravel(fewer.inputs).astype(int)
    assert fewer.count() == 4 and fewer.example_weights.mean() == pytest.approx(1)
    np.testing.assert_allclose(fewer.example_weights, weights[rows] / weights[rows].mean(), rtol=1e-6)


def test_weights_are_those_of_the_rows_that_are_used():
    kept = np.array([1, 3, 4])
    assert of_rows([5, 1, 5, 2, 3], 5, kept).tolist() == [1, 2, 3]
    parts = weights_by_split(np.array([5.0, 1, 5, 2, 3]), {"train": kept, "test": np.array([0, 2])})
    np.testing.assert_allclose(parts["train"], [0.5, 1, 1.5])
    np.testing.assert_allclose(parts["test"], [1, 1])
