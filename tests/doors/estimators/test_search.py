"""`LaneSearchCV` gives what scikit-learn's search gives, and trains all of it at once."""

import warnings

import numpy as np
import pytest
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import thalweg as tw
from thalweg.doors.estimators import estimator as estimators
from thalweg.doors.estimators import search as searches

RANDOM = np.random.default_rng(0)
CENTRES, CLASSES = 2 * RANDOM.normal(size=(3, 4)), RANDOM.integers(0, 3, 96)
X = CENTRES[CLASSES] + RANDOM.normal(size=(96, 4))
Y = np.array(["a", "b", "c"])[CLASSES]
GRID = {"lr": [1e-3, 3e-2], "weight_decay": [0.0, 0.1]}


def classifier(**more):
    return tw.ThalwegClassifier("mlp:5", **({"epochs": 3, "random_state": 0} | more))


@pytest.fixture
def trainings(monkeypatch):
    """The number of lanes of every training."""
    counts = []

    def counted(problem, recipe, **more):
        runs = train(problem, recipe, **more)
        counts.append(len(runs) if isinstance(recipe, list) else 1)
        return runs

    train = estimators.train
    monkeypatch.setattr(estimators, "train", counted)
    monkeypatch.setattr(searches, "train", counted)
    return counts


@pytest.mark.optimised
def test_scores_are_those_of_a_grid_search_bit_for_bit():
    own = tw.LaneSearchCV(classifier(), GRID, cv=3, strict=True, return_train_score=True).fit(X, Y)
    plain = GridSearchCV(classifier(), GRID, cv=3, return_train_score=True).fit(X, Y)
    assert set(own.cv_results_) == set(plain.cv_results_)
    for name, values in plain.cv_results_.items():
        if "score" in name and "time" not in name:
            np.testing.assert_array_equal(own.cv_results_[name], values, err_msg=name)
    assert own.best_params_ == plain.best_params_
    np.testing.assert_array_equal(own.predict_proba(X), plain.predict_proba(X))


def test_candidates_and_folds_are_trained_at_once(trainings):
    search = tw.LaneSearchCV(classifier(), GRID, cv=3).fit(X, Y)
    assert trainings == [12, 1]  # four candidates on three folds; the best one on all rows
    assert search.lanes_ == 12
    plain = GridSearchCV(classifier(), GRID, cv=3).fit(X, Y)
    np.testing.assert_allclose(
        search.cv_results_["mean_test_score"], plain.cv_results_["mean_test_score"], atol=0.02
    )
    assert np.ptp(plain.cv_results_["mean_test_score"]) > 0.1


def test_candidates_share_what_is_made_of_their_data(monkeypatch):
    made = []
    for name in ("_data", "_problem", "_recipe"):
        method = getattr(tw.ThalwegClassifier, name)

        def counted(self, *arguments, name=name, method=method):
            made.append(name)
            return method(self, *arguments)

        monkeypatch.setattr(tw.ThalwegClassifier, name, counted)
    tw.LaneSearchCV(classifier(), GRID, cv=3, refit=False).fit(X, Y)
    # Two fits of four candidates on three folds of one size.
    assert {name: made.count(name) for name in made} == {"_data": 3, "_problem": 3, "_recipe": 4}


def test_candidates_that_differ_in_one_setting_of_the_problem_share_nothing():
    grid = {"class_weight": [None, "balanced", {"a": 9.0}], "validation_fraction": [0.1, 0.3]}
    search = tw.LaneSearchCV(classifier(epochs=20), grid, cv=2, strict=True, refit=False).fit(X, Y)
    plain = GridSearchCV(classifier(epochs=20), grid, cv=2, refit=False).fit(X, Y)
    np.testing.assert_allclose(
        search.cv_results_["mean_test_score"], plain.cv_results_["mean_test_score"], atol=0.011
    )
    assert search.lanes_ == 12


