"""Metrics: the figures that people read, next to the loss that gradient descent minimises.

Most are a mean over examples followed by one last step, so that they are accumulated batch by batch. Others
(F1, ROC AUC, R2, ...) need the outputs of a whole split: those are kept, and `whole` computes the figure of
them on the host. Either way the value does not depend on how large the batches of an evaluation are.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Array, Float

from thalweg.core.errors import ModelError, did_you_mean
from thalweg.problem.losses import whole_split
from thalweg.problem.losses.classification import CrossEntropy
from thalweg.problem.losses.metric_rules import (
    BatchedRule,
    Brier,
    Calibration,
    Error,
    InLogits,
    IsCorrect,
    IsExact,
    IsInTop,
    LogLoss,
    OfCounts,
    OfOneClass,
    OfRanking,
    OfValues,
    Outputs,
    Pinball,
    Predicted,
    Values,
    WeightedRule,
    poisson_deviance,
)
from thalweg.problem.losses.outputs import LOG_RATES, SCORES, VALUES, quantile_levels

# Of the kept outputs of a split, its targets, the weights of the examples, and what is added to outputs and
# targets of each example (None for nothing), all NumPy's, the figure.
Whole = Callable[[Any, Any, np.ndarray, Any], float]

CLASSES, TOKENS, LABELS, NUMBERS = "classification", "language", "multilabel", "regression"


@dataclass(frozen=True)
class Metric:
    """A metric: `finish(mean over examples of rule)`, or `whole(what rule keeps)`. Frozen and hashable.

    Args:
        name: Standard name, as in `result.json`.
        rule: (outputs, targets) of a batch -> one number per example, `batch`; with `whole`, an array of what
            is kept of the outputs, `batch ...`. Pure.
        higher_is_better: Whether more is better.
        root: The power to which the mean is raised: 0.5 for a root mean square.
        exponential: Whether the metric is e to the power of the mean (perplexity).
        in_target_unit: Whether it scales with the target, so that its value on standardised targets times
            `target_scale` is its value in the target's own unit.
        best: The best possible value, such as an accuracy of 1. None: unknown.
        whole: Computes the metric from all that was kept: `(kept, targets, weights, offsets) -> number`, all
            of them NumPy arrays with the axis of examples first. None: the metric is a mean.
        formula: In plain text.
        tasks: The tasks that it is for; empty: any.
        probabilities: Whether it needs probabilities, which scores are not.
        values: Turns outputs into values in the unit of prepared targets; None where they are.
        head: Of several outputs by name, the one that it is of; None where there is one.
    """

    name: str
    rule: Callable[[Any, Any], Array]
    higher_is_better: bool
    root: float = 1.0
    exponential: bool = False
    in_target_unit: bool = False
    best: float | None = None
    whole: Whole | None = None
    formula: str = ""
    tasks: tuple[str, ...] = ()
    probabilities: bool = False
    values: Values | None = None
    head: str | None = None

    def per_example(self, outputs: Any, targets: Any, unit: Any = None) -> Float[Array, " batch"]:
        """Return one number per example, of which the metric is `finish` of the mean.

        Args:
            outputs, targets: Of a batch, as they are in training.
            unit: The target's own unit, as a multiple of that of prepared targets; None for no change.
        """
        if self.head is None and isinstance(unit, dict):
            unit = None  # of several targets each has its own
        weights: tuple[Any, ...] = ()
        if isinstance(targets, tuple) and (self.head is not None or unit is not None):
            given = list(targets)  # examples that count more than others
            targets, weights = given[0], tuple(given[1:])
        if self.head is not None:
            outputs, targets, unit = (_part(each, self.head) for each in (outputs, targets, unit))
        outputs = outputs if self.values is None else self.values(outputs)
        outputs, targets = (outputs, targets) if unit is None else (outputs * unit, targets * unit)
        return self.rule(outputs, (targets, *weights) if weights else targets)

    def finish(self, mean: Any) -> Any:
        """Return the metric from the mean over examples: a number, an array, or a tracer."""
        value = mean if self.root == 1.0 else mean**self.root
        return 2.718281828459045**value if self.exponential else value


_ANY_CLASS = (CLASSES, TOKENS, LABELS)


def _part(tree: Any, head: Any) -> Any:
    return None if tree is None else tree[head]


def _of_counts(name: str, figure: Any, formula: str, tasks: tuple[str, ...] = _ANY_CLASS) -> Metric:
    return Metric(name, Predicted(), True, best=1.0, whole=OfCounts(figure), formula=formula, tasks=tasks)


def _ranked(name: str, figure: Any, formula: str) -> Metric:
    tasks = (CLASSES, LABELS)
    return Metric(name, Outputs(), True, best=1.0, whole=OfRanking(figure), formula=formula, tasks=tasks)


def _value(name: str, rule: Any, formula: str, **more: Any) -> Metric:
    return Metric(name, rule, **{"higher_is_better": False, "formula": formula, "tasks": (NUMBERS,)} | more)


def top_k(k: int) -> Metric:
    """Return the share of the rows in which fewer than k classes have a larger output than the target's."""
    name, formula = ("top5" if k == 5 else f"top_k:{k}"), "mean [fewer than k outputs exceed that of y]"
    return Metric(name, IsInTop(k), True, best=1.0, formula=formula, tasks=(CLASSES, TOKENS))


