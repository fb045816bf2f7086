"""Small real data sets that scikit-learn carries: no download.

Only their files are used. Importing `sklearn.datasets` would cost a second of every start, for any data.
"""

from __future__ import annotations

import importlib.util
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from thalweg.core.errors import DataError
from thalweg.core.lazy import pl
from thalweg.problem.data.files import RawArrays
from thalweg.problem.data.files.content import read_bytes

_CELL = ("radius", "texture", "perimeter", "area", "smoothness", "compactness", "concavity", "concave points")
_CELL = (*_CELL, "symmetry", "fractal dimension")


@dataclass(frozen=True)
class Carried:
    """A table as scikit-learn carries it: rows of numbers, the target last or in a file of its own.

    Args:
        file: Name of the file with the inputs.
        columns: Names of the inputs.
        target: Name of the target.
        classes: Labels by class number; empty for values.
        target_file: Name of the file with the targets, if they have one.
    """

    file: str
    columns: tuple[str, ...]
    target: str
    classes: tuple[str, ...] = ()
    target_file: str = ""


TABLES = {
    "iris": Carried(
        "iris.csv",
        ("sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"),
        "species",
        ("setosa", "versicolor", "virginica"),
    ),
    "wine": Carried(
        "wine_data.csv",
        (
            *(
                "alcohol",
                "malic_acid",
                "ash",
                "alcalinity_of_ash",
                "magnesium",
                "total_phenols",
                "flavanoids",
            ),
            *("nonflavanoid_phenols", "proanthocyanins", "color_intensity", "hue"),
            *("od280/od315_of_diluted_wines", "proline"),
        ),
        "cultivar",
        ("class_0", "class_1", "class_2"),
    ),
    "breast_cancer": Carried(
        "breast_cancer.csv",
        tuple(f"mean {name}" for name in _CELL)
        + tuple(f"{name} error" for name in _CELL)
        + tuple(f"worst {name}" for name in _CELL),
        "diagnosis",
        ("malignant", "benign"),
    ),
    "diabetes": Carried(
        "diabetes_data_raw.csv.gz",
        ("age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6"),
        "progression",
        target_file="diabetes_target.csv.gz",
    ),
}


def digits() -> RawArrays:
    """1,797 handwritten digits, 8x8, brightness 0..16 as bytes."""
    rows = _numbers("digits.csv.gz", delimiter=",")
    pictures = rows[:, :-1].reshape(-1, 8, 8).astype(np.uint8)
    labels = rows[:, -1].astype(np.int64)
    return RawArrays("digits", pictures, labels, classes=tuple(range(10)), target="digit", image=True)


def table(name: str) -> tuple[pl.DataFrame, str]:
    """Return one of the tables as a frame, and the name of its target column."""
    known = TABLES[name]
    if known.target_file:
        rows, targets = _numbers(known.file), _numbers(known.target_file)
    else:
        rows = _numbers(known.file, delimiter=",", skiprows=1)  # the first line holds counts and class names
        rows, targets = rows[:, :-1], rows[:, -1]
    labels = [known.classes[int(code)] for code in targets] if known.classes else targets.reshape(-1)
    frame = pl.DataFrame(rows, schema=list(known.columns), orient="row")
    return frame.with_columns(pl.Series(known.target, labels)), known.target


def _numbers(name: str, delimiter: str | None = None, skiprows: int = 0) -> np.ndarray:
    spec = importlib.util.find_spec("sklearn")
    path = Path(spec.origin).parent / "datasets" / "data" / name if spec and spec.origin else None
    if path is None or not path.is_file():
        rule = f"scikit-learn must carry {name}"
        raise DataError("data", rule, where=path, hint="install scikit-learn 1.6 or newer again")
    return np.loadtxt(io.BytesIO(read_bytes(path)), delimiter=delimiter, skiprows=skiprows)
