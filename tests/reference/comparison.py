"""Where a run of Thalweg differs from the reference: every logged figure, the kept weights, the result."""

import json
import math
import re
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tests.reference import library
from tests.reference.training import Outcome, Reference
from thalweg.recipe.recipe import Recipe

# In float64, as the orders of summation differ. Logs of steps and layers are stored in float32, where a
# number that differs in its last bits may be rounded to the neighbour, at most 1.2e-7 away.
TOLERANCE, ROUNDED = 1e-9, 2e-7
# The bias in front of a batch normalisation has a gradient of rounding errors only, which Adam scales up to
# its rate; the running mean takes it along. Nothing else depends on it. Seen: 1.1e-9 after 156 updates.
DRIFTED = 1e-8


def compared(name: str, recipe: Recipe, run: Any) -> list[str]:
    """Make the reference run of a recipe, and say where Thalweg's differs from it; see `differences`.

    Args:
        name: Of the problem.
        recipe, run: How it was trained, and the run.
    """
    settings = library.plain(recipe)
    reference = Reference(library.case(name).task, settings, library.given(name, settings))
    with np.errstate(all="ignore"):  # runs that diverge
        return differences(reference.run(), run)


def far_weights(name: str, recipe: Recipe, folder: Path, planned: int) -> list[str]:
    """Say where the last weights of a run differ, whose schedule was planned over another length.

    Args:
        name, recipe: As for `compared`, with the whole length.
        folder: Of the run.
        planned: Updates that the schedule was planned over.
    """
    settings = library.plain(recipe)
    given = library.given(name, settings)
    outcome = Reference(library.case(name).task, settings, given, planned).run()
    return list(_arrays("final", outcome.weights["final"][0], read_safetensors(folder / "final.safetensors")))


def amplification(name: str, recipe: Recipe, change: float = 1e-13) -> float:
    """Return how much a change of the first weights, relative, has grown in the last ones.

    Where it grows without bound, rounding does too, and two right computations differ.
    """
    settings, generator = library.plain(recipe), np.random.default_rng(0)
    given = library.given(name, settings)
    moved = {path: w * (1 + change * generator.normal(size=w.shape)) for path, w in given.weights.items()}
    finals = []
    for weights in (given.weights, moved):
        reference = Reference(library.case(name).task, settings, replace(given, weights=weights))
        with np.errstate(all="ignore"):
            finals.append(reference.run().weights["final"][0])
    far = [np.abs(w - finals[1][path]) / np.maximum(1, np.abs(w)) for path, w in finals[0].items()]
    return float(np.nanmax([array.max() for array in far])) / change


def differences(outcome: Outcome, run: Any) -> list[str]:
    """Return sentences that say where a run differs from the reference; none if it does not.

    Args:
        outcome: Of the reference.
        run: Thalweg's, with a folder.
    """
    return [
        *_table("steps", outcome.steps, run.record.steps, ROUNDED),
        *_table("layers", outcome.layers, run.record.layers, ROUNDED),
        *_table("evaluations", outcome.evaluations, run.record.evaluations, TOLERANCE),
        *_result(outcome.result, run.result),
        *_result(outcome.result, json.loads((run.folder / "result.json").read_text()), "result.json"),
        *_weights(outcome, run.folder),
        *_predictions(outcome, run.record.test),
    ]


def _equal(expected: Any, value: Any, tolerance: float) -> bool:
    if not isinstance(expected, (float, np.floating)) or isinstance(value, str):
        return expected == value
    if value is None:  # as JSON has it
        return not math.isfinite(expected)
    if tolerance == ROUNDED:
        expected = float(np.float32(expected))
    if not math.isfinite(expected):
        return math.isnan(expected) == math.isnan(value) and (math.isnan(value) or expected == value)
    return abs(expected - value) <= tolerance * max(1.0 if tolerance == TOLERANCE else 1e-2, abs(expected))


def _table(name: str, rows: list[dict[str, Any]], table: Any, tolerance: float) -> Iterator[str]:
    if len(rows) != table.height:
        yield f"{name}: {table.height} rows, the reference has {len(rows)}"
    for number, (expected, row) in enumerate(zip(rows, table.iter_rows(named=True), strict=False)):
        for column, value in expected.items():
            if not _equal(value, row[column], tolerance):
                yield f"{name} row {number} {column}: {row[column]}, the reference has {value}"
                return


def _result(expected: Any, value: Any, where: str = "result") -> Iterator[str]:
    if isinstance(expected, dict):
        if not isinstance(value, dict):
            yield f"{where}: {value}, the reference has {expected}"
            return
        for name, part in expected.items():
            yield from _result(part, value.get(name), f"{where} {name}")
        for name in ("best", "test_metrics", "baseline"):
            if where.startswith("result") and " " not in where and (name in value) != (name in expected):
                yield f"{where}: {name} is {value.get(name)}, the reference has {expected.get(name)}"
    elif not _equal(expected, value, TOLERANCE):
        yield f"{where}: {value}, the reference has {expected}"


def _weights(outcome: Outcome, folder: Path) -> Iterator[str]:
    for name in ("final", "best"):
        path = folder / f"{name}.safetensors"
        if path.exists() != (name in outcome.weights):
            yield f"{path.name} exists: {path.exists()}"
        elif path.exists():
            arrays = read_safetensors(path)
            params, statistics = outcome.weights[name]
            flat = {**params}
            for number, figures in enumerate(statistics):
                flat |= {f"state {number} {part}": np.asarray(figures[part]) for part in range(3)}
            states = [value for key, value in arrays.items() if key not in params]
            found = {key: value for key, value in arrays.items() if key in params}
            found |= {f"state {number // 3} {number % 3}": value for number, value in enumerate(states)}
            yield from _arrays(name, flat, found)


def _arrays(name: str, expected: dict[str, np.ndarray], arrays: dict[str, np.ndarray]) -> Iterator[str]:
    if expected.keys() != arrays.keys():
        yield f"{name}: arrays {sorted(arrays)}, the reference has {sorted(expected)}"
        return
    for path, array in expected.items():
        far = np.abs(arrays[path] - array) / np.maximum(1, np.abs(array))
        same = (arrays[path] == array) | (np.isnan(array) & np.isnan(arrays[path]))
        normalised = any(key.startswith("state ") for key in expected)
        drifts = normalised and (path.endswith(".bias") or re.fullmatch(r"state \d+ 0", path) is not None)
        if not np.all(same | (far <= (DRIFTED if drifts else TOLERANCE))):
            yield f"{name} {path}: off by {np.nanmax(np.where(same, 0, far)):.2g}"


def _predictions(outcome: Outcome, test: Any) -> Iterator[str]:
    if outcome.test is None:
        if len(test):
            yield "test.parquet: there are predictions"
        return
    for column, expected in zip(("target", "prediction"), outcome.test, strict=True):
        values = test[column].to_list()
        if isinstance(values[0], str):
            values = [int(value) for value in values]
        if not np.allclose(np.asarray(values), expected, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True):
            yield f"test.parquet: {column} differs"


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a file, in its order: a length, a header in JSON, the bytes."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header, arrays = json.loads(content[8 : 8 + length]), {}
    types = {"F64": np.float64, "F32": np.float32, "U32": np.uint32, "I32": np.int32}
    for name, entry in header.items():
        if name != "__metadata__":
            start, end = (8 + length + offset for offset in entry["data_offsets"])
            arrays[name] = np.frombuffer(content[start:end], types[entry["dtype"]]).reshape(entry["shape"])
    return arrays
