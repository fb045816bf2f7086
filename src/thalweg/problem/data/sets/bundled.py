"""Small real data sets that ship with scikit-learn: nothing is downloaded.

Only its files are used: importing `sklearn.datasets` would add a second to every start.
"""

from __future__ import annotations

import importlib.util
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from thalweg.core.errors import DataError
from thalweg.core.lazy import pl
from thalweg.problem.data.files import IMAGE, RawArrays
from thalweg.problem.data.files.content import read_bytes

_CELL = ("radius", "texture", "perimeter", "area", "smoothness", "compactness", "concavity", "concave points")
_CELL = (*_CELL, "symmetry", "fractal dimension")
_WINE = ("alcohol", "malic_acid", "ash", "alcalinity_of_ash", "magnesium", "total_phenols", "flavanoids")
_WINE = (*_WINE, "nonflavanoid_phenols", "proanthocyanins", "color_intensity", "hue")
_WINE = (*_WINE, "od280/od315_of_diluted_wines", "proline")


@dataclass(frozen=True)
class BundledTable:
    """A table of scikit-learn: rows of numbers, the target in the last column or in a separate file.

    Args:
        file: Name of the file with the inputs.
        columns: Names of the inputs.
        target: Name of the target.
        classes: Labels by class number; empty for regression.
        target_file: Name of the file with the targets, if they have one.
    """

    file: str
    columns: tuple[str, ...]
    target: str
    classes: tuple[str, ...] = ()
    target_file: str = ""


TABLES = {
    "iris": BundledTable(
        "iris.csv",
        ("sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"),
        "species",
        ("setosa", "versicolor", "virginica"),
    ),
    "wine": BundledTable("wine_data.csv", _WINE, "cultivar", ("class_0", "class_1", "class_2")),
    "breast_cancer": BundledTable(
        "breast_cancer.csv",
        tuple(form.format(name) for form in ("mean {}", "{} error", "worst {}") for name in _CELL),
        "diagnosis",
        ("malignant", "benign"),
    ),
    "diabetes": BundledTable(
        "diabetes_data_raw.csv.gz",
        ("age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6"),
        "progression",
        target_file="diabetes_target.csv.gz",
    ),
}


def digits() -> RawArrays:
    """Return 1,797 handwritten digits, 8x8, brightness 0..16 as bytes."""
    rows = _numbers("digits.csv.gz", delimiter=",")
    pictures = rows[:, :-1].reshape(-1, 8, 8).astype(np.uint8)
    labels = rows[:, -1].astype(np.int64)
    return RawArrays("digits", pictures, labels, classes=tuple(range(10)), target="digit", kind=IMAGE)


def table(name: str) -> tuple[pl.DataFrame, str]:
    """Return a table as a frame, and the name of its target column."""
    bundled = TABLES[name]
    if bundled.target_file:
        rows, targets = _numbers(bundled.file), _numbers(bundled.target_file)
    else:
        rows = _numbers(bundled.file, delimiter=",", skiprows=1)  # the first line holds counts and classes
        rows, targets = rows[:, :-1], rows[:, -1]
    labels = [bundled.classes[int(code)] for code in targets] if bundled.classes else targets.reshape(-1)
    frame = pl.DataFrame(rows, schema=list(bundled.columns), orient="row")
    return frame.with_columns(pl.Series(bundled.target, labels)), bundled.target


def _numbers(name: str, delimiter: str | None = None, skiprows: int = 0) -> np.ndarray:
    spec = importlib.util.find_spec("sklearn")
    path = Path(spec.origin).parent / "datasets" / "data" / name if spec and spec.origin else None
    if path is None or not path.is_file():
        rule, hint = f"scikit-learn must contain {name}", "reinstall scikit-learn, 1.6 or newer"
        raise DataError("data", rule, where=path, hint=hint)
    return np.loadtxt(io.BytesIO(read_bytes(path)), delimiter=delimiter, skiprows=skiprows)
