"""How raw input becomes what a model takes, and how its outputs become answers again.

A preparation is plain data (it is written into the run folder as JSON) with two uses: the host side,
`inputs(raw)`, runs once on files, frames or arrays; the device side, `scale`, runs inside the
compiled step, so that images can stay uint8 in memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from thalweg.core.errors import DataError
from thalweg.problem.data.inputs.kinds import columns_from


@runtime_checkable
class Columns(Protocol):
    """What turns raw rows into input arrays: `TableColumns`, `ImageInputs`, ..."""

    kind: ClassVar[str]

    def inputs(self, raw: Any) -> PyTree:
        """Turn raw data (a frame, an array, images) into the model's input arrays."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        ...


@dataclass(frozen=True)
class Preparation:
    """Everything between raw data and a model.

    Args:
        columns: Host side: raw data to input arrays.
        classes: Class labels by index, for classification; characters by token, for language.
        target: Name of what is predicted.
        target_mean, target_scale: Regression targets are trained as (y - mean) / scale and reported in
            their own unit. 0 and 1 otherwise. One number per target for several targets.
        input_shift, input_scale: Device side: inputs enter the model as `(x + shift) * scale`, in float32.
            None: they enter as they are. Either a number or a tuple that broadcasts against one input.
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
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        found = {name: _lists(value) for name, value in found.items()}
        return found | {"columns": {"kind": self.columns.kind} | self.columns.to_dict()}

    @classmethod
    def from_dict(cls, given: dict[str, Any]) -> Self:
        """Build from plain values, fresh from JSON or not; the inverse of `to_dict`.

        Raises:
            DataError: A key is unknown, or the columns are of an unknown kind or not whole.
        """
        known = {field.name for field in fields(cls)}
        strange = sorted(set(given) - known)
        if strange or "columns" not in given:
            raise DataError(
                "preparation",
                "must hold known keys and columns",
                got=strange or sorted(given),
                hint="the run folder was edited or comes from another version",
            )
        values = {key: _tuples(value) for key, value in given.items() if key != "columns"}
        return cls(columns=columns_from(given["columns"]), **values)

    def answers(self, outputs: Array | np.ndarray, task: str) -> dict[str, np.ndarray]:
        """Turn a model's outputs (logits or standardised values) into columns that people read.

        Returns:
            Classification: `prediction` (class labels) and `probability_<class>` columns;
            regression: `prediction`, in the target's own unit.
        """
        values = np.asarray(outputs)
        if task == "classification":
            values = class_logits(values)
        if task != "classification":
            found = values * np.asarray(self.target_scale) + np.asarray(self.target_mean)
            return {"prediction": found[:, 0] if found.ndim == 2 and found.shape[1] == 1 else found}
        shifted = np.exp(values - values.max(axis=-1, keepdims=True))
        probabilities = shifted / shifted.sum(axis=-1, keepdims=True)
        labels: Sequence[Any] = self.classes if self.classes is not None else range(values.shape[-1])
        columns = {"prediction": np.asarray(labels)[values.argmax(axis=-1)]}
        return columns | {f"probability_{label}": probabilities[:, i] for i, label in enumerate(labels)}


def class_logits(outputs: np.ndarray) -> np.ndarray:
    """Return logits with an axis of classes: a single logit z is the logits (0, z) of two classes.

    Their softmax is 1 - sigmoid(z) and sigmoid(z), and z = 0 goes to the first class.

    Args:
        outputs: `example class`, or `example` or `example 1` for a single logit.
    """
    if outputs.ndim == 1 or outputs.shape[-1] == 1:
        kind = outputs.__array_namespace__()  # NumPy's arrays, or JAX's
        single = outputs.reshape(len(outputs))
        return kind.stack([kind.zeros_like(single), single], axis=-1)
    return outputs


def _lists(value: Any) -> Any:
    return list(map(_lists, value)) if isinstance(value, tuple) else value


def _tuples(value: Any) -> Any:
    """Lists, as JSON gives them, become tuples: a preparation is frozen and can be compared."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
