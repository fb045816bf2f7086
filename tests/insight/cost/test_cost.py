"""The cost of a run: operations by formula, memory as XLA assigns it, budgets that are kept."""

import json
import math
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import thalweg as tw
from tests.doors.process import called
from thalweg.core import device
from thalweg.core.errors import BadInput, ShortageError
from thalweg.engine.dispatch import run_chunk
from thalweg.engine.evaluate import sums_of_batches
from thalweg.engine.group import init_group
from thalweg.insight.cost import fitting, flops, graph, rates, trace
from thalweg.insight.cost.cost import memory_bytes
from thalweg.insight.cost.devices import DEVICES
from thalweg.insight.cost.fitting import compiled_bytes
from thalweg.problem.models import parse
from thalweg.view import cost as shown


def made(shape: tuple[int, ...], rows: int = 300, outputs: int = 3) -> tw.Data:
    random = np.random.default_rng(0)
    inputs = random.normal(size=(rows, *shape)).astype(np.float32)
    return tw.load((inputs, random.integers(0, outputs, rows)), validation=0.0, test=0.2)


@pytest.fixture(scope="module")
def deep() -> tw.Problem:
    return tw.Problem(tw.MLP([64, *[128] * 4, 3]), made((64,), rows=1300))


def one_step(**settings) -> tw.Recipe:
    return tw.Recipe(tw.SGD(lr=0.1), steps=60, **settings)


def operations(function, *arguments) -> flops.Flops:
    return flops.count(graph.computation(jax.make_jaxpr(function)(*arguments)))


def test_a_product_counts_as_in_the_textbooks():
    product = operations(jnp.matmul, jnp.ones((3, 5)), jnp.ones((5, 1)))
    assert (product.products_multiply, product.products_add, product.products) == (15, 12, 27)


def test_a_layer_of_five_inputs_and_three_outputs_takes_27():
    cost = tw.cost(tw.Problem(tw.LinearModel(), made((5,))), one_step(batch_size=1), measure=False)
    assert cost.inference.products == 27
    assert cost.inference.add == 3  # the bias


def test_a_loop_counts_with_all_its_passes():
    def body(carry, row):
        return carry + row @ row, None

    counted = operations(lambda rows: jax.lax.scan(body, 0.0, rows)[0], jnp.ones((7, 4)))
    assert counted.products_multiply == 7 * 4


def test_the_backward_pass_of_a_layer_is_twice_its_forward_pass_and_of_the_first_once(deep):
    layers = tw.cost(deep, one_step(batch_size=32), measure=False).layers
    first, hidden = layers["layers.0"], layers["layers.1"]
    assert first[1].products_multiply == first[0].products_multiply == 32 * 64 * 128
    assert hidden[1].products_multiply == 2 * hidden[0].products_multiply == 2 * 32 * 128 * 128


def test_the_layers_of_microbatches_add_up_to_those_of_the_whole_batch(deep):
    whole = tw.cost(deep, one_step(batch_size=32), measure=False).layers
    parts = tw.cost(deep, one_step(batch_size=32, accumulate=4), measure=False).layers
    for name in ("layers.0", "layers.1"):
        for one, other in zip(whole[name], parts[name], strict=True):
            assert other.products_multiply == one.products_multiply


