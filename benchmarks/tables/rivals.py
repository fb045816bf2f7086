"""The contestants: each trains on a table with its defaults and predicts another, on one thread.

Every rival gets the table as its users would prepare it: boosted trees take missing values and categories
themselves; linear models, forests and networks of scikit-learn get means or the commonest for missing
values, standardised numbers and one input for each category. Targets of networks are standardised.
"""

import importlib.util
import os
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_selector
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

import thalweg as tw
from benchmarks.tables.sets import CLASSES, Set

# (training table, test table, set, seed) -> probabilities `row class` with the classes, or values `row`.
Predictions = tuple[np.ndarray, list[str] | None]
Contestant = Callable[[pd.DataFrame, pd.DataFrame, Set, int], Predictions]
OURS, ENSEMBLE = "Thalweg", "Thalweg, ensemble of 8"


def _thalweg(ensemble: int | None) -> Contestant:
    """Return `fit` with a target and, of an ensemble, the number of its members."""

    def run(train: pd.DataFrame, test: pd.DataFrame, each: Set, seed: int) -> Predictions:
        task = "classification" if each.task == CLASSES else "regression"
        options = {"test": 0.0, "task": task, "seed": seed, "split_seed": seed, "progress": False}
        fitted = tw.fit(train, target=each.target, ensemble=ensemble, **options)
        answers = fitted.predict(test.drop(columns=each.target))
        if each.task != CLASSES:
            return np.asarray(answers["prediction"], float), None
        names = [name for name in answers if name.startswith("probability_")]
        shares = np.stack([answers[name] for name in names], axis=1)
        return shares, [name.removeprefix("probability_") for name in names]

    return run


def _sklearn(classifier: Callable[[int], Any], regressor: Callable[[int], Any], encoder: str) -> Contestant:
    def run(train: pd.DataFrame, test: pd.DataFrame, each: Set, seed: int) -> Predictions:
        prepare = {"one-hot": _one_hot, "numbers": _numbers}[encoder]()
        model = make_pipeline(prepare, (classifier if each.task == CLASSES else regressor)(seed))
        return _fitted(model, train, test, each)

    return run


def _fitted(model: Any, train: pd.DataFrame, test: pd.DataFrame, each: Set) -> Predictions:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(train.drop(columns=each.target), train[each.target])
        rows = test.drop(columns=each.target)
        if each.task != CLASSES:
            return np.asarray(model.predict(rows), float).reshape(len(test)), None
        return model.predict_proba(rows), list(map(str, model.classes_))


def _one_hot() -> ColumnTransformer:
    numeric = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
    words = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=2, sparse_output=False)
    return _by_kind(numeric, words)


def _numbers() -> ColumnTransformer:
    words = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan)
    return _by_kind("passthrough", words)


def _by_kind(numeric: Any, words: Any) -> ColumnTransformer:
    return ColumnTransformer(
        [
            ("numeric", numeric, make_column_selector(dtype_include="number")),
            ("words", words, make_column_selector(dtype_exclude="number")),
        ]
    )


def _standardised(regressor: Any) -> TransformedTargetRegressor:
    return TransformedTargetRegressor(regressor, transformer=StandardScaler())


def _boosting(train: pd.DataFrame, test: pd.DataFrame, each: Set, seed: int) -> Predictions:
    kind = HistGradientBoostingClassifier if each.task == CLASSES else HistGradientBoostingRegressor
    columns = train.drop(columns=each.target).columns
    own, new = train.copy(), test.copy()
    few = []
    for name in columns:  # its categories may have 255 values at most
        if not pd.api.types.is_numeric_dtype(own[name]):
            known = own[name].value_counts().index[:250]
            few.append(name)
            own[name] = pd.Categorical(own[name], categories=known)
            new[name] = pd.Categorical(new[name], categories=known)
    return _fitted(kind(random_state=seed, categorical_features=few or None), own, new, each)


def _lightgbm(train: pd.DataFrame, test: pd.DataFrame, each: Set, seed: int) -> Predictions:
    import lightgbm

    kind = lightgbm.LGBMClassifier if each.task == CLASSES else lightgbm.LGBMRegressor
    model = kind(random_state=seed, n_jobs=1, verbose=-1)
    own, new = _categories(train, test, each)
    names = {name: f"c{i}" for i, name in enumerate(own.columns) if name != each.target}
    return _fitted(model, own.rename(columns=names), new.rename(columns=names), each)


def _xgboost(train: pd.DataFrame, test: pd.DataFrame, each: Set, seed: int) -> Predictions:
    import xgboost

    own, new = _categories(train, test, each)
    names = {name: f"c{i}" for i, name in enumerate(own.columns) if name != each.target}
    own, new = own.rename(columns=names), new.rename(columns=names)
    options = {"random_state": seed, "n_jobs": 1, "enable_categorical": True}
    if each.task != CLASSES:
        return _fitted(xgboost.XGBRegressor(**options), own, new, each)
    classes = sorted(own[each.target].unique())
    own = own.assign(**{each.target: own[each.target].map({name: i for i, name in enumerate(classes)})})
    shares, _ = _fitted(xgboost.XGBClassifier(**options), own, new, each)
    return shares, classes


def _catboost(train: pd.DataFrame, test: pd.DataFrame, each: Set, seed: int) -> Predictions:
    import catboost

    words = [c for c in train.columns if c != each.target and not pd.api.types.is_numeric_dtype(train[c])]
    own, new = (frame.assign(**{c: frame[c].fillna("missing") for c in words}) for frame in (train, test))
    kind = catboost.CatBoostClassifier if each.task == CLASSES else catboost.CatBoostRegressor
    options = {"random_seed": seed, "thread_count": 1, "verbose": 0, "allow_writing_files": False}
    return _fitted(kind(cat_features=words, **options), own, new, each)


def _categories(train: pd.DataFrame, test: pd.DataFrame, each: Set) -> tuple[pd.DataFrame, pd.DataFrame]:
    own, new = train.copy(), test.copy()
    for name in train.columns:
        if name != each.target and not pd.api.types.is_numeric_dtype(train[name]):
            known = sorted(train[name].dropna().unique())
            own[name] = pd.Categorical(train[name], categories=known)
            new[name] = pd.Categorical(test[name].where(test[name].isin(known)), categories=known)
    return own, new


_EVERYWHERE: dict[str, Contestant] = {
    OURS: _thalweg(None),
    ENSEMBLE: _thalweg(8),
    "HistGradientBoosting": _boosting,
    "RandomForest": _sklearn(
        lambda seed: RandomForestClassifier(random_state=seed),
        lambda seed: RandomForestRegressor(random_state=seed),
        "one-hot",
    ),
    "scikit-learn MLP": _sklearn(
        lambda seed: MLPClassifier(random_state=seed),
        lambda seed: _standardised(MLPRegressor(random_state=seed)),
        "one-hot",
    ),
    "linear": _sklearn(
        lambda seed: LogisticRegression(max_iter=2000, random_state=seed),
        lambda seed: RidgeCV(np.geomspace(0.1, 1000, 9)),
        "one-hot",
    ),
}
_EXTRAS: dict[str, tuple[str, Contestant]] = {
    "LightGBM": ("lightgbm", _lightgbm),
    "XGBoost": ("xgboost", _xgboost),
    "CatBoost": ("catboost", _catboost),
}


def contestants() -> dict[str, Contestant]:
    """Return the contestants that are installed, by name; ours first."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    found = {name: run for name, (module, run) in _EXTRAS.items() if importlib.util.find_spec(module)}
    return _EVERYWHERE | found
