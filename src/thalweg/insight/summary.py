"""One run in words: its result, and statements with the figures of the record that support them.

Statements are limited to what the record shows: no causes, no advice.
"""

import re
import shlex
from dataclasses import dataclass
from typing import TypeGuard

import numpy as np

from thalweg.core.caller import either
from thalweg.core.stop_reason import ENDING_SETTINGS, StopReason
from thalweg.insight.answers import confusion, metric_interval, rows_too_few
from thalweg.insight.curves import Curve, evaluated, layer_history, per_step, smooth, smoothing_window
from thalweg.insight.decisions.statements import Said, said
from thalweg.insight.intervals import range_text
from thalweg.insight.outcome import Outcome, Score, outcome, table
from thalweg.insight.standing import BETTER, UNCLEAR, standing
from thalweg.insight.wording import (
    as_number,
    clipped,
    count,
    figure,
    listing,
    measure,
    percent,
    plural,
    setting,
    times,
)
from thalweg.run.folder.record import Record

# Evaluations after the lowest one from which on a rise is called a trend.
TREND = 2
# The least relative change of a loss that is called one: a tenth of a per cent, the last digit shown.
CHANGE = 1e-3


@dataclass(frozen=True)
class Statement:
    """One or two sentences.

    Args:
        kind: Short name: `metric`, `references`, `stopped`, `divergence`, `tape`, `best`, `trend`, `gap`,
            `classes`, `leak`, `ranking`, `cost`, `calibration`, `importance`, `groups`, `layers`, `clipping`.
        text: The sentences, with their figures.
        level: `good`, `unclear` or `bad`.
    """

    kind: str
    text: str
    level: str = "good"


@dataclass(frozen=True)
class Summary:
    """One run in words.

    Args:
        level: `good` (better than the baseline), `bad` (worse than it, or diverged) or `unclear`.
        headline: What was trained and with what result, in one sentence.
        statements: Details, the most important first.
    """

    level: str
    headline: str
    statements: tuple[Statement, ...]


def summarise(record: Record) -> Summary:
    """Summarise a run from its record."""
    run = outcome(record)
    metric = _against_baseline(record, run)
    statements = [
        metric,
        _references(record),
        _stopped(record, run),
        _last_losses(record, run),
        _tape(record, run),
        _best(run),
        _validation_trend(record, run),
    ]
    if not run.diverged:
        statements += [_train_and_test(run), _classes_missed(record), _layers_unmoved(record)]
        statements += [Statement(each.kind, each.text, each.level) for each in _decisions(record)]
    statements.append(_clipping(record))
    level = "bad" if run.diverged or run.failed else metric.level if metric is not None else "unclear"
    return Summary(level, _headline(run), tuple(statement for statement in statements if statement))


def worth_stating(epochs: float | None) -> TypeGuard[float]:
    """Return whether a length in epochs is worth stating next to the steps: at least a hundredth of one."""
    return epochs is not None and epochs >= 0.01


def _headline(run: Outcome) -> str:
    what = f"{model_in_words(run.model)} on {run.data}"
    if run.diverged:
        step = f" at step {count(run.stopped_step)}" if run.stopped_step is not None else ""
        return f"{what}: diverged{step}"
    if run.failed:
        return f"{what}: the test figures are not finite numbers"
    if run.metric is not None:
        return f"{what}: {run.metric.text} test {run.metric.name}"
    if run.test_loss is not None:
        return f"{what}: test loss {figure(run.test_loss)}"
    if run.validation_loss is not None:
        return f"{what}: validation loss {figure(run.validation_loss)}, no test split"
    if run.train_loss is not None:
        return f"{what}: training loss {figure(run.train_loss)}, no test split"
    return f"{what}: no result recorded"


def model_in_words(model: str | None) -> str:
    """Return a model as a headline names it; its whole specification is among the facts."""
    members = re.search(r"\bmembers=(\d+)", model or "")
    if members is not None and int(members[1]) > 1:
        return f"ensemble of {members[1]} networks"
    return model or "A network"


