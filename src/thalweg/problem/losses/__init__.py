"""Losses and metrics by name: the registries that the command line, docs and contracts read."""

import dataclasses
from collections.abc import Callable
from typing import Any

from thalweg.core.errors import ModelError, did_you_mean
from thalweg.problem.losses.classification import BinaryCrossEntropy, CrossEntropy, Hinge, KullbackLeibler
from thalweg.problem.losses.loss import Custom, Loss
from thalweg.problem.losses.metrics import METRICS, Metric, accuracy, as_metric, mae, perplexity, rmse, top5
from thalweg.problem.losses.regression import Huber, MeanAbsoluteError, MeanSquaredError
from thalweg.problem.losses.weighting import Weighted, weighted_metric

_ALL = (
    CrossEntropy(),
    BinaryCrossEntropy(),
    KullbackLeibler(),
    Hinge(),
    MeanSquaredError(),
    MeanAbsoluteError(),
    Huber(),
)
LOSSES: dict[str, Loss] = {loss.name: loss for loss in _ALL}

_DEFAULTS: dict[str, tuple[Loss, Metric]] = {
    "classification": (LOSSES["cross_entropy"], accuracy),
    "language": (LOSSES["cross_entropy"], accuracy),
    "regression": (LOSSES["mse"], rmse),
}


def default_loss(task: str) -> Loss:
    """Return cross-entropy for classes and tokens, mean squared error for values.

    Raises:
        ModelError: The task is unknown.
    """
    return _defaults(task)[0]


def default_metric(task: str) -> Metric:
    """Return accuracy for classes and tokens, root mean squared error for values.

    Raises:
        ModelError: The task is unknown.
    """
    return _defaults(task)[1]


def as_loss(loss: Loss | str | Callable[..., Any]) -> Loss:
    """Return a loss from a loss, its short form (`huber:delta=2`) or a function (see `Custom`).

    Raises:
        ModelError: The name or an option is unknown, or `loss` is none of these.
    """
    if isinstance(loss, Loss):
        return loss
    if isinstance(loss, str):
        return _parse(loss)
    if not callable(loss):
        raise ModelError("loss", "must be a name or a function (outputs, targets) -> (batch,)", got=loss)
    return Custom(loss)


def _defaults(task: str) -> tuple[Loss, Metric]:
    if task not in _DEFAULTS:
        raise ModelError("task", "must be a known task", got=task, hint=did_you_mean(task, _DEFAULTS))
    return _DEFAULTS[task]


def _parse(text: str) -> Loss:
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
        options[key] = _parse_option(name, key, value)
    return type(LOSSES[name])(**options)


def _parse_option(name: str, key: str, text: str) -> Any:
    try:
        if key == "class_weights":
            return tuple(float(word) for word in text.split("/"))
        return int(text) if key == "ignore" else float(text)
    except ValueError:
        raise ModelError(name, f"{key} must be a number", got=text) from None


__all__ = [
    "LOSSES",
    "METRICS",
    "BinaryCrossEntropy",
    "CrossEntropy",
    "Custom",
    "Hinge",
    "Huber",
    "KullbackLeibler",
    "Loss",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "Metric",
    "Weighted",
    "accuracy",
    "as_loss",
    "as_metric",
    "default_loss",
    "default_metric",
    "mae",
    "perplexity",
    "rmse",
    "top5",
    "weighted_metric",
]
