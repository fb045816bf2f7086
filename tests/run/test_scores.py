"""The figures of predictions, against small tables worked out by hand."""

import math
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from thalweg.engine.evaluate import Means
from thalweg.problem.data.data import CLASSIFICATION, MULTILABEL, REGRESSION, Data
from thalweg.problem.data.inputs.array import ArrayInputs
from thalweg.problem.data.load import load
from thalweg.problem.data.preparation import Preparation
from thalweg.problem.data.split import Rows
from thalweg.run.scores import baseline, for_people, prediction_table, scores


def table(target, prediction) -> pl.DataFrame:
    return pl.DataFrame({"target": target, "prediction": prediction})


def answers(values) -> Means:
    """Return an evaluation of two lanes, of which the second predicts these values."""
    nothing = np.zeros(2)
    predictions = np.array([np.full(len(values), 99.0), values], np.float32)
    return Means(nothing, nothing, nothing, 0.0, predictions)


def data(task: str, train, test, **preparation) -> Data:
    columns = ArrayInputs.fit(np.zeros((2, 1), np.float32), standardise=False)
    splits = [Rows(np.zeros((len(each), 1), np.float32), np.asarray(each)) for each in (train, test)]
    return Data("made", task, splits[0], None, splits[1], Preparation(columns, **preparation))


def test_scores_of_unbalanced_classes():
    # Class 0: 5 of 6 right; class 1: 1 of 3; class 2: 0 of 1; class 3 is predicted once and never occurs.
    target = [0, 0, 0, 0, 0, 0, 1, 1, 1, 2]
    prediction = [0, 0, 0, 0, 0, 1, 1, 0, 3, 0]
    found = scores(CLASSIFICATION, table(target, prediction))
    assert found == {
        "accuracy": pytest.approx(0.6),
        "balanced_accuracy": pytest.approx((5 / 6 + 1 / 3 + 0) / 3),
        # 2 hits / (occurrences + predictions) of the classes that occur or are predicted, as scikit-learn.
        "macro_f1": pytest.approx((10 / (6 + 7) + 2 / (3 + 2) + 0 + 0) / 4),
    }


def test_scores_of_several_labels():
    target = [[1, 0, 0], [1, 1, 0], [0, 0, 0], [1, 0, 0]]
    prediction = [[1, 0, 1], [1, 0, 0], [0, 0, 0], [0, 0, 0]]
    found = scores(MULTILABEL, table(target, prediction))
    assert found == {
        "accuracy": pytest.approx(9 / 12),
        "exact_match": pytest.approx(1 / 4),
        "macro_f1": pytest.approx((2 * 2 / (3 + 2) + 0 + 0) / 3),  # the third label is predicted once
    }
    assert scores(MULTILABEL, table([[0], [0]], [[1], [0]]))["macro_f1"] == 0
    assert math.isnan(scores(MULTILABEL, table([[0], [0]], [[0], [0]]))["macro_f1"])


def test_scores_of_values():
    found = scores(REGRESSION, table([1.0, 2.0, 3.0, 6.0], [1.0, 3.0, 1.0, 6.0]))
    assert found == {
        "rmse": pytest.approx(math.sqrt(5 / 4)),
        "mae": pytest.approx(3 / 4),
        "r2": pytest.approx(1 - 5 / 14),  # squares around the mean of 3: 4 + 1 + 0 + 9
    }
    assert math.isnan(scores(REGRESSION, table([2.0, 2.0], [1.0, 3.0]))["r2"])


def test_baselines_come_from_the_training_split():
    classes = baseline(data(CLASSIFICATION, [2, 2, 2, 0, 1], [0, 0, 0, 2], classes=("a", "b", "c")))
    assert classes == {"name": "accuracy", "value": 0.25, "of": "the commonest class"}
    values = baseline(
        data(
            REGRESSION,
            np.array([[0.0], [1.0]]),
            np.array([[1.5], [-0.5], [0.5]]),
            target_mean=(10.0,),
            target_scale=(4.0,),
        )
    )
    assert values == {
        "name": "rmse",
        "value": pytest.approx(4 * math.sqrt(2 / 3)),
        "of": "the training mean",
    }
    labels = baseline(
        data(MULTILABEL, [[1, 0], [1, 1], [0, 0]], [[0, 1], [0, 1], [1, 0]], classes=("a", "b"))
    )
    assert labels is not None and labels["value"] == pytest.approx(2 / 6)
    several = baseline(
        data(
            REGRESSION,
            np.array([[0.0, 2.0], [1.0, 4.0]]),
            np.array([[1.5, 2.0], [-0.5, 5.0]]),
            target_mean=(10.0, 7.0),
            target_scale=(4.0, 0.5),
        )
    )
    assert several == {
        "name": "rmse",
        "value": pytest.approx(math.sqrt((16 * (1 + 1) + 0.25 * (1 + 4)) / 4)),
        "of": "the training mean of each target",
    }
    assert baseline(data(REGRESSION, np.zeros((2, 3)), np.zeros((2, 3)))) is None


def test_the_table_has_values_in_the_targets_own_unit():
    unit = {"target_mean": (10.0,), "target_scale": (4.0,)}
    given = data(REGRESSION, np.zeros((2, 1)), np.array([[0.5], [-1.0]]), **unit)
    found = prediction_table(SimpleNamespace(data=given), answers([0.25, -2.0]), lane=1)
    assert found.to_dict(as_series=False) == {"target": [12.0, 6.0], "prediction": [11.0, 2.0]}


def test_the_table_has_values_of_a_series_and_not_their_changes():
    """The rows of the test split are 16 to 19, so that its one window of three ends at row 18."""
    y = 7.0 * np.arange(20)
    frame = pl.DataFrame({"shop": np.repeat(["a", "b"], 20), "y": np.concatenate([y, y + 1000])})
    given = load(frame, target="y", window=3, series="shop", validation=0)
    assert given.test is not None and given.test.offsets is not None
    found = prediction_table(SimpleNamespace(data=given), answers([0.0, 0.0]), lane=1)
    np.testing.assert_allclose(found["target"], [19 * 7, 19 * 7 + 1000], rtol=1e-5)
    np.testing.assert_allclose(found["prediction"], [18 * 7, 18 * 7 + 1000], rtol=1e-5)  # no change


def test_the_saved_table_has_names_and_rows_of_the_source():
    given = data(CLASSIFICATION, [0, 1], [1, 0], classes=("no", "yes"))
    given.rows["test"] = np.array([7, 3])
    saved = for_people(given, table([1, 0], [0, 0]))
    assert saved.to_dict(as_series=False) == {
        "row": [7, 3],
        "target": ["yes", "no"],
        "prediction": ["no", "no"],
    }
    given.rows["test"] = np.array([7])  # of other examples: left out rather than wrong
    assert for_people(given, table([1, 0], [0, 0])).columns == ["target", "prediction"]
