"""The entry `decisions` of a result: every figure that has a meaning for a case, and what was sampled."""

import time
from collections.abc import Sequence
from typing import Any

from thalweg.core.caller import argument
from thalweg.core.errors import BadInput
from thalweg.insight.decisions.case import Case, case_of, judges
from thalweg.insight.decisions.classes import of_classes
from thalweg.insight.decisions.cost import ErrorCost
from thalweg.insight.decisions.groups import by_group
from thalweg.insight.decisions.importance import Budget, dependence, importance
from thalweg.insight.decisions.rows import worst_rows
from thalweg.insight.decisions.suspects import suspects
from thalweg.insight.decisions.values import of_values
from thalweg.problem.data.data import Data
from thalweg.problem.data.stream import Streamed
from thalweg.problem.problem import Problem
from thalweg.run.restore import trained_of
from thalweg.run.run import Run


def judged(run: Run, cost: Any = None, by: Sequence[str] = ()) -> dict[str, Any]:
    """Return the entry `decisions` for a run that has ended; nothing where there are no such figures."""
    data, start = run.problem.data, time.perf_counter()
    if not applies(run.problem):
        return {}
    try:
        case = case_of(trained_of(run), data)
        entry = None if case is None else decisions(case, data, cost, by)
    except Exception as error:  # the run has been trained, and must not be lost for a figure of it
        reason = "out of memory" if isinstance(error, MemoryError) else f"{type(error).__name__}: {error}"
        return {"decisions": {"skipped": reason}}
    return {} if entry is None else {"decisions": entry | {"seconds": round(time.perf_counter() - start, 4)}}


def applies(problem: Problem) -> bool:
    """Return whether there are figures for the test rows: each has one class or value, none a weight."""
    data, test = problem.data, problem.data.test
    if problem.objective is not None or test is None or isinstance(data.train, Streamed):
        return False
    weighted = test.example_weights is not None or data.train.example_weights is not None
    return not weighted and judges(data.task, test.known_targets)


def decisions(case: Case, data: Data | None, cost: Any = None, by: Sequence[str] = ()) -> dict[str, Any]:
    """Return every figure of a case as plain values.

    Args:
        case: The rows and the model.
        data: The data of training, for suspects; None where they are not at hand.
        cost: Of errors, as `ErrorCost.of` takes it.
        by: Columns whose groups are compared.

    Returns:
        `split` (`test`, or `data`), `task`, `rows` that were judged, `of` that there are; `classes` or
        `values`, `importance`, `dependence`, `suspects`, `worst`, and `groups` where columns were named (see
        `of_classes`, `of_values`, `importance`, `dependence`, `suspects`, `worst_rows`, `by_group`). Instead
        of these `skipped`, a sentence, where answers are no numbers.

    Raises:
        BadInput: A cost is given where there are no two classes.
        DataError: A column to group by is not there.
    """
    price = ErrorCost.of(cost)
    check_cost(price, len(case.classes))
    entry: dict[str, Any] = {
        "split": case.split,
        "task": case.trained.task,
        "rows": len(case.targets),
        "of": case.of,
    }
    if not case.answers.finite:  # of a run that diverged
        return entry | {"skipped": "the network's answers are not finite numbers"}
    if case.answers.values is None:
        entry["classes"] = of_classes(case, price)
    else:
        entry["values"] = of_values(case)
    budget = Budget.of(case)
    important = importance(case, budget)
    if important is not None:
        entry["importance"] = important
        entry["dependence"] = dependence(case, important, budget)
    if data is not None:
        entry["suspects"] = suspects(case, data)
    names = [each["column"] for each in (important or {}).get("columns", ())]
    entry["worst"] = worst_rows(case, names)
    if by:
        paid = (entry.get("classes", {}).get("binary") or {}).get("cost")
        entry["groups"] = [by_group(case, name, None if paid is None else paid["threshold"]) for name in by]
    return entry


def check_cost(cost: ErrorCost | None, classes: int) -> None:
    """Refuse costs of false positives where there are no positives: of values, or of more than two classes.

    Raises:
        BadInput: There are not two classes.
    """
    if cost is not None and classes != 2:
        got = f"{classes} classes" if classes else "a target of values"
        rule = "costs of false positives and negatives need a target of two classes"
        raise BadInput(argument("cost"), rule, got=got, hint=f"leave {argument('cost')} out")
