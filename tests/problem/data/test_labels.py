import numpy as np
import pytest

from tests.problem.data.given import refused
from thalweg.problem.data.labels import Target, check_class_sizes, encode, encode_known
from thalweg.problem.data.tasks import decide

CLASSES, VALUES = "classification", "regression"


@pytest.mark.parametrize(
    ("raw", "table", "task"),
    [
        (np.array(["a", "b"] * 5), True, CLASSES),
        (np.array([True, False]), True, CLASSES),
        (np.tile(np.arange(20), 5), True, CLASSES),
        (np.repeat(np.arange(11), [1, 2, 5, 10, 20, 30, 20, 10, 5, 2, 1]), True, VALUES),  # thins out: grades
        (np.repeat(np.arange(10), [1, 2, 5, 10, 20, 30, 20, 10, 5, 2]), True, CLASSES),
        (np.repeat(np.arange(11), [9, 3, 5, 9, 9, 9, 9, 9, 5, 5, 5]), True, CLASSES),  # up to three times
        (np.repeat(np.arange(11), [10, 3, 5, 9, 9, 9, 9, 9, 5, 5, 5]), True, VALUES),
        (np.repeat(np.arange(11), [10, 3, 5, 9, 9, 9, 9, 9, 5, 5, 5]), False, CLASSES),
        (np.tile(np.arange(21), 5), True, VALUES),  # more than 20 distinct
        (np.tile(np.arange(20), 4), True, VALUES),  # fewer than 5 rows each
        (np.tile([1.0, 2.0], 5), True, CLASSES),
        (np.tile([1.0, 2.5], 5), True, VALUES),
        (np.tile(np.arange(100), 2), False, CLASSES),  # 0..99 in an array are class numbers
        (np.tile(np.arange(100), 2), True, VALUES),  # in a table they are counts
        (np.tile(np.arange(1, 101), 2), False, VALUES),
        (np.tile(np.arange(100), 1), False, VALUES),
        (np.zeros((10, 2), int), False, VALUES),
    ],
)
def test_the_task_is_inferred_from_the_target(raw, table, task):
    assert decide(raw, None, table=table) == task


def test_a_given_task_overrides_the_rules():
    assert decide(np.arange(5), CLASSES) == CLASSES


def test_classes_are_sorted_and_numbered():
    target = encode(np.array(["b", "a", "b"]), CLASSES, "y")
    assert target.classes == ("a", "b") and target.values.tolist() == [1, 0, 1]
    assert target.values.dtype == np.int32
    assert encode(np.array([7.0, 3.0]), CLASSES, "y").classes == (3, 7)


def test_values_get_a_column():
    assert encode(np.array([1.5, 2.5]), VALUES, "y").values.shape == (2, 1)


@pytest.mark.parametrize(
    ("raw", "task", "classes", "words"),
    [
        (np.array([1.5, 2.0]), CLASSES, None, ("whole numbers", "got 1.5")),
        (np.array(["a", "a"]), CLASSES, None, ("at least two classes", "'a' in every row")),
        (np.array([5, 5]), CLASSES, None, ("at least two classes", "5 in every row")),
        (np.array([2.5, 2.5]), VALUES, None, ("must vary", "2.5 in every row")),
        (np.array(["a", "b"]), VALUES, None, ("must be numbers", "got a")),
        (np.array([0, 12]), CLASSES, tuple(range(10)), ("class numbers must lie in 0..9", "got 12")),
        (np.array([0, -1]), CLASSES, tuple(range(10)), ("class numbers must lie in 0..9", "got -1")),
        (np.ones((3, 2)), CLASSES, None, ("one for each row", "shape (3, 2)")),
    ],
)
def test_impossible_targets_are_refused(raw, task, classes, words):
    with refused(*words, who="target"):
        encode(raw, task, "y", classes=classes)


def test_other_splits_use_the_classes_of_training():
    known = Target(CLASSES, np.array([0, 1]), ("a", "b"), "y")
    assert encode_known(np.array(["b", "b"]), known, "y").tolist() == [1, 1]
    with refused("every label must occur in the train split", "'c'", "known are a, b"):
        encode_known(np.array(["b", "c"]), known, "y")


def test_a_class_with_a_single_row_is_refused():
    target = encode(np.array(["a", "a", "b"]), CLASSES, "y")
    with refused("at least 2 rows", "1 row of 'b'", "(y)"):
        check_class_sizes(target)