def _against_baseline(record: Record, run: Outcome) -> Statement | None:
    """Compare the test metric with the baseline that result.json has."""
    metric, baseline = run.metric, run.baseline
    if metric is None:
        return None
    interval = metric_interval(record)
    sure = "" if interval is None else f" (95 % interval {range_text(metric.name, interval)})"
    few = rows_too_few(record)
    if few is not None:
        sure = f" ({plural(few, 'test value')}: too few for an interval)"
    further = {name: value for name, value in _further(record).items() if name != metric.name}
    others = ", ".join(f"{name} {Score(name, value).text}" for name, value in further.items())
    measured = f"Test {metric.name} {metric.text}{sure}" + (f" ({others})" if others else "")
    if baseline is None:
        return Statement("metric", f"{measured}; no baseline is recorded.", "unclear")
    # The baseline may have another metric than the headline; then the run's own value of it is compared.
    if baseline.name == metric.name:
        score, within, figures = metric, interval, baseline.text
    else:
        value = run.metrics.get(baseline.name)
        score, within = None if value is None else Score(baseline.name, value), None
        figures = f"{baseline.name} {baseline.text}" + (f", this network {score.text}" if score else "")
    level, relation = ("unclear", "") if score is None else _relation(score, baseline, within)
    if few is not None:  # one or two values beat the mean, or do not, by chance
        level, relation = "unclear", ""
    words = f"predicting {run.baseline_of}" if run.baseline_of else "the baseline"
    return Statement("metric", f"{measured}; {words} gives {figures}. {relation}".rstrip(), level)


def _references(record: Record) -> Statement | None:
    """Say what other methods reach on the same rows, and whether one of them is better than the network."""
    against = standing(record)
    if against is None or not against.standings:
        return None
    metric = against.metric
    all_of = listing([f"{each.name} {measure(metric, each.value)}" for each in against.standings], 9)
    better, unclear = against.named(BETTER), against.named(UNCLEAR)
    if better:
        words = listing([f"{each.name}, by {each.gap(metric)}" for each in better], 9)
        text = f"On the same rows {all_of}. Better than this network: {words}."
        return Statement("references", text, "bad")
    if unclear:
        names = listing([each.name for each in unclear], 9)
        verb = "is not" if len(unclear) == 1 else "are not"
        text = f"On the same rows {all_of}; on {count(against.rows)} rows {names} {verb} distinguishable"
        return Statement("references", f"{text} from the network.", "unclear")
    return Statement("references", f"On the same rows {all_of}: the network is better than each.")


def _decisions(record: Record) -> list[Said]:
    """Return what the figures to decide by say in brief."""
    return [each for each in said(record.result.get("decisions")) if each.brief]


def _further(record: Record) -> dict[str, float]:
    """Return the test values of the metrics that were asked for besides that of the headline."""
    asked, values = record.problem.get("metrics"), table(record.result, "test_metrics")
    names = [str(name) for name in asked] if isinstance(asked, list | tuple) else []
    return {name: float(values[name]) for name in names if isinstance(values.get(name), int | float)}


def _relation(metric: Score, baseline: Score, interval: tuple[float, float] | None) -> tuple[str, str]:
    """Return the level and the words for a score and its baseline; an interval that holds both is unclear."""
    better = metric.better_than(baseline)
    if better is None:
        return "unclear", "The two are equal." if metric.value == baseline.value else ""
    if interval is not None and interval[0] <= baseline.value <= interval[1]:
        return (
            "unclear",
            "The interval includes the baseline, so these test examples cannot distinguish the two.",
        )
    if not better:
        return "bad", "The network is worse than this baseline."
    return "good", _gain(metric, baseline)


def _gain(metric: Score, baseline: Score) -> str:
    """Say by how much the baseline's error is reduced."""
    before = 1 - baseline.value if metric.higher_is_better else baseline.value
    after = 1 - metric.value if metric.higher_is_better else metric.value
    if metric.name not in ("accuracy", "rmse", "mae") or before <= 0:
        return ""
    name = "Error rate" if metric.name == "accuracy" else metric.name.upper()
    return f"{name} {100 * (1 - after / before):.3g} % lower than the baseline's."


