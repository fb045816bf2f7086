"""What cheap methods reach on the rows of a run: trained on its training rows, scored on its test rows.

A linear model, nearest neighbours and gradient-boosted trees, with scikit-learn's defaults; for a time series
the value of one period before, too. They see what the network sees, after the preparation. Each is compared
with the network row by row. They may take a fifth of the run's time: where a method would take longer, it
learns from a part of the training rows, or is left out, and the result says so.
"""

import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from threadpoolctl import threadpool_limits

from thalweg.core.lazy import LazyModule, special
from thalweg.insight.answers import answer_columns
from thalweg.insight.intervals import paired_shares
from thalweg.problem.data.data import CLASSIFICATION, REGRESSION, Data
from thalweg.problem.data.split import Rows, SeriesWindows, Split
from thalweg.problem.data.stream import Streamed
from thalweg.run.run import Run

if TYPE_CHECKING:
    from thalweg.insight import references
else:  # scikit-learn takes most of a second to import, at the end of the run
    references = LazyModule("thalweg.insight.references")

# Share of the run's time, and seconds that are allowed in any case: the quickest runs take one or two.
SHARE, LEAST = 0.2, 0.5
TREES = 100  # rounds of boosting: scikit-learn's default
SEASONAL = "seasonal naive"
# A part of the training rows must hold so many, and this share of them, to stand for the method.
FEWEST_ROWS, LEAST_PART = 500, 0.05
MOST_COLUMNS = 1024
LABELS = {
    "linear": ("logistic regression", "ridge regression"),
    "neighbours": ("nearest neighbours", "nearest neighbours"),
    "trees": ("gradient-boosted trees", "gradient-boosted trees"),
}


@dataclass(frozen=True)
class Rival:
    """What one method reaches.

    Args:
        name: For people, such as `logistic regression`.
        value: Its accuracy, or root mean squared error in the target's unit, on the test rows.
        rows: Training rows that it learned from.
        seconds: What it took.
        difference: Its value minus the network's.
        low, high: 95 % interval of that over the choice of test rows; None where rows have weights, are too
            few, or no row differs.
    """

    name: str
    value: float
    rows: int
    seconds: float
    difference: float | None = None
    low: float | None = None
    high: float | None = None


def judged(run: Run) -> dict[str, Any]:
    """Return the entry `references` of result.json; nothing for a run without test rows to compare on.

    The entry has `split`, `metric`, `higher_is_better`, `rows`, `network` (its value), `scores` (as `Rival`,
    the best first), `skipped` (by method: why), `seconds`, and `allowed` (seconds).
    """
    case = _Case.of(run)
    if case is None:
        return {}
    start, allowed = time.perf_counter(), max(LEAST, SHARE * float(run.result["seconds"]["total"]))
    if case.weights is not None:
        return {"references": case.entry([], {"all": "rows have weights"}, 0.0, allowed)}
    try:
        references.estimators  # noqa: B018 (imports scikit-learn, which is not counted)
        start = time.perf_counter()
        rivals, skipped = _trained(case, start, allowed)
    except Exception as error:  # of a library or of ours: the run has been trained, and must not be lost
        reason = "out of memory" if isinstance(error, MemoryError) else f"{type(error).__name__}: {error}"
        return {"references": case.entry([], {"all": reason}, 0.0, allowed)}
    return {"references": case.entry(rivals, skipped, time.perf_counter() - start, allowed)}


