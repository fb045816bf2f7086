"""Columns that may hold the target: one alone says nearly all that the whole network says, and no other does.

Beyond copies and exact forms, which reading the data notes (`problem.data.tables.leaks`): here a column is
compared with what the network found, and a single split of it is tried, as a tree of one node would make.
Predictors are fitted to training rows and judged on the rows that the network is judged on.
"""

from typing import Any

import numpy as np
from jaxtyping import Float

from thalweg.insight.decisions.case import Case
from thalweg.insight.decisions.columns import CATEGORY, WORDS, Column
from thalweg.problem.data.data import Data
from thalweg.problem.data.split import Rows

# Shares of the variance of the target on the judged rows. Limits ours: one column is to say nearly all that
# the network says, the network much, and most of the others little.
NETWORK = 0.85  # what the network explains: less is no suspicion
NEARLY = 0.95  # what one column explains of that
OTHERS = 0.5  # what the median of the other columns explains of it at most
FEWEST_ROWS, FEWEST_COLUMNS = 100, 3
MOST_ROWS, BINS = 20_000, 64
ROWS_PER_BIN = 10  # of the training rows: the mean of fewer is mostly chance


def suspects(case: Case, data: Data) -> list[dict[str, Any]]:
    """Return the columns that explain nearly all alone, the one that explains most first.

    Returns:
        For each `column`, `alone` (share of the target's variance that it explains: of classes of their
        indicators), `network` (that of the network), and where a single split explains nearly as much,
        `split`: a sentence such as `cancelled at most 0.5`.
    """
    columns = case.columns
    train = data.train
    if len(columns) < FEWEST_COLUMNS or case.inputs is None or not isinstance(train, Rows):
        return []
    if train.known_targets is None or min(train.count(), len(case.targets)) < FEWEST_ROWS:
        return []
    judged = _indicators(case, case.targets)
    network = _explained(judged, _means_of(case))
    if not network >= NETWORK:
        return []
    rows = np.random.default_rng(0).permutation(train.count())[:MOST_ROWS]
    x, y = np.asarray(train.inputs)[rows], _indicators(case, _own_unit(case, train, rows))
    splits = [_split(column, x, y, case.inputs, judged) for column in columns]
    binned = [_alone(column, x, y, case.inputs, judged) for column in columns]
    alone = [max(share, split[1]) for share, split in zip(binned, splits, strict=True)]
    found = []
    for i, column in enumerate(columns):
        others = np.median(alone[:i] + alone[i + 1 :])
        if alone[i] >= NEARLY * network and others <= OTHERS * network:
            entry = {"column": column.name, "alone": float(alone[i]), "network": float(network)}
            words, share = splits[i]
            found.append(entry | ({"split": words} if share >= NEARLY * alone[i] else {}))
    return sorted(found, key=lambda each: -each["alone"])


def _own_unit(case: Case, train: Rows, rows: np.ndarray) -> np.ndarray:
    targets = np.asarray(train.known_targets)[rows]
    if case.answers.values is None:
        return targets
    facts = case.trained.preparation
    mean, scale = (float(np.ravel(each)[0]) for each in (facts.target_mean, facts.target_scale))
    return targets.reshape(len(rows)) * scale + mean


def _indicators(case: Case, targets: np.ndarray) -> Float[np.ndarray, "row value"]:
    if case.answers.values is not None:
        return targets.reshape(-1, 1).astype(np.float64)
    return np.eye(len(case.classes))[targets.astype(np.int64)]


def _means_of(case: Case) -> Float[np.ndarray, "row value"]:
    """Return what the network expects: values, probabilities, or for scores the class that it predicts."""
    answers = case.answers
    if answers.values is not None:
        return answers.values[:, None]
    return np.eye(len(case.classes))[answers.predicted] if answers.shares is None else answers.shares


def _explained(y: np.ndarray, predicted: np.ndarray) -> float:
    total = float(np.sum((y - y.mean(axis=0)) ** 2))
    return 1 - float(np.sum((y - predicted) ** 2)) / total if total > 0 else 0.0


def _alone(column: Column, x: np.ndarray, y: np.ndarray, x_held: np.ndarray, y_held: np.ndarray) -> float:
    """Return what a mean for each category, or each of up to 64 quantiles, explains of the judged rows."""
    codes, codes_held = _codes(column, x, x_held)
    width = int(max(codes.max(), codes_held.max())) + 1
    sizes = np.bincount(codes, minlength=width)[:, None]
    sums = np.stack([np.bincount(codes, each, minlength=width) for each in y.T], axis=1)
    means = np.where(sizes > 0, sums / np.maximum(sizes, 1), y.mean(axis=0))
    return max(0.0, _explained(y_held, means[codes_held]))


def _codes(column: Column, x: np.ndarray, x_held: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if column.kind in (CATEGORY, WORDS):
        return column.codes(x), column.codes(x_held)
    own = x[:, column.at[0]]
    bins = max(2, min(BINS, len(own) // ROWS_PER_BIN))
    edges = np.unique(np.quantile(own, np.arange(1, bins) / bins))
    has_flag = bool(getattr(column.rule, "flag", False))  # for missing values, the last of its inputs
    codes = []
    for rows in (x, x_held):
        flagged = (rows[:, column.at[-1]] > 0.5) & has_flag
        codes.append(np.where(flagged, len(edges) + 1, np.searchsorted(edges, rows[:, column.at[0]])))
    return codes[0], codes[1]


def _split(
    column: Column, x: np.ndarray, y: np.ndarray, x_held: np.ndarray, y_held: np.ndarray
) -> tuple[str, float]:
    """Return the best single split of a column's inputs in words, and what it explains of the judged rows.

    A column whose inputs are constant has none: it explains nothing.
    """
    best: tuple[float, int, float] | None = None
    for place in column.at:
        order = np.argsort(x[:, place], kind="stable")
        values, sums = x[order, place], np.cumsum(y[order], axis=0)
        cuts = np.flatnonzero(np.diff(values) > 0)
        if not len(cuts):
            continue
        left, count = sums[cuts], (cuts + 1)[:, None]
        right = sums[-1] - left
        gains = (left**2 / count + right**2 / (len(values) - count)).sum(axis=1)
        at = int(gains.argmax())
        if best is None or gains[at] > best[0]:
            best = float(gains[at]), place, float(values[cuts[at]] + values[cuts[at] + 1]) / 2
    if best is None:
        return "", 0.0
    _, place, cut = best
    below, below_held = x[:, place] <= cut, x_held[:, place] <= cut
    means = np.where(below_held[:, None], y[below].mean(axis=0), y[~below].mean(axis=0))
    return _in_words(column, place, cut), _explained(y_held, means)


def _in_words(column: Column, place: int, cut: float) -> str:
    number = column.at.index(place)
    if column.kind == CATEGORY:
        return f"{column.name} is {column.labels[number]}"
    if column.kind == WORDS:
        return f"{column.name} holds {column.rule.words[number]}"
    if number:
        return f"{column.rule.features[number]}"
    row = np.zeros((1, max(column.at) + 1))
    row[0, place] = cut
    return f"{column.name} is at most {column.shown(float(column.numbers(row)[0]))}"
