"""Rows to judge a trained model by: its answers, the truth, and where they came from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from thalweg.core.lazy import pl
from thalweg.insight.decisions.columns import Column, columns_of
from thalweg.problem.calibration import Calibration
from thalweg.problem.data.data import CLASSIFICATION, REGRESSION, Data
from thalweg.problem.data.labelled import LabelledRows
from thalweg.problem.data.split import Rows, Split
from thalweg.problem.losses.outputs import class_columns, probabilities
from thalweg.run.restore import Trained

# Rows that are judged at most, drawn at random: of inputs that are not columns, a pass takes longer.
MOST_ROWS, MOST_LARGE = 20_000, 4_000
# Rows of a slice of `Trained.outputs`. More than half of one is filled up, so that few programs are compiled.
SLICE = 4096


@dataclass(frozen=True)
class Answers:
    """A model's answers for rows.

    Args:
        shares: Probability of each class, `row class`; None for values and for scores.
        scores: What decides between classes, `row class`; None for values.
        values: Predicted values in the target's unit, `row`; None for classes.
    """

    shares: Float[np.ndarray, "row class"] | None
    scores: Float[np.ndarray, "row class"] | None
    values: Float[np.ndarray, " row"] | None

    @property
    def predicted(self) -> np.ndarray:
        """The predicted class of each row, or its value."""
        if self.values is not None:
            return self.values
        assert self.scores is not None
        return self.scores.argmax(axis=1)

    @property
    def finite(self) -> bool:
        """Whether all answers are finite numbers."""
        return all(np.isfinite(each).all() for each in vars(self).values() if each is not None)

    def positive(self) -> np.ndarray:
        """Return the score of the second of two classes: its probability where there is one."""
        if self.shares is not None:
            return self.shares[:, 1]
        assert self.scores is not None
        return (self.scores[:, 1] - self.scores[:, 0]) / 2

    def __getitem__(self, rows: Any) -> Answers:
        """Return the answers for some of the rows."""
        return Answers(*(None if each is None else each[rows] for each in vars(self).values()))


@dataclass(frozen=True)
class Case:
    """Rows that a model is judged by.

    Args:
        trained: The model.
        targets: Class numbers, or values in the target's unit, `row`.
        answers: The model's.
        inputs: As the model takes them before `scale`; None where they are not columns.
        of: Rows there are; fewer are judged where that is more than `len(targets)`.
        numbers: Of the rows in the source, from 0; None where that is not known.
        files: Of each row, where each is a file.
        cells: The rows of the table as they were read; None for other data.
        held: Targets and answers of the validation part; None if there is none.
        split: What the rows are: `test`, or `data` for those of a caller.
    """

    trained: Trained
    targets: np.ndarray
    answers: Answers
    inputs: Float[np.ndarray, "row input"] | None
    of: int
    numbers: np.ndarray | None = None
    files: list[str] | None = None
    cells: pl.DataFrame | None = None
    held: tuple[np.ndarray, Answers] | None = None
    split: str = "test"

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, by number; empty for values."""
        if self.answers.scores is None:
            return ()
        width = self.answers.scores.shape[1]
        return tuple(map(str, self.trained.preparation.classes or range(width)))

    @property
    def columns(self) -> list[Column]:
        """The columns behind the inputs; none where they are not columns."""
        return [] if self.inputs is None else columns_of(self.trained.preparation)

    def answers_for(self, inputs: Float[np.ndarray, "row input"]) -> Answers:
        """Return the model's answers for other inputs."""
        return _answers(self.trained, inputs)


def judges(task: str, targets: Any) -> bool:
    """Return whether there are figures for this task: one class or one value for each example."""
    if targets is None or task not in (CLASSIFICATION, REGRESSION):
        return False
    return targets.ndim == 1 if task == CLASSIFICATION else targets.shape[1:] == (1,)


