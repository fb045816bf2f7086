"""Thalweg's default model and recipe compared with scikit-learn's MLP defaults: same rows, five splits
(titanic: twenty), four data sets.

scikit-learn gets StandardScaler, one-hot encoding and imputation; on titanic, the columns that would hurt it
(one-hot encoded names and tickets) are dropped. Thalweg gets the raw table. MLPRegressor is shown with its
defaults, and with a standardised target (TransformedTargetRegressor), which users often omit.
"""

import sys
import warnings

import pandas as pd
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_selector
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.metrics import accuracy_score, root_mean_squared_error
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import thalweg as tw
from benchmarks.machine import data_folder, markdown

# Titanic's test split has 179 rows: five splits cannot resolve two points, so it gets twenty; both means are
# shown.
SEEDS = {"titanic": 20}
FEWEST = 5
SETS = ("digits", "california_housing", "titanic", "adult")
TARGETS = {
    "digits": "target",
    "california_housing": "median_house_value",
    "titanic": "Survived",
    "adult": "14",
}
PEER_DROPS = {"titanic": ["PassengerId", "Name", "Ticket", "Cabin"]}


def run(quick: bool) -> dict:
    """Train both on every set and seed."""
    scores: dict[str, dict[str, list[float]]] = {}
    for name in SETS:
        scores[name] = {"thalweg": [], "scikit-learn": []}
        for seed in range(1 if quick else SEEDS.get(name, FEWEST)):
            train, test = split(name, seed)
            scores[name]["thalweg"].append(ours(name, train, test, seed))
            for peer, score in theirs(name, train, test, seed).items():
                scores[name].setdefault(peer, []).append(score)
            print(name, seed, {k: round(v[-1], 4) for k, v in scores[name].items()}, file=sys.stderr)
    return {"scores": scores}


def table(result: dict) -> str:
    """Return the table: means over seeds, with their range."""
    rows = []
    for name, scores in result["scores"].items():
        low_is_good = name == "california_housing"
        cells = [
            _cell(scores.get(peer), low_is_good)
            for peer in ("thalweg", "scikit-learn", "standardised target")
        ]
        if len(scores["thalweg"]) > FEWEST:
            few = {peer: values[:FEWEST] for peer, values in scores.items()}
            cells_few = [_cell(few.get(peer), low_is_good) for peer in ("thalweg", "scikit-learn", "")]
            rows.append([f"{name}, first {FEWEST} splits", "accuracy, %", *cells_few])
            name = f"{name}, {len(scores['thalweg'])} splits"
        rows.append([name, "RMSE, thousand $" if low_is_good else "accuracy, %", *cells])
    return markdown(
        ["data", "test metric", "Thalweg", "scikit-learn MLP", "scikit-learn MLP, target standardised"], rows
    )


def split(name: str, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the train and test rows of a set, as raw tables."""
    frame = _frame(name)
    labels = None if name == "california_housing" else frame[TARGETS[name]]
    train, test = train_test_split(frame, test_size=0.2, random_state=seed, stratify=labels)
    return train.reset_index(drop=True), test.reset_index(drop=True)


def ours(name: str, train: pd.DataFrame, test: pd.DataFrame, seed: int) -> float:
    """Return the test metric of the default model and recipe."""
    missing = ("?",) if name == "adult" else ()
    if name == "digits":
        x, y = train.drop(columns="target").to_numpy("uint8"), train["target"].to_numpy()
        xt, yt = test.drop(columns="target").to_numpy("uint8"), test["target"].to_numpy()
        data = tw.load((x.reshape(-1, 8, 8), y), test=(xt.reshape(-1, 8, 8), yt), split_seed=seed)
    else:
        data = tw.load(train, target=TARGETS[name], test=test, missing=missing, split_seed=seed)
    recipe = tw.default_recipe(data.task, data.train.count())
    result = tw.train(tw.Problem(None, data), tw.Recipe.from_dict(recipe.to_dict() | {"seed": seed})).result
    return result["test_metric"]["value"]


def theirs(name: str, train: pd.DataFrame, test: pd.DataFrame, seed: int) -> dict[str, float]:
    """Return the test metrics of scikit-learn's defaults."""
    target, drops = TARGETS[name], PEER_DROPS.get(name, [])
    x, y = train.drop(columns=[target, *drops]), train[target]
    xt, yt = test.drop(columns=[target, *drops]), test[target]
    regression = name == "california_housing"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # its default is 200 iterations
        if not regression:
            model = make_pipeline(_encoder(), MLPClassifier(random_state=seed)).fit(x, y)
            return {"scikit-learn": accuracy_score(yt, model.predict(xt))}
        plain = make_pipeline(_encoder(), MLPRegressor(random_state=seed)).fit(x, y)
        inner = make_pipeline(_encoder(), MLPRegressor(random_state=seed))
        scaled = TransformedTargetRegressor(inner, transformer=StandardScaler()).fit(x, y)
    return {
        "scikit-learn": root_mean_squared_error(yt, plain.predict(xt)),
        "standardised target": root_mean_squared_error(yt, scaled.predict(xt)),
    }


def _encoder() -> ColumnTransformer:
    numeric = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
    words = make_pipeline(
        SimpleImputer(strategy="constant", fill_value="missing"),
        OneHotEncoder(handle_unknown="ignore", sparse_output=False),
    )
    return ColumnTransformer(
        [
            ("numeric", numeric, make_column_selector(dtype_include="number")),
            ("words", words, make_column_selector(dtype_exclude="number")),
        ]
    )


def _frame(name: str) -> pd.DataFrame:
    folder = data_folder() / "tabular"
    if name == "digits":
        bunch = load_digits()
        return pd.DataFrame(bunch.data).assign(target=bunch.target).rename(columns=str)
    if name == "california_housing":
        return pd.read_csv(folder / "california_housing.csv.gz")
    if name == "titanic":
        return pd.read_csv(folder / "titanic.csv")
    frame = pd.read_csv(folder / "adult-train.csv.gz", header=None, skipinitialspace=True, na_values="?")
    return frame.rename(columns=str)


def _cell(values: list[float] | None, low_is_good: bool) -> str:
    if values is None:
        return ""
    scale = 1e-3 if low_is_good else 100
    scaled = [scale * value for value in values]
    return f"{sum(scaled) / len(scaled):.2f} ({min(scaled):.2f}-{max(scaled):.2f})"
