"""The end of a run: the last evaluations, the weights, the result, and bringing the folder to rest."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from jaxtyping import PyTree

from thalweg.core.tree import lane as take_lane
from thalweg.engine.evaluate import outputs_of
from thalweg.problem.data.data import CLASSIFICATION, REGRESSION
from thalweg.problem.data.part import Rows
from thalweg.problem.problem import Problem
from thalweg.run import weights as files
from thalweg.run.counting import which_count
from thalweg.run.course import Course
from thalweg.run.describe import Descriptions
from thalweg.run.folder import plain, write_atomically, write_json
from thalweg.run.record import Record
from thalweg.run.run import Run
from thalweg.run.scores import baseline, scores


class _Ended(NamedTuple):
    """The weights that count, and what they reach.

    Args:
        which: `best` on the validation part, or `final` where there is none.
        weights: Parameters and model state, stacked.
        steps: Updates behind them, `lane`.
        found: Loss and metric of every lane, by part.
    """

    which: str
    weights: tuple[PyTree, PyTree]
    steps: np.ndarray
    found: dict[str, tuple[np.ndarray, np.ndarray]]


def conclude(problem: Problem, course: Course, told: Descriptions, folder: Path | None) -> Run:
    """Evaluate on every part with the weights that count, and write what is left to write."""
    final = course.weights()
    if folder is not None:
        _write_weights(folder, course, final)
    ended = _evaluated(course, final)
    params, model_state = take_lane(ended.weights, 0)
    test = _test_table(problem, course, params, model_state)
    result = _result(problem, course, told, ended, test)
    result["run"] = str(folder) if folder is not None else None
    course.log.close()
    if folder is not None:
        _write_test(folder, test)
        write_json(folder / "result.json", result)
    recipe = course.group.recipes[0]
    record = Record(
        folder,
        recipe.to_dict(),
        told.problem,
        plain(result),
        told.environment,
        **course.log.frames(),
        test=test,
    )
    return Run(problem, recipe, params, model_state, record)


def _evaluated(course: Course, final: tuple[PyTree, PyTree]) -> _Ended:
    which = which_count(course, final)
    weights = course.best.kept if which == "best" else final
    steps = course.best.step if which == "best" else course.steps
    found = {}
    for part in course.group.parts:
        found[part] = course.evaluate(part, *weights)
        course.note_evaluation(part, found[part], steps)
    return _Ended(which, weights, steps, found)


def _write_weights(folder: Path, course: Course, final: tuple[PyTree, PyTree]) -> None:
    facts = {"step": int(course.steps[0]), "weights": "final"}
    files.save(folder / "final.safetensors", take_lane(final, 0), facts)
    if course.best.kept is not None:
        facts = {"step": int(course.best.step[0]), "weights": "best"}
        files.save(folder / "best.safetensors", take_lane(course.best.kept, 0), facts)


def _write_test(folder: Path, test: pl.DataFrame) -> None:
    if len(test):
        temporary = folder / ".test.parquet.part"
        test.write_parquet(temporary)
        write_atomically(folder / "test.parquet", temporary.read_bytes())
        temporary.unlink(missing_ok=True)


def _test_table(problem: Problem, course: Course, params: PyTree, model_state: PyTree) -> pl.DataFrame:
    """Return target and prediction of every test example: class indices, or values in their own unit.

    Empty where the task has no single answer per example (language, several targets).
    """
    part = problem.data.test
    if not isinstance(part, Rows) or problem.data.task not in (CLASSIFICATION, REGRESSION):
        return pl.DataFrame()
    found = np.asarray(
        outputs_of(course.group.program, course.group.inputs, course.group.parts["test"], params, model_state)
    )
    targets = np.asarray(part.targets)
    if problem.data.task == CLASSIFICATION and targets.ndim == 1 and found.ndim == 2:
        columns = {"target": targets.astype(np.int32), "prediction": found.argmax(-1).astype(np.int32)}
        return pl.DataFrame(columns)
    if problem.data.task == REGRESSION and targets.shape[1:] == (1,) and found.shape == targets.shape:
        ready = problem.data.preparation
        scale, mean = np.ravel(ready.target_scale)[0], np.ravel(ready.target_mean)[0]
        return pl.DataFrame(
            {
                name: values[:, 0].astype(np.float64) * scale + mean
                for name, values in (("target", targets), ("prediction", found))
            }
        )
    return pl.DataFrame()


def _result(
    problem: Problem, course: Course, told: Descriptions, ended: _Ended, test: pl.DataFrame
) -> dict[str, Any]:
    step, metric = int(course.steps[0]), problem.metric
    result: dict[str, Any] = {
        "run": None,
        "data": problem.data.name,
        "task": problem.data.task,
        "model": problem.model_spec,
        "parameters": told.problem["model"]["parameters"],
        "steps": step,
        "epochs": round(course.epochs(step), 6),
        "stopped": course.stopped[0],
        "stopped_at": {"step": step, "epoch": round(course.epochs(step), 6)},
        "weights": ended.which,
    }
    for part in ("train", "validation", "test"):
        loss, value = (
            (float(values[0]) for values in ended.found[part]) if part in ended.found else (None, None)
        )
        result[f"{part}_loss"] = loss
        result[f"{part}_metric"] = None if value is None else {"name": metric.name, "value": value}
    if course.best.kept is not None:
        at = int(course.best.step[0])
        result["best"] = {
            "step": at,
            "epoch": round(course.epochs(at), 6),
            "validation_loss": float(course.best.loss[0]),
        }
    if len(test):
        result["test_metrics"] = scores(problem.data.task, test)
        result["baseline"] = baseline(problem.data, test)
    return result | _spent(course, step)


def _spent(course: Course, step: int) -> dict[str, Any]:
    watch = course.watch
    examples = course.epochs(step) * course.group.feed.count
    seconds = {name: round(getattr(watch, name), 4) for name in ("total", "compile", "train", "evaluate")}
    return {
        "seconds": seconds,
        "examples_per_second": round(examples / watch.train, 1) if watch.train else None,
    }