def _stopped(record: Record, run: Outcome) -> Statement:
    if run.stopped is None:
        return Statement(
            "stopped", "The record has no end: training was interrupted or is still running.", "unclear"
        )
    where = [] if run.steps is None else [plural(run.steps, "step")]
    where += [plural(float(f"{run.epochs:.3g}"), "epoch")] if worth_stating(run.epochs) else []
    after = f" after {' ('.join(where)}{')' if len(where) == 2 else ''}" if where else ""
    reason = run.reason or _reason(record, run)
    reason = f": {reason.rstrip('.')}" if reason else ""
    facts = StopReason.facts_of(run.stopped)
    return Statement("stopped", f"{facts.sentence}{after}{reason}.", facts.level)


def _reason(record: Record, run: Outcome) -> str:
    """Say why a run stopped where the record has the figures but no words."""
    patience = as_number(record.recipe.get("patience"))
    if run.stopped == StopReason.PATIENCE and patience is not None:
        return f"no better validation loss in {plural(patience, 'evaluation')}"
    limit = as_number(record.recipe.get(run.stopped or ""))
    if limit is not None and run.stopped in ENDING_SETTINGS:
        return f"{run.stopped} {setting(limit)}"
    losses = per_step(record, "loss").value
    if run.diverged and len(losses) and not np.isfinite(losses[-1]):
        return "the loss is no longer finite"
    return ""


def _last_losses(record: Record, run: Outcome) -> Statement | None:
    """Say how the loss moved before a run diverged, and at which learning rate."""
    losses = per_step(record, "loss").finite
    if not run.diverged or not len(losses):
        return None
    low = int(np.argmin(losses.value))
    text = f"The last finite loss was {figure(losses.value[-1])} (step {count(losses.step[-1])})"
    if low < len(losses) - 1:
        text += f", the lowest {figure(losses.value[low])} (step {count(losses.step[low])})"
    rates = per_step(record, "learning_rate")
    at = np.searchsorted(rates.step, losses.step[-1])
    rate = f"; the learning rate was {figure(rates.value[at])}" if at < len(rates) else ""
    return Statement("divergence", f"{text}{rate}.", "bad")


def _tape(record: Record, run: Outcome) -> Statement | None:
    """Say how to find the op at which a run that diverged failed."""
    if not run.diverged or record.folder is None:
        return None
    folder = str(record.folder)
    command = either(f"thalweg tape {shlex.quote(folder)} --born", f"tw.tape({folder!r}, born=True)")
    text = f"To replay it and see which op of which layer failed first, on which example: {command}"
    return Statement("tape", text, "unclear")


def _best(run: Outcome) -> Statement | None:
    if run.best_loss is None:
        return None
    at = [f"epoch {run.best_epoch:.4g}"] if worth_stating(run.best_epoch) else []
    at += [f"step {count(run.best_step)}"] if run.best_step is not None else []
    where = f" ({', '.join(at)})" if at else ""
    which = {"best": "these", "final": "the last"}.get(run.weights or "")
    tested = run.metric is not None or run.test_loss is not None
    of = f"; {which} weights were tested" if which and tested else ""
    if run.best_metric is not None and run.metric is not None:
        best = Score(run.metric.name, run.best_metric)
        return Statement("best", f"Best validation {best.name} {best.text}{where}{of}.")
    return Statement("best", f"Lowest validation loss {figure(run.best_loss)}{where}{of}.")


