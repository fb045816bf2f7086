"""What differs between two recordings, run by run, file by file, and where it begins."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bits import digests, names

MISSING = "(missing)"


@dataclass
class Found:
    """What came of a comparison.

    Args:
        compared: Runs that are in both recordings.
        differing: Runs that differ, or are in one recording alone.
        lines: A line for each difference.
        notes: What is no difference and yet worth a line.
    """

    compared: int = 0
    differing: int = 0
    lines: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def differences(
    first: Path, second: Path, before: Mapping[str, Any], after: Mapping[str, Any], only: list[str]
) -> Found:
    """Compare two manifests; the folders say more of what differs.

    What only the second recording has of a file (a new figure, a new column) is no difference, but noted.
    """
    found, extra = Found(), set[str]()
    for name in sorted({*before["runs"], *after["runs"]}):
        if not is_chosen(name, only):
            continue
        found.compared += 1
        was, now = before["runs"].get(name), after["runs"].get(name)
        if was is None or now is None:
            why = (after if now is None else before)["left_out"].get(name, "not recorded")
            lines = [f"{name}: {'only in the first' if now is None else 'only in the second'} ({why})"]
        else:
            lines = list(_run(name, was, now, first / "runs" / name, second / "runs" / name, extra))
        found.lines += lines
        found.differing += bool(lines)
    if extra:
        found.notes.append(f"note: only in the second, not compared: {', '.join(sorted(extra))}")
    return found


def is_chosen(name: str, only: list[str]) -> bool:
    """Tell whether a run was asked for: by its name, or by that of its group."""
    return not only or any(name == one or name.startswith(f"{one}/") for one in only)


def _run(
    name: str, was: Mapping[str, Any], now: Mapping[str, Any], first: Path, second: Path, extra: set[str]
) -> Iterator[str]:
    for file in sorted({*was, *now}):
        if file not in now:
            yield f"{name}: {file}: {MISSING} in the second"
        elif file not in was:
            extra.add(Path(file).name)
        else:
            old, new = was[file], now[file]
            paths = first / old["at"], second / new["at"]
            for what in sorted({*old["holds"], *new["holds"]}):
                a, b = old["holds"].get(what, MISSING), new["holds"].get(what, MISSING)
                if a == MISSING:
                    extra.add(f"{Path(file).name} {what}")
                elif a != b:
                    yield f"{name}: {file}: {what}: {_short(a)} != {_short(b)}{_closer(paths, what, b)}"


def _short(value: Any) -> str:
    return value[:12] if isinstance(value, str) and len(value) == 64 else repr(value)


def _closer(paths: tuple[Path, Path], what: str, other: Any) -> str:
    """Return where two columns or arrays part, in words; nothing where that cannot be told."""
    if other == MISSING or not all(path.exists() for path in paths):
        return ""
    suffix = paths[0].suffix
    if suffix == ".safetensors":
        return _of_arrays(paths, what)
    if suffix in (".parquet", ".arrow", ".feather") and what != "rows":
        return _of_columns(paths, what)
    return ""


def _of_arrays(paths: tuple[Path, Path], what: str) -> str:
    a, b = (digests.arrays(path) for path in paths)
    if what == "file":
        same = a.keys() == b.keys() and all(a[name].tobytes() == b[name].tobytes() for name in a)
        return " (every array is equal: the header alone differs)" if same else ""
    one, two = a[what], b[what]
    if one.shape != two.shape or one.dtype != two.dtype:
        return f" ({one.dtype}{list(one.shape)}, {two.dtype}{list(two.shape)})"
    bytes_apart = np.flatnonzero(one.ravel().view("u1") != two.ravel().view("u1"))
    parted = np.unique(bytes_apart // one.dtype.itemsize)
    if not len(parted):
        return ""
    at = int(parted[0])
    apart = np.abs(one.astype(np.float64) - two.astype(np.float64)).max()
    old, new = one.ravel()[at], two.ravel()[at]
    many = f"{len(parted)} of {one.size} numbers"
    return f" ({many}, first at {at}: {old}, {new}; {apart:.3g} apart at most)"


def _of_columns(paths: tuple[Path, Path], what: str) -> str:
    columns = []
    for path in paths:
        table = digests.table(path)
        own = {names.column(path.stem, name): name for name in table.column_names}
        columns.append(table.column(own[what]))
    if columns[0].type != columns[1].type:
        return f" ({columns[0].type}, {columns[1].type})"
    one, two = (digests.values(column) for column in columns)
    parted = [row for row, (a, b) in enumerate(zip(one, two, strict=False)) if repr(a) != repr(b)]
    if not parted:
        return f" ({len(one)} rows, {len(two)} rows)"
    row = parted[0]
    return f" ({len(parted)} of {len(one)} rows, first row {row}: {one[row]!r}, {two[row]!r})"
