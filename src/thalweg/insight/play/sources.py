"""What the playground learns from: data of one or two numbers, which can be drawn, or a surface.

Named sets, the user's own table, points drawn with the mouse: all are read by `load`, so that what is trained
here is what `thalweg fit` trains.
"""

import math
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from thalweg.core.caller import argument
from thalweg.core.errors import BadInput, DataError, did_you_mean
from thalweg.problem.data.data import CLASSIFICATION, REGRESSION, Data
from thalweg.problem.data.inputs.array import ArrayInputs
from thalweg.problem.data.inputs.rules import NumberRule
from thalweg.problem.data.load import load
from thalweg.problem.data.sets.named import names
from thalweg.problem.data.split import Rows
from thalweg.problem.surfaces import SURFACES, Surface

# How a source is drawn: classes or numbers over the plane of two inputs, a curve, or a surface with paths.
CLASSES, VALUES, CURVE, SURFACE = "classes", "values", "curve", "surface"
NAMED = {
    "moons": "Two moons",
    "circles": "Circles",
    "spirals": "Spirals",
    "xor": "XOR",
    "sine": "Sine curve",
    "quadratic": "Parabola",
    "linear": "Line",
}
TABLE, DRAWN = "table", "drawn"
# Classes that colours can tell apart; examples whose loss is shown, and points that are drawn.
MOST_CLASSES, MOST_SHOWN = 6, 1000
# Of points drawn with the mouse: how many, how far out, and the share that is held out.
MOST_DRAWN, FURTHEST, HELD_OUT = 1000, 1.5, 0.25


