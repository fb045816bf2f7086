"""The result of a run, typed: the figures of result.json and problem.json, None where one is not recorded.

Run folders may be old or incomplete, so no key is taken for granted. Nothing is judged here: see `summary`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from thalweg.core.stop_reason import StopReason
from thalweg.insight.wording import as_number, count, kind_of, measure
from thalweg.run.folder.record import Record

# A metric in neither list (a user's own function) has no known direction.
HIGHER_IS_BETTER = frozenset(
    {
        "accuracy",
        "balanced_accuracy",
        "top5_accuracy",
        "top5",
        "top_k",
        "exact_match",
        "f1",
        "macro_f1",
        "micro_f1",
        "roc_auc",
        "average_precision",
        "precision",
        "recall",
        "auc",
        "r2",
    }
)
LOWER_IS_BETTER = frozenset(
    {"rmse", "mae", "mse", "error_rate", "perplexity", "cross_entropy", "bits_per_character", "nats", "loss"}
    | {"log_loss", "brier", "calibration_error", "mape", "pinball", "poisson_deviance"}
)


@dataclass(frozen=True)
class Score:
    """A named figure.

    Args:
        name: Such as `accuracy`.
        value: In the metric's own unit; shares between 0 and 1.
    """

    name: str
    value: float

    @property
    def higher_is_better(self) -> bool | None:
        """True or False where the direction is known, else None."""
        kind = kind_of(self.name)
        return True if kind in HIGHER_IS_BETTER else False if kind in LOWER_IS_BETTER else None

    @property
    def text(self) -> str:
        """The value as text; shares in per cent."""
        return measure(self.name, self.value)

    def better_than(self, other: "Score") -> bool | None:
        """Return whether this is better than a score of the same metric; None where unknown or equal."""
        if self.higher_is_better is None or self.name != other.name or self.value == other.value:
            return None
        return (self.value > other.value) == self.higher_is_better


@dataclass(frozen=True)
class Outcome:
    """The result of a run; None where the record does not say.

    Args:
        task: `classification`, `regression`, `multilabel` or `language`.
        model: The model's short form.
        steps, epochs: Length of training.
        stopped: The stop reason, as one word (`epochs`, `patience`, `diverged`, ...).
        stopped_step, reason: Where it stopped, and why in words.
        weights: Which weights the test figures are of: `best` or `final`.
        metric, baseline: On the test split; None too where they are not finite numbers.
        baseline_of: What the baseline predicts, such as `the last known value`.
        failed: Whether the test metric or the test loss is not finite.
        metrics: Every test metric by name.
        best_step, best_epoch, best_loss: Where the validation loss was lowest; or the metric that selects was
            best, `best_metric`.
    """

    data: str
    task: str | None
    model: str | None
    parameters: float | None
    steps: float | None
    epochs: float | None
    stopped: str | None
    stopped_step: float | None
    reason: str | None
    weights: str | None
    train_loss: float | None
    validation_loss: float | None
    test_loss: float | None
    metric: Score | None
    baseline: Score | None
    baseline_of: str | None
    failed: bool
    metrics: dict[str, float]
    best_step: float | None
    best_epoch: float | None
    best_loss: float | None
    best_metric: float | None = None

    @property
    def diverged(self) -> bool:
        """Whether the loss stopped being finite."""
        return self.stopped == StopReason.DIVERGED


def outcome(record: Record) -> Outcome:
    """Read the result of a run; missing keys are no error."""
    result, data = record.result, table(record.problem, "data")
    stop, best, model = table(result, "stopped_at"), table(result, "best"), table(record.problem, "model")
    return Outcome(
        data=str(data.get("name") or record.name),
        task=task_of(record),
        model=text(result.get("model")) or text(model.get("spec")),
        parameters=_first(result.get("parameters"), model.get("parameters")),
        steps=_first(result.get("steps"), _last_step(record)),
        epochs=as_number(result.get("epochs")),
        stopped=text(result.get("stopped")),
        stopped_step=as_number(stop.get("step")),
        reason=text(stop.get("reason")),
        weights=text(result.get("weights")),
        train_loss=_finite(result.get("train_loss")),
        validation_loss=_finite(result.get("validation_loss")),
        test_loss=_finite(result.get("test_loss")),
        metric=_score(result.get("test_metric")),
        baseline=_score(result.get("baseline")),
        baseline_of=text(table(result, "baseline").get("of")),
        failed=_not_finite(result.get("test_loss"), table(result, "test_metric").get("value")),
        metrics=_numbers(table(result, "test_metrics")),
        best_step=as_number(best.get("step")),
        best_epoch=as_number(best.get("epoch")),
        best_loss=_finite(best.get("validation_loss")),
        best_metric=_finite(best.get("validation_metric")),
    )


def _finite(value: Any) -> float | None:
    """Return a finite number, or None."""
    number = as_number(value)
    return number if number is not None and math.isfinite(number) else None


def _not_finite(*values: Any) -> bool:
    numbers = [number for number in map(as_number, values) if number is not None]
    return not all(map(math.isfinite, numbers))


def table(values: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return the table under `key`; empty where it is missing or something else."""
    value = values.get(key)
    return dict(value) if isinstance(value, Mapping) else {}


def text(value: Any) -> str | None:
    """Return a name as text: a string as it is, a table's `name` or `text`, None for nothing."""
    if isinstance(value, Mapping):
        value = value.get("name") or value.get("text")
    return str(value) if value not in (None, "") else None


def task_of(record: Record) -> str | None:
    """Return the task's name, or None where it is not recorded."""
    return text(record.result.get("task")) or text(table(record.problem, "data").get("task"))


def metric_name(record: Record) -> str | None:
    """Return the name of the metric in the evaluations."""
    return text(record.problem.get("metric")) or text(table(record.result, "test_metric").get("name"))


def loss_name(record: Record) -> str | None:
    """Return the name of the loss."""
    return text(record.problem.get("loss"))


def _score(value: Any) -> Score | None:
    if not isinstance(value, Mapping):
        return None
    number = _finite(value.get("value"))
    return None if number is None else Score(str(value.get("name") or "metric"), number)


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    numbers = {str(name): _finite(value) for name, value in values.items()}
    return {name: number for name, number in numbers.items() if number is not None}


def _first(*candidates: Any) -> float | None:
    return next((number for number in map(as_number, candidates) if number is not None), None)


def _last_step(record: Record) -> float | None:
    steps = record.steps
    return as_number(steps["step"].max()) if "step" in steps.columns and steps.height else None


def split_sizes(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the splits of the data with their examples; rows of validation folds are training rows, too."""
    sizes = [(split, count(number)) for split, number in table(data, "counts").items()]
    folds = table(table(data, "source"), "options").get("validation_folds")
    if not folds:
        return sizes
    both = f"train (in {folds} folds, which also validate)"
    return [(both if split == "train" else split, n) for split, n in sizes if split != "validation"]
