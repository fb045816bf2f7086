"""The loss and the metric that a task plainly asks for, and the reading of names and functions."""

import dataclasses
from collections.abc import Callable
from typing import Any

from thalweg.core.errors import ModelError, did_you_mean
from thalweg.problem.losses.cross_entropy import BinaryCrossEntropy, CrossEntropy, KullbackLeibler
from thalweg.problem.losses.hinge import Hinge
from thalweg.problem.losses.loss import Custom, Loss
from thalweg.problem.losses.metrics import Metric, accuracy, rmse
from thalweg.problem.losses.regression import Huber, MeanAbsoluteError, MeanSquaredError

cross_entropy = CrossEntropy()
mse = MeanSquaredError()

_KNOWN = (cross_entropy, BinaryCrossEntropy(), KullbackLeibler(), Hinge(), mse, MeanAbsoluteError(), Huber())
LOSSES: dict[str, Loss] = {loss.name: loss for loss in _KNOWN}

_BY_TASK = {
    "classification": (cross_entropy, accuracy),
    "language": (cross_entropy, accuracy),
    "regression": (mse, rmse),
}


def default_loss(task: str) -> Loss:
    """Return cross-entropy for classes and tokens, squared error for values.

    Raises:
        ModelError: The task is unknown.
    """
    return _pair(task)[0]


def default_metric(task: str) -> Metric:
    """Return accuracy for classes and tokens, the root mean squared error for values.

    Raises:
        ModelError: The task is unknown.
    """
    return _pair(task)[1]


def as_loss(given: Loss | str | Callable[..., Any]) -> Loss:
    """Return a loss from a loss, its short form (`huber:delta=2`) or a function (see `Custom`).

    Raises:
        ModelError: The name or an option is unknown, or what came is none of these.
    """
    if isinstance(given, Loss):
        return given
    if isinstance(given, str):
        return _parsed(given)
    if not callable(given):
        raise ModelError("loss", "must be a name or a function (outputs, targets) -> (batch,)", got=given)
    return Custom(given)


def _pair(task: str) -> tuple[Loss, Metric]:
    if task not in _BY_TASK:
        raise ModelError("task", "must be a known task", got=task, hint=did_you_mean(task, _BY_TASK))
    return _BY_TASK[task]


def _parsed(text: str) -> Loss:
    name, _, rest = text.partition(":")
    name = name.strip().replace("-", "_")
    if name not in LOSSES:
        raise ModelError("loss", "must be a known loss", got=text, hint=did_you_mean(name, LOSSES))
    known = {field.name for field in dataclasses.fields(LOSSES[name])}
    options: dict[str, Any] = {}
    for item in filter(None, rest.split(",")):
        key, _, value = item.partition("=")
        key = key.strip()
        if key not in known:
            raise ModelError(name, f"has no option {key!r}", got=text, hint=did_you_mean(key, known))
        options[key] = _value(name, key, value)
    return type(LOSSES[name])(**options)


def _value(name: str, key: str, text: str) -> Any:
    try:
        if key == "class_weights":
            return tuple(float(word) for word in text.split("/"))
        return int(text) if key == "ignore" else float(text)
    except ValueError:
        raise ModelError(name, f"{key} must be a number", got=text) from None
