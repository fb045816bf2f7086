"""Every row of the catalogue, from TOML and in lanes: a lane among many computes what it computes alone.

Strict mode: bit for bit, in weights, losses and evaluations. Batched lanes: within the bound of
`docs/lanes.md`.
"""

import contextlib
import dataclasses
from functools import partial
from typing import Any

import jax
import numpy as np
import pytest

from tests.made import blobs, line
from thalweg.engine import group as group_module
from thalweg.engine.dispatch import ChunkLength, run_chunks
from thalweg.engine.group import init_group
from thalweg.engine.layout import mapped, split_step
from thalweg.engine.program import BATCH, MAP
from thalweg.engine.state import State
from thalweg.problem.data.data import Data
from thalweg.problem.data.load import load
from thalweg.problem.models import ARCHITECTURES, MLP, parse
from thalweg.problem.problem import Problem
from thalweg.recipe.averaging import AVERAGES
from thalweg.recipe.optimizers import OPTIMIZERS, SGD
from thalweg.recipe.recipe import Recipe
from thalweg.recipe.schedules import SCHEDULES
from thalweg.recipe.toml import read
from thalweg.run.train import train

LINE_SEARCH = [name for name, rule in OPTIMIZERS.items() if rule.line_search]


def small() -> Problem:
    return Problem(MLP([6, 5, 3]), blobs(60))


def as_toml(
    optimizer: str = "adamw",
    schedule: str = "constant",
    length: str = "epochs = 3",
    batch: int = 8,
    **settings: Any,
):
    """Return a recipe as a person would write it."""
    full = "batch_size = 'full'" if optimizer in LINE_SEARCH else f"batch_size = {batch}"
    lines = [full, f"optimizer = '{optimizer}'", f"schedule = '{schedule}'", length]
    lines += [f"{name} = {value!r}".replace("True", "true") for name, value in settings.items()]
    return read("\n".join(lines))


ROWS = {
    **{f"optimizer {name}": partial(as_toml, name) for name in OPTIMIZERS},
    **{f"schedule {name}": partial(as_toml, "sgd", name) for name in SCHEDULES},
    **{f"averaging {name}": partial(as_toml, averaging=name) for name in AVERAGES},
    **{f"precision {name}": partial(as_toml, precision=name) for name in ("bf16", "f16")},
    **{f"shuffle {name}": partial(as_toml, shuffle=name) for name in ("once", "none", "replacement")},
    "one example a step": partial(as_toml, batch=1),
    "clip_norm": partial(as_toml, clip_norm=0.1),
    "clip_value": partial(as_toml, clip_value=0.01),
    "agc": partial(as_toml, agc=0.01),
    "noise": partial(as_toml, noise=0.1),
    "accumulate": partial(as_toml, accumulate=3),
    "skip_nonfinite": partial(as_toml, skip_nonfinite=True),
    "last_batch drop": partial(as_toml, last_batch="drop"),
}


# A row of each kind; all of them take minutes (test_optimizers_program.py has lanes of every optimizer).
IN_GATE = {
    "optimizer adamw",
    "optimizer muon",
    "optimizer sam",
    "schedule warmup-cosine",
    "schedule plateau",
    "averaging ema",
    "precision bf16",
    "precision f16",
    "shuffle replacement",
    "one example a step",
    "agc",
    "noise",
    "accumulate",
    "skip_nonfinite",
    *(f"optimizer {name}" for name in LINE_SEARCH),
}


def lanes_of(recipe: Recipe) -> list[Recipe]:
    """Two seeds and, where there is a rate, a lane in between with another one."""
    rates = recipe.optimizer.rates
    other = recipe.to_dict() | {"seed": 1}
    if rates and rates[0] in other["optimizer"]:
        other["optimizer"] = other["optimizer"] | {rates[0]: 2.5 * other["optimizer"][rates[0]]}
    return [recipe, Recipe.from_dict(other), Recipe.from_dict(recipe.to_dict() | {"seed": 2})]


def assert_the_same(one: Any, other: Any) -> None:
    """Weights, every step's loss, and every evaluation (but for its clock) are the same bits."""
    for a, b in zip(jax.tree.leaves(one.params), jax.tree.leaves(other.params), strict=True):
        np.testing.assert_array_equal(a, b)
    assert one.record.steps.equals(other.record.steps)
    assert one.record.layers.equals(other.record.layers)
    assert one.record.evaluations.drop("seconds").equals(other.record.evaluations.drop("seconds"))
    assert {k: v for k, v in one.result.items() if k not in ("seconds", "examples_per_second")} == {
        k: v for k, v in other.result.items() if k not in ("seconds", "examples_per_second")
    }


