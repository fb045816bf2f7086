"""A problem as plain values, in run.json: written at the start, rebuilt or compared when a run is resumed."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from thalweg.core import imports
from thalweg.core.caller import either, option
from thalweg.core.choice import choose
from thalweg.core.errors import BadInput, DataError, ModelError
from thalweg.problem.data.data import IN_MEMORY, Data, fingerprint
from thalweg.problem.data.files.parts import is_glob
from thalweg.problem.data.load import load
from thalweg.problem.data.sets.named import names
from thalweg.problem.losses import Custom, as_loss, as_metric, described, unweighted
from thalweg.problem.models import ARCHITECTURES
from thalweg.problem.models.architecture import Architecture
from thalweg.problem.problem import LOSS, METRIC, Problem
from thalweg.run.folder.describe import own_functions
from thalweg.run.folder.filesystem import plain

# What a resumed run must not change in how outputs are judged, with its words.
_JUDGED = (("class_weight", "weights of the classes"), ("more_metrics", "metrics"), ("select", "selection"))


def describe_problem(problem: Problem) -> dict[str, Any]:
    """Return a problem as plain values."""
    data, model = problem.data, problem.model
    is_built_in = isinstance(model, Architecture)
    return plain(
        {
            "source": _source(data.source),
            "fingerprint": data.fingerprint,
            "counts": {name: split.count() for name, split in data.splits.items()},
            "shape": str(data.input_shape),
            "outputs": data.outputs,
            "classes": data.preparation.classes,
            "model": {"name": model.name} | model.to_dict() if is_built_in else None,
            "spec": problem.model_spec,
            "name": problem.name,
            "loss": _loss_name(problem),
            "metric": problem.metric.name,
            "meaning": problem.outputs,
            "functions": own_functions(problem),
        }
        | _judging(problem)
    )


def _judging(problem: Problem) -> dict[str, Any]:
    """Return what differs from the defaults in how outputs are judged: further keys of `describe_problem`."""
    given = {
        "class_weight": _class_weight(problem.class_weight),
        "more_metrics": [metric.name for metric in problem.more_metrics],
        "select": problem.select if problem.select == METRIC else None,
        "own": [name for name, own in _own(problem).items() if own],
    }
    return {name: value for name, value in given.items() if value}


def fingerprint_splits(problem: Problem) -> dict[str, str]:
    """Return a fingerprint of each split of the data, to say which one changed."""
    return {name: fingerprint({name: split}) for name, split in problem.data.splits.items()}


def rebuilt(before: Mapping[str, Any], moved: Any, kept: Callable[[], Data] | None = None) -> Problem:
    """Return the problem of a run, from names alone.

    Args:
        before: What `describe_problem` gave.
        moved: Where the data are now; None where they were.
        kept: Reads the data that the folder keeps; None if it keeps none.

    Raises:
        DataError: The data cannot be read, or were in memory.
        ModelError: The model, the loss or a metric is the user's own, and has no import path.
    """
    hint = "pass the problem from Python: resume(folder, problem)"
    functions, source = before.get("functions") or {}, before["source"]
    missing = unnamed(before, kept is not None)
    if missing == "model":
        rule = "a run of a custom model class can only be resumed with that class"
        raise ModelError("model", rule, got=before["spec"], hint=hint)
    if missing == "data":
        rule = "of a run on arrays in memory must be passed again"
        raise DataError("data", rule, got=source.get("from"), hint=hint)
    judged = _judged(before, functions)
    if judged is None:
        rule = "a run with a custom loss or metric can only be resumed with them"
        raise ModelError("loss", rule, got=f"{before['loss']}, {before['metric']}", hint=hint)
    own = {name: imports.from_record(record, ModelError, name) for name, record in functions.items()}
    model = own.pop("model", None) or choose(ARCHITECTURES, before["model"], "model")
    data = (
        kept()
        if _from_memory(source) and kept is not None
        else _load(source["from"], source["options"], moved)
    )
    outputs = {"outputs": before.get("meaning")} if "loss" in own else {}
    return Problem(model, data, name=before.get("name"), **(judged | own | outputs))


def unnamed(before: Mapping[str, Any], keeps_data: bool) -> str | None:
    """Return what of a problem cannot be rebuilt from names alone: `model`, `data`, `loss`; None if all can.

    Args:
        before: What `describe_problem` gave.
        keeps_data: Whether the folder keeps data that came from memory.
    """
    functions = before.get("functions") or {}
    if before["model"] is None and "model" not in functions:
        return "model"
    if _from_memory(before["source"]) and not keeps_data:
        return "data"
    return "loss" if _judged(before, functions) is None else None


def _from_memory(source: Mapping[str, Any]) -> bool:
    options = (source["options"].get(name) for name in ("test", "weights")) if source else ()
    return not source or IN_MEMORY in (source["from"], *options)


def _class_weight(given: Any) -> Any:
    return {str(name): float(value) for name, value in given.items()} if isinstance(given, Mapping) else given


def _own(problem: Problem) -> dict[str, bool]:
    """Return whether loss and metric are functions of the user, which have no name to be found by."""
    metrics = (problem.metric, *problem.more_metrics)
    known = all(metric.formula for metric in metrics)  # all of the library's have one
    return {"loss": isinstance(unweighted(problem.loss), Custom), "metric": not known}


def _judged(before: Mapping[str, Any], functions: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return loss, metrics and weights of classes by name; None where one is a user's own without a path."""
    more, weight = tuple(before.get("more_metrics", ())), before.get("class_weight")
    select = before.get("select", LOSS)
    if "objective" in functions:
        return {"metric": [before["metric"], *more], "select": select}
    own = set(before.get("own", ())) - set(functions)
    if own:
        return None
    try:
        loss = None if "loss" in functions else as_loss(before["loss"])
        metrics = [as_metric(name) for name in (before["metric"], *more)]
    except BadInput:
        return None
    return {"loss": loss, "metric": metrics, "class_weight": weight, "select": select}


