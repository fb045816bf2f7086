"""`Run`: what came of a training. Its model, its history, why it stopped, its folder."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import PyTree

from thalweg.core import keys
from thalweg.problem.models.adapter import PartitionedModel, apply, build
from thalweg.problem.problem import Problem
from thalweg.recipe.recipe import Recipe
from thalweg.run.folder.record import Record


@dataclass(frozen=True)
class Run:
    """A finished training run.

    Args:
        problem, recipe: What was learned, and how.
        params, model_state: The weights that count (`result["weights"]`: best or final), and running
            statistics.
        record: The run as plain data: result, history as polars frames, environment.
    """

    problem: Problem
    recipe: Recipe
    params: PyTree = field(repr=False)
    model_state: Any = field(repr=False)
    record: Record = field(repr=False)

    @property
    def result(self) -> dict[str, Any]:
        """What came of it; the object of result.json."""
        return self.record.result

    @property
    def folder(self) -> Path | None:
        """Where it lies on disk."""
        return self.record.folder

    @property
    def model(self) -> eqx.Module:
        """The trained Equinox module, in inference mode. Models with running statistics need `model_state`
        too.
        """
        return eqx.nn.inference_mode(eqx.combine(self.params, self._built.fixed))

    @property
    def _built(self) -> PartitionedModel:
        return build(self.problem.model, keys.lane_key(self.recipe.seed))

    def outputs(self, inputs: Any) -> np.ndarray:
        """Return the model's raw outputs (logits or standardised values) for input arrays, `example ...`.

        Args:
            inputs: As the model takes them, before the device side of the preparation.
        """
        built = PartitionedModel(self.params, self.model_state, self._built.fixed)
        return outputs(built, self.problem.data.preparation.scale(inputs))

    def predict(self, raw: Any) -> dict[str, np.ndarray]:
        """Return answers for raw data (a frame, an array): `prediction`, and `probability_<class>` for
        classes.
        """
        preparation = self.problem.data.preparation
        return preparation.answers(self.outputs(preparation.columns.inputs(raw)), self.problem.data.task)


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
