"""The runs and sweeps under a folder: what each of them is, whether it runs, and how far it came.

Only the small files of a run folder are read, and nothing is verified: a list of hundreds of runs must be
quick, and must show a damaged one too.
"""

import json
import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from thalweg.core.stop_reason import StopReason
from thalweg.insight.outcome import HIGHER_IS_BETTER, Score, table, text
from thalweg.insight.settings import flat
from thalweg.insight.wording import as_number
from thalweg.run.folder import lock
from thalweg.run.folder.folder import RUN_FILE
from thalweg.run.folder.sweep_record import FILE as SWEEP_FILE

RUNNING, FINISHED, INTERRUPTED, FAILED = "running", "finished", "interrupted", "failed"
# Folders below the one that is listed; runs/<project>/<experiment>/<run> is three.
DEEPEST = 4
_READ = (RUN_FILE, SWEEP_FILE, "result.json", "problem.json", "recipe.toml", lock.NAME)
# run.json of a sweep of a thousand lanes holds their recipes, about half a kilobyte each.
_LONGEST = 1 << 24


@dataclass(frozen=True)
class RunSummary:
    """One run or sweep of a list; None where its folder does not say.

    Args:
        folder: The run folder.
        name: Its path below the folder that was listed.
        state: `running`, `finished`, `interrupted` (it can be resumed), or `failed`: it diverged, or its
            process ended without a result.
        why: Why it stopped, in a few words; empty while it runs.
        data, task, model: Names.
        is_sweep: Whether it is a sweep, possibly of one lane.
        lanes: 1, or the number of runs in a sweep.
        epochs, steps: Length of training so far; of a sweep, those of its best lane.
        planned: Planned epochs or updates, as the recipe has them: `("epochs", 20)`.
        metric: On the test split; of a sweep, that of the lane with the lowest validation loss; of folds, the
            mean over them.
        validation_loss, test_loss: Likewise.
        seconds: Time since the start, until the last result.
        started: When the run was made, in seconds since 1970.
        process: Of a running run: the number of its process on this machine.
        varied: Settings that vary among the lanes of a sweep.
        settings: The recipe by dotted path; of a sweep, what its lanes have in common.
    """

    folder: Path
    name: str
    state: str
    why: str = ""
    data: str | None = None
    task: str | None = None
    model: str | None = None
    is_sweep: bool = False
    lanes: int = 1
    epochs: float | None = None
    steps: float | None = None
    planned: tuple[str, float] | None = None
    metric: Score | None = None
    validation_loss: float | None = None
    test_loss: float | None = None
    seconds: float | None = None
    started: float | None = None
    process: int | None = None
    varied: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)


class RunList:
    """The runs under some folders; a second look reads only what has changed.

    Args:
        folders: Where to look; a folder may itself be a run.
    """

    def __init__(self, folders: Sequence[Path]):
        self._folders = [Path(folder) for folder in folders]
        self._known: dict[Path, tuple[tuple[Any, ...], RunSummary]] = {}

    def look(self) -> list[RunSummary]:
        """Return all runs, the newest first."""
        known, self._known = self._known, {}
        for root in self._folders:
            for folder in run_folders(root):
                self._known[folder] = self._summary(folder, _name(folder, root, self._folders), known)
        summaries = [summary for _, summary in self._known.values()]
        return sorted(summaries, key=lambda run: (-(run.started or 0.0), run.name))

    @staticmethod
    def _summary(
        folder: Path, name: str, known: Mapping[Path, tuple[tuple[Any, ...], RunSummary]]
    ) -> tuple[tuple[Any, ...], RunSummary]:
        mark = tuple(_stamp(folder / file) for file in _READ)
        before = known.get(folder)
        if before is None or before[0] != mark:
            return mark, summary_of(folder, name)
        # Only a process that has ended changes the state without changing a file.
        if before[1].state != RUNNING or lock.writer(folder) is not None:
            return before
        return mark, summary_of(folder, name)


def run_folders(root: Path, depth: int = DEEPEST) -> Iterator[Path]:
    """Yield the runs and sweeps in a folder and below; the lanes of a sweep are part of it."""
    try:
        with os.scandir(root) as entries:
            names = {entry.name: entry for entry in entries}
    except OSError:
        return
    if RUN_FILE in names or SWEEP_FILE in names or {"problem.json", "recipe.toml"} <= names.keys():
        yield root
        return
    if depth > 0:
        for name in sorted(names):
            if not name.startswith(".") and _is_folder(names[name]):
                yield from run_folders(root / name, depth - 1)


