"""Arrays to `Data`: those in memory, and everything that is read into arrays (idx, npz, pictures, tables)."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from thalweg.core.errors import DataError
from thalweg.problem.data.data import CLASSIFICATION, REGRESSION, Data
from thalweg.problem.data.files import RawArrays
from thalweg.problem.data.files.binary_images import (
    batch_files,
    idx_files,
    read_cifar_folder,
    read_idx_folder,
)
from thalweg.problem.data.files.numpy_files import read_npy, read_npz
from thalweg.problem.data.files.pictures import read_picture_folder
from thalweg.problem.data.inputs.array import ArrayInputs, checked_numbers, mean_and_scale
from thalweg.problem.data.inputs.frames import is_pair
from thalweg.problem.data.inputs.image import ImageInputs, brightness_shift_and_scale, looks_like_images
from thalweg.problem.data.labels import Target, decide, encode, encode_known
from thalweg.problem.data.note import Note
from thalweg.problem.data.options import LoadOptions, Reader, Source
from thalweg.problem.data.preparation import Preparation
from thalweg.problem.data.split import Rows
from thalweg.problem.data.splitting import row_hashes, shared_rows, split_examples

# From this ratio of the largest class to the smallest on, accuracy alone misleads.
IMBALANCE = 3.0


def _fitted_images(train: np.ndarray) -> Preparation:
    shift, scale = brightness_shift_and_scale(train)
    return Preparation(ImageInputs.fit(train), input_shift=shift, input_scale=scale)


# By `RawArrays.kind`: the preparation of arrays, fitted to the training split. A new kind of arrays adds its
# own here, and how a folder of it is recognised to `read_folder`.
FITTED: dict[str, Callable[[np.ndarray], Preparation]] = {
    ImageInputs.kind: _fitted_images,
    ArrayInputs.kind: lambda train: Preparation(ArrayInputs.fit(train)),
}


def _accepts(source: Source, options: LoadOptions) -> bool:
    path = isinstance(source.data, Path)
    return source.suffix in (".npz", ".npy") or (source.data.is_dir() if path else is_pair(source.data))


def _read(source: Source, options: LoadOptions) -> Data:
    data, name = source.data, source.name
    if not isinstance(data, Path):
        return from_arrays(RawArrays(name or "arrays", data[0], data[1]), options)
    if data.is_dir():
        return from_arrays(read_folder(data, name), options)
    raw = read_npz(data, name) if source.suffix == ".npz" else read_npy(data, name, options.target)
    return from_arrays(raw, options)


READER = Reader(_accepts, _read)


def read_folder(path: Path, name: str) -> RawArrays:
    """Read a folder by what it contains: idx files, CIFAR-10 batches, else pictures by class."""
    if idx_files(path):
        return read_idx_folder(path, name)
    if batch_files(path)["train"]:
        return read_cifar_folder(path, name)
    return read_picture_folder(path, name)


def from_arrays(raw: RawArrays, options: LoadOptions) -> Data:
    """Check, split and scale arrays.

    Raises:
        DataError: The arrays cannot be used.
    """
    if options.group is not None:
        rule = "group=COLUMN needs columns with names"
        hint = "give a frame or a CSV file, or use split=random"
        raise DataError("split", rule, got=f"group={options.group}", hint=hint)
    inputs, labels = _checked_pair(raw.inputs, raw.targets, "inputs", "targets")
    task = decide(labels, options.task) if raw.classes is None else options.task or CLASSIFICATION
    if task == CLASSIFICATION and labels.dtype.kind in "if":
        _check_unlabelled(labels, raw.target)
    target = encode(labels, task, raw.target, classes=raw.classes if task == CLASSIFICATION else None)
    test, test_notes = _separate_test(raw, options, inputs, target)
    hashes = row_hashes(inputs)
    rows, split_notes = split_examples(hashes, target, options, separate_test=test is not None)
    by_split = {name: _select_rows(inputs, indices) for name, indices in rows.items()}
    targets = {name: target.values[indices] for name, indices in rows.items()}
    if test is not None:
        by_split["test"], targets["test"] = test
        test_hashes = row_hashes(test[0].astype(inputs.dtype, copy=False))
        test_notes += shared_rows(hashes[rows["train"]], test_hashes)
    kind = raw.kind or (ImageInputs.kind if looks_like_images(inputs) else ArrayInputs.kind)
    preparation = replace(FITTED[kind](by_split["train"]), classes=target.classes, target=raw.target)
    by_split = {name: preparation.columns.inputs(x) for name, x in by_split.items()}
    return assemble(raw.name, task, by_split, targets, preparation, raw.notes + test_notes + split_notes)


def assemble(
    name: str,
    task: str,
    inputs: Mapping[str, np.ndarray],
    targets: Mapping[str, np.ndarray],
    preparation: Preparation,
    notes: tuple[Note, ...],
) -> Data:
    """Standardise regression targets, note imbalance, and join inputs and targets into `Data`.

    Args:
        name: Name of the set.
        task: `classification` or `regression`.
        inputs: Input arrays by split.
        targets: By split: int32 class numbers, or float64 values in their own unit, `example target`.
        preparation: Without mean and scale of the target, which are computed here.
        notes: Notes so far.
    """
    if task == REGRESSION:
        mean, scale = mean_and_scale(targets["train"])
        targets = {name: ((y - mean) / scale).astype(np.float32) for name, y in targets.items()}
        preparation = replace(preparation, target_mean=_scalar(mean), target_scale=_scalar(scale))
    else:
        notes += _imbalance(targets["train"], preparation.classes or ())
    splits = {name: Rows(inputs[name], y) for name, y in targets.items() if y.shape[0]}
    return Data.of_splits(name, task, splits, preparation, notes)


def _scalar(values: np.ndarray) -> float | tuple[float, ...]:
    return float(values[0]) if values.size == 1 else tuple(values.tolist())


def _imbalance(codes: np.ndarray, classes: tuple[Any, ...]) -> tuple[Note, ...]:
    counts = np.bincount(codes, minlength=len(classes))
    largest, smallest = int(counts.argmax()), int(counts.argmin())
    if counts[largest] < IMBALANCE * counts[smallest]:
        return ()
    most, least = counts[largest] / codes.size, counts[smallest] / codes.size
    text = (
        f"class {classes[largest]} has {most:.1%} of the training rows, class {classes[smallest]} "
        f"{least:.1%}: always predicting {classes[largest]} would be right in {most:.1%}."
    )
    return (Note("imbalance", text),)


def _select_rows(inputs: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the rows of a split; without a copy if they are all rows in order and cannot change."""
    whole = rows.size == inputs.shape[0] and np.array_equal(rows, np.arange(rows.size))
    return inputs if whole and _is_immutable(inputs) else inputs[rows]


