"""`LaneSearchCV`, `LaneHalvingSearchCV`: searches over candidates and folds as lanes of one program.

scikit-learn's search clones an estimator for every candidate and fold, fits it, and scores it. Here that is
done twice. The first time, an estimator that is about to train hands its problem and recipe over and stops.
All of them are then trained together. The second time each estimator takes its own trained network, and
scikit-learn scores, ranks and refits as ever, pipelines and all.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
from sklearn.base import clone
from sklearn.model_selection import ParameterGrid, ParameterSampler
from sklearn.model_selection._search import BaseSearchCV
from sklearn.model_selection._search_successive_halving import BaseSuccessiveHalving
from sklearn.utils import check_random_state
from sklearn.utils.metaestimators import _safe_split
from sklearn.utils.validation import _check_method_params

from thalweg.core.errors import ThalwegError
from thalweg.doors.estimators.shelf import Handed, Key, Shelf, on_shelf
from thalweg.problem.data.folds import join_folds
from thalweg.run.run import Run
from thalweg.run.train import train


class _Together:
    """What makes a search of scikit-learn train all candidates and folds at once; before it in the bases."""

    estimator: Any
    random_state: Any
    strict: bool

    def fit(self, X: Any, y: Any = None, **params: Any) -> Self:
        """Search, and refit the best candidate on all rows.

        Args:
            X, y: As for the estimator.
            params: Passed on to `fit` of the estimator, the scorer and the splitter (`groups`).
        """
        self._given = X, y, params
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        self.lanes_ = 0
        parent: Any = super()
        try:
            with on_shelf(Shelf(seed)) as self._shelf:
                return parent.fit(X, y, **params)
        finally:
            del self._given, self._shelf

    def _trained_first(self, evaluate_candidates: Callable[..., Any]) -> Callable[..., Any]:
        """Return scikit-learn's function that scores candidates, after these were trained on all folds."""
        given, targets, params = self._given
        search: Any = self
        routed = search._get_routed_params_for_fit(params)

        def evaluate(candidates: Iterable[dict[str, Any]], cv: Any = None, **more: Any) -> Any:
            candidates, splitter = list(candidates), cv or search._checked_cv_orig
            folds = list(splitter.split(given, targets, **routed.splitter.split))
            handed = [
                [self._handed(candidate, rows, routed.estimator.fit) for candidate in candidates]
                for rows, _ in folds
            ]
            self._shelf.runs |= _trained(handed, self.strict)
            self.lanes_ += len(self._shelf.runs)
            results = evaluate_candidates(candidates, cv=_Fixed(folds), **more)
            self._shelf.clear()
            return results

        return evaluate

    def _handed(self, candidate: dict[str, Any], rows: Any, params: dict[str, Any]) -> Handed | None:
        """Return what an estimator is about to train on; None where it fails, which scoring will report."""
        given, targets, _ = self._given
        estimator: Any = clone(self.estimator)
        settings: Any = clone(candidate, safe=False)  # they may be estimators
        estimator.set_params(**settings)
        x, y = _safe_split(estimator, given, targets, rows)
        fitting = _check_method_params(given, params=params, indices=rows)
        try:
            with self._shelf.collecting():
                estimator.fit(x, y, **fitting)
        except Handed as handed:
            return handed
        except Exception:
            return None
        return None