CONFIGURATIONS = {
    "adamw": (tw.MLP([64, 128, 128, 3]), (64,), tw.Recipe(tw.AdamW(), batch_size=64, steps=60)),
    "large batch": (tw.MLP([64, 256, 3]), (64,), one_step(batch_size=240)),
    "microbatches": (tw.MLP([64, 128, 3]), (64,), one_step(batch_size=128, accumulate=4, precision="bf16")),
    "recurrent": (tw.LSTM(), (16, 6), one_step(batch_size=32)),
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_memory_is_what_xla_assigns(name):
    model, shape, recipe = CONFIGURATIONS[name]
    problem = tw.Problem(model, made(shape))
    assert memory_bytes(problem, recipe) == pytest.approx(compiled_bytes(problem, recipe), rel=0.06)


def test_recomputation_keeps_the_weights_to_rounding_and_needs_less(deep):
    def trained(recipe: tw.Recipe) -> list[np.ndarray]:
        group, states = init_group(deep, [recipe])
        split, batches = group.feed.dispatch(group.splits, 0, 3, group.program.capacity)
        after, _ = run_chunk(group.program, group.inputs, split, batches, jnp.int32(3), states)
        return [np.asarray(leaf) for leaf in jax.tree.leaves(after.params)]

    plain = one_step(batch_size=900)
    light = replace(plain, recompute="blocks:3")
    for before, after in zip(trained(plain), trained(light), strict=True):
        # Sums over 900 rows in another order; weights are of order 0.1, three updates of a rate of 0.1.
        np.testing.assert_allclose(before, after, rtol=1e-5, atol=1e-6)
    assert memory_bytes(deep, light) < memory_bytes(deep, plain)


def test_recomputed_work_is_reported_apart(deep):
    cost = tw.cost(deep, one_step(batch_size=32, recompute="blocks:2"), measure=False)
    assert 0 < cost.recomputed.products < cost.forward.products
    assert tw.cost(deep, one_step(batch_size=32), measure=False).recomputed.total == 0


def test_a_budget_is_kept_and_the_gradient_too(deep):
    recipe = one_step(batch_size=900)
    budget = int(0.9 * memory_bytes(deep, recipe))
    found = tw.fit_in(deep, recipe, budget)
    assert found.compiled <= budget < found.before
    assert found.same_gradient and found.changes
    assert tw.fit_in(deep, recipe, 10 * budget).changes == {}


def test_fit_refuses_a_run_that_memory_cannot_hold_and_names_one_that_it_can(deep, monkeypatch):
    recipe = one_step(batch_size=900)
    free = int(0.9 * memory_bytes(deep, recipe))
    monkeypatch.setattr(device, "free_memory", lambda: free)
    with pytest.raises(ShortageError, match="must fit in the free memory") as error:
        tw.fit(deep.data, deep.model, recipe, progress=False)
    assert "accumulate=" in error.value.hint or "recompute=" in error.value.hint


def test_as_few_blocks_are_computed_again_as_the_budget_allows(deep):
    layers = tw.Problem(tw.MLP([64, *[128] * 12, 3]), deep.data)
    plain = one_step(batch_size=900)

    def cost(again: int) -> tw.Cost:
        return tw.cost(layers, replace(plain, recompute=f"blocks:8:{again}"), measure=False)

    few, more = cost(3), cost(5)
    assert 0 < few.recomputed.products < more.recomputed.products
    assert memory_bytes(layers, plain) > few.memory.total > more.memory.total
    assert fitting.fewest_blocks(layers, plain, few.memory.total, 8) == "blocks:8:3"
    assert fitting.fewest_blocks(layers, plain, few.memory.total - 1, 8) > "blocks:8:3"
    assert fitting.fewest_blocks(layers, plain, 1000, 8) == ""


def test_a_budget_for_the_full_batch_is_kept(deep):
    recipe = one_step(batch_size="full")
    found = tw.fit_in(deep, recipe, int(0.8 * memory_bytes(deep, recipe)))
    assert found.compiled <= found.budget and found.changes


def test_microbatches_of_a_model_with_batch_statistics_do_not_keep_its_gradient():
    model = tw.MLP([64, 64, 64, 3], normalisation="batch")
    problem, recipe = tw.Problem(model, made((64,))), one_step(batch_size=300)
    kinds = list(fitting._kinds(problem, recipe, memory_bytes(problem, recipe) // 2))
    kept = [change for same, kind in kinds if same for change in kind]
    assert kept and not any("accumulate" in change for change in kept)
    assert any("accumulate" in change for same, kind in kinds if not same for change in kind)


def test_a_budget_that_nothing_fits_names_the_least():
    with pytest.raises(BadInput, match="the least that would do is"):
        tw.fit_in(tw.Problem(tw.LinearModel(), made((5,))), one_step(batch_size=2), 1000)


@pytest.mark.parametrize(
    "text", ["blocks", "blocks:1", "blocks:x", "everything", "", "blocks:4:4", "blocks:4:0", "blocks:4:1:1"]
)
def test_an_unknown_recomputation_is_refused(text):
    with pytest.raises(BadInput, match="recompute must be one of none, sqrt, or blocks:K"):
        tw.Recipe(recompute=text)


def test_a_device_is_timed_by_its_data_sheet_and_an_unknown_one_refused(deep):
    problem = tw.Problem(tw.LinearModel(), made((5,)))
    times = [tw.cost(problem, one_step(batch_size=32), device=n).step_seconds or math.nan for n in DEVICES]
    assert all(seconds > 0 for seconds in times)
    with pytest.raises(BadInput, match="did you mean 'H100'"):
        tw.cost(deep, device="H1000")


@pytest.mark.parametrize(
    ("model", "shape", "share"),
    [("cnn:8,16", (16, 16), 0.15), ("lstm:16", (12, 5), 0.02)],
)
def test_the_memory_of_an_evaluation_is_known_before_compiling(model, shape, share):
    problem, recipe = tw.Problem(parse(model), made(shape)), one_step(batch_size=4)
    of, memory = trace.shapes(problem, recipe), tw.cost(problem, recipe, measure=False).memory
    lane, count = jax.ShapeDtypeStruct((1,), jnp.int32), jax.ShapeDtypeStruct((), jnp.int32)
    weights = (of.states.params, of.states.model_state)
    lowered = sums_of_batches.lower(
        of.group.program, of.group.inputs, of.split, weights, lane, count, 1, None
    )
    found = lowered.compile().memory_analysis()
    compiled = found.temp_size_in_bytes + found.output_size_in_bytes
    assert memory.evaluation - sum(memory.inputs.values()) == pytest.approx(compiled, rel=share)
    assert memory.peak == max(memory.total, memory.evaluation)


def test_an_evaluation_that_takes_more_than_training_is_said(deep):
    wide = tw.cost(tw.Problem(parse("cnn:8"), made((16, 16))), one_step(batch_size=2), measure=False)
    assert wide.memory.peak == wide.memory.evaluation == wide.to_dict()["memory"]["evaluation"]
    assert "which is more than training takes" in shown.text(wide)
    assert "more than training" not in shown.text(tw.cost(deep, one_step(batch_size=32), measure=False))


def test_a_stream_costs_what_the_same_rows_cost():
    rng = np.random.default_rng(0)
    batch = rng.normal(size=(32, 4)).astype(np.float32), rng.normal(size=32).astype(np.float32)
    recipe = tw.Recipe(tw.AdamW(), batch_size=32, steps=10)
    streamed, resident = (
        tw.cost(tw.Problem(tw.MLP([4, 8, 1]), data), recipe, measure=False)
        for data in (tw.stream([batch] * 20, every=1), tw.load(batch, test=0.0, validation=0.0))
    )
    assert streamed.forward == resident.forward and streamed.backward == resident.backward


def test_the_command_counts_what_fit_would_train(tmp_path, monkeypatch):
    grid, two, kept = len(rates.ROWS) * len(rates.SUMMED) * len(rates.COLUMNS), [1.0, 1.0], []
    sizes = [1.0] * len(rates.SIZES)
    measured = rates.Rates({"float32": [1.0] * grid}, {"float32": 1.0}, sizes, two, two, two, 1.0)
    monkeypatch.setattr(rates, "measure", lambda: measured)  # it takes twenty seconds (test_timing)
    monkeypatch.setattr(rates, "recall", lambda *_: kept[0] if kept else None)
    monkeypatch.setattr(rates, "remember", lambda file, key, values: kept.append(values))
    rows = "\n".join(f"{i},{i * 7 % 5},{'yes' if i % 3 else 'no'}" for i in range(60))
    (tmp_path / "t.csv").write_text(f"a,b,y\n{rows}\n")
    table = ("t.csv", "--target", "y", "--json")
    found = [called("cost", *table, *more, at=tmp_path) for more in ((), ("--model", "mlp:8"))]
    assert [each.returncode for each in found] == [0, 0], found[0].stderr
    assert "tabular" in found[0].stdout and "members=8" in found[0].stdout
    assert "mlp:1-8-2" in found[1].stdout and "tabular" not in found[1].stdout
    assert len(kept) == 1, "measured by the first, and kept"
    assert json.loads(found[1].stdout)["seconds"]["step"] > 1
