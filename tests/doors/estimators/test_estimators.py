"""The estimators keep scikit-learn's contract, and give what `fit` gives."""

import pickle
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from thalweg import ThalwegClassifier, ThalwegRegressor

SMALL = {"model": "mlp:16", "batch_size": 32, "steps": 300, "lr": 1e-2, "random_state": 0}
X, Y = load_iris(return_X_y=True)
QUICK = {"model": "mlp:8", "batch_size": 32, "steps": 60, "lr": 1e-2, "random_state": 0}


@pytest.mark.long
@parametrize_with_checks([ThalwegClassifier(**SMALL), ThalwegRegressor(**SMALL)])
def test_the_contract_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def classifier():
    return ThalwegClassifier(**QUICK).fit(X, Y)


def test_the_order_of_the_rows_does_not_matter(classifier):
    order = np.random.default_rng(0).permutation(len(Y))
    again = clone(classifier).fit(X[order], Y[order])
    np.testing.assert_array_equal(again.predict_proba(X), classifier.predict_proba(X))


def test_whole_weights_are_repeated_rows_and_rows_of_weight_0_are_absent():
    weights = np.random.default_rng(1).integers(0, 3, len(Y))
    repeated = np.repeat(np.arange(len(Y)), weights)
    weighted = ThalwegClassifier(**QUICK).fit(X, Y, sample_weight=weights)
    explicit = ThalwegClassifier(**QUICK).fit(X[repeated], Y[repeated])
    np.testing.assert_array_equal(weighted.predict_proba(X), explicit.predict_proba(X))


def test_a_pickled_estimator_predicts_the_same(classifier):
    again = pickle.loads(pickle.dumps(classifier))
    np.testing.assert_array_equal(again.predict_proba(X), classifier.predict_proba(X))


def test_a_row_is_predicted_alike_alone_and_among_others(classifier):
    alone = np.concatenate([classifier.predict_proba(X[i : i + 1]) for i in (0, 70, 149)])
    np.testing.assert_array_equal(alone, classifier.predict_proba(X)[[0, 70, 149]])


def test_sparse_input_and_missing_values():
    holes = X.copy()
    holes[::7, 1] = np.nan
    with_holes = ThalwegClassifier(**QUICK).fit(holes, Y)
    assert with_holes.n_features_in_ == 4 and with_holes.score(holes, Y) > 0.6
    full = ThalwegClassifier(**QUICK).fit(sparse.csr_matrix(X), Y)
    np.testing.assert_array_equal(full.predict_proba(X), full.predict_proba(sparse.csr_matrix(X)))
    assert np.isfinite(full.predict_proba(holes)).all()


def test_the_decision_is_the_log_odds_of_the_second_class():
    learner = ThalwegClassifier(**QUICK).fit(X, Y > 0)
    share = learner.predict_proba(X)
    np.testing.assert_allclose(
        learner.decision_function(X), np.log(share[:, 1]) - np.log(share[:, 0]), rtol=1e-6
    )


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_frame_with_words_is_typed(library):
    random = np.random.default_rng(2)
    columns = {"size": random.normal(size=120), "kind": random.choice(["red", "blue"], 120)}
    answer = np.where((columns["kind"] == "red") ^ (columns["size"] > 0), "yes", "no")
    frame = pd.DataFrame(columns) if library == "pandas" else pl.DataFrame(columns)
    learned = ThalwegClassifier(**QUICK | {"steps": 300}).fit(frame, answer)
    assert set(learned.predict(frame)) == {"yes", "no"} and learned.score(frame, answer) > 0.8
    with pytest.raises(ValueError, match="same order"):
        learned.predict(frame[["kind", "size"]])
    values = np.asarray(
        frame.to_numpy(), dtype=object
    )  # a frame that a step of a pipeline turned into an array
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # scikit-learn's: it has no names of columns
        np.testing.assert_array_equal(learned.predict_proba(values), learned.predict_proba(frame))


def test_rows_without_a_class_are_refused():
    with pytest.raises(ValueError, match="y must have a class in every row; got None"):
        ThalwegClassifier(**QUICK).fit(X, np.where(Y == 0, None, "a"))


