"""The verdict on one run, in words: each sentence carries the figures it rests on, read off the record.

What the record cannot show is not said: no causes, no advice.
"""

from dataclasses import dataclass
from typing import TypeGuard

import numpy as np

from thalweg.core.stop_reason import ENDING_SETTINGS, StopReason
from thalweg.insight.answers import metric_interval
from thalweg.insight.curves import per_step
from thalweg.insight.outcome import Outcome, Score, outcome
from thalweg.insight.statements import (
    Statement,
    classes_missed,
    clipping,
    last_losses,
    layers_unmoved,
    train_and_test,
    validation_trend,
)
from thalweg.insight.wording import as_number, count, figure, measure, plural, setting
from thalweg.run.folder.record import Record

# How the baselines are made (see run/): they ignore the inputs.
_BASELINE_WORDS = {
    "classification": "always answering the commonest class",
    "regression": "always answering the mean",
}


@dataclass(frozen=True)
class Summary:
    """A verdict.

    Args:
        level: `good` (clearly better than the baseline), `bad` (worse than it, or diverged), `unclear`.
        headline: What was trained and what came of it, in one sentence.
        findings: More, the weightiest first.
    """

    level: str
    headline: str
    findings: tuple[Statement, ...]


def summarise(record: Record) -> Summary:
    """Judge a run from its record."""
    found = outcome(record)
    judged = _against_baseline(record, found)
    findings = [
        judged,
        _stopped(record, found),
        last_losses(record, found),
        _best(found),
        validation_trend(record, found),
    ]
    if not found.diverged:
        findings += [train_and_test(found), classes_missed(record), layers_unmoved(record)]
    findings.append(clipping(record))
    return Summary(_level(found, judged), _headline(found), tuple(finding for finding in findings if finding))


def worth_saying(epochs: float | None) -> TypeGuard[float]:
    """Tell whether a length in epochs says more than one in steps: from a hundredth of an epoch on."""
    return epochs is not None and epochs >= 0.01


def _headline(found: Outcome) -> str:
    what = f"{found.model or 'A network'} on {found.data}"
    if found.diverged:
        step = f" at step {count(found.stopped_step)}" if found.stopped_step is not None else ""
        return f"{what}: diverged{step}"
    if found.metric is not None:
        return f"{what}: {found.metric.text} test {found.metric.name}"
    if found.test_loss is not None:
        return f"{what}: test loss {figure(found.test_loss)}"
    if found.validation_loss is not None:
        return f"{what}: validation loss {figure(found.validation_loss)}, no test part"
    return f"{what}: no result recorded"


def _against_baseline(record: Record, found: Outcome) -> Statement | None:
    """Compare the test metric with an answer that ignores the inputs."""
    metric, baseline = found.metric, found.baseline
    if metric is None:
        return None
    interval = metric_interval(record)
    sure = "" if interval is None else f" (95 % interval {_range(metric.name, interval)})"
    said = f"Test {metric.name} is {metric.text}{sure}"
    if baseline is None:
        return Statement("metric", f"{said}; no baseline is recorded.", "unclear")
    judged, within = (metric, interval) if baseline.name == metric.name else (_same_metric(found), None)
    own = "" if judged is metric or judged is None else f" and this network {judged.text}"
    words = _BASELINE_WORDS.get(found.task or "", "the baseline")
    level, relation = ("unclear", "") if judged is None else _relation(judged, baseline, within)
    named = "" if judged is metric else f" {baseline.name}"
    return Statement(
        "metric", f"{said}; {words} gives {baseline.text}{named}{own}. {relation}".rstrip(), level
    )


def _same_metric(found: Outcome) -> Score | None:
    """Return the run's own figure in the baseline's metric, where that is not the headline's."""
    name = found.baseline.name if found.baseline is not None else ""
    return Score(name, found.metrics[name]) if name in found.metrics else None


def _relation(metric: Score, baseline: Score, interval: tuple[float, float] | None) -> tuple[str, str]:
    """Say how a score stands to the baseline; only an interval that excludes the baseline decides."""
    better = metric.better_than(baseline)
    if better is None:
        return "unclear", "The two are equal." if metric.value == baseline.value else ""
    if interval is not None and interval[0] <= baseline.value <= interval[1]:
        return "unclear", "The baseline lies in the interval: these test examples cannot tell the two apart."
    if not better:
        return "bad", "That is worse than not looking at the inputs."
    return "good", f"{_gain(metric, baseline)}"


def _gain(metric: Score, baseline: Score) -> str:
    """Express the gain as the share of the baseline's error that is gone."""
    lost = 1 - baseline.value if metric.higher_is_better else baseline.value
    left = 1 - metric.value if metric.higher_is_better else metric.value
    if metric.name not in ("accuracy", "rmse", "mae") or lost <= 0:
        return ""
    gone = f"{100 * (1 - left / lost):.3g} %"
    if metric.name == "accuracy":
        return f"Of the baseline's mistakes, {gone} are gone."
    return f"The baseline's error is cut by {gone}."


def _stopped(record: Record, found: Outcome) -> Statement | None:
    if found.stopped is None:
        return Statement(
            "stopped", "The record has no end: training was broken off, or is still going on.", "unclear"
        )
    where = [] if found.steps is None else [plural(found.steps, "step")]
    where += [plural(float(f"{found.epochs:.3g}"), "epoch")] if worth_saying(found.epochs) else []
    how_far = f" after {' ('.join(where)}{')' if len(where) == 2 else ''}" if where else ""
    reason = found.reason or _reason(record, found)
    reason = f": {reason.rstrip('.')}" if reason else ""
    facts = StopReason.facts_of(found.stopped)
    return Statement("stopped", f"{facts.sentence}{how_far}{reason}.", facts.level)


def _reason(record: Record, found: Outcome) -> str:
    """Say why a run stopped where the record has the figures but no words."""
    patience = as_number(record.recipe.get("patience"))
    if found.stopped == StopReason.PATIENCE and patience is not None:
        return f"no better validation loss in {plural(patience, 'evaluation')}"
    limit = as_number(record.recipe.get(found.stopped or ""))
    if limit is not None and found.stopped in ENDING_SETTINGS:
        return f"{found.stopped} {setting(limit)}"
    losses = per_step(record, "loss").value
    if found.diverged and len(losses) and not np.isfinite(losses[-1]):
        return "the loss is no number any more"
    return ""


def _best(found: Outcome) -> Statement | None:
    if found.best_loss is None:
        return None
    at = [f"epoch {found.best_epoch:.4g}"] if worth_saying(found.best_epoch) else []
    at += [f"step {count(found.best_step)}"] if found.best_step is not None else []
    where = f" at {', '.join(at)}" if at else ""
    used = {"best": "these", "final": "the last"}.get(found.weights or "")
    tested = found.metric is not None or found.test_loss is not None
    of = f"; the test figures are of {used} weights" if used and tested else ""
    return Statement("best", f"The validation loss was lowest{where}: {figure(found.best_loss)}{of}.")


def _range(name: str, interval: tuple[float, float]) -> str:
    low, high = (measure(name, end) for end in interval)
    both = low.endswith(" %") and high.endswith(" %")
    return f"{low.removesuffix(' %') if both else low} to {high}"


def _level(found: Outcome, judged: Statement | None) -> str:
    if found.diverged:
        return "bad"
    return judged.level if judged is not None else "unclear"
