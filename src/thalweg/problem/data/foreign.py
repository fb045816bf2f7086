"""Data of other libraries as frames and arrays, recognised by what they can do: none of these is imported.

Arrow tables (and whatever speaks Arrow's C stream protocol), Hugging Face datasets, PyTorch datasets and
loaders, `tf.data`, and any iterable of batches or examples `(inputs, targets)`. They are read once, into
memory; what does not fit is for `tw.stream`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from thalweg.core.caller import option
from thalweg.core.errors import DataError
from thalweg.core.lazy import pl
from thalweg.core.limits import as_bytes, max_bytes
from thalweg.problem.data.files.content import ARRAY_COPIES
from thalweg.problem.data.files.piped import is_open_file
from thalweg.problem.data.inputs.frames import is_frame, is_pair
from thalweg.problem.data.note import Note

# What a column of labels is called in data sets of these libraries.
LABELS = ("label", "labels", "target", "targets", "y")
TRAIN, TEST = "train", "test"
_VALIDATIONS = ("validation", "valid", "val")
_CELL = 64  # bytes of a value of Python's own in a list, about
_RULE = "must give (inputs, targets), examples or batches of them, or dictionaries by name"


@dataclass(frozen=True)
class Plain:
    """Data as `load` takes them.

    Args:
        source: A frame, or a pair (inputs, targets) of arrays.
        options: Options of `load` that the data themselves tell, such as their own test split.
        notes: What was decided.
    """

    source: Any
    options: Mapping[str, Any]
    notes: tuple[Note, ...] = ()


def plain(source: Any, target: str | int | None) -> Plain | None:
    """Return data of another library as frames or arrays; None if they are none.

    Args:
        source: Anything.
        target: As in `LoadOptions`.

    Raises:
        DataError: They are empty, too large, or not of equal shapes.
    """
    if hasattr(source, "__arrow_c_stream__") and not is_frame(source) and hasattr(source, "schema"):
        return Plain(_arrow(source), {})
    if _is_plain(source):
        return None
    if isinstance(source, Mapping):
        return _splits(source, target) if source and all(map(_is_hugging_face, source.values())) else None
    if _is_hugging_face(source):
        return _hugging_face(source, target)
    items, single = _items(source)
    if items is None:
        return None
    return _collected(items, single, target, _notes(source))


def _is_plain(source: Any) -> bool:
    """Return whether something is what `load` takes as it is, or nothing that can be read."""
    known = (str, bytes, int, float, np.ndarray, type, type(None))
    own = (
        is_open_file(source)
        or isinstance(source, known)
        or hasattr(source, "__fspath__")
        or hasattr(source, "__array__")
    )
    return own or is_frame(source) or (is_pair(source) and not _is_pair_of_pairs(source))


def _is_pair_of_pairs(source: Any) -> bool:
    """Return whether a list of two is a list of two batches."""
    pairs = isinstance(source, list) and all(isinstance(each, tuple) and len(each) == 2 for each in source)
    return pairs and all(np.ndim(x) > max(1, np.ndim(y)) for x, y in source)


def _arrow(source: Any) -> pl.DataFrame:
    try:
        return pl.DataFrame(source)
    except (TypeError, ValueError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        hint = "convert it to columns of numbers, text, booleans or dates"
        raise DataError("table", "must be a table", got=str(error).splitlines()[0], hint=hint) from error


def _is_hugging_face(source: Any) -> bool:
    return all(hasattr(source, name) for name in ("features", "column_names", "with_format"))


def _hugging_face(source: Any, target: str | int | None) -> Plain:
    """Return a Hugging Face data set; one that is read bit by bit (`streaming=True`) is collected."""
    if not hasattr(source, "__len__"):
        return _collected(iter(source), True, target, ())
    features = source.features or {}
    own = {} if target is not None else _target_of(source.column_names)
    name = target if target is not None else own.get("target")
    pictures = [column for column, feature in features.items() if type(feature).__name__ == "Image"]
    if pictures and name in features:
        inputs = _stacked([np.asarray(picture) for picture in source[pictures[0]]], pictures[0])
        return Plain((inputs, _named(pl.Series(source[name]), features[name]).to_numpy()), {})
    frame = _arrow(source.with_format("arrow")[:])
    named = [_named(frame[column], features.get(column)) for column in frame.columns]
    return Plain(pl.DataFrame(named), own)


def _target_of(columns: Iterable[str]) -> dict[str, str]:
    found = [name for name in LABELS if name in set(columns)]
    return {"target": found[0]} if found else {}


def _named(column: pl.Series, feature: Any) -> pl.Series:
    """Return the names of classes in place of their numbers, where a feature knows them; -1 is no class."""
    names = getattr(feature, "names", None)
    if not names or not column.dtype.is_integer():
        return column
    codes = dict(enumerate(map(str, names)))
    return column.replace_strict(codes, default=None, return_dtype=pl.String).alias(column.name)


def _splits(source: Mapping[str, Any], target: str | int | None) -> Plain:
    """Return data sets by split: the training rows, with the test rows as their test split."""
    if TRAIN not in source:
        hint = f"give one of them: data[{next(iter(source))!r}]"
        raise DataError("data", "must have a split called train", got=", ".join(source), hint=hint)
    train = _hugging_face(source[TRAIN], target)
    options, notes = dict(train.options), list(train.notes)
    if TEST in source:
        options["test"] = _hugging_face(source[TEST], target).source
    others = [name for name in source if name not in (TRAIN, TEST)]
    if others:
        text = f"not used: the split {', '.join(others)}."
        own = [name for name in others if name in _VALIDATIONS]
        text += " A share of the training rows is held out for validation." if own else ""
        notes.append(Note("layout", text))
    return Plain(train.source, options, tuple(notes))


def _items(source: Any) -> tuple[Iterator[Any] | None, bool | None]:
    """Return the items of a source, and whether each is a single example; None: their shapes decide."""
    if hasattr(source, "as_numpy_iterator"):  # tf.data
        return source.as_numpy_iterator(), None
    if hasattr(source, "dataset") and hasattr(source, "__iter__"):  # a PyTorch loader
        return iter(source), None if getattr(source, "batch_size", None) is None else False
    if isinstance(source, (list, tuple)):
        are_items = bool(source) and (is_pair(source[0]) or isinstance(source[0], Mapping))
        return (iter(source), None) if are_items else (None, None)
    if hasattr(source, "__getitem__") and hasattr(source, "__len__") and not isinstance(source, Mapping):
        return (source[index] for index in range(len(source))), True  # a PyTorch data set
    if hasattr(source, "__iter__") and not isinstance(source, (Mapping, set, frozenset, range)):
        return iter(source), None
    return None, None


def _notes(source: Any) -> tuple[Note, ...]:
    sampler = type(getattr(source, "sampler", None)).__name__
    if sampler == "RandomSampler":
        text = "the loader shuffles: rows are numbered in the order in which it gave them this time."
        return (Note("order", text),)
    if getattr(source, "drop_last", False) is True:
        return (Note("order", "the loader leaves out a short last batch (drop_last)."),)
    return ()


def _collected(
    items: Iterator[Any], single: bool | None, target: str | int | None, notes: tuple[Note, ...]
) -> Plain:
    """Read all items; return their inputs and targets, or a frame of dictionaries of single values.

    Raises:
        DataError: There are none, they are too large for memory, or differ in shape or form.
    """
    first = next(items, None)
    if first is None:
        hint = "a generator can be read only once: make a new one"
        raise DataError("data", "must give a batch or an example", got="nothing", hint=hint)
    items = chain([first], items)
    if isinstance(first, Mapping) and all(np.ndim(value) < 2 for value in first.values()):
        return _table(items, notes)
    inputs: list[Any] = []
    targets: list[Any] = []
    most, used = max_bytes(), 0
    for number, item in enumerate(items):
        x, y = _divided(item, number, target)
        one = _is_single(x, y) if single is None else single
        x, y = ([leaf[None] if one else leaf for leaf in _leaves(part)] for part in (x, y))
        used += sum(leaf.nbytes for leaf in (*x, *y))
        if ARRAY_COPIES * used > most:
            got = f"more than {used:,} bytes after {number + 1:,} items"
            raise _too_large(got, most)
        _check_alike(inputs, x, number)
        inputs.append(x)
        targets.append(y)
    columns = [np.concatenate(leaves) for leaves in zip(*inputs, strict=True)]
    labels = np.concatenate([leaves[0] for leaves in targets])
    return Plain((columns[0] if len(columns) == 1 else tuple(columns), labels), {}, notes)


def _too_large(got: str, most: int) -> DataError:
    rule = f"data in memory may take at most {as_bytes(most)}"
    return DataError("data", rule, got=got, hint="train on them as they come: tw.stream(...)")


def _table(items: Iterator[Any], notes: tuple[Note, ...]) -> Plain:
    """Return dictionaries of single values, or of lists of equal length, as a frame."""
    columns: dict[str, list[Any]] = {}
    most, cells = max_bytes(), 0
    for number, item in enumerate(items):
        if not isinstance(item, Mapping) or (columns and set(item) != set(columns)):
            got = ", ".join(map(str, item)) if isinstance(item, Mapping) else type(item).__name__
            rule = f"every item must have the names of the first: {', '.join(columns)}"
            raise DataError(
                "data", rule, got=got, where=f"item {number}", hint="give None where one is missing"
            )
        lists = {str(name): _cells(value) for name, value in item.items()}
        lengths = {len(values) for values in lists.values()}
        if len(lengths) != 1:
            rule, hint = (
                "the values of an item must be of one length",
                "give one row, or lists of equal length",
            )
            raise DataError("data", rule, got=sorted(lengths), where=f"item {number}", hint=hint)
        for name, values in lists.items():
            columns.setdefault(name, []).extend(values)
        cells += lengths.pop() * len(lists)
        if cells * _CELL > most:
            raise _too_large(f"more than {number + 1:,} items", most)
    try:
        frame = pl.DataFrame({name: pl.Series(name, values, strict=True) for name, values in columns.items()})
    except (TypeError, pl.exceptions.PolarsError) as error:
        rule, hint = "the values of a name must be of one type", "convert them to numbers or text first"
        raise DataError("data", rule, got=str(error).splitlines()[0], hint=hint) from error
    return Plain(frame, _target_of(frame.columns), notes)


def _cells(value: Any) -> list[Any]:
    """Return a single value, or a list of values, as a list of Python's own."""
    array = value if isinstance(value, (str, bytes, list, tuple)) else np.asarray(value)
    if isinstance(array, np.ndarray):
        return [array.item()] if not array.ndim else array.tolist()
    return list(array) if isinstance(array, (list, tuple)) else [array]