def _load(source: str | list[str], options: Mapping[str, Any], moved: Any) -> Data:
    """Read the data of a run again, from where they are now if they have moved."""
    paths = [path for path in (source if isinstance(source, list) else [source]) if isinstance(path, str)]
    gone = [path for path in paths if os.path.isabs(path) and not (os.path.exists(path) or is_glob(path))]
    if moved is None and gone:
        hint = f"say where they are now: {option('data', 'NEW')}"
        raise DataError("data", "must be where they were when the run started", got=gone[0], hint=hint)
    if isinstance(moved, (str, Path)):
        beside = Path(moved).absolute().parent
        options = {name: _moved(value, beside) for name, value in options.items()}
    return load(source if moved is None else moved, **options)


def _moved(value: Any, beside: Path) -> Any:
    """Return the new place of another file of the data (a test split), where it moved with them."""
    if not isinstance(value, str) or not os.path.isabs(value) or os.path.exists(value):
        return value
    return str(beside / Path(value).name)


def check_same(before: Mapping[str, Any], problem: Problem, split_fingerprints: Mapping[str, str]) -> None:
    """Reject a problem that is another than before.

    Raises:
        DataError: The data have changed; the message says how.
        ModelError: Something else has.
    """
    now = describe_problem(problem)
    if before["fingerprint"] != now["fingerprint"]:
        present = fingerprint_splits(problem)
        changed = [name for name, value in split_fingerprints.items() if present.get(name) != value]
        raise DataError(
            "data",
            "must be those that the run was started with",
            got=_changes(before, now, changed),
            where=(before["source"] or {}).get("from"),
            hint="restore the original data, or start a new run from these weights: "
            + either("thalweg fit ... --init RUN", "train(problem, init=folder)"),
        )
    for name, noun in (
        *_JUDGED,
        ("spec", "model"),
        ("loss", "loss"),
        ("metric", "metric"),
        ("meaning", "outputs"),
    ):
        if name in before and before[name] not in (now.get(name), *_older(name, now.get(name))):
            raise ModelError(
                "problem",
                f"must have the {noun} that the run was started with",
                got=now.get(name),
                where=f"it was {before[name]}",
                hint=f"pass the same {'model' if name == 'spec' else name}, or start a new run",
            )


def _older(name: str, now: Any) -> tuple[Any, ...]:
    """Return how older folders wrote the same: a loss without its options."""
    return (now.partition(":")[0],) if name == "loss" else ()


def _changes(before: Mapping[str, Any], now: Mapping[str, Any], splits: Sequence[str]) -> str:
    changes = []
    for name in sorted({*before["counts"], *now["counts"]}):
        old, new = before["counts"].get(name), now["counts"].get(name)
        if old != new:
            changes.append(f"{new} examples instead of {old} in the {name} split")
    for name, noun in (("shape", "inputs of shape"), ("outputs", "outputs"), ("classes", "classes")):
        if before[name] != now[name]:
            changes.append(f"{noun} {now[name]} instead of {before[name]}")
    where = f" in the {', '.join(splits)} split{'s' if len(splits) > 1 else ''}" if splits else ""
    return "; ".join(changes) or f"the same number of examples, with other values or in another order{where}"


def _loss_name(problem: Problem) -> str:
    return problem.loss.label if problem.objective is not None else described(problem.loss)


def _source(source: Mapping[str, Any]) -> dict[str, Any]:
    """Return where the data came from, with absolute paths, which hold from any working directory."""
    if not source:
        return {}
    options = {name: _absolute(value) for name, value in source.get("options", {}).items()}
    origin = source.get("from")
    return {"from": origin if origin in names() else _origin(origin), "options": options}


def _origin(origin: Any) -> Any:
    """Return the path that data came from, or the paths, or the pattern, from any working directory."""
    if isinstance(origin, list):
        return [_origin(each) for each in origin]
    return os.path.abspath(origin) if isinstance(origin, str) and is_glob(origin) else _absolute(origin)


def _absolute(value: Any) -> Any:
    return os.path.abspath(value) if isinstance(value, str) and Path(value).exists() else value
