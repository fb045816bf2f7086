"""`best`: the best network that a budget can buy.

Rounds of lanes of one structure, halved while they train: first the default, then structures and numbers
spread evenly (scrambled Sobol sequences), and from half of the budget on around the best trial, with half of
the spread every other round. The winner is trained afresh, as `fit` trains it; only then is there a test
split.

Reference: Jamieson & Talwalkar, Non-stochastic Best Arm Identification and Hyperparameter Optimization, 2016.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from thalweg.core.arguments import checked
from thalweg.core.caller import argument, either, option
from thalweg.core.errors import BadInput, RecipeError, RunFolderError
from thalweg.core.stop_reason import ENDING_SETTINGS
from thalweg.insight.best.allowance import Allowance
from thalweg.insight.best.candidates import (
    OPTIMIZERS_TRIED,
    Candidates,
    reject_optimizers,
    without_test,
)
from thalweg.insight.best.result import Best
from thalweg.insight.best.rounds import FEWEST, FILE, Search
from thalweg.insight.fit import AUTO, RecipeRequest, read_problem
from thalweg.insight.judging import asked_of
from thalweg.problem.data.folds import FoldedData
from thalweg.problem.data.stream import Streamed
from thalweg.problem.models import parse
from thalweg.problem.problem import Problem
from thalweg.recipe.recipe import Recipe
from thalweg.run.folder.claim import claim
from thalweg.run.progress import Progress, Status, listener
from thalweg.run.resume import is_resumable
from thalweg.run.spec import SaveOptions

ENDINGS = dict.fromkeys(name for name in ENDING_SETTINGS if name not in ("epochs", "steps"))


@checked(BadInput)
def best(
    source: Any,
    model: Any = None,
    recipe: Recipe | Path | str | None = None,
    *,
    budget: int | str | Allowance = "10m",
    optimizers: Sequence[str] | str = OPTIMIZERS_TRIED,
    models: Sequence[Any] = (),
    settings: Sequence[str] = (),
    seed: int | None = None,
    loss: Any = None,
    metric: Any = None,
    class_weight: Any = None,
    ensemble: int | None = None,
    keep: SaveOptions | Path | str | None = None,
    resume: bool = False,
    references: bool = True,
    cost: Any = None,
    by: Sequence[str] = (),
    progress: Progress | Callable[[Status], Any] | bool | None = None,
    **load_options: Any,
) -> Best:
    """Find the best network for data within a budget, and train it.

    Candidates are compared on validation folds where `fit` trains an ensemble in folds (tables of fewer than
    2,000 rows), else on the validation split, by the loss or by a metric that was given; with one seed. The
    winner's figure is the lowest of many and therefore optimistic; the test figures of the final run are not.

    Args:
        source, model, recipe, settings, seed, loss, metric, class_weight, ensemble: As for `fit`. They are
            the centre of what is tried.
        budget: `30s`, `10m`, `2h`: wall-clock time until the end of the final run. Or a number of updates of
            single lanes, which tries the same on every machine. Or an `Allowance`, whose clock has started.
        optimizers: Names; a candidate's rate, momentum and weight decay lie around their defaults.
        models: Models to try instead of one model in several sizes.
        keep: Folder of the final run, with `best.json` beside it, which holds everything that was tried.
        resume: Continue the search in the folder of `keep`: rounds in `best.json` are not repeated.
        references, cost, by: As for `fit`, of the final run.
        progress: As for `train`.
        **load_options: As for `load`.

    Returns:
        What was tried, what mattered, and the final run.

    Raises:
        BadInput: Data, model or budget cannot be used.

    Example:
        >>> result = tw.best("titanic.csv", target="Survived", budget="5m")
        >>> result.run.result["test_metric"]
    """
    allowance = budget if isinstance(budget, Allowance) else Allowance.parse(budget)
    names = _several(optimizers, "optimizers", ["adamw", "muon"])
    reject_optimizers(names)
    several = [
        parse(each) if isinstance(each, str) else each for each in _several(models, "models", ["mlp:64"])
    ]
    request = RecipeRequest(recipe, settings, seed=seed, allow_auto=False)
    plain = model is None and not several and recipe is None and isinstance(loss, str | None)
    members = AUTO if ensemble is None and plain else ensemble
    how = {"loss": loss, "metric": metric, "class_weight": class_weight, "ensemble": members}
    problem = read_problem(source, several[0] if several else model, **how, **load_options)
    _check(problem, several)
    base = replace(request.for_data(problem.data, problem.model), **ENDINGS)
    heard = listener(progress)
    for note in problem.data.notes:
        heard.note(note.text)
    save = keep if isinstance(keep, SaveOptions) or keep is None else SaveOptions(keep)
    candidates = Candidates(without_test(problem), base, names, several)
    _check_updates(allowance, candidates)
    found = Search(problem, candidates, allowance, heard)
    asked = asked_of(problem, references, cost, by)
    with _claimed(save, problem, resume) as folder:
        found.folder = folder
        if resume:
            found.read()
        winner = found.searched()
    if winner is None and found.interrupted:
        raise KeyboardInterrupt
    if winner is None:
        raise RecipeError(
            "best", "no candidate trained", got="every lane diverged", hint="thalweg doctor says why"
        )
    run = None if found.interrupted else found.final(winner, save, folder, asked)
    return found.result(winner, run)


def _several(given: Any, what: str, example: list[str]) -> list[Any]:
    """Return a list, of names separated by commas too."""
    if isinstance(given, str):
        return [word.strip() for word in given.split(",") if word.strip()]
    if not isinstance(given, (list, tuple)):
        raise RecipeError(argument(what), "must be a list", got=given, hint=option(what, example))
    return list(given)


def _check(problem: Problem, models: Iterable[Any]) -> None:
    """Reject data that candidates cannot be compared on.

    Raises:
        RecipeError: They have folds, or no validation split, or are a stream.
    """
    if isinstance(problem.data, FoldedData):
        rule, hint = "is on one division of the data", "load them without folds"
        raise RecipeError("best", rule, got=f"{len(problem.data.folds)} folds", hint=hint)
    if isinstance(problem.data.train, Streamed):
        rule, hint = "needs data that fit in memory", "thalweg fit trains what is streamed"
        raise RecipeError("best", rule, got=problem.data.name, hint=hint)
    if "validation" not in problem.data.splits:
        hint = f"load the data with {option('validation', 0.1)}"
        raise RecipeError("best", "needs a validation split to compare on", got="none", hint=hint)
    for model in models:
        replace(problem, model=model, name=None)


def _check_updates(allowance: Allowance, candidates: Candidates) -> None:
    """Reject fewer updates than the default, one round of two lanes, and the final run.

    Raises:
        RecipeError: The message says the least.
    """
    least = (2 + FEWEST) * candidates.updates(candidates.centre)
    if not allowance.seconds and allowance.total < least:
        rule = f"must be at least {least} updates: the default, two lanes, and the final run"
        hint = f"try {option('budget', 4 * least)}, or a time such as 10m"
        raise RecipeError(argument("budget"), rule, got=int(allowance.total), hint=hint)


def _claimed(save: SaveOptions | None, problem: Problem, resume: bool) -> Any:
    """Return the folder of the search, to be entered; None for memory only."""
    if resume and (save is None or save.out is None):
        hint = f"name it with {option('keep', 'runs/mine')}"
        raise RecipeError(argument("resume"), "needs the folder of the search", hint=hint)
    if save is None:
        return nullcontext()
    if resume and save.out is not None and is_resumable(save.out):
        return nullcontext(Path(save.out))  # the final run has begun, and holds its own lock
    if not resume and not save.force and save.out is not None and (Path(save.out) / FILE).is_file():
        hint = f"continue it: {either('--resume auto', 'resume=True')}; or choose another folder"
        rule = "the output folder must not hold a run or a search already"
        raise RunFolderError("best", rule, got=str(save.out), hint=hint)
    return claim(save.out, f"{problem.data.name}-best", save.force, save.restart or resume)
