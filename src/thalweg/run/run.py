"""`Run` and `Runs`: the results of training, with models, histories, reasons for stopping, and folders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, overload

import equinox as eqx
import jax
import numpy as np
from jaxtyping import PyTree

from thalweg.core import keys
from thalweg.core.lazy import pl
from thalweg.problem.models.adapter import PartitionedModel, apply, build
from thalweg.problem.problem import Problem
from thalweg.recipe.recipe import Recipe
from thalweg.run.folder.record import Record


@dataclass(frozen=True)
class Run:
    """A finished training run.

    Args:
        problem, recipe: What was trained, and how.
        params, model_state: The selected weights (`result["weights"]`: best or final), and running
            statistics.
        record: The run as plain data: result, history as Polars frames, environment.
    """

    problem: Problem
    recipe: Recipe
    params: PyTree = field(repr=False)
    model_state: Any = field(repr=False)
    record: Record = field(repr=False)

    @property
    def result(self) -> dict[str, Any]:
        """The result as plain values; the object of result.json."""
        return self.record.result

    @property
    def folder(self) -> Path | None:
        """The run folder; None for memory only."""
        return self.record.folder

    @property
    def model(self) -> eqx.Module:
        """The trained Equinox module, in inference mode. A model with running statistics also needs
        `model_state`.
        """
        return eqx.nn.inference_mode(eqx.combine(self.params, self._built.fixed))

    @property
    def _built(self) -> PartitionedModel:
        return build(self.problem.model, keys.lane_key(self.recipe.seed))

    def outputs(self, inputs: Any) -> np.ndarray:
        """Return the model's raw outputs (logits or standardised values) for input arrays, `example ...`.

        Args:
            inputs: As the model takes them, before the part of the preparation that runs on the device.
        """
        built = PartitionedModel(self.params, self.model_state, self._built.fixed)
        return outputs(built, self.problem.data.preparation.scale(inputs))

    def predict(self, raw: Any) -> dict[str, np.ndarray]:
        """Return predictions for raw data (a frame, an array): `prediction`, and `probability_<class>` for
        classes.
        """
        preparation = self.problem.data.preparation
        return preparation.answers(self.outputs(preparation.columns.inputs(raw)), self.problem.data.task)


@dataclass(frozen=True, repr=False)
class Runs(Sequence[Run]):
    """The runs of a sweep, in the order of their recipes.

    Args:
        runs: One for each recipe.
        table: One row for each: lane, group, the settings that vary, why it stopped, its losses and metrics.
        result: The sweep as plain values; the object of sweep.json.
        folder: The sweep's folder; None for memory only.
    """

    runs: tuple[Run, ...]
    table: pl.DataFrame
    result: dict[str, Any] = field(default_factory=dict)
    folder: Path | None = None

    @overload
    def __getitem__(self, index: int) -> Run: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Run]: ...
    def __getitem__(self, index: int | slice) -> Run | Sequence[Run]:
        """Return the run of a lane."""
        return self.runs[index]

    def __len__(self) -> int:
        """Return the number of runs."""
        return len(self.runs)

    def __iter__(self) -> Iterator[Run]:
        """Iterate over the runs in the order of their recipes."""
        return iter(self.runs)

    def __repr__(self) -> str:
        """Return the table as text."""
        return f"Runs({len(self)} lanes)\n{self.table}"

    @property
    def best(self) -> Run:
        """The run with the lowest validation loss (test loss where there is no validation split).

        The best of many is partly luck; `insight.ranking` compares settings over seeds, with intervals.
        """
        column = "validation_loss" if self.table["validation_loss"].is_not_null().any() else "test_loss"
        order = self.table.with_row_index("row").sort(column, nulls_last=True)
        return self.runs[int(order["row"][0])]


def outputs(built: PartitionedModel, inputs: PyTree) -> np.ndarray:
    """Return a model's raw outputs for prepared inputs, `example ...`, in slices that fit any memory."""
    return np.concatenate([np.asarray(_forward(built, rows)) for rows in _slices(inputs)])


@eqx.filter_jit
def _forward(built: PartitionedModel, rows: PyTree) -> PyTree:
    return apply(built, rows, key=None, training=False)[0]


def _slices(inputs: PyTree, rows: int = 4096) -> list[PyTree]:
    def cut(first: int) -> PyTree:
        return jax.tree.map(lambda leaf: leaf[first : first + rows], inputs)

    count = jax.tree.leaves(inputs)[0].shape[0]
    return [cut(first) for first in range(0, max(count, 1), rows)]
