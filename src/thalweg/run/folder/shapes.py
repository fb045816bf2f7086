"""The shapes of a run's JSON files: the types of the entries that Thalweg reads, checked as a file is read.

Everything that shows, compares, resumes or predicts relies on these types, and checks no others. An entry
that is not listed may be anything: it is shown as text, or ignored.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thalweg.core.errors import RunFolderError
from thalweg.core.schema import NUMBER, Each, misfit

_SCALAR = (str, int, float, bool)
_TEXTS, _WHOLES = [str], [int]
_SCORE = {"name": str, "value": NUMBER, "of": str}
_COST = {"steps": NUMBER, "run_steps": NUMBER, "seconds": NUMBER, "share": NUMBER}
_LOSSES = {f"{split}_loss": NUMBER for split in ("train", "validation", "test")}
_RESULT = {
    "run": str,
    "data": str,
    "task": str,
    "model": str,
    "parameters": NUMBER,
    "steps": NUMBER,
    "epochs": NUMBER,
    "stopped": str,
    "stopped_at": {"step": NUMBER, "epoch": NUMBER, "reason": str},
    "weights": str,
    **_LOSSES,
    **{f"{split}_metric": _SCORE for split in ("train", "validation", "test")},
    **{f"{split}_metrics": Each(NUMBER) for split in ("train", "validation", "test")},
    "best": dict.fromkeys(("step", "epoch", "validation_loss", "validation_metric"), NUMBER),
    "baseline": _SCORE,
    "seconds": Each(NUMBER),
    "examples_per_second": NUMBER,
    "cost": {
        "step_seconds": {"predicted": NUMBER, "measured": NUMBER},
        "memory": dict.fromkeys(("predicted", "compiled", "process"), NUMBER),
        "operations": {"step": NUMBER, "rate": NUMBER},
    },
    "sample": str,
    "finding": {"setting": str, "value": NUMBER, "low": NUMBER, "high": NUMBER, "default": NUMBER}
    | {"status": str, "cost": _COST},
}
_NOTE = {"kind": str, "text": str, "columns": _TEXTS, "change": str}
_IMPORT = {"import": str, "arguments": list, "settings": dict}
_PROBLEM = {
    "data": {
        "name": str,
        "source": {"from": (str, list), "options": dict},
        "task": str,
        "counts": Each(NUMBER),
        "classes": [_SCALAR],
        "target": (str, list),
        "notes": [_NOTE],
        "fingerprint": str,
        "preparation": {"columns": {"kind": str}, "classes": [_SCALAR], "target": (str, list)},
    },
    "model": {
        "spec": str,
        "architecture": {"name": str},
        "import": _IMPORT,
        "parameters": NUMBER,
        "layers": [{"path": str, "shape": _WHOLES, "role": str, "count": NUMBER}],
    },
    "outputs": (str, dict),  # a table of several outputs
    "loss": str,
    "metric": str,
    "metrics": _TEXTS,
    "class_weight": (str, dict, list),
}
_SWEEP = {
    "run": str,
    "stopped": Each(NUMBER),
    "data": str,
    "task": str,
    "model": (str, list),
    "parameters": (int, float, list),
    "metric": {"name": str, "higher_is_better": bool},
    "lanes": NUMBER,
    "varied": _TEXTS,
    "groups": [_WHOLES],
    "plan": (dict, list),  # a list over several models
    "recipe": dict,
    "seconds": Each(NUMBER),
    "rows": [
        {"lane": int, "group": int, "folder": str, "stopped": str}
        | dict.fromkeys(("steps", "epochs", "diverged_at", "validation_metric", "test_metric"), NUMBER)
        | _LOSSES
    ],
}
_FINDING = {
    "run": str,
    "data": str,
    "task": str,
    "model": str,
    "schema": int,
    "setting": str,
    **dict.fromkeys(("value", "low", "high", "default", "diverges", "predicted_edge", "lr"), NUMBER),
    "largest_useful": NUMBER,
    "status": str,
    "reason": str,
    "curve": [dict],
    "fitted": [dict],
    "table": [dict],
    "cost": _COST,
    "noise_scale": {"value": NUMBER, "low": NUMBER, "high": NUMBER, "steps": int},
    "fits": dict.fromkeys(("batch", "bytes_fixed", "bytes_each", "bytes_free", "margin"), NUMBER),
    "recipe": str,
    "recipe_before": str,
}
_SHAPES: dict[str, Any] = {
    "result.json": _RESULT,
    "problem.json": _PROBLEM,
    "environment.json": Each((*_SCALAR, list)),
    "sweep.json": _SWEEP,
    "finding.json": _FINDING,
}
_HALVING = {"factor": NUMBER, "first": NUMBER, "at_least": int}
_SHARD = {"group": int, "lanes": _WHOLES, "width": int, "layout": str}
_NEEDED = ("problem", "recipes", "many", "plan")
_OF_PROBLEM = (
    "source",
    "fingerprint",
    "counts",
    "shape",
    "outputs",
    "classes",
    "model",
    "spec",
    "loss",
    "metric",
)
# The `origin` of run.json, from which a run is resumed.
ORIGIN = {
    "problem": {
        "source": {"from": (str, list), "options": dict},
        "fingerprint": str,
        "counts": Each(int),
        "shape": str,
        "model": {"name": str},
        "spec": str,
        "loss": str,
        "metric": str,
        "meaning": (str, dict),
        "class_weight": (str, dict, list),
        "more_metrics": _TEXTS,
        "select": str,
        "own": _TEXTS,
        "functions": Each(_IMPORT),
    },
    "recipes": _TEXTS,
    "many": bool,
    "plan": {"shards": [_SHARD], "groups": [_WHOLES], "waves": [_WHOLES], "workers": int}
    | {"layouts": _TEXTS, "bytes": [NUMBER], "reasons": _TEXTS},
    "strict": bool,
    "halving": _HALVING,
    "init": str,
    "init_names": Each(str),
    "every": str,
    "last": int,
    "data": bool,
    "schedule_total": int,
    "forked": {"run": str, "step": int},
    "folds": _WHOLES,
    "judged": (bool, dict),
    "devices": {"lanes": int, "data": int},
    "data_on": str,
}


def check_shape(value: Any, path: Path, who: str = "run") -> Any:
    """Return the content of a JSON file of a run folder whose entries are of the right types.

    Args:
        value: The content.
        path: The file; its name says which entries it has.
        who: The subject of the error message.

    Raises:
        RunFolderError: It is no object, or an entry is of another type.
    """
    wrong = "it is null" if value is None else misfit(value, _SHAPES.get(path.name, dict))
    if wrong is not None:
        raise not_ours(wrong, path, who)
    return value


def not_ours(wrong: str, where: object, who: str = "run") -> RunFolderError:
    """Return the error for a file whose content no run writes."""
    return RunFolderError(
        who,
        "every file must hold what a run writes",
        got=wrong,
        where=where,
        hint="the file was edited, or is of another version of Thalweg; restore a copy, or run again",
    )


def check_origin(values: Mapping[str, Any], where: object) -> None:
    """Reject the origin of a run.json whose entries are of other types than those written.

    Raises:
        RunFolderError: One is; or a plan names lanes that are not there.
    """
    wrong = misfit(values, ORIGIN)
    if wrong is not None:
        raise not_ours(wrong, where)
    absent = [name for name in _NEEDED if name in values and values[name] is None]
    absent += [f"problem.{name}" for name in _OF_PROBLEM if name not in (values.get("problem") or {})]
    source = (values.get("problem") or {}).get("source")
    absent += [
        f"problem.source.{name}" for name in ("from", "options") if source and source.get(name) is None
    ]
    absent += [f"halving.{name}" for name in values.get("halving") or () if name not in _HALVING]
    if "problem" in values and absent:
        wrong = f"no {absent[0]}" if not absent[0].startswith("halving") else f"an entry {absent[0]}"
    elif values.get("plan") and values.get("recipes"):
        wrong = _wrong_plan(values["plan"], len(values["recipes"]))
    if wrong is not None:
        raise not_ours(wrong, where)


def _wrong_plan(plan: Mapping[str, Any], lanes: int) -> str | None:
    """Return how a plan differs from one for so many lanes; None if it names each of them once."""
    shards, groups = plan.get("shards") or [], plan.get("groups") or []
    if any(None in (shard.get(name) for name in _SHARD) for shard in shards):
        return "a shard of the plan without an entry"
    for name, parts in (("shards", [shard["lanes"] for shard in shards]), ("groups", groups)):
        if sorted(lane for part in parts for lane in part) != list(range(lanes)):
            return f"{name} of the plan that do not hold each of {lanes} lanes once"
    layouts = {*(plan.get("layouts") or []), *(shard["layout"] for shard in shards)}
    numbers = sorted(number for wave in plan.get("waves") or [] for number in wave)
    same = len(plan.get("layouts") or []) == len(plan.get("bytes") or []) == len(groups)
    known = all(0 <= shard["group"] < len(groups) and 0 < shard["width"] <= lanes for shard in shards)
    fits = same and known and layouts <= {"map", "batch"} and (plan.get("workers") or 0) > 0
    if numbers != list(range(len(shards))) or not fits:
        return "a plan that does not fit together"
    return None
