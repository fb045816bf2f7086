"""The end of a run: the last evaluations, the weights, the result, and bringing the folder to rest."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from thalweg.core.lazy import pl
from thalweg.core.tree import lane as take_lane
from thalweg.engine.evaluate import Means, Predict
from thalweg.engine.program import rebuilt
from thalweg.problem.data.data import CLASSIFICATION, REGRESSION
from thalweg.problem.data.preparation import class_logits
from thalweg.problem.problem import Problem
from thalweg.run.folder import weights as files
from thalweg.run.folder.describe import Descriptions
from thalweg.run.folder.folder import RunFolder, plain
from thalweg.run.folder.record import Record
from thalweg.run.run import Run
from thalweg.run.sample import FILE as SAMPLE_FILE
from thalweg.run.sample import sampled
from thalweg.run.scores import baseline, scores
from thalweg.run.session.best import chosen
from thalweg.run.session.lane_states import LaneStates
from thalweg.run.session.select_weights import BEST, FINAL, select_weights


class _Ended(NamedTuple):
    """The weights that count, and what they reach.

    Args:
        which: For each lane `best` on the validation part, or `final` where there is none.
        weights: Parameters and model state, stacked.
        steps: Updates behind them, `lane`.
        found: Loss and metric of every lane, by part; for the test part also the answers.
    """

    which: list[str]
    weights: tuple[PyTree, PyTree]
    steps: np.ndarray
    found: dict[str, Means]


def finalize(
    problem: Problem, course: LaneStates, told: Descriptions, homes: Sequence[RunFolder]
) -> list[Run]:
    """Evaluate every lane on every part with the weights that count, and write what is left to write.

    Args:
        problem: What was learned.
        course: The lanes, all of them stopped.
        told: What was written before the first step.
        homes: Where each lane's run lies.
    """
    final = course.weights()
    _write_weights(homes, course, final)
    ended = _evaluated(problem, course, final)
    # On the host: to take a lane out of a JAX array is a program for each shape, compiled in every process.
    ended = ended._replace(weights=jax.device_get(ended.weights))
    tests = _test_tables(problem, ended.found.get("test"), len(homes))
    own = [jax.tree.map(_own, take_lane(ended.weights, lane)) for lane in range(len(homes))]
    return [
        _concluded(problem, course, told, ended, tests[lane], weights, lane, homes[lane])
        for lane, weights in enumerate(jax.device_put(own))
    ]


def _concluded(
    problem: Problem,
    course: LaneStates,
    told: Descriptions,
    ended: _Ended,
    test: pl.DataFrame,
    weights: tuple[PyTree, PyTree],
    lane: int,
    home: RunFolder,
) -> Run:
    params, model_state = weights
    result = _result(problem, course, told, ended, test, lane)
    result["run"] = None if home.folder is None else str(home.folder)
    result |= _sample(problem, course, (params, model_state), home) | told.found()
    if home.folder is not None:
        course.log.write(lane, home)
        _write_test(home, test)
        home.write_json("result.json", result)
    recipe = course.group.recipes[lane]
    record = Record(
        home.folder,
        recipe.to_dict(),
        told.problem,
        plain(result),
        told.environment,
        **course.log.frames(lane),
        test=test,
        finding=told.finding or {},
    )
    return Run(problem, recipe, params, model_state, record)


def _own(leaf: Any) -> Any:
    """Return a copy, so that a lane's weights do not keep all lanes' in memory; keys stay on the device."""
    return np.copy(leaf) if isinstance(leaf, (np.ndarray, np.generic)) else leaf


def _sample(
    problem: Problem, course: LaneStates, weights: tuple[PyTree, PyTree], home: RunFolder
) -> dict[str, str]:
    """Write what a lone run's character model has to say; lanes of a sweep are many, and stay silent."""
    recipes = course.group.recipes
    if len(recipes) != 1:
        return {}
    params, model_state = weights
    built = rebuilt(course.group.program, course.group.inputs, params, model_state)
    text = sampled(problem.data.preparation, built, recipes[0].seed)
    if text is None:
        return {}
    home.write(SAMPLE_FILE, text.encode())
    return {"sample": text}


def _evaluated(problem: Problem, course: LaneStates, final: tuple[PyTree, PyTree]) -> _Ended:
    which = select_weights(course, final)
    best = np.array([name == BEST for name in which])
    weights = final if not best.any() else chosen(jnp.asarray(best), course.best.kept, final)
    steps = np.where(best, course.best.step, course.steps)
    found = {}
    for part in course.group.splits:
        answer = _answer(problem) if part == "test" else None
        found[part] = course.evaluate(part, weights[0], weights[1], course.used, answer)
        course.note_evaluation(part, found[part], steps, course.used)
    return _Ended(which, weights, steps, found)