def case_of(trained: Trained, data: Data) -> Case | None:
    """Return the case of a run's own test rows; None where there is none."""
    test = data.test
    if test is None or test.example_weights is not None or not judges(data.task, test.known_targets):
        return None
    rows = _chosen(test.count(), _most(trained))
    targets, answers, inputs = _judged(trained, test, rows)
    numbers, cells = data.rows.get("test"), data.cells
    numbers = None if numbers is None or len(numbers) != test.count() else np.asarray(numbers)[rows]
    cells = None if cells is None or len(cells) != test.count() else cells[rows]
    case = Case(trained, targets, answers, inputs, test.count(), numbers, None, cells)
    return replace(case, held=validation_of(trained, data))


def case_of_new(trained: Trained, rows: LabelledRows, inputs: Any, files: list[str] | None) -> Case | None:
    """Return the case of other data, which have been read and prepared; None where there are no figures."""
    if not judges(trained.task, rows.targets):
        return None
    chosen = _chosen(len(rows.targets), _most(trained))
    arrays = jax.tree.map(lambda leaf: np.asarray(leaf)[chosen], inputs)
    cells = rows.raw[chosen] if isinstance(rows.raw, pl.DataFrame) else None
    targets = _in_unit(trained, rows.targets[chosen], None)
    names = None if files is None else [files[row] for row in chosen]
    flat = arrays if columns_of(trained.preparation) else None
    answers = _answers(trained, arrays)
    return Case(
        trained, targets, answers, flat, len(rows.targets), rows.numbers[chosen], names, cells, split="data"
    )


def validation_of(trained: Trained, data: Data) -> tuple[np.ndarray, Answers] | None:
    """Return targets and answers of the validation part; None if there is none.

    Of an ensemble with folds each row is answered by the members that were not trained on it.
    """
    held = data.validation
    if held is None or not judges(data.task, held.known_targets):
        return None
    targets, answers, _ = _judged(trained, held, _chosen(held.count(), _most(trained)))
    return targets, answers


def _judged(trained: Trained, split: Split, rows: np.ndarray) -> tuple[np.ndarray, Answers, Any]:
    inputs: Any
    if type(split) is Rows:  # on the host: indexing on the device compiles a program for each shape
        inputs = jax.tree.map(lambda leaf: np.asarray(leaf)[rows], split.inputs)
    else:
        inputs = jax.device_get(split.batch(jnp.asarray(rows))[0])
    offsets = None if split.offsets is None else np.asarray(split.offsets)[rows]
    targets = _in_unit(trained, np.asarray(split.known_targets)[rows], offsets)
    flat = inputs if columns_of(trained.preparation) and type(split) is Rows else None
    return targets, _answers(trained, inputs, offsets), flat


def _answers(trained: Trained, inputs: Any, offsets: np.ndarray | None = None) -> Answers:
    count = jax.tree.leaves(inputs)[0].shape[0]
    more = -count % SLICE if count > SLICE // 2 else 0
    filled = inputs
    if more:
        filled = jax.tree.map(lambda leaf: np.concatenate([leaf, np.repeat(leaf[:1], more, axis=0)]), inputs)
    outputs = np.asarray(trained.outputs(filled))[:count]
    if trained.task == REGRESSION:
        values = np.asarray(trained.answers_of(outputs, offsets)["prediction"], np.float64)
        return Answers(None, None, values.reshape(count))
    calibration: Calibration | None = trained.calibration
    if calibration is not None:
        outputs = calibration.applied(outputs, trained.meaning)
    shares = probabilities(np.asarray(outputs, np.float64), trained.meaning)
    return Answers(shares, np.asarray(class_columns(outputs, trained.meaning)), None)


def _in_unit(trained: Trained, targets: np.ndarray, offsets: np.ndarray | None) -> np.ndarray:
    if trained.task == CLASSIFICATION:
        return targets.astype(np.int64)
    facts = trained.preparation
    mean, scale = (np.ravel(each)[0] for each in (facts.target_mean, facts.target_scale))
    return (targets.reshape(len(targets)) + (0.0 if offsets is None else offsets)) * float(scale) + float(
        mean
    )


def _most(trained: Trained) -> int:
    return MOST_ROWS if columns_of(trained.preparation) else MOST_LARGE


def _chosen(count: int, most: int) -> np.ndarray:
    """Return the rows to judge, ascending: all, or so many from a fixed seed."""
    return np.arange(count) if count <= most else np.sort(np.random.default_rng(0).permutation(count)[:most])