def _is_immutable(array: np.ndarray) -> bool:
    """Return whether an array is a view of bytes; a read-only array may be a view of memory that changes."""
    memory: Any = array
    while isinstance(memory, np.ndarray):
        memory = memory.base
    return isinstance(memory, bytes)


def _checked_pair(
    inputs: Any, targets: Any, inputs_name: str, targets_name: str
) -> tuple[np.ndarray, np.ndarray]:
    x = checked_numbers(inputs_name, inputs)
    y = _checked_labels(targets, targets_name)
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


def _checked_labels(targets: Any, name: str) -> np.ndarray:
    y = np.asarray(targets)
    if y.dtype == object:
        labels = y.reshape(-1).tolist()
        missing = [i for i, label in enumerate(labels) if label is None or label != label]
        if missing:
            rule = f"{name} must not be missing"
            got = f"{len(missing)} missing"
            hint = "leave those rows out"
            raise DataError("data", rule, got=got, where=f"the first at {missing[0]}", hint=hint)
        y = np.asarray(y.tolist())
    return checked_numbers(name, y) if y.dtype.kind in "iuf" else y


def _check_unlabelled(labels: np.ndarray, name: str) -> None:
    """Reject -1 next to 0..k-1: it usually marks an example without a label, and must not become a class."""
    distinct = np.unique(labels)
    if distinct.size > 2 and np.array_equal(distinct, np.arange(-1, distinct.size - 1)):
        rule = "class numbers must not be negative"
        hint = "leave those rows out if -1 means no label; else add 1 to all labels"
        raise DataError("target", rule, got=f"-1 in {int((labels == -1).sum())} rows", where=name, hint=hint)


def _separate_test(
    raw: RawArrays, options: LoadOptions, inputs: np.ndarray, target: Target
) -> tuple[tuple[np.ndarray, np.ndarray] | None, tuple[Note, ...]]:
    """Return the test split that the set has or the options give, and notes on it."""
    test = raw.test if options.test is None else options.test
    if isinstance(test, float):
        text = "The set's own test split was not used, because test= is a share of its rows."
        return None, (Note("test", text),) if raw.test is not None else ()
    if test is None:
        return None, ()
    if not isinstance(test, tuple) or len(test) != 2:
        rule = "test must be a share, or (inputs, targets) for arrays"
        raise DataError("load", rule, got=type(test).__name__, hint="for example test=(x_test, y_test)")
    x, y = _checked_pair(*test, "test inputs", "test targets")
    if x.shape[1:] != inputs.shape[1:]:
        rule = f"test examples must have the shape {inputs.shape[1:]}, as in training"
        hint = "check that both splits were made in the same way"
        raise DataError("data", rule, got=x.shape[1:], hint=hint)
    return (x, encode_known(y, target, f"{raw.target}, test split")), ()