def _divided(item: Any, number: int, target: str | int | None) -> tuple[Any, Any]:
    """Return the inputs and the targets of an item."""
    if isinstance(item, Mapping):
        name = target if target is not None else _target_of(item).get("target")
        if name not in item or len(item) < 2:
            rule = (
                f"every item must have the target, one of {', '.join(LABELS)}, or {option('target', 'NAME')}"
            )
            got = ", ".join(map(str, item))
            raise DataError("data", rule, got=got, where=f"item {number}", hint="say which name it has")
        return [value for key, value in item.items() if key != name], item[name]
    if isinstance(item, (tuple, list)) and len(item) == 2:
        return item[0], item[1]
    got = f"{len(item)} values" if isinstance(item, (tuple, list)) else type(item).__name__
    raise DataError(
        "data", _RULE, got=got, where=f"item {number}", hint="give pairs, or train on them with an objective"
    )


def _leaves(part: Any) -> list[np.ndarray]:
    """Return an item's inputs, or its targets, as arrays."""
    several = isinstance(part, (list, tuple)) and any(np.ndim(each) for each in part)
    try:
        return [np.asarray(each) for each in (part if several else [part])]
    except (TypeError, ValueError, RuntimeError) as error:  # on another device, or with a gradient
        got = str(error).splitlines()[0]
        raise DataError(
            "data", "every item must consist of arrays", got=got, hint="give them on the CPU"
        ) from error


