"""Columns from which the target follows are pointed out, and columns that only go with it are not."""

import numpy as np
import polars as pl
import pytest

from thalweg.problem.data.load import load

COUNT = 400
RANDOM = np.random.default_rng(0)
A, B, C, NOISE = RANDOM.normal(size=(4, COUNT))
K = RANDOM.integers(0, 3, COUNT)
M, W = RANDOM.integers(0, 6, (2, COUNT))
MANY = RANDOM.permutation(np.arange(COUNT) % 80)
WITH_GAPS = [None if gap else c for gap, c in zip(RANDOM.random(COUNT) < 0.2, C.tolist(), strict=True)]
RARELY = [c if i % 10 == 0 else None for i, c in enumerate(C.tolist())]


def leaks(columns):
    data = load(pl.DataFrame(columns, strict=False), target="y")
    return [(note.columns, note.text) for note in data.notes if note.kind == "leak"]


@pytest.mark.parametrize(
    ("columns", "found", "words"),
    [
        (
            {"a": A.round(2), "b": B.round(2), "c": C, "y": A.round(2) + B.round(2)},
            ("a", "b"),
            "sum of multiples",
        ),
        (
            {"a": A, "b": B, "c": C, "d": NOISE, "y": 3 * A - B + 2 * C + 5},
            ("a", "b", "c"),
            "sum of multiples",
        ),
        ({"a": A, "b": B, "c": WITH_GAPS, "y": A + B}, ("a", "b"), "sum of multiples"),
        ({"a": A, "b": B, "c": RARELY, "y": A + B}, ("a", "b"), "sum of multiples"),
        ({"m": M, "w": W, "b": B, "y": M + W}, ("m", "w"), "sum of multiples"),
        ({"a": A, "b": B, "y": 2.54 * A + 3}, ("a",), "exactly, as a multiple of it plus a constant"),
        ({"a": np.exp(2 * A), "b": B, "y": A}, ("a",), "a multiple of its logarithm"),
        ({"a": A, "b": B, "y": np.exp(2 * A)}, ("a",), "an exponential function of it"),
        ({"a": np.exp(A), "b": B, "y": 235 / np.exp(A)}, ("a",), "a multiple of a power of it"),
        (
            {"k": np.array([7, 3, 11])[K], "b": B, "y": np.array(list("xyz"))[K]},
            ("k",),
            "copy of y under other",
        ),
        ({"k": np.array(list("pqr"))[K], "b": B, "y": np.array(list("xyz"))[K]}, ("k",), "copy of y under"),
        (
            {"k": MANY * 3, "b": B, "y": np.array([f"c{m}" for m in MANY])},
            ("k",),
            "copy of y under other names",
        ),
        ({"a": A + 0.01 * NOISE, "b": B, "y": A}, ("a",), "removes 100.0% of the error"),
    ],
)
def test_what_gives_the_target_is_noted(columns, found, words):
    ((names, text),) = leaks(columns)
    assert names == found and words in text and text.endswith("at prediction time?")


@pytest.mark.parametrize(
    "columns",
    [
        {"a": A, "b": B, "c": C, "y": A + B + 0.05 * NOISE},  # a good linear model, not an identity
        {"a": A, "b": B, "y": A + NOISE},
        {"k": K, "b": B, "y": np.where(RANDOM.random(COUNT) < 0.1, 0, K)},
        {"a": A[:40], "b": B[:40], "y": A[:40] + B[:40]},  # too few rows to tell
        {f"x{i}": RANDOM.normal(size=120) for i in range(60)}
        | {"y": NOISE[:120]},  # fits, half as many columns
    ],
)
def test_what_only_goes_with_the_target_is_not(columns):
    assert leaks(columns) == []


def test_a_target_of_several_labels_is_looked_at_too():
    labels = np.stack([A > 0, B > 0, A > 0], axis=1).astype(int)
    data = load((pl.DataFrame({"a": A, "b": B}), pl.DataFrame(labels, ["p", "q", "r"])))
    assert data.task == "multilabel" and not [note for note in data.notes if note.kind == "leak"]
