"""What `fit` adds to the result of a single run: other methods, figures to decide by, its predicted cost.

Plain values say what was asked for; they are written into the run folder, so that a resumed run ends as one
that was not interrupted.
"""

from collections.abc import Sequence
from dataclasses import asdict
from functools import wraps
from typing import Any

from thalweg.core.arguments import checked
from thalweg.core.caller import argument
from thalweg.core.errors import BadInput, DataError, did_you_mean
from thalweg.insight.cost import measured
from thalweg.insight.decisions import decide
from thalweg.insight.decisions.cost import ErrorCost
from thalweg.insight.rivals import judged as with_references
from thalweg.problem.data.data import CLASSIFICATION
from thalweg.problem.data.folds import FoldedData
from thalweg.problem.problem import Problem
from thalweg.run import resume as resuming
from thalweg.run.run import Run, Runs


def judged(run: Run, asked: dict[str, Any]) -> dict[str, Any]:
    """Return the entries `references`, `decisions` and `cost` of result.json, as far as they apply to a run.

    Args:
        run: The run.
        asked: As `asked_of` gives it.
    """
    references = with_references(run) if asked.get("references") else {}
    return references | decide.judged(run, asked.get("cost"), asked.get("by") or ()) | measured.judged(run)


def asked_of(problem: Problem, references: bool, cost: Any, by: Any) -> dict[str, Any]:
    """Return what is asked for as plain values.

    Raises:
        BadInput: A cost of errors, or a column to group by, where there are no figures for it.
        DataError: There is no such column.
    """
    price, names = ErrorCost.of(cost), [str(name) for name in by]  # of an array, too
    if price is not None or names:
        _check(problem, price, names)
    return {"references": references, "cost": price and asdict(price), "by": names}


def _check(problem: Problem, cost: ErrorCost | None, by: Sequence[str]) -> None:
    data = problem.data
    who = argument("cost" if cost is not None else "by")
    if isinstance(data, FoldedData) or not decide.applies(problem):
        rule = "is for one run with test rows that each have one class or value, and count the same"
        got = "folds" if isinstance(data, FoldedData) else f"{data.name}, {data.task}"
        raise BadInput(who, rule, got=got, hint=f"leave {who} out")
    classes = data.preparation.classes or () if data.task == CLASSIFICATION else ()
    decide.check_cost(cost, len(classes))
    if not by:
        return
    if data.cells is None:
        rule, hint = "needs the columns of a table", f"leave {argument('by')} out"
        raise DataError(argument("by"), rule, got=", ".join(by), hint=hint)
    unknown = next((name for name in by if name not in data.cells.columns), None)
    if unknown is not None:
        hint = did_you_mean(unknown, data.cells.columns)
        raise DataError(argument("by"), "must be a column of the table", got=unknown, hint=hint)


@checked(BadInput)
@wraps(resuming.resume)
def resume(folder: Any, problem: Any = None, **options: Any) -> Run | Runs:
    """Resume a run; one that was started by `fit` gets what `fit` adds."""
    return resuming.resume_judged(folder, problem, judged, **options)
