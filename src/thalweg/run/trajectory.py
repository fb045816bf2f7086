"""`trajectories`: train as `train` does, and keep the weights along the way; or read them from checkpoints.

A run folder holds the weights of its end and a few checkpoints. Training is deterministic, so the way to
them is found by training again from the same seed: it costs as long as the run did and no byte of disk, and
whether it arrived at the same weights can be checked.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Int, PyTree

from thalweg.core.errors import BadInput
from thalweg.core.tree import lane as take_lane
from thalweg.engine.group import length
from thalweg.problem.problem import Problem
from thalweg.recipe.recipe import Recipe
from thalweg.run.checkpoint.store import Checkpoint, Store
from thalweg.run.folder.weights import load_into
from thalweg.run.progress import Progress, Silent
from thalweg.run.run import Run
from thalweg.run.session.lane_states import LaneStates
from thalweg.run.session.session import Session
from thalweg.run.session.stream import Stream
from thalweg.run.spec import RunSpec
from thalweg.run.train import plan

# Weights that are kept of one lane, unless told otherwise: as many as a figure can show as separate steps.
POINTS = 60
# The most memory that all kept weights may take, in bytes; with larger models fewer are kept.
MOST_BYTES = 2**30


@dataclass(frozen=True)
class Trajectory:
    """The parameters of one lane while it trained.

    Args:
        step: Updates made, ascending; the first is 0.
        weights: The parameters after so many updates, as NumPy arrays; averages are not applied.
        run: The result of training; None where the weights were read from checkpoints.
    """

    step: Int[np.ndarray, " time"]
    weights: tuple[PyTree, ...]
    run: Run | None = None

    def __len__(self) -> int:
        return len(self.step)


def trajectories(
    problem: Problem,
    recipes: Sequence[Recipe],
    *,
    points: int = POINTS,
    like: RunSpec | None = None,
    progress: Progress | None = None,
) -> list[Trajectory]:
    """Train every recipe, and return the weights along the way.

    Args:
        problem: What is learned.
        recipes: One for each lane.
        points: About how many weights to keep of each lane, at equal distances in updates.
        like: A run to repeat: its initial weights and the plan of its schedule; None for a new one.
        progress: Receives the progress of training.

    Raises:
        BadInput: The run to repeat started from the checkpoint of another.
    """
    if like is not None and like.forked is not None:
        rule = "a run that was forked from the checkpoint of another cannot be repeated"
        raise BadInput("path", rule, got=like.forked.get("run"), hint="draw the run that it was forked from")
    lanes = plan(problem, recipes, strict=True)
    spec = RunSpec.of(problem, recipes, True, lanes, strict=True)
    if like is not None:
        spec = replace(spec, init=like.init, schedule_total=like.schedule_total)
    kept = _Kept(problem, recipes, points)
    listener = Silent() if progress is None else progress
    session = Session(problem, spec, listener, every=kept.every, observe=kept)
    runs: Any = Stream(session, None, listener).result()
    return [kept.trajectory(number, run) for number, run in enumerate(runs)]


def saved_trajectory(folder: Path, identity: str, params: PyTree) -> Trajectory | None:
    """Return the weights that the sound checkpoints of a single run hold; None with fewer than three.

    Args:
        folder: The run folder.
        identity: `run` of run.json.
        params: The parameters of the run's model, of which only paths and shapes matter.
    """
    found = {}
    for checkpoint in Store(folder, identity).sound():
        if isinstance(checkpoint, Checkpoint):
            prefix = "state.params."
            arrays = {
                name.removeprefix(prefix): np.asarray(array)[0]
                for name, array in checkpoint.arrays.items()
                if name.startswith(prefix)
            }
            found[checkpoint.manifest.step] = load_into(params, arrays)
    if len(found) < 3:
        return None
    steps = sorted(found)
    return Trajectory(np.array(steps), tuple(found[step] for step in steps))


class _Kept:
    """Observes shards of lanes, and keeps weights. Shards may train in several threads, each lane in one."""

    def __init__(self, problem: Problem, recipes: Sequence[Recipe], points: int):
        total = max(length(problem, recipe) for recipe in recipes)
        size = sum(int(np.prod(leaf.shape)) * 4 for leaf in jax.tree.leaves(problem.shapes.params))
        affordable = max(3, MOST_BYTES // (size * len(recipes)))
        self.every = max(1, -(-total // max(1, min(points, affordable))))
        self._lanes: list[dict[int, PyTree]] = [{} for _ in recipes]

    def __call__(self, lanes: LaneStates) -> None:
        for index, lane in enumerate(lanes.lanes):
            step, kept = int(lanes.steps[index]), self._lanes[lane.number]
            ended = lanes.stopped[index] is not None or step >= lanes.group.total
            if (step % self.every == 0 or ended) and step not in kept:
                params = take_lane(lanes.states.params, index)
                kept[step] = jax.tree.map(lambda leaf: np.array(leaf), params)

    def trajectory(self, number: int, run: Run) -> Trajectory:
        steps = sorted(self._lanes[number])
        return Trajectory(np.array(steps), tuple(self._lanes[number][step] for step in steps), run)
