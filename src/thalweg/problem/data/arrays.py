"""Arrays to `Data`: those in memory, and everything that is read into arrays (idx, npz, pictures, tables)."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from thalweg.core.caller import option
from thalweg.core.errors import DataError
from thalweg.core.tree import dotted
from thalweg.problem.data.checked_arrays import Checked, assemble, checked_labels, divide, encoded
from thalweg.problem.data.data import Data
from thalweg.problem.data.files import RawArrays
from thalweg.problem.data.files.binary_images import (
    batch_files,
    idx_files,
    read_cifar_folder,
    read_idx_folder,
)
from thalweg.problem.data.files.content import plain_suffix
from thalweg.problem.data.files.numpy_files import read_npy, read_npz
from thalweg.problem.data.files.pictures import Survey, is_picture_set, survey_pictures
from thalweg.problem.data.files.tables import TABLE_SUFFIXES
from thalweg.problem.data.files.tar_shards import Shards
from thalweg.problem.data.folds import join_folds
from thalweg.problem.data.inputs.array import ArrayInputs
from thalweg.problem.data.inputs.frames import is_pair
from thalweg.problem.data.inputs.image import ImageInputs, brightness_shift_and_scale, looks_like_images
from thalweg.problem.data.inputs.tree import STANDARDISE, TreeInputs, leaf_array
from thalweg.problem.data.labels import (
    reject_identifier,
)
from thalweg.problem.data.note import Note
from thalweg.problem.data.options import ARRAYS, LABELLED, NPY, PICTURES, LoadOptions, Reader, Source
from thalweg.problem.data.picture_stream import from_survey, streams
from thalweg.problem.data.preparation import Preparation
from thalweg.problem.data.splitting import row_hashes, shared_rows, split_examples
from thalweg.problem.data.weights import of_rows, weights_by_split


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
    if isinstance(source.data, Shards):
        return True
    return source.suffix in (".npz", ".npy") or (source.data.is_dir() if path else is_pair(source.data))


def _read(source: Source, options: LoadOptions) -> Data:
    data, name = source.data, source.name
    if is_picture_set(data):
        survey = _survey(data, options)
        if streams(survey, options):
            return from_survey(survey, name, options)
        return from_arrays(survey.arrays(name), options)
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
    if isinstance(path, Shards):
        return (PICTURES,)
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
    return _survey(path, options).arrays(name)


def _survey(source: Path | Shards, options: LoadOptions) -> Survey:
    size, skip, target = options.size, options.skip_broken, options.target
    return survey_pictures(source, size=size, skip_broken=skip, target=target)


def from_arrays(raw: RawArrays, options: LoadOptions) -> Data:
    """Check, split and scale arrays.

    Raises:
        DataError: The arrays cannot be used.
    """
    checked, splits, split_notes = divide(raw, options, row_hashes)
    weights = of_rows(options.weights, len(raw.targets), checked.kept)
    folds = [_fitted(checked, weights, rows, split_notes) for rows in splits]
    return folds[0] if options.folds is None else join_folds(folds)


def _fitted(
    checked: Checked, every: np.ndarray | None, rows: dict[str, np.ndarray], split_notes: tuple[Note, ...]
) -> Data:
    """Return the data of one division of the rows, with a preparation that is fitted to its training rows."""
    raw, inputs, target, kept, own, hashes, notes = checked
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
    labels = checked_labels(raw.targets, "targets")
    leaves, treedef = jax.tree_util.tree_flatten_with_path(raw.inputs)
    arrays = [leaf_array(dotted(path), leaf) for path, leaf in leaves]
    for (path, _), array in zip(leaves, arrays, strict=True):
        if array.shape[0] != labels.shape[0]:
            got = f"{array.shape[0]} rows of {dotted(path)}, {labels.shape[0]} targets"
            hint = "check that all of them come from the same examples"
            raise DataError(
                "data", "inputs and targets must have the same number of rows", got=got, hint=hint
            )
    _, target, kept, notes = encoded(np.arange(labels.shape[0]), labels, raw, options)
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


def _unweighted(split: str) -> Note:
    return Note("weights", f"The {split} split came without weights: each of its examples counts the same.")


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
