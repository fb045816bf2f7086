"""The end of a run: selection of the weights, the last evaluations, the result, and a sample of text."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

from thalweg.core import keys
from thalweg.core.stop_reason import StopReason
from thalweg.core.tree import count
from thalweg.core.tree import lane as take_lane
from thalweg.engine.evaluate import Means, losses_of
from thalweg.engine.program import rebuilt
from thalweg.problem.calibration import Calibration
from thalweg.problem.data.preparation import Preparation
from thalweg.problem.data.validation_folds import MemberRows
from thalweg.problem.losses.outputs import LOGITS, as_logits
from thalweg.problem.models.adapter import PartitionedModel, apply, fixed_as_trained
from thalweg.problem.models.sampling import Sampling, sample
from thalweg.problem.players import Alternating
from thalweg.problem.problem import Problem
from thalweg.run.folder import weights as files
from thalweg.run.folder.describe import Descriptions
from thalweg.run.folder.filesystem import plain
from thalweg.run.folder.folder import RunFolder
from thalweg.run.folder.record import Record
from thalweg.run.outputs import outputs as outputs_of
from thalweg.run.run import Run
from thalweg.run.scores import baseline, for_people, prediction_of, prediction_table, scores
from thalweg.run.session.lane_states import LaneStates
from thalweg.run.session.stop_conditions import choose_lanes

BEST, FINAL = "best", "final"

SAMPLE_FILE = "sample.txt"
# Characters of running text, and lines where every line is an example: half a screen.
SAMPLE_CHARACTERS, SAMPLE_LINES = 500, 12
# A little below 1, so that rare slips do not hide what was learned; nanoGPT's sample.py has 0.8.
SAMPLE_TEMPERATURE = 0.8
# Floating-point operations that a sample may take: seconds on a CPU. Every character runs the model
# over its whole window, at about 2 operations for each parameter and token.
SAMPLE_BUDGET = 1e12
# Validation examples by which a run is calibrated, at most.
CALIBRATION_ROWS = 10_000
# A sample of fewer characters says nothing.
FEWEST_CHARACTERS = 20


class _Outcome(NamedTuple):
    """The selected weights, and their losses and metrics.

    Args:
        which: For each lane `best` on the validation split, or `final`.
        weights: Parameters and model state, stacked.
        steps: Updates behind them, `lane`.
        means: Loss and metric of every lane, by split; for the test split also the predictions.
    """

    which: list[str]
    weights: tuple[PyTree, PyTree]
    steps: np.ndarray
    means: dict[str, Means]


def finalize(
    problem: Problem, lane_states: LaneStates, descriptions: Mapping[int | None, Descriptions]
) -> list[Run]:
    """Evaluate every lane on every split with its selected weights, and write the rest of its files.

    Args:
        problem: The problem.
        lane_states: The lanes, all of them stopped.
        descriptions: What was written before the first step, by fold; by None without folds.
    """
    final, lanes = lane_states.weights(), lane_states.lanes
    _write_weights(lane_states, final)
    outcome = _evaluated(problem, lane_states, final)
    # On the host: indexing a JAX array by lane compiles a program for each shape, in every process.
    outcome = outcome._replace(weights=jax.device_get(outcome.weights))
    weights = [jax.tree.map(_copied, take_lane(outcome.weights, index)) for index in range(len(lanes))]
    return [
        _run(problem.of_fold(lane.fold), lane_states, descriptions[lane.fold], outcome, index, lane_weights)
        for index, (lane, lane_weights) in enumerate(zip(lanes, jax.device_put(weights), strict=True))
    ]


def select_weights(lane_states: LaneStates, final: tuple[PyTree, PyTree]) -> list[str]:
    """Return `best` or `final` for every lane: which of its weights are selected.

    The best of many validation losses is partly luck, all the more on a small split, while the last weights
    of a run that reached its planned end have the whole schedule behind them. So there the last ones are
    used, unless the best ones are better by more than one standard error of the paired difference over the
    validation examples; likewise where the loss or the gradient had nearly vanished. A run that stopped
    before its end has not settled: there the best ones are used, unless it reached its target.

    A metric that was asked for selects outright: of its best evaluation, the weights are used.

    On titanic (71 validation rows, 16 splits) choosing the lowest loss outright cost 1.3 points of test
    accuracy.

    Reference: Breiman, Friedman, Olshen & Stone, Classification and Regression Trees, 1984 (the rule of one
    standard error).
    """
    evaluated = lane_states.best.step >= 0
    at_rest = np.array([StopReason.facts_of(reason).at_rest for reason in lane_states.stopped])
    by_metric = lane_states.group.program.select == "metric"
    compared = evaluated & at_rest & lane_states.used & (not by_metric)
    reached = np.array([why == StopReason.TARGET for why in lane_states.stopped])
    better = evaluated & (~at_rest | by_metric) & ~reached
    if compared.any():
        group, split = lane_states.group, lane_states.group.splits["validation"]
        last, best = (
            losses_of(group.program, group.inputs, split, weights, compared)
            for weights in (final, lane_states.best.weights)
        )
        for lane in np.flatnonzero(compared):
            examples = lane_states.examples("validation", int(lane))
            better[lane] = _is_better(best[lane, :examples], last[lane, :examples])
    return [BEST if lane else FINAL for lane in better]


def _is_better(best: np.ndarray, last: np.ndarray) -> bool:
    difference = last - best
    error = difference.std(ddof=1) / np.sqrt(len(difference)) if len(difference) > 1 else 0.0
    return not np.mean(difference) <= error


def _evaluated(problem: Problem, lane_states: LaneStates, final: tuple[PyTree, PyTree]) -> _Outcome:
    which = select_weights(lane_states, final)
    if isinstance(problem.objective, Alternating):  # a sum of opposed losses ranks nothing
        which = [FINAL] * len(which)
    best = np.array([name == BEST for name in which])
    weights = final
    if best.any():
        weights = choose_lanes(best, lane_states.best.weights, final)
    steps = np.where(best, lane_states.best.step, lane_states.steps)
    means = {}
    for split in lane_states.group.splits:
        fold = lane_states.lanes[0].fold
        predict = prediction_of(problem.of_fold(fold)) if split == "test" else None
        means[split] = lane_states.evaluate(split, weights, lane_states.used, predict)
        lane_states.log_evaluation(split, means[split], steps, lane_states.used)
    return _Outcome(which, weights, steps, means)


def _write_weights(lane_states: LaneStates, final: tuple[PyTree, PyTree]) -> None:
    if all(lane.folder.folder is None for lane in lane_states.lanes):
        return
    final, best = jax.device_get((final, lane_states.best.weights))
    for index, lane in enumerate(lane_states.lanes):
        steps = {FINAL: int(lane_states.steps[index]), BEST: int(lane_states.best.step[index])}
        for name, weights in ((FINAL, final), (BEST, best)):
            if name == FINAL or steps[BEST] >= 0:
                facts = {"step": steps[name], "weights": name}
                lane.folder.write(f"{name}.safetensors", files.pack(take_lane(weights, index), facts))


def _copied(leaf: Any) -> Any:
    """Return a copy, so that a lane's weights do not keep all lanes' in memory; keys stay on the device."""
    return np.copy(leaf) if isinstance(leaf, (np.ndarray, np.generic)) else leaf


def _run(
    problem: Problem,
    lane_states: LaneStates,
    descriptions: Descriptions,
    outcome: _Outcome,
    index: int,
    weights: tuple[PyTree, PyTree],
) -> Run:
    """Return the run of one lane, with its files written."""
    lane, test = lane_states.lanes[index], prediction_table(problem, outcome.means.get("test"), index)
    folder = lane.folder.folder
    result: dict[str, Any] = {"run": None if folder is None else str(folder)}
    result |= _result(problem, lane_states, descriptions, outcome, index)
    result |= _calibrated(problem, lane.recipe.seed, weights)
    if len(test):
        result["test_metrics"] = scores(problem.data.task, test) | result.get("test_metrics", {})
        test = for_people(problem.data, test)
    if (naive := baseline(problem.data, problem.outputs)) is not None:
        result["baseline"] = naive
    result |= _seconds(lane_states, index)
    result |= _write_sample(problem, lane_states, weights, lane.folder) | descriptions.finding_summary()
    if folder is not None:
        lane_states.log.write(index, lane.folder)
        if len(test):
            content = BytesIO()
            test.write_parquet(content)
            lane.folder.write("test.parquet", content.getvalue())
        lane.folder.write_json("result.json", result)
    record = Record(
        folder,
        lane.recipe.to_dict(),
        descriptions.problem,
        plain(result),
        descriptions.environment,
        **lane_states.log.frames(index),
        test=test,
        finding=descriptions.finding or {},
    )
    return Run(problem, lane.recipe, *weights, record)


def _calibrated(problem: Problem, seed: int, weights: tuple[PyTree, PyTree]) -> dict[str, Any]:
    """Return the calibration of an ensemble by its out-of-fold predictions; nothing for other models.

    A pass over the validation split beside the evaluations costs a program more: much of the time of a small
    run, and of a sweep's end.
    """
    split = problem.data.validation
    if not isinstance(split, MemberRows) or problem.objective is not None or split.known_targets is None:
        return {}
    rows = split.fewer(CALIBRATION_ROWS)
    inputs, _ = rows.batch(jnp.arange(rows.count()))
    module = PartitionedModel(*weights, fixed_as_trained(problem.model, seed))
    outputs = outputs_of(module, jax.device_get(problem.data.preparation.scale(inputs)))
    found = Calibration.fit(outputs, np.asarray(rows.known_targets), problem.outputs)
    return {} if found is None else {"calibration": found.to_dict()}


def _result(
    problem: Problem, lane_states: LaneStates, descriptions: Descriptions, outcome: _Outcome, index: int
) -> dict[str, Any]:
    step, metric = int(lane_states.steps[index]), problem.metric
    result: dict[str, Any] = {
        "data": problem.data.name,
        "task": problem.data.task,
        "model": problem.model_name,
        "parameters": descriptions.problem["model"]["parameters"],
        "steps": step,
        "epochs": round(lane_states.epochs(step), 6),
        "stopped": lane_states.stopped[index],
        "stopped_at": {"step": step, "epoch": round(lane_states.epochs(step), 6)},
        "weights": outcome.which[index],
    }
    if (fold := lane_states.lanes[index].fold) is not None:
        result["fold"] = fold
    for split in ("train", "validation", "test"):
        means = outcome.means.get(split)
        result[f"{split}_loss"] = None if means is None else float(means.loss[index])
        result[f"{split}_metric"] = (
            None if means is None else {"name": metric.name, "value": float(means.metric[index])}
        )
        if means is not None and means.figures:
            kind = "metrics" if problem.objective is None else "figures"
            figures = {name: float(values[index]) for name, values in means.figures.items()}
            result[f"{split}_{kind}"] = figures
    best_step = int(lane_states.best.step[index])
    if best_step >= 0:
        result["best"] = {
            "step": best_step,
            "epoch": round(lane_states.epochs(best_step), 6),
            "validation_loss": float(lane_states.best.loss[index]),
        }
        if problem.select == "metric" and problem.metric.name != "loss":
            sign = -1.0 if metric.higher_is_better else 1.0
            result["best"]["validation_metric"] = sign * float(lane_states.best.score[index])
    return result


def _seconds(lane_states: LaneStates, index: int) -> dict[str, Any]:
    """Return a lane's share of the seconds that its shard took: of training, by its updates."""
    lanes, steps = int(lane_states.used.sum()), lane_states.steps[lane_states.used]
    timings = lane_states.timings
    train = timings.train * (steps[index] / max(steps.sum(), 1))
    seconds = {"train": train, "compile": timings.compile / lanes, "evaluate": timings.evaluate / lanes}
    total = timings.total if lanes == 1 else sum(seconds.values())
    examples = lane_states.epochs(int(steps[index])) * lane_states.group.feed.count
    return {
        "seconds": {name: round(value, 4) for name, value in ({"total": total} | seconds).items()},
        "examples_per_second": round(examples / train, 1) if train else None,
    }


