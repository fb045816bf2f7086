"""Batches from the host: the same bits as resident data, resumed at any step, refused if they do not fit."""

import gc
import itertools
import threading

import jax
import numpy as np
import pytest

from tests.engine.test_loop import Fixed, same_bits
from tests.made import blobs, net
from tests.problem.data.given import refused
from thalweg.core.errors import DataError, RecipeError
from thalweg.engine.dispatch import run_chunks
from thalweg.engine.feeds import feed_for
from thalweg.engine.feeds.streamed import Prefetcher
from thalweg.engine.group import init_group
from thalweg.problem.data.split import Rows
from thalweg.problem.data.stream import stream
from thalweg.problem.problem import Problem
from thalweg.recipe.optimizers import AdamW
from thalweg.recipe.recipe import Recipe
from thalweg.run.train import train

BLOBS = blobs(count=320)  # 224 training rows: 14 batches of 16
RECIPE = Recipe(AdamW(lr=0.01), batch_size=16, steps=40, shuffle="none")


def make(start):
    """The training rows in order, again and again."""
    x, y = BLOBS.train.inputs, BLOBS.train.targets
    for number in itertools.count(start):
        at = slice(number % 14 * 16, number % 14 * 16 + 16)
        yield x[at], y[at]


def streamed(source=make, **settings):
    held = {"validation": BLOBS.validation, "test": (BLOBS.test.inputs, BLOBS.test.targets)}
    return Problem(net, stream(source, **{"classes": 3, "every": 14} | held | settings))


def trained(problem, start=0, stop=40, states=None, recipes=(RECIPE,), length=7):
    group, first = init_group(problem, list(recipes))
    states, losses = first if states is None else states, []
    for moved in run_chunks(group, states, start, stop, Fixed(length)):
        states = moved.states
        losses.append(moved.chunk.info.loss[:, : moved.steps])
    return group, states, np.concatenate(losses, axis=1)


def test_a_stream_of_the_same_batches_trains_to_the_same_bits():
    _, resident, expected = trained(Problem(net, BLOBS))
    group, states, losses = trained(streamed())
    assert np.array_equal(losses, expected) and same_bits(states, resident)
    assert group.feed.position == 40
    _, again, _ = trained(streamed(), length=40)  # the length of a dispatch changes nothing
    assert same_bits(again, resident)


def test_a_run_resumes_at_its_position():
    _, whole, expected = trained(streamed())
    _, half, _ = trained(streamed(), stop=17)
    group, states, losses = trained(streamed(), start=17, states=half)
    assert same_bits(states, whole) and np.array_equal(losses, expected[:, 17:])
    assert group.feed.position == 40


def test_a_feed_reads_again_from_an_earlier_step():
    """As a replay does, and a search that trains the same lanes once more."""
    group, first = init_group(streamed(), [RECIPE])

    def losses(start, stop, states):
        moved = list(run_chunks(group, states, start, stop, Fixed(7)))
        losses = np.concatenate([each.chunk.info.loss[:, : each.steps] for each in moved], axis=1)
        return moved[-1].states, losses

    half, _ = losses(0, 10, first)
    _, expected = losses(10, 19, half)
    _, again = losses(10, 19, half)
    assert np.array_equal(again, expected)


def test_all_lanes_read_the_same_batches():
    other = Recipe.from_dict(RECIPE.to_dict() | {"seed": 3})
    _, states, losses = trained(streamed(), recipes=(RECIPE, other))
    _, alone, alone_losses = trained(streamed(), recipes=(other,))
    assert np.array_equal(losses[1], alone_losses[0]) and not np.array_equal(losses[0], losses[1])
    assert same_bits(jax.tree.map(lambda leaf: leaf[1:], states), alone)


def test_a_whole_run(tmp_path):
    run = train(streamed(), Recipe(AdamW(lr=0.01), batch_size=16, steps=60), keep=tmp_path / "run")
    result = run.result
    assert result["steps"] == 60 and result["stopped"] == "steps"
    assert result["train_loss"] is None and result["test_metric"]["value"] > 0.8
    assert set(run.record.evaluations["part"]) == {"validation", "test"}
    assert run.predict(BLOBS.test.inputs)["prediction"].shape == (48,)


