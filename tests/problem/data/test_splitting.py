import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.problem.data.given import refused
from thalweg.problem.data.options import LoadOptions
from thalweg.problem.data.splitting import split_rows


def parts(split):
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
def test_the_parts_cover_every_row_once(count, classes, test, validation, seed, kind):
    options = LoadOptions(test=test, validation=validation, split=kind, split_seed=seed)
    found = split_rows(count, options, labels=np.arange(count) % classes)
    assert sorted(np.concatenate(parts(found)).tolist()) == list(range(count))
    assert found.test.size == (max(1, round(count * test)) if test else 0)
    rest = count - found.test.size
    assert found.validation.size == (max(1, round(rest * validation)) if validation else 0)


def test_the_same_seed_gives_the_same_split_and_another_one_another():
    first, again = (split_rows(100, LoadOptions(split_seed=7)) for _ in range(2))
    other = split_rows(100, LoadOptions(split_seed=8))
    assert all(np.array_equal(a, b) for a, b in zip(parts(first), parts(again), strict=True))
    assert not np.array_equal(first.test, other.test)


def test_the_split_of_a_seed_never_changes():
    # Written down once: runs name a split by its seed, and must find the same rows years later.
    found = split_rows(20, LoadOptions(split_seed=0, test=0.2, validation=0.1))
    assert (found.test.tolist(), found.validation.tolist()) == TWENTY


TWENTY = ([4, 13, 17, 19], [12, 18])


def test_random_splits_give_every_part_the_same_mix_of_classes():
    labels = np.repeat([0, 1, 2], [700, 200, 100])
    found = split_rows(1000, LoadOptions(test=0.2, validation=0.1), labels=labels)
    assert np.bincount(labels[found.test]).tolist() == [140, 40, 20]
    assert np.bincount(labels[found.validation]).tolist() == [56, 16, 8]


def test_every_class_keeps_a_row_for_training():
    labels = np.repeat([0, 1], [98, 2])
    for seed in range(20):
        found = split_rows(100, LoadOptions(test=0.5, validation=0.4, split_seed=seed), labels=labels)
        assert (labels[found.train] == 1).any()


def test_time_keeps_the_order_train_validation_test():
    found = split_rows(100, LoadOptions(split="time"))
    assert found.train.tolist() == list(range(72))
    assert found.validation.tolist() == list(range(72, 80))
    assert found.test.tolist() == list(range(80, 100))


@pytest.mark.parametrize("seed", range(10))
def test_units_are_never_separated(seed):
    units = np.repeat(np.arange(0, 120, 4), 4)  # thirty units of four rows each
    found = split_rows(120, LoadOptions(split_seed=seed), units=units)
    homes = [set(units[part]) for part in parts(found)]
    assert not (homes[0] & homes[1] or homes[0] & homes[2] or homes[1] & homes[2])
    assert 20 <= found.test.size <= 28


def test_the_share_is_met_as_nearly_as_units_allow():
    units = np.repeat(np.arange(0, 100, 10), 10)
    assert split_rows(100, LoadOptions(test=0.26), units=units).test.size == 30
    assert split_rows(100, LoadOptions(test=0.24), units=units).test.size == 20


def test_two_large_groups_still_make_two_parts():
    units = np.repeat([0, 60], [60, 40])
    found = split_rows(100, LoadOptions(test=0.1, validation=0), units=units)
    assert found.test.tolist() == list(range(60, 100))


def test_too_few_rows_are_refused():
    with refused("the validation split must have at least 1 row", "2 rows", who="split"):
        split_rows(2, LoadOptions())
    with refused("the test split must have at least 1 row", who="split"):
        split_rows(1, LoadOptions(validation=0))


def test_a_set_with_its_own_test_part_gives_none_away():
    assert split_rows(10, LoadOptions(), separate_test=True).test.size == 0
