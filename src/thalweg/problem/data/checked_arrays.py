"""Arrays of examples on their way to `Data`: checked, targets encoded, divided into splits, and joined."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from thalweg.core.caller import either, option
from thalweg.core.errors import DataError
from thalweg.problem.data.data import CLASSIFICATION, MULTILABEL, REGRESSION, Data
from thalweg.problem.data.files import RawArrays
from thalweg.problem.data.inputs.array import checked_numbers, mean_and_scale, plain_array
from thalweg.problem.data.labels import (
    Target,
    constant_labels,
    encode,
    encode_known,
    imbalance,
    is_left_out,
    listed,
    reject_identifier,
    without_small_classes,
)
from thalweg.problem.data.note import Note, guess
from thalweg.problem.data.options import LoadOptions
from thalweg.problem.data.preparation import Preparation
from thalweg.problem.data.splitting import split_examples
from thalweg.problem.data.tasks import decide, task_notes
from thalweg.problem.data.weights import rows_of

Rows = dict[str, np.ndarray]  # by split, the numbers of its rows


class Checked(NamedTuple):
    """Arrays that were checked and encoded.

    Args:
        raw: What they were made of.
        inputs: Of the rows that are used, `row ...`.
        target: Of these rows.
        kept: Their numbers among all rows.
        own: By split, the inputs and encoded targets of those that come separately.
        hashes: Of each row that is used.
        notes: Notes so far.
    """

    raw: RawArrays
    inputs: np.ndarray
    target: Target
    kept: np.ndarray
    own: dict[str, tuple[np.ndarray, np.ndarray]]
    hashes: np.ndarray
    notes: tuple[Note, ...]


def divide(
    raw: RawArrays, options: LoadOptions, hashed: Callable[[np.ndarray], np.ndarray]
) -> tuple[Checked, list[Rows], tuple[Note, ...]]:
    """Check and encode arrays, and divide their rows.

    Args:
        raw: The arrays.
        options: How they are read.
        hashed: Returns a hash of each row of inputs.

    Returns:
        The arrays; the rows of each split, of every fold where there are folds; notes on the division.

    Raises:
        DataError: The arrays cannot be used.
    """
    if options.group is not None:
        rule = "group=COLUMN needs columns with names"
        hint = f"give a frame or a CSV file, or use {option('split', 'random')}"
        raise DataError("split", rule, got=f"group={options.group}", hint=hint)
    inputs, labels = checked_pair(raw.inputs, raw.targets, "inputs", "targets")
    inputs, target, kept, notes = encoded(inputs, labels, raw, options)
    own, own_notes = own_splits(raw, options, inputs, target)
    if "validation" in own:
        options = replace(options, validation=0.0)
    if "test" not in own:
        reject_identifier(target)
    hashes = hashed(inputs)
    rows, split_notes = split_examples(hashes, target, options, separate_test="test" in own)
    return Checked(raw, inputs, target, kept, own, hashes, raw.notes + notes + own_notes), rows, split_notes


def encoded(
    inputs: np.ndarray, labels: np.ndarray, raw: RawArrays, options: LoadOptions
) -> tuple[np.ndarray, Target, np.ndarray, tuple[Note, ...]]:
    """Return the inputs and the encoded targets of the rows that are used, their numbers, and notes."""
    task, notes = options.task or CLASSIFICATION, ()
    if raw.classes is None:
        task, notes = decide(labels, options.task), task_notes(labels, options.task, raw.target, table=False)
    if task == CLASSIFICATION and labels.dtype.kind in "if":
        _check_unlabelled(labels, raw.target)
    named = raw.classes if task == CLASSIFICATION else None
    target = encode(labels, task, raw.target, classes=named)
    target, rows, small = without_small_classes(target, options.min_class, named=named is not None)
    return inputs if rows.all() else inputs[rows], target, np.flatnonzero(rows), notes + small


def checked_pair(
    inputs: Any, targets: Any, inputs_name: str, targets_name: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return inputs with two axes at least and labels, as arrays of equal length.

    Raises:
        DataError: They are none.
    """
    x = checked_numbers(inputs_name, inputs)
    y = checked_labels(targets, targets_name)
    if x.shape[0] == 0 or x.size == 0:
        raise DataError(
            "data", f"{inputs_name} must not be empty", got=f"shape {x.shape}", hint="give some rows"
        )
    if y.ndim == 0 or x.shape[0] != y.shape[0]:
        rule = f"{inputs_name} and {targets_name} must have the same number of rows"
        got = f"{x.shape[0]} and {y.shape[0] if y.ndim else 'a single value'}"
        hint = "check that both come from the same rows"
        raise DataError("data", rule, got=got, where=f"shapes {x.shape} and {y.shape}", hint=hint)
    return x[:, None] if x.ndim == 1 else x, y


def checked_labels(targets: Any, name: str) -> np.ndarray:
    """Return targets as an array of numbers, texts or truth values.

    Raises:
        DataError: They are of another type, or some are missing.
    """
    y = plain_array(name, targets)
    if y.dtype == object:
        labels = y.reshape(-1).tolist()
        missing = [i for i, label in enumerate(labels) if _is_missing(label)]
        if missing:
            rule = f"{name} must not be missing"
            got = f"{len(missing)} missing"
            hint = "leave those rows out"
            raise DataError("data", rule, got=got, where=f"the first at {missing[0]}", hint=hint)
        y = plain_array(name, y.tolist())
    if y.dtype.kind not in "iufbUS":
        got = "dates" if y.dtype.kind in "mM" else f"an array of type {y.dtype}"
        rule, hint = f"{name} must be numbers or class labels", "give numbers or text, one for each row"
        raise DataError("target", rule, got=got, hint=hint)
    return checked_numbers(name, y) if y.dtype.kind in "iuf" else y


