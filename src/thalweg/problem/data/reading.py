"""The table of readers: the first that accepts the argument of `load` turns it into `Data`."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from thalweg.core.errors import DataError, nearest
from thalweg.core.lazy import in_background
from thalweg.problem.data import arrays, text
from thalweg.problem.data.data import IN_MEMORY, Data, fingerprint
from thalweg.problem.data.files.content import plain_suffix
from thalweg.problem.data.files.tables import TABLE_SUFFIXES
from thalweg.problem.data.options import LoadOptions, Source, options_from
from thalweg.problem.data.sets import named
from thalweg.problem.data.tables import series, table

# The first that accepts a source reads it. A new kind of data adds its reader here.
READERS = (named.READER, series.READER, table.READER, text.READER, arrays.READER)
SUFFIXES = (*TABLE_SUFFIXES, ".npy", ".npz", ".txt")


def read(data: Any, options: LoadOptions | None = None, **settings: Any) -> Data:
    """Read a data set; the arguments are those of `load`."""
    chosen = options_from(options, settings)
    source = _source(data, chosen)
    reader = next((reader for reader in READERS if reader.accepts(source, chosen)), None)
    if reader is None:
        raise _unreadable(source)
    result = reader.data(source, chosen)
    return replace(
        result,
        name=chosen.name or result.name,
        source={
            "from": str(data) if isinstance(data, (str, Path)) else IN_MEMORY,
            "options": chosen.to_dict(),
        },
        fingerprint=in_background(lambda: fingerprint(result.splits)),  # awaited after the model's check
    )


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


def _source(data: Any, options: LoadOptions) -> Source:
    is_name = isinstance(data, str) and data in named.names()
    if is_name or not isinstance(data, (str, Path)):
        return Source(data, "", options.name or "")
    path = existing_path(Path(data))
    suffix = "" if path.is_dir() else plain_suffix(path)
    return Source(path, suffix, options.name or path.name.split(".")[0] or "data")


def _unreadable(source: Source) -> DataError:
    if isinstance(source.data, Path):
        rule = f"the file must end in {', '.join(SUFFIXES)} (.gz or not)"
        return DataError("data", rule, got=source.data.name, hint="convert it to CSV")
    rule = "must be a name, a path, a frame, or a pair (inputs, targets)"
    return DataError("data", rule, got=source.shown, hint="for example load((x, y))")