def _write_sample(
    problem: Problem, lane_states: LaneStates, weights: tuple[PyTree, PyTree], folder: RunFolder
) -> dict[str, str]:
    """Write a sample of a single run's character model; the many lanes of a sweep write none."""
    recipes = lane_states.group.recipes
    if len(recipes) != 1:
        return {}
    built = rebuilt(lane_states.group.program, lane_states.group.inputs, *weights)
    text = sample_text(problem.data.preparation, built, recipes[0].seed, problem.outputs)
    if text is None:
        return {}
    folder.write(SAMPLE_FILE, text.encode())
    return {"sample": text}


class _Reader(eqx.Module):
    """A trained model as a function from one sequence of tokens to logits."""

    built: PartitionedModel
    meaning: str = eqx.field(static=True)

    def __call__(self, x: Int[Array, " time"]) -> Float[Array, "time vocabulary"]:
        return as_logits(apply(self.built, x[None], key=None, training=False)[0][0], self.meaning)


def sample_text(
    preparation: Preparation, built: PartitionedModel, seed: int, meaning: str = LOGITS
) -> str | None:
    """Return text that a trained character model writes: a pure function of the weights and the seed.

    Running text starts at a line break (or at the first character of the vocabulary, where there is no line
    break); of data in lines, a few whole lines are sampled.

    Args:
        preparation: The data's; it holds the vocabulary.
        built: The trained model, without a lane axis.
        seed: The run's seed.
        meaning: What the model's outputs mean (`Problem.outputs`).

    Returns:
        The text; None if the data are not text, or the model is so large that sampling would take more
        than `SAMPLE_BUDGET`.
    """
    columns: Any = preparation.columns
    if not columns.writes_text:
        return None
    affordable = int(SAMPLE_BUDGET / (2 * count(built.params) * columns.length))
    length = min(SAMPLE_CHARACTERS, affordable)
    if length < FEWEST_CHARACTERS:
        return None
    reader, key = _Reader(built, meaning), keys.purpose_key(keys.lane_key(seed), keys.SAMPLE)
    if columns.boundary is None:
        start = jnp.asarray([max(columns.characters.find("\n"), 0)])
        settings = Sampling(length, columns.length, SAMPLE_TEMPERATURE)
        return columns.text(np.asarray(sample(reader, start, settings, key=key)))
    start = jnp.asarray([columns.boundary])
    settings = Sampling(columns.length, columns.length, SAMPLE_TEMPERATURE)
    lines = max(1, min(SAMPLE_LINES, affordable // columns.length))
    tokens = [np.asarray(sample(reader, start, settings, key=own)) for own in jax.random.split(key, lines)]
    return "".join(columns.text.text(line).split("\n")[0] + "\n" for line in tokens)