@dataclass(frozen=True)
class _Case:
    """Rows of a run, and the answers of its network.

    Args:
        data: The data.
        classes: Whether targets are classes.
        target, prediction: Of the test rows; class indices, or values in the target's unit.
        metric: `accuracy` or `rmse`.
        weights: Of the test rows; None where they count the same.
    """

    data: Data
    classes: bool
    target: np.ndarray
    prediction: np.ndarray
    metric: str
    weights: np.ndarray | None

    @classmethod
    def of(cls, run: Run) -> "_Case | None":
        """Return the case of a run; None where references do not apply, or the network has no answers."""
        data, test = run.problem.data, run.problem.data.test
        applies = run.problem.objective is None and data.task in (CLASSIFICATION, REGRESSION)
        if not applies or test is None or isinstance(data.train, Streamed):
            return None
        columns = answer_columns(run.record)
        if columns is None or len(columns[0]) != test.count() or data.train.known_targets is None:
            return None
        weights = data.train.example_weights if test.example_weights is None else test.example_weights
        classes = data.task == CLASSIFICATION
        return cls(data, classes, *columns, "accuracy" if classes else "rmse", weights)

    def score(self, prediction: np.ndarray) -> float:
        """Return the metric of predictions for the test rows."""
        if self.classes:
            return float(np.mean(prediction == self.target))
        return float(np.sqrt(np.mean((prediction - self.target) ** 2)))

    def rival(self, name: str, prediction: np.ndarray, rows: int, seconds: float) -> Rival:
        """Return a method's value, compared with the network row by row."""
        value, network = self.score(prediction), self.score(self.prediction)
        interval = None
        if self.classes:
            right = (each == self.target for each in (self.prediction, prediction))
            interval = paired_shares(*right)[1:]
        elif len(self.target) >= 10:
            interval = rmse_difference(self.prediction - self.target, prediction - self.target)
        low, high = (None, None) if interval is None else interval
        return Rival(name, value, rows, round(seconds, 4), value - network, low, high)

    def values(self, standardised: np.ndarray) -> np.ndarray:
        """Return predictions as the target has them: class indices, or values in its unit."""
        test, preparation = self.data.test, self.data.preparation
        if self.classes or test is None:
            return standardised
        offsets = 0.0 if test.offsets is None else test.offsets.astype(np.float64)
        scale, mean = (np.ravel(each)[0] for each in (preparation.target_scale, preparation.target_mean))
        return (standardised + offsets) * scale + mean

    def entry(
        self, rivals: list[Rival], skipped: dict[str, str], seconds: float, allowed: float
    ) -> dict[str, Any]:
        """Return the entry of result.json."""
        sign = -1 if self.classes else 1
        return {
            "split": "test",
            "metric": self.metric,
            "higher_is_better": self.classes,
            "rows": len(self.target),
            "network": self.score(self.prediction),
            "scores": [asdict(each) for each in sorted(rivals, key=lambda each: sign * each.value)],
            "skipped": skipped,
            "seconds": round(seconds, 4),
            "allowed": round(allowed, 4),
        }


def rmse_difference(
    first: Float[np.ndarray, " row"], second: Float[np.ndarray, " row"]
) -> tuple[float, float] | None:
    """Return the 95 % interval of the second root mean squared error minus the first, over paired rows.

    With d the difference of squared errors by row: Student's interval of the mean of d, divided by the sum of
    both roots, as `a - b = (a^2 - b^2) / (a + b)`. Its sign is that of the difference of mean squares.

    Returns:
        Low and high end; None where no row differs.
    """
    difference = second**2 - first**2
    roots = float(np.sqrt(np.mean(first**2)) + np.sqrt(np.mean(second**2)))
    number = len(difference)
    if number < 2 or not roots or not np.ptp(difference):
        return None
    half = special.stdtrit(number - 1, 0.975) * difference.std(ddof=1) / np.sqrt(number)
    return float((difference.mean() - half) / roots), float((difference.mean() + half) / roots)


def _trained(case: _Case, start: float, allowed: float) -> tuple[list[Rival], dict[str, str]]:
    train, test = case.data.train, case.data.test
    assert test is not None
    targets = np.asarray(train.known_targets).reshape(train.count())
    rivals, skipped = _seasonal(case), {}
    x_test = _matrix(test, np.arange(test.count()))
    x_train, rows = None, np.arange(0)
    columns, levels = x_test.shape[1], len(np.unique(targets)) if case.classes else 1
    if case.classes and levels < 2:
        return rivals, {"all": "the training rows have one class"}
    for name, model in references.estimators(case.classes, len(targets), TREES).items():
        label = LABELS[name][0 if case.classes else 1]
        cost = partial(
            _seconds, name, tests=test.count(), columns=columns, levels=levels, classes=case.classes
        )
        left = allowed - (time.perf_counter() - start)
        most = _affordable(len(targets), left, cost)
        if most is None:
            need = cost(len(targets))
            skipped[label] = f"it would take about {need:.2g} s, and {max(left, 0):.2g} s were left"
            continue
        if len(rows) < most or x_train is None:
            rows = _part(len(targets), most)
            x_train = _matrix(train, rows)
        began, used = time.perf_counter(), slice(0, most)
        prediction = _predicted(model, x_train[used], targets[rows[used]], x_test)
        if prediction is None:
            skipped[label] = "it cannot be fitted to these rows"
            continue
        rivals.append(case.rival(label, case.values(prediction), most, time.perf_counter() - began))
    return rivals, skipped