def _validation_trend(record: Record, run: Outcome) -> Statement | None:
    """Say whether the validation loss was still falling at the end, or rising again after its lowest."""
    curve = evaluated(record, "validation", "loss").finite
    if len(curve) <= TREND or run.diverged:
        return None
    lowest = int(np.argmin(curve.value))
    after = len(curve) - 1 - lowest
    if lowest == len(curve) - 1:
        before, last = curve.value[-2], curve.value[-1]
        if before - last < CHANGE * abs(before):
            return None
        # A share of a loss that may be negative, or that all but vanished, means nothing.
        fall = percent((before - last) / before) if last >= 0 else figure(before - last)
        text = f"The validation loss was still falling at the end: by {fall} at the last evaluation."
        return Statement("trend", text)
    if after < TREND or curve.value[-1] - curve.value[lowest] <= CHANGE * abs(curve.value[lowest]):
        return None
    return Statement("trend", _rise(record, curve, lowest), "unclear")


def _rise(record: Record, curve: Curve, lowest: int) -> str:
    low, last = curve.value[lowest], curve.value[-1]
    share = f" ({times(last / low)})" if low > 0 and last / low < np.inf else ""
    text = f"After its minimum the validation loss rose from {figure(low)} to {figure(last)}{share}"
    losses = per_step(record, "loss")
    means = smooth(losses, smoothing_window(len(losses)))
    at = int(np.searchsorted(means.step, curve.step[lowest]))
    if at < len(means) and -np.inf < means.value[-1] < means.value[at] < np.inf:
        text += f", while the training loss fell from {figure(means.value[at])} to {figure(means.value[-1])}"
    return text + "."


def _train_and_test(run: Outcome) -> Statement | None:
    """Compare the losses on the training and the test split."""
    if run.train_loss is None or run.test_loss is None or run.train_loss <= 0:
        return None
    ratio = run.test_loss / run.train_loss
    text = f"Test loss {figure(run.test_loss)}, training loss {figure(run.train_loss)}"
    higher = f" (test is {times(ratio)})" if 1.1 <= ratio < np.inf else ""
    return Statement("gap", f"{text}{higher}.", "good" if ratio < 2 else "unclear")


def _classes_missed(record: Record) -> Statement | None:
    """Name the class with the lowest recall, or the classes that are never predicted."""
    matrix = confusion(record)
    if matrix is None or np.isnan(matrix.recall).all() or len(matrix.classes) < 2:
        return None
    unpredicted = (matrix.counts.sum(axis=0) == 0) & (matrix.totals > 0)
    never = [clipped(matrix.classes[index], 40) for index in np.flatnonzero(unpredicted)]
    if never:
        noun = "Class" if len(never) == 1 else "Classes"
        return Statement("classes", f"{noun} never predicted on the test split: {listing(never)}.", "bad")
    lowest, highest = np.nanmin(matrix.recall), np.nanmax(matrix.recall)
    if lowest == highest:  # no class is found least often
        return None
    worst = np.flatnonzero(matrix.recall == lowest)
    names, recall = [clipped(matrix.classes[index], 40) for index in worst], percent(lowest)
    if len(worst) > 1:
        text = f"Lowest recall: classes {listing(names)}, {recall} of the test examples of each."
    else:
        examples = plural(matrix.totals[worst[0]], "test example")
        text = f"Lowest recall: class {names[0]}, {recall} of its {examples}."
    return Statement("classes", text, "good" if lowest >= 0.5 else "unclear")


def _layers_unmoved(record: Record) -> Statement | None:
    """Name parameters that no recorded update changed."""
    history = layer_history(record)
    unmoved = history.unmoved if history is not None else []
    return (
        Statement("layers", f"No recorded update changed {listing(unmoved)}.", "unclear") if unmoved else None
    )


def _clipping(record: Record) -> Statement | None:
    """Say how often the gradient was clipped, among the steps with a recorded norm."""
    limit = as_number(record.recipe.get("clip_norm"))
    norms = per_step(record, "gradient_norm").finite.value
    if limit is None or not len(norms):
        return None
    exceeded = int((norms > limit).sum())
    if not exceeded:
        return None
    share = percent(exceeded / len(norms))
    steps = f"{plural(len(norms), 'step')} with a recorded norm"
    return Statement("clipping", f"The gradient exceeded clip_norm {setting(limit)} in {share} of {steps}.")