def test_partial_fit_goes_on_from_where_it_was():
    learner = ThalwegClassifier(**QUICK | {"steps": None})
    losses = []
    for _ in range(3):
        losses.append(learner.partial_fit(X, Y, classes=[0, 1, 2]).loss_)
    assert losses[2] < losses[1] < losses[0] and learner.get_params()["epochs"] is None
    with pytest.raises(ValueError, match="classes of the first call"):
        learner.partial_fit(X, Y + 1)


def test_partial_fit_is_one_pass_and_leaves_the_parameters_as_they_were():
    learner = ThalwegClassifier(**QUICK | {"steps": 7, "epochs": None})
    learner.partial_fit(X, Y, classes=[0, 1, 2])
    assert learner.run_.result["epochs"] == 1
    kept = learner.get_params()
    assert (kept["steps"], kept["epochs"], kept["warm_start"]) == (7, None, False)


def test_partial_fit_of_values_keeps_their_unit():
    values = 500 + 20 * X[:, 0]
    learner = ThalwegRegressor(**QUICK | {"steps": None})
    losses = [learner.partial_fit(X, values).loss_ for _ in range(4)]
    assert losses[3] < losses[0]
    assert np.abs(learner.predict(X) - values).mean() < 2 * np.abs(values - values.mean()).mean()


def test_a_frame_that_lacks_a_class_is_refused():
    """The network of a frame has outputs for the classes that it saw: another numbering would be wrong."""
    frame = pd.DataFrame({"size": X[:100, 0], "kind": np.where(X[:100, 1] > 3, "wide", "narrow")})
    learner = ThalwegClassifier(**QUICK)
    with pytest.raises(ValueError, match="every one of the classes"):
        learner.partial_fit(frame, np.where(Y[:100] > 0, 2, 0), classes=[0, 1, 2])


def test_warm_start_goes_on_from_the_last_weights():
    learner = ThalwegRegressor(**QUICK, warm_start=True)
    first = learner.fit(X[:, :3], X[:, 3]).loss_
    assert learner.fit(X[:, :3], X[:, 3]).loss_ < first


def test_pipelines_and_cross_validation():
    learner = make_pipeline(StandardScaler(), ThalwegClassifier(**QUICK | {"steps": 200}))
    assert cross_val_score(learner, X, Y, cv=2).mean() > 0.7


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "mpl:8"}, "did you mean 'mlp'"),
        ({"lr": -1.0}, "lr"),
        ({"validation_fraction": 1.5}, "validation"),
        ({"settings": {"schedul": "cosine"}}, "schedule"),
        ({"epochs": 3, "steps": 4}, "not both"),
    ],
)
def test_a_wrong_parameter_is_a_value_error_with_a_hint(change, message):
    with pytest.raises(ValueError, match=message):
        ThalwegClassifier(**QUICK | change).fit(X, Y)


@pytest.mark.parametrize("weights", [np.zeros(150), -np.ones(150)])
def test_weights_without_a_meaning_are_refused(weights):
    with pytest.raises(ValueError, match=r"(?i)sample.weight"):
        ThalwegClassifier(**QUICK).fit(X, Y, sample_weight=weights)


def test_weights_of_classes():
    named = np.array(["setosa", "versicolor", "virginica"])[Y]
    never = ThalwegClassifier(**QUICK, class_weight={"virginica": 0}).fit(X, named)
    assert "virginica" not in never.predict(X) and (never.predict(X) == "setosa").sum() >= 45
    some = np.r_[0:50, 50:60, 100:150]
    shares = [
        ThalwegClassifier(**QUICK, class_weight=weight)
        .fit(X[some], named[some])
        .predict_proba(X[50:100])[:, 1]
        .mean()
        for weight in (None, "balanced")
    ]
    assert shares[1] > shares[0] + 0.02
    for wrong, words in (
        ({"rose": 1}, "names no class"),
        ("even", "must be 'balanced'"),
        (3, "got 3"),
    ):
        with pytest.raises(ValueError, match=words):
            ThalwegClassifier(**QUICK, class_weight=wrong).fit(X, named)
