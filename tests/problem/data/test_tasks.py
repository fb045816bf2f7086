"""What a target is, in arrays and tables: classes, several labels or values, and what is said about it."""

from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from PIL import Image

from tests.problem.data.given import csv, refused
from thalweg.core.caller import command_line
from thalweg.problem.data.arrays import from_arrays
from thalweg.problem.data.files import RawArrays
from thalweg.problem.data.load import load
from thalweg.problem.data.options import LoadOptions
from thalweg.problem.data.tasks import decide, task_notes

CLASSES, VALUES, LABELS = "classification", "regression", "multilabel"
CASES = Path(__file__).parents[2] / "data" / "cases"
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(300, 4))
CODES = RANDOM.integers(0, 3, 300)
ONE_HOT = np.eye(3, dtype=int)[CODES]
SEVERAL = (RANDOM.random((300, 3)) < 0.5).astype(int)
NAMES = ["red", "green", "blue"]


def notes(data, kind):
    return [note for note in data.notes if note.kind == kind]


@pytest.mark.parametrize(
    ("raw", "asked", "task"),
    [
        (ONE_HOT, None, CLASSES),
        (ONE_HOT.astype(float), None, CLASSES),
        (ONE_HOT.astype(bool), None, CLASSES),
        (ONE_HOT, VALUES, VALUES),
        (SEVERAL, None, LABELS),
        (SEVERAL.astype(bool), None, LABELS),
        (SEVERAL, CLASSES, LABELS),
        (SEVERAL, VALUES, VALUES),
        (SEVERAL * 2, None, VALUES),
        (SEVERAL - 0.5, None, VALUES),
        (CODES[:, None], None, CLASSES),
        (np.arange(300)[:, None] / 7, None, VALUES),
        (CODES / 255, None, CLASSES),
        ((CODES / 255).astype(np.float32), None, CLASSES),
        (CODES / 254, None, VALUES),
        (CODES / 2, None, VALUES),
    ],
)
def test_matrices_and_fractions_that_stand_for_classes(raw, asked, task):
    assert decide(raw, asked) == task


def test_one_hot_targets_become_class_numbers():
    data = load((X, ONE_HOT), test=(X[:20], ONE_HOT[:20]))
    assert data.task == CLASSES and data.preparation.classes == (0, 1, 2)
    assert data.test.targets.tolist() == CODES[:20].tolist()
    (note,) = notes(data, "task")
    assert note.change == "task='regression'" and "a single 1 in each row of 3 columns" in note.text
    assert load((X, ONE_HOT), task=VALUES).outputs == 3


def test_one_hot_columns_of_a_frame_name_the_classes():
    data = load((pl.DataFrame(X), pl.DataFrame(ONE_HOT, NAMES)), split="time", validation=0)
    assert data.task == CLASSES and data.preparation.classes == tuple(NAMES)
    assert data.train.targets.tolist() == CODES[:240].tolist()


def test_several_labels_are_kept_as_zeros_and_ones():
    data = load((X, SEVERAL), split="time", validation=0)
    assert data.task == LABELS and data.outputs == 3
    assert np.array_equal(data.train.targets, SEVERAL[:240])
    assert np.array_equal(data.test.targets, SEVERAL[240:])
    assert "several ones in" in notes(data, "task")[0].text


@pytest.mark.parametrize("library", [pl.DataFrame, lambda y, names: pd.DataFrame(y, columns=names)])
def test_several_label_columns_of_a_frame(library):
    frame = pl.DataFrame(X)
    data = load((frame, library(SEVERAL, NAMES)), test=(frame[:30], library(SEVERAL[:30], NAMES)))
    assert data.task == LABELS and data.preparation.classes == tuple(NAMES)
    assert np.array_equal(data.test.targets, SEVERAL[:30])
    turned = library(SEVERAL[:30, ::-1].copy(), NAMES[::-1])  # the same columns in another order
    data = load((frame, library(SEVERAL, NAMES)), test=(frame[:30], turned))
    assert np.array_equal(data.test.targets, SEVERAL[:30])
    with refused("must have the columns red, green, blue, as in training", "a, b, c"):
        load((frame, library(SEVERAL, NAMES)), test=(frame[:30], library(SEVERAL[:30], ["a", "b", "c"])))


def test_a_label_that_never_varies_is_named():
    constant = SEVERAL.copy()
    constant[:, 1] = 0
    assert "nothing is learned of them: '1'." in notes(load((X, constant)), "constant")[0].text


def test_targets_of_a_test_split_must_have_the_same_columns():
    with refused("must have 3 columns", "got 2"):
        load((X, SEVERAL), test=(X, SEVERAL[:, :2]))
    with refused("labels must be 0 or 1"):
        load((X, SEVERAL), test=(X, SEVERAL * 3))


