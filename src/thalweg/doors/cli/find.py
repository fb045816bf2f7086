"""`thalweg find`: the learning rate for a problem and a recipe; with `--batch` one for each batch size."""

import re
from pathlib import Path
from typing import Any

from thalweg.core.errors import RecipeError
from thalweg.core.stop_reason import EXIT_DONE, EXIT_FAILED
from thalweg.doors.cli.arguments import initial, judging, load_options, recipe_request
from thalweg.doors.cli.device import Options, use_device
from thalweg.doors.cli.output import FINDING_PAGE, FINDING_SUBJECT, draw_finding, print_finding
from thalweg.insight.ensembles import single_network_note
from thalweg.insight.finder import finding_io
from thalweg.insight.finder.batch_size import find_batch_size
from thalweg.insight.finder.finding import BatchFinding, LearningRateFinding
from thalweg.insight.finder.learning_rate import find_lr
from thalweg.insight.fit import read_problem
from thalweg.problem.problem import Problem
from thalweg.recipe import ranges
from thalweg.recipe.recipe import Recipe
from thalweg.run.folder.claim import claim, reject_taken
from thalweg.view import progress as showing
from thalweg.view.terminal import say

_SIZES = "for example 32..1024:2x, which doubles, or 32,64,128"


def find(options: Options) -> int:
    """Find a learning rate or a batch size; return the exit code."""
    use_device(options["device"])
    if options["optimizer"] is not None:
        options = {**options, "set_": [f"optimizer={options['optimizer']}", *(options["set_"] or [])]}
    _check(options)
    request = recipe_request(options, allow_auto=False)
    share, sizes = read_share(options["budget"]), read_sizes(options["batch"])
    reject_taken(options["out"], options["force"])
    problem = read_problem(options["data"], options["model"], **judging(options), **load_options(options))
    recipe = request.for_data(problem.data)
    progress = showing.progress(quiet=options["quiet"])
    for note in problem.data.notes:
        progress.note(note.text)
    if (single := single_network_note(problem.data, options["model"])) is not None:
        progress.note(single)
    if sizes is None:
        finding = find_lr(problem, recipe, share=share, progress=progress)
    else:
        finding = find_batch_size(problem, recipe, sizes=sizes, share=share, progress=progress)
    with claim(options["out"], f"{problem.data.name}-find", options["force"]) as folder:
        content = _write(finding, problem, recipe, folder)
    if options["json"] or not options["quiet"]:
        print_finding(content, options["json"])
    if not options["json"] and not options["quiet"]:
        say(f"\nrecipe  {folder}/recipe.toml\npicture {folder}/{FINDING_PAGE}")
    return EXIT_DONE if finding.value is not None else EXIT_FAILED


def _write(
    finding: LearningRateFinding | BatchFinding, problem: Problem, recipe: Recipe, folder: Path
) -> dict[str, Any]:
    """Write a finding's folder, which exists; return the content of finding.json."""
    subject = (str(folder), problem.data.name, problem.data.task, problem.model_spec)
    content = dict(zip(FINDING_SUBJECT, subject, strict=True)) | finding_io.as_dict(finding, recipe)
    finding_io.write(folder, content, finding)
    draw_finding(finding_io.read(folder), folder)
    return content


def read_share(text: str | None) -> float | None:
    """Return a budget from the command line as a share of a run: `0.1`, `10%`, `3`.

    Raises:
        RecipeError: It is not a number above 0.
    """
    if text is None:
        return None
    match = re.fullmatch(r"\s*([0-9.]+(?:[eE][+-]?\d+)?)\s*(%?)\s*", text)
    try:
        share = float(match.group(1)) / (100 if match.group(2) else 1) if match else 0.0
    except ValueError:
        share = 0.0
    if not share > 0:
        raise RecipeError(
            "--budget", "must be a share of the run's updates, above 0", got=text, hint="0.1, 10% or 3"
        )
    return share


def read_sizes(text: str | None) -> list[int] | None:
    """Return batch sizes from the command line, ascending: `32..1024:2x` (doubling), or a list.

    Raises:
        RecipeError: They are not whole numbers from 1 on.
    """
    if text is None:
        return None
    values = ranges.read_values(text, True, "--batch")
    are_sizes = [isinstance(value, int) and not isinstance(value, bool) and value >= 1 for value in values]
    if not values or not all(are_sizes):
        raise RecipeError("--batch", "must be batch sizes, whole numbers from 1 on", got=text, hint=_SIZES)
    return sorted(set(values))


def _check(options: Options) -> None:
    """Reject options of `fit` that a search cannot use."""
    start = initial(options)
    if start is not None:
        raise RecipeError(
            "--init",
            "a learning rate is searched for new weights only",
            got=str(options["init"]),
            hint="leave it out",
        )
    if options["track"]:
        hint = "leave it out; the lanes are in finding.json"
        raise RecipeError("--track", "is for fit and sweep", got=options["track"], hint=hint)
    if options["resume"] is not None:
        raise RecipeError(
            "--resume", "a search is short and cannot be resumed", got=options["resume"], hint="find again"
        )