def f1_of(label: str) -> Metric:
    """Return F1 of one class, or of one of several labels, by its name."""
    formula = "2 hits / (examples of it + predictions of it)"
    return _of_counts(f"f1:{label}", OfOneClass(label), formula, (CLASSES, LABELS))


def pinball_at(levels: Sequence[float], name: str = "pinball") -> Metric:
    """Return the pinball loss of quantiles of these levels, each above 0 and below 1, as a mean over them."""
    formula = "mean max(q e, (q-1) e), e = y - z"
    return _value(name, Pinball(tuple(levels)), formula, in_target_unit=True, best=0.0)


accuracy = Metric("accuracy", IsCorrect(), True, best=1.0, formula="mean [argmax z = y]", tasks=_ANY_CLASS)
top5 = top_k(5)
rmse = _value("rmse", Error("rmse", 2), "sqrt(mean (z - y)^2)", root=0.5, in_target_unit=True, best=0.0)
mae = _value("mae", Error("mae", 1), "mean |z - y|", in_target_unit=True, best=0.0)
perplexity = Metric(
    "perplexity",
    CrossEntropy(),
    False,
    exponential=True,
    best=1.0,
    formula="exp(mean -log p_y)",
    tasks=(CLASSES, TOKENS),
    probabilities=True,
)
_METRICS = (
    accuracy,
    _of_counts("balanced_accuracy", whole_split.balanced_accuracy, "mean_c recall_c", (CLASSES, TOKENS)),
    _of_counts("macro_f1", whole_split.macro_f1, "mean_c F1_c, F1_c = 2 hits / (true + predicted)"),
    _of_counts("micro_f1", whole_split.micro_f1, "2 hits / (true + predicted), summed over classes"),
    Metric("exact_match", IsExact(), True, best=1.0, formula="mean [all labels right]", tasks=(LABELS,)),
    _ranked(
        "roc_auc", whole_split.roc_auc, "P(z+ > z-) + P(z+ = z-)/2; several classes: mean, one against rest"
    ),
    _ranked(
        "average_precision", whole_split.average_precision, "sum_n (R_n - R_(n-1)) P_n; several classes: mean"
    ),
    Metric(
        "log_loss",
        LogLoss(),
        False,
        best=0.0,
        formula="mean -log p_y",
        tasks=(CLASSES, TOKENS),
        probabilities=True,
    ),
    Metric(
        "brier",
        Brier(),
        False,
        best=0.0,
        formula="mean sum_c (p_c - [c=y])^2; two classes: half",
        tasks=(CLASSES,),
        probabilities=True,
    ),
    Metric(
        "calibration_error",
        Outputs(),
        False,
        best=0.0,
        whole=Calibration(),
        formula="sum_b n_b/n |accuracy_b - confidence_b|, 15 bins",
        tasks=(CLASSES,),
        probabilities=True,
    ),
    top5,
    perplexity,
    rmse,
    mae,
    _value(
        "r2",
        Outputs(VALUES),
        "1 - sum (z - y)^2 / sum (y - mean y)^2",
        whole=OfValues(whole_split.r2),
        higher_is_better=True,
        best=1.0,
    ),
    _value("mape", Outputs(VALUES), "mean |z - y| / |y|", whole=OfValues(whole_split.mape), best=0.0),
    pinball_at((0.5,)),
    _value(
        "poisson_deviance", poisson_deviance, "mean 2 (y log(y/z) - y + z)", in_target_unit=True, best=0.0
    ),
)
METRICS: dict[str, Metric] = {metric.name: metric for metric in _METRICS}
# Metrics with a number or a name after a colon, and what stands there.
PARAMETERS: dict[str, str] = {"top_k": "K", "f1": "CLASS", "pinball": "LEVEL"}


def as_metric(metric: "Metric | str | Callable[..., Any]", *, higher_is_better: bool = True) -> Metric:
    """Return a metric from a metric, a name, or a function of a batch or an example (see `losses.Custom`).

    Names are those of `METRICS`, and `f1:CLASS`, `top_k:3` and `pinball:0.9`.

    Raises:
        ModelError: The name is unknown, or `metric` is none of these.
    """
    if isinstance(metric, Metric):
        return metric
    if isinstance(metric, str):
        return _named(metric)
    if not callable(metric):
        rule = "must be a name or a function (outputs, targets) -> (batch,)"
        raise ModelError("metric", rule, got=metric, hint="for example 'accuracy'")
    name = getattr(metric, "__name__", type(metric).__name__)
    return Metric(name, BatchedRule(metric), higher_is_better=higher_is_better)


