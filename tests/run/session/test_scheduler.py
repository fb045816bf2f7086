"""Journeys in threads: the one that is least far goes on, all rest together, an error ends all."""

import threading

import jax
import jax.numpy as jnp
import pytest

from thalweg.run.session.scheduler import REST, together


def nothing() -> None:
    pass


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_all_journeys_end_whatever_the_number_of_workers(workers):
    seen = []

    def journey(name, pieces):
        for piece in range(pieces):
            seen.append((name, piece))
            yield (piece + 1) / pieces

    together([journey("a", 3), journey("b", 5), journey("c", 1)], workers, nothing)
    assert sorted(seen) == [*(("a", i) for i in range(3)), *(("b", i) for i in range(5)), ("c", 0)]


def test_the_one_that_is_least_far_goes_on():
    seen = []

    def journey(name, pieces):
        for piece in range(pieces):
            seen.append(name)
            yield (piece + 1) / pieces

    together([journey("short", 2), journey("long", 4)], 1, nothing)
    assert seen == ["short", "long", "long", "short", "long", "long"]


def test_no_journey_is_moved_by_two_threads_at_once():
    inside, clashes = set(), []

    def journey(name):
        for _ in range(200):
            if name in inside:
                clashes.append(name)
            inside.add(name)
            threading.Event().wait(0)
            inside.discard(name)
            yield 0.5

    together([journey("a"), journey("b")], 4, nothing)
    assert not clashes


@pytest.mark.parametrize("workers", [1, 2])
def test_journeys_that_rest_wait_for_all_the_others(workers):
    order = []

    def journey(name, pieces):
        for _ in range(pieces):
            yield 0.1
        order.append(f"{name} rests")
        yield REST
        order.append(f"{name} goes on")

    together([journey("a", 1), journey("b", 9)], workers, lambda: order.append("compared"))
    assert sorted(order[:2]) == ["a rests", "b rests"] and order[2] == "compared"
    assert sorted(order[3:]) == ["a goes on", "b goes on"]


@pytest.mark.parametrize("workers", [1, 3])
def test_an_error_ends_all_and_is_raised(workers):
    def endless():
        while True:
            yield 0.9

    def failing():
        yield 0.1
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        together([endless(), failing()], workers, nothing)


def test_settings_of_the_calling_thread_hold_in_the_workers():
    found = []

    def journey():
        found.append(jnp.zeros(1, float).dtype)
        yield 0.5

    with jax.enable_x64(True):
        together([journey(), journey()], 2, nothing)
    assert found == [jnp.float64, jnp.float64]
