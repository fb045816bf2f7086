"""`LaneHalvingSearchCV` gives what scikit-learn's halving gives; searches are pickled, copied and nested."""

import pickle

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import HalvingGridSearchCV, HalvingRandomSearchCV, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import thalweg as tw
from tests.doors.estimators.test_search import GRID, X, Y, classifier

CV = KFold(2)
RATES = {"lr": [1e-4, 1e-3, 1e-2, 3e-2]}
BY_EPOCHS = {"resource": "epochs", "max_resources": 4, "factor": 2, "cv": CV}


def same_results(own, plain):
    assert set(own.cv_results_) == set(plain.cv_results_)
    for name, values in plain.cv_results_.items():
        if not name.endswith("_time"):
            np.testing.assert_array_equal(own.cv_results_[name], values, err_msg=name)
    for name in ("n_resources_", "n_candidates_", "n_iterations_", "best_params_", "best_score_"):
        assert getattr(own, name) == getattr(plain, name), name


@pytest.mark.optimised
@pytest.mark.parametrize(
    "options",
    [BY_EPOCHS, pytest.param({"factor": 2, "cv": CV}, marks=pytest.mark.long)],
    ids=["epochs", "rows"],
)
def test_scores_are_those_of_each_alone_at_its_resource_bit_for_bit(options):
    own = tw.LaneHalvingSearchCV(classifier(), GRID, strict=True, random_state=0, **options).fit(X, Y)
    plain = HalvingGridSearchCV(classifier(), GRID, random_state=0, **options).fit(X, Y)
    same_results(own, plain)
    assert len(own.n_candidates_) > 1
    assert own.lanes_ == 2 * sum(own.n_candidates_)
    np.testing.assert_array_equal(own.predict_proba(X), plain.predict_proba(X))


def test_drawn_candidates_are_those_of_scikit_learn():
    more = {"n_candidates": "exhaust", "min_resources": 1, "random_state": 3, "refit": False} | BY_EPOCHS
    own = tw.LaneHalvingSearchCV(classifier(), {"lr": np.geomspace(1e-4, 1e-1, 50)}, **more).fit(X, Y)
    plain = HalvingRandomSearchCV(classifier(), {"lr": np.geomspace(1e-4, 1e-1, 50)}, **more).fit(X, Y)
    assert own.n_candidates_ == plain.n_candidates_ == [4, 2, 1]
    assert own.cv_results_["params"][:4] == plain.cv_results_["params"][:4]


def test_a_pipeline_grows_by_a_parameter_of_its_last_step():
    pipeline = make_pipeline(StandardScaler(), classifier())
    own = tw.LaneHalvingSearchCV(
        pipeline,
        {"thalwegclassifier__lr": [1e-4, 3e-2]},
        **BY_EPOCHS | {"resource": "thalwegclassifier__epochs"},
    ).fit(X, Y)
    assert own.best_params_ == {"thalwegclassifier__lr": 3e-2, "thalwegclassifier__epochs": 4}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"factor": 1}, "factor must be above 1; got 1"),
        ({"n_candidates": "exhaust"}, "cannot both be 'exhaust'"),
        ({"n_candidates": 0}, "n_candidates must be a whole number .* got 0"),
        ({"resource": "epoch"}, "Cannot use resource=epoch"),
        ({"cv": KFold(2, shuffle=True)}, "consistent folds"),
        ({"scoring": ["accuracy", "f1_macro"]}, "scoring"),
    ],
)
def test_a_halving_that_cannot_be_is_refused(options, words):
    search = tw.LaneHalvingSearchCV(classifier(), RATES, **(BY_EPOCHS | options))
    with pytest.raises(ValueError, match=words):
        search.fit(X, Y)


def test_searches_are_copied_pickled_and_nested(tmp_path):
    halving = tw.LaneHalvingSearchCV(classifier(), RATES, **BY_EPOCHS)
    for search in (halving, tw.LaneSearchCV(classifier(), RATES, cv=CV)):
        fresh = pickle.loads(pickle.dumps(clone(search)))
        assert fresh.get_params(deep=False).keys() == search.get_params(deep=False).keys()
        fitted = fresh.fit(X, Y)
        joblib.dump(fitted, tmp_path / "search")
        for copy in (pickle.loads(pickle.dumps(fitted)), joblib.load(tmp_path / "search")):
            np.testing.assert_array_equal(copy.predict_proba(X), fitted.predict_proba(X))
            assert copy.best_params_ == fitted.best_params_
        assert "best_estimator_" in dir(fitted) and fitted._repr_html_()
    assert cross_val_score(halving, X, Y, cv=2).mean() > 0.5
