"""Small real data sets that scikit-learn carries: no download."""

from typing import Any

import numpy as np
import polars as pl
from sklearn import datasets

from thalweg.problem.data.arrays import RawArrays

TABLES = {
    "iris": (datasets.load_iris, "species"),
    "wine": (datasets.load_wine, "cultivar"),
    "breast_cancer": (datasets.load_breast_cancer, "diagnosis"),
    "diabetes": (datasets.load_diabetes, "progression"),
}


def digits() -> RawArrays:
    """1,797 handwritten digits, 8x8, brightness 0..16 as bytes."""
    images, labels = datasets.load_digits(return_X_y=True)
    pictures = np.asarray(images).reshape(-1, 8, 8).astype(np.uint8)
    return RawArrays(
        "digits", pictures, np.asarray(labels), classes=tuple(range(10)), target="digit", image=True
    )


def table(name: str) -> tuple[pl.DataFrame, str]:
    """Return one of the tables as a frame, and the name of its target column."""
    reader, target = TABLES[name]
    bunch: Any = reader()
    frame = pl.DataFrame(np.asarray(bunch.data), schema=[str(n) for n in bunch.feature_names])
    labels = np.asarray(bunch.target)
    names = getattr(bunch, "target_names", None)
    column = [str(names[i]) for i in labels] if names is not None and len(names) else labels
    return frame.with_columns(pl.Series(target, column)), target
