"""The order of data: a pure function of seed and epoch, every row once an epoch."""

import numpy as np
import pytest

from thalweg.engine.feeds.resident import ResidentFeed


def rows(feed: ResidentFeed, start: int, steps: int, stream: int = 0) -> list[np.ndarray]:
    batches = feed.batches(start, steps, capacity=steps + 3)
    return [np.asarray(batches.indices[stream, i, : batches.sizes[i]]) for i in range(steps)]


@pytest.mark.parametrize(
    ("count", "batch", "keep"), [(10, 3, True), (10, 3, False), (12, 4, True), (5, 5, True), (7, 1, True)]
)
def test_every_row_comes_once_an_epoch(count, batch, keep):
    feed = ResidentFeed(count, batch, "reshuffle", keep, ((0, 0),))
    for epoch in range(3):
        seen = np.concatenate(rows(feed, epoch * feed.epoch_steps, feed.epoch_steps))
        assert len(set(seen)) == len(seen)
        assert len(seen) == (count if keep else count // batch * batch)


def test_any_step_can_be_reached_again():
    whole = rows(ResidentFeed(23, 4, "reshuffle", True, ((9, 0),)), 0, 40)
    for start in (0, 3, 17, 30):
        part = rows(ResidentFeed(23, 4, "reshuffle", True, ((9, 0),)), start, 10)
        assert all(np.array_equal(a, b) for a, b in zip(whole[start : start + 10], part, strict=True))


def test_shuffling_regimes_differ_as_their_names_say():
    steps = 5
    reshuffled, once, never = (
        [np.concatenate(rows(ResidentFeed(20, 4, kind, True, ((1, 0),)), e * steps, steps)) for e in range(2)]
        for kind in ("reshuffle", "once", "none")
    )
    assert not np.array_equal(*reshuffled)
    assert np.array_equal(*once) and not np.array_equal(once[0], np.arange(20))
    assert np.array_equal(never[0], np.arange(20)) and np.array_equal(*never)


def test_streams_with_equal_seeds_are_equal_and_others_are_not():
    feed = ResidentFeed(30, 5, "reshuffle", True, ((4, 0), (5, 0)))
    alone = ResidentFeed(30, 5, "reshuffle", True, ((5, 0),))
    assert np.array_equal(np.concatenate(rows(feed, 0, 6, stream=1)), np.concatenate(rows(alone, 0, 6)))
    assert not np.array_equal(np.concatenate(rows(feed, 0, 6, stream=0)), np.concatenate(rows(alone, 0, 6)))


def test_an_order_is_uniform():
    # Each of the 6 orders of 3 rows: 600 epochs, expected 100 each; chi-square with 5 degrees, 0.9999
    # quantile 25.7.
    counts: dict[tuple, int] = {}
    feed = ResidentFeed(3, 3, "reshuffle", True, ((0, 0),))
    for epoch in range(600):
        found = tuple(rows(feed, epoch, 1)[0])
        counts[found] = counts.get(found, 0) + 1
    assert len(counts) == 6
    assert sum((n - 100) ** 2 / 100 for n in counts.values()) < 25.7


def test_a_stream_begins_at_its_own_first_row():
    # Folds lie one after another: those of the second begin at row 100.
    feed = ResidentFeed(30, 7, "reshuffle", True, ((4, 0), (4, 100)))
    first, second = (np.concatenate(rows(feed, 2, 9, stream=stream)) for stream in range(2))
    assert np.array_equal(second, first + 100) and set(first) == set(range(30))