class LaneSearchCV(_Together, BaseSearchCV):
    """Search over parameters by cross-validation, all candidates and folds trained together.

    Attributes and methods are those of `sklearn.model_selection.GridSearchCV`. The estimator is a
    `ThalwegClassifier` or `ThalwegRegressor`, or a pipeline that ends with one. Candidates that differ in
    numbers (rates, decays, seeds) share a compiled program; each model and optimizer has one of its own.
    Steps of a pipeline in front are fitted to each fold's training rows alone, twice.

    Args:
        estimator: What is searched over. Where its `random_state` is None, all candidates share a seed.
        param_grid: Values by parameter, or several such grids; with `n_iter` distributions, too.
        n_iter: Draw so many candidates at random; None tries all.
        scoring, refit, cv, verbose, error_score, return_train_score: As for `GridSearchCV`.
        random_state: Seed of the drawn candidates, and of the estimators where they have none.
        strict: Whether a network has the same bits as when it is fitted alone; without it, within rounding,
            which is faster.

    `mean_fit_time` of `cv_results_` is the time of taking a trained network. `lanes_` says how many networks
    were trained together, before scoring.

    Example:
        >>> from sklearn.datasets import load_iris
        >>> search = LaneSearchCV(ThalwegClassifier(epochs=20), {"lr": [0.001, 0.01, 0.1]}, random_state=0)
        >>> search.fit(*load_iris(return_X_y=True)).best_score_ > 0.9
        True
    """

    def __init__(
        self,
        estimator: Any,
        param_grid: Any,
        *,
        n_iter: int | None = None,
        scoring: Any = None,
        refit: Any = True,
        cv: Any = None,
        verbose: int = 0,
        error_score: Any = np.nan,
        return_train_score: bool = False,
        random_state: Any = None,
        strict: bool = False,
    ):
        super().__init__(
            estimator,
            scoring=scoring,
            refit=refit,
            cv=cv,
            verbose=verbose,
            error_score=error_score,
            return_train_score=return_train_score,
        )
        self.param_grid = param_grid
        self.n_iter = n_iter
        self.random_state = random_state
        self.strict = strict

    def _run_search(self, evaluate_candidates: Any) -> None:  # type: ignore[override]
        """Train all candidates on all folds, and let scikit-learn score them."""
        self._trained_first(evaluate_candidates)(self._candidates())

    def _candidates(self) -> list[dict[str, Any]]:
        if self.n_iter is None:
            return list(ParameterGrid(self.param_grid))
        return list(ParameterSampler(self.param_grid, self.n_iter, random_state=self.random_state))


class LaneHalvingSearchCV(_Together, BaseSuccessiveHalving):
    """Successive halving over parameters, the candidates and folds of each iteration trained together.

    Attributes and methods are those of `sklearn.model_selection.HalvingGridSearchCV`: an iteration trains the
    candidates that are left from the start, at its resource, and keeps one in `factor` by their mean scores.
    A score is that of the estimator fitted alone at that resource. For halving within one training, which
    trains no network twice and compares unfinished ones, see `run.spec.Halving`.

    Args:
        estimator: As for `LaneSearchCV`.
        param_grid: Values by parameter, or several such grids; with `n_candidates` distributions, too.
        n_candidates: Draw so many candidates at random for the first iteration, or `"exhaust"`: as many as
            let the last one use `max_resources`; None tries all.
        factor: One in `factor` candidates continues, and the resource grows by it. Above 1.
        resource: What grows: `"n_samples"`, rows of training and scoring, or a whole-number parameter of the
            estimator (`"epochs"`, `"steps"`; in a pipeline `"thalwegclassifier__epochs"`).
        max_resources, min_resources, aggressive_elimination: As for `HalvingGridSearchCV`.
        scoring, refit, cv, verbose, error_score, return_train_score: As for `HalvingGridSearchCV`; one
            metric.
        random_state: Seed of the drawn rows and candidates, and of the estimators where they have none.
        strict: As for `LaneSearchCV`.

    `n_resources_`, `n_candidates_` and the columns `iter` and `n_resources` of `cv_results_` tell the
    iterations apart; `lanes_` counts the networks that were trained, refitting left out.

    Reference: Jamieson & Talwalkar, Non-stochastic Best Arm Identification and Hyperparameter Optimization,
    2016.

    Example:
        >>> from sklearn.datasets import load_iris
        >>> search = LaneHalvingSearchCV(
        ...     ThalwegClassifier("mlp:8"),
        ...     {"lr": [0.001, 0.01, 0.1]},
        ...     resource="epochs",
        ...     max_resources=27,
        ...     random_state=0,
        ... )
        >>> search.fit(*load_iris(return_X_y=True)).n_candidates_
        [3, 1]
    """

    def __init__(
        self,
        estimator: Any,
        param_grid: Any,
        *,
        n_candidates: int | str | None = None,
        factor: float = 3,
        resource: str = "n_samples",
        max_resources: int | str = "auto",
        min_resources: int | str = "exhaust",
        aggressive_elimination: bool = False,
        scoring: Any = None,
        refit: Any = True,
        cv: Any = 5,
        verbose: int = 0,
        error_score: Any = np.nan,
        return_train_score: bool = True,
        random_state: Any = None,
        strict: bool = False,
    ):
        resources: dict[str, Any] = {
            "max_resources": max_resources,
            "min_resources": min_resources,
            "resource": resource,
            "factor": factor,
            "aggressive_elimination": aggressive_elimination,
        }
        super().__init__(
            estimator,
            scoring=scoring,
            refit=refit,
            cv=cv,
            verbose=verbose,
            random_state=random_state,
            error_score=error_score,
            return_train_score=return_train_score,
            **resources,
        )
        self.param_grid = param_grid
        self.n_candidates = n_candidates
        self.strict = strict

    def _check_input_parameters(self, X: Any, y: Any, split_params: Any) -> None:
        _check_halving(self.factor, self.n_candidates, self.min_resources)
        super()._check_input_parameters(X, y, split_params)

    def _run_search(self, evaluate_candidates: Any, *, callback_ctx: Any = None) -> None:
        """Halve as scikit-learn does; what each iteration scores was trained together before."""
        context = {} if callback_ctx is None else {"callback_ctx": callback_ctx}  # since scikit-learn 1.9
        super()._run_search(self._trained_first(evaluate_candidates), **context)

    def _generate_candidate_params(self) -> Any:
        if self.n_candidates is None:
            return list(ParameterGrid(self.param_grid))
        most, least = int(self.max_resources_), int(self.min_resources_)
        count = most // least if isinstance(self.n_candidates, str) else self.n_candidates
        return list(ParameterSampler(self.param_grid, count, random_state=self.random_state))