def test_steps_in_front_are_fitted_to_each_folds_training_rows(trainings):
    scaled = X * [1.0, 100.0, 1e4, 1e-3] + 50.0
    pipeline = make_pipeline(StandardScaler(), classifier())
    grid = {"thalwegclassifier__lr": [3e-2], "standardscaler__with_mean": [True, False]}
    folds = KFold(2, shuffle=True)  # other folds in each call
    search = tw.LaneSearchCV(pipeline, grid, cv=folds, random_state=0).fit(scaled, Y)
    assert trainings == [2, 2, 1]  # other data for each setting of the scaler
    assert search.best_score_ > 0.6


def test_models_differ_and_weights_that_are_no_counts_are_trained_fold_by_fold(trainings):
    weights = np.linspace(0.5, 1.5, len(Y))
    models = ["mlp:5", "mlp:7"]
    tw.LaneSearchCV(classifier(), {"model": models}, cv=2, refit=False).fit(X, Y)
    assert trainings == [2, 2]
    search = tw.LaneSearchCV(classifier(), {"lr": [1e-3, 3e-2]}, cv=2, refit=False)
    search.fit(X, Y, sample_weight=weights)
    assert trainings[2:] == [2, 2]
    plain = GridSearchCV(classifier(), {"lr": [1e-3, 3e-2]}, cv=2, refit=False)
    plain.fit(X, Y, sample_weight=weights)
    np.testing.assert_allclose(
        search.cv_results_["mean_test_score"], plain.cv_results_["mean_test_score"], atol=0.03
    )


def test_groups_stay_together_and_drawn_candidates_repeat():
    groups = np.arange(len(Y)) // 8
    first, again = (
        tw.LaneSearchCV(
            classifier(random_state=None), {"lr": np.geomspace(1e-4, 1e-1, 50)}, n_iter=2, random_state=3
        )
        .set_params(cv=GroupKFold(2), refit=False)
        .fit(X, Y, groups=groups)
        for _ in range(2)
    )
    assert len(first.cv_results_["params"]) == 2
    assert first.cv_results_["params"] == again.cv_results_["params"]
    np.testing.assert_array_equal(
        first.cv_results_["split1_test_score"], again.cv_results_["split1_test_score"]
    )


def test_a_candidate_that_fails_is_reported_as_scikit_learn_does():
    grid = {"lr": [3e-2, -1.0]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitFailedWarning)
        warnings.simplefilter("ignore", UserWarning)  # that a score is not finite
        search = tw.LaneSearchCV(classifier(), grid, cv=2, refit=False).fit(X, Y)
    scores = search.cv_results_["mean_test_score"]
    assert np.isfinite(scores[0]) and np.isnan(scores[1])
    with pytest.raises(ValueError, match="lr"):
        tw.LaneSearchCV(classifier(), grid, cv=2, error_score="raise").fit(X, Y)


def same(y):
    return 1.0 * y


def doubled(y):
    return 2.0 * y


def halved(y):
    return y / 2.0


def test_candidates_whose_targets_differ_by_a_power_of_two_keep_their_own_units():
    """Standardised, both are the same numbers; what comes out has to be in the unit of each."""
    values = X @ [1.0, -2.0, 0.5, 0.0]
    regressor = tw.ThalwegRegressor("mlp:8", epochs=20, lr=3e-2, random_state=0)
    within = TransformedTargetRegressor(regressor, check_inverse=False)
    grid = [{"func": [same], "inverse_func": [same]}, {"func": [doubled], "inverse_func": [halved]}]
    scores = tw.LaneSearchCV(within, grid, cv=2, refit=False).fit(X, values).cv_results_["mean_test_score"]
    assert scores[0] > 0.5
    assert scores[1] == pytest.approx(scores[0], abs=0.01)


def test_a_regression_is_searched():
    values = X @ [1.0, -2.0, 0.5, 0.0]
    regressor = tw.ThalwegRegressor("mlp:8", epochs=20, random_state=0)
    search = tw.LaneSearchCV(regressor, {"lr": [1e-5, 3e-2]}, cv=2).fit(X, values)
    assert search.best_params_ == {"lr": 3e-2}
    assert search.score(X, values) > 0.5
