"""`data.safetensors`: data that came from memory, kept in the run folder so that the run can be resumed.

The arrays of all splits as the model gets them, named by split, field and position in their tree, and the
number of each example among the rows that were given. The header holds the rest as JSON: trees as
dictionaries and tuples, the preparation, the notes. Reading executes no code. The file has a checksum in
run.json, and the data a fingerprint besides.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jax
import numpy as np
import safetensors
import safetensors.numpy
from jaxtyping import PyTree

from thalweg.core.errors import RunFolderError
from thalweg.problem.data.data import IN_MEMORY, Data, fingerprint
from thalweg.problem.data.note import Note
from thalweg.problem.data.preparation import Preparation
from thalweg.problem.data.split import Rows, Split
from thalweg.problem.data.validation_folds import MemberRows
from thalweg.run.folder.filesystem import files_of, unreadable
from thalweg.run.folder.folder import DATA_FILE, LARGEST_FILE, RunFile

# Data of more bytes than this are not kept.
MOST_BYTES = 64 << 20
_FIELDS = ("inputs", "targets")


def pack(data: Data, most: int = MOST_BYTES) -> bytes | None:
    """Return the content of the file; None for data that came from files, are streamed or too large.

    Trees may consist of dictionaries, tuples and lists; data in other trees are not kept.
    """
    splits = data.splits
    if data.source.get("from") != IN_MEMORY or any(
        type(split) not in (Rows, MemberRows) for split in splits.values()
    ):
        return None
    if sum(leaf.nbytes for split in splits.values() for leaf in jax.tree.leaves(split)) > most:
        return None
    trees = {
        name: {field: _outline(getattr(split, field)) for field in _FIELDS} for name, split in splits.items()
    }
    if any(outline is None for fields in trees.values() for outline in fields.values()):
        return None
    about = {
        "name": data.name,
        "task": data.task,
        "trees": trees,
        "preparation": data.preparation.to_dict(),
        "notes": [asdict(note) for note in data.notes],
        "source": data.source,
    }
    arrays = {
        f"{name}/{field}/{position}": np.ascontiguousarray(leaf)
        for name, split in splits.items()
        for field in _FIELDS
        for position, leaf in enumerate(jax.tree.leaves(getattr(split, field)))
    }
    arrays |= {
        f"{name}/fold": np.ascontiguousarray(split.fold)
        for name, split in splits.items()
        if isinstance(split, MemberRows)
    }
    arrays |= {f"{name}/rows": np.ascontiguousarray(rows, np.int64) for name, rows in data.rows.items()}
    try:
        return safetensors.numpy.save(arrays, metadata={"thalweg": json.dumps(about)})
    except (TypeError, ValueError):  # something that JSON or the format does not have
        return None


def is_kept(folder: Path) -> bool:
    """Return whether a run folder has its data."""
    return files_of(folder).is_there(folder / DATA_FILE)


def read(folder: Path) -> Data:
    """Return the data of a run from its folder, after comparing the file with its checksum.

    Raises:
        RunFolderError: The file is damaged or has no checksum.
    """
    path = folder / DATA_FILE
    try:
        content = files_of(folder).read(path, LARGEST_FILE)
        check = RunFile.read(folder).compare(DATA_FILE, content)
        if not check.sound:
            hint = "pass the data again: resume(folder, problem)"
            raise RunFolderError(
                "run", "data must be as they were written", got=check.why, where=path, hint=hint
            )
        arrays = safetensors.numpy.load(content)
        length = int.from_bytes(content[:8], "little")
        about = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["thalweg"])
        return _built(about, arrays)
    except RunFolderError:
        raise
    except (safetensors.SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise unreadable(path, error) from error


def _built(about: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Data:
    splits: dict[str, Split] = {}
    for name, fields in about["trees"].items():
        inputs, targets = (_filled(fields[field], arrays, f"{name}/{field}") for field in _FIELDS)
        fold = arrays.get(f"{name}/fold")
        splits[name] = Rows(inputs, targets) if fold is None else MemberRows(inputs, targets, fold)
    notes = tuple(Note(**note | {"columns": tuple(note["columns"])}) for note in about["notes"])
    preparation = Preparation.from_dict(about["preparation"])
    rows = {name: arrays[f"{name}/rows"] for name in splits if f"{name}/rows" in arrays}
    data = Data.of_splits(about["name"], about["task"], splits, preparation, notes, rows)
    return data.with_source(dict(about["source"]), fingerprint(splits))


def _outline(tree: PyTree) -> Any:
    """Return a tree with the position of each leaf in place of the leaf; None if JSON cannot hold it."""
    leaves, treedef = jax.tree.flatten(tree)
    return _encoded(jax.tree.unflatten(treedef, list(range(len(leaves)))))


def _encoded(tree: Any) -> Any:
    if isinstance(tree, int):
        return tree
    kind = {dict: "dict", tuple: "tuple", list: "list"}.get(type(tree))
    if kind is None or (kind == "dict" and not all(isinstance(name, str) for name in tree)):
        return None
    items = (
        {name: _encoded(item) for name, item in tree.items()} if kind == "dict" else list(map(_encoded, tree))
    )
    inner = items.values() if isinstance(items, dict) else items
    return None if any(item is None for item in inner) else {kind: items}


def _filled(outline: Any, arrays: Mapping[str, np.ndarray], prefix: str) -> PyTree:
    if isinstance(outline, int):
        return arrays[f"{prefix}/{outline}"]
    ((kind, items),) = outline.items()
    if kind == "dict":
        return {name: _filled(item, arrays, prefix) for name, item in items.items()}
    filled = [_filled(item, arrays, prefix) for item in items]
    return tuple(filled) if kind == "tuple" else filled