def _predicted(model: Any, x: np.ndarray, y: np.ndarray, x_test: np.ndarray) -> np.ndarray | None:
    mean, scale = x.mean(axis=0), x.std(axis=0)
    scale = np.where(scale > 1e-12 * np.maximum(1.0, np.abs(mean)), scale, 1.0)
    # One thread: several wait for each other on a busy machine.
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore")  # a reference that has not converged is a reference
        try:
            return np.asarray(model.fit((x - mean) / scale, y).predict((x_test - mean) / scale))
        except ValueError:
            return None


def _seconds(name: str, rows: int, *, tests: int, columns: int, levels: int, classes: bool) -> float:
    """Return about what a method takes on one core, from measurements with scikit-learn 1.9.

    Measured on an AMD EPYC 7R13 for 500 to 40,000 rows, 10 to 100 columns, 2 to 10 classes: within a factor
    of two.
    """
    outputs = levels if levels > 2 else 1
    if name == references.LINEAR:
        return 0.01 + (2e-7 * rows * columns * outputs if classes else 2e-9 * rows * columns**2)
    if name == references.NEIGHBOURS:
        return 0.02 + 2e-10 * rows * tests * columns
    return TREES * outputs * (2e-3 + 1.1e-4 * columns + 1.25e-8 * rows * columns)


def _affordable(rows: int, seconds: float, cost: Callable[[int], float]) -> int | None:
    """Return how many rows a method may learn from; None where these would not stand for it."""
    least = min(rows, max(FEWEST_ROWS, int(LEAST_PART * rows)))
    most = rows
    while most > least and cost(most) > seconds:
        most = max(least, int(0.8 * most))
    return most if cost(most) <= seconds else None


def _part(rows: int, most: int) -> np.ndarray:
    """Return so many rows, in an order from a fixed seed; all of them in their own order."""
    return np.arange(rows) if most >= rows else np.random.default_rng(0).permutation(rows)[:most]


def _matrix(split: Split, rows: np.ndarray) -> Float[np.ndarray, "row column"]:
    """Return inputs as a matrix, before the scaling on the device: columns are standardised anyway."""
    if isinstance(split, Rows):  # on the host: indexing on the device compiles a program for each shape
        taken = [np.asarray(leaf)[rows] for leaf in jax.tree.leaves(split.inputs)]
    else:
        taken = jax.tree.leaves(split.batch(jnp.asarray(rows))[0])
    leaves = [np.asarray(leaf, np.float32).reshape(len(rows), -1) for leaf in taken]
    matrix = np.concatenate(leaves, axis=1)
    if matrix.shape[1] > MOST_COLUMNS:
        matrix = matrix[:, np.linspace(0, matrix.shape[1] - 1, MOST_COLUMNS).astype(int)]
    return matrix


def _seasonal(case: _Case) -> list[Rival]:
    """Return the forecast by the value one period before; its period has the least training error.

    Reference: Hyndman & Athanasopoulos, Forecasting: Principles and Practice, 3rd edition, 2021, section 5.2
    (seasonal naive method).
    """
    train, test = case.data.train, case.data.test
    if case.classes or not (isinstance(train, SeriesWindows) and isinstance(test, SeriesWindows)):
        return []
    if train.window < 2 or train.horizon != 1:
        return []
    began = time.perf_counter()
    errors = [
        np.mean((_before(train, period) - train.targets[:, 0]) ** 2) for period in range(2, train.window + 1)
    ]
    period = 2 + int(np.argmin(errors))
    prediction = case.values(_before(test, period).astype(np.float64))
    name = f"{SEASONAL} (period {period})"
    return [case.rival(name, prediction, train.count(), time.perf_counter() - began)]


def _before(split: SeriesWindows, period: int) -> Float[np.ndarray, " example"]:
    """Return the target so many rows before that of each window, as its targets are given."""
    times = np.asarray(split.starts) + split.window - period
    times = times if split.known is None else np.maximum(np.asarray(split.known)[times], 0)
    values = np.asarray(split.following, np.float64)[times]
    if split.base is not None:
        values = values + np.asarray(split.base)
    return values if split.offsets is None else values - split.offsets
