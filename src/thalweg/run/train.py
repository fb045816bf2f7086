"""`train`: a problem and a recipe in, a run out; or many recipes in, and as many runs out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import polars as pl
from jaxtyping import PyTree

from thalweg.core.errors import RecipeError
from thalweg.core.tree import count as count_parameters
from thalweg.engine import cache
from thalweg.engine.group import feed_of, length, resident, shapes
from thalweg.engine.lanes import Plan as LanePlan
from thalweg.engine.lanes import plan as plan_lanes
from thalweg.problem.problem import Problem
from thalweg.recipe import differences
from thalweg.recipe.book import default_recipe
from thalweg.recipe.recipe import Recipe
from thalweg.run import folder as folders
from thalweg.run import sweeps
from thalweg.run.course import Watch
from thalweg.run.describe import Descriptions, describe, write_descriptions
from thalweg.run.folder import Home
from thalweg.run.gathering import Gathered
from thalweg.run.halving import Halving, freeze_losers, settings
from thalweg.run.interrupt import Interrupt
from thalweg.run.journey import Journey
from thalweg.run.misfits import check_loss, check_recipe
from thalweg.run.progress import Plan, Progress, Silent
from thalweg.run.run import Run
from thalweg.run.runs import Runs
from thalweg.run.together import together
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


@overload
def train(
    problem: Problem,
    recipe: Recipe | None = None,
    *,
    keep: Keeping | Path | str | None = None,
    init: Path | str | None = None,
    progress: Progress | None = None,
) -> Run: ...
@overload
def train(
    problem: Problem,
    recipe: Sequence[Recipe],
    *,
    keep: Keeping | Path | str | None = None,
    init: Path | str | None = None,
    progress: Progress | None = None,
    strict: bool = False,
    halving: Halving | None = None,
) -> Runs: ...
def train(
    problem: Problem,
    recipe: Recipe | Sequence[Recipe] | None = None,
    *,
    keep: Keeping | Path | str | None = None,
    init: Path | str | None = None,
    progress: Progress | None = None,
    strict: bool = False,
    halving: Halving | None = None,
) -> Run | Runs:
    """Train a model by gradient descent: once, or with many recipes together.

    Divergence and interruption are no errors: the run says so in `result["stopped"]`, and keeps its best
    weights.

    Args:
        problem: What is learned.
        recipe: How; None for the default of the data (`recipe.book`). Several recipes are lanes: those of
            equal structure share one compiled program. Lanes of equal seed see the same batches and start
            from the same weights.
        keep: Where to write the run: a folder, a `Keeping`, or None for memory only.
        init: A run folder (or a safetensors file) whose weights to start from; arrays whose path and shape
            agree are taken over, the others (a head for other classes) start fresh.
        progress: Who is told how it goes.
        strict: With many: only layouts in which every lane computes the bits that it computes alone. Else
            tiny networks, and all on an accelerator, may compute lanes in one product (`engine.lanes`).
        halving: With many: freeze the worse settings on the way. Needs a validation part.

    Returns:
        The run: model, history, why it stopped, its folder. With several recipes `Runs`, in their order.

    Raises:
        BadInput: Problem, recipe or folder cannot be used. Nothing has been trained or written then.

    Example:
        >>> import thalweg as tw
        >>> run = tw.train(tw.Problem(tw.MLP([64, 32, 10]), tw.load("digits")), tw.Recipe(epochs=5))
        >>> run.result["stopped"]
        'epochs'
    """
    many = recipe is not None and not isinstance(recipe, Recipe)
    given = [recipe or default_recipe(problem.data.task, problem.data.train.count())] if not many else recipe
    work = _Work(problem, list(given), init, progress or Silent(), strict, halving)  # type: ignore[arg-type]
    folder = _folder(problem, keep)
    return work.many(folder) if many else work.one(folder)


def plan(problem: Problem, recipes: Sequence[Recipe], *, strict: bool = False) -> LanePlan:
    """Return how `train` would lay these recipes out on this machine; nothing is compiled.

    Raises:
        RecipeError: A recipe does not fit the data, or there are too many.
    """
    for recipe in recipes:
        check_recipe(problem, recipe)
    return plan_lanes(problem, recipes, strict=strict)


class _Work:
    """One call of `train`."""

    def __init__(
        self,
        problem: Problem,
        recipes: list[Recipe],
        init: Path | str | None,
        progress: Progress,
        strict: bool,
        halving: Halving | None,
    ):
        self._watch = Watch()
        self._problem, self._recipes, self._progress = problem, recipes, progress
        self._plan = plan(problem, recipes, strict=strict)
        check_loss(problem)
        self._paths = differences.varied(recipes)
        self._halving = halving
        if halving is not None and "validation" not in problem.data.parts:
            raise RecipeError("halving", "needs a validation part to compare by", got="none")
        self._start = None if init is None else _Start(_weights_file(Path(init)), shapes(problem).params)
        self._runs: dict[int, Run] = {}
        cache.enable()

    def one(self, folder: Path | None) -> Run:
        """Train the one recipe."""
        told = self._described()
        home = Home(folder)
        if folder is not None:
            write_descriptions(home, told, self._recipes[0])
        result: dict[str, Any] = {}
        self._announce(folder)
        try:
            self._go([home], told, folder, self._progress)
            result = self._runs[0].result
            return self._runs[0]
        finally:
            self._progress.finish(result)  # also when training breaks, so that the terminal is given back

    def many(self, folder: Path | None) -> Runs:
        """Train all recipes as lanes."""
        told = self._described()
        result = self._result(folder)
        homes = [
            Home(folder and sweeps.lane_folder(folder, lane), False) for lane in range(len(self._recipes))
        ]
        if folder is not None:
            _begin_sweep(Home(folder), told, result, homes, self._recipes)
        gathered = Gathered(
            self._progress,
            [(lane, self._label(lane)) for lane in range(len(self._recipes))],
            [length(self._problem, recipe) for recipe in self._recipes],
            [recipe.batch(self._problem.data.train.count()) for recipe in self._recipes],
        )
        self._announce(folder)
        try:
            self._go(homes, told, folder and folder / sweeps.SHARDS, gathered)
            return self._ended(folder, result)
        finally:
            self._progress.finish(result)

    def _go(self, homes: list[Home], told: Descriptions, logs: Path | None, progress: Progress) -> None:
        """Run all shards, wave after wave."""
        parts = resident(self._problem.data)
        rungs = [] if self._halving is None else self._halving.rungs
        with Interrupt() as interrupt:
            for wave in self._plan.waves:
                journeys = []
                for index in wave:
                    shard = self._plan.shards[index]
                    alone = len(self._recipes) == 1
                    journeys.append(
                        Journey(
                            problem=self._problem,
                            parts=parts,
                            recipes=[self._recipes[lane] for lane in shard.lanes],
                            labels=[(lane, self._label(lane)) for lane in shard.lanes],
                            homes=[homes[lane] for lane in shard.lanes],
                            shard=shard,
                            logs=logs if alone or logs is None else logs / f"{index:03d}",
                            told=told,
                            start=self._start,
                            progress=progress,
                            interrupt=interrupt,
                            rungs=rungs,
                            watch=self._watch if alone else Watch(),
                        )
                    )
                together([iter(one) for one in journeys], self._plan.workers, self._at_rung(journeys))
                for one in journeys:
                    self._runs |= dict(zip(one.shard.lanes, one.runs, strict=True))
                    self._watch.add(one.watch)

    def _at_rung(self, journeys: list[Journey]) -> Any:
        setting = settings(self._recipes) if self._halving is not None else []

        def compare() -> None:
            courses = [one.course for one in journeys if one.course is not None]
            if self._halving is not None:
                freeze_losers(courses, setting, self._halving)

        return compare

    def _described(self) -> Descriptions:
        layouts = "+".join(dict.fromkeys(self._plan.layouts))
        return describe(self._problem, shapes(self._problem).params, layouts, len(self._recipes))

    def _announce(self, folder: Path | None) -> None:
        data, first = self._problem.data, self._recipes[0]
        name = folder.name if folder is not None else data.name
        epoch_steps = feed_of(self._problem, [first]).epoch_steps
        totals = [length(self._problem, recipe) for recipe in self._recipes]
        batch = first.batch(data.train.count())
        self._progress.start(Plan(name, max(totals), epoch_steps, batch, len(self._recipes)))
        if self._start is not None and self._start.fresh:
            fresh = ", ".join(self._start.fresh)
            self._progress.note(f"starting fresh (not in the run this one starts from): {fresh}")

    def _label(self, lane: int) -> str:
        return differences.label(self._recipes[lane], self._paths)

    def _result(self, folder: Path | None) -> dict[str, Any]:
        """Return what is known of a sweep before it begins."""
        problem = self._problem
        return {
            "run": None if folder is None else str(folder),
            "stopped": None,
            "data": problem.data.name,
            "task": problem.data.task,
            "model": problem.model_spec,
            "parameters": count_parameters(shapes(problem).params),
            "metric": {"name": problem.metric.name, "higher_is_better": problem.metric.higher_is_better},
            "lanes": len(self._recipes),
            "varied": self._paths,
            "groups": [list(group) for group in self._plan.groups],
            "plan": self._plan.to_dict(),
            "recipe": self._recipes[0].to_dict(),
        }

    def _ended(self, folder: Path | None, result: dict[str, Any]) -> Runs:
        """Put the runs together, and bring the folder to rest."""
        runs = tuple(self._runs[lane] for lane in range(len(self._recipes)))
        group_of = {lane: number for number, group in enumerate(self._plan.groups) for lane in group}
        groups = [group_of[lane] for lane in range(len(runs))]
        table = sweeps.table(self._recipes, groups, [run.result for run in runs])
        result |= {"stopped": _why(table), "seconds": self._watch.seconds()}
        if folder is not None:
            Home(folder).write_json(sweeps.FILE, result | {"rows": table.to_dicts()})
            folders.remove(folder / sweeps.SHARDS)
        return Runs(runs, table, result, folder)


def _why(table: pl.DataFrame) -> dict[str, int]:
    """Return how many lanes stopped for each reason."""
    return dict(sorted(table["stopped"].value_counts().iter_rows(), key=lambda pair: -pair[1]))


def _begin_sweep(
    home: Home, told: Descriptions, result: dict[str, Any], lanes: list[Home], recipes: list[Recipe]
) -> None:
    home.write_json("problem.json", told.problem)
    home.write_json("environment.json", told.environment)
    home.write_json(sweeps.FILE, result)
    for lane, recipe in zip(lanes, recipes, strict=True):
        if lane.folder is not None:
            lane.folder.mkdir(parents=True)
        write_descriptions(lane, told, recipe)


class _Start:
    """Takes weights over from another run; `fresh` are the parameters that are not in it."""

    def __init__(self, file: Path, shapes: PyTree):
        self._arrays = load_weights(file)
        self.fresh = transferred(shapes, self._arrays)[1]

    def __call__(self, params: PyTree) -> PyTree:
        return transferred(params, self._arrays)[0]


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
