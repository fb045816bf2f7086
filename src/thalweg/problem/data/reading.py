"""The table of readers: the first that accepts the argument of `load` turns it into `Data`."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from thalweg.core.caller import either
from thalweg.core.errors import DataError, nearest
from thalweg.core.lazy import in_background
from thalweg.problem.data import arrays, text
from thalweg.problem.data.chunked import table as chunked
from thalweg.problem.data.data import IN_MEMORY, Data, fingerprint
from thalweg.problem.data.files.content import plain_suffix
from thalweg.problem.data.files.parts import is_list_of_paths, parts_of
from thalweg.problem.data.files.picture_files import PICTURES
from thalweg.problem.data.files.piped import STANDARD_INPUT, is_open_file, spooled
from thalweg.problem.data.files.tables import TABLE_SUFFIXES
from thalweg.problem.data.files.tar_shards import SUFFIX, shards_of
from thalweg.problem.data.folds import FoldedData
from thalweg.problem.data.foreign import plain
from thalweg.problem.data.options import LoadOptions, Source, options_from
from thalweg.problem.data.sets import named
from thalweg.problem.data.tables import series, table
from thalweg.problem.data.validation_folds import with_validation_folds

# The first that accepts a source reads it. A new kind of data adds its reader here.
READERS = (named.READER, chunked.READER, series.READER, table.READER, text.READER, arrays.READER)
SUFFIXES = (*TABLE_SUFFIXES, ".npy", ".npz", ".txt")


def read(source: Any, options: LoadOptions | None = None, **settings: Any) -> Data:
    """Read a data set; the arguments are those of `load`."""
    chosen = options_from(options, settings)
    other = plain(source, chosen.target)
    if other is not None:
        given = {name: value for name, value in other.options.items() if getattr(chosen, name) is None}
        data = _read(other.source, replace(chosen, **given))
        return replace(data, notes=(*other.notes, *data.notes))
    with at_hand(source) as found:
        data = _read(found, chosen)
    if found is source:
        return data
    kept = dict(data.source, **{"from": IN_MEMORY})  # the file that it was spooled to is gone
    if isinstance(data, FoldedData):
        data = replace(data, folds=tuple(replace(fold, source=kept) for fold in data.folds))
    return replace(data, source=kept)


@contextmanager
def at_hand(source: Any) -> Iterator[Any]:
    """Yield a source that can be read by its path: standard input and open files are spooled.

    Raises:
        DataError: Nothing is piped in, or more than `core.limits` allows.
    """
    if isinstance(source, str) and source == STANDARD_INPUT:
        source = sys.stdin.buffer
    if not is_open_file(source):
        yield source
        return
    example = either("cat data.csv | thalweg fit - --target y", "load(open('data.csv', 'rb'))")
    with spooled(source, example) as path:
        yield path


def _read(source: Any, chosen: LoadOptions) -> Data:
    origin = source_of(source, chosen)
    reader = next((reader for reader in READERS if reader.accepts(origin, chosen)), None)
    if reader is None:
        raise _unreadable(origin)
    result = reader.data(origin, chosen)
    about: dict[str, Any] = {
        "name": chosen.name or result.name,
        "source": {
            "from": _named(source),
            "options": chosen.to_dict() | result.source.get("options", {}),
        },
        "fingerprint": in_background(lambda: fingerprint(result.splits)),  # awaited after the model's check
    }
    if isinstance(result, FoldedData):
        about["folds"] = tuple(replace(fold, **about) for fold in result.folds)
    data = replace(result, **about)
    folds = chosen.validation_folds
    return data if folds is None else with_validation_folds(data, folds, chosen.split_seed)


def _named(source: Any) -> str | list[str]:
    """Return what a source is called, by which it can be read again."""
    if is_list_of_paths(source):
        return [str(each) for each in source]
    return str(source) if isinstance(source, (str, Path)) else IN_MEMORY


def existing_path(path: Path) -> Path:
    """Return a path that exists.

    Raises:
        DataError: It does not exist; the hint is the most similar name in its folder, or set.
    """
    if path.exists():
        return path
    siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    file, named_set = nearest(path.name, siblings), nearest(str(path), named.names())
    if named_set is not None and (file is None or not path.suffix):  # a bare word more likely means a set
        hint = f"did you mean the named set {named_set!r}?"
    elif file is not None:
        hint = f"did you mean {str(path.with_name(file))!r}?"
    else:
        hint = "named sets are " + ", ".join(named.names())
    rule = "must be a named set, or a file or folder that exists"
    raise DataError("data", rule, got=str(path), hint=hint)


def source_of(data: Any, options: LoadOptions) -> Source:
    """Return the argument of `load` with what its name tells.

    Raises:
        DataError: A path does not exist, or files do not belong together.
    """
    is_name = isinstance(data, str) and data in named.names()
    shards = None if is_name else shards_of(data)
    if shards is not None:
        return Source(shards, SUFFIX, options.name or shards.name)
    parts = None if is_name else parts_of(data)
    if parts is not None:
        return Source(parts, parts.suffix, options.name or parts.name)
    if is_name or not isinstance(data, (str, Path)):
        return Source(data, "", options.name or "")
    path = existing_path(Path(data))
    suffix = "" if path.is_dir() else plain_suffix(path)
    return Source(path, suffix, options.name or path.name.split(".")[0] or "data")


def _unreadable(source: Source) -> DataError:
    if isinstance(source.data, Path):
        rule = f"the file must end in {', '.join(SUFFIXES)} (.gz or not)"
        hint = "give the folder of the images" if PICTURES.is_one(source.data) else "convert it to CSV"
        return DataError("data", rule, got=source.data.name, hint=hint)
    rule = "must be a name, a path, a frame, or a pair (inputs, targets)"
    return DataError("data", rule, got=source.shown, hint="for example load((x, y))")