def _is_missing(label: Any) -> bool:
    """Return whether a label is None or not equal to itself, or cannot be compared, like `pandas.NA`."""
    try:
        return label is None or bool(label != label)
    except (TypeError, ValueError):
        return not hasattr(label, "__len__")


def _check_unlabelled(labels: np.ndarray, name: str) -> None:
    """Reject -1 next to 0..k-1: it usually marks an example without a label, and must not become a class."""
    distinct = np.unique(labels)
    if distinct.size > 2 and np.array_equal(distinct, np.arange(-1, distinct.size - 1)):
        rule, hint = "class numbers must not be negative", "leave out rows without a label; else add 1 to all"
        got = f"-1 in {int((labels == -1).sum())} rows"
        raise DataError("target", rule, got=got, where=name, hint=hint, cause="label_encoding_wrong")


def own_splits(
    raw: RawArrays, options: LoadOptions, inputs: np.ndarray, target: Target
) -> tuple[dict[str, tuple[np.ndarray, np.ndarray]], tuple[Note, ...]]:
    """Return the validation and test splits that the set has or the options give, and notes on them."""
    own, notes = {}, ()
    if options.folds is not None:
        given = [name for name in ("validation", "test") if getattr(raw, name) is not None]
        text = f"The set's own {listed(given)} split is not used: the folds are made of its training rows."
        return own, (Note("test", text),) if given else ()
    test = raw.test if options.test is None else options.test
    if isinstance(test, float):
        if raw.test is not None:
            text = "The set's own test split was not used, because a share of its rows was asked for."
            notes = (Note("test", text),)
    elif test is not None:
        if not isinstance(test, tuple) or len(test) != 2:
            rule = "test must be a share, or (inputs, targets) for arrays"
            hint = f"for example {either('--test 0.2', 'test=(x_test, y_test)')}"
            raise DataError("load", rule, got=type(test).__name__, hint=hint)
        own["test"] = _own_split(test, "test", raw.target, inputs, target)
    if raw.validation is not None and options.validation:
        own["validation"] = _own_split(raw.validation, "validation", raw.target, inputs, target)
        count = own["validation"][1].shape[0]
        text = f"The set's own validation split of {count} examples is used; none are taken from training."
        notes += (guess("validation", text, validation=0),)
    elif raw.validation is not None:
        text = f"The set's own validation split was not used, because of {option('validation', 0)}."
        notes += (Note("validation", text),)
    if raw.validation is not None and test is None and options.test_share:
        text = f"The set has no test split: {options.test_share:.0%} of its training examples became one."
        notes += (guess("test", text, test=0),)
    return own, notes


def _own_split(
    pair: tuple[Any, Any], split: str, name: str, inputs: np.ndarray, target: Target
) -> tuple[np.ndarray, np.ndarray]:
    x, y = checked_pair(*pair, f"{split} inputs", f"{split} targets")
    if x.shape[1:] != inputs.shape[1:]:
        rule = f"{split} examples must have the shape {inputs.shape[1:]}, as in training"
        hint = "check that both splits were made in the same way"
        raise DataError("data", rule, got=x.shape[1:], hint=hint)
    rows = ~is_left_out(y, target)
    x, y = (x, y) if rows.all() else (x[rows], y[rows])
    return x, encode_known(y, target, f"{name}, {split} split")


def assemble(
    name: str,
    task: str,
    inputs: Mapping[str, np.ndarray],
    targets: Mapping[str, np.ndarray],
    preparation: Preparation,
    notes: tuple[Note, ...],
    rows: Mapping[str, np.ndarray] | None = None,
    weights: Mapping[str, np.ndarray] | None = None,
) -> Data:
    """Standardise values, note imbalance of classes, and join inputs and targets into `Data`.

    Args:
        name: Name of the set.
        task: `classification`, `regression` or `multilabel`.
        inputs: Input arrays by split.
        targets: By split: int32 class numbers, or float64 values in their own unit (labels: 0 and 1),
            `example target`.
        preparation: Without mean and scale of the target, which are computed here.
        notes: Notes so far.
        rows: By split, the rows of the source that its examples are, where known (`Data.rows`).
        weights: By split, what its examples count; None or empty if all count the same.
    """
    if task == REGRESSION:
        mean, scale = mean_and_scale(targets["train"])
        targets = {name: ((y - mean) / scale).astype(np.float32) for name, y in targets.items()}
        preparation = replace(preparation, target_mean=_scalar(mean), target_scale=_scalar(scale))
    elif task == MULTILABEL:
        notes += constant_labels(targets["train"], preparation.classes or ())
        targets = {name: y.astype(np.float32) for name, y in targets.items()}
    else:
        notes += imbalance(targets["train"], preparation.classes or ())
    own = weights or {}
    splits = {name: rows_of(inputs[name], y, own.get(name)) for name, y in targets.items() if y.shape[0]}
    return Data.of_splits(name, task, splits, preparation, notes, rows)


def _scalar(values: np.ndarray) -> float | tuple[float, ...]:
    return float(values[0]) if values.size == 1 else tuple(values.tolist())
