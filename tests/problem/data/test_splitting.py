import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.problem.data.given import refused
from thalweg.problem.data.labels import Target
from thalweg.problem.data.options import LoadOptions
from thalweg.problem.data.splitting import (
    first_copies,
    fold_rows,
    row_hashes,
    shared_rows,
    split_examples,
    split_rows,
    units_of,
)


def indices(split):
    return split.train, split.validation, split.test


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(20, 300),
    classes=st.integers(1, 4),
    test=st.sampled_from([0.0, 0.1, 0.2, 0.5]),
    validation=st.sampled_from([0.0, 0.1, 0.3]),
    seed=st.integers(0, 2**40),
    kind=st.sampled_from(["random", "time"]),
)
def test_the_splits_cover_every_row_once(count, classes, test, validation, seed, kind):
    options = LoadOptions(test=test, validation=validation, split=kind, split_seed=seed)
    split = split_rows(count, options, labels=np.arange(count) % classes)
    assert sorted(np.concatenate(indices(split)).tolist()) == list(range(count))
    assert split.test.size == (max(1, round(count * test)) if test else 0)
    rest = count - split.test.size
    assert split.validation.size == (max(1, round(rest * validation)) if validation else 0)


def test_another_seed_gives_another_split():
    first, again = (split_rows(100, LoadOptions(split_seed=7)) for _ in range(2))
    other = split_rows(100, LoadOptions(split_seed=8))
    assert all(np.array_equal(a, b) for a, b in zip(indices(first), indices(again), strict=True))
    assert not np.array_equal(first.test, other.test)


def test_the_split_of_a_seed_never_changes():
    # Written down once: runs name a split by its seed, and must find the same rows years later.
    split = split_rows(20, LoadOptions(split_seed=0, test=0.2, validation=0.1))
    assert (split.test.tolist(), split.validation.tolist()) == TWENTY


TWENTY = ([4, 13, 17, 19], [12, 18])


def test_random_splits_are_stratified():
    labels = np.repeat([0, 1, 2], [700, 200, 100])
    split = split_rows(1000, LoadOptions(test=0.2, validation=0.1), labels=labels)
    assert np.bincount(labels[split.test]).tolist() == [140, 40, 20]
    assert np.bincount(labels[split.validation]).tolist() == [56, 16, 8]


def test_every_class_keeps_a_row_for_training():
    labels = np.repeat([0, 1], [98, 2])
    for seed in range(20):
        split = split_rows(100, LoadOptions(test=0.5, validation=0.4, split_seed=seed), labels=labels)
        assert (labels[split.train] == 1).any()


def test_time_keeps_the_order_train_validation_test():
    split = split_rows(100, LoadOptions(split="time"))
    assert split.train.tolist() == list(range(72))
    assert split.validation.tolist() == list(range(72, 80))
    assert split.test.tolist() == list(range(80, 100))


@pytest.mark.parametrize("seed", range(10))
def test_units_are_never_separated(seed):
    units = np.repeat(np.arange(0, 120, 4), 4)  # thirty units of four rows each
    split = split_rows(120, LoadOptions(split_seed=seed), units=units)
    members = [set(units[rows]) for rows in indices(split)]
    assert not (members[0] & members[1] or members[0] & members[2] or members[1] & members[2])
    assert 20 <= split.test.size <= 28


def test_the_share_is_met_as_nearly_as_units_allow():
    units = np.repeat(np.arange(0, 100, 10), 10)
    assert split_rows(100, LoadOptions(test=0.26), units=units).test.size == 30
    assert split_rows(100, LoadOptions(test=0.24), units=units).test.size == 20


def test_two_large_groups_still_make_two_splits():
    units = np.repeat([0, 60], [60, 40])
    split = split_rows(100, LoadOptions(test=0.1, validation=0), units=units)
    assert split.test.tolist() == list(range(60, 100))


def test_too_few_rows_are_refused():
    with refused("the validation split must have at least 1 row", "2 rows", who="split"):
        split_rows(2, LoadOptions())
    with refused("the test split must have at least 1 row", who="split"):
        split_rows(1, LoadOptions(validation=0))


def test_a_separate_test_split_takes_no_rows():
    assert split_rows(10, LoadOptions(), separate_test=True).test.size == 0


def test_copies_point_to_the_first_of_them():
    rows = np.array([[1.0, 2], [3, 4], [1, 2], [1, 2]])
    assert first_copies(row_hashes(rows)).tolist() == [0, 1, 0, 0]


def test_a_hash_covers_the_whole_row_in_any_memory_layout():
    rows = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    apart = np.stack([rows, rows], axis=-1)[..., 0]
    assert row_hashes(apart).tolist() == row_hashes(rows).tolist()
    rows[1, 2, 3] += 1
    assert (row_hashes(apart) == row_hashes(rows)).tolist() == [True, False]


def test_copies_stay_together_in_random_splits():
    first = np.array([0, 1, 0, 3, 4, 5])
    units, notes = units_of(first, random=True)
    assert units is first and "1 of 6 rows repeat" in notes[0].text
    units, notes = units_of(first, random=False)
    assert units is None and len(notes) == 1


def test_rows_that_mostly_repeat_are_not_kept_together():
    units, notes = units_of(np.array([0, 0, 0, 0, 4]), random=True)
    assert units is None and "only 2 values" in notes[0].text


def test_without_copies_there_is_no_note():
    assert units_of(np.arange(5), random=True) == (None, ())


def test_test_rows_seen_in_training_are_counted():
    train = row_hashes(np.array([[1, 2], [3, 4]]))
    assert "1 of 2 test rows" in shared_rows(train, row_hashes(np.array([[3, 4], [5, 6]])))[0].text
    assert shared_rows(train, row_hashes(np.array([[5, 6]]))) == ()


def test_folds_are_of_equal_size_and_validate_on_rows_of_their_own():
    folds = fold_rows(100, LoadOptions(folds=5, validation=0.25))
    assert [fold.test.size for fold in folds] == [20] * 5
    assert sorted(np.concatenate([fold.test for fold in folds]).tolist()) == list(range(100))
    times = np.bincount(np.concatenate([fold.validation for fold in folds]), minlength=100)
    assert times.sum() == 100 and (times > 0).sum() > 50  # the same draw five times would give some 25 rows


def test_a_share_that_groups_miss_is_noted_of_the_rows_that_were_left():
    hashes = np.repeat(np.arange(4), 25)  # of 100 rows a quarter, then of 75 a third
    target = Target("regression", np.zeros((100, 1)))
    options = LoadOptions(split="group=who", test=0.1, validation=0.1)
    _, notes = split_examples(hashes, target, options, separate_test=False)
    text = next(note.text for note in notes if "asked" in note.text)
    assert "test has 25 of 100 rows (25.0%, asked 10.0%)" in text
    assert "validation has 25 of 75 rows (33.3%, asked 10.0%)" in text
