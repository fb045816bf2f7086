"""Shards in threads: the one that is least far runs next, all wait at a barrier, an error ends all."""

import threading

import jax
import jax.numpy as jnp
import pytest

from thalweg.core import compiler
from thalweg.run.session.scheduler import Advanced, AtBarrier, run_shards, stream_shards


def nothing() -> None:
    pass


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_all_shards_end_whatever_the_number_of_workers(workers):
    seen = []

    def shard(name, pieces):
        for piece in range(pieces):
            seen.append((name, piece))
            yield Advanced((piece + 1) / pieces)

    run_shards([shard("a", 3), shard("b", 5), shard("c", 1)], workers, nothing)
    assert sorted(seen) == [*(("a", i) for i in range(3)), *(("b", i) for i in range(5)), ("c", 0)]


def test_the_shard_that_is_least_far_runs_next():
    seen = []

    def shard(name, pieces):
        for piece in range(pieces):
            seen.append(name)
            yield Advanced((piece + 1) / pieces)

    run_shards([shard("short", 2), shard("long", 4)], 1, nothing)
    assert seen == ["short", "long", "long", "short", "long", "long"]


def test_no_shard_runs_in_two_threads_at_once():
    inside, clashes = set(), []

    def shard(name):
        for _ in range(200):
            if name in inside:
                clashes.append(name)
            inside.add(name)
            threading.Event().wait(0)
            inside.discard(name)
            yield Advanced(0.5)

    run_shards([shard("a"), shard("b")], 4, nothing)
    assert not clashes


@pytest.mark.parametrize("workers", [1, 2])
def test_a_shard_at_the_barrier_waits_for_all_the_others(workers):
    order = []

    def shard(name, pieces):
        for _ in range(pieces):
            yield Advanced(0.1)
        order.append(f"{name} waits")
        yield AtBarrier()
        order.append(f"{name} continues")

    run_shards([shard("a", 1), shard("b", 9)], workers, lambda: order.append("compared"))
    assert sorted(order[:2]) == ["a waits", "b waits"] and order[2] == "compared"
    assert sorted(order[3:]) == ["a continues", "b continues"]


@pytest.mark.parametrize("workers", [1, 3])
def test_an_error_ends_all_and_is_raised(workers):
    def endless():
        while True:
            yield Advanced(0.9)

    def failing():
        yield Advanced(0.1)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_shards([endless(), failing()], workers, nothing)


def test_jax_settings_of_the_calling_thread_hold_in_the_workers():
    dtypes = []

    def shard():
        dtypes.append(jnp.zeros(1, float).dtype)
        yield Advanced(0.5)

    with jax.enable_x64(True):
        run_shards([shard(), shard()], 2, nothing)
    assert dtypes == [jnp.float64, jnp.float64]


def test_how_the_calling_thread_compiles_holds_in_the_workers():
    fast = []

    def shard():
        fast.append(compiler._EFFORT.get() == compiler.LEAST)
        yield Advanced(0.5)

    with compiler.fast_compilation():
        run_shards([shard(), shard()], 2, nothing)
    run_shards([shard(), shard()], 2, nothing)
    assert fast == [True, True, False, False]


def test_of_the_shards_at_one_site_one_runs_at_a_time():
    running, most, together = {"here": 0, "there": 0}, [0], threading.Event()

    def shard(site):
        for piece in range(4):
            running[site] += 1
            most[0] = max(most[0], running[site])
            if all(running.values()):
                together.set()  # two sites at once
            together.wait(0.05)
            running[site] -= 1
            yield Advanced((piece + 1) / 4)

    sites = ["here", "here", "here", "there"]
    list(stream_shards([shard(site) for site in sites], 3, nothing, sites))
    assert most == [1]
    assert together.is_set()