def assert_a_lane_is_alone(problem: Problem, recipe: Recipe, steps: int = 12) -> None:
    """The whole state of a lane (weights, optimizer, keys, codes) and all it reports, bit for bit."""
    recipes = lanes_of(recipe)
    among, alone = trained(problem, recipes, steps), trained(problem, recipes[1:2], steps)
    for a, b in zip(jax.tree.leaves(among), jax.tree.leaves(alone), strict=True):
        np.testing.assert_array_equal(np.asarray(a)[1], np.asarray(b)[0])


def trained(problem: Problem, recipes: list[Recipe], steps: int) -> Any:
    group, states = init_group(problem, recipes)
    chunks = []
    for moved in run_chunks(group, states, 0, steps, Whole()):
        states = moved.states
        chunks.append(moved.chunk)
    return states, chunks


class Whole(ChunkLength):
    """A few steps a chunk, whatever the clock says."""

    def __init__(self) -> None:
        self.steps = 5

    def observe(self, steps: int, seconds: float) -> None:
        pass


@pytest.mark.optimised
@pytest.mark.parametrize("recipe", [{"patience": 1}, {"averaging": "ema"}, {"optimizer": "muon"}])
def test_a_run_among_many_equals_the_run_alone(recipe):
    recipes = lanes_of(as_toml(**recipe))
    among = train(small(), recipes, strict=True)
    assert_the_same(train(small(), recipes[1]), among[1])


@pytest.mark.optimised
@pytest.mark.parametrize(
    "row", [pytest.param(row, marks=[] if row in IN_GATE else [pytest.mark.long]) for row in ROWS]
)
def test_a_lane_with_every_recipe_equals_the_lane_alone(row):
    assert_a_lane_is_alone(small(), ROWS[row]())


def images() -> Data:
    random = np.random.default_rng(0)
    return load((random.random((60, 8, 8, 1)).astype(np.float32), random.integers(0, 3, 60)))


@pytest.fixture(scope="module")
def text(tmp_path_factory) -> Data:
    path = tmp_path_factory.mktemp("text") / "hamlet.txt"
    path.write_text("to be, or not to be: that is the question. " * 12)
    return load(path, context=8)


MODELS = {
    "linear": "linear",
    "mlp": "mlp:5,dropout=0.2,normalisation=batch",
    "tabular": "tabular:5,members=2,embedding=periodic,dropout=0.2,averaged=softmax",
    "cnn": "cnn:3,hidden=4",
    "vgg": "vgg:8,channels=2",
    "resnet": "resnet:8,channels=2",
    "rnn": "rnn:4,embedding=3",
    "lstm": "lstm:4,embedding=3,dropout=0.1",
    "gru": "gru:4,embedding=3",
    "gpt": "gpt:layers=1,heads=2,width=8,dropout=0.1",
}


# A VGG is a residual network without the skips (contracts/test_models.py), which is in the gate.
BY_MODEL = [pytest.param(name, marks=[pytest.mark.long] if name == "vgg" else []) for name in MODELS]


def problem_of(name: str, text: Data) -> Problem:
    data = images() if name in ("cnn", "vgg", "resnet") else text if name in SEQUENCES else blobs(60)
    return Problem(parse(MODELS[name]), data)


SEQUENCES = ("rnn", "lstm", "gru", "gpt")


def test_the_rows_of_the_gate_are_rows():
    assert set(ROWS) >= IN_GATE


def test_every_model_has_a_row():
    assert set(MODELS) == set(ARCHITECTURES)


@pytest.mark.optimised
@pytest.mark.parametrize("name", BY_MODEL)
def test_a_lane_of_every_model_equals_the_lane_alone(name, text):
    assert_a_lane_is_alone(problem_of(name, text), as_toml(length="steps = 4"), steps=4)


@pytest.fixture(scope="module", params=[10**9, 1], ids=["batched", "per-lane section"])
def batched(request):
    """Batched lanes with and without a per-lane section, which such small models would not have."""
    with pytest.MonkeyPatch.context() as patched, recompiled():
        patched.setattr(split_step, "LARGE", request.param)
        yield


