import numpy as np
import pytest

from tests.problem.data.given import refused
from thalweg.problem.data.load import load

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(5.0, 3.0, size=(200, 3))
CLASS = np.arange(200) % 2
Y = X[:, 0] * 2 + 1


def test_inputs_are_standardised_by_the_train_split_only():
    wild = X.copy()
    wild[144:] = 100  # validation and test, in order of time
    data = load((wild, CLASS), split="time")
    train = np.asarray(data.train.inputs, np.float64)
    assert train.shape == (144, 3) and data.input_shape == (3,)
    assert np.allclose(train.mean(axis=0), 0, atol=1e-6) and np.allclose(train.std(axis=0), 1, atol=1e-6)


def test_regression_targets_are_standardised_and_answered_in_their_unit():
    data = load((X, Y))
    assert data.task == "regression" and data.outputs == 1 and data.train.targets.dtype == np.float32
    assert abs(float(data.train.targets.mean())) < 1e-6
    back = data.preparation.answers(data.train.targets, data.task)["prediction"]
    raw = data.train.inputs[:, 0] * data.preparation.columns.scale[0] + data.preparation.columns.mean[0]
    assert np.allclose(back, raw * 2 + 1, rtol=1e-5)


def test_several_targets_have_their_own_scales():
    data = load((X, np.stack([Y, 100 * Y + 7], axis=1)))
    assert data.outputs == 2 and len(data.preparation.target_mean) == 2
    assert np.allclose(data.train.targets[:, 0], data.train.targets[:, 1], atol=1e-4)


def test_classes_are_stratified_and_named():
    data = load((X, np.where(CLASS == 1, "yes", "no")))
    assert data.preparation.classes == ("no", "yes") and data.train.targets.dtype == np.int32
    assert {name: split.count() for name, split in data.splits.items()} == {
        "train": 144,
        "validation": 16,
        "test": 40,
    }
    assert np.bincount(data.test.targets).tolist() == [20, 20]


def test_byte_images_stay_bytes_and_are_scaled_on_the_device():
    images = RANDOM.integers(0, 256, size=(60, 8, 9, 3)).astype(np.uint8)
    data = load((images, np.arange(60) % 2), validation=0)
    assert data.train.inputs.dtype == np.uint8 and data.input_shape == (8, 9, 3)
    scaled = np.asarray(data.preparation.scale(data.train.inputs))
    assert np.allclose(scaled.mean(axis=(0, 1, 2)), 0, atol=1e-5)
    assert np.allclose(scaled.std(axis=(0, 1, 2)), 1, atol=1e-5)


def test_short_sequences_are_not_images():
    data = load((RANDOM.normal(size=(60, 10, 9)), np.arange(60) % 2))
    assert data.preparation.columns.kind == "array" and data.preparation.input_scale is None


def test_a_separate_test_split_is_used():
    data = load((X, CLASS), test=(X[:10] + 1, CLASS[:10]), validation=0)
    assert (data.train.count(), data.test.count()) == (200, 10)
    shift = np.asarray(data.test.inputs) - np.asarray(data.train.inputs[:10])
    assert np.allclose(shift, 1 / np.asarray(data.preparation.columns.scale), atol=1e-5)


def test_only_immutable_arrays_are_not_copied():
    """If all pictures are in the train split, bytes are not copied; a view of memory that may change is."""
    pictures = np.random.default_rng(0).integers(0, 256, (200, 8, 8)).astype(np.uint8)
    given = {"validation": 0.0, "test": (pictures[:5], CLASS[:5])}
    fixed = np.frombuffer(pictures.tobytes(), np.uint8).reshape(pictures.shape)
    assert np.shares_memory(load((fixed, CLASS), **given).train.inputs, fixed)
    view = pictures.view()
    view.flags.writeable = False
    data = load((view, CLASS), **given)
    before = data.train.inputs.copy()
    pictures[:] = 0
    assert np.array_equal(data.train.inputs, before) and before.any()


def test_copies_never_lie_in_two_splits():
    doubled, labels = np.concatenate([X, X[:40]]), np.concatenate([CLASS, CLASS[:40]])
    data = load((doubled, labels))
    members = [{row.tobytes() for row in np.asarray(split.inputs)} for split in data.splits.values()]
    assert not (members[0] & members[1] or members[0] & members[2] or members[1] & members[2])
    assert [note.kind for note in data.notes] == ["duplicates"]


def test_imbalance_is_noted():
    (note,) = load((X, (np.arange(200) < 30).astype(int))).notes
    assert note.kind == "imbalance" and "class 0 has 84.7% of the training rows" in note.text


def test_the_fingerprint_changes_with_one_number():
    other = X.copy()
    other[3, 1] += 1e-3
    assert load((X, CLASS)).fingerprint == load((X, CLASS)).fingerprint != load((other, CLASS)).fingerprint
    assert len(load((X, CLASS)).fingerprint) == 64


def broken(row, column, value):
    x = X.copy()
    x[row, column] = value
    return x


@pytest.mark.parametrize(
    ("source", "settings", "words"),
    [
        ((broken(3, 1, np.nan), CLASS), {}, ("inputs must be finite", "1 NaN or inf", "[3, 1]")),
        ((X, np.where(CLASS, np.inf, Y)), {}, ("targets must be finite", "100 NaN or inf", "[1]")),
        ((broken(5, 0, 1e39), CLASS), {}, ("that fit float32", "1 beyond float32", "1e+39 at [5, 0]")),
        ((X, CLASS[:-1]), {}, ("the same number of rows", "200 and 199")),
        ((X[:0], CLASS[:0]), {}, ("must not be empty",)),
        ((X[:, :0], CLASS), {}, ("must not be empty",)),
        (([[1, 2], [3]], [0, 1]), {}, ("rows of equal shape",)),
        ((np.array([["a"]] * 9), np.arange(9)), {}, ("inputs must be numbers",)),
        ((X, np.array([None, "a"] * 100)), {}, ("must not be missing", "100 missing", "at 0")),
        ((X, np.arange(200) % 3 - 1), {}, ("must not be negative", "-1 in 67 rows")),
        ((X, Y), {"task": "classification"}, ("must be whole numbers or text", "200 different ones")),
        ((X, np.ones(200)), {"task": "regression"}, ("must vary", "1.0 in every row")),
        ((X, np.ones(200, int)), {}, ("at least two classes",)),
        ((X, (np.arange(200) == 5).astype(int)), {}, ("at least 2 rows", "1 row of 1")),
        ((X, CLASS), {"test": (X, CLASS + 1)}, ("must occur in the train split", "[2]")),
        ((X, CLASS), {"test": (X[:, :2], CLASS)}, ("must have the shape (3,)", "(2,)")),
        ((X, CLASS), {"test": "more.csv"}, ("test must be a share, or (inputs, targets)",)),
        ((X, CLASS), {"split": "group=a"}, ("needs columns with names",)),
        (X, {}, ("a pair (inputs, targets)", "ndarray")),
        ((X[:2], np.array(["a", "b"])), {"test": 0}, ("identifier of the rows", "2 different labels")),
        ((X[:2], Y[:2]), {}, ("validation split must have at least 1 row",)),
    ],
)
def test_bad_arrays_are_refused(source, settings, words):
    with refused(*words):
        load(source, **settings)


def test_minus_one_and_one_are_two_classes():
    assert load((X, CLASS * 2 - 1)).preparation.classes == (-1, 1)
