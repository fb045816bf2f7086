"""The differences between two recordings, by run and file, and where they start."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bits import digests, names

MISSING = "(missing)"


@dataclass
class Comparison:
    """The result of a comparison.

    Args:
        compared: Number of runs in either recording.
        differing: Number of runs that differ or are in only one recording.
        lines: One line per difference.
        notes: Remarks that are not differences.
    """

    compared: int = 0
    differing: int = 0
    lines: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def differences(
    first: Path, second: Path, before: Mapping[str, Any], after: Mapping[str, Any], only: list[str]
) -> Comparison:
    """Compare two manifests; the folders give details of the differences.

    A figure or column that only the second recording has is noted, but is not a difference.
    """
    comparison, extra = Comparison(), set[str]()
    for name in sorted({*before["runs"], *after["runs"]}):
        if not is_chosen(name, only):
            continue
        comparison.compared += 1
        old, new = before["runs"].get(name), after["runs"].get(name)
        if old is None or new is None:
            why = (after if new is None else before)["left_out"].get(name, "not recorded")
            lines = [f"{name}: {'only in the first' if new is None else 'only in the second'} ({why})"]
        else:
            lines = list(_run(name, old, new, first / "runs" / name, second / "runs" / name, extra))
        comparison.lines += lines
        comparison.differing += bool(lines)
    if extra:
        comparison.notes.append(f"note: only in the second, not compared: {', '.join(sorted(extra))}")
    return comparison


def is_chosen(name: str, only: list[str]) -> bool:
    """Return whether a run is selected, by its name or that of its group."""
    return not only or any(name == selected or name.startswith(f"{selected}/") for selected in only)


def _run(
    name: str, before: Mapping[str, Any], after: Mapping[str, Any], first: Path, second: Path, extra: set[str]
) -> Iterator[str]:
    for file in sorted({*before, *after}):
        if file not in after:
            yield f"{name}: {file}: {MISSING} in the second"
        elif file not in before:
            extra.add(Path(file).name)
        else:
            old, new = before[file], after[file]
            paths = first / old["at"], second / new["at"]
            for what in sorted({*old["holds"], *new["holds"]}):
                a, b = old["holds"].get(what, MISSING), new["holds"].get(what, MISSING)
                if a == MISSING:
                    extra.add(f"{Path(file).name} {what}")
                elif a != b:
                    yield f"{name}: {file}: {what}: {_short(a)} != {_short(b)}{_details(paths, what, b)}"


def _short(value: Any) -> str:
    return value[:12] if isinstance(value, str) and len(value) == 64 else repr(value)


def _details(paths: tuple[Path, Path], what: str, other: Any) -> str:
    """Return where two columns or arrays first differ, as text; empty if that is unknown."""
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
    first, second = a[what], b[what]
    if first.shape != second.shape or first.dtype != second.dtype:
        return f" ({first.dtype}{list(first.shape)}, {second.dtype}{list(second.shape)})"
    differing_bytes = np.flatnonzero(first.ravel().view("u1") != second.ravel().view("u1"))
    differing = np.unique(differing_bytes // first.dtype.itemsize)
    if not len(differing):
        return ""
    index = int(differing[0])
    largest = np.abs(first.astype(np.float64) - second.astype(np.float64)).max()
    old, new = first.ravel()[index], second.ravel()[index]
    count = f"{len(differing)} of {first.size} numbers"
    return f" ({count}, first at {index}: {old}, {new}; {largest:.3g} apart at most)"


def _of_columns(paths: tuple[Path, Path], what: str) -> str:
    columns = []
    for path in paths:
        table = digests.table(path)
        names_now = {names.column(path.stem, name): name for name in table.column_names}
        columns.append(table.column(names_now[what]))
    if columns[0].type != columns[1].type:
        return f" ({columns[0].type}, {columns[1].type})"
    first, second = (digests.values(column) for column in columns)
    differing = [row for row, (a, b) in enumerate(zip(first, second, strict=False)) if repr(a) != repr(b)]
    if not differing:
        return f" ({len(first)} rows, {len(second)} rows)"
    row = differing[0]
    return f" ({len(differing)} of {len(first)} rows, first row {row}: {first[row]!r}, {second[row]!r})"
