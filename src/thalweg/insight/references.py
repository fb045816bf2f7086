"""Cheap references: what other methods reach on the same rows, so that a network's result can be judged.

The constant predictor, a linear model, nearest neighbours and gradient-boosted trees, on flattened and
standardised inputs. They are fitted on the training rows and scored on held-out rows; where there are none,
by cross-validation of the training rows. A few seconds at most: rows and columns are thinned out.
"""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from threadpoolctl import threadpool_limits

# Enough rows for a score within about a percent, and few enough for seconds.
MOST_ROWS, MOST_HELD = 4000, 2000
# Columns of images and windows that are used, evenly spaced.
MOST_COLUMNS = 256
# Boosting needs leaves smaller than the data: scikit-learn's default of 20 rows cannot split 30 rows.
LEAF = 20
FEWEST_FOR_TREES = 10
FOLDS = 4
DOCTOR_TREES = 60  # rounds of boosting: two thirds of the usual hundred, for the time
CONSTANT, LINEAR, NEIGHBOURS, TREES = "constant", "linear", "neighbours", "trees"


@dataclass(frozen=True)
class References:
    """Scores of the references: accuracy of classes, R^2 of values.

    Args:
        metric: `accuracy` or `r2`.
        scores: By name of the reference; those that could not be fitted are left out.
        rows: Rows on which they were scored.
        held: Whether these were held out, rather than cross-validated training rows.
    """

    metric: str
    scores: dict[str, float]
    rows: int
    held: bool

    @property
    def constant(self) -> float:
        """Score of the constant predictor."""
        return self.scores[CONSTANT]

    @property
    def best(self) -> float:
        """The best score."""
        return max(self.scores.values())

    @property
    def noise(self) -> float:
        """Two standard errors of a score over the choice of rows, at the best reference."""
        if self.metric == "accuracy":
            share = min(max(self.best, 1 / (self.rows + 2)), 1 - 1 / (self.rows + 2))
            return 2 * float(np.sqrt(share * (1 - share) / max(self.rows, 1)))
        return 2 * float(np.sqrt(2.0 / max(self.rows, 2))) * max(1.0 - self.best, 0.02)


def references(
    train: tuple[Any, Any],
    held: tuple[Any, Any] | None,
    metric: str,
    *,
    trees: bool = True,
) -> References:
    """Fit and score the references.

    Args:
        train, held: Inputs `row ...` and targets: class numbers `row`, or values `row target`.
        metric: `accuracy` or `r2`.
        trees: Whether to fit the trees, which take most of the time.
    """
    x, y = _thinned(*train, MOST_ROWS)
    if held is not None and len(held[1]) >= FEWEST_FOR_TREES:
        folds = [((x, y), _thinned(*held, MOST_HELD))]
    else:
        held, folds = None, _folds(x, y, metric)
    found: dict[str, list[float]] = {}
    for (x_train, y_train), (x_held, y_held) in folds:
        mean, scale = x_train.mean(axis=0), x_train.std(axis=0)
        scale = np.where(scale > 1e-12 * np.maximum(1.0, np.abs(mean)), scale, 1.0)
        fold = (x_train - mean) / scale, y_train, (x_held - mean) / scale, y_held
        for name, score in _scores(*fold, metric, trees).items():
            found.setdefault(name, []).append(score)
    rows = len(folds[0][1][1]) if held is not None else len(y)
    return References(
        metric, {name: float(np.mean(each)) for name, each in found.items()}, rows, held is not None
    )


def estimators(classes: bool, rows: int, trees: int) -> dict[str, Any]:
    """Return the references that learn, by name, the quickest first.

    Args:
        classes: Whether targets are class numbers; else values.
        rows: Training rows.
        trees: Rounds of boosting; 0 for no trees.
    """
    models: dict[str, Any] = {
        LINEAR: LogisticRegression(max_iter=200) if classes else RidgeCV(np.logspace(-3, 4, 8)),
        NEIGHBOURS: (KNeighborsClassifier if classes else KNeighborsRegressor)(min(5, rows)),
    }
    if trees and rows >= FEWEST_FOR_TREES:
        kind: Any = HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor
        leaf = min(LEAF, max(1, rows // 20))
        models[TREES] = kind(max_iter=trees, min_samples_leaf=leaf, early_stopping=False, random_state=0)
    return models


def score(prediction: np.ndarray, target: np.ndarray, metric: str) -> float:
    """Return the accuracy of class numbers, or the R^2 of values (mean over targets that vary).

    Values that are not finite score as far worse than a constant: -1.
    """
    if metric == "accuracy":
        return float(np.mean(prediction.reshape(len(target), -1) == target.reshape(len(target), -1)))
    prediction = np.asarray(prediction, np.float64).reshape(len(target), -1)
    target = np.asarray(target, np.float64).reshape(len(target), -1)
    if not np.isfinite(prediction).all():
        return -1.0
    variance = target.var(axis=0)
    error = np.mean((prediction - target) ** 2, axis=0)
    varying = variance > 0
    if not varying.any():
        return 0.0
    return float(max(-1.0, np.mean(1 - error[varying] / variance[varying])))


def _scores(
    x: Float[np.ndarray, "row column"],
    y: np.ndarray,
    x_held: Float[np.ndarray, "row column"],
    y_held: np.ndarray,
    metric: str,
    trees: bool,
) -> dict[str, float]:
    classes = metric == "accuracy"
    if classes:
        values, counts = np.unique(y, return_counts=True)
        found = {CONSTANT: score(np.full(len(y_held), values[counts.argmax()]), y_held, metric)}
        if len(values) < 2:
            return found
    else:
        found = {CONSTANT: 0.0}
    several = not classes and y.ndim > 1 and y.shape[1] > 1
    models = estimators(classes, len(y), DOCTOR_TREES if trees and not several else 0)
    y = y if classes or y.ndim == 1 or several else y[:, 0]
    for name, model in models.items():
        # One thread is as fast for so few rows; several wait for each other on a busy machine, for minutes.
        with warnings.catch_warnings(), threadpool_limits(1):
            warnings.simplefilter("ignore")  # a reference that has not converged is a reference
            try:
                found[name] = score(np.asarray(model.fit(x, y).predict(x_held)), y_held, metric)
            except ValueError:  # too few rows of a class in a fold
                continue
    return found


def _folds(x: np.ndarray, y: np.ndarray, metric: str) -> list[Any]:
    """Return pairs of training and held-out rows; a single one of all rows where there are too few."""
    count = min(FOLDS, len(y))
    if metric == "accuracy":
        count = min(count, int(np.unique(y, return_counts=True)[1].min()))
    if count < 2 or len(y) < FEWEST_FOR_TREES:
        return [((x, y), (x, y))]
    kind = StratifiedKFold if metric == "accuracy" else KFold
    splits = kind(count, shuffle=True, random_state=0).split(x, y if metric == "accuracy" else None)
    return [((x[rest], y[rest]), (x[fold], y[fold])) for rest, fold in splits]


def _thinned(x: Any, y: Any, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Return at most so many rows, and columns, of inputs as a matrix."""
    x = np.asarray(x)
    rows = np.linspace(0, len(x) - 1, min(most, len(x))).astype(int)
    x = np.asarray(x[rows], np.float64).reshape(len(rows), -1)
    if x.shape[1] > MOST_COLUMNS:
        x = x[:, np.linspace(0, x.shape[1] - 1, MOST_COLUMNS).astype(int)]
    return x, np.asarray(y)[rows]
