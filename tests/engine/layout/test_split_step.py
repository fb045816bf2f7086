"""A split step equals the step: the shared, the batched, the per-lane and the telemetry section."""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.made import blobs
from thalweg.core.jaxprs import evaluate
from thalweg.engine.dispatch import ChunkLength, run_chunks
from thalweg.engine.group import init_group
from thalweg.engine.layout import split_step
from thalweg.engine.layout.split_step import split_jaxpr
from thalweg.engine.program import BATCH
from thalweg.engine.state import DIVERGED, RUNNING
from thalweg.problem.models import MLP
from thalweg.problem.problem import Problem
from thalweg.recipe.optimizers import SGD, AdamW
from thalweg.recipe.recipe import Recipe

SHARED = jnp.arange(6.0).reshape(2, 3)


def two_layers(first, second):
    """Backpropagation by hand, its last products the gradients of weights; the third output is telemetry."""
    inputs = 2 * SHARED
    hidden = inputs @ first
    outputs = hidden @ second
    grads = inputs.T @ (outputs @ second.T), hidden.T @ outputs
    return first - grads[0], second - grads[1], grads[0]


def products(section) -> int:
    return sum(equation.primitive.name == "dot_general" for equation in section.eqns)


def test_the_last_large_products_and_their_dependents_go_lane_by_lane(monkeypatch):
    monkeypatch.setattr(split_step, "LARGE", 1)
    closed = jax.make_jaxpr(two_layers)(jnp.ones((3, 4)), jnp.ones((4, 5)))
    sections = split_jaxpr(closed.jaxpr, 1)
    assert [products(section) for section in sections] == [0, 3, 2, 1]
    assert {equation.primitive.name for equation in sections.shared.eqns} == {"mul", "transpose"}
    assert products(split_jaxpr(closed.jaxpr, 1, per_lane=False).batched) == 5
    monkeypatch.setattr(split_step, "LARGE", 12)  # 3 x 4 is large, 4 x 5 too, 2 x 4 and 2 x 5 are not
    assert [products(section) for section in split_jaxpr(closed.jaxpr, 1)] == [0, 3, 2, 1]
    monkeypatch.setattr(split_step, "LARGE", 13)
    assert [products(section) for section in split_jaxpr(closed.jaxpr, 1)] == [0, 4, 1, 0]


def test_the_sections_together_are_the_jaxpr(monkeypatch):
    monkeypatch.setattr(split_step, "LARGE", 1)
    arguments = jnp.ones((3, 4)) / 7, jnp.ones((4, 5)) / 3
    closed = jax.make_jaxpr(two_layers)(*arguments)
    known = dict(zip(closed.jaxpr.constvars, closed.consts, strict=True))
    known |= dict(zip(closed.jaxpr.invars, arguments, strict=True))
    for section in split_jaxpr(closed.jaxpr, 1):
        known |= evaluate(section, known)
    for var, expected in zip(closed.jaxpr.outvars, two_layers(*arguments), strict=True):
        np.testing.assert_array_equal(known[var], expected)


@pytest.mark.parametrize("running", [[1, 1, 1, 1], [0, 1, 0, 1], [0, 0, 0, 0], [1, 0, 0, 0]])
def test_running_lanes_come_first_in_order(running):
    order, count = split_step._running_lanes(jnp.asarray(running, bool))
    assert int(count) == sum(running)
    assert list(np.asarray(order)[: sum(running)]) == list(np.flatnonzero(running))


class Whole(ChunkLength):
    """A few steps a chunk, whatever the clock says."""

    def __init__(self) -> None:
        self.steps = 5

    def observe(self, steps: int, seconds: float) -> None:
        pass


@contextlib.contextmanager
def large_from(numbers: int, monkeypatch):
    """Recompile with another threshold for large products."""
    with monkeypatch.context() as patched:
        patched.setattr(split_step, "LARGE", numbers)
        jax.clear_caches()
        yield
    jax.clear_caches()


def trained(recipes):
    group, states = init_group(Problem(MLP([6, 5, 3]), blobs(60)), recipes, layout=BATCH)
    chunks = []
    for moved in run_chunks(group, states, 0, 40, Whole()):
        states = moved.states
        rows = moved.chunk.layer_steps >= 0  # other rows of the statistics are unset
        chunks.append((moved.chunk.info, moved.chunk.layer_steps, moved.chunk.layers[rows], moved.chunk.done))
    return states, chunks


@pytest.mark.parametrize("optimizer", [SGD(lr=0.1, momentum=0.9), AdamW(lr=0.01)])
@pytest.mark.parametrize("more", [{}, {"clip_norm": 0.1}, {"seed": range(4)}])
def test_lane_by_lane_equals_batched(optimizer, more, monkeypatch):
    """States, losses and layer statistics; one lane of the first four diverges, and is frozen in both."""
    seeds = {"seed": more["seed"]} if "seed" in more else {}
    plain = {name: value for name, value in more.items() if name != "seed"}
    recipes = Recipe(optimizer, batch_size=8, epochs=8, **plain).vary(lr=[0.01, 1e6, 0.02, 0.005], **seeds)
    with large_from(10**9, monkeypatch):
        one = trained(recipes)
    with large_from(1, monkeypatch):
        other = trained(recipes)
    codes = np.asarray(one[0].code)
    assert RUNNING in codes and (DIVERGED in codes or "clip_norm" in more)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(np.asarray(a, np.float64), np.asarray(b, np.float64), rtol=1e-4, atol=1e-5)