@pytest.mark.parametrize(
    "column",
    [
        lambda y: y[:, None],
        lambda y: pl.DataFrame({"y": y}),
        lambda y: pd.DataFrame({"y": y}),
        lambda y: pl.Series(y),
        lambda y: y.tolist(),
        lambda y: y[:, None].tolist(),
        lambda y: Tensor(y),
    ],
)
@pytest.mark.parametrize("inputs", [lambda x: x, lambda x: pl.DataFrame(x)])
def test_a_column_of_any_library_is_a_vector(column, inputs):
    for y in (CODES, X[:, 0] * 3):
        expected, data = load((inputs(X), y)), load((inputs(X), column(y)))
        assert data.task == expected.task
        assert np.array_equal(data.test.targets, expected.test.targets)


class Tensor:
    """A PyTorch tensor that records gradients, as far as NumPy sees it."""

    requires_grad = True

    def __init__(self, values):
        self.values, self.ndim = values, values.ndim

    def __array__(self, dtype=None, copy=None):
        if self.requires_grad:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad.")
        return np.asarray(self.values, dtype)

    def __len__(self):
        return len(self.values)

    def detach(self):
        copy = Tensor(self.values)
        copy.requires_grad = False
        return copy

    def tolist(self):
        return self.values.tolist()


def test_inputs_that_record_gradients_are_read_too():
    assert np.array_equal(load((Tensor(X), CODES)).train.inputs, load((X, CODES)).train.inputs)


class Refusing:
    ndim = 1

    def __len__(self):
        return 300

    def __array__(self, dtype=None, copy=None):
        raise TypeError("unsupported type")


@pytest.mark.parametrize(
    ("targets", "words"),
    [
        ([[1], [1, 2]] * 150, ("rows of equal shape",)),
        (np.array(["2020-01-01"] * 300, "datetime64[D]"), ("numbers or class labels", "dates")),
        (CODES * 1j, ("numbers or class labels", "complex128")),
        (pd.Series([1, None] * 150, dtype="Int64"), ("must be finite numbers", "150 NaN or inf")),
        (pd.Series(["a", pd.NA] * 150), ("must not be missing", "150 missing")),
        (np.ma.masked_equal(CODES, 1), ("must not be missing", "masked")),
        ([{"a": 1}] * 300, ("numbers or class labels", "type object")),
        (Refusing(), ("must be an array", "unsupported type")),
        (np.zeros((300, 2, 2)), ("must vary",)),
        (SEVERAL.astype(str), ("one for each row",)),
    ],
)
def test_what_is_no_target_is_refused_in_our_words(targets, words):
    with refused(*words):
        load((X, targets))


@pytest.mark.parametrize(
    ("raw", "table", "change", "words"),
    [
        (
            np.tile(np.arange(21), 20),
            True,
            CLASSES,
            "21 values from 0 to 20, all whole numbers; they are taken",
        ),
        (np.tile(np.arange(20), 20), True, VALUES, "taken as classes"),
        (np.tile(np.arange(5), 3), True, CLASSES, "taken as values"),
        (np.tile(np.arange(50), 3), False, VALUES, "taken as classes"),
        (np.tile(np.arange(50), 3), True, CLASSES, "taken as values"),
        (
            np.tile(np.arange(10), 9) / 255,
            False,
            VALUES,
            "in steps of 1/255, like class numbers divided by 255",
        ),
        (np.tile(np.arange(10), 9) / 2, True, CLASSES, "evenly spaced"),
    ],
)
def test_every_guess_near_the_border_is_said_with_what_changes_it(raw, table, change, words):
    (note,) = task_notes(raw, None, "y", table=table)
    assert words in note.text and note.change == f"task='{change}'"
    assert decide(raw, change, table=table) == change != decide(raw, None, table=table)
    assert task_notes(raw, change, "y", table=table) == ()


@pytest.mark.parametrize(
    "raw",
    [
        np.tile([0, 1], 50),
        np.tile(np.arange(10, dtype=np.uint8), 50),
        np.array(["a", "b"] * 20),
        np.arange(300),
        np.tile([0.1, 0.2, 0.5], 40),
        RANDOM.normal(size=200),
    ],
)
def test_what_is_plain_gets_no_note(raw):
    assert task_notes(raw, None, "y") == ()


def test_the_option_of_a_note_works():
    """Half steps as classes, and labels divided by 255 as values: the other reading can be had."""
    stars = np.tile(np.arange(10), 30) / 2
    assert load((X, stars)).task == VALUES
    assert load((X, stars), task=CLASSES).preparation.classes == tuple(np.arange(10) / 2)
    scaled = CODES / 255
    data = load((X, scaled), test=(X[:9], scaled[:9]))
    assert data.test.targets.tolist() == CODES[:9].tolist()
    assert load((X, scaled), task=VALUES).task == VALUES


def test_a_guess_at_the_shell_names_the_flag(tmp_path):
    path = csv(tmp_path / "t.csv", {"a": X[:, 0], "b": X[:, 1], "grade": [i % 21 for i in range(300)]})
    with command_line():
        (note,) = notes(load(path, target="grade"), "task")
    assert note.change == "--task classification" and note.text.endswith(
        "--task classification would change that."
    )


