"""`ThalwegClassifier` tells classes, or several labels, apart; `ThalwegRegressor` predicts numbers."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import column_or_1d

from thalweg.doors.estimators.columns import Inputs
from thalweg.doors.estimators.estimator import ThalwegEstimator
from thalweg.problem.data.data import CLASSIFICATION, REGRESSION
from thalweg.problem.targets import BALANCED


class ThalwegClassifier(ClassifierMixin, ThalwegEstimator):
    """A network as a classifier; the parameters are those of `ThalwegEstimator`, and one more.

    Args:
        class_weight: What a class counts in the loss: None: all the same; `"balanced"`: all classes the same
            together; or weights by class, where those that are not named weigh 1. Divided by their mean over
            the training rows. Not with several labels.

    Attributes:
        classes_: The classes; with several labels their numbers.
        run_: The run: its weights, history and result.
        n_iter_: Passes over the data, at least 1.

    Example:
        >>> from sklearn.datasets import load_iris
        >>> from sklearn.model_selection import cross_val_score
        >>> cross_val_score(ThalwegClassifier(random_state=0), *load_iris(return_X_y=True)).mean() > 0.9
        True
    """

    def __init__(
        self,
        model: Any = None,
        *,
        recipe: Any = None,
        optimizer: str | None = None,
        lr: float | None = None,
        weight_decay: float | None = None,
        batch_size: int | str | None = None,
        epochs: int | None = None,
        steps: int | None = None,
        settings: Mapping[str, Any] | None = None,
        class_weight: Mapping[Any, float] | str | None = None,
        validation_fraction: float = 0.1,
        early_stopping: int | None = None,
        warm_start: bool = False,
        random_state: Any = None,
        verbose: bool = False,
    ):
        super().__init__(
            model,
            recipe=recipe,
            optimizer=optimizer,
            lr=lr,
            weight_decay=weight_decay,
            batch_size=batch_size,
            epochs=epochs,
            steps=steps,
            settings=settings,
            validation_fraction=validation_fraction,
            early_stopping=early_stopping,
            warm_start=warm_start,
            random_state=random_state,
            verbose=verbose,
        )
        self.class_weight = class_weight

    def __sklearn_tags__(self) -> Any:
        """Return what scikit-learn may expect of the classifier."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def predict(self, X: Any) -> np.ndarray:
        """Return the class of every row; with several labels 0 or 1 for each, `row label`."""
        probabilities = self.predict_proba(X)
        if self._several:
            return (probabilities > 0.5).astype(np.int64)
        return self.classes_[probabilities.argmax(axis=1)]

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return probabilities, `row class`; with several labels that of each label."""
        answers = self._outputs(X)
        columns = [values for name, values in answers.items() if name != "prediction"]
        return np.column_stack(columns).astype(np.float64)

    def decision_function(self, X: Any) -> np.ndarray:
        """Return log probabilities, `row class`; of two classes the log odds of the second."""
        logs = np.log(np.maximum(self.predict_proba(X), np.finfo(np.float64).tiny))
        return logs[:, 1] - logs[:, 0] if logs.shape[1] == 2 and not self._several else logs

    def _task(self) -> str | None:
        return None if self._several else CLASSIFICATION

    def _classes(self) -> tuple[int, ...] | None:
        return None if self._several else tuple(range(len(self.classes_)))

    def _judging(self) -> dict[str, Any]:
        """Return the weights of the classes, by their numbers.

        Raises:
            ValueError: They are none, or name a class that is not there.
        """
        given = self.class_weight
        if given is None:
            return {}
        if self._several:
            raise ValueError("class_weight is for one class for each row; y has several labels")
        if isinstance(given, str):
            if given != BALANCED:
                raise ValueError(f"class_weight must be {BALANCED!r}, or weights by class; got {given!r}")
            return {"class_weight": BALANCED}
        if not isinstance(given, Mapping):
            raise ValueError(f"class_weight must be {BALANCED!r}, or weights by class; got {given!r}")
        numbers = {label: number for number, label in enumerate(self.classes_.tolist())}
        unknown = [label for label in given if label not in numbers]
        if unknown:
            known = ", ".join(map(repr, numbers))
            raise ValueError(f"class_weight names no class: {unknown!r}; the classes are {known}")
        return {"class_weight": {numbers[label]: float(weight) for label, weight in given.items()}}

    def _remember(self, classes: Any = None) -> None:
        """Keep the classes that the first call of `partial_fit` names."""
        if classes is None:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        self._named = np.unique(classes)

    def _checked(self, inputs: Inputs, X: Any, y: Any) -> tuple[Any, np.ndarray]:
        given, targets = inputs.fit(self, X, y, multi_output=True)
        if targets.dtype.kind == "O" and any(value is None for value in np.ravel(targets)):
            raise ValueError("y must have a class in every row; got None; leave such rows out")
        kind = type_of_target(targets, input_name="y")
        if kind not in ("binary", "multiclass"):  # it sorts the targets again, which takes long for words
            check_classification_targets(targets)
        self._several = kind.startswith("multilabel")
        if self._several:
            self.classes_ = np.arange(targets.shape[1])
            return given, np.asarray(targets, np.float64)
        targets, named = column_or_1d(targets, warn=True), self.__dict__.pop("_named", None)
        if named is None:
            self.classes_, numbers = np.unique(targets, return_inverse=True)
        else:
            self.classes_, numbers = named, None
        if len(self.classes_) < 2:
            rule = "needs samples of at least 2 classes in the data, but the data contains only one class"
            raise ValueError(f"{type(self).__name__} {rule}: {self.classes_[0]!r}")
        return given, self._encoded(targets) if numbers is None else numbers.astype(np.int32)

    def _encoded(self, targets: np.ndarray) -> np.ndarray:
        """Return the number of every target's class."""
        if self._several:
            return targets.astype(np.float32)
        targets = column_or_1d(targets)
        unknown = np.setdiff1d(targets, self.classes_)
        if unknown.size:
            raise ValueError(f"y must hold the classes of the first call; got {unknown.tolist()}")
        return np.searchsorted(self.classes_, targets).astype(np.int32)


class ThalwegRegressor(RegressorMixin, ThalwegEstimator):
    """A network as a regressor; the parameters are those of `ThalwegEstimator`.

    Attributes:
        run_: The run: its weights, history and result.
        n_iter_: Passes over the data, at least 1.

    Example:
        >>> from sklearn.datasets import load_diabetes
        >>> regressor = ThalwegRegressor("mlp:64", epochs=50, random_state=0)
        >>> regressor.fit(*load_diabetes(return_X_y=True)).score(*load_diabetes(return_X_y=True)) > 0.4
        True
    """

    def __sklearn_tags__(self) -> Any:
        """Return what scikit-learn may expect of the regressor."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def predict(self, X: Any) -> np.ndarray:
        """Return the predicted number of every row; of several targets `row target`."""
        values = np.asarray(self._outputs(X)["prediction"], np.float64)
        return values.reshape(len(values)) if self._one_column else values

    def _task(self) -> str:
        return REGRESSION

    def _classes(self) -> None:
        return None

    def _checked(self, inputs: Inputs, X: Any, y: Any) -> tuple[Any, np.ndarray]:
        given, targets = inputs.fit(self, X, y, multi_output=True, y_numeric=True)
        self._one_column = targets.ndim == 1 or targets.shape[1] == 1
        return given, np.asarray(targets, np.float64)

    def _encoded(self, targets: np.ndarray) -> np.ndarray:
        return targets.astype(np.float64)