def _write_weights(homes: Sequence[RunFolder], course: LaneStates, final: tuple[PyTree, PyTree]) -> None:
    if all(home.folder is None for home in homes):
        return
    final, best = jax.device_get((final, course.best.kept))
    for lane, home in enumerate(homes):
        facts = {"step": int(course.steps[lane]), "weights": FINAL}
        home.write(f"{FINAL}.safetensors", files.packed(take_lane(final, lane), facts))
        if course.best.step[lane] >= 0:
            facts = {"step": int(course.best.step[lane]), "weights": BEST}
            home.write(f"{BEST}.safetensors", files.packed(take_lane(best, lane), facts))


def _write_test(home: RunFolder, test: pl.DataFrame) -> None:
    if len(test):
        content = BytesIO()
        test.write_parquet(content)
        home.write("test.parquet", content.getvalue())


def _answer(problem: Problem) -> Predict | None:
    """Return what to keep of outputs on the test part; None where the task has no single answer per example
    (language, several targets).
    """
    part = problem.data.test
    targets = None if part is None else part.known_targets
    if targets is None:
        return None
    if problem.data.task == CLASSIFICATION and targets.ndim == 1:
        return _classes
    return _values if problem.data.task == REGRESSION and targets.shape[1:] == (1,) else None


def _classes(outputs: PyTree) -> Array | None:
    if outputs.ndim > 2:
        return None
    return class_logits(outputs).argmax(-1).astype(jnp.int32)


def _values(outputs: PyTree) -> Array | None:
    return outputs[:, 0] if outputs.shape[1:] == (1,) else None


def _test_tables(problem: Problem, found: Means | None, lanes: int) -> list[pl.DataFrame]:
    """Return target and prediction of every test example, for each lane: class indices, or values in their
    own unit.

    Empty where nothing was kept.
    """
    part = problem.data.test
    if found is None or found.predictions is None or part is None or part.known_targets is None:
        return [pl.DataFrame()] * lanes
    classes = problem.data.task == CLASSIFICATION
    ready = problem.data.preparation

    def column(name: str, values: np.ndarray) -> pl.Series:
        if classes:
            return pl.Series(name, values.astype(np.int32))
        scale, mean = np.ravel(ready.target_scale)[0], np.ravel(ready.target_mean)[0]
        return pl.Series(name, values.ravel().astype(np.float64) * scale + mean)

    targets = column("target", np.asarray(part.known_targets))
    return [pl.DataFrame([targets, column("prediction", found.predictions[lane])]) for lane in range(lanes)]


def _result(
    problem: Problem, course: LaneStates, told: Descriptions, ended: _Ended, test: pl.DataFrame, lane: int
) -> dict[str, Any]:
    step, metric = int(course.steps[lane]), problem.metric
    result: dict[str, Any] = {
        "run": None,
        "data": problem.data.name,
        "task": problem.data.task,
        "model": problem.model_spec,
        "parameters": told.problem["model"]["parameters"],
        "steps": step,
        "epochs": round(course.epochs(step), 6),
        "stopped": course.stopped[lane],
        "stopped_at": {"step": step, "epoch": round(course.epochs(step), 6)},
        "weights": ended.which[lane],
    }
    for part in ("train", "validation", "test"):
        means = ended.found.get(part)
        loss, value = (None, None) if means is None else (float(means.loss[lane]), float(means.metric[lane]))
        result[f"{part}_loss"] = loss
        result[f"{part}_metric"] = None if value is None else {"name": metric.name, "value": value}
    if course.best.step[lane] >= 0:
        at = int(course.best.step[lane])
        result["best"] = {
            "step": at,
            "epoch": round(course.epochs(at), 6),
            "validation_loss": float(course.best.loss[lane]),
        }
    if len(test):
        result["test_metrics"] = scores(problem.data.task, test)
        result["baseline"] = baseline(problem.data, test)
    return result | _spent(course, lane)


def _spent(course: LaneStates, lane: int) -> dict[str, Any]:
    """Return a lane's share of the seconds that its shard was worked on: of training, by its updates."""
    lanes, steps = int(course.used.sum()), course.steps[course.used]
    share = steps[lane] / max(steps.sum(), 1)
    watch = course.watch
    examples = course.epochs(int(steps[lane])) * course.group.feed.count
    train = watch.train * share
    seconds = {"train": train, "compile": watch.compile / lanes, "evaluate": watch.evaluate / lanes}
    total = watch.total if lanes == 1 else sum(seconds.values())
    return {
        "seconds": {name: round(value, 4) for name, value in ({"total": total} | seconds).items()},
        "examples_per_second": round(examples / train, 1) if train else None,
    }
