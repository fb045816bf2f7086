"""What an estimator is given, as what `load` reads: numbers without missing values, or a frame as it is."""

from typing import Any

import numpy as np
import polars as pl
from scipy import sparse
from sklearn.impute import SimpleImputer
from sklearn.utils.validation import validate_data

from thalweg.problem.data.inputs.frames import as_frame, is_frame

# Sparse formats that scikit-learn can check for values that are not finite; others are turned into the first.
SPARSE = ("csr", "csc", "coo")


class Inputs:
    """Turns what `fit` and `predict` receive into inputs for `load`.

    Numbers become float64 arrays; their missing values become medians of the training rows, with an input for
    each column that has any, which marks the rows (`sklearn.impute.SimpleImputer`). A frame with columns that
    are not numbers is passed on as it is: its columns get the types that `thalweg fit` finds.
    """

    def __init__(self) -> None:
        self.imputer: SimpleImputer | None = None
        self.names: list[str] | None = None  # of the columns of a frame
        self.means = np.zeros(0)  # of the columns of an array

    def fit(self, estimator: Any, given: Any, targets: Any, **checks: Any) -> tuple[Any, Any]:
        """Check inputs and targets as scikit-learn does; return both for `load`.

        Raises:
            ValueError, TypeError: They are not what scikit-learn's estimators accept.
        """
        if _has_categories(given):
            _, targets = validate_data(estimator, given, targets, skip_check_array=True)
            estimator.n_features_in_ = given.shape[1]
            frame = as_frame(given)
            self.names = list(frame.columns)
            return frame, np.asarray(targets)
        options = {"accept_sparse": SPARSE, "dtype": "numeric", "ensure_all_finite": "allow-nan"}
        options["ensure_min_samples"] = 2
        array, targets = validate_data(estimator, given, targets, **options | checks)
        array = _dense(array)
        self.means = np.nan_to_num(array).mean(axis=0)
        if np.isnan(array).any():
            self.imputer = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
            array = self.imputer.fit_transform(array)
        return array, targets

    def apply(self, estimator: Any, given: Any) -> Any:
        """Return new inputs, in the form of those of `fit`.

        Raises:
            ValueError: They have other columns.
        """
        if self.names is not None:
            validate_data(estimator, given, reset=False, skip_check_array=True)
            return as_frame(given).select(self.names) if is_frame(given) else _named(given, self.names)
        array = validate_data(
            estimator,
            given,
            reset=False,
            accept_sparse=SPARSE,
            dtype="numeric",
            ensure_all_finite="allow-nan",
        )
        array = _dense(array)
        if self.imputer is not None:
            return self.imputer.transform(array)
        missing = np.isnan(array)
        if missing.any():  # though there were none in training
            array[missing] = np.take(self.means, np.nonzero(missing)[1])
        return array


def _has_categories(given: Any) -> bool:
    """Return whether something is a frame with columns that are not numbers."""
    if not is_frame(given):
        return False
    return any(not (kind.is_numeric() or kind == pl.Boolean) for kind in as_frame(given).dtypes)


def _dense(array: Any) -> np.ndarray:
    """Return float64 numbers, in memory of their own."""
    whole = array.toarray() if sparse.issparse(array) else array
    return np.array(whole, np.float64)


def _named(given: Any, names: list[str]) -> pl.DataFrame:
    """Return an array of objects as a frame: each column has the type of its values."""
    columns = zip(names, np.asarray(given, dtype=object).T, strict=True)
    return pl.DataFrame([pl.Series(name, column.tolist(), strict=False) for name, column in columns])
