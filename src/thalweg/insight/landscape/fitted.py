"""`Fitted`: what a network has learned of data that can be drawn: its decision boundary, or its curve."""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from thalweg.insight.landscape.subject import Subject
from thalweg.problem.data.data import CLASSIFICATION, REGRESSION
from thalweg.problem.data.inputs.rules import NumberRule
from thalweg.problem.losses.outputs import class_columns
from thalweg.problem.models.adapter import PartitionedModel, fixed_as_trained
from thalweg.run.outputs import outputs

# Points along each axis, and the most examples that are drawn.
SIDE, CURVE_POINTS, MOST_EXAMPLES = 121, 400, 800
# Room around the examples, as a share of their extent.
MARGIN = 0.1


@dataclass(frozen=True)
class Fitted:
    """A network's answers over the plane of its two inputs, or along its one input.

    Args:
        names: Of the horizontal and the vertical axis.
        x, y: Coordinates of the grid; `y` is empty for a curve.
        lead: For classes: by how much each class leads over the best other one, `class row column`. For a
            number of two inputs: one plane with the predictions.
        curve: Predictions along `x`; empty for a plane.
        examples: Training examples, `example 2`: their inputs, or input and target.
        labels: Class of each; -1 where there are none.
        classes: Names of the classes.
    """

    names: tuple[str, str]
    x: Float[np.ndarray, " column"]
    y: Float[np.ndarray, " row"]
    lead: Float[np.ndarray, "class row column"]
    curve: Float[np.ndarray, " column"]
    examples: Float[np.ndarray, "example 2"]
    labels: Int[np.ndarray, " example"]
    classes: tuple[str, ...]


def fitted(subject: Subject) -> Fitted | None:
    """Return what can be drawn of a run's answers; None for other data than one or two numbers in."""
    problem = subject.problem
    task, shape = problem.data.task, problem.data.input_shape
    one = shape == (1,) and task == REGRESSION
    if problem.objective is not None or not (one or (shape == (2,) and task in (CLASSIFICATION, REGRESSION))):
        return None
    if "train" not in problem.data.splits or not hasattr(problem.data.train, "inputs"):
        return None
    rows = jnp.asarray(_chosen(problem.data.train.count()))
    inputs, targets = (np.asarray(each) for each in problem.data.train.batch(rows))
    return _curve(subject, inputs, targets) if one else _plane(subject, inputs, targets)


def _chosen(count: int) -> np.ndarray:
    return np.unique(np.linspace(0, count - 1, min(count, MOST_EXAMPLES)).astype(np.int32))


def _plane(subject: Subject, inputs: np.ndarray, targets: np.ndarray) -> Fitted:
    problem = subject.problem
    low, high = _ends(inputs)
    across, up = np.linspace(low[0], high[0], SIDE), np.linspace(low[1], high[1], SIDE)
    grid = np.stack(np.meshgrid(across, up), axis=-1).reshape(-1, 2).astype(np.float32)
    given = _outputs(subject, grid)
    names, (x, y), examples = _in_units(problem.data.preparation, inputs, (across, up))
    if problem.data.task == CLASSIFICATION:
        columns = np.asarray(class_columns(given, problem.outputs), np.float64)
        lead = np.stack(
            [columns[:, k] - np.delete(columns, k, axis=1).max(axis=1) for k in range(columns.shape[1])]
        )
        classes = problem.data.preparation.classes or tuple(range(len(lead)))
        labels = targets.astype(int).reshape(-1)
    else:
        lead = problem.data.preparation.answers(given, REGRESSION)["prediction"].reshape(1, -1)
        classes, labels = (), np.full(len(inputs), -1)
    planes = lead.reshape(-1, SIDE, SIDE)
    return Fitted(names, x, y, planes, np.zeros(0), examples, labels, tuple(map(str, classes)))


def _curve(subject: Subject, inputs: np.ndarray, targets: np.ndarray) -> Fitted:
    preparation = subject.problem.data.preparation
    low, high = _ends(inputs)
    across = np.linspace(low[0], high[0], CURVE_POINTS)
    given = preparation.answers(_outputs(subject, across[:, None].astype(np.float32)), REGRESSION)
    names, (x,), at = _in_units(preparation, inputs, (across,))
    wanted = targets.reshape(len(inputs), -1)[:, 0] * np.ravel(preparation.target_scale)[0]
    wanted = wanted + np.ravel(preparation.target_mean)[0]
    examples = np.stack([at[:, 0], wanted], axis=1)
    names = (names[0], preparation.target)
    curve = np.asarray(given["prediction"], np.float64).reshape(len(x), -1)[:, 0]
    labels = np.full(len(inputs), -1)
    return Fitted(names, x, np.zeros(0), np.zeros((0, 0, 0)), curve, examples, labels, ())


def _ends(inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    low, high = inputs.min(axis=0).astype(float), inputs.max(axis=0).astype(float)
    room = MARGIN * np.where(high > low, high - low, 1.0)
    return low - room, high + room


def _outputs(subject: Subject, inputs: np.ndarray) -> np.ndarray:
    fixed = fixed_as_trained(subject.problem.model, subject.recipe.seed)
    built = PartitionedModel(subject.params, subject.model_state, fixed)
    return outputs(built, subject.problem.data.preparation.scale(inputs))


def _in_units(
    preparation: Any, inputs: np.ndarray, axes: tuple[np.ndarray, ...]
) -> tuple[tuple[str, str], tuple[np.ndarray, ...], np.ndarray]:
    """Return names, axes and examples in the units of the data, where a table's columns are plain numbers."""
    rules = getattr(preparation.columns, "rules", ())
    if len(rules) == len(axes) and all(
        isinstance(r, NumberRule) and not r.unit and not r.flag for r in rules
    ):
        names = tuple(rule.column for rule in rules)
        mean, scale = (np.array([getattr(rule, name) for rule in rules]) for name in ("mean", "scale"))
    else:
        names = tuple(f"input {number}" for number in range(len(axes)))
        mean, scale = np.zeros(len(axes)), np.ones(len(axes))
    turned = tuple(axis * s + m for axis, s, m in zip(axes, scale, mean, strict=True))
    return (names[0], names[-1]), turned, inputs * scale + mean