def summary_of(folder: Path, name: str | None = None) -> RunSummary:
    """Return what is known about one run or sweep.

    Args:
        folder: The run folder.
        name: What to call it; default: its own name.
    """
    run_file, sweep = _json(folder / RUN_FILE), _json(folder / SWEEP_FILE)
    result, problem = sweep or _json(folder / "result.json"), _json(folder / "problem.json")
    owner = None if run_file.get("ended") is True else lock.writer(folder)
    state, why = _state(run_file, result, owner is not None)
    lane = _best_lane(sweep) if sweep else result
    data, model = table(problem, "data"), table(problem, "model")
    recipe = table(sweep, "recipe") if sweep else _toml(folder / "recipe.toml")
    lanes = as_number(sweep.get("lanes")) if sweep else 1
    return RunSummary(
        folder=folder,
        name=name or folder.name,
        state=state,
        why=why,
        data=text(result.get("data")) or text(data.get("name")),
        task=text(result.get("task")) or text(data.get("task")),
        model=text(result.get("model")) or text(model.get("spec")),
        is_sweep=bool(sweep),
        lanes=int(lanes or 1),
        epochs=as_number(lane.get("epochs")),
        steps=as_number(lane.get("steps")),
        planned=_planned(recipe),
        metric=_metric(lane, sweep),
        validation_loss=as_number(lane.get("validation_loss")),
        test_loss=as_number(lane.get("test_loss")),
        seconds=as_number(table(result, "seconds").get("total")),
        started=_started(folder),
        process=owner.get("pid") if owner else None,
        varied=tuple(map(str, sweep.get("varied") or ())),
        settings=_common(flat(recipe), sweep.get("varied") or ()),
    )


def differing(summaries: Sequence[RunSummary]) -> dict[str, list[Any]]:
    """Return the settings in which runs differ: by dotted path, the value in each run (None: not set)."""
    rows = [{"data": run.data, "model": run.model} | run.settings for run in summaries]
    paths = dict.fromkeys(path for row in rows for path in row)
    columns = {path: [row.get(path) for row in rows] for path in paths}
    return {path: values for path, values in columns.items() if any(value != values[0] for value in values)}


def _state(run_file: Mapping[str, Any], result: Mapping[str, Any], is_writing: bool) -> tuple[str, str]:
    """Return the state, and why training stopped."""
    if is_writing:
        return RUNNING, ""
    stopped = result.get("stopped")
    reasons = list(stopped) if isinstance(stopped, Mapping) else [stopped] if stopped else []
    facts = [StopReason.facts_of(reason) for reason in reasons]
    why = ", ".join(dict.fromkeys(fact.label for fact in facts))
    if not reasons or (run_file and not run_file.get("ended") and StopReason.INTERRUPTED not in reasons):
        return FAILED, "ended without a result"
    if StopReason.INTERRUPTED in reasons:
        return INTERRUPTED, why
    return (FAILED if all(reason == StopReason.DIVERGED for reason in reasons) else FINISHED), why


def _best_lane(sweep: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row of the lane with the lowest validation loss, or training loss where there is none.

    Folds are no settings to choose among: the lanes of one setting are replaced by their mean.
    """
    rows = [row for row in sweep.get("rows") or () if isinstance(row, dict)]
    if rows and all("fold" in row for row in rows):
        of_setting: dict[str, list[dict[str, Any]]] = {}
        for row in rows:
            key = str([row.get(path) for path in sweep.get("varied") or ()])
            of_setting.setdefault(key, []).append(row)
        rows = [_mean(folds) for folds in of_setting.values()]
    for loss in ("validation_loss", "train_loss"):
        with_loss = [row for row in rows if as_number(row.get(loss)) is not None]
        if with_loss:
            return min(with_loss, key=lambda row: row[loss])
    return {}


def _mean(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the mean of every figure that all rows have."""
    columns = {name: [as_number(row.get(name)) for row in rows] for name in rows[0]}
    known = {name: [v for v in values if v is not None] for name, values in columns.items()}
    return {name: fmean(values) for name, values in known.items() if len(values) == len(rows)}


def _metric(lane: Mapping[str, Any], sweep: Mapping[str, Any]) -> Score | None:
    metric = lane.get("test_metric")
    name, value = (metric.get("name"), metric.get("value")) if isinstance(metric, Mapping) else (None, metric)
    name = name or table(sweep, "metric").get("name")
    number = as_number(value)
    return None if number is None or not name else Score(str(name), number)


def sort_value(score: Score | None) -> float:
    """Return a number that is smaller for a better score; infinite for none."""
    if score is None or score.value != score.value:
        return float("inf")
    return -score.value if score.name in HIGHER_IS_BETTER else score.value


def _planned(recipe: Mapping[str, Any]) -> tuple[str, float] | None:
    lengths = ((name, as_number(recipe.get(name))) for name in ("steps", "epochs"))
    return next(((name, number) for name, number in lengths if number), None)


def _common(settings: dict[str, Any], varied: Iterable[Any]) -> dict[str, Any]:
    without = set(varied)
    return {path: value for path, value in settings.items() if path not in without}


def _name(folder: Path, root: Path, roots: Sequence[Path]) -> str:
    name = folder.name if folder == root else str(folder.relative_to(root))
    return name if len(roots) == 1 or folder == root else f"{root.name}/{name}"


def _started(folder: Path) -> float | None:
    """Return when a run was made: its first file, which is never written again."""
    for name in ("environment.json", "problem.json"):
        stamp = _stamp(folder / name)
        if stamp is not None:
            return stamp[0] / 1e9
    return None


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def _json(path: Path) -> dict[str, Any]:
    """Return an object from a JSON file; an empty one where it is missing or damaged."""
    try:
        with path.open("rb") as file:
            value = json.loads(file.read(_LONGEST))
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
