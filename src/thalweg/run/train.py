"""`train`: a problem and a recipe in, a run out; or many recipes in, and as many runs out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

from thalweg.engine.plan import LanePlan
from thalweg.engine.plan import plan as plan_lanes
from thalweg.problem.problem import Problem
from thalweg.recipe.book import default_recipe
from thalweg.recipe.recipe import Recipe
from thalweg.run.folder import folder as folders
from thalweg.run.folder.filesystem import plain
from thalweg.run.progress import Progress, Silent
from thalweg.run.run import Run
from thalweg.run.runs import Runs
from thalweg.run.session.halving import Halving
from thalweg.run.session.lane_states import Timings
from thalweg.run.session.session import Job, Session
from thalweg.run.validate import check_recipe


@dataclass(frozen=True)
class SaveOptions:
    """Where a run is kept.

    Args:
        out: The folder; None for `runs/<data>-<n>` with the next free n.
        force: Whether a run that lies there may be overwritten.
        every: When the whole state is saved, so that the run can go on from there: after so many updates
            (`500`), after a time (`60s`, `10m`), or `off`. An interrupted or finished run saves it anyway.
        last: How many of the last of these are kept, beside the one of the best validation loss.
        finding: Of a single run: how its learning rate was found, as plain values (`insight.finder.kept`). Is
            kept with it, and named in its result.
    """

    out: Path | str | None = None
    force: bool = False
    every: str = "60s"
    last: int = 2
    finding: Mapping[str, Any] | None = None


@overload
def train(
    problem: Problem,
    recipe: Recipe | None = None,
    *,
    keep: SaveOptions | Path | str | None = None,
    init: Path | str | None = None,
    progress: Progress | None = None,
) -> Run: ...
@overload
def train(
    problem: Problem,
    recipe: Sequence[Recipe],
    *,
    keep: SaveOptions | Path | str | None = None,
    init: Path | str | None = None,
    progress: Progress | None = None,
    strict: bool = False,
    halving: Halving | None = None,
) -> Runs: ...
def train(
    problem: Problem,
    recipe: Recipe | Sequence[Recipe] | None = None,
    *,
    keep: SaveOptions | Path | str | None = None,
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
        keep: Where to write the run: a folder, a `SaveOptions`, or None for memory only.
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
    watch = Timings()
    many = recipe is not None and not isinstance(recipe, Recipe)
    given = [recipe or default_recipe(problem.data.task, problem.data.train.count())] if not many else recipe
    recipes = list(given)  # type: ignore[arg-type]
    lanes = plan(problem, recipes, strict=strict, measure=True)
    wanted = keep if isinstance(keep, SaveOptions) or keep is None else SaveOptions(keep)
    kept = wanted or SaveOptions()
    job = Job(
        problem,
        recipes,
        lanes,
        progress or Silent(),
        strict=strict,
        halving=halving,
        init=init,
        every=kept.every,
        last=kept.last,
        finding=None if many or kept.finding is None else plain(dict(kept.finding)),
        watch=watch,
    )
    work = Session(job)
    folder = None if wanted is None else folders.make(wanted.out, problem.data.name, wanted.force)
    return work.many(folder) if many else work.one(folder)


def plan(
    problem: Problem, recipes: Sequence[Recipe], *, strict: bool = False, measure: bool = False
) -> LanePlan:
    """Return how `train` would lay these recipes out on this machine.

    Nothing is compiled, unless `measure` allows it: then `train` tries layouts where the rule is not sure.

    Raises:
        RecipeError: A recipe does not fit the data, or there are too many.
    """
    for recipe in recipes:
        check_recipe(problem, recipe)
    return plan_lanes(problem, recipes, strict=strict, measure=measure)
