"""`train` trains a problem with one or many recipes.

`stream_train` is `train` as a loop of the caller's own: it yields the status after each chunk of updates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, overload

import optax

from thalweg.core.arguments import checked
from thalweg.core.caller import argument
from thalweg.core.errors import BadInput
from thalweg.engine.mesh import Devices
from thalweg.engine.plan import LanePlan, check_count, plan_units
from thalweg.engine.plan import plan as plan_lanes
from thalweg.problem.data.folds import FoldedData
from thalweg.problem.problem import Problem
from thalweg.recipe.book import default_recipe
from thalweg.recipe.optimizers import Optimizer, is_rule
from thalweg.recipe.recipe import Recipe
from thalweg.run.cluster.spread import Workers, check_executor, check_sendable, reject_both
from thalweg.run.folder.claim import claim
from thalweg.run.folder.pretrained import Pretrained
from thalweg.run.progress import Progress, Status, listener
from thalweg.run.run import Run, Runs
from thalweg.run.session.lane_states import Timings
from thalweg.run.session.session import Judge, Session
from thalweg.run.session.stream import Stream
from thalweg.run.spec import Halving, RunSpec, SaveOptions
from thalweg.run.tracking import Tracker, tracked
from thalweg.run.validate import check_functions, check_loss, check_recipe, data_place, notes_on

# The batch size of an update rule alone: that of `Recipe`.
BATCH = 128
# What may stand for a recipe with it.
Rule = Optimizer | optax.GradientTransformation | Callable[..., optax.GradientTransformation]


@overload
def train(
    problem: Problem,
    recipe: Recipe | Rule | None = None,
    *,
    keep: SaveOptions | Path | str | None = None,
    init: Path | str | Pretrained | None = None,
    progress: Progress | Callable[[Status], Any] | bool | None = None,
    trackers: Sequence[Tracker] = (),
    devices: Devices | int | str | None = None,
    data_on: str | None = None,
) -> Run: ...
@overload
def train(
    problem: Problem,
    recipe: Sequence[Recipe],
    *,
    keep: SaveOptions | Path | str | None = None,
    init: Path | str | Pretrained | None = None,
    progress: Progress | Callable[[Status], Any] | bool | None = None,
    trackers: Sequence[Tracker] = (),
    strict: bool = False,
    halving: Halving | None = None,
    executor: Any = None,
    devices: Devices | int | str | None = None,
    data_on: str | None = None,
) -> Runs: ...
@checked(BadInput)
def train(
    problem: Problem,
    recipe: Recipe | Sequence[Recipe] | Rule | None = None,
    *,
    keep: SaveOptions | Path | str | None = None,
    init: Path | str | Pretrained | None = None,
    progress: Progress | Callable[[Status], Any] | bool | None = None,
    trackers: Sequence[Tracker] = (),
    strict: bool = False,
    halving: Halving | None = None,
    executor: Any = None,
    devices: Devices | int | str | None = None,
    data_on: str | None = None,
) -> Run | Runs:
    """Train a model by gradient descent: once, or with many recipes together.

    Divergence and interruption are not errors: `result["stopped"]` names them, and the run keeps its best
    weights.

    Args:
        problem: What is learned.
        recipe: How; None for the default of the data (`recipe.book`). An update rule alone, such as
            `tw.AdamW()` or `optax.adam(1e-3)`, stands for a recipe with it. Several recipes are lanes: those
            of equal structure share one compiled program. Lanes of equal seed see the same batches and start
            from the same weights.
        keep: Where to write the run: a folder, a `SaveOptions`, or None for memory only.
        init: A run folder, a safetensors file or a PyTorch `state_dict` whose weights to start from; a
            `Pretrained` where its names differ. Arrays whose path and shape agree are taken over; the others
            (a head for other classes) are initialised.
        progress: Shows the run. None: a bar on a terminal, a cell in a notebook, a few lines elsewhere, on
            standard error. False: nothing. Or a function that receives each status (`print` writes lines;
            `status.stop()` ends the run), or a `Progress`.
        trackers: Experiment trackers that receive the figures too, such as `tw.trackers.TensorBoard("logs")`.
        strict: With many: only layouts in which every lane computes the bits that it computes alone. By
            default tiny networks, and all networks on an accelerator, may compute lanes in one product
            (`engine.plan`).
        halving: With many: freeze the worse settings at rungs. Needs a validation split.
        executor: With many: whose workers train them, such as `tw.executor("processes:4")`; anything with the
            `submit` of `concurrent.futures.Executor`. Needs `keep`, a folder that all workers reach under
            the same path. Layouts are strict, so that results are those of one machine, byte for byte.
        devices: How many devices train: a number (or `all`) of devices that share the lanes of several
            recipes, or the rows of each batch of one; or both, as `lanes:2,data:4` (`docs/cluster.md`).
        data_on: Where the training rows are: whole on each `device`, or on the `host`, from where each
            dispatch sends those that its updates read. None: on the device, but on the host where an
            accelerator has too little free memory for them.

    Returns:
        The run: model, history, why it stopped, its folder. With several recipes `Runs`, in their order; with
        data in folds `Runs`, for each recipe one on each fold.

    Raises:
        BadInput: The problem, a recipe or the folder cannot be used. Nothing has been trained or written.

    Example:
        >>> import thalweg as tw
        >>> run = tw.train(tw.Problem(tw.MLP([64, 32, 10]), tw.load("digits")), tw.Recipe(epochs=5))
        >>> run.result["stopped"]
        'epochs'
    """
    heard = tracked(listener(progress), trackers)
    more = {"strict": strict, "halving": halving, "executor": executor, "devices": devices}
    more["data_on"] = data_on
    return _stream(problem, recipe, keep, init, heard, **more).result()


@checked(BadInput)
def stream_train(
    problem: Problem,
    recipe: Recipe | Sequence[Recipe] | Rule | None = None,
    *,
    keep: SaveOptions | Path | str | None = None,
    init: Path | str | Pretrained | None = None,
    progress: Progress | Callable[[Status], Any] | bool | None = False,
    trackers: Sequence[Tracker] = (),
    strict: bool = False,
    halving: Halving | None = None,
    devices: Devices | int | str | None = None,
    data_on: str | None = None,
    every: int | None = None,
) -> Stream:
    """Train in a loop of your own: the body runs after each chunk of updates, and may stop lanes or the run.

    A chunk lasts about a third of a second. What is computed does not depend on where chunks end, so that
    the loop gives the bits of `train`, which is this loop with an empty body.

    Args:
        problem, recipe, keep, init, trackers, strict, halving, devices, data_on: As for `train`.
        progress: As for `train`; by default nothing is shown.
        every: Also end a chunk at each multiple of so many updates, so that the body sees these steps.

    Returns:
        An iterator of statuses: `step`, `figures`, `lanes`, `evaluated`, and `stop`. Its `result()` trains
        what is left, and returns the run.

    Raises:
        BadInput: As for `train`, at once and not when the loop starts.

    Example:
        >>> import thalweg as tw
        >>> stream = tw.stream_train(tw.Problem(tw.MLP([64, 32, 10]), tw.load("digits")), tw.Recipe(epochs=5))
        >>> for status in stream:
        ...     if status.figures.get("accuracy", 0.0) > 0.9:
        ...         status.stop()
        >>> stream.result().result["stopped"]
        'caller'
    """
    if every is not None and every < 1:
        raise BadInput("stream_train", "every must be at least one update", got=every, hint="try 100")
    heard = tracked(listener(progress), trackers)
    more = {"strict": strict, "halving": halving, "devices": devices, "data_on": data_on, "every": every}
    return _stream(problem, recipe, keep, init, heard, **more)


def train_judged(
    problem: Problem,
    recipe: Recipe,
    judge: Judge | None,
    judged: dict[str, Any],
    *,
    keep: SaveOptions | None,
    init: Path | str | Pretrained | None = None,
    progress: Progress,
    trackers: Sequence[Tracker] = (),
    devices: Devices | int | str | None = None,
    data_on: str | None = None,
) -> Run | Runs:
    """Train a problem as `train` does; `judge` adds to the result of a single run before it is sealed.

    Args:
        judge: Is called with the run and `judged`, which a resumed run reads from its folder; None for none.
        judged: Plain values.
    """
    heard = tracked(progress, trackers)
    judging = None if judge is None else (judge, judged)
    more = {"strict": False, "halving": None, "judging": judging, "devices": devices}
    more["data_on"] = data_on
    return _stream(problem, recipe, keep, init, heard, **more).result()


def _stream(
    problem: Problem,
    recipe: Any,
    keep: SaveOptions | Path | str | None,
    init: Path | str | Pretrained | None,
    progress: Progress,
    *,
    strict: bool,
    halving: Halving | None,
    every: int | None = None,
    executor: Any = None,
    judging: tuple[Judge, dict[str, Any]] | None = None,
    devices: Devices | int | str | None = None,
    data_on: str | None = None,
) -> Stream:
    timings = Timings()
    if recipe is None:
        recipe = default_recipe(problem.data.task, problem.data.train.count())
    elif is_rule(recipe) or isinstance(recipe, type):  # a rule alone, with defaults; it refuses a class
        rule: Any = recipe
        recipe = Recipe(rule, batch_size=min(BATCH, problem.data.train.count()))
        progress.note(f"an update rule alone trains for 10 epochs, in batches of {recipe.batch_size}")
    many = not isinstance(recipe, Recipe)
    recipes = [recipe] if isinstance(recipe, Recipe) else list(recipe)
    save = keep if isinstance(keep, SaveOptions) else SaveOptions(keep)
    reject_both(devices, executor)
    if executor is not None:
        _check_spread(problem, recipes, executor, many, None if keep is None else save)
    mesh = None if devices is None else Devices.parse(devices, many or isinstance(problem.data, FoldedData))
    units = executor is not None
    lanes = plan(problem, recipes, strict=strict, measure=True, units=units, devices=mesh)
    recipes, folds = _with_folds(problem, recipes)
    check_loss(problem)
    options: dict[str, Any] = {"strict": strict, "halving": halving, "save": save, "folds": tuple(folds)}
    options["init"] = init.path if isinstance(init, Pretrained) else init
    options["init_names"] = (init.table() or None) if isinstance(init, Pretrained) else None
    judge, options["judged"] = judging or (None, {})
    options["devices"], spread_out = mesh, executor is not None
    options["data_on"] = data_place(problem, recipes, lanes, data_on, None if spread_out else progress.note)
    spec = RunSpec.of(problem, recipes, many or bool(folds), lanes, **options)
    for sentence in notes_on(problem, recipes):
        progress.note(sentence)
    spread = None if executor is None else Workers(executor, allow_import=True)  # of what the caller has
    session = Session(problem, spec, progress, timings=timings, every=every, spread=spread, judge=judge)
    held = ExitStack()
    folder = None
    if keep is not None:
        folder = held.enter_context(claim(save.out, problem.data.name, save.force, save.restart))
    return Stream(session, folder, progress, held)


def _check_spread(
    problem: Problem, recipes: Sequence[Recipe], executor: Any, many: bool, keep: SaveOptions | None
) -> None:
    """Reject what cannot be trained by the workers of an executor."""
    check_executor(executor)
    if not many:
        rule, hint = (
            "is for several recipes, which its workers share",
            "give a list: recipe.vary(seed=range(4))",
        )
        raise BadInput(argument("executor"), rule, got="one recipe", hint=hint)
    if keep is None:
        rule, hint = "needs a folder that all workers reach", "keep='runs/sweep'"
        raise BadInput(argument("executor"), rule, got="keep=None", hint=hint)
    check_sendable(problem, recipes, keep.data)


@checked(BadInput)
def plan(
    problem: Problem,
    recipes: Sequence[Recipe],
    *,
    strict: bool = False,
    measure: bool = False,
    units: bool = False,
    devices: Devices | None = None,
) -> LanePlan:
    """Return how `train` would lay these recipes out on this machine.

    Nothing is compiled, unless `measure` allows it: then layouts are timed where the rule is not sure. With
    `units`, return how workers of an executor share them, which does not depend on this machine. With
    `devices`, those along `lanes` share them.

    Raises:
        RecipeError: A recipe does not fit the data, or there are too many.
    """
    check_count(len(recipes))  # before each of them is looked at
    for recipe in recipes:
        check_recipe(problem, recipe)
    check_functions(problem, recipes)
    recipes, folds = _with_folds(problem, recipes)
    if units:
        return plan_units(problem, recipes, folds=folds)
    workers = None if devices is None else devices.lanes
    return plan_lanes(problem, recipes, strict=strict, workers=workers, measure=measure, folds=folds)


def _with_folds(problem: Problem, recipes: Sequence[Recipe]) -> tuple[list[Recipe], list[int]]:
    """Return the recipe and the fold of every lane: with folds each recipe trains on all of them in turn."""
    if not isinstance(problem.data, FoldedData):
        return list(recipes), []
    folds = range(len(problem.data.folds))
    return [recipe for recipe in recipes for _ in folds], [*folds] * len(recipes)
