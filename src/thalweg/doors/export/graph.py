"""A trained model as one function of arrays, and the rows on which every export of it is compared.

The function begins where the host side of the preparation ends: it takes what `preparation.columns` gives,
and returns what `predict` does, probabilities or values in the target's own unit. Its layers are traced in
common operations (`models/layers/portable.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from thalweg.core.errors import DataError
from thalweg.core.lazy import pl
from thalweg.problem.data.data import CLASSIFICATION, LANGUAGE, MULTILABEL
from thalweg.problem.data.inputs.array import ArrayInputs
from thalweg.problem.data.inputs.image import ImageInputs
from thalweg.problem.data.inputs.rules import CategoryRule, DateRule, NumberRule, Rule
from thalweg.problem.data.inputs.series import SeriesColumns
from thalweg.problem.data.inputs.table import TableColumns
from thalweg.problem.losses.outputs import (
    LOG_PROBABILITIES,
    LOGITS,
    PROBABILITIES,
    SCORES,
    class_columns,
    quantile_levels,
    values_of,
)
from thalweg.problem.models.adapter import apply
from thalweg.problem.models.layers.portable import portable_layers
from thalweg.run.restore import Trained

# Rows on which an export is compared with the run, and the largest difference, in relation to the larger of
# 1 and the largest value (in the unit of standardised targets): float32 rounds at 6e-8, and the sums of a
# deep network in another order differ by some hundreds of that.
ROWS, TOLERANCE = 100, 1e-4
PREDICTION, SHARES, RAW_SCORES, QUANTILES, NEXT = (
    "prediction",
    "probabilities",
    "scores",
    "quantiles",
    "logits",
)


@dataclass(frozen=True)
class Graph:
    """A trained model as a function.

    Args:
        trained: The run.
        shape, dtype: Of one example's inputs, as the host side of the preparation gives them.
        has_offsets: Whether a second argument is added to the outputs, `example` (of several time series: the
            last known value, in the unit of standardised targets).
    """

    trained: Trained
    shape: tuple[int, ...]
    dtype: np.dtype
    has_offsets: bool

    def __call__(self, inputs: Array, offsets: Array | None = None) -> dict[str, Array]:
        """Return predictions by name, each `example ...`. Pure."""
        with portable_layers():
            scaled = self.trained.preparation.scale(inputs)
            outputs = apply(self.trained.built, scaled, key=None, training=False)[0]
        return _finished(self.trained, outputs, offsets)

    @property
    def function(self) -> Callable[..., dict[str, Array]]:
        """The same as a plain function, of as many arguments as it takes."""
        if self.has_offsets:
            return lambda inputs, offsets: self(inputs, offsets)
        return lambda inputs: self(inputs)

    def arguments(self, rows: Any) -> list[jax.ShapeDtypeStruct]:
        """Return the shapes of the arguments, for a number of rows or a symbol of it."""
        shapes = [jax.ShapeDtypeStruct((rows, *self.shape), self.dtype)]
        return shapes + ([jax.ShapeDtypeStruct((rows,), np.float32)] if self.has_offsets else [])


@dataclass(frozen=True)
class Sample:
    """Rows on which an export is compared.

    Args:
        raw: The rows as users have them (a frame, an array); None where inputs are drawn directly.
        inputs: What the function takes.
        offsets: Its second argument; None without.
        expected: What the run itself predicts for them, by name.
    """

    raw: Any
    inputs: np.ndarray
    offsets: np.ndarray | None
    expected: dict[str, np.ndarray]


def graph_of(trained: Trained) -> Graph:
    """Return a trained model as a function.

    Raises:
        DataError: It was trained by an objective, or on inputs or targets of several kinds.
    """
    if trained.task != LANGUAGE:
        trained.check_predicts()
    columns, shape = trained.preparation.columns, trained.record.problem["data"]["input_shape"]
    if trained.preparation.heads or not isinstance(shape, (list, tuple)):
        rule = "takes models of one array, with one kind of target"
        got = "several targets" if trained.preparation.heads else "several inputs"
        raise DataError("export", rule, got=got, hint="use the run from Python: tw.restore(run).model")
    if not all(isinstance(size, int) for size in shape):
        rule, hint = "takes models of one array", "use the run from Python: tw.restore(run).model"
        raise DataError("export", rule, got=f"inputs of shape {shape}", hint=hint)
    dtype = np.float32
    if trained.task == LANGUAGE:
        dtype = np.int32
    elif isinstance(columns, ImageInputs) and columns.byte:
        dtype = np.uint8
    changes = isinstance(columns, SeriesColumns) and columns.change is not None
    return Graph(trained, tuple(shape), np.dtype(dtype), changes)


def _finished(trained: Trained, outputs: Array, offsets: Array | None) -> dict[str, Array]:
    """Return outputs as predictions: `Preparation.answers`, as a traced function."""
    meaning, ready = trained.meaning, trained.preparation
    if trained.task == LANGUAGE:
        return {NEXT: outputs}
    if trained.task == MULTILABEL:
        turn = {LOGITS: jax.nn.sigmoid, LOG_PROBABILITIES: jnp.exp, PROBABILITIES: _clipped}.get(meaning)
        return {RAW_SCORES: outputs} if turn is None else {SHARES: turn(outputs)}
    if trained.task == CLASSIFICATION:
        columns = class_columns(outputs, meaning)
        if meaning == SCORES:
            return {RAW_SCORES: columns}
        if meaning != PROBABILITIES:
            temperature = 1.0 if trained.calibration is None else trained.calibration.temperature
            return {SHARES: jax.nn.softmax(columns / temperature, axis=-1)}
        shares = _clipped(columns)
        total = shares.sum(axis=-1, keepdims=True)
        return {SHARES: jnp.where(total > 0, shares / jnp.where(total > 0, total, 1), 1 / columns.shape[-1])}
    values = values_of(outputs, meaning)
    if offsets is not None:
        values = values + offsets.reshape(-1, *[1] * (values.ndim - 1))
    values = values * jnp.asarray(ready.target_scale, jnp.float32)
    values = values + jnp.asarray(ready.target_mean, jnp.float32)
    if quantile_levels(meaning):
        return {QUANTILES: values}
    return {PREDICTION: values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values}


def _clipped(shares: Array) -> Array:
    return jnp.clip(shares, 0.0, 1.0)


def sample_of(graph: Graph, seed: int = 0) -> Sample:
    """Draw rows like those of training, some with missing values and new categories, and predict them."""
    draw, columns = np.random.default_rng(seed), graph.trained.preparation.columns
    raw: Any = None
    if isinstance(columns, TableColumns):
        raw = pl.DataFrame([_cells(rule, draw) for rule in columns.rules])
        inputs = columns.inputs(raw, new=False)
    elif isinstance(columns, (ImageInputs, ArrayInputs)):
        raw = _numbers(columns, graph, draw)
        inputs = columns.inputs(raw)
    elif graph.dtype == np.int32:
        inputs = draw.integers(0, len(columns.characters), (ROWS, *graph.shape)).astype(np.int32)  # type: ignore[attr-defined]
    else:
        inputs = draw.standard_normal((ROWS, *graph.shape)).astype(np.float32)
    offsets = draw.standard_normal(ROWS).astype(np.float32) if graph.has_offsets else None
    return Sample(raw, inputs, offsets, _expected(graph.trained, inputs, offsets))


def _cells(rule: Rule, draw: np.random.Generator) -> pl.Series:
    """Draw cells of a column, about a tenth of them missing."""
    gone = draw.random(ROWS) < 0.1
    if isinstance(rule, NumberRule):
        z = rule.mean + rule.scale * draw.uniform(-2.5, 2.5, ROWS)
        x = np.sign(z) * np.expm1(np.minimum(np.abs(z), 80.0)) * rule.unit if rule.unit else z
        values: list[Any] = x.tolist()
    elif isinstance(rule, DateRule):
        mean, scale = dict(zip(rule.parts, zip(rule.mean, rule.scale, strict=True), strict=True)).get(
            "days", (18_000.0, 300.0)
        )
        days = mean + scale * draw.uniform(-1.5, 1.5, ROWS)
        values = [datetime(1970, 1, 1) + timedelta(days=float(day)) for day in days]
    elif isinstance(rule, CategoryRule):
        known = [*rule.categories, "never seen"]
        values = [known[i] for i in draw.integers(0, len(known), ROWS)]
    else:
        values = [" ".join(draw.choice(rule.words, min(3, len(rule.words)))) for _ in range(ROWS)]
    kept = [None if missing else value for value, missing in zip(values, gone, strict=True)]
    return pl.Series(rule.column, kept, dtype=None if any(v is not None for v in kept) else pl.Float64)


def _numbers(columns: ImageInputs | ArrayInputs, graph: Graph, draw: np.random.Generator) -> np.ndarray:
    """Draw pixels or numbers in the range of training."""
    if graph.dtype == np.uint8:
        low, high = (columns.range.low, columns.range.high) if columns.range.low else ((0,), (255,))
        return draw.integers(int(low[0]), int(high[0]) + 1, (ROWS, *graph.shape)).astype(np.uint8)
    if columns.range.low:
        low, high = np.asarray(columns.range.low), np.asarray(columns.range.high)
    else:
        mean, scale = (
            np.asarray(getattr(columns, name, value)) for name, value in (("mean", 0.5), ("scale", 0.5))
        )
        low, high = mean - scale, mean + scale
    if not graph.shape or isinstance(columns, ImageInputs):
        low, high = low.ravel()[0], high.ravel()[0]
    return draw.uniform(low, high, (ROWS, *graph.shape)).astype(np.float32)


def _expected(trained: Trained, inputs: np.ndarray, offsets: np.ndarray | None) -> dict[str, np.ndarray]:
    """Return what the run predicts, under the names of the function's outputs."""
    outputs = trained.outputs(inputs)
    if trained.task == LANGUAGE:
        return {NEXT: np.asarray(outputs)}
    answers = trained.answers_of(outputs, offsets)
    for prefix, name in (("probability_", SHARES), ("score_", RAW_SCORES), ("quantile_", QUANTILES)):
        columns = [values for column, values in answers.items() if column.startswith(prefix)]
        if columns:
            return {name: np.stack(columns, axis=1), PREDICTION: answers[PREDICTION]}
    if trained.task == MULTILABEL:
        return {RAW_SCORES: np.asarray(outputs)}
    return {PREDICTION: answers[PREDICTION]}


