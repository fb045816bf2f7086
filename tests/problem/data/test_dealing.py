"""Rows that stay together, in groups of any sizes: every split keeps its size and its classes."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thalweg.problem.data.labels import Target
from thalweg.problem.data.load import load
from thalweg.problem.data.options import LoadOptions
from thalweg.problem.data.splitting import split_examples, split_rows

# The proof in `dealing`: (K + 1) / (2 K + 2 / K) is 1/2 for one class and below 0.61 for any number.
BOUND = 0.61
SIZES = {
    "few huge": lambda random: [*random.integers(20, 60, 3), *[1] * random.integers(20, 100)],
    "many small": lambda random: random.integers(1, 5, random.integers(20, 120)),
    "power law": lambda random: np.minimum(random.zipf(1.6, 80), 60),
    "all equal": lambda random: [random.integers(2, 9)] * random.integers(10, 40),
    "half in one": lambda random: [60, *[1] * 60],
    "all of two": lambda random: [2] * random.integers(10, 60),
}


@st.composite
def tables(draw, pure):
    """Units and classes of the rows, in random order; `pure`: each unit has rows of one class."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    sizes = np.array(SIZES[draw(st.sampled_from(sorted(SIZES)))](random))
    shares = random.dirichlet(np.ones(draw(st.integers(1, 5))) * 2)
    unit = random.permutation(np.repeat(np.arange(sizes.size), sizes))
    labels = random.choice(shares.size, sizes.size, p=shares)[unit] if pure else None
    labels = random.choice(shares.size, unit.size, p=shares) if labels is None else labels
    first = np.unique(unit, return_index=True)[1]
    return first[unit], np.unique(labels, return_inverse=True)[1]


def by_class(units, labels, rows):
    """Return the sizes of the units of each class among some rows, by class."""
    return [
        np.unique(units[rows][labels[rows] == label], return_counts=True)[1]
        for label in range(labels.max() + 1)
    ]


def excess_allowed(units, labels, held_out, remaining, share):
    """Return how far the size of a split may be above, and below, what was asked, by the proof in `dealing`.

    A class whose every unit has more rows than its share needs one of them, and a class keeps its last units
    for the other splits; beyond that, the smallest unit of some class decides.
    """
    above = below = 0.0
    forced_above = forced_below = 0.0
    for held, left in zip(by_class(units, labels, held_out), by_class(units, labels, remaining), strict=True):
        asked = share * (held.sum() + left.sum())
        above = max(above, BOUND * held.min(initial=10**6)) if held.size > 1 else above
        forced_above += max(0.0, held.sum() - asked) if held.size == 1 else 0.0
        below = max(below, BOUND * left.min(initial=10**6)) if left.size > 2 else below
        forced_below += max(0.0, asked - held.sum()) if left.size <= 2 else 0.0
    rounding = labels.max() + 1  # the quota of each class is a whole number
    return above + forced_above + rounding, below + forced_below + rounding


@settings(max_examples=150, deadline=None)
@given(tables(pure=True), st.sampled_from([0.1, 0.2, 0.4]), st.integers(0, 2**40))
def test_a_test_split_has_its_size_and_its_classes_whatever_the_groups(table, share, seed):
    units, labels = table
    split = split_rows(
        units.size,
        LoadOptions(test=share, validation=0, split_seed=seed),
        labels=labels,
        units=units,
    )
    assert sorted([*split.train, *split.test]) == list(range(units.size))
    assert not set(units[split.train]) & set(units[split.test])
    above, below = excess_allowed(units, labels, split.test, split.train, share)
    off = split.test.size - share * units.size
    assert -below <= off <= above
    counts = np.bincount(labels)
    for label, sizes in enumerate(by_class(units, labels, np.arange(units.size))):
        assert (labels[split.train] == label).any()
        if sizes.size >= 2 and counts[label] * share >= 1:
            assert (labels[split.test] == label).any()


@settings(max_examples=100, deadline=None)
@given(tables(pure=False), st.integers(0, 2**40))
def test_groups_with_rows_of_several_classes_are_dealt_by_the_classes_too(table, seed):
    units, labels = table
    options = LoadOptions(test=0.2, validation=0.1, split_seed=seed)
    split = split_rows(units.size, options, labels=labels, units=units)
    parts = [split.train, split.validation, split.test]
    assert sorted(np.concatenate(parts)) == list(range(units.size))
    members = [set(units[rows]) for rows in parts]
    assert not (members[0] & members[1] or members[0] & members[2] or members[1] & members[2])
    sizes = np.unique(units, return_counts=True)[1]
    classes = labels.max() + 1
    # Where single rows suffice for both splits, no large group is needed.
    largest = BOUND * sizes.max() if (sizes == 1).sum() < 0.4 * units.size else 0
    assert abs(split.test.size - 0.2 * units.size) <= largest + classes
    for label in range(classes):
        if np.unique(units[labels == label]).size >= 3:
            assert (labels[split.train] == label).any()


