"""New data with their targets: what a trained model is scored on."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from thalweg.core.errors import DataError
from thalweg.problem.data.data import CLASSIFICATION, MULTILABEL, REGRESSION
from thalweg.problem.data.inputs.column_types import Reading
from thalweg.problem.data.inputs.frames import is_frame, join_target
from thalweg.problem.data.inputs.table import TableColumns
from thalweg.problem.data.labels import Target, encode_known
from thalweg.problem.data.note import Note
from thalweg.problem.data.predict_inputs import NewData
from thalweg.problem.data.preparation import Preparation
from thalweg.problem.data.tables.target import join_targets, read_test_target

# The tasks whose new examples each have one target.
SCORED = (CLASSIFICATION, REGRESSION, MULTILABEL)
# A column that no table has.
_ROW = "\0row"


@dataclass(frozen=True)
class LabelledRows:
    """New rows that have a target.

    Args:
        raw: Those rows, as the columns of the preparation take them.
        targets: Encoded and standardised as in training, `example` or `example target`.
        numbers: Of those rows among the ones that were read, from 0.
        notes: Notes on what was left out, or read as something else.
    """

    raw: Any
    targets: np.ndarray
    numbers: np.ndarray
    notes: tuple[Note, ...] = ()


def has_labels(new: NewData, preparation: Preparation, task: str) -> bool:
    """Return whether new data hold the targets that a model of this task is scored on."""
    if task not in SCORED or preparation.heads:
        return False
    columns = preparation.columns
    if isinstance(columns, TableColumns):
        return new.labels is not None or _holds_target(new.raw, preparation)
    return new.labels is not None and columns.kind in ("image", "array")


def labelled_rows(new: NewData, preparation: Preparation, task: str) -> LabelledRows:
    """Return the rows of new data that have a target, with their targets as in training.

    Raises:
        DataError: There are no targets, or some are none that the model knows.
    """
    if not has_labels(new, preparation, task):
        raise _without(new, preparation, task)
    known = _known(preparation, task)
    if isinstance(preparation.columns, TableColumns):
        frame = new.raw
        if new.labels is not None:
            frame, name = join_target(frame.drop(preparation.target, strict=False), new.labels)
            frame = frame.rename({name: preparation.target})
        else:
            frame, _ = join_targets(frame, preparation.target, Reading(preparation.columns.missing))
        frame = frame.with_row_index(_ROW)
        frame, targets, notes = read_test_target(frame, known, preparation.columns.missing)
        numbers, frame = frame[_ROW].to_numpy(), frame.drop(_ROW)
        return LabelledRows(frame, _standardised(targets, preparation, task), numbers, notes)
    labels = np.asarray(new.labels)
    targets = encode_known(labels, known, preparation.target)
    count = len(new.raw)
    if len(targets) != count:
        rule, hint = "inputs and targets must have the same number of rows", "check that both belong together"
        raise DataError("data", rule, got=f"{count} and {len(targets)}", hint=hint)
    return LabelledRows(new.raw, _standardised(targets, preparation, task), np.arange(count))


def _holds_target(raw: Any, preparation: Preparation) -> bool:
    """Return whether a frame has the columns of the target, and values in them."""
    if not is_frame(raw):
        return False
    own, several = preparation.target, preparation.target_names
    names = [own] if own in raw.columns or not several else several
    return all(name in raw.columns and raw[name].null_count() < raw.height for name in names)


def _known(preparation: Preparation, task: str) -> Target:
    """Return the target of training, without its rows."""
    several = preparation.target_mean if isinstance(preparation.target_mean, (tuple, list)) else (0,)
    shape = (0,) if task == CLASSIFICATION else (0, len(several))
    if task == MULTILABEL:
        shape = (0, len(preparation.classes or ()))
    return Target(task, np.empty(shape), preparation.classes, preparation.target)


def _standardised(targets: np.ndarray, preparation: Preparation, task: str) -> np.ndarray:
    if task == CLASSIFICATION:
        return targets
    if task == MULTILABEL:
        return targets.astype(np.float32)
    mean, scale = np.asarray(preparation.target_mean), np.asarray(preparation.target_scale)
    return ((targets - mean) / scale).astype(np.float32)


def _without(new: NewData, preparation: Preparation, task: str) -> DataError:
    if task not in SCORED or preparation.heads or preparation.columns.kind not in ("table", "image", "array"):
        rule = "rows with one target each can be evaluated: of tables, arrays and images"
        got = f"{preparation.columns.kind}, {'several targets' if preparation.heads else task}"
        return DataError("evaluate", rule, got=got, hint="the run's own test figures: thalweg show RUN")
    if preparation.columns.kind == "table":
        rule = f"the table must have the target, column {preparation.target!r}"
        if preparation.target_names:
            rule = f"the table must have the targets, columns {', '.join(preparation.target_names)}"
        where = f"columns {', '.join(map(str, new.raw.columns[:20]))}"
        return DataError("evaluate", rule, where=where, hint="without targets use predict")
    rule, hint = "the data must hold targets", "give (inputs, targets), or folders named after the classes"
    return DataError("evaluate", rule, got="inputs only", hint=hint)
