"""The loss that a repair puts in place of one that does not fit, by the formulas of the books."""

from types import SimpleNamespace
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from thalweg.insight.doctor.anatomy import BINARY, CLASSES, VALUES
from thalweg.insight.doctor.usual import usual_loss

LOGITS = np.array([[-2.0], [0.5], [3.0]], np.float32)
CERTAIN = 1 / (1 + np.exp(-LOGITS))


def losses(kind: str, targets: Any, outputs: Any, levels: Any = None, **how: bool) -> np.ndarray:
    anatomy: Any = SimpleNamespace(kind=kind, levels=levels, train=SimpleNamespace(y=np.asarray(targets)))
    function, _ = usual_loss(anatomy, **{"probabilities": False} | how)
    return np.asarray(function(jnp.asarray(outputs), jnp.asarray(targets)))


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-1, 1), (1, 2)])
@pytest.mark.parametrize("probabilities", [False, True])
def test_two_labels_are_told_apart_whatever_they_are_called(low, high, probabilities):
    given = CERTAIN if probabilities else LOGITS
    found = losses(BINARY, [[low], [high], [high]], given, probabilities=probabilities)
    expected = -np.log([1 - CERTAIN[0, 0], CERTAIN[1, 0], CERTAIN[2, 0]])
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.parametrize("probabilities", [False, True])
@pytest.mark.parametrize(("targets", "levels"), [([0, 2], None), ([3.0, 9.0], [3.0, 5.0, 9.0])])
def test_classes_are_numbers_or_levels_or_columns(targets, levels, probabilities):
    logits = np.array([[1.0, -1.0, 0.0], [0.0, 2.0, 1.0]])
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = -np.log(shares[[0, 1], [0, 2]])
    given = shares if probabilities else logits
    np.testing.assert_allclose(
        losses(CLASSES, targets, given, levels, probabilities=probabilities), expected, rtol=1e-5
    )
    columns = np.eye(3)[[0, 2]]
    np.testing.assert_allclose(
        losses(CLASSES, columns, given, probabilities=probabilities), expected, rtol=1e-5
    )


def test_values_and_two_labels_by_distance_have_a_squared_error():
    targets, outputs = np.array([[1.0], [-1.0]]), np.array([[0.5], [1.0]])
    for kind, how in ((VALUES, {}), (BINARY, {"distance": True})):
        np.testing.assert_allclose(losses(kind, targets, outputs, **how), [0.25, 4.0])
