"""What the command line tells of a finding: its folder, the text or one JSON object, and the exit code."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thalweg.doors.cli.codes import DONE, FAILED
from thalweg.doors.cli.output import print_json, print_text, written
from thalweg.insight.finder import finding_io as kept
from thalweg.insight.finder.finding import BatchFinding, LearningRateFinding
from thalweg.problem.problem import Problem
from thalweg.recipe.recipe import Recipe
from thalweg.view.finding import batch_page, page, svg, text

PAGE, PICTURE = "finding.html", "finding.svg"
# What finding.json holds beside the finding, and what scripts are told of it.
ABOUT = ("run", "data", "task", "model")
_BRIEF = (
    "setting",
    "value",
    "low",
    "high",
    "default",
    "diverges",
    "predicted_edge",
    "status",
    "reason",
    "cost",
    "lr",
    "noise_scale",
    "largest_useful",
    "fits",
    "table",
)


def write(
    finding: LearningRateFinding | BatchFinding, problem: Problem, asked: Recipe, folder: Path
) -> dict[str, Any]:
    """Write a finding's folder; return the content of finding.json.

    Args:
        finding: What came of it.
        problem: What it was found for.
        asked: The recipe before.
        folder: It exists.
    """
    about = (str(folder), problem.data.name, problem.data.task, problem.model_spec)
    told = dict(zip(ABOUT, about, strict=True)) | kept.as_dict(finding, asked)
    kept.write(folder, told, finding)
    draw(kept.read(folder), folder)
    return told


def draw(told: Mapping[str, Any], folder: Path, out: Path | None = None) -> Path:
    """Draw a finding that was read from its folder; return where the page lies."""
    if kept.is_of_batches(told):
        return written(out or folder / PAGE, batch_page.render(kept.batch_from_dict(told), told))
    finding = kept.from_dict(told)
    if out is None:
        written(folder / PICTURE, svg.render(finding))
    return written(out or folder / PAGE, page.render(finding, told))


def told(
    finding: LearningRateFinding | BatchFinding, about: Mapping[str, Any], json: bool, quiet: bool
) -> int:
    """Print what came of it; return the exit code."""
    if json:
        print_json(brief(about))
    elif not quiet:
        _print(about)
        print(f"\nrecipe  {about['run']}/recipe.toml\npicture {about['run']}/{PAGE}")
    return DONE if finding.value is not None else FAILED


def show(folder: Path, json: bool) -> int:
    """Print what came of a finding that lies on disk."""
    about = kept.read(folder)
    if json:
        print_json(brief(about))
    else:
        _print(about)
    return DONE


def _print(told: Mapping[str, Any]) -> None:
    if kept.is_of_batches(told):
        print_text(batch_page.show(kept.batch_from_dict(told), told))
    else:
        print_text(text.show(kept.from_dict(told), told))


def brief(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return of finding.json what scripts want to know: not the lanes."""
    return {name: told[name] for name in (*_BRIEF, *ABOUT) if name in told}
