"""`--lr`: a learning rate from the command line, or `auto`, which finds it first."""

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from thalweg.core.errors import RecipeError
from thalweg.doors.cli.codes import FAILED
from thalweg.doors.cli.finding import brief
from thalweg.doors.cli.output import print_json
from thalweg.insight.finder.finding import LearningRateFinding
from thalweg.insight.finder.finding_io import current
from thalweg.insight.finder.learning_rate import find_lr
from thalweg.insight.finder.verdict import headline, in_a_line
from thalweg.problem.problem import Problem
from thalweg.recipe import toml
from thalweg.recipe.rate import with_rate
from thalweg.recipe.recipe import Recipe
from thalweg.run.folder.record import finding_of
from thalweg.run.progress import Progress

AUTO, PATH = "auto", "optimizer.lr"
# What the search may cost, counted in updates: nobody who trains for an hour minds six minutes.
SHARE = 0.1


def check(given: str | None, settings: Sequence[str] | None, allow_auto: bool = True) -> None:
    """Refuse an `--lr` that cannot be used.

    Args:
        given: As it came.
        settings: What `--set` changes.
        allow_auto: Whether this command can find the rate first.

    Raises:
        RecipeError: It is no number, or the rate is given twice.
    """
    if given is None:
        return
    twice = [text for text in settings or () if re.match(rf"\s*{re.escape(PATH)}\s*=", text)]
    if twice and given != AUTO:
        raise RecipeError("--lr", "the rate is given once", got=f"--lr {given} --set {twice[-1]}")
    if given == AUTO:
        if not allow_auto:
            raise RecipeError("--lr", "auto goes with thalweg fit", got=given, hint="leave it out")
        return
    try:
        float(given)
    except ValueError:
        raise RecipeError("--lr", "must be a number, or auto", got=given, hint="for example 3e-4") from None


def as_setting(given: str | None) -> list[str]:
    """Return the change of the recipe that a checked `--lr` asks for."""
    return [] if given in (None, AUTO) else [f"{PATH}={float(given)!r}"]


def search(problem: Problem, recipe: Recipe, progress: Progress) -> LearningRateFinding:
    """Find the rate for a run that is about to begin."""
    finding = find_lr(problem, recipe, share=SHARE, progress=progress)
    if finding.value is not None:
        progress.note(f"learning rate: {in_a_line(finding.to_dict())}")
    return finding


def none_usable(finding: LearningRateFinding, json: bool) -> int:
    """Say that there is no rate to train with; return the exit code."""
    print(f"{headline(finding)}; nothing was trained: {finding.reason}", file=sys.stderr)
    if json:
        print_json({"run": None, "stopped": None, "finding": brief(finding.to_dict())})
    return FAILED


def begun_with(folder: Path, recipe: Recipe) -> Recipe:
    """Return the recipe that a run in a folder goes on with: its rate was found before, and is kept.

    Args:
        folder: Of the run.
        recipe: As the command line asks for it now, before anything is found.

    Raises:
        RecipeError: The run was begun with a rate of its own.
    """
    told = current(finding_of(folder))
    if not told:
        raise RecipeError(
            "--lr auto",
            "the run in the folder must have been begun with it",
            got=str(folder),
            hint="leave it out to go on with the run's own rate",
        )
    found, asked = toml.read(f"{told['recipe']}\n"), toml.read(f"{told['recipe_before']}\n")
    if toml.write(Recipe.from_dict(recipe.to_dict())) == toml.write(asked):
        return found
    return with_rate(recipe, told["value"])