def _named(text: str) -> Metric:
    name, colon, parameter = text.strip().partition(":")
    name = name.strip().replace("-", "_")
    if not colon and name in METRICS:
        return METRICS[name]
    if not parameter or name not in PARAMETERS:
        known = [*METRICS, *(f"{name}:{what}" for name, what in PARAMETERS.items())]
        rule = f"takes no {parameter}" if name in METRICS and parameter else "must be a known metric"
        raise ModelError("metric", rule, got=text, hint=did_you_mean(name, known))
    if name == "f1":
        return f1_of(parameter)
    try:
        return top_k(_whole(parameter)) if name == "top_k" else pinball_at((_level(parameter),), text.strip())
    except ValueError:
        rule = "K must be a whole number, at least 1" if name == "top_k" else "must be above 0 and below 1"
        hint = "for example top_k:3" if name == "top_k" else "for example pinball:0.9"
        raise ModelError(name, rule, got=text, hint=hint) from None


def _whole(text: str) -> int:
    if int(text) < 1:
        raise ValueError
    return int(text)


def _level(text: str) -> float:
    if not 0.0 < float(text) < 1.0:
        raise ValueError
    return float(text)


def check_task(metric: Metric, task: str) -> None:
    """Reject a metric that is not for a task.

    Raises:
        ModelError: It is not; the message names those that are.
    """
    if not metric.tasks or task not in {task for each in _METRICS for task in each.tasks}:
        return
    if task not in metric.tasks:
        known = [name for name, each in METRICS.items() if task in each.tasks]
        rule = f"must be one for {task}"
        raise ModelError("metric", rule, got=metric.name, hint=f"one of: {', '.join(known)}")


def reading(
    metric: Metric, meaning: str, classes: Sequence[Any] | None = None, scale: Any = 1.0, mean: Any = 0.0
) -> Metric:
    """Return a metric for outputs of this meaning; a user's own metric takes outputs as they are.

    Args:
        metric: The metric.
        meaning: What outputs mean, one of `MEANINGS`.
        classes: Names of the classes, or of several labels; None for other targets.
        scale, mean: What turns values in the unit of prepared targets into the target's own unit.

    Raises:
        ModelError: The metric needs probabilities, and scores are none; or it names a class or a quantile
            that there is not.
    """
    if isinstance(metric.rule, WeightedRule):
        metric = replace(metric, rule=metric.rule.rule)
    if metric.probabilities and meaning == SCORES:
        rule, hint = "needs probabilities, which scores are not", "use the metric accuracy"
        raise ModelError(metric.name, rule, got="outputs that are scores", hint=hint)
    if metric.rule is poisson_deviance and meaning != LOG_RATES:
        rule, hint = "needs expected values above 0", "use the loss poisson, or the metric rmse"
        raise ModelError(metric.name, rule, got=f"outputs that are {meaning}", hint=hint)
    metric = replace(metric, values=_values_for(metric, meaning))
    if isinstance(metric.rule, CrossEntropy):
        return replace(metric, rule=InLogits(metric.rule, meaning))
    if isinstance(metric.rule, Pinball) and metric.name == "pinball" and quantile_levels(meaning):
        return replace(metric, rule=Pinball(quantile_levels(meaning)))
    facts = {"meaning": meaning, "scale": _plain(scale), "mean": _plain(mean)}
    whole = _with(metric.whole, facts)
    if isinstance(whole, OfCounts) and isinstance(whole.figure, OfOneClass):
        whole = OfCounts(replace(whole.figure, index=_index(whole.figure.label, classes or ())))
    return replace(metric, rule=_with(metric.rule, facts), whole=whole)


def weighted_metric(metric: Metric) -> Metric:
    """Return a metric for `(targets, weights)`: each example or position counts by its weight."""
    if metric.whole is not None or isinstance(metric.rule, WeightedRule):
        return metric  # the weights are there with the whole split; or it is weighted
    return replace(metric, rule=WeightedRule(metric.rule))


def _values_for(metric: Metric, meaning: str) -> Values | None:
    """Return what turns outputs into values for a metric, where they are none."""
    levels = quantile_levels(meaning)
    if meaning != LOG_RATES and not levels:
        return metric.values
    if not levels or not metric.tasks or metric.name == "pinball":
        return Values(meaning)
    if not isinstance(metric.rule, Pinball):
        return Values(meaning, -1)
    if metric.rule.levels[0] not in levels:
        rule = "must be of a quantile that the loss has"
        hint = f"one of: {', '.join(f'pinball:{level:g}' for level in levels)}"
        raise ModelError("metric", rule, got=metric.name, hint=hint)
    return Values(meaning, levels.index(metric.rule.levels[0]))


def _with(rule: Any, facts: dict[str, Any]) -> Any:
    """Return a rule of ours with those of the facts that it has fields for."""
    if not is_dataclass(rule) or type(rule).__module__ != OfValues.__module__:
        return rule
    known = {field.name for field in fields(rule)}
    return replace(rule, **{name: value for name, value in facts.items() if name in known})  # type: ignore[type-var]


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, (list, tuple)) else value


def _index(label: str, classes: Sequence[Any]) -> int:
    names = [str(name) for name in classes]
    if label not in names:
        raise ModelError("f1", "must name a class", got=label, hint=did_you_mean(label, names))
    return names.index(label)
