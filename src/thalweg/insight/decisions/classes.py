"""A classifier's figures: curves, thresholds and lift of two classes, calibration, and figures by class."""

from typing import Any

import numpy as np

from thalweg.insight.answers import Confusion
from thalweg.insight.decisions.calibration import calibration
from thalweg.insight.decisions.case import Case
from thalweg.insight.decisions.cost import ErrorCost, cost_entry
from thalweg.insight.decisions.curves import Ranking, thinned

# Classes up to which each has curves of its own, and up to which the confusion matrix is kept.
CURVES, MATRIX = 6, 30
THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
# Of scores that are no probabilities: at these shares of the rows flagged.
FLAGGED = (0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)


def of_classes(case: Case, cost: ErrorCost | None) -> dict[str, Any]:
    """Return the figures of a classifier's answers.

    Returns:
        `accuracy`, `by_class` (`class`, `rows`, `predicted`, `precision`, `recall`, `f1`, and against all
        others `auc`, `average_precision`; None where there is nothing to divide by), `confusion` (counts by
        true and predicted class, of few classes), `brier` (the mean over rows of the squared differences of
        probabilities and truth: of the positive class where there are two, else summed over classes),
        `calibration` (of the positive class, else of the class predicted), `macro_auc`; of two classes
        `binary`, see `_binary`; of few classes `curves`.
    """
    names, predicted = case.classes, case.answers.predicted
    matrix = np.zeros((len(names), len(names)), np.int64)
    np.add.at(matrix, (case.targets, predicted), 1)
    entry: dict[str, Any] = {
        "accuracy": float(np.mean(predicted == case.targets)),
        "by_class": _by_class(case, Confusion(matrix, names)),
        "confusion": matrix.tolist() if len(names) <= MATRIX else None,
    }
    if case.answers.shares is not None:
        entry |= _probabilities(case, case.answers.shares)
    if len(names) == 2:
        return entry | {"binary": _binary(case, cost)}
    areas = [each["auc"] for each in entry["by_class"]]
    entry["macro_auc"] = float(np.mean(areas)) if areas and None not in areas else None
    if len(names) <= CURVES:
        rankings = [(name, _against_others(case, i)) for i, name in enumerate(names)]
        entry["curves"] = [{"class": name} | _curves(each) for name, each in rankings if each.both]
    return entry


def _against_others(case: Case, number: int) -> Ranking:
    """Return the rows by the score of one class, against all others."""
    columns = case.answers.scores if case.answers.shares is None else case.answers.shares
    assert columns is not None
    return Ranking(case.targets == number, np.asarray(columns[:, number], np.float64))


def _by_class(case: Case, matrix: Confusion) -> list[dict[str, Any]]:
    rows = []
    for i, name in enumerate(matrix.classes):
        ranking = _against_others(case, i)
        precision, recall = _known(matrix.precision[i]), _known(matrix.recall[i])
        total = int(matrix.totals[i] + matrix.counts[:, i].sum())
        rows.append(
            {
                "class": name,
                "rows": int(matrix.totals[i]),
                "predicted": int(matrix.counts[:, i].sum()),
                "precision": precision,
                "recall": recall,
                "f1": 2 * int(matrix.counts[i, i]) / total if total else None,
                "auc": ranking.auc()[0] if ranking.both else None,
                "average_precision": ranking.average_precision() if ranking.both else None,
            }
        )
    return rows


def _probabilities(case: Case, shares: np.ndarray) -> dict[str, Any]:
    truth = np.eye(shares.shape[1])[case.targets]
    if shares.shape[1] == 2:
        brier = float(np.mean((shares[:, 1] - truth[:, 1]) ** 2))
        held = calibration(shares[:, 1], case.targets == 1)
    else:
        brier = float(np.mean(np.sum((shares - truth) ** 2, axis=1)))
        predicted = case.answers.predicted
        held = calibration(shares[np.arange(len(shares)), predicted], predicted == case.targets)
    return {"brier": brier, "calibration": held}


def _binary(case: Case, cost: ErrorCost | None) -> dict[str, Any] | None:
    """Return curves and thresholds; None where the rows hold one class only.

    Returns:
        `positive` (its name: the second class), `share` (of the rows), `auc` with `low` and `high`,
        `average_precision`, `roc`, `precision_recall` (points `x`, `y`), `thresholds` (see `Ranking.at`),
        `lift`, and `cost` where one was given.
    """
    ranking = Ranking(case.targets == 1, np.asarray(case.answers.positive(), np.float64))
    if not ranking.both:
        return None
    area, low, high = ranking.auc()
    probabilities = case.answers.shares is not None
    at = THRESHOLDS if probabilities else _quantiles(ranking.score)
    entry: dict[str, Any] = {
        "positive": case.classes[1],
        "share": float(ranking.positive.mean()),
        "auc": area,
        "low": _known(low),
        "high": _known(high),
        "average_precision": ranking.average_precision(),
        "thresholds": [ranking.at(threshold) for threshold in at],
        "lift": ranking.lift(),
        **_curves(ranking),
    }
    if cost is None:
        return entry
    held = case.held
    rows = None if held is None else (held[0] == 1, np.asarray(held[1].positive(), np.float64))
    judged = cost_entry(cost, rows, (ranking.positive, ranking.score), probabilities)
    if judged is not None:
        entry["cost"] = judged | {"at": ranking.at(judged["threshold"])}
    return entry


def _curves(ranking: Ranking) -> dict[str, Any]:
    precision, recall = ranking.precision_recall()
    return {"roc": thinned(*ranking.roc()), "precision_recall": thinned(recall, precision)}


def _quantiles(score: np.ndarray) -> list[float]:
    return sorted({float(value) for value in np.quantile(score, 1 - np.array(FLAGGED), method="higher")})


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
