"""`Subject`: a trained network with all that its loss is computed from, from a run in memory or a folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

from thalweg.core.caller import either
from thalweg.core.errors import BadInput, DataError, ModelError
from thalweg.problem.problem import Problem
from thalweg.recipe.recipe import Recipe
from thalweg.run.folder.record import Record, read
from thalweg.run.origin import origin_of
from thalweg.run.restore import restore
from thalweg.run.run import Run
from thalweg.run.spec import RunSpec
from thalweg.run.trajectory import POINTS, Trajectory, saved_trajectory, trajectories


@dataclass(frozen=True)
class Subject:
    """A point in the space of weights, and the loss around it.

    Args:
        name: For people: the name of the run folder, or of the model.
        problem, recipe: What was trained, and how.
        params, model_state: The weights, and running statistics.
        record: The run as plain data.
        spec: What the run was started with, as its folder says; None for a run in memory.
        identity: `run` of run.json; None without one.
    """

    name: str
    problem: Problem
    recipe: Recipe
    params: PyTree
    model_state: Any
    record: Record
    spec: RunSpec | None = None
    identity: str | None = None

    def trajectory(self, points: int = POINTS, saved: bool = True) -> Trajectory:
        """Return the weights along the run, from its checkpoints if there are at least three.

        Otherwise the run is trained again, from the same seed.

        Args:
            points: How many weights to keep, about.
            saved: Whether to use checkpoints.
        """
        folder = self.record.folder
        if saved and folder is not None and self.identity is not None:
            found = saved_trajectory(folder, self.identity, self.params)
            if found is not None:
                return found
        return trajectories(self.problem, [self.recipe], points=points, like=self.spec)[0]

    def end_error(self, trajectory: Trajectory) -> float:
        """Return how far a run that was trained again ended from these weights, relative to their norm.

        It is 0 on the same machine and versions; in another layout of lanes it is rounding.
        """
        if trajectory.run is None:
            return 0.0
        ends = [
            (np.asarray(one, np.float64), np.asarray(other, np.float64))
            for one, other in zip(
                jax.tree.leaves(trajectory.run.params), jax.tree.leaves(self.params), strict=True
            )
        ]
        apart = sum(float(np.square(one - other).sum()) for one, other in ends)
        norm = sum(float(np.square(other).sum()) for _, other in ends)
        return float(np.sqrt(apart / norm)) if norm else float(apart > 0)


def subject_of(
    source: Any,
    *,
    data: Any = None,
    problem: Problem | None = None,
    weights: str | None = None,
    unverified: bool = False,
    who: str = "landscape",
) -> Subject:
    """Return the subject of a run.

    Args:
        source: A `Run`, or the folder of a run or of a lane.
        data: Where the data are now, as `load` takes it, if they moved.
        problem: Data and model of a folder that do not say where they came from.
        weights: `best` or `final`; None for those that the run selected. Only for a folder.
        unverified: Whether to use a folder without checksums.
        who: What asks, for messages.

    Raises:
        BadInput: It is no run.
        RunFolderError: The folder holds no run.
        DataError: The data are not there any more, or have changed.
        ModelError: The model is a class of the user that was not passed.
    """
    if isinstance(source, Run):
        name = source.folder.name if source.folder is not None else source.problem.model_name
        if weights is not None:
            rule, hint = "weights are chosen for a run folder", "give run.folder, or leave weights out"
            raise BadInput(who, rule, got=weights, hint=hint)
        return Subject(name, source.problem, source.recipe, source.params, source.model_state, source.record)
    if not isinstance(source, (str, Path)):
        hint = "for example tw.fit(...), or 'runs/digits-1'"
        raise BadInput(who, "takes a run or its folder", got=type(source).__name__, hint=hint)
    folder = Path(source)
    origin = origin_of(folder, who)
    record, spec = read(folder, unverified=unverified), origin.spec
    whole = origin.own(_rebuilt(spec, problem, data, who))
    trained = restore(folder, weights=weights, model=whole.model, unverified=unverified)
    return Subject(
        record.name,
        whole,
        origin.recipe,
        trained.built.params,
        trained.built.model_state,
        record,
        spec,
        None if spec.many else origin.run,
    )


def _rebuilt(spec: RunSpec, problem: Problem | None, data: Any, who: str) -> Problem:
    """Rebuild the problem; where that takes Python, say how."""
    try:
        return spec.rebuild_problem(problem, data=data)
    except (DataError, ModelError) as error:
        if "resume(" not in error.hint:
            raise
        hint = either(
            "draw it from Python: tw.landscape(folder, problem=problem)",
            "pass the problem: problem=tw.Problem(model, data)",
        )
        raise type(error)(who, error.rule, got=error.got, where=error.where, hint=hint) from error
