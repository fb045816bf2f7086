"""Permutation importance and partial dependence: which columns answers rest on, and how they move with one.

Columns are those of the table: what became of one by preparation is permuted, or set, together. Rows and
repeats of a column are evaluated in one batch, in at most a tenth of the forward passes that training took.

A column that others stand in for (they are correlated) looks less important than it is. References: Breiman,
Random Forests, 2001; Fisher, Rudin & Dominici, All Models are Wrong, but Many are Useful, 2019; Friedman,
Greedy Function Approximation: A Gradient Boosting Machine, 2001 (partial dependence); Goldstein et al.,
Peeking Inside the Black Box, 2015 (its rows).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from thalweg.core.lazy import special
from thalweg.insight.decisions.case import Answers, Case
from thalweg.insight.decisions.columns import Column
from thalweg.insight.decisions.curves import rounded

REPEATS = 5
MOST_ROWS, FEWEST_ROWS = 2_000, 50
# Rows of a partial dependence, and columns that get one.
DEPENDENCE_ROWS, DEPENDENCE_COLUMNS = 200, 4
SPREAD = (0.1, 0.9)  # of the rows around the mean
# Classes whose probabilities are drawn.
MOST_CLASSES = 6
# Share of the forward passes of training (a training pass counts as three: forward, and twice that backward).
SHARE, TRAINING_PASS = 0.1, 3
# Passes that are allowed in any case, and operations of these: about half a second of a core.
LEAST_PASSES, LEAST_OPERATIONS = 140_000, 1.5e10
# Inputs of one batch, in numbers: 64 MiB.
BATCH = 16_000_000
SMALLEST = 1e-15  # of a probability, in a logarithm


@dataclass(frozen=True)
class Budget:
    """Forward passes that may be spent, in rows.

    Args:
        rows: How many.
    """

    rows: int

    @classmethod
    def of(cls, case: Case) -> "Budget":
        """Return the budget of a run: it depends on the run alone, not on the machine."""
        record = case.trained.record
        data = record.problem.get("data", {})
        trained = float(record.result.get("epochs") or 0) * float(data.get("counts", {}).get("train") or 0)
        operations = 2 * max(float(record.result.get("parameters") or 1), 1)
        least = min(LEAST_PASSES, LEAST_OPERATIONS / operations)
        return cls(int(max(least, SHARE * TRAINING_PASS * trained)))


def importance(case: Case, budget: Budget) -> dict[str, Any] | None:
    """Return how much worse answers get when the values of a column are dealt to other rows.

    Returns:
        `metric` (`log_loss`, or `rmse` in the target's unit, or `error_rate` where there are no
        probabilities), `value` (with the columns as they are), `rows`, `of` (rows there are), `repeats`,
        `columns` (the most important first: `column`, `rise` of the metric, `low`, `high` of its 95 %
        interval over the choice of rows, and for classes `errors`, the rise of the error rate), or `skipped`
        (a sentence); None for data whose inputs are not columns.
    """
    columns = case.columns
    if len(columns) < 2 or case.inputs is None:
        return None
    rows = min(len(case.targets), MOST_ROWS, int(0.75 * budget.rows) // (len(columns) * REPEATS))
    if rows < min(FEWEST_ROWS, len(case.targets)):
        return {
            "skipped": f"the importance of {len(columns)} columns would take more than a tenth of the passes "
            "of training"
        }
    taken = _sample(len(case.targets), rows)
    inputs, targets = case.inputs[taken], case.targets[taken]
    base = case.answers[taken]
    random = np.random.default_rng(0)
    dealt = np.stack([random.permutation(rows) for _ in range(REPEATS)])
    found = []
    for column, answers in _permuted(case, columns, inputs, dealt):
        found.append({"column": column.name} | _rise(base, answers, targets))
    found.sort(key=lambda each: -each["rise"])
    metric, value = _metric(base, targets)
    return {
        "metric": metric,
        "value": value,
        "rows": rows,
        "of": case.of,
        "repeats": REPEATS,
        "columns": found,
    }


def _permuted(
    case: Case, columns: list[Column], inputs: np.ndarray, dealt: np.ndarray
) -> Iterator[tuple[Column, Answers]]:
    """Evaluate every column with its values dealt to other rows; many columns a batch."""
    rows = inputs.shape[0]
    each = max(1, BATCH // max(1, dealt.size * inputs.shape[1]))
    for first in range(0, len(columns), each):
        part = columns[first : first + each]
        blocks = np.tile(inputs, (len(part) * len(dealt), 1)).reshape(len(part), len(dealt), rows, -1)
        for block, column in zip(blocks, part, strict=True):
            places = list(column.at)
            block[:, :, places] = inputs[dealt][:, :, places]
        answers = case.answers_for(blocks.reshape(-1, inputs.shape[1]))
        for number, column in enumerate(part):
            own = slice(number * dealt.size, (number + 1) * dealt.size)
            yield column, answers[own]


def losses(answers: Answers, targets: np.ndarray) -> Float[np.ndarray, " row"]:
    """Return the loss of each row: minus the logarithm of its class's probability, whether the class is
    wrong where there are no probabilities, or the squared error.
    """
    if answers.values is not None:
        return (answers.values - targets) ** 2
    if answers.shares is None:
        return (answers.predicted != targets).astype(np.float64)
    own = answers.shares[np.arange(len(targets)), targets]
    return -np.log(np.clip(own, SMALLEST, 1.0))


def _metric(answers: Answers, targets: np.ndarray) -> tuple[str, float]:
    mean = float(losses(answers, targets).mean())
    if answers.values is not None:
        return "rmse", float(np.sqrt(mean))
    return "error_rate" if answers.shares is None else "log_loss", mean


def _rise(base: Answers, answers: Answers, targets: np.ndarray) -> dict[str, float]:
    """Return the rise of the metric with its interval: repeats are averaged row by row first."""
    repeats = len(answers.predicted) // len(targets)
    many = np.tile(targets, repeats)
    before = losses(base, targets)
    each = losses(answers, many).reshape(repeats, -1).mean(axis=0) - before
    rise, number = float(each.mean()), len(each)
    half = (
        float(special.stdtrit(number - 1, 0.975) * each.std(ddof=1) / np.sqrt(number)) if number > 1 else 0.0
    )
    if base.values is not None:  # a - b = (a^2 - b^2) / (a + b)
        before_root = float(np.sqrt(before.mean()))
        roots = before_root + float(np.sqrt(max(before.mean() + rise, 0.0))) or 1.0
        return {"rise": rise / roots, "low": (rise - half) / roots, "high": (rise + half) / roots}
    wrong = float(np.mean(answers.predicted != many) - np.mean(base.predicted != targets))
    return {"rise": rise, "low": rise - half, "high": rise + half, "errors": wrong}


def dependence(case: Case, important: dict[str, Any] | None, budget: Budget) -> list[dict[str, Any]]:
    """Return how the mean answer moves with each of the most important columns, all others as they are.

    A column is set to values that occur in these rows, of quantities between the 5th and the 95th per cent:
    where others are correlated with it, some rows become ones that do not exist.

    Returns:
        For each: `column`, `kind`, `values`, `curves` (for values and two classes one, else one for each of
        few classes: `name`, `mean`, and for a single one `low` and `high`, between which eight in ten rows
        lie), `rows`.
    """
    names = [each["column"] for each in (important or {}).get("columns", []) if each["low"] > 0]
    by_name = {column.name: column for column in case.columns}
    if case.inputs is None:
        return []
    shown, left = [], budget.rows // 4
    for name in names:
        if len(shown) == DEPENDENCE_COLUMNS:
            break
        grid = by_name[name].grid(case.inputs)
        rows = min(DEPENDENCE_ROWS, len(case.targets), left // max(1, len(grid) * DEPENDENCE_COLUMNS))
        if len(grid) < 2 or rows < min(FEWEST_ROWS, len(case.targets)):
            continue
        shown.append(_dependence(case, by_name[name], grid, _sample(len(case.targets), rows)))
    return shown


def _dependence(case: Case, column: Column, grid: list[tuple[Any, int]], taken: np.ndarray) -> dict[str, Any]:
    assert case.inputs is not None
    places = list(column.at)
    blocks = np.tile(case.inputs[taken], (len(grid), 1)).reshape(len(grid), len(taken), -1)
    for block, (_, row) in zip(blocks, grid, strict=True):
        block[:, places] = case.inputs[row, places]
    answers = case.answers_for(blocks.reshape(-1, case.inputs.shape[1]))
    return {
        "column": column.name,
        "kind": column.kind,
        "values": [value for value, _ in grid],
        "curves": _curves(case, answers, len(grid)),
        "rows": len(taken),
    }


def _curves(case: Case, answers: Answers, points: int) -> list[dict[str, Any]]:
    if answers.values is not None:
        return [_with_spread("", answers.values.reshape(points, -1))]
    columns = answers.shares if answers.shares is not None else answers.scores
    assert columns is not None
    if columns.shape[1] == 2:
        return [_with_spread(case.classes[1], answers.positive().reshape(points, -1))]
    means = columns.reshape(points, -1, columns.shape[1]).mean(axis=1)
    moved = np.argsort(-np.ptp(means, axis=0), kind="stable")[:MOST_CLASSES]
    return [{"name": case.classes[i], "mean": rounded(means[:, i])} for i in sorted(moved)]


def _with_spread(name: str, rows: Float[np.ndarray, "point row"]) -> dict[str, Any]:
    low, high = np.quantile(rows, SPREAD, axis=1)
    return {"name": name, "mean": rounded(rows.mean(axis=1)), "low": rounded(low), "high": rounded(high)}


def _sample(count: int, rows: int) -> np.ndarray:
    return np.arange(count) if rows >= count else np.sort(np.random.default_rng(0).permutation(count)[:rows])
