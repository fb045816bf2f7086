"""`thalweg find`: the learning rate for a problem and a recipe; with `--batch` one for each batch size."""

import re
from dataclasses import dataclass, replace
from typing import Any

from thalweg.core.errors import RecipeError
from thalweg.doors.cli import finding as found
from thalweg.doors.cli import fit, rate
from thalweg.doors.cli.device import use
from thalweg.insight.finder.batch_size import find_batch_size
from thalweg.insight.finder.learning_rate import find_lr
from thalweg.problem.models import parse
from thalweg.problem.problem import Problem
from thalweg.recipe import ranges
from thalweg.run.folder import folder as folders
from thalweg.view import progress as showing

_SIZES = "for example 32..1024, which doubles, or 32,64,128"


@dataclass(frozen=True)
class Request:
    """The command's arguments, as they came; see `thalweg find --help`.

    Args:
        fit: What `thalweg fit` takes too.
        optimizer: Name of another optimizer.
        batch: Batch sizes to try.
        budget: Updates to spend, as a share of the run's.
    """

    fit: fit.Request
    optimizer: str | None
    batch: str | None
    budget: str | None


def run(request: Request) -> int:
    """Find as asked; return the exit code."""
    asked = _with_optimizer(request)
    use(asked.device)
    _check(asked)  # refused before the data is read
    share, sizes = read_share(request.budget), read_sizes(request.batch)
    named = fit.named_recipe(asked)
    folders.refuse_taken(asked.out, asked.force)
    problem = Problem(parse(asked.model) if asked.model else None, fit.data_of(asked))
    recipe = fit.recipe_of(asked, problem, named)
    progress = showing.progress(quiet=asked.quiet)
    for note in problem.data.notes:
        progress.note(note.text)
    if sizes is None:
        finding = find_lr(problem, recipe, share=share, progress=progress)
    else:
        finding = find_batch_size(problem, recipe, sizes=sizes, share=share, progress=progress)
    folder = folders.make(asked.out, f"{problem.data.name}-find", asked.force)
    return found.told(finding, found.write(finding, problem, recipe, folder), asked.json, asked.quiet)


def read_share(given: str | None) -> float | None:
    """Return a budget from the command line as a share of a run: `0.1`, `10%`, `3`.

    Raises:
        RecipeError: It is no number above 0.
    """
    if given is None:
        return None
    match = re.fullmatch(r"\s*([0-9.]+(?:[eE][+-]?\d+)?)\s*(%?)\s*", given)
    try:
        share = float(match.group(1)) / (100 if match.group(2) else 1) if match else 0.0
    except ValueError:
        share = 0.0
    if not share > 0:
        raise RecipeError(
            "--budget", "must be a share of the run's updates, above 0", got=given, hint="0.1, 10% or 3"
        )
    return share


def read_sizes(given: str | None) -> list[int] | None:
    """Return batch sizes from the command line, ascending: `32..1024`, doubling, or a list.

    Raises:
        RecipeError: They are no whole numbers from 1 on.
    """
    if given is None:
        return None
    ends = re.fullmatch(r"\s*(\d+)\s*\.\.\s*(\d+)\s*", given)
    values: list[Any] = _doubling(*map(int, ends.groups())) if ends else ranges.values(given)
    values = [round(value) if ":" in given and isinstance(value, float) else value for value in values]
    whole = [isinstance(value, int) and not isinstance(value, bool) and value >= 1 for value in values]
    if not values or not all(whole):
        raise RecipeError("--batch", "must be batch sizes, whole numbers from 1 on", got=given, hint=_SIZES)
    return sorted(set(values))


def _doubling(low: int, high: int) -> list[int]:
    sizes = [low] if 0 < low <= high else []
    while sizes and 2 * sizes[-1] < high:
        sizes.append(2 * sizes[-1])
    return [*sizes, high] if sizes else []


def _with_optimizer(request: Request) -> fit.Request:
    if request.optimizer is None:
        return request.fit
    return replace(request.fit, set_=[f"optimizer={request.optimizer}", *(request.fit.set_ or [])])


def _check(asked: fit.Request) -> None:
    rate.check(asked.lr, asked.set_, allow_auto=False)
    if asked.init is not None:
        raise RecipeError(
            "--init", "a rate is found for a fresh start", got=str(asked.init), hint="leave it out"
        )
    if asked.resume is not None:
        raise RecipeError(
            "--resume", "a search does not go on: it is short", got=asked.resume, hint="find again"
        )