@pytest.mark.usefixtures("batched")
@pytest.mark.parametrize("name", BY_MODEL)
def test_batched_lanes_make_the_same_step_within_rounding(name, text, record_property):
    problem = problem_of(name, text)
    recipes = lanes_of(as_toml("sgd", length="steps = 1"))
    one, other = (after(problem, recipes, 1, layout) for layout in (MAP, BATCH))
    trees = (one, other, after(problem, recipes, 0, MAP))
    leaves = [tuple(map(np.asarray, leaf)) for leaf in zip(*map(jax.tree.leaves, trees), strict=True)]
    sizes = [float(np.abs(a - first).max()) for a, _, first in leaves]
    # The gradient of a bias before a norm is zero: a sum of terms that cancel, whose rounding is theirs.
    floor = 0.01 * max(sizes)
    worst = max(
        float(np.abs(a - b).max()) / max(size, floor) for (a, b, _), size in zip(leaves, sizes, strict=True)
    )
    record_property("worst", worst)
    # Sums of at most 600 terms (rows times pixels) in another order: 2 x 600 x 6e-8 of the largest update.
    assert worst < 2 * 600 * UNIT, f"{name}: {worst:.1e} of the update"


UNIT = 2.0**-24


def after(problem: Problem, recipes: list[Recipe], steps: int, layout: str) -> Any:
    """Return the lanes' parameters after some steps."""
    group, states = init_group(problem, recipes, layout=layout)
    for moved in run_chunks(group, states, 0, steps, Whole()):
        states = moved.states
    return states.params


@pytest.mark.usefixtures("batched")
def test_the_bound_of_one_step_holds_and_detects_a_fault():
    """The bound of docs/lanes.md for a two-layer network under squared error, computed from its formula."""
    problem = Problem(MLP([1, 8, 1]), line())
    rate = 0.5
    recipes = [Recipe(SGD(lr=rate), batch_size=16, steps=1, seed=seed) for seed in range(3)]
    first, one, other = (
        jax.tree.map(np.asarray, after(problem, recipes, steps, layout))
        for steps, layout in ((0, MAP), (1, MAP), (1, BATCH))
    )
    group, _ = init_group(problem, recipes)
    for lane in range(3):
        indices = np.asarray(group.feed.batches(0, 1, 1).indices)[lane, 0]
        rows = problem.data.train.batch(indices)
        weights, moved, batched = (
            [np.float64(leaf[lane]) for leaf in jax.tree.leaves(tree)] for tree in (first, one, other)
        )
        sizes = gradient_of_magnitudes(weights, *map(np.float64, rows))
        terms = 16 + 1 + 8 + 1 + 10  # batch, inputs, units, outputs, and the few operations in between
        gamma = terms * UNIT / (1 - terms * UNIT)
        for size, weight, a, b in zip(sizes, weights, moved, batched, strict=True):
            bound = 2 * rate * gamma * size + 2 * UNIT * np.abs(weight)
            assert np.all(np.abs(a - b) <= bound)
            assert not np.all(np.abs(a - (b + 1e-4 * np.abs(b).max())) <= bound)


def gradient_of_magnitudes(weights: list[Any], inputs: Any, targets: Any) -> list[Any]:
    """The gradient of mean squared error with every number replaced by its magnitude."""
    w1, b1, w2, b2 = (np.abs(w) for w in weights)
    x = np.abs(inputs)
    hidden = x @ w1.T + b1
    out = 2 * (hidden @ w2.T + b2 + np.abs(targets)) / len(x)
    back = out @ w2
    return [back.T @ x, back.sum(0), out.T @ hidden, out.sum(0)]


def leaky_take(tree: Any, index: Any) -> Any:
    """Take a lane, but the optimizer's state from the first lane."""
    found = jax.tree.map(lambda leaf: leaf[index], tree)
    if isinstance(found, tuple) and isinstance(found[-1], State):
        first = jax.tree.map(lambda leaf: leaf[0], tree[-1].optimizer)
        return (*found[:-1], dataclasses.replace(found[-1], optimizer=first))
    return found


@pytest.mark.optimised
def test_a_state_that_leaks_between_lanes_is_detected(monkeypatch):
    with recompiled():
        monkeypatch.setattr(mapped, "take_lane", leaky_take)
        with pytest.raises(AssertionError):
            assert_a_lane_is_alone(small(), as_toml("adam"))


@pytest.mark.optimised
def test_a_key_shared_by_lanes_is_detected(monkeypatch):
    own = group_module._words
    monkeypatch.setattr(group_module, "_words", lambda seeds: own([seeds[0]] * len(seeds)))
    with pytest.raises(AssertionError):
        assert_a_lane_is_alone(small(), as_toml(noise=0.1))


@contextlib.contextmanager
def recompiled():
    """Recompile inside, and clear the caches afterwards."""
    jax.clear_caches()
    try:
        yield
    finally:
        jax.clear_caches()
