"""How raw data become the inputs of a model, and its outputs become predictions.

A preparation is plain data (it is written into the run folder as JSON) with two sides: the host side,
`columns`, runs once on files, frames or arrays; the device side, `scale`, runs inside the compiled step, so
that images can stay uint8 in memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple, Self

import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from thalweg.core.errors import DataError
from thalweg.problem.calibration import Calibration
from thalweg.problem.data.files.tables import TARGETS
from thalweg.problem.data.inputs import Columns, columns_from, from_plain, to_plain
from thalweg.problem.losses.outputs import (
    LOGITS,
    boundary,
    class_columns,
    middle,
    probabilities,
    quantile_levels,
    values_of,
)
from thalweg.problem.members import Folded

# What a head and a preparation have both.
_OF_ONE = ("classes", "target_mean", "target_scale")


class Head(NamedTuple):
    """One of several targets of mixed kinds.

    Args:
        name: Its name, or its place in a list.
        task: `classification`, `regression` or `multilabel`.
        width: Number of classes, labels or values.
        classes: Labels by index; None for values.
        target_mean, target_scale: As in `Preparation`.
    """

    name: Any
    task: str
    width: int
    classes: Any = None
    target_mean: Any = 0.0
    target_scale: Any = 1.0


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
        heads: The targets, where they are several of mixed kinds.
    """

    columns: Columns
    classes: tuple[Any, ...] | None = None
    target: str = "target"
    target_mean: Any = 0.0
    target_scale: Any = 1.0
    input_shift: Any = None
    input_scale: Any = None
    heads: tuple[Head, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "heads", tuple(Head(*head) for head in self.heads))

    @property
    def target_names(self) -> tuple[str, ...]:
        """Names of the target columns, where they are several columns of a table that have names."""
        if isinstance(self.target_mean, (tuple, list)):
            names = tuple(self.target.split(TARGETS))
            return names if len(names) == len(self.target_mean) > 1 else ()
        several = self.classes is not None and self.target == TARGETS.join(map(str, self.classes))
        return tuple(map(str, self.classes or ())) if several and len(self.classes or ()) > 1 else ()

    def scale(self, inputs: PyTree) -> PyTree:
        """Apply the device side to a batch of inputs. Pure."""
        if isinstance(inputs, Folded):
            return inputs._replace(inputs=self.scale(inputs.inputs))
        if self.input_scale is None:
            return inputs
        shift = jnp.asarray(self.input_shift, jnp.float32)
        return (jnp.asarray(inputs).astype(jnp.float32) + shift) * jnp.asarray(self.input_scale, jnp.float32)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        plain = {field.name: to_plain(getattr(self, field.name)) for field in fields(self)}
        if not self.heads:  # most have none
            del plain["heads"]
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

    def answers(
        self,
        outputs: Any,
        task: str,
        meaning: Any = LOGITS,
        offsets: np.ndarray | None = None,
        calibration: Calibration | None = None,
    ) -> dict[str, np.ndarray]:
        """Turn a model's outputs into columns for users.

        Args:
            outputs: `example ...`; standardised values for regression.
            task: `classification` or `regression`.
            meaning: What the outputs of a classifier mean (`Problem.outputs`).
            offsets: What is added to the outputs of each example, `example`; None for nothing.
            calibration: The run's, if it has one.

        Returns:
            Classification: `prediction` (class labels) and `probability_<class>` columns; `score_<class>`
            where outputs are scores. Several labels: `prediction`, 0 or 1 for each, `example label`, and
            `probability_<label>` columns. Regression: `prediction`, in the target's own unit, and with
            quantiles `quantile_<level>`; the prediction is then the quantile nearest to the median. With a
            calibration `low` and `high`, the ends of an interval around each value. Of several targets the
            same for each, with `_<name>` at the end.
        """
        if self.heads:
            return self._answers_of_heads(outputs, meaning)
        outputs = np.asarray(outputs)
        if task == "multilabel":
            return _label_answers(outputs, self.classes or range(outputs.shape[-1]), meaning)
        if task != "classification":
            outputs = values_of(outputs, meaning)
            if offsets is not None:
                outputs = outputs + offsets.reshape(-1, *[1] * (outputs.ndim - 1))
            scale, mean = np.asarray(self.target_scale), np.asarray(self.target_mean)
            return _value_answers(outputs, meaning, scale, mean) | _interval(
                outputs, scale, mean, calibration
            )
        if calibration is not None:
            outputs = calibration.applied(outputs, meaning)
        columns, shares = class_columns(outputs, meaning), probabilities(outputs, meaning)
        labels: Sequence[Any] = self.classes if self.classes is not None else range(columns.shape[-1])
        name, shown = ("score", columns) if shares is None else ("probability", shares)
        answers = {"prediction": np.asarray(labels)[columns.argmax(axis=-1)]}
        return answers | {f"{name}_{label}": shown[:, i] for i, label in enumerate(labels)}

    def _answers_of_heads(self, outputs: Any, meanings: Any) -> dict[str, np.ndarray]:
        """Return the answers of every head, each with its name at the end."""
        answers: dict[str, np.ndarray] = {}
        for head in self.heads:
            one = replace(self, heads=(), **dict(zip(_OF_ONE, head[3:], strict=True)))
            meaning = meanings.get(head.name, meanings.get(str(head.name)))  # in JSON a place is text
            own = one.answers(outputs[head.name], head.task, meaning)
            answers |= {f"{column}_{head.name}": values for column, values in own.items()}
        return answers


def _value_answers(
    values: np.ndarray, meaning: str, scale: np.ndarray, mean: np.ndarray
) -> dict[str, np.ndarray]:
    """Return values in the target's own unit; of quantiles the point prediction, and each of them."""
    values, levels = values * scale + mean, quantile_levels(meaning)
    if not levels:
        return {"prediction": values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values}
    quantiles = {f"quantile_{level:g}": values[:, i] for i, level in enumerate(levels)}
    return {"prediction": values[:, middle(levels)]} | quantiles


def _interval(
    values: np.ndarray, scale: np.ndarray, mean: np.ndarray, calibration: Calibration | None
) -> dict[str, np.ndarray]:
    """Return the ends of an interval around each value, in the target's own unit."""
    if calibration is None or calibration.half_width is None:
        return {}
    ends = {"low": -calibration.half_width, "high": calibration.half_width}
    return {name: ((values + end) * scale + mean).reshape(len(values)) for name, end in ends.items()}


def _label_answers(outputs: np.ndarray, labels: Sequence[Any], meaning: str) -> dict[str, np.ndarray]:
    """Return whether each label applies, and with which probability."""
    answers = {"prediction": (outputs > boundary(meaning)).astype(np.int8)}
    for i, label in enumerate(labels):
        shares = probabilities(outputs[:, i], meaning)
        answers |= {} if shares is None else {f"probability_{label}": shares[:, 1]}
    return answers