def differences(
    graph: Graph, expected: dict[str, np.ndarray], given: dict[str, np.ndarray]
) -> dict[str, float]:
    """Return how far each output lies from the run's, in relation to the larger of 1 and its largest value.

    Values are taken in the unit of standardised targets; classes that differ count 1, unless their
    probabilities are within the tolerance.
    """
    scale = np.asarray(graph.trained.preparation.target_scale, np.float64)
    mean = np.asarray(graph.trained.preparation.target_mean, np.float64)
    found = {}
    for name, values in given.items():
        labels = values.dtype.kind in "OUS" or (
            name == PREDICTION and not {SHARES, RAW_SCORES}.isdisjoint(expected)
        )
        if name not in expected or labels:
            continue
        one, other = np.asarray(expected[name], np.float64), np.asarray(values, np.float64)
        if one.shape != other.shape:
            found[name] = float("inf")
            continue
        if name in (PREDICTION, QUANTILES):
            one, other = (one - mean) / scale, (other - mean) / scale
        size = max(1.0, float(np.abs(one[np.isfinite(one)]).max(initial=0.0)))
        same = (one == other) | (np.isnan(one) & np.isnan(other))
        far = np.where(same, 0.0, np.abs(one - other))
        found[name] = float(np.nan_to_num(far, nan=np.inf).max(initial=0.0)) / size
    return found
