"""What the classifier and the regressor share: parameters, training, weights of rows, further training."""

import json
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import numpy as np
import polars as pl
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from thalweg.core import disk
from thalweg.core.stop_reason import StopReason
from thalweg.doors.estimators.columns import Inputs
from thalweg.doors.estimators.shelf import SHELF, Handed, Shelf, described, digest
from thalweg.insight.fit import RecipeRequest
from thalweg.problem.data.arrays import from_arrays
from thalweg.problem.data.data import REGRESSION, Data
from thalweg.problem.data.files import RawArrays
from thalweg.problem.data.load import load
from thalweg.problem.data.options import LoadOptions
from thalweg.problem.data.split import Rows
from thalweg.problem.models import parse
from thalweg.problem.problem import Problem
from thalweg.recipe.recipe import FULL, Recipe
from thalweg.recipe.schedules import Constant
from thalweg.run.folder import weights as weight_files
from thalweg.run.run import Run
from thalweg.run.train import train

# Whole-number weights whose sum is at most this many times the number of rows are repeated rows.
MOST_REPEATED = 20
# With fewer rows than this there is no validation split: its loss would be chance.
FEWEST_ROWS = 20
TARGET = "target"


class ThalwegEstimator(BaseEstimator):
    """A network for tables, in scikit-learn's form. Attributes that end in `_` are learned.

    Args:
        model: A specification (`"mlp:256,256"`), an architecture, an Equinox module or its factory; None for
            the default of the data.
        recipe: A `Recipe`, the name of one, or a TOML file; None for the default of the data.
        optimizer, lr, weight_decay, batch_size, epochs, steps: Replace the recipe's own; None leaves it.
            A batch larger than the data becomes the data.
        settings: Further settings of the recipe by path, such as `{"schedule": "cosine"}`.
        validation_fraction: Share of the rows by which the best weights are chosen and `early_stopping`
            stops, at least 0 and below 1. With 0, or fewer than 20 rows, the last weights are used.
        early_stopping: Number of evaluations without a lower validation loss after which training ends; None
            for the recipe's own.
        warm_start: Whether `fit` starts from the weights of the last call.
        random_state: Seed of initial weights, data order, noise and the validation rows; or a NumPy
            generator; None for another one in every call.
        verbose: Whether to show progress.
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
        validation_fraction: float = 0.1,
        early_stopping: int | None = None,
        warm_start: bool = False,
        random_state: Any = None,
        verbose: bool = False,
    ):
        self.model = model
        self.recipe = recipe
        self.optimizer = optimizer
        self.lr = lr
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.epochs = epochs
        self.steps = steps
        self.settings = settings
        self.validation_fraction = validation_fraction
        self.early_stopping = early_stopping
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        """Return what scikit-learn may expect of the estimator."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.sparse = True
        return tags

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train a network.

        The result does not depend on the order of the rows: they are put into one of their own, in which a
        row with a whole weight stands as often as its weight says.

        Args:
            X: `row column`: an array, a sparse matrix or a frame; values may be missing. Columns of a frame
                that are not numbers get the types that `thalweg fit` finds.
            y: The targets.
            sample_weight: What each row counts, at least 0; a row that counts 0 is as if it were absent.

        Raises:
            ValueError, TypeError: The data or a parameter cannot be used.
        """
        before = self._weights() if self.warm_start and hasattr(self, "run_") else None
        inputs = Inputs()
        given, targets = self._checked(inputs, X, y)
        shelf, state = SHELF.get(), self.random_state
        if shelf is not None and state is None:
            seed = shelf.seed
        else:
            seed = int(check_random_state(state).randint(2**31 - 1))
        self._inputs = inputs
        if shelf is None or before is not None:
            data = self._data(given, targets, sample_weight, seed)
            self._train(self._problem(data), self._recipe(data, seed), before)
            return self
        handed = self._handed(shelf, given, targets, sample_weight, seed)
        run = shelf.take(handed)
        if run is None:
            self._train(handed.problem, handed.recipe, None)
        else:
            self._learn(run)
        return self

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Train for one pass over these rows, from the weights of the last call, at a constant rate.

        Means and scales of the inputs are those of the first call; the state of the optimizer starts afresh
        in each call.

        Args:
            X, y, sample_weight: As for `fit`.
            classes: For a classifier, all classes, in the first call.
        """
        if not hasattr(self, "run_"):
            self._remember(classes)
            known = dict(self.__dict__)
            once = self.set_params(epochs=1, steps=None, warm_start=False)
            try:
                return once.fit(X, y, sample_weight)
            finally:
                self.set_params(**{name: known[name] for name in ("epochs", "steps", "warm_start")})
        given = self._inputs.apply(self, X)
        targets = self._encoded(np.asarray(y))
        given, targets, weights = _in_own_order(given, *_with_weights(targets, sample_weight))
        if weights is not None:
            raise ValueError("partial_fit takes whole-number weights only; repeat rows, or use fit")
        problem = self.run_.problem
        preparation = problem.data.preparation
        if problem.data.task == REGRESSION:
            mean, scale = (np.asarray(getattr(preparation, f"target_{name}")) for name in ("mean", "scale"))
            targets = ((targets.reshape(len(targets), -1) - mean) / scale).astype(np.float32)
        rows = Rows(preparation.columns.inputs(given), targets)
        data = replace(problem.data, train=rows, validation=None, test=None, rows={})
        recipe = replace(self.run_.recipe, epochs=1, steps=None, schedule=Constant())
        self._train(replace(problem, data=data), _fitting(recipe, rows.count()), self._weights())
        return self

    def _train(self, problem: Problem, recipe: Recipe, before: bytes | None) -> None:
        with TemporaryDirectory() as folder:
            path = None if before is None else Path(folder) / "before.safetensors"
            if path is not None and before is not None:
                disk.replace(path, before)
            self._learn(train(problem, recipe, init=path, progress=None if self.verbose else False))

    def _learn(self, run: Run) -> None:
        """Set what is learned from a run."""
        self.run_, result = run, run.result
        self.n_iter_ = max(1, round(result["epochs"]))
        self.loss_ = result["train_loss"]
        self.n_outputs_ = run.problem.data.outputs
        if result["stopped"] == StopReason.DIVERGED:
            text = f"training diverged after {result['steps']} updates; use a lower lr, or leave it out"
            warnings.warn(text, ConvergenceWarning, stacklevel=4)

    def _handed(self, shelf: Shelf, given: Any, targets: np.ndarray, sample_weight: Any, seed: int) -> Handed:
        """Return what to train; its parts are made once for all estimators of a search."""
        facts = (type(self), self._task(), self._classes(), self.validation_fraction, seed)
        content = f"{digest(given, targets, sample_weight)} {facts}"
        data = shelf.once(content, lambda: self._data(given, targets, sample_weight, seed))
        model = f"{described(self.model)} {self._judging()}"
        problem = shelf.once((model, content), lambda: self._problem(data))
        asked = (repr(self.recipe), *self._settings(), self.lr, self.epochs, self.steps, seed)
        key = (asked, data.task, data.train.count())
        recipe, settings = shelf.once(key, lambda: _with_text(self._recipe(data, seed)))
        return Handed(problem, recipe, (model, content, settings))

    def _problem(self, data: Data) -> Problem:
        return Problem(self._architecture(), data, **self._judging())

    def _data(self, given: Any, targets: np.ndarray, sample_weight: Any, seed: int) -> Data:
        given, targets, weights = _in_own_order(given, *_with_weights(targets, sample_weight))
        validation = self.validation_fraction if len(targets) >= FEWEST_ROWS else 0.0
        more: dict[str, Any] = {} if weights is None else {"weights": weights}
        options = LoadOptions(test=0.0, validation=validation, split_seed=seed, task=self._task(), **more)
        if isinstance(given, pl.DataFrame):
            data = load((given, pl.Series(TARGET, targets)), options)
            classes = self._classes()
            if classes is not None and len(data.preparation.classes or ()) != len(classes):
                raise ValueError("the first rows of a frame with words must hold every one of the classes")
            return data
        raw = RawArrays("table", given, targets, classes=self._classes(), kind="array")
        return from_arrays(raw, options)

    def _task(self) -> str | None:
        """Return the task for `load`; None where it shows in the targets."""
        raise NotImplementedError

    def _classes(self) -> tuple[int, ...] | None:
        """Return the numbers of the classes; None where there are none."""
        raise NotImplementedError

    def _judging(self) -> dict[str, Any]:
        """Return further arguments of the problem."""
        return {}

    def _checked(self, inputs: Inputs, X: Any, y: Any) -> tuple[Any, np.ndarray]:
        """Return the inputs and the encoded targets of `fit`, after scikit-learn's checks."""
        raise NotImplementedError

    def _encoded(self, targets: np.ndarray) -> np.ndarray:
        """Return targets as numbers to train on."""
        raise NotImplementedError

    def _remember(self, classes: Any = None) -> None:
        """Keep what the first call of `partial_fit` says."""

    def _architecture(self) -> Any:
        return parse(self.model) if isinstance(self.model, str) else self.model

    def _settings(self) -> list[str]:
        """Return changes to the recipe, each `PATH=VALUE`."""
        named = {
            "optimizer": self.optimizer,
            "optimizer.weight_decay": self.weight_decay,
            "batch_size": self.batch_size,
            "patience": self.early_stopping,
        } | dict(self.settings or {})
        return [f"{path}={value}" for path, value in named.items() if value is not None]

    def _recipe(self, data: Data, seed: int) -> Recipe:
        request = RecipeRequest(
            self.recipe, self._settings(), self.lr, *(self.epochs, self.steps), seed, allow_auto=False
        )
        return _fitting(request.for_data(data), data.train.count())

    def _weights(self) -> bytes:
        facts = {"step": self.run_.result["steps"], "weights": self.run_.result["weights"]}
        return weight_files.pack((self.run_.params, self.run_.model_state), facts)

    def _outputs(self, X: Any) -> dict[str, np.ndarray]:
        """Return the columns of predictions for new rows."""
        check_is_fitted(self, "run_")
        problem, run = self.run_.problem, self.run_
        preparation = problem.data.preparation
        outputs = run.outputs(preparation.columns.inputs(self._inputs.apply(self, X)))
        return preparation.answers(outputs, problem.data.task, problem.outputs)


