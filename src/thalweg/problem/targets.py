"""Targets as a loss takes them, and what each class weighs: what the data must be before a loss can use them.

Readers standardise values and number classes in their own order. A Poisson loss takes values as ratios to
their mean, an ordinal one classes from the lowest to the highest. Both are changes of the targets alone.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from thalweg.core.caller import option
from thalweg.core.errors import DataError, ModelError, did_you_mean
from thalweg.problem.data.data import CLASSIFICATION, REGRESSION, Data, fingerprint
from thalweg.problem.data.fold_rows import FoldRows
from thalweg.problem.data.split import Split
from thalweg.problem.data.stream import StoredRows
from thalweg.problem.losses.classification import Ordinal
from thalweg.problem.losses.loss import ORDERED, RATIOS, Loss
from thalweg.problem.losses.weighting import ClassWeighted, Weighted

BALANCED = "balanced"
# A value this far below 0, in standard deviations, is a rounding of 0.
ROUNDING = 1e-5


def for_loss(data: Data, loss: Loss) -> Data:
    """Return data whose targets are as the loss takes them; the same data if they are.

    Raises:
        ModelError: The loss is for another task.
        DataError: Targets are negative where the loss takes none, or the order of the classes is not known.
    """
    if loss.target_form == RATIOS:
        return _as_ratios(data, loss)
    return _in_order(data, loss) if loss.target_form == ORDERED and isinstance(loss, Ordinal) else data


def class_weights(data: Data, given: Any) -> tuple[float, ...]:
    """Return the weight of each class, such that the training examples weigh 1 on average.

    Args:
        data: The data; the weights of its examples count.
        given: `balanced`: all classes weigh the same together; or weights by name or number of the class,
            where those that are not named weigh 1.

    Raises:
        ModelError: The data have no classes, or classes or weights are none.
        DataError: Their numbers are not known before training.
    """
    classes = data.preparation.classes
    if data.task != CLASSIFICATION or classes is None:
        rule, hint = "needs one class for each example", f"leave it out, or use {option('weights', 'COLUMN')}"
        raise ModelError("class_weight", rule, got=data.task, hint=hint)
    train = data.train
    known = train.reader.targets if isinstance(train, StoredRows) else train.known_targets
    if known is None or np.asarray(known).ndim != 1:
        rule, hint = "needs all targets before training", "use the loss cross_entropy:class_weights=1/5"
        raise DataError("class_weight", rule, got=_kind(train), hint=hint)
    own = data.train.example_weights
    counts = np.bincount(np.asarray(known), own, minlength=len(classes)).astype(np.float64)
    if isinstance(given, str) and given == BALANCED:
        weights = np.where(counts > 0, counts.sum() / np.where(counts > 0, counts, 1), 0.0)
    else:
        weights = _named_weights(given, [str(name) for name in classes])
    total = float(counts @ weights)
    if not total > 0:
        hint = "give a class that occurs a weight above 0"
        raise ModelError("class_weight", "must not all be 0", got=given, hint=hint)
    return tuple((weights * counts.sum() / total).tolist())


def _kind(split: Split) -> str:
    """Return what a training split without known targets is, for people."""
    return "folds" if isinstance(split, FoldRows) else "rows that are read during training"


def with_class_weights(loss: Loss, data: Data, given: Any) -> Loss:
    """Return a loss with the weights of the classes, in place of those that it may have."""
    inner = loss.loss if isinstance(loss, Weighted) else loss
    inner = inner.loss if isinstance(inner, ClassWeighted) else inner
    if given is not None:
        inner = ClassWeighted(inner, class_weights(data, given))
    return Weighted(inner) if isinstance(loss, Weighted) else inner


def _named_weights(given: Any, names: list[str]) -> np.ndarray:
    hint = f"for example {option('class_weight', BALANCED)} or {option('class_weight', {names[-1]: 5})}"
    if isinstance(given, (str, list, tuple)):
        given = _items([given] if isinstance(given, str) else given, hint)
    if not isinstance(given, Mapping):
        rule = f"must be {BALANCED}, or weights by class"
        raise ModelError("class_weight", rule, got=given, hint=hint)
    weights = np.ones(len(names))
    for name, value in given.items():
        at = str(name)
        if at not in names and at.isdigit() and int(at) < len(names):
            at = names[int(at)]
        if at not in names:
            raise ModelError("class_weight", "must name a class", got=name, hint=did_you_mean(at, names))
        if not isinstance(value, (int, float, np.number)) or not 0 <= float(value) < float("inf"):
            rule = "must be finite numbers, at least 0"
            raise ModelError("class_weight", rule, got=value, where=at, hint=hint)
        weights[names.index(at)] = float(value)
    return weights


def _items(items: Any, hint: str) -> dict[str, float]:
    """Return weights from items `CLASS=NUMBER`, as on the command line."""
    weights = {}
    for item in items:
        name, _, number = str(item).rpartition("=")
        try:
            weights[name.strip()] = float(number)
        except ValueError:
            name = ""
        if not name:
            rule = f"must be {BALANCED}, or CLASS=NUMBER"
            raise ModelError("class_weight", rule, got=item, hint=hint) from None
    return weights


def _as_ratios(data: Data, loss: Loss) -> Data:
    if data.task != REGRESSION:
        rule, hint = "takes values", f"read the target as values: {option('task', REGRESSION)}"
        raise ModelError(loss.name, rule, got=f"the task {data.task}", hint=hint)
    preparation, train = data.preparation, data.train.known_targets
    if train is None:
        rule, hint = "needs all targets before training", "use the loss mse"
        raise DataError(loss.name, rule, got=_kind(data.train), hint=hint)
    values = np.asarray(train, np.float64)
    mean, scale = (
        np.asarray(part, np.float64) for part in (preparation.target_mean, preparation.target_scale)
    )
    if (mean == 0).all() and np.allclose(values.mean(axis=0), 1.0, atol=1e-3):
        return data  # they are ratios already; standardised values have the mean 0

    def in_unit(values: np.ndarray) -> np.ndarray:
        return np.asarray(values, np.float64) * scale + mean

    for split in data.splits.values():
        own = in_unit(np.asarray(split.known_targets))
        if (own < -ROUNDING * scale).any():
            rule, hint = "targets must be at least 0", "use the loss mse for values of any sign"
            raise DataError(loss.name, rule, got=float(own.min()), where=preparation.target, hint=hint)
    unit = np.maximum(in_unit(values), 0.0).mean(axis=0)

    def ratios(values: np.ndarray) -> np.ndarray:
        return (np.maximum(in_unit(values), 0.0) / unit).astype(np.float32)

    plain = float(unit[0]) if unit.size == 1 else tuple(unit.tolist())
    prepared = replace(preparation, target_mean=0.0, target_scale=plain)
    return replace(_with_targets(data, ratios, loss.name), preparation=prepared)


def _in_order(data: Data, loss: Ordinal) -> Data:
    classes = data.preparation.classes
    if data.task != CLASSIFICATION or classes is None:
        rule, hint = "takes classes", f"read the target as classes: {option('task', CLASSIFICATION)}"
        raise ModelError(loss.name, rule, got=f"the task {data.task}", hint=hint)
    names = [str(name) for name in classes]
    if loss.order:
        if sorted(loss.order) != sorted(names):
            rule, hint = "order must name every class", f"they are: {', '.join(names)}"
            raise ModelError(loss.name, rule, got=", ".join(loss.order), hint=hint)
        order = [names.index(name) for name in loss.order]
    elif all(_is_number(name) for name in names):
        order = sorted(range(len(names)), key=lambda i: float(names[i]))
    else:
        rule, hint = "the order of the classes must be known", f"for example ordinal:{','.join(names)}"
        raise DataError(loss.name, rule, got=", ".join(names), where=data.preparation.target, hint=hint)
    if order == list(range(len(names))):
        return data
    rank = np.argsort(order).astype(np.int32)
    prepared = replace(data.preparation, classes=tuple(classes[i] for i in order))
    return replace(_with_targets(data, lambda codes: rank[codes], loss.name), preparation=prepared)


def _is_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True


def _with_targets(data: Data, change: Callable[[np.ndarray], np.ndarray], who: str) -> Data:
    """Return data with every target changed.

    Raises:
        DataError: A split has targets that cannot be changed.
    """

    def changed(split: Split | None) -> Split | None:
        if split is None:
            return None
        new = split.with_targets(change)
        if new is None:
            rule, hint = "cannot take the targets of these data", "use the loss mse or cross_entropy"
            raise DataError(who, rule, got=type(split).__name__, hint=hint)
        return new

    train = changed(data.train)
    assert train is not None
    new = replace(data, train=train, validation=changed(data.validation), test=changed(data.test))
    return replace(new, fingerprint=fingerprint(new.splits))
