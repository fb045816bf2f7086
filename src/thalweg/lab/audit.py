"""`audit`: the texts' checklist for a recipe: which points it follows, and which experiment tries each.

A point that a recipe does not follow is no fault: what it is worth says the experiment, whose verdict stands
beside it. Points about the data and the model need a run, or a problem.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from thalweg.core.arguments import checked
from thalweg.core.errors import BadInput, RecipeError
from thalweg.insight.wording import plural
from thalweg.lab.checklist import FOLLOWED, MISSED, OPEN, UNUSED, Answer, Subject
from thalweg.lab.points import POINTS, Point
from thalweg.problem.problem import Problem
from thalweg.recipe import toml
from thalweg.recipe.recipe import Recipe
from thalweg.run.folder.describe import describe
from thalweg.run.folder.folder import RUN_FILE
from thalweg.run.folder.record import Record, read
from thalweg.run.run import Run

STATUSES = (FOLLOWED, MISSED, OPEN, UNUSED)
# The verdicts of the book in docs/lab, which `scripts/verdicts.py` copies.
VERDICTS = "verdicts.json"


@dataclass(frozen=True)
class Trial:
    """An experiment that tries a point of the checklist.

    Args:
        name: Of the experiment: `thalweg lab run NAME`.
        verdict: What became of its claim in the book; None where it is not in there.
    """

    name: str
    verdict: str | None


@dataclass(frozen=True)
class AuditRow:
    """A point of the checklist, and what a recipe says to it.

    Args:
        point: Its name.
        advice: What the texts advise, in one sentence.
        source: Whose advice it is.
        status: `followed`, `not followed`, `not known` (the recipe alone does not say it) or
            `does not apply`.
        here: What the recipe, the model or the data say.
        change: Settings that follow the advice, as `path=value`; empty where none is missing.
        trials: The experiments that show what it is worth.
    """

    point: str
    advice: str
    source: str
    status: str
    here: str
    change: tuple[str, ...]
    trials: tuple[Trial, ...]


@dataclass(frozen=True)
class Audit:
    """The checklist of a recipe.

    Args:
        subject: The recipe's name, or the folder of the run.
        rows: One for each point.
    """

    subject: str
    rows: tuple[AuditRow, ...]

    def __iter__(self) -> Iterator[AuditRow]:
        return iter(self.rows)

    def __repr__(self) -> str:
        """Return a line for each point."""
        lines = [f"{row.status:14} {row.point}: {row.here}" for row in self.rows]
        return "\n".join([f"{self.subject}: {self.summary}", *lines])

    def count(self, status: str) -> int:
        """Return how many points have a status."""
        return sum(row.status == status for row in self.rows)

    @property
    def summary(self) -> str:
        """How many points are followed, in one sentence."""
        judged = self.count(FOLLOWED) + self.count(MISSED)
        words = [f"follows {self.count(FOLLOWED)} of {plural(judged, 'point')}"]
        words += [f"{self.count(OPEN)} not known"] if self.count(OPEN) else []
        words += [f"not applicable: {self.count(UNUSED)}"] if self.count(UNUSED) else []
        return "; ".join(words)

    def to_dict(self) -> dict[str, Any]:
        """Return the checklist as plain values."""
        counts = {status: self.count(status) for status in STATUSES}
        return {"subject": self.subject, "counts": counts, "points": [asdict(row) for row in self.rows]}


@checked(BadInput)
def audit(subject: Recipe | Run | Record | Path | str, problem: Problem | None = None) -> Audit:
    """Compare a recipe with the checklist of courses and textbooks.

    Args:
        subject: A recipe, the name of one in the book or of an optimizer, a TOML file, a run, or its folder.
        problem: What the recipe is for, so that the points about data and model can be judged; a run has
            its own.

    Returns:
        A row for each point: whether it is followed, what would follow it, and the experiments that show
        what it is worth.

    Raises:
        RecipeError: There is no such recipe, or the file cannot be read.
        RunFolderError: The folder holds no single run, or is damaged.

    Example:
        >>> import thalweg as tw
        >>> result = tw.audit(tw.Recipe(tw.SGD(lr=0.01), batch_size=128, shuffle="none"))
        >>> [row.change for row in result if row.point == "shuffle"]
        [('shuffle=reshuffle',)]
    """
    chosen = _subject(subject, problem)
    return Audit(chosen.name, tuple(_row(point, point.judge(chosen)) for point in POINTS))


def _row(point: Point, answer: Answer) -> AuditRow:
    trials = tuple(Trial(name, verdicts().get(name)) for name in point.experiments)
    about = (point.name, point.advice, point.source)
    return AuditRow(*about, answer.status, answer.here, answer.change, trials)


@cache
def verdicts() -> dict[str, str]:
    """Return the verdicts of the book by experiment."""
    return json.loads(files("thalweg.lab").joinpath(VERDICTS).read_text())


def _subject(given: Any, problem: Problem | None) -> Subject:
    about = None if problem is None else _described(problem)
    if isinstance(given, Recipe):
        return Subject("recipe", given, about)
    if isinstance(given, Run):
        return _of_record(given.record, problem)
    if isinstance(given, Record):
        return _of_record(given, problem)
    if _is_folder(given):
        return _of_record(read(given), problem)
    name = str(given)
    try:
        return Subject(name, toml.named_or_file(name), about)
    except RecipeError as error:
        if error.got != name:  # the file is there, but is no recipe
            raise
        rule = "must be a recipe of the book, an optimizer, a TOML file, or the folder of a run"
        raise RecipeError("audit", rule, got=name, hint=error.hint) from None


def _is_folder(given: Any) -> bool:
    path = Path(given)
    return path.is_dir() or (path / RUN_FILE).is_file()


def _of_record(record: Record, problem: Problem | None) -> Subject:
    if problem is not None:
        rule, hint = "a run has a problem of its own", "leave the problem out"
        raise BadInput("audit", rule, got=problem.model_name, hint=hint)
    name = "run" if record.folder is None else str(record.folder)
    return Subject(name, Recipe.from_dict(record.recipe), record.problem, record.result)


def _described(problem: Problem) -> dict[str, Any]:
    return describe(problem, problem.shapes.params, "", 1).problem
