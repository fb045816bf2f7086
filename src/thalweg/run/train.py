"""`train`: a problem and a recipe in, a run out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import PyTree

from thalweg.core.errors import RecipeError
from thalweg.core.tree import paths
from thalweg.engine import cache, drive
from thalweg.engine.group import prepare
from thalweg.problem.problem import Problem
from thalweg.recipe.book import default_recipe
from thalweg.recipe.recipe import Recipe
from thalweg.run import folder as folders
from thalweg.run.conclude import conclude
from thalweg.run.course import Course, Watch
from thalweg.run.describe import describe, write_descriptions
from thalweg.run.interrupt import Interrupt
from thalweg.run.log import Log
from thalweg.run.progress import Plan, Progress, Silent
from thalweg.run.run import Run
from thalweg.run.stopping import Best
from thalweg.run.weights import load as load_weights
from thalweg.run.weights import transferred


@dataclass(frozen=True)
class Keeping:
    """Where a run is kept.

    Args:
        out: The folder; None for `runs/<data>-<n>` with the next free n.
        force: Whether a run that lies there may be overwritten.
    """

    out: Path | str | None = None
    force: bool = False


def train(
    problem: Problem,
    recipe: Recipe | None = None,
    *,
    keep: Keeping | Path | str | None = None,
    init: Path | str | None = None,
    progress: Progress | None = None,
) -> Run:
    """Train a model by gradient descent.

    Divergence and interruption are no errors: the run says so in `result["stopped"]`, and keeps its best
    weights.

    Args:
        problem: What is learned.
        recipe: How; None for the default of the data (`recipe.book`).
        keep: Where to write the run: a folder, a `Keeping`, or None for memory only.
        init: A run folder (or a safetensors file) whose weights to start from; arrays whose path and shape
            agree are taken over, the others (a head for other classes) start fresh.
        progress: Who is told how it goes.

    Returns:
        The run: model, history, why it stopped, its folder.

    Raises:
        BadInput: Problem, recipe or folder cannot be used. Nothing has been trained or written then.

    Example:
        >>> import thalweg as tw
        >>> run = tw.train(tw.Problem(tw.MLP([64, 32, 10]), tw.load("digits")), tw.Recipe(epochs=5))
        >>> run.result["stopped"]
        'epochs'
    """
    watch, progress = Watch(), progress or Silent()
    recipe = recipe or default_recipe(problem.data.task, problem.data.train.count())
    _check(problem, recipe)
    start = None if init is None else _Start(_weights_file(Path(init)))
    cache.enable()
    group, states = prepare(problem, [recipe], start)
    folder = _folder(problem, keep)
    told = describe(problem, recipe, states.params, group)
    if folder is not None:
        write_descriptions(folder, told)
    log = Log(folder, paths(states.params))
    course = Course(group, states, log, progress, Best([recipe.patience]), watch)
    name = folder.name if folder is not None else problem.data.name
    progress.start(Plan(name, group.total, group.feed.epoch_steps, group.program.batch_size))
    if start is not None and start.fresh:
        progress.note("starting fresh (not in the run this one starts from): " + ", ".join(start.fresh))
    result: dict[str, Any] = {}
    try:
        with Interrupt() as interrupt:
            _descend(course, interrupt)
            run = conclude(problem, course, told, folder)
        result = run.result
        return run
    finally:
        progress.finish(result)  # also when training breaks, so that the terminal is given back


def _descend(course: Course, interrupt: Interrupt) -> None:
    """Train until every lane has stopped: chunks up to the next evaluation, evaluate, decide, go on."""
    pace = drive.Pace(course.group.program.capacity)
    while not course.over:
        for moved in drive.chunks(course.group, course.states, course.step, course.next_stop, pace):
            course.take(moved)
            running = np.array([reason is None for reason in course.stopped])
            if interrupt.asked:
                course.stop(running, "interrupted")
            if course.over:
                return
        course.validate()
        if course.step >= course.group.total:
            reason = "steps" if course.group.recipes[0].steps is not None else "epochs"
            course.stop(np.array([why is None for why in course.stopped]), reason)


class _Start:
    """Takes weights over from another run, and remembers which parameters it could not."""

    def __init__(self, file: Path):
        self._arrays, self.fresh = load_weights(file), []

    def __call__(self, params: PyTree) -> PyTree:
        params, self.fresh = transferred(params, self._arrays)
        return params


def _weights_file(given: Path) -> Path:
    if given.is_dir():
        best = given / "best.safetensors"
        return best if best.exists() else given / "final.safetensors"
    return given


def _folder(problem: Problem, keep: Keeping | Path | str | None) -> Path | None:
    if keep is None:
        return None
    wanted = keep if isinstance(keep, Keeping) else Keeping(keep)
    return folders.make(wanted.out, problem.data.name, wanted.force)


def _check(problem: Problem, recipe: Recipe) -> None:
    """Refuse what of a recipe does not fit the data."""
    count = problem.data.train.count()
    if recipe.batch(count) > count:
        raise RecipeError(
            "recipe",
            f"batch_size must be at most the training part's {count} examples",
            got=recipe.batch_size,
            hint=f"try {max(1, count // 10)}, or more data",
        )
