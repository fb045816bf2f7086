"""scikit-learn's own checks of an estimator: Thalweg, skorch and Keras' wrapper, where they are installed.

`sklearn.utils.estimator_checks.check_estimator` with the settings that each needs to be quick and nothing
else: no check is declared to fail. skorch gets a module of one hidden layer for any number of inputs of any
type, with its callback for their number; Keras' wrapper the function of its documentation, on JAX.
"""

import importlib.util
import os
import warnings
from collections import Counter
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from sklearn.utils.estimator_checks import check_estimator

from benchmarks.machine import markdown

os.environ.setdefault("KERAS_BACKEND", "jax")


_SETTINGS: dict[str, Any] = {"batch_size": 32, "steps": 300, "lr": 1e-2}


def run(quick: bool) -> dict[str, Any]:
    """Run the checks; quick: of the first estimator alone."""
    found: dict[str, Any] = {}
    for name, (package, make) in list(_ESTIMATORS.items())[: 1 if quick else None]:
        if importlib.util.find_spec(package) is None:
            found[name] = {"missing": package}
            continue
        found[name] = {"version": version(package), **_checked(make())}
    return {"found": found, "scikit-learn": version("scikit-learn")}


def _checked(estimator: Any) -> dict[str, Any]:
    """Return how many checks passed, failed and were skipped, and the names of those that failed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(estimator, on_fail=None, on_skip=None)
    counts = Counter(each["status"] for each in results)
    failed = sorted(each["check_name"] for each in results if each["status"] == "failed")
    return {"counts": dict(counts), "failed": failed}


def _classifier() -> Any:
    import thalweg as tw

    return tw.ThalwegClassifier("mlp:16", random_state=0, **_SETTINGS)


def _regressor() -> Any:
    import thalweg as tw

    return tw.ThalwegRegressor("mlp:16", random_state=0, **_SETTINGS)


def _skorch(kind: str) -> Any:
    import skorch
    from skorch.callbacks import InputShapeSetter
    from torch import nn, optim

    from benchmarks.contestants.skorch_module import Net

    trained: dict[str, Any] = {"optimizer": optim.Adam, "lr": 1e-2, "max_epochs": 100, "batch_size": 32}
    trained |= {"verbose": 0, "callbacks": [InputShapeSetter()]}
    if kind == "regressor":
        return skorch.NeuralNetRegressor(Net, **trained)
    return skorch.NeuralNetClassifier(Net, module__outputs=3, criterion=nn.CrossEntropyLoss, **trained)


def _keras(kind: str) -> Any:
    import keras

    def model(X: Any, y: Any, loss: str) -> Any:
        """Return a compiled model of one hidden layer for the shapes of the data."""
        inputs = keras.Input(X.shape[1:])
        hidden = keras.layers.Dense(16, activation="relu")(inputs)
        outputs = y.shape[1] if y.ndim > 1 else 1
        last = "softmax" if kind == "classifier" else None
        whole = keras.Model(inputs, keras.layers.Dense(outputs, activation=last)(hidden))
        whole.compile(loss=loss, optimizer=keras.optimizers.Adam(1e-2))
        return whole

    if kind == "regressor":
        return keras.wrappers.SKLearnRegressor(
            model, model_kwargs={"loss": "mse"}, fit_kwargs={"epochs": 100, "batch_size": 32, "verbose": 0}
        )
    return keras.wrappers.SKLearnClassifier(
        model,
        model_kwargs={"loss": "categorical_crossentropy"},
        fit_kwargs={"epochs": 100, "batch_size": 32, "verbose": 0},
    )


_ESTIMATORS: dict[str, tuple[str, Callable[[], Any]]] = {
    "ThalwegClassifier": ("thalweg", _classifier),
    "ThalwegRegressor": ("thalweg", _regressor),
    "skorch, NeuralNetClassifier": ("skorch", lambda: _skorch("classifier")),
    "skorch, NeuralNetRegressor": ("skorch", lambda: _skorch("regressor")),
    "Keras, SKLearnClassifier": ("keras", lambda: _keras("classifier")),
    "Keras, SKLearnRegressor": ("keras", lambda: _keras("regressor")),
}


def table(result: dict[str, Any]) -> str:
    """Return the table."""
    rows = []
    for name, each in result["found"].items():
        if "missing" in each:
            rows.append([name, f"{each['missing']} is not installed", "", "", ""])
            continue
        counts = each["counts"]
        rows.append(
            [name, each["version"], *(str(counts.get(key, 0)) for key in ("passed", "failed", "skipped"))]
        )
    said = f"checks of scikit-learn {result['scikit-learn']}"
    return f"{said}\n\n{markdown(['estimator', 'version', 'passed', 'failed', 'skipped'], rows)}"
