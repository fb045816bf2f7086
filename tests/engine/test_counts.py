"""Counts that are the same on every machine: compilations, dispatches, bytes of temporaries, FLOPs.

They guard speed where a clock cannot be trusted.
"""

import dataclasses
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
import pytest
from benchmarks import flops
from jax.extend.core import jaxprs_in_params

from tests.made import blobs, problem
from thalweg.core.tree import lane as take_lane
from thalweg.engine import compilation, dispatch
from thalweg.engine.backward import Lane
from thalweg.engine.compilation import TRACES, forget
from thalweg.engine.dispatch import run_chunk
from thalweg.engine.group import init_group
from thalweg.engine.plan import BATCH, MAP
from thalweg.engine.step import step
from thalweg.problem.data.load import load
from thalweg.problem.models.cnn import CNN
from thalweg.problem.models.mlp import MLP
from thalweg.problem.problem import Problem
from thalweg.recipe.optimizers import SGD, AdamW
from thalweg.recipe.recipe import Recipe
from thalweg.run.restore import restore
from thalweg.run.train import train

COMPILED = "/jax/core/compile/backend_compile_duration"  # the event that JAX records for each compilation


@pytest.fixture
def start_afresh() -> None:
    """Count from an empty cache: else the runs of other tests decide when compiled programs are given up."""
    forget()


@contextmanager
def compilations() -> Iterator[list[str]]:
    """Collect an event for each program that XLA compiles."""
    events: list[str] = []

    def listen(event: str, _: float, **__: Any) -> None:
        if event == COMPILED:
            events.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield events
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


def sweep(rates: list[float], seeds: list[int], **more: Any) -> list[Recipe]:
    return [
        Recipe(AdamW(lr=rate), seed=seed, **({"batch_size": 16, "steps": 40} | more))
        for rate in rates
        for seed in seeds
    ]


def test_a_sweep_compiles_the_loop_once_and_the_next_sweep_nothing(start_afresh):
    given = problem()
    before = TRACES["chunk"]
    train(given, sweep([1e-3, 1e-2, 1e-1], [0, 1]))
    assert TRACES["chunk"] == before + 1
    with compilations() as compiled:
        train(given, sweep([3e-4, 2e-2, 0.7], [5, 9], steps=35))
    assert TRACES["chunk"] == before + 1
    assert compiled == []  # neither the loop nor an evaluation nor a small helper


def test_each_structure_of_a_sweep_compiles_the_loop_once():
    before = TRACES["chunk"]
    train(problem(), sweep([1e-3, 1e-2], [0, 1], batch_size=13) + sweep([1e-3, 1e-2], [0, 1], clip_norm=1.0))
    assert TRACES["chunk"] == before + 2


@pytest.mark.parametrize("lanes", [1, 4])
def test_a_chunk_is_one_dispatch_however_many_lanes_and_steps(lanes, monkeypatch):
    calls = []

    def counted(*arguments: Any) -> Any:
        calls.append(arguments[4])
        return run_chunk(*arguments)

    monkeypatch.setattr(dispatch, "run_chunk", counted)
    group, states = init_group(problem(), sweep([1e-3], list(range(lanes))))
    length = dispatch.ChunkLength(group.program.capacity)
    monkeypatch.setattr(length, "steps", 20)
    monkeypatch.setattr(length, "observe", lambda steps, seconds: None)
    for _ in dispatch.run_chunks(group, states, 0, 40, length):
        pass
    assert [int(steps) for steps in calls] == [20, 20]


RUN = """
import sys
from tests.made import problem
from thalweg.recipe.recipe import Recipe
from thalweg.run.restore import restore
from thalweg.run.train import train
train(problem(), Recipe(steps=30), keep=sys.argv[1])
print([name for name in ("pandas", "torch", "optuna", "matplotlib", "psutil") if name in sys.modules])
"""


def test_a_run_imports_nothing_heavy_that_it_does_not_need(tmp_path):
    # pyarrow imports pandas, where it is installed, as soon as an array goes to or comes from NumPy: 0.5 s.
    process = subprocess.run(
        [sys.executable, "-c", RUN, str(tmp_path / "run")], capture_output=True, text=True, check=True
    )
    assert process.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("model", "more", "random"),
    [
        (MLP([6, 8, 3]), {}, False),
        (MLP([6, 8, 3]), {"accumulate": 2}, False),
        (MLP([6, 8, 3], dropout=0.1), {}, True),
        (MLP([6, 8, 3]), {"noise": 0.1}, True),
    ],
)
def test_random_numbers_are_in_the_program_only_where_something_is_random(model, more, random):
    # XLA drops what nobody reads, but JAX has lowered it by then: 25 of 60 ms for a small network.
    group, states = init_group(Problem(model, blobs()), sweep([1e-3], [0], **more))
    split, batches = group.feed.dispatch(group.splits, 0, 8, group.program.capacity)
    lowered = run_chunk.lower(group.program, group.inputs, split, batches, np.int32(8), states)
    assert ("threefry" in lowered.as_text()) == random


