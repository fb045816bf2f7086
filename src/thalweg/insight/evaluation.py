"""`evaluate`: how well a trained model does on new data that hold their targets.

Every metric of the registry that fits the task and the outputs, in the target's own unit; figures of every
class; how many of the rows the model was trained on, whose score says nothing about new ones; and figures to
decide by (`insight.decisions`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from thalweg.core.arguments import checked
from thalweg.core.caller import argument
from thalweg.core.errors import BadInput, DataError, ModelError, ThalwegError
from thalweg.core.lazy import pl
from thalweg.insight.decisions.case import Case, case_of, case_of_new, validation_of
from thalweg.insight.decisions.cost import ErrorCost
from thalweg.insight.decisions.decide import decisions
from thalweg.insight.wording import figure, listing
from thalweg.problem.data.data import CLASSIFICATION, IN_MEMORY, REGRESSION, Data
from thalweg.problem.data.files.parts import is_glob
from thalweg.problem.data.labelled import SCORED, labelled_rows
from thalweg.problem.data.load import load
from thalweg.problem.data.predict_inputs import NewData, read_new
from thalweg.problem.data.sets.named import names
from thalweg.problem.data.sets.published import SETS, locate
from thalweg.problem.data.split import Rows
from thalweg.problem.losses import METRICS, as_metric, whole_split
from thalweg.problem.losses.metrics import Metric, reading
from thalweg.problem.losses.outputs import boundary, class_columns, quantile_levels
from thalweg.run.folder.folder import RUN_FILE, RunFile
from thalweg.run.restore import Trained, trained_of
from thalweg.run.run import Run

# Metrics that a temperature changes; it moves no class, and no order.
OF_PROBABILITIES = ("log_loss", "brier", "calibration_error", "perplexity")


@dataclass(frozen=True)
class Evaluation:
    """A trained model's figures on data with targets.

    Args:
        rows: Number of rows that were scored.
        metrics: Figures by name, that of the run first.
        classes: A row for each class or label: `class`, `examples`, `predicted`, `precision`, `recall`, `f1`
            (NaN where there is nothing to divide by); empty for values.
        targets: A row for each of several targets that are values: `target`, and its figures by name; empty
            for one target.
        trained_on: How many of the rows have inputs and target of a training row; None where the training
            data are not at hand.
        notes: What was left out or assumed, in sentences.
        weights: Which weights were used, `best` or `final`.
        decisions: Figures to decide by, as `decisions` in result.json (docs/decisions.md); empty where each
            row has not one class or one value.
    """

    rows: int
    metrics: dict[str, float]
    classes: pl.DataFrame
    trained_on: int | None
    notes: tuple[str, ...]
    weights: str
    decisions: dict[str, Any] = field(default_factory=dict, repr=False)
    targets: pl.DataFrame = field(default_factory=lambda: pl.DataFrame())


@checked(BadInput)
def evaluate(
    run: Any,
    source: Any = None,
    *,
    cost: Any = None,
    by: Sequence[str] = (),
    folder: Path | str | None = None,
) -> Evaluation:
    """Score a trained model on data that hold their targets, or on its own test rows.

    Args:
        run: A run folder, a `Run`, or what `restore` gave.
        source: What `predict` takes, with targets: a table with the target's column, a pair (inputs,
            targets), pictures in folders named after their classes, or a named set (its test split). None:
            the run's own test rows, which are read again.
        cost: What a false positive and a false negative cost, as `{"fp": 1, "fn": 5}` or `"fp=1,fn=5"`: gives
            the threshold that costs least on the validation rows, and what it costs on these.
        by: Columns of the table, used as inputs or not, by whose groups the rows are judged, too.
        folder: Folder with named sets.

    Raises:
        BadInput: A cost is given where there are not two classes.
        DataError: The data cannot be read, have no targets, or have targets that training did not; or there
            is no such column.
        RunFolderError: There is no run, or it is damaged.

    Example:
        >>> import thalweg as tw
        >>> tw.evaluate("runs/titanic-1", "labelled.csv").metrics["accuracy"]  # doctest: +SKIP
        >>> tw.evaluate("runs/titanic-1", cost="fp=1,fn=5").decisions["classes"]["binary"]  # doctest: +SKIP
    """
    ErrorCost.of(cost)
    trained = trained_of(run)
    trained.check_predicts()
    training = run.problem.data if isinstance(run, Run) else None
    new = None if source is None else read_new(source, trained.preparation, folder)
    return evaluation_of(trained, new, training, Asked(cost, tuple(map(str, by))))


@dataclass(frozen=True)
class Asked:
    """What is asked for besides metrics.

    Args:
        cost, by: As for `evaluate`.
    """

    cost: Any = None
    by: tuple[str, ...] = ()


def evaluation_of(
    trained: Trained, new: NewData | None, training: Data | None = None, asked: Asked | None = None
) -> Evaluation:
    """Score a trained model on data that were read; see `evaluate`.

    Args:
        trained: The model.
        new: The data; None for the run's own test rows.
        training: The data that it was trained on; None to read them again where they can be.
        asked: For figures to decide by; None for metrics only.
    """
    training = _at_hand(trained, streamed=new is None) if training is None else training
    if new is None:
        return _of_test(trained, training, asked or Asked())
    rows = labelled_rows(new, trained.preparation, trained.task)
    inputs = trained.preparation.columns.examples(rows.raw).inputs
    outputs = np.asarray(trained.outputs(inputs), np.float32)
    seen, note = _trained_on(trained, inputs, rows.targets, training)
    decided = {}
    if asked is not None:
        case = case_of_new(trained, rows, inputs, new.files)
        decided = _decided(trained, case, training, asked)
    metrics, classes = _figures(trained, outputs, rows.targets), _by_class(trained, outputs, rows.targets)
    targets = _by_target(trained, outputs, rows.targets)
    notes = (
        *(each.text for each in rows.notes),
        *note,
        *(_on_temperature(trained, metrics) if decided else ()),
    )
    return Evaluation(len(rows.targets), metrics, classes, seen, notes, trained.weights, decided, targets)


def _of_test(trained: Trained, data: Data | None, asked: Asked) -> Evaluation:
    """Score a model on the test rows of its own data.

    Raises:
        DataError: The data are not at hand or have changed, or have no test rows that can be scored.
    """
    if data is None:
        rule, hint = "the run's own data must be where they were, unchanged", "give data with targets"
        if (trained.record.problem["data"].get("source") or {}).get("from") == IN_MEMORY:
            rule = "a folder's own data, which came from memory, are not read again"
        raise DataError("evaluate", rule, got=trained.record.name, hint=hint)
    test = data.test
    if type(test) is not Rows or data.task not in SCORED or trained.preparation.heads:
        rule = "needs test rows with one target each"
        got = "no test split" if test is None else f"{type(test).__name__}, {data.task}"
        raise DataError("evaluate", rule, got=got, hint="the run's figures: thalweg show RUN")
    inputs, targets = test.inputs, np.asarray(test.known_targets)
    outputs = np.asarray(trained.outputs(inputs), np.float32)
    decided = _decided(trained, case_of(trained, data), data, asked)
    metrics, classes = _figures(trained, outputs, targets), _by_class(trained, outputs, targets)
    notes, each = _on_temperature(trained, metrics), _by_target(trained, outputs, targets)
    return Evaluation(len(targets), metrics, classes, 0, notes, trained.weights, decided, each)


def _decided(trained: Trained, case: Case | None, data: Data | None, asked: Asked) -> dict[str, Any]:
    """Return the figures to decide by; the threshold of a cost is chosen on the run's validation rows.

    Raises:
        BadInput: A cost or a column is given where there are no such figures.
    """
    if case is None:
        if asked.cost is not None or asked.by:
            who = argument("cost" if asked.cost is not None else "by")
            rule = "needs rows that each have one class or one value"
            raise BadInput(who, rule, got=trained.task, hint=f"leave {who} out")
        return {}
    if case.held is None and data is not None and asked.cost is not None:
        case = replace(case, held=validation_of(trained, data))
    return decisions(case, data, asked.cost, asked.by)


def _figures(trained: Trained, outputs: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    """Return every metric that fits, by name; that of the run first."""
    facts = trained.preparation
    return _figures_in(trained, outputs, targets, facts.target_scale, facts.target_mean)


def _by_target(trained: Trained, outputs: np.ndarray, targets: np.ndarray) -> pl.DataFrame:
    """Return the figures of each of several targets that are values; an empty table for other targets."""
    facts = trained.preparation
    if trained.task != REGRESSION or not isinstance(facts.target_mean, (tuple, list)):
        return pl.DataFrame()
    scales = zip(facts.target_scale, facts.target_mean, strict=True)
    if outputs.shape != targets.shape:  # several outputs for a target, as quantiles
        return pl.DataFrame()
    names = facts.target_names or [str(i) for i in range(targets.shape[1])]
    rows = [
        {"target": name} | _figures_in(trained, outputs[:, [i]], targets[:, [i]], *unit)
        for i, (name, unit) in enumerate(zip(names, scales, strict=True))
    ]
    return pl.DataFrame(rows)


def _figures_in(
    trained: Trained, outputs: np.ndarray, targets: np.ndarray, scale: Any, mean: Any
) -> dict[str, float]:
    """Return every metric that fits, in the unit that a scale and a mean of the target give."""
    own = _metrics_of(trained)
    figures = {}
    for name in dict.fromkeys([*own, *METRICS]):
        metric = as_metric(name)
        if trained.task not in metric.tasks or not _says_something(name, trained, own):
            continue
        try:
            metric = reading(metric, trained.meaning, trained.preparation.classes, scale, mean)
            figures[name] = _figure(metric, outputs, targets, scale)
        except ModelError:  # one for probabilities, or for rates, where outputs are none
            continue
    return figures


def _on_temperature(trained: Trained, metrics: Mapping[str, float]) -> tuple[str, ...]:
    """Say of which probabilities the metrics are, where predictions have a temperature that losses do not."""
    temperature = 1.0 if trained.calibration is None else trained.calibration.temperature
    own = [name for name in OF_PROBABILITIES if name in metrics]
    if temperature == 1.0 or not own:
        return ()
    which = f"{listing(own)} {'is' if len(own) == 1 else 'are'} of the network's own probabilities"
    told = f"those of predict and of all other figures have a temperature of {figure(temperature, 3)}"
    return (f"{which}; {told}.",)


def _metrics_of(trained: Trained) -> list[str]:
    """Return the names of the run's own metrics, as far as they are of the registry."""
    problem = trained.record.problem
    names = [problem.get("metric"), *problem.get("metrics", ())]
    known = []
    for name in names:
        try:
            known.append(as_metric(str(name)).name)
        except ModelError:
            continue
    return known


