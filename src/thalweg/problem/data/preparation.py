"""How raw data become the inputs of a model, and its outputs become predictions.

A preparation is plain data (it is written into the run folder as JSON) with two sides: the host side,
`columns`, runs once on files, frames or arrays; the device side, `scale`, runs inside the compiled step, so
that images can stay uint8 in memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from thalweg.core.errors import DataError
from thalweg.problem.data.inputs import Columns, columns_from, from_plain, to_plain


@dataclass(frozen=True)
class Preparation:
    """Everything between raw data and a model.

    Args:
        columns: Host side: raw data to input arrays.
        classes: Class labels by index, for classification; characters by token, for language.
        target: Name of what is predicted.
        target_mean, target_scale: Regression targets are trained as (y - mean) / scale and reported in
            their own unit. 0 and 1 otherwise. One number per target for several targets.
        input_shift, input_scale: Device side: inputs enter the model as `(x + shift) * scale`, in float32;
            None: unchanged. Either a number or a tuple that broadcasts against one input.
    """

    columns: Columns
    classes: tuple[Any, ...] | None = None
    target: str = "target"
    target_mean: Any = 0.0
    target_scale: Any = 1.0
    input_shift: Any = None
    input_scale: Any = None

    def scale(self, inputs: PyTree) -> PyTree:
        """Apply the device side to a batch of inputs. Pure."""
        if self.input_scale is None:
            return inputs
        shift = jnp.asarray(self.input_shift, jnp.float32)
        return (jnp.asarray(inputs).astype(jnp.float32) + shift) * jnp.asarray(self.input_scale, jnp.float32)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        plain = {field.name: to_plain(getattr(self, field.name)) for field in fields(self)}
        return plain | {"columns": {"kind": self.columns.kind} | plain["columns"]}

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Self:
        """Build from plain values, from JSON or not; the inverse of `to_dict`.

        Raises:
            DataError: A key is unknown, or the columns are of an unknown kind or incomplete.
        """
        unknown = sorted(set(plain) - {field.name for field in fields(cls)})
        if unknown or "columns" not in plain:
            rule = "must hold known keys and columns"
            hint = "the run folder was edited, or was written by another version"
            raise DataError("preparation", rule, got=unknown or sorted(plain), hint=hint)
        values = {key: from_plain(value) for key, value in plain.items() if key != "columns"}
        return cls(columns=columns_from(plain["columns"]), **values)

    def answers(self, outputs: Array | np.ndarray, task: str) -> dict[str, np.ndarray]:
        """Turn a model's outputs (logits or standardised values) into columns for users.

        Returns:
            Classification: `prediction` (class labels) and `probability_<class>` columns;
            regression: `prediction`, in the target's own unit.
        """
        outputs = np.asarray(outputs)
        if task != "classification":
            values = outputs * np.asarray(self.target_scale) + np.asarray(self.target_mean)
            return {"prediction": values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values}
        logits = class_logits(outputs)
        shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
        probabilities = shifted / shifted.sum(axis=-1, keepdims=True)
        labels: Sequence[Any] = self.classes if self.classes is not None else range(logits.shape[-1])
        answers = {"prediction": np.asarray(labels)[logits.argmax(axis=-1)]}
        return answers | {f"probability_{label}": probabilities[:, i] for i, label in enumerate(labels)}


def class_logits(outputs: np.ndarray) -> np.ndarray:
    """Return logits with an axis of classes: a single logit z stands for the logits (0, z) of two classes.

    Their softmax is 1 - sigmoid(z) and sigmoid(z); z = 0 predicts the first class.

    Args:
        outputs: `example class`, or `example` or `example 1` for a single logit.
    """
    if outputs.ndim == 1 or outputs.shape[-1] == 1:
        arrays = outputs.__array_namespace__()  # NumPy's or JAX's functions
        single = outputs.reshape(len(outputs))
        return arrays.stack([arrays.zeros_like(single), single], axis=-1)
    return outputs