def test_batches_are_read_ahead_and_no_further_than_the_queue_holds():
    read, full = [], threading.Event()

    def counting(start):
        for number, batch in enumerate(make(start), start):
            read.append(number)
            if number == 7:
                full.set()
            yield batch

    ahead = Prefetcher(stream(counting, classes=3, every=14).train, 0, depth=5)
    read.clear()
    taken = [ahead.take() for _ in range(2)]
    assert full.wait(timeout=20)
    assert np.array_equal(taken[1][0], BLOBS.train.inputs[16:32])
    assert read[-1] == 7  # two taken, five waiting, one in hand
    ahead.close()


def test_the_thread_ends_with_its_reader():
    before = {thread for thread in threading.enumerate() if thread.name == "thalweg-stream"}
    feed = feed_for(streamed().data.train, [RECIPE])
    feed.dispatch({}, 0, 1, 1)
    (mine,) = {t for t in threading.enumerate() if t.name == "thalweg-stream"} - before
    del feed
    gc.collect()
    mine.join(timeout=20)
    assert not mine.is_alive()


def test_iterables_and_iterators():
    batches = list(itertools.islice(make(0), 40))
    _, expected, _ = trained(streamed())
    for source in (batches, iter(batches)):
        problem = streamed(source)
        _, states, _ = trained(problem)
        assert same_bits(states, expected)
    with pytest.raises(DataError, match="can be read only once"):
        trained(problem)


def test_an_early_end_a_batch_of_other_shape_and_an_error_are_reported():
    with pytest.raises(DataError, match="its end before batch 9"):
        trained(streamed(list(itertools.islice(make(0), 9))))
    short = [*itertools.islice(make(0), 3), (BLOBS.train.inputs[:5], BLOBS.train.targets[:5])]
    with pytest.raises(DataError, match=r"shapes of the first.*\(batch 3\)"):
        trained(streamed(short))

    def broken(start):
        yield next(make(start))
        raise ZeroDivisionError("the source broke")

    with pytest.raises(ZeroDivisionError, match="the source broke"):
        trained(streamed(broken))


def test_recipes_that_do_not_fit_a_stream_are_refused():
    with pytest.raises(RecipeError, match="length must be in steps"):
        train(streamed(), Recipe(batch_size=16, epochs=2))
    with pytest.raises(RecipeError, match="batch_size must be the stream's, 16"):
        train(streamed(), Recipe(batch_size=8, steps=2))


def test_streams_that_cannot_be_used_are_refused():
    with refused("classes must be the number", "largest target of the first batch is 2"):
        stream(make)
    with refused("must give a batch"):
        stream([], classes=3)
    with refused("(inputs, targets)", "ndarray"):
        stream([np.zeros(3)], classes=3)
    with refused("one row for each example"):
        stream([(np.zeros((3, 2)), np.zeros(4))])
    with refused("whole number of steps"):
        stream(make, classes=3, every=0)
    with refused("held-out examples"):
        stream(make, classes=3, validation=(np.zeros((5, 2)), np.zeros(5, int)))


def test_values_tokens_and_bytes():
    values = stream([(np.ones((4, 3)), np.ones(4))])
    assert (values.task, values.outputs, values.train.first.targets.shape) == ("regression", 1, (4, 1))
    tokens = stream([(np.ones((4, 3), int), np.ones((4, 3), int))], classes="abc")
    assert (tokens.task, tokens.outputs, tokens.input_shape) == ("language", 3, (3,))
    images = stream([(np.full((4, 8, 8), 255, np.uint8), np.ones(4, int))], classes=["cat", "dog"])
    assert images.train.first.inputs.dtype == np.uint8
    assert np.allclose(images.preparation.scale(images.train.first.inputs), 1.0)
    part = Rows(np.ones((2, 3), np.float32), np.ones((2, 1), np.float32))
    assert stream([(np.ones((4, 3)), np.ones(4))], validation=part).validation is part


def test_an_error_is_raised_again_for_who_asks_again():
    prefetcher = Prefetcher(streamed(list(itertools.islice(make(0), 1))).data.train, 0, 4)
    prefetcher.take()
    for _ in range(2):  # the second would wait for ever
        with pytest.raises(DataError, match="its end before batch 1"):
            prefetcher.take()