def _says_something(name: str, trained: Trained, own: list[str]) -> bool:
    """Return whether a metric that the run did not ask for tells anything of such outputs."""
    classes = len(trained.preparation.classes or ())
    needs = {"top5": classes > 5, "pinball": bool(quantile_levels(str(trained.meaning)))}
    return name in own or needs.get(name, True)


def _figure(metric: Metric, outputs: np.ndarray, targets: np.ndarray, scale: Any) -> float:
    if metric.whole is not None:
        kept = np.asarray(metric.rule(outputs, targets))
        return float(metric.whole(kept, targets, np.ones(len(targets)), None))
    unit = np.asarray(scale, np.float32) if metric.in_target_unit else None
    each = np.asarray(metric.per_example(outputs, targets, unit), np.float64)
    return float(metric.finish(each.mean()))


def _by_class(trained: Trained, outputs: np.ndarray, targets: np.ndarray) -> pl.DataFrame:
    """Return the figures of every class, or of every label; an empty table for values."""
    if trained.task == REGRESSION:
        return pl.DataFrame()
    if trained.task == CLASSIFICATION:
        columns = np.asarray(class_columns(outputs, trained.meaning))
        names = trained.preparation.classes or range(columns.shape[-1])
        predicted = columns.argmax(axis=-1)
        counted = whole_split.counts(targets, predicted, np.ones(len(targets)), len(names))
    else:
        names = trained.preparation.classes or range(outputs.shape[-1])
        predicted, right = outputs > boundary(trained.meaning), targets > 0.5
        sums = ((each).sum(axis=0).astype(float) for each in (predicted & right, right, predicted))
        counted = whole_split.Counts(*sums)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision, recall = counted.hits / counted.predicted, counted.hits / counted.of
    return pl.DataFrame(
        {
            "class": [str(name) for name in names],
            "examples": counted.of.astype(np.int64),
            "predicted": counted.predicted.astype(np.int64),
            "precision": precision,
            "recall": recall,
            "f1": whole_split.f1(counted),
        }
    )


