"""Single rules of XLA's memory, which small functions and small GPTs show."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import thalweg as tw
from tests.insight.cost.test_cost import one_step
from thalweg.insight.cost import graph, liveness
from thalweg.insight.cost.cost import memory_bytes
from thalweg.insight.cost.fitting import compiled_bytes
from thalweg.insight.cost.forms import forms
from thalweg.insight.cost.fusion import kernels
from thalweg.problem.models import parse

ROWS, STEPS, WIDTH = 16, 8, 48


def computed(function, *shapes):
    return graph.computation(jax.make_jaxpr(function)(*(jnp.ones(shape) for shape in shapes)))


@pytest.mark.parametrize(
    ("model", "batch", "share"),
    # More than 1 % off without the rule for gathered rows, for shapes, or for places of random numbers.
    [("gpt:layers=1,width=16,heads=2,dropout=0.1", 16, 0.01), ("gpt:layers=1,width=32", 32, 0.01)],
)
def test_the_memory_of_attention_and_of_a_loss_over_tokens_is_what_xla_assigns(tmp_path, model, batch, share):
    letters = np.random.default_rng(0).integers(ord("0"), ord("p"), 6000)
    (tmp_path / "letters.txt").write_text("".join(map(chr, letters)))
    problem = tw.Problem(parse(model), tw.load(tmp_path / "letters.txt"))
    recipe = one_step(batch_size=batch)
    assert memory_bytes(problem, recipe) == pytest.approx(compiled_bytes(problem, recipe), rel=share)


def test_places_of_random_numbers_are_kept_until_the_loop_ends():
    def drawn(key, x):
        def once(at, x):
            kept = jax.random.bernoulli(jax.random.fold_in(key, at), 0.5, x.shape)
            return jnp.sin(jnp.where(kept, x, 0.0) @ jnp.ones((WIDTH, WIDTH)))

        return jax.lax.fori_loop(0, x.shape[0] + jnp.int32(x[0, 0]), once, x)

    given = jax.ShapeDtypeStruct((2,), jnp.uint32), jax.ShapeDtypeStruct((2000, WIDTH), jnp.float32)
    predicted = liveness.peak(graph.computation(jax.make_jaxpr(drawn)(*given)), reserved=True).bytes
    compiled = jax.jit(drawn).lower(*given).compile().memory_analysis().temp_size_in_bytes
    assert predicted == pytest.approx(compiled, rel=0.01)


def test_a_pad_that_only_takes_away_is_a_slice_and_one_that_adds_is_not():
    def cut(x):
        return jnp.sin(jax.lax.pad(x, 0.0, [(-1, -1, 0), (0, -1, 0)])).sum()

    def filled(x):
        return jnp.sin(jax.lax.pad(x, 0.0, [(-1, 1, 0), (0, -1, 0)])).sum()

    assert "slice" in [node.name for node in computed(cut, (9, 9)).nodes]
    names = [node.name for node in computed(filled, (9, 9)).nodes]
    assert "pad" in names and "slice" not in names


def test_two_negations_are_none():
    def negated(x):
        once = -jnp.sin(x)
        return once, -once

    assert [node.name for node in computed(negated, (9,)).nodes] == ["sin", "neg"]


def test_rows_that_several_read_are_gathered_once():
    def read_twice(table):
        rows = table[jnp.arange(ROWS) // 2]
        return jnp.sin(rows).sum(), jnp.cos(rows).sum()

    assert "gather" in [kernel.node.name for kernel in kernels(computed(read_twice, (ROWS, WIDTH)))]


def test_a_reshape_moves_behind_what_reads_nothing_of_another_shape():
    def moved(x, weight):
        scores = (x @ weight).reshape(ROWS, STEPS, WIDTH)
        return jnp.exp(scores * 2) + scores

    def beside_another(x, weight, shift):
        scores = (x @ weight).reshape(ROWS, STEPS, WIDTH)
        return jnp.exp(scores - shift[:, None, :])

    def written(function, *more) -> dict[str, tuple[int, ...]]:
        program = computed(function, (ROWS * STEPS, 5), (5, WIDTH), *more)
        found = forms(program)
        return {node.name: found[id(node.writes[0])] for node in program.nodes}

    flat, cube = (ROWS * STEPS, WIDTH), (ROWS, STEPS, WIDTH)
    assert written(moved)["dot_general"] == written(moved)["exp"] == flat
    assert written(beside_another, (ROWS, WIDTH))["dot_general"] == flat
    assert written(beside_another, (ROWS, WIDTH))["exp"] == cube