def _check_halving(factor: Any, candidates: Any, least: Any) -> None:
    """Refuse what scikit-learn would fail on later.

    Raises:
        ValueError: A parameter is out of range.
    """
    if not factor > 1:  # at 1 no candidate would ever leave
        raise ValueError(f"factor must be above 1; got {factor!r}; try 3")
    if candidates == least == "exhaust":
        raise ValueError("n_candidates and min_resources cannot both be 'exhaust'; give one a number")
    is_count = isinstance(candidates, (int, np.integer)) and not isinstance(candidates, bool)
    if candidates not in (None, "exhaust") and not (is_count and candidates >= 1):
        rule = "n_candidates must be a whole number of at least 1, 'exhaust' or None"
        raise ValueError(f"{rule}; got {candidates!r}; try 27")


class _Fixed:
    """Folds that were already made: a splitter may shuffle, and would make others."""

    def __init__(self, folds: Sequence[Any]):
        self._folds = folds

    def split(self, *_: Any, **__: Any) -> Iterator[Any]:
        """Yield the rows of every fold."""
        yield from self._folds

    def get_n_splits(self, *_: Any, **__: Any) -> int:
        """Return the number of folds."""
        return len(self._folds)


def _trained(handed: Sequence[Sequence[Handed | None]], strict: bool) -> dict[Key, Run]:
    """Train what was handed over, for each fold by candidate; candidates with the same model and the same
    data, as steps in front left them, as lanes of one sweep.
    """
    groups: dict[Any, list[Sequence[Handed | None]]] = {}
    for candidate in zip(*handed, strict=True):
        groups.setdefault(tuple(each and (each.model, each.data) for each in candidate), []).append(candidate)
    runs: dict[Key, Run] = {}
    for group in groups.values():
        folds = [{each.settings: each for each in fold if each} for fold in zip(*group, strict=True)]
        together = _on_all_folds(folds, strict)
        runs |= together if together is not None else _fold_by_fold(folds, strict)
    return runs


def _on_all_folds(folds: Sequence[dict[str, Handed]], strict: bool) -> dict[Key, Run] | None:
    """Train the same recipes on all folds at once; None where they differ, or folds do not fit together."""
    recipes = list(folds[0])
    if len(folds) < 2 or not recipes or any(list(fold) != recipes for fold in folds):
        return None
    first = next(iter(folds[0].values()))
    try:
        data = join_folds([next(iter(fold.values())).problem.data for fold in folds])
        problem = replace(first.problem, data=data)
        trained = train(problem, [folds[0][each].recipe for each in recipes], strict=strict, progress=False)
    except ThalwegError:  # such as weights of rows, which lanes of several folds cannot have
        return None
    lanes = [fold[each].key for each in recipes for fold in folds]
    return dict(zip(lanes, trained, strict=True))


def _fold_by_fold(folds: Sequence[dict[str, Handed]], strict: bool) -> dict[Key, Run]:
    """Train the recipes of each fold as a sweep of its own; scoring will report what fails."""
    runs: dict[Key, Run] = {}
    for fold in folds:
        handed = list(fold.values())
        if not handed:
            continue
        try:
            trained = train(
                handed[0].problem, [each.recipe for each in handed], strict=strict, progress=False
            )
        except ThalwegError:
            continue
        runs |= dict(zip((each.key for each in handed), trained, strict=True))
    return runs
