"""Arrays to `Data`: those in memory, and everything that is read into arrays (idx, npz, pictures, tables)."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from thalweg.core.caller import either, option
from thalweg.core.errors import DataError
from thalweg.core.tree import dotted
from thalweg.problem.data.data import CLASSIFICATION, MULTILABEL, REGRESSION, Data
from thalweg.problem.data.files import RawArrays
from thalweg.problem.data.files.binary_images import (
    batch_files,
    idx_files,
    read_cifar_folder,
    read_idx_folder,
)
from thalweg.problem.data.files.content import plain_suffix
from thalweg.problem.data.files.numpy_files import read_npy, read_npz
from thalweg.problem.data.files.pictures import read_picture_folder
from thalweg.problem.data.files.tables import TABLE_SUFFIXES
from thalweg.problem.data.folds import join_folds
from thalweg.problem.data.inputs.array import ArrayInputs, checked_numbers, mean_and_scale, plain_array
from thalweg.problem.data.inputs.frames import is_pair
from thalweg.problem.data.inputs.image import ImageInputs, brightness_shift_and_scale, looks_like_images
from thalweg.problem.data.inputs.tree import STANDARDISE, TreeInputs, leaf_array
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
from thalweg.problem.data.options import ARRAYS, LABELLED, NPY, PICTURES, LoadOptions, Reader, Source
from thalweg.problem.data.preparation import Preparation
from thalweg.problem.data.splitting import row_hashes, shared_rows, split_examples
from thalweg.problem.data.tasks import decide, task_notes
from thalweg.problem.data.weights import of_rows, rows_of, weights_by_split


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
    if isinstance(data, Path) and data.is_dir():
        return from_arrays(read_folder(data, name, options), options)
    if not isinstance(data, Path) and _is_tree(*data):
        return _from_tree(RawArrays(name or "arrays", data[0], data[1]), options)
    if not isinstance(data, Path):
        return from_arrays(RawArrays(name or "arrays", data[0], data[1]), options)
    raw = read_npz(data, name) if source.suffix == ".npz" else read_npy(data, name, options.target)
    return from_arrays(raw, options)


def _kinds(source: Source, options: LoadOptions) -> tuple[str, ...]:
    path = source.data
    if not isinstance(path, Path) or not path.is_dir():
        return (NPY, ARRAYS) if source.suffix == ".npy" else (ARRAYS,)
    if idx_files(path) or batch_files(path)["train"]:
        return (ARRAYS,)
    tables = any(plain_suffix(file) in TABLE_SUFFIXES for file in path.rglob("*") if file.is_file())
    return (PICTURES, LABELLED) if tables else (PICTURES,)


READER = Reader(_accepts, _read, _kinds)


def read_folder(path: Path, name: str, options: LoadOptions) -> RawArrays:
    """Read a folder by what it contains: idx files, CIFAR-10 batches, else pictures by class."""
    if idx_files(path):
        return read_idx_folder(path, name)
    if batch_files(path)["train"]:
        return read_cifar_folder(path, name)
    return read_picture_folder(
        path, name, size=options.size, skip_broken=options.skip_broken, target=options.target
    )


def from_arrays(raw: RawArrays, options: LoadOptions) -> Data:
    """Check, split and scale arrays.

    Raises:
        DataError: The arrays cannot be used.
    """
    if options.group is not None:
        rule = "group=COLUMN needs columns with names"
        hint = f"give a frame or a CSV file, or use {option('split', 'random')}"
        raise DataError("split", rule, got=f"group={options.group}", hint=hint)
    inputs, labels = _checked_pair(raw.inputs, raw.targets, "inputs", "targets")
    inputs, target, kept, notes = _encoded(inputs, labels, raw, options)
    own, own_notes = _own_splits(raw, options, inputs, target)
    notes += own_notes
    if "validation" in own:
        options = replace(options, validation=0.0)
    if "test" not in own:
        reject_identifier(target)
    hashes = row_hashes(inputs)
    splits, split_notes = split_examples(hashes, target, options, separate_test="test" in own)
    weights = of_rows(options.weights, len(labels), kept)
    read = _Read(raw, inputs, target, kept, own, hashes, raw.notes + notes, weights)
    folds = [_fitted(read, rows, split_notes) for rows in splits]
    return folds[0] if options.folds is None else join_folds(folds)


class _Read(NamedTuple):
    """Arrays that were checked and encoded: inputs and targets of the rows that are used, their numbers, the
    splits that come separately, a hash of each row, notes, and what each row counts.
    """

    raw: RawArrays
    inputs: np.ndarray
    target: Target
    kept: np.ndarray
    own: dict[str, tuple[np.ndarray, np.ndarray]]
    hashes: np.ndarray
    notes: tuple[Note, ...]
    weights: np.ndarray | None = None


def _fitted(read: _Read, rows: dict[str, np.ndarray], split_notes: tuple[Note, ...]) -> Data:
    """Return the data of one division of the rows, with a preparation that is fitted to its training rows."""
    raw, inputs, target, kept, own, hashes, notes, every = read
    by_split = {name: _select_rows(inputs, indices) for name, indices in rows.items()}
    targets = {name: target.values[indices] for name, indices in rows.items()}
    for name, (x, y) in own.items():
        by_split[name], targets[name] = x, y
        own_hashes = row_hashes(x.astype(inputs.dtype, copy=False))
        notes += shared_rows(hashes[rows["train"]], own_hashes, name)
    kind = raw.kind or (ImageInputs.kind if looks_like_images(inputs) else ArrayInputs.kind)
    preparation = replace(FITTED[kind](by_split["train"]), classes=target.classes, target=raw.target)
    preparation = replace(preparation, columns=replace(preparation.columns, **raw.prepared))  # type: ignore[type-var]
    by_split = {name: preparation.columns.inputs(x) for name, x in by_split.items()}
    weights = weights_by_split(every, rows)
    if every is not None:
        notes += tuple(_unweighted(split) for split in own)
        weights |= {split: np.ones(len(pair[1]), np.float32) for split, pair in own.items()}
    rows = {split: kept[indices] for split, indices in rows.items()}
    rows |= {split: np.arange(len(pair[1])) for split, pair in own.items()}
    notes += split_notes
    data = assemble(raw.name, target.task, by_split, targets, preparation, notes, rows, weights)
    return replace(data, source={"options": dict(raw.decided)}) if raw.decided else data


def _is_tree(inputs: Any, targets: Any) -> bool:
    """Return whether inputs are several arrays, as a dictionary or a tuple; a tuple of rows is one array."""
    if isinstance(inputs, Mapping):
        return all(isinstance(name, str) for name in inputs) and not hasattr(inputs, "columns")
    if not isinstance(inputs, tuple) or hasattr(inputs, "_fields") or not inputs:
        return False
    arrays = all(np.ndim(leaf) > 0 and hasattr(leaf, "dtype") for leaf in inputs)
    return arrays and len(inputs) != np.size(targets, 0)


def _from_tree(raw: RawArrays, options: LoadOptions) -> Data:
    """Check, split and standardise several arrays of inputs for each example.

    Raises:
        DataError: They cannot be used, or the test split is not a share of them.
    """
    if options.test is not None or options.group is not None:
        rule = "several arrays of inputs take a share of their rows as test split"
        hint = f"give a share, as {option('test', 0.2)}"
        raise DataError("data", rule, got=options.group or "another source", hint=hint)
    if options.folds is not None:
        rule, hint = "folds need inputs of one array", "join the arrays, or leave folds out"
        raise DataError("data", rule, got=f"{len(jax.tree.leaves(raw.inputs))} arrays", hint=hint)
    labels = _checked_labels(raw.targets, "targets")
    leaves, treedef = jax.tree_util.tree_flatten_with_path(raw.inputs)
    arrays = [leaf_array(dotted(path), leaf) for path, leaf in leaves]
    for (path, _), array in zip(leaves, arrays, strict=True):
        if array.shape[0] != labels.shape[0]:
            got = f"{array.shape[0]} rows of {dotted(path)}, {labels.shape[0]} targets"
            hint = "check that all of them come from the same examples"
            raise DataError(
                "data", "inputs and targets must have the same number of rows", got=got, hint=hint
            )
    _, target, kept, notes = _encoded(np.arange(labels.shape[0]), labels, raw, options)
    reject_identifier(target)
    if not arrays:
        raise DataError("data", "inputs must have an array", got="none", hint="give arrays by name")
    hashes = row_hashes(np.stack([row_hashes(array) for array in arrays], axis=1)[kept])
    (rows,), split_notes = split_examples(hashes, target, options, separate_test=False)
    targets = {name: target.values[indices] for name, indices in rows.items()}
    weights = weights_by_split(of_rows(options.weights, len(labels), kept), rows)
    rows = {name: kept[indices] for name, indices in rows.items()}
    by_split = {
        name: jax.tree_util.tree_unflatten(treedef, [array[indices] for array in arrays])
        for name, indices in rows.items()
    }
    preparation = Preparation(
        TreeInputs.fit(by_split["train"], STANDARDISE), classes=target.classes, target=raw.target
    )
    inputs = {name: preparation.columns.inputs(tree) for name, tree in by_split.items()}
    return assemble(raw.name, target.task, inputs, targets, preparation, notes + split_notes, rows, weights)


def _encoded(
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


def _unweighted(split: str) -> Note:
    return Note("weights", f"The {split} split came without weights: each of its examples counts the same.")


def _scalar(values: np.ndarray) -> float | tuple[float, ...]:
    return float(values[0]) if values.size == 1 else tuple(values.tolist())


def _select_rows(inputs: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the rows of a split; without a copy if they follow one another and cannot change."""
    first = int(rows[0]) if rows.size else 0
    following = np.array_equal(rows, np.arange(first, first + rows.size))
    return inputs[first : first + rows.size] if following and _is_immutable(inputs) else inputs[rows]


def _is_immutable(array: np.ndarray) -> bool:
    """Return whether an array is a view of bytes, or of a file that was mapped for reading only.

    Another read-only array may be a view of memory that changes.
    """
    memory: Any = array
    while isinstance(memory, np.ndarray):
        if isinstance(memory, np.memmap) and memory.mode == "r":
            return True
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


def _own_splits(
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
    x, y = _checked_pair(*pair, f"{split} inputs", f"{split} targets")
    if x.shape[1:] != inputs.shape[1:]:
        rule = f"{split} examples must have the shape {inputs.shape[1:]}, as in training"
        hint = "check that both splits were made in the same way"
        raise DataError("data", rule, got=x.shape[1:], hint=hint)
    rows = ~is_left_out(y, target)
    x, y = (x, y) if rows.all() else (x[rows], y[rows])
    return x, encode_known(y, target, f"{name}, {split} split")