@settings(max_examples=100, deadline=None)
@given(tables(pure=True), st.integers(0, 2**40))
def test_a_class_with_three_groups_is_in_all_three_splits(table, seed):
    units, labels = table
    share = 0.3
    options = LoadOptions(test=share, validation=share, split_seed=seed)
    every = by_class(units, labels, np.arange(units.size))
    if sum(sizes.size for sizes in every) < 3 or max(sizes.size for sizes in every) < 3:
        return
    split = split_rows(units.size, options, labels=labels, units=units)
    for label, sizes in enumerate(every):
        assert (labels[split.train] == label).any()
        if sizes.size >= 3 and sizes.sum() * share * (1 - share) >= 1:
            assert (labels[split.test] == label).any()
            left = (labels[split.train] == label).sum() + (labels[split.validation] == label).sum()
            assert left * share < 1 or (labels[split.validation] == label).any()


@pytest.mark.parametrize("seed", range(30))
def test_half_the_rows_are_copies_of_one_another(seed):
    """The case that was seen: one group of copies overshot its quota and blocked all that came after."""
    random = np.random.default_rng(seed)
    first = np.where(random.random(300) < 0.5, random.choice(10, 300), np.arange(300))
    x = np.random.default_rng(0).normal(size=(300, 4))[first]
    labels = (first % 3 == 0).astype(int)
    data = load((x, labels), split_seed=seed)
    sizes = {name: split.count() for name, split in data.splits.items()}
    assert abs(sizes["test"] - 60) <= 1 and abs(sizes["validation"] - 24) <= 1
    for split in data.splits.values():
        assert abs(np.mean(split.targets) - labels.mean()) < 0.06
    assert {note.kind for note in data.notes} <= {"duplicates", "imbalance"}


def test_every_unit_has_the_same_chance():
    sizes = np.array([5] * 30 + [3] * 40 + [9] * 10 + [1] * 50 + list(range(10, 20)))
    unit = np.repeat(np.arange(sizes.size), sizes)
    units = np.unique(unit, return_index=True)[1][unit]
    drawn = np.zeros((2, sizes.size))
    for seed in range(400):
        split = split_rows(units.size, LoadOptions(test=0.2, validation=0.1, split_seed=seed), units=units)
        drawn[0, np.unique(unit[split.test])] += 1
        drawn[1, np.unique(unit[split.validation])] += 1
    for size in (1, 3, 5, 9):
        test, validation = drawn[:, sizes == size].mean(axis=1) / 400
        assert abs(test - 0.2) < 0.01 and abs(validation - 0.08) < 0.01
    assert drawn[0].min() > 400 * 0.1 and drawn[0].max() < 400 * 0.3  # five deviations of a binomial
    assert drawn[1].min() > 400 * 0.02 and drawn[1].max() < 400 * 0.14  # of those of their own size too


def test_a_split_of_groups_depends_on_its_seed_alone():
    units = np.repeat(np.arange(0, 120, 3), 3)
    first, again = (split_rows(120, LoadOptions(split_seed=5), units=units) for _ in range(2))
    assert all(
        np.array_equal(a, b) for a, b in zip(first.by_name().values(), again.by_name().values(), strict=True)
    )
    assert not np.array_equal(first.test, split_rows(120, LoadOptions(split_seed=6), units=units).test)


def test_a_group_with_most_rows_is_said_to_miss_the_shares():
    groups = np.where(np.arange(100) < 60, "big", "small")
    frame = pl.DataFrame({"a": np.arange(100.0) ** 2 % 17, "g": groups, "y": np.arange(100) % 2})
    data = load(frame, target="y", split="group=g", test=0.2, validation=0)
    (note,) = [note for note in data.notes if note.kind == "split"]
    assert note.text == (
        "test has 40 of 100 rows (40.0%, asked 20.0%): rows of one g are never divided between splits."
    )


def test_a_class_that_a_split_cannot_have_is_named():
    values = np.repeat([0, 1, 2], [40, 40, 20]).astype(np.int32)
    target = Target("classification", values, ("a", "b", "c"), "y")
    hashes = np.concatenate([np.arange(80), np.full(20, 99)])  # all rows of c are copies of one
    _, notes = split_examples(hashes, target, LoadOptions(), separate_test=False)
    texts = [note.text for note in notes if note.kind == "split"]
    assert [text[:36] for text in texts] == [
        "the test split has no row of 'c': to",
        "the validation split has no row of '",
    ]


def test_copies_are_divided_only_where_few_rows_differ():
    labels = Target("classification", np.arange(200, dtype=np.int32) % 2, ("a", "b"), "y")
    few, many = np.arange(200) % 24, np.arange(200) % 60
    (rows,), notes = split_examples(few, labels, LoadOptions(), separate_test=False)
    assert set(few[rows["test"]]) & set(few[rows["train"]]) and "only 24 values" in notes[0].text
    (rows,), notes = split_examples(many, labels, LoadOptions(), separate_test=False)
    assert not set(many[rows["test"]]) & set(many[rows["train"]]) and "kept in one split" in notes[0].text
