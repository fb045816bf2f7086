"""Products in the fast form are the same products, and the compiler keeps the form."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.made import blobs
from thalweg.core import jaxprs
from thalweg.engine import evaluate
from thalweg.engine.dispatch import run_chunk
from thalweg.engine.group import init_group
from thalweg.engine.layout.fast_matmul import evaluate_fast, fast
from thalweg.engine.program import BATCH
from thalweg.problem.models import MLP
from thalweg.problem.problem import Problem
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe

LEFT, RIGHT = jnp.arange(24.0).reshape(2, 3, 4) / 7, jnp.arange(120.0).reshape(2, 3, 4, 5) / 11


def product(left_axes, right_axes, batch=((), ())):
    def of(left, right):
        result = jax.lax.dot_general(jnp.sin(left), jnp.cos(right), ((left_axes, right_axes), batch))
        return 2 * result, result.sum()

    return of


FORMS = {
    "the last axis": product((2,), (2,)),
    "the first axis": product((0,), (0,)),
    "one of a batch": product((1,), (1,), ((0,), (0,))),
    "the last of a batch": product((2,), (2,), ((0,), (0,))),
    "two, in another order": product((2, 0), (2, 0)),
    "a batch by the last axis": product((0,), (0,), ((2,), (2,))),
    "a batch by two axes": product((1,), (1,), ((2, 0), (2, 0))),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("lanes", [False, True])
def test_products_in_the_fast_form_are_the_products(form, lanes):
    jaxpr = jax.make_jaxpr(FORMS[form])(LEFT, RIGHT).jaxpr

    def by(make):
        def evaluated(left, right):
            values = make(jaxpr, dict(zip(jaxpr.invars, (left, right), strict=True)))
            return [values[var] for var in jaxpr.outvars]

        return jax.vmap(evaluated, in_axes=(0, None)) if lanes else evaluated

    left = jnp.stack([LEFT, LEFT + 1]) if lanes else LEFT
    for one, other in zip(by(evaluate_fast)(left, RIGHT), by(jaxprs.evaluate)(left, RIGHT), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)


def test_outputs_that_need_no_product_are_computed_too():
    jaxpr = jax.make_jaxpr(lambda x: (x, x + 1))(LEFT).jaxpr
    values = evaluate_fast(jaxpr, {jaxpr.invars[0]: LEFT})
    np.testing.assert_array_equal(values[jaxpr.outvars[0]], LEFT)
    np.testing.assert_array_equal(values[jaxpr.outvars[1]], LEFT + 1)


def test_a_function_in_the_fast_form_is_the_function():
    def of(left, more):
        tree = {"a": FORMS["one of a batch"](left, RIGHT)[0] + more["b"], "c": 3.0, "d": more["b"]}
        return tree, jnp.arange(2)

    def lanes(function):
        return jax.vmap(function, in_axes=(0, None))(jnp.stack([LEFT, 2 * LEFT]), {"b": 0.5})

    for one, other in zip(jax.tree.leaves(lanes(fast(of))), jax.tree.leaves(lanes(of)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)
    assert jax.tree.structure(fast(of)(LEFT, {"b": 1.0})) == jax.tree.structure(of(LEFT, {"b": 1.0}))


def summed_elsewhere(text: str) -> tuple[int, list[str]]:
    """Return how many products a compiled program has, and those not summed over the left one's last axis."""
    dots = re.findall(r" = \w+\[[\d,]*\]\S* dot\(%(\S+?), .*?lhs_contracting_dims=\{([\d,]*)\}", text)
    elsewhere = []
    for left, summed in dots:
        (shape,) = {*re.findall(rf"%{re.escape(left)} = \w+\[([\d,]*)\]", text)}
        if summed != str(len(shape.split(",")) - 1):
            elsewhere.append(f"{left} [{shape}] over {summed}")
    return len(dots), elsewhere


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="the form is the CPU compiler's")
def test_batched_lanes_are_summed_over_the_last_axis_of_the_left_factor():
    recipes = Recipe(SGD(lr=0.1), batch_size=8, epochs=1).vary(lr=[0.01, 0.02, 0.05, 0.1])
    group, states = init_group(Problem(MLP([6, 5, 4, 3]), blobs(60)), recipes, layout=BATCH)
    split, batches = group.feed.dispatch(group.splits, 0, 4, group.program.capacity)
    training = run_chunk.lower(group.program, group.inputs, split, batches, np.int32(4), states)
    order, weights = np.arange(4, dtype=np.int32), (states.params, states.model_state)
    arguments = (group.program, group.inputs, split, weights, order, np.int32(4))
    evaluation = evaluate.sums_of_batches.lower(*arguments, stride=1, predict=None)
    # Forward, what is before two layers, gradients of weights (which may be one); and forward.
    for lowered, fewest in ((training, 7), (evaluation, 3)):
        count, elsewhere = summed_elsewhere(lowered.compile().as_text())
        assert count >= fewest and elsewhere == []