def test_lone_classes_are_all_named_with_the_way_out():
    path = CASES / "lone_classes.csv"
    counts = pl.read_csv(path)["kind"].value_counts()
    assert len(lone_of(counts)) == 7
    with command_line(), refused("7 classes with 1 row", "--min-class 2", *lone_of(counts)):
        load(path, target="kind")
    data = load(path, target="kind", min_class=2)
    assert not set(lone_of(counts)) & set(data.preparation.classes)
    (note,) = [
        note for note in notes(data, "rare") if "left out: " in note.text and "fewer than" in note.text
    ]
    assert "7 rows of 7 classes" in note.text and all(name in note.text for name in lone_of(counts))
    assert sum(split.count() for split in data.splits.values()) == int(counts["count"].sum()) - 7


def lone_of(counts):
    return counts.filter(pl.col("count") == 1)["kind"].to_list()


def test_small_classes_are_left_out_of_a_test_split_too():
    kinds = np.array(["a"] * 150 + ["b"] * 149 + ["c"])
    frame = pl.DataFrame(X).with_columns(pl.Series("y", kinds))
    data = load(frame, target="y", min_class=2, test=frame[280:])
    assert data.preparation.classes == ("a", "b") and data.test.count() == 19
    data = load((X, kinds), min_class=2, test=(X[280:], kinds[280:]))
    assert data.preparation.classes == ("a", "b") and data.test.count() == 19
    assert data.test.targets.tolist() == [1] * 19


def test_small_classes_of_numbered_names_are_left_out_and_the_rest_renumbered():
    codes = np.array([0] * 100 + [1] + [2] * 199)
    raw = RawArrays("set", X, codes, test=(X[90:110], codes[90:110]), classes=("x", "y", "z"))
    data = from_arrays(raw, LoadOptions(min_class=2, validation=0))
    assert data.preparation.classes == ("x", "z")
    assert data.train.targets.tolist() == [0] * 100 + [1] * 199
    assert data.test.targets.tolist() == [0] * 10 + [1] * 9


def test_a_class_with_just_as_many_rows_stays():
    kinds = np.repeat([0, 1, 2], [100, 101, 99])
    assert load((X, kinds), min_class=100).preparation.classes == (0, 1)


def test_min_class_is_for_classes_and_leaves_two():
    with refused("min_class is for classes", "regression"):
        load((X, X[:, 0]), min_class=2)
    with refused("at least two classes must have 101 rows", "use a smaller min_class"):
        load((X, np.repeat([0, 1, 2], 100)), min_class=101)


def test_a_lone_class_is_trained_on_where_the_test_split_comes_separately():
    kinds = np.array(["a"] * 150 + ["b"] * 149 + ["c"])
    frame = pl.DataFrame(X).with_columns(pl.Series("y", kinds))
    for data in (
        load((X, kinds), test=(X[:50], kinds[:50])),
        load(frame, target="y", test=frame[:50]),
    ):
        assert 2 in data.train.targets and 2 not in data.validation.targets
        (note,) = notes(data, "split")
        assert note.text.startswith("the validation split has no row of 'c'")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([f"row-{i}" for i in range(300)], ("identifier of the rows", "300 different labels in 300 rows")),
        ([f"row-{i // 1.5:.0f}" for i in range(300)], ("identifier of the rows", "in 300 rows")),
        (range(300), ("identifier of the rows", "from 0 to 299")),
        (range(1, 301), ("identifier of the rows", "from 1 to 300")),
    ],
)
def test_an_identifier_is_no_target(values, words):
    frame = pl.DataFrame(X).with_columns(pl.Series("target", list(values)))
    with refused(*words, who="target"):
        load(frame, target="target")


def test_a_number_that_differs_in_every_row_is_a_target_if_the_user_says_so():
    frame = pl.DataFrame(X).with_columns(pl.Series("customer_id", RANDOM.permutation(9000)[:300]))
    with refused("identifier of the rows", "(customer_id)", "task='regression'"):
        load(frame, target="customer_id")
    assert load(frame, target="customer_id", task=VALUES).task == VALUES
    assert load(frame.rename({"customer_id": "price"}), target="price").task == VALUES


def test_small_classes_of_a_folder_are_left_out(tmp_path):
    for label, count in (("cat", 12), ("dog", 12), ("emu", 1)):
        (tmp_path / label).mkdir()
        for i in range(count):
            pixels = RANDOM.integers(0, 256, (6, 6)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / label / f"{i}.png")
    with refused("1 row of 'emu'", "min_class=2"):
        load(tmp_path)
    data = load(tmp_path, min_class=2)
    assert data.preparation.classes == ("cat", "dog")
    assert sum(split.count() for split in data.splits.values()) == 24