@dataclass(frozen=True)
class Source:
    """What is learned from, and how it is drawn.

    Args:
        name: The choice: a named set or surface, `table`, or `drawn`.
        kind: `classes`, `values`, `curve` or `surface`.
        data: The data; None for a surface.
        path: What the command line and Python call it: a name or a path.
        options: Options of `load` that were given.
    """

    name: str
    kind: str
    data: Data | None = None
    path: str = ""
    options: tuple[tuple[str, Any], ...] = ()

    @property
    def surface(self) -> Surface:
        """The surface, of a source that is one."""
        return SURFACES[self.name]

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes; empty where there are none."""
        if self.data is None or self.kind != CLASSES:
            return ()
        return tuple(map(str, self.data.preparation.classes or range(self.data.outputs)))


@dataclass(frozen=True)
class Points:
    """Examples as they are drawn, in the unit of the data.

    Args:
        at: Their two inputs, or input and target, `example 2`.
        labels: Class of each, or its target; 0 where there is neither.
        held: Which are validation examples.
        names: Of the two axes.
    """

    at: Float[np.ndarray, "example 2"]
    labels: Float[np.ndarray, " example"]
    held: Int[np.ndarray, " example"]
    names: tuple[str, str]


@cache
def named_source(name: str) -> Source:
    """Return a named set or a surface.

    Raises:
        DataError: There is none of that name.
    """
    if name in SURFACES:
        return Source(name, SURFACE, path=name)
    if name in NAMED:
        return replace(source_of(load(name), name), path=name)
    hint = did_you_mean(name, [*NAMED, *SURFACES])
    raise DataError("play", "must be a set or a surface that can be drawn, or a file", got=name, hint=hint)


def read_source(path: str, options: dict[str, Any]) -> Source:
    """Return the source that the command line names: a set, a surface or a file.

    Args:
        path: A name or a path.
        options: Options of `load` that were given.

    Raises:
        DataError: It cannot be read, or cannot be drawn.
    """
    if path in SURFACES and not Path(path).exists():
        if options:
            hint = "leave them out"
            raise DataError("play", "a surface takes no options of data", got=list(options), hint=hint)
        return named_source(path)
    is_name = path.isidentifier() and not Path(path).exists() and path not in names()
    if (path in NAMED and not options) or is_name:
        return named_source(path)
    source = source_of(load(path, **options), TABLE)
    name = path if path in NAMED else TABLE
    return replace(source, name=name, path=path, options=tuple(options.items()))


def drawn_source(points: Any) -> Source:
    """Return points that were drawn with the mouse: rows of two coordinates and a class.

    Raises:
        BadInput: They are no such rows, too many or too few, or too far out.
    """
    rows = _checked_points(points)
    labels = rows[:, 2].astype(int)
    data = load((rows[:, :2].astype(np.float32), labels), validation=HELD_OUT, test=0.0, name="points")
    options = (("target", "class"), ("validation", HELD_OUT), ("test", 0.0))
    return replace(source_of(data, DRAWN), path="points.csv", options=options)


def _checked_points(points: Any) -> np.ndarray:
    rule = f"points must be rows of two coordinates from -{FURTHEST} to {FURTHEST} and a class from 0"
    hint = "draw at least 4 points of each of 2 classes"
    if not isinstance(points, list) or len(points) > MOST_DRAWN:
        got = f"{len(points)} points" if isinstance(points, list) else type(points).__name__
        raise BadInput("play", f"takes at most {MOST_DRAWN} drawn points", got=got, hint=hint)
    numbers = all(isinstance(row, list) and len(row) == 3 and all(map(_is_number, row)) for row in points)
    rows = np.array(points, np.float64).reshape(-1, 3) if numbers else np.full((1, 3), np.nan)
    inside = np.abs(rows[:, :2]) <= FURTHEST
    known = np.isin(rows[:, 2], np.arange(MOST_CLASSES))
    if not (inside.all() and known.all()):
        raise BadInput("play", rule, got="other rows", hint=hint)
    counts = np.unique(rows[:, 2], return_counts=True)[1]
    if len(counts) < 2 or counts.min() < 4:
        raise BadInput("play", "needs at least 4 points of each of 2 classes", got=counts.tolist(), hint=hint)
    return rows


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def source_of(data: Data, name: str) -> Source:
    """Return data as a source.

    Raises:
        DataError: They are not one or two numbers with a class or a number as target.
    """
    kinds = {(1, REGRESSION): CURVE, (2, CLASSIFICATION): CLASSES, (2, REGRESSION): VALUES}
    shape = data.input_shape
    width = shape[0] if isinstance(shape, tuple) and len(shape) == 1 else None
    kind = kinds.get((width, data.task)) if width is not None and _is_plain(data) else None
    if kind is None:
        rule = (
            "needs data that can be drawn: two numeric columns and a target, or one and a number to predict"
        )
        got = f"{_columns(data)}, {data.task}"
        hint = f"leave columns out with {argument('drop')}, or name another {argument('target')}"
        raise DataError("play", rule, got=got, hint=hint)
    if kind != CLASSES and data.outputs != 1:
        hint = f"name one column with {argument('target')}"
        raise DataError("play", "needs a single target", got=f"{data.outputs} targets", hint=hint)
    if kind == CLASSES and data.outputs > MOST_CLASSES:
        hint = f"name another {argument('target')}, or leave rare classes out with {argument('min_class')}"
        rule = f"can tell {MOST_CLASSES} classes apart by colour"
        raise DataError("play", rule, got=f"{data.outputs} classes", hint=hint)
    return Source(name, kind, data)


def _is_plain(data: Data) -> bool:
    """Return whether every input is one number of the data, standardised."""
    columns, rules = data.preparation.columns, getattr(data.preparation.columns, "rules", ())
    plain = all(isinstance(rule, NumberRule) and not rule.flag for rule in rules)
    return isinstance(data.train, Rows) and ((bool(rules) and plain) or isinstance(columns, ArrayInputs))


def _columns(data: Data) -> str:
    rules = getattr(data.preparation.columns, "rules", ())
    names = [str(getattr(rule, "column", "?")) for rule in rules]
    if not names:
        return f"inputs of shape {data.input_shape}"
    return f"{len(names)} columns ({', '.join(names[:4])}{', ...' if len(names) > 4 else ''})"


def in_units(data: Data) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Return mean and scale that turn inputs of the model into the unit of the data, and the names.

    A column with a long tail, which enters as a logarithm, stays as it enters.
    """
    columns = data.preparation.columns
    if isinstance(columns, ArrayInputs):
        names = tuple(f"x{number + 1}" for number in range(data.input_shape[0]))
        return np.asarray(columns.mean, float), np.asarray(columns.scale, float), names
    rules = [rule for rule in getattr(columns, "rules", ()) if isinstance(rule, NumberRule)]
    mean = np.array([0.0 if rule.unit else rule.mean for rule in rules])
    scale = np.array([1.0 if rule.unit else rule.scale for rule in rules])
    return mean, scale, tuple(f"log {rule.column}" if rule.unit else rule.column for rule in rules)


def shown_points(data: Data, kind: str) -> Points:
    """Return the examples that are drawn: some of the training split, and of the validation split."""
    (mean, scale, names), ready = in_units(data), data.preparation
    inputs, labels, held = [], [], []
    for number, split in enumerate((data.train, data.validation)):
        if split is None:
            continue
        rows = split.fewer(MOST_SHOWN)
        x, y = (np.asarray(each) for each in rows.batch(np.arange(rows.count())))  # type: ignore[arg-type]
        inputs.append(x * scale + mean)
        labels.append(np.asarray(y, float).reshape(len(x), -1)[:, 0])
        held.append(np.full(len(x), number))
    at, label = np.concatenate(inputs), np.concatenate(labels)
    if kind == CLASSES:
        return Points(at, label, np.concatenate(held), (names[0], names[1]))
    value = label * np.ravel(ready.target_scale)[0] + np.ravel(ready.target_mean)[0]
    if kind == CURVE:
        at = np.stack([at[:, 0], value], axis=1)
        return Points(at, np.zeros(len(at)), np.concatenate(held), (names[0], ready.target))
    return Points(at, value, np.concatenate(held), (names[0], names[1]))
