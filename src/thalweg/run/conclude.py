"""The end of a run: the last evaluations, the weights, the result, and bringing the folder to rest."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from thalweg.engine import group
from thalweg.engine.evaluate import outputs_of
from thalweg.problem.data.data import CLASSIFICATION, REGRESSION
from thalweg.problem.data.part import Part
from thalweg.problem.problem import Problem
from thalweg.recipe.recipe import Recipe
from thalweg.run import weights as files
from thalweg.run.course import Course
from thalweg.run.describe import Descriptions
from thalweg.run.folder import plain, write_atomically, write_json
from thalweg.run.record import Record
from thalweg.run.run import Run
from thalweg.run.scores import baseline, scores


def conclude(
    problem: Problem, recipe: Recipe, course: Course, told: Descriptions, folder: Path | None
) -> Run:
    """Evaluate on every part with the weights that count, and write what is left to write.

    The weights that count are the best ones on the validation part, or the last ones where there is none.
    """
    which = "best" if course.best.kept is not None else "final"
    params, model_state = course.weights(which)
    if folder is not None:
        _write_weights(folder, course)
    stacked = course.best.kept if which == "best" else _final(course)
    found = {part: course.evaluate(part, *stacked) for part in course.group.parts}
    test = _test_table(problem, course, params, model_state)
    result = _result(problem, course, told, which, found, test)
    result["run"] = str(folder) if folder is not None else None
    course.log.close()
    if folder is not None:
        if len(test):
            test.write_parquet(folder / ".test.part")
            write_atomically(folder / "test.parquet", (folder / ".test.part").read_bytes())
            (folder / ".test.part").unlink()
        write_json(folder / "result.json", result)
    record = Record(folder, recipe.to_dict(), told.problem, plain(result), told.environment,
                    **course.log.frames(), test=test)  # fmt: skip
    course.progress.finish(record.result)
    return Run(problem, recipe, params, model_state, record)


def _final(course: Course) -> Any:
    return group.weights(course.group, course.states), course.states.model_state


def _write_weights(folder: Path, course: Course) -> None:
    facts = {"step": course.step, "weights": "final"}
    files.save(folder / "final.safetensors", *course.weights("final"), facts)
    if course.best.kept is not None:
        facts = {"step": course.best.step, "weights": "best"}
        files.save(folder / "best.safetensors", *course.weights("best"), facts)


def _test_table(problem: Problem, course: Course, params: Any, model_state: Any) -> pl.DataFrame:
    """Return target and prediction of every test example: class indices, or values in their own unit."""
    part = course.group.parts.get("test")
    if part is None or problem.data.task not in (CLASSIFICATION, REGRESSION):
        return pl.DataFrame()
    outputs = np.asarray(outputs_of(course.group.program, course.group.inputs, part, params, model_state))
    targets = np.asarray(_targets(part))
    if problem.data.task == CLASSIFICATION:
        if targets.ndim != 1 or outputs.ndim != 2:
            return pl.DataFrame()
        return pl.DataFrame(
            {"target": targets.astype(np.int32), "prediction": outputs.argmax(-1).astype(np.int32)}
        )
    ready = problem.data.preparation
    if targets.ndim != 2 or targets.shape[1] != 1 or outputs.shape != targets.shape:
        return pl.DataFrame()
    unscaled = [
        (a * np.asarray(ready.target_scale) + np.asarray(ready.target_mean))[:, 0] for a in (targets, outputs)
    ]
    return pl.DataFrame(
        {"target": unscaled[0].astype(np.float64), "prediction": unscaled[1].astype(np.float64)}
    )


def _targets(part: Part) -> Any:
    return part.batch(np.arange(part.count()))[1]


def _result(
    problem: Problem, course: Course, told: Descriptions, which: str, found: dict[str, tuple[float, float]],
    test: pl.DataFrame,
) -> dict[str, Any]:  # fmt: skip
    watch, metric = course.watch, problem.metric
    examples = min(
        course.step * course.group.program.batch_size, int(course.epoch * problem.data.train.count()) or 0
    )
    result: dict[str, Any] = {
        "run": None, "data": problem.data.name, "task": problem.data.task, "model": problem.model_spec,
        "parameters": told.problem["model"]["parameters"], "steps": course.step, "epochs": round(course.epoch, 6),
        "stopped": course.stopped, "stopped_at": {"step": course.step, "epoch": round(course.epoch, 6)},
        "weights": which,
    }  # fmt: skip
    for part in ("train", "validation", "test"):
        loss, value = found.get(part, (None, None))
        result[f"{part}_loss"] = loss
        result[f"{part}_metric"] = None if value is None else {"name": metric.name, "value": value}
    if course.best.kept is not None:
        at = course.best.step
        result["best"] = {"step": at, "epoch": round(at / course.group.feed.epoch_steps, 6),
                          "validation_loss": course.best.loss}  # fmt: skip
    if len(test):
        result["test_metrics"] = scores(problem.data.task, test)
        result["baseline"] = baseline(problem.data, test)
    result["seconds"] = {
        name: round(getattr(watch, name), 4) for name in ("total", "compile", "train", "evaluate")
    }
    result["examples_per_second"] = round(examples / watch.train, 1) if watch.train else None
    return result
