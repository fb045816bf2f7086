"""Errors worth reading: the rows that a model is most wrong about, with what it saw."""

from typing import Any

import numpy as np

from thalweg.insight.decisions.case import Case
from thalweg.insight.decisions.importance import losses
from thalweg.insight.wording import clipped

MOST = 10
# Cells that are shown of a row, the most important columns first, and characters of one.
CELLS, WIDTH = 12, 60


def worst_rows(case: Case, columns: list[str]) -> list[dict[str, Any]]:
    """Return the most confident wrong rows, or those with the largest errors, the worst first.

    Args:
        case: The rows.
        columns: Names of the columns that matter most, first: their cells are shown.

    Returns:
        For each `row` (its number in the source, from 0; None where it is not known), `file` where each row
        is one, `target`, `prediction`; of classes `confidence` (the probability of the class predicted, None
        for scores) and `probability` (of the true one); of values `error`; and `cells`, column by column.
    """
    answers = case.answers
    if answers.values is not None:
        order = np.argsort(-np.abs(answers.values - case.targets), kind="stable")[:MOST]
    else:
        wrong = np.flatnonzero(answers.predicted != case.targets)
        assert answers.scores is not None
        sure = (answers.scores if answers.shares is None else answers.shares).max(axis=1)
        order = wrong[np.lexsort((-losses(answers, case.targets)[wrong], -sure[wrong]))][:MOST]
    names = _shown(case, columns)
    return [_row(case, int(at), names) for at in order]


def _row(case: Case, at: int, names: list[str]) -> dict[str, Any]:
    answers, target = case.answers, case.targets[at]
    found: dict[str, Any] = {"row": None if case.numbers is None else int(case.numbers[at])}
    if case.files is not None:
        found["file"] = case.files[at]
    if answers.values is not None:
        value = float(answers.values[at])
        found |= {"target": float(target), "prediction": value, "error": value - float(target)}
    else:
        predicted, shares = int(answers.predicted[at]), answers.shares
        found |= {"target": case.classes[target], "prediction": case.classes[predicted]}
        found["confidence"] = None if shares is None else float(shares[at, predicted])
        found["probability"] = None if shares is None else float(shares[at, target])
    return found | {"cells": _cells(case, at, names)}


def _shown(case: Case, columns: list[str]) -> list[str]:
    """Return the columns whose cells are shown: the important ones, then the others that the model uses."""
    known = [column.name for column in case.columns]
    if case.cells is not None:
        known = [name for name in known if name in case.cells.columns]
    return list(dict.fromkeys([*(name for name in columns if name in known), *known]))[:CELLS]


def _cells(case: Case, at: int, names: list[str]) -> dict[str, Any]:
    if case.cells is not None:
        values = {name: case.cells[name][at] for name in names}
    elif case.inputs is not None:
        by_name = {column.name: column for column in case.columns}
        row = case.inputs[at : at + 1]
        values = {name: by_name[name].cell(row) for name in names}
    else:
        return {}
    return {name: _plain(value) for name, value in values.items()}


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return clipped(value, WIDTH)