def _at_hand(trained: Trained, streamed: bool) -> Data | None:
    """Return the data of training; None where they cannot be read."""
    try:
        return _training_data(trained, streamed)
    except (ThalwegError, OSError):
        return None


def _is_streamed(trained: Trained) -> bool:
    return bool((trained.record.problem["data"].get("source") or {}).get("options", {}).get("stream"))


def _why_no_rows(trained: Trained) -> str:
    if _is_streamed(trained):
        return "the training rows were streamed and are not held"
    return "the training data are not at hand"


def _trained_on(
    trained: Trained, inputs: Any, known_targets: np.ndarray, data: Data | None
) -> tuple[int | None, tuple[str, ...]]:
    """Return how many rows have the inputs and the target of a training row, and a sentence on it."""
    train = None if data is None else data.train
    targets = None if train is None else train.known_targets
    if train is None or targets is None or not isinstance(getattr(train, "inputs", None), np.ndarray):
        return None, (f"{_why_no_rows(trained)}: whether rows were trained on is not known.",)
    known = set(_keys(train.inputs, np.asarray(targets)))  # type: ignore[attr-defined]
    count = sum(key in known for key in _keys(np.asarray(inputs), known_targets))
    if not count:
        return 0, ()
    text = f"{count} of {len(known_targets)} rows have the inputs and the target of a training row: "
    return count, (text + "their score says nothing about new rows.",)


