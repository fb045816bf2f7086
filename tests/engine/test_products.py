"""Products written fast are the same products, in the form that the compiler is meant to keep."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.made import blobs
from thalweg.engine.group import prepare
from thalweg.engine.loop import run_chunk
from thalweg.engine.parting import made
from thalweg.engine.products import made_fast
from thalweg.engine.program import BATCH
from thalweg.problem.models import MLP
from thalweg.problem.problem import Problem
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe

LEFT, RIGHT = jnp.arange(24.0).reshape(2, 3, 4) / 7, jnp.arange(120.0).reshape(2, 3, 4, 5) / 11


def product(left_axes, right_axes, batch=((), ())):
    def of(left, right):
        found = jax.lax.dot_general(jnp.sin(left), jnp.cos(right), ((left_axes, right_axes), batch))
        return 2 * found, found.sum()

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
def test_products_written_fast_are_the_products(form, lanes):
    piece = jax.make_jaxpr(FORMS[form])(LEFT, RIGHT).jaxpr

    def by(make):
        def found(left, right):
            values = make(piece, dict(zip(piece.invars, (left, right), strict=True)))
            return [values[var] for var in piece.outvars]

        return jax.vmap(found, in_axes=(0, None)) if lanes else found

    left = jnp.stack([LEFT, LEFT + 1]) if lanes else LEFT
    for one, other in zip(by(made_fast)(left, RIGHT), by(made)(left, RIGHT), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)


def test_what_needs_no_product_is_made_too():
    piece = jax.make_jaxpr(lambda x: (x, x + 1))(LEFT).jaxpr
    found = made_fast(piece, {piece.invars[0]: LEFT})
    np.testing.assert_array_equal(found[piece.outvars[0]], LEFT)
    np.testing.assert_array_equal(found[piece.outvars[1]], LEFT + 1)


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="the form is the CPU compiler's")
def test_lanes_in_one_product_are_summed_over_the_left_factors_last_axis():
    recipes = Recipe(SGD(lr=0.1), batch_size=8, epochs=1).vary(lr=[0.01, 0.02, 0.05, 0.1])
    group, states = prepare(Problem(MLP([6, 5, 4, 3]), blobs(60)), recipes, layout=BATCH)
    part, batches = group.feed.dispatch(group.parts, 0, 4, group.program.capacity)
    lowered = run_chunk.lower(group.program, group.inputs, part, batches, np.int32(4), states)
    text = lowered.compile().as_text()
    dots = re.findall(r" = \w+\[[\d,]*\]\S* dot\(%(\S+?), .*?lhs_contracting_dims=\{([\d,]*)\}", text)
    assert len(dots) >= 7  # three forward, two for what is before them, three for weights, some of them one
    for left, summed in dots:
        (shape,) = {*re.findall(rf"%{re.escape(left)} = \w+\[([\d,]*)\]", text)} or {""}
        rank = len(shape.split(","))
        assert summed == str(rank - 1), f"{left} {shape} is summed over {summed}"
