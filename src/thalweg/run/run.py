"""`Run` and `Runs`: the results of training, with models, histories, reasons for stopping, and folders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, overload

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from thalweg.core.errors import DataError
from thalweg.core.lazy import pl
from thalweg.core.shown import Shown
from thalweg.problem.calibration import Calibration
from thalweg.problem.data.data import LANGUAGE, Data
from thalweg.problem.data.predict_inputs import examples_for
from thalweg.problem.models.adapter import PartitionedModel, fixed_as_trained
from thalweg.problem.problem import Problem
from thalweg.recipe.recipe import Recipe
from thalweg.run.folder.record import Record
from thalweg.run.outputs import outputs, reject_objective


@dataclass(frozen=True, repr=False)
class Run(Shown):
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

    def __repr__(self) -> str:
        """Return a line or two: what was trained, the result, and the folder."""
        result = self.result
        words = [f"{result.get('model')} on {result.get('data')}"]
        words += [f"{result.get('steps')} steps", f"stopped: {result.get('stopped')}"]
        metric = result.get("test_metric") or result.get("validation_metric") or {}
        if metric.get("value") is not None:
            split = "test" if result.get("test_metric") else "validation"
            words.append(f"{split} {metric['name']} {metric['value']:.4g}")
        return f"Run({', '.join(words)})" + (f"\n{self.folder}" if self.folder is not None else "")

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
        return eqx.nn.inference_mode(eqx.combine(self.params, self._fixed))

    @property
    def _fixed(self) -> PyTree:
        return fixed_as_trained(self.problem.model, self.recipe.seed)

    def outputs(self, inputs: Any) -> np.ndarray:
        """Return the model's raw outputs for input arrays, `example ...`.

        `problem.outputs` says what they mean; of several time series, values are changes from the last known
        value.

        Args:
            inputs: As the model takes them, before the part of the preparation that runs on the device.

        Raises:
            DataError: They are not arrays of the shape that the model was trained on.
        """
        reject_objective("outputs", self.problem.objective is not None)
        _check_inputs(inputs, self.problem.data)
        built = PartitionedModel(self.params, self.model_state, self._fixed)
        return outputs(built, self.problem.data.preparation.scale(inputs))

    def predict(self, raw: Any) -> dict[str, np.ndarray]:
        """Return predictions for raw data (a frame, an array, a text, the path of a file): `prediction`,
        and `probability_<class>` for classes (`score_<class>` where outputs are scores).
        """
        reject_objective("predict", self.problem.objective is not None)
        preparation = self.problem.data.preparation
        columns = preparation.columns
        # For a model of texts, text is what it reads.
        named = isinstance(raw, str) and (columns.takes_frames or columns.is_image)
        read = named or isinstance(raw, Path)
        examples = examples_for(raw, preparation) if read else columns.examples(raw)
        outputs, task = self.outputs(examples.inputs), self.problem.data.task
        calibration = Calibration.of(self.result)
        answers = preparation.answers(outputs, task, self.problem.outputs, examples.offsets, calibration)
        return examples.labels | answers


@dataclass(frozen=True, repr=False)
class Runs(Sequence[Run], Shown):
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


def _check_inputs(inputs: PyTree, data: Data) -> None:
    """Reject inputs that are not rows of arrays of the data's shape; a window of text may have any length."""
    shape = data.input_shape
    expected = jax.tree.leaves(shape, is_leaf=lambda each: isinstance(each, tuple))
    arrays = [leaf for leaf in jax.tree.leaves(inputs) if isinstance(leaf, (np.ndarray, jax.Array))]
    numeric = all(jnp.issubdtype(leaf.dtype, np.number) or leaf.dtype == bool for leaf in arrays)
    numeric = numeric and not any(jnp.issubdtype(leaf.dtype, np.complexfloating) for leaf in arrays)
    shapes = [leaf.shape[1:] for leaf in arrays]
    fit = all(leaf.ndim == 2 for leaf in arrays) if data.task == LANGUAGE else shapes == expected
    if not arrays or not numeric or not fit or not arrays[0].ndim:
        got = ", ".join(f"{leaf.dtype} {leaf.shape}" for leaf in arrays) or type(inputs).__name__
        rule = f"inputs must be numbers, one row for each example of shape {shape}"
        raise DataError("outputs", rule, got=got, hint="for raw data use predict, which prepares it")