def _keys(inputs: np.ndarray, targets: np.ndarray) -> list[bytes]:
    """Return the bytes of each row, inputs and target as in training."""
    rows, values = len(inputs), np.asarray(targets).astype(np.float32)
    # 0.0 and -0.0 are one value.
    flat = inputs.reshape(rows, -1) + inputs.dtype.type(0)
    return [row.tobytes() + value.tobytes() for row, value in zip(flat, values, strict=True)]


def _training_data(trained: Trained, streamed: bool) -> Data | None:
    """Read the training data of a run folder again; None where they are not there, or have changed.

    A streamed table is read where that is asked for: for its test rows, as its training rows are never
    together in memory.
    """
    about, folder = trained.record.problem["data"], trained.record.folder
    source = about.get("source") or {}
    if folder is not None and (folder / RUN_FILE).is_file():  # it has absolute paths
        source = (RunFile.read(folder).origin.get("problem") or {}).get("source") or source
    options = source.get("options", {})
    if not source or IN_MEMORY in (source.get("from"), *options.values()) or not _is_at_hand(source):
        return None
    if options.get("stream") and not streamed:
        return None
    data = load(source["from"], **options)
    return data if data.fingerprint == about.get("fingerprint") else None


def _is_at_hand(source: dict[str, Any]) -> bool:
    """Return whether data are files or folders that are here: nothing is downloaded, no device is opened."""
    origin, options = source.get("from"), source.get("options", {})
    if isinstance(origin, str) and origin in SETS:
        return locate(SETS[origin], options.get("folder")) is not None
    named = [*(origin if isinstance(origin, list) else [origin]), options.get("test")]
    paths = [each for each in named if isinstance(each, str) and each not in names() and not is_glob(each)]
    return all(Path(path).is_file() or Path(path).is_dir() for path in paths)
