"""Arrays in memory, and everything that is read into arrays (idx, npz, pictures), to `Data`."""

from dataclasses import replace
from typing import Any

import numpy as np

from thalweg.core.errors import DataError
from thalweg.problem.data.assembly import Pieces, assemble
from thalweg.problem.data.data import CLASSIFICATION, Data
from thalweg.problem.data.duplicates import first_copies, row_hashes, shared_rows, units_of
from thalweg.problem.data.inputs.array import ArrayInputs, checked_numbers
from thalweg.problem.data.inputs.image import ImageInputs, brightness_figures, looks_like_images
from thalweg.problem.data.labels import Target, check_lone, decide, encode, encode_known
from thalweg.problem.data.note import Note
from thalweg.problem.data.options import RANDOM, LoadOptions
from thalweg.problem.data.preparation import Preparation
from thalweg.problem.data.raw import RawArrays
from thalweg.problem.data.splitting import split_rows


def from_arrays(raw: RawArrays, options: LoadOptions) -> Data:
    """Check, split, scale and join.

    Raises:
        DataError: What came cannot be used; the message says where.
    """
    if options.group is not None:
        raise DataError(
            "split",
            "group=COLUMN needs columns with names",
            got=f"group={options.group}",
            hint="give a frame or a CSV file, or use split=random",
        )
    inputs, labels = _checked_pair(raw.inputs, raw.targets, "inputs", "targets")
    task = decide(labels, options.task) if raw.classes is None else options.task or CLASSIFICATION
    if task == CLASSIFICATION and labels.dtype.kind in "if":
        _check_marks(labels, raw.target)
    target = encode(labels, task, raw.target, classes=raw.classes if task == CLASSIFICATION else None)
    test, notes = _test_part(raw, options, inputs, target)
    hashes = row_hashes(inputs)
    rows, found = _split(hashes, target, options, has_test=test is not None)
    part_inputs = {name: _taken(inputs, at) for name, at in rows.items()}
    part_targets = {name: target.values[at] for name, at in rows.items()}
    if test is not None:
        part_inputs["test"], part_targets["test"] = test
        notes += shared_rows(hashes[rows["train"]], row_hashes(test[0].astype(inputs.dtype, copy=False)))
    image = looks_like_images(inputs) if raw.image is None else raw.image
    part_inputs, preparation = _prepared(part_inputs, image)
    preparation = replace(preparation, classes=target.classes, target=raw.target)
    pieces = Pieces(raw.name, task, part_inputs, part_targets, preparation, raw.notes + notes + found)
    return assemble(pieces)


def _taken(inputs: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the rows of a part; all of them in order as they are, where nobody can change them."""
    whole = rows.size == inputs.shape[0] and np.array_equal(rows, np.arange(rows.size))
    return inputs if whole and _is_fixed(inputs) else inputs[rows]


def _is_fixed(array: np.ndarray) -> bool:
    """Tell whether an array lies in bytes; one that is only read-only may look at memory that changes."""
    memory: Any = array
    while isinstance(memory, np.ndarray):
        memory = memory.base
    return isinstance(memory, bytes)


def _checked_pair(
    inputs: Any, targets: Any, inputs_name: str, targets_name: str
) -> tuple[np.ndarray, np.ndarray]:
    x = checked_numbers(inputs_name, inputs)
    y = _labels_of(targets, targets_name)
    if x.shape[0] == 0 or x.size == 0:
        raise DataError(
            "data", f"{inputs_name} must not be empty", got=f"shape {x.shape}", hint="give some rows"
        )
    if y.ndim == 0 or x.shape[0] != y.shape[0]:
        raise DataError(
            "data",
            f"{inputs_name} and {targets_name} must have the same number of rows",
            got=f"{x.shape[0]} and {y.shape[0] if y.ndim else 'a single value'}",
            where=f"shapes {x.shape} and {y.shape}",
            hint="check that both come from the same rows",
        )
    return x[:, None] if x.ndim == 1 else x, y


def _labels_of(targets: Any, name: str) -> np.ndarray:
    y = np.asarray(targets)
    if y.dtype == object:
        labels = y.reshape(-1).tolist()
        absent = [i for i, label in enumerate(labels) if label is None or label != label]
        if absent:
            raise DataError(
                "data",
                f"{name} must not be missing",
                got=f"{len(absent)} missing",
                where=f"the first at {absent[0]}",
                hint="leave those rows out",
            )
        y = np.asarray(y.tolist())
    return checked_numbers(name, y) if y.dtype.kind in "iuf" else y


def _check_marks(labels: np.ndarray, name: str) -> None:
    """-1 beside 0..k-1 is the usual mark of an example without a label; it must not become a class."""
    found = np.unique(labels)
    if found.size > 2 and np.array_equal(found, np.arange(-1, found.size - 1)):
        raise DataError(
            "target",
            "class numbers must not be negative",
            got=f"-1 in {int((labels == -1).sum())} rows",
            where=name,
            hint="leave those rows out if -1 means no label; else add 1 to all labels",
        )


def _test_part(
    raw: RawArrays, options: LoadOptions, inputs: np.ndarray, target: Target
) -> tuple[tuple[np.ndarray, np.ndarray] | None, tuple[Note, ...]]:
    """Return the test part that the set or the options bring, and what to point out about it."""
    given = raw.test if options.test is None else options.test
    if isinstance(given, float):
        own = "The set's own test part was left aside, because a share was asked for."
        return None, (Note("test", own),) if raw.test is not None else ()
    if given is None:
        return None, ()
    if not isinstance(given, tuple) or len(given) != 2:
        raise DataError(
            "load",
            "test must be a share, or (inputs, targets) for arrays",
            got=type(given).__name__,
            hint="for example test=(x_test, y_test)",
        )
    x, y = _checked_pair(*given, "test inputs", "test targets")
    if x.shape[1:] != inputs.shape[1:]:
        raise DataError(
            "data",
            f"test examples must have the shape {inputs.shape[1:]}, as in training",
            got=x.shape[1:],
            hint="check that both parts were made in the same way",
        )
    return (x, encode_known(y, target, f"{raw.target}, test part")), ()


def _split(
    hashes: np.ndarray, target: Target, options: LoadOptions, has_test: bool
) -> tuple[dict[str, np.ndarray], tuple[Note, ...]]:
    drawn = options.split == RANDOM
    classes = target.task == CLASSIFICATION
    share = 0.0 if has_test else options.test_share
    units, notes = units_of(first_copies(hashes), drawn)
    if drawn and classes and share + options.validation > 0:
        check_lone(target)
    found = split_rows(
        hashes.size, options, labels=target.values if classes else None, units=units, test_share=share
    )
    rows = {"train": found.train, "validation": found.validation, "test": found.test}
    return {name: at for name, at in rows.items() if at.size}, notes


def _prepared(parts: dict[str, np.ndarray], image: bool) -> tuple[dict[str, np.ndarray], Preparation]:
    if image:
        columns = ImageInputs.fit(parts["train"])
        shift, scale = brightness_figures(parts["train"])
        preparation = Preparation(columns, input_shift=shift, input_scale=scale)
    else:
        columns = ArrayInputs.fit(parts["train"])
        preparation = Preparation(columns)
    return {name: columns.inputs(x) for name, x in parts.items()}, preparation