def compiled_bytes(lanes: int = 1, capacity: int = 8, layout: str = MAP) -> tuple[int, int]:
    """Return the compiled loop's bytes of temporaries and of outputs."""
    group, states = init_group(problem(), sweep([1e-3], list(range(lanes))), layout=layout)
    # A row of per-layer figures for each 25th step is an output that is allowed to grow; here it stays one.
    program = dataclasses.replace(group.program, capacity=capacity, statistics=1)
    split, batches = group.feed.dispatch(group.splits, 0, 8, capacity)
    lowered = run_chunk.lower(program, group.inputs, split, batches, jnp.int32(8), states)
    analysis: Any = lowered.compile().memory_analysis()
    return analysis.temp_size_in_bytes, analysis.output_size_in_bytes


@pytest.mark.parametrize("layout", [MAP, BATCH])
def test_temporaries_do_not_grow_with_the_steps_in_a_chunk(layout):
    short, long = compiled_bytes(capacity=8, layout=layout), compiled_bytes(capacity=2048, layout=layout)
    stacked = long[1] - short[1]
    assert stacked >= 2040 * 3 * 4  # loss, rate and norm of every step, float32
    # While they are written, step by step, the loop holds them once more.
    assert long[0] - short[0] <= stacked + 64  # XLA aligns buffers to 64 bytes


def test_mapped_lanes_share_their_temporaries():
    few, many = compiled_bytes(lanes=2), compiled_bytes(lanes=16)
    outputs = many[1] - few[1]
    # Beside the stacked outputs, which the loop holds once more: the order of the data, 4 bytes a row.
    assert many[0] - few[0] <= outputs + 14 * 8 * 16 * 4 + 64


def products(jaxpr: Any) -> int:
    """Return the FLOPs of all matrix products in a jaxpr, those of its inner jaxprs included (once)."""
    total = 0
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            (summed, _), _ = equation.params["dimension_numbers"]
            shape = equation.invars[0].aval.shape
            inner = int(np.prod([shape[axis] for axis in summed]))
            total += 2 * inner * int(np.prod(equation.outvars[0].aval.shape))
        if equation.primitive.name in ("product", "product_kernel"):
            shape = equation.invars[0].aval.shape
            total += 2 * int(np.prod(shape)) * equation.outvars[0].aval.shape[-1]
        assert equation.primitive.name != "conv_general_dilated", "count it by its own formula"
        total += sum(products(inner) for inner in jaxprs_in_params(equation.params))
    return total


def step_program(given: Problem, recipe: Recipe) -> tuple[Any, float]:
    """Return the jaxpr of the step, and XLA's count of FLOPs in the compiled program."""
    group, states = init_group(given, [recipe])
    split, batches = group.feed.dispatch(group.splits, 0, 1, group.program.capacity)

    def one(state: Any, numbers: Any) -> Any:
        lane = Lane(group.program, group.inputs, jax.tree.unflatten(group.program.recipe, numbers), split)
        return step(lane, state, (batches.indices[0, 0], batches.sizes[0]))[:2]

    arguments = take_lane(states, 0), take_lane(group.inputs.numbers, 0)
    analysis: Any = jax.jit(one).lower(*arguments).compile().cost_analysis()
    return jax.make_jaxpr(one)(*arguments).jaxpr, analysis["flops"]


@pytest.mark.parametrize(
    ("model", "data", "formula"),
    [
        (MLP([6, 64, 32, 3]), blobs(), flops.mlp([6, 64, 32, 3], 16)),
        (CNN([4, 8], hidden=16), load("digits"), flops.cnn([4, 8], 16, side=8, hidden=16)),
    ],
    ids=["mlp", "cnn"],
)
def test_a_step_does_the_products_of_the_formula_and_little_else(model, data, formula):
    # Few channels: wider convolutions are computed by Winograd's filtering, in fewer products than these.
    jaxpr, counted = step_program(Problem(model, data), Recipe(SGD(lr=0.1), batch_size=16, steps=10))
    assert products(jaxpr) == formula
    # XLA counts activations, pooling, losses and the update as well: in networks as narrow as these up to two
    # fifths. A gradient computed twice, or the input's gradient of the first layer, would come to more.
    assert formula <= counted <= 1.4 * formula


def test_a_fit_on_another_split_of_the_same_table_compiles_nothing(start_afresh):
    table = pl.DataFrame({"x": np.linspace(-1, 1, 200), "y": ["no", "yes"] * 100})
    train(Problem(MLP([1, 4, 2]), load(table, target="y", split_seed=0)), Recipe(batch_size=16, steps=20))
    with compilations() as compiled:
        again = Problem(MLP([1, 4, 2]), load(table, target="y", split_seed=1))
        run = train(again, Recipe(batch_size=16, steps=20))
    assert compiled == []
    with compilations() as compiled:
        run.predict(table.head(3))
    assert len(compiled) == 1  # what it predicts with, and no first weights


def test_restoring_a_run_compiles_nothing_and_predicting_one_program(tmp_path):
    given = Problem(MLP([5, 4, 3]), blobs(features=5))
    run = train(given, Recipe(batch_size=16, steps=3), keep=tmp_path / "own")
    rows = np.zeros((5, 5), np.float32)
    expected = run.outputs(rows)
    forget()
    with compilations() as compiled:
        trained = restore(tmp_path / "own")
    assert compiled == []
    with compilations() as compiled:
        answers = trained.answers(rows)
    assert len(compiled) == 1
    np.testing.assert_array_equal(answers["prediction"], expected.argmax(axis=1))


def test_programs_that_are_given_up_give_their_memory_back(monkeypatch):
    returned = []
    monkeypatch.setattr(compilation, "return_freed_memory", lambda: returned.append(True))
    forget()
    assert returned == [True]