def _is_single(x: Any, y: Any) -> bool:
    """Return whether an item is one example rather than a batch: its targets have no axis that all share."""
    x, y = _leaves(x), _leaves(y)
    lengths = {leaf.shape[0] if leaf.ndim else None for leaf in (*x, *y)}
    return len(lengths) != 1 or lengths == {None}


def _check_alike(seen: list[list[np.ndarray]], now: list[np.ndarray], number: int) -> None:
    """Refuse an item whose examples have other shapes than those of the first."""
    shapes = [leaf.shape[1:] for leaf in now]
    if seen and shapes != [leaf.shape[1:] for leaf in seen[0]]:
        rule = f"every example must have the shape of the first, {_shown(seen[0])}"
        hint = "resize or pad them to one shape"
        raise DataError("data", rule, got=_shown(now), where=f"item {number}", hint=hint)


def _shown(leaves: list[np.ndarray]) -> str:
    return ", ".join(str(leaf.shape[1:]) for leaf in leaves)


def _stacked(arrays: list[np.ndarray], name: str) -> np.ndarray:
    """Return arrays of one shape as one array."""
    shapes = {array.shape for array in arrays}
    if len(shapes) != 1:
        some = ", ".join(map(str, sorted(shapes)[:3]))
        rule, hint = f"all of {name} must have one shape", "resize them: data.map(...)"
        raise DataError("data", rule, got=f"{len(shapes)} shapes: {some}", hint=hint)
    return np.stack(arrays)
