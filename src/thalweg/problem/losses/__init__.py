"""Losses and metrics by name: the registries that the command line, docs and contracts read."""

import dataclasses
from collections.abc import Callable
from typing import Any

from thalweg.core.errors import ModelError, did_you_mean
from thalweg.problem.losses.classification import (
    BinaryCrossEntropy,
    CrossEntropy,
    Hinge,
    KullbackLeibler,
    Ordinal,
)
from thalweg.problem.losses.loss import Custom, Loss
from thalweg.problem.losses.metrics import (
    METRICS,
    PARAMETERS,
    Metric,
    accuracy,
    as_metric,
    check_task,
    f1_of,
    mae,
    perplexity,
    reading,
    rmse,
    top5,
    top_k,
    weighted_metric,
)
from thalweg.problem.losses.outputs import MEANINGS
from thalweg.problem.losses.regression import Huber, MeanAbsoluteError, MeanSquaredError, Poisson, Quantile
from thalweg.problem.losses.weighting import (
    ClassWeighted,
    Weighted,
    described,
    unweighted,
)

_ALL = (
    CrossEntropy(),
    BinaryCrossEntropy(),
    KullbackLeibler(),
    Hinge(),
    Ordinal(),
    MeanSquaredError(),
    MeanAbsoluteError(),
    Huber(),
    Quantile(),
    Poisson(),
)
LOSSES: dict[str, Loss] = {loss.name: loss for loss in _ALL}

_DEFAULTS: dict[str, tuple[Loss, Metric]] = {
    "classification": (LOSSES["cross_entropy"], accuracy),
    "language": (LOSSES["cross_entropy"], accuracy),
    "regression": (LOSSES["mse"], rmse),
    "multilabel": (LOSSES["binary_cross_entropy"], accuracy),
}


def default_loss(task: str) -> Loss:
    """Return cross-entropy for classes and tokens, its binary form for labels, squared error for values.

    Raises:
        ModelError: The task is unknown.
    """
    return _defaults(task)[0]


def default_metric(task: str, loss: Loss | None = None) -> Metric:
    """Return accuracy for classes, tokens and labels, root mean squared error for values; of quantiles, the
    pinball loss in the target's unit.

    Raises:
        ModelError: The task is unknown.
    """
    return METRICS["pinball"] if isinstance(loss, Quantile) else _defaults(task)[1]


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
        rule = "must be a name or a function (outputs, targets) -> (batch,)"
        raise ModelError("loss", rule, got=loss, hint="for example 'mse'")
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
    kind = LOSSES[name]
    known = {field.name for field in dataclasses.fields(kind)}
    options: dict[str, Any] = {}
    listed: list[str] = []
    for item in filter(None, (item.strip() for item in rest.split(","))):
        key, equals, value = item.partition("=")
        key = key.strip()
        if not equals and kind.listed is not None:
            listed.append(item)
        elif key not in known:
            raise ModelError(name, f"has no option {key!r}", got=text, hint=did_you_mean(key, known))
        else:
            options[key] = _parse_option(name, key, value)
    if listed and kind.listed is not None:
        options[kind.listed] = tuple(listed)
    return type(kind)(**options)


def _parse_option(name: str, key: str, text: str) -> Any:
    try:
        if key == "order":
            return tuple(text.split("/"))
        if key in ("class_weights", "levels"):
            return tuple(float(word) for word in text.split("/"))
        return int(text) if key == "ignore" else float(text)
    except ValueError:
        raise ModelError(name, f"{key} must be a number", got=text, hint=f"for example {key}=1") from None


__all__ = [
    "LOSSES",
    "MEANINGS",
    "METRICS",
    "PARAMETERS",
    "BinaryCrossEntropy",
    "ClassWeighted",
    "CrossEntropy",
    "Custom",
    "Hinge",
    "Huber",
    "KullbackLeibler",
    "Loss",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "Metric",
    "Ordinal",
    "Poisson",
    "Quantile",
    "Weighted",
    "accuracy",
    "as_loss",
    "as_metric",
    "check_task",
    "default_loss",
    "default_metric",
    "described",
    "f1_of",
    "mae",
    "perplexity",
    "reading",
    "rmse",
    "top5",
    "top_k",
    "unweighted",
    "weighted_metric",
]