def _fitting(recipe: Recipe, rows: int) -> Recipe:
    """Return the recipe with a batch that is not larger than the data."""
    too_large = isinstance(recipe.batch_size, int) and recipe.batch_size > rows
    return replace(recipe, batch_size=FULL) if too_large else recipe


def _with_text(recipe: Recipe) -> tuple[Recipe, str]:
    """Return a recipe and a text that differs where recipes do."""
    return recipe, json.dumps(recipe.to_dict(), sort_keys=True)


def _with_weights(
    targets: np.ndarray, sample_weight: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Return which rows to train on, their targets, and their weights where these are no repetitions."""
    every = np.arange(len(targets))
    if sample_weight is None:
        return every, targets, None
    weights = _check_sample_weight(sample_weight, targets, ensure_non_negative=True)
    whole = bool((weights == np.round(weights)).all()) and weights.sum() <= MOST_REPEATED * len(weights)
    rows = np.repeat(every, weights.astype(np.int64)) if whole else every[weights > 0]
    return rows, targets[rows], None if whole else weights[rows]


def _in_own_order(
    given: Any, rows: np.ndarray, targets: np.ndarray, weights: np.ndarray | None
) -> tuple[Any, np.ndarray, np.ndarray | None]:
    """Return rows, targets and weights in an order that depends on their content alone."""
    if isinstance(given, pl.DataFrame):
        words = given.hash_rows(seed=0).to_numpy()[rows]
    else:
        words = _row_words(np.ascontiguousarray(given))[rows]
    keys = [words, *np.reshape(targets, (len(targets), -1)).T, *([] if weights is None else [weights])]
    order = np.lexsort(keys[::-1])
    chosen = rows[order]
    ordered = given[chosen.tolist()] if isinstance(given, pl.DataFrame) else given[chosen]
    return ordered, targets[order], None if weights is None else weights[order]


def _row_words(array: np.ndarray) -> np.ndarray:
    """Return 64 bits for each row that depend on its numbers alone, the same in every process."""
    factors = np.random.Generator(np.random.Philox(0)).integers(2**63, size=array.shape[1], dtype=np.uint64)
    bits = (array + 0.0).view(np.uint64)  # so that -0 and 0 are one number
    mixed = (bits ^ (bits >> np.uint64(29))) * (2 * factors + np.uint64(1))
    return (mixed ^ (mixed >> np.uint64(32))).sum(axis=1, dtype=np.uint64)
