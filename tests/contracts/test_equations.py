"""Whole training steps, from the feed to the update, equal plain NumPy in f64, step by step in every lane."""

import itertools
from dataclasses import replace
from functools import partial

import jax
import numpy as np
import pytest

from tests.contracts import equations
from tests.contracts.equations import clipped_norm, clipped_rows, elman, linear, perceptron
from tests.engine.test_loop import Fixed
from tests.made import blobs, net
from thalweg.engine.dispatch import run_chunks
from thalweg.engine.group import init_group
from thalweg.problem.data.data import Data
from thalweg.problem.data.inputs.array import ArrayInputs
from thalweg.problem.data.load import load
from thalweg.problem.data.preparation import Preparation
from thalweg.problem.data.split import Rows
from thalweg.problem.data.stream import stream
from thalweg.problem.models import RNN, LinearModel
from thalweg.problem.problem import Problem
from thalweg.recipe import optimizers as ours
from thalweg.recipe.gradient import clip_norm, clip_rows, clip_value
from thalweg.recipe.recipe import Recipe
from thalweg.recipe.schedules import StepDecay

ROWS, BATCH, STEPS = 224, 16, 20  # 14 batches: the second pass starts within the run
BLOBS, FLAT = blobs(count=320), blobs(count=320, features=3)
# Two orders of the same sums in float64, over twenty steps of a stable problem.
TOLERANCE = 1e-9
RATES = (1.0, 2.5)  # of the two lanes, as multiples
_ADAM = {"b1": 0.8, "b2": 0.95, "eps": 1e-3}

# Our rule, the rate of the first lane, and the same rule in NumPy.
RULES = {
    "sgd": (ours.SGD(momentum=0.9), 0.05, lambda: equations.Momentum(b=0.9)),
    "lars": (
        ours.LARS(momentum=0.8, trust=0.3, weight_decay=0.02),
        0.1,
        lambda: equations.LARS(b=0.8, trust=0.3, decay=0.02),
    ),
    "adafactor": (
        ours.Adafactor(decay=0.7, clip=0.8, eps=1e-6, smallest=2),
        0.05,
        lambda: equations.Adafactor(power=0.7, clip=0.8, eps=1e-6),
    ),
    "muon": (
        ours.Muon(momentum=0.9, adam_lr=0.01, **_ADAM),
        0.02,
        lambda: equations.Muon(b=0.9, adam=0.5, decay=0.0, **_ADAM),
    ),
    "soap": (
        ours.SOAP(weight_decay=0.0, every=3, **_ADAM),
        0.02,
        lambda: equations.SOAP(every=3, **_ADAM),
    ),
}
CLIPS = {
    "no clipping": ({}, lambda w, grads: grads),
    "agc": ({"agc": 0.02}, clipped_rows(0.02)),
    "clip_norm": ({"clip_norm": 0.5}, clipped_norm(0.5)),
}


def batches(data: Data, start: int = 0):
    """The training rows in order, again and again."""
    for number in itertools.count(start):
        at = slice(number * BATCH % ROWS, number * BATCH % ROWS + BATCH)
        yield data.train.inputs[at], data.train.targets[at]


def streamed(data: Data = BLOBS, model=net) -> Problem:
    source = partial(batches, data)
    return Problem(model, stream(source, classes=3, every=14, validation=data.validation))


# Parameters in the order of the module's, the equations of the network, and its problem.
NETWORKS = {
    "perceptron": ("WbVc", perceptron, BLOBS, net),
    "linear": ("Wb", linear, FLAT, LinearModel([3, 3])),
}
# Of a gradient with fewer rows than columns one basis is as good as another where it is zero, so SOAP is
# compared on a square matrix, of which at most one direction is zero.
SQUARE = ("soap",)


def lanes_of(optimizer, rate, **settings) -> list[Recipe]:
    """Two lanes with different rates and one seed; every rate of the optimizer is multiplied."""
    recipes = []
    for share in RATES:
        rates = {"lr": rate * share}
        if "adam_lr" in optimizer.rates:
            rates["adam_lr"] = optimizer.adam_lr * share
        chosen = {"batch_size": BATCH, "shuffle": "none"} | settings
        schedule = StepDecay(every=6, drop=0.5, unit="steps")
        lane = Recipe(replace(optimizer, **rates), schedule, steps=STEPS, precision="f64", **chosen)
        recipes.append(lane)
    return recipes


def path_of(problem: Problem, recipes: list[Recipe], names: str, length: int = 1):
    """Return the parameters before the first step and after every dispatch, `lane` first, and the losses."""
    with jax.enable_x64(True):
        group, states = init_group(problem, recipes)
        named = lambda: dict(zip(names, map(np.array, jax.tree.leaves(states.params)), strict=True))  # noqa: E731
        path, losses = [named()], []
        for moved in run_chunks(group, states, 0, recipes[0].steps, Fixed(length)):
            states = moved.states
            path.append(named())
            losses.append(np.array(moved.chunk.info.loss[:, : moved.steps]))
    assert all(leaf.dtype == np.float64 for leaf in path[0].values())
    return path, np.concatenate(losses, axis=1)


def furthest(path, lane, expected) -> float:
    """Largest difference of a weight at any step, relative to the largest that its array ever has."""
    return max(
        float(max(np.abs(at[name][lane] - w[name]).max() for at, w in zip(path[1:], expected, strict=True)))
        / max(np.abs(w[name]).max() for w in expected)
        for name in expected[0]
    )


def by_hand(network, data, start, rule, rate, clip):
    w, path, losses = start, [], []
    for t, (x, y) in zip(range(STEPS), batches(data), strict=False):
        loss, grads = network(w, np.float64(x), y)
        grads = clip(w, grads)
        w = {name: rule(name, w[name], grads[name], rate * 0.5 ** (t // 6)) for name in w}
        path.append(w)
        losses.append(loss)
    return path, losses


CASES = [(name, "no clipping") for name in RULES] + [("sgd", clip) for clip in CLIPS if clip != "no clipping"]


@pytest.mark.parametrize(("name", "clip"), CASES)
def test_steps_of_lanes_of_a_stream_equal_the_equations(name, clip):
    optimizer, rate, make = RULES[name]
    settings, clipped = CLIPS[clip]
    names, network, data, model = NETWORKS["linear" if name in SQUARE else "perceptron"]
    path, losses = path_of(streamed(data, model), lanes_of(optimizer, rate, **settings), names)
    for lane, share in enumerate(RATES):
        start = {key: value[lane] for key, value in path[0].items()}
        expected, their_losses = by_hand(network, data, start, make(), rate * share, clipped)
        assert furthest(path, lane, expected) < TOLERANCE
        np.testing.assert_allclose(losses[lane], np.float32(their_losses), rtol=1e-6)


def test_lanes_of_a_stream_equal_resident_lanes_and_a_lane_alone():
    recipes = lanes_of(*RULES["sgd"][:2], agc=0.02)
    together, losses = path_of(streamed(), recipes, "WbVc", length=7)
    from_memory, their_losses = path_of(Problem(net, BLOBS), recipes, "WbVc", length=7)
    np.testing.assert_array_equal(losses, their_losses)
    for name, leaf in together[-1].items():
        np.testing.assert_array_equal(leaf, from_memory[-1][name])
    alone, _ = path_of(streamed(), recipes[1:], "WbVc", length=5)
    for name, leaf in together[-1].items():
        np.testing.assert_array_equal(leaf[1], alone[-1][name][0])


LENGTH, STRETCHES, TEXT = 5, 3, "a quick brown fox jumps over the lazy dog and runs\n" * 3


@pytest.fixture(scope="module")
def text(tmp_path_factory) -> Problem:
    path = tmp_path_factory.mktemp("text") / "words.txt"
    path.write_text(TEXT)
    return Problem(RNN(width=4, embedding=3), load(path, context=LENGTH, validation=0.0))


def continued() -> list[Recipe]:
    return lanes_of(ours.SGD(momentum=0.5), 0.3, batch_size=STRETCHES, shuffle="continued")


def test_lanes_of_a_continued_text_equal_truncated_backpropagation(text):
    path, _ = path_of(text, continued(), "EWUbVc")
    tokens = np.asarray(text.data.train.tokens).astype(int)
    epoch = (len(tokens) - 1) // LENGTH // STRETCHES
    assert epoch == 10 < STEPS  # the carry starts anew within the run
    for lane, share in enumerate(RATES):
        w, rule, expected = (
            {name: leaf[lane] for name, leaf in path[0].items()},
            equations.Momentum(b=0.5),
            [],
        )
        for t in range(STEPS):
            carry = np.zeros((STRETCHES, 4)) if t % epoch == 0 else carry
            at = [(row * epoch + t % epoch) * LENGTH for row in range(STRETCHES)]
            windows = np.stack([tokens[place : place + LENGTH + 1] for place in at])
            _, grads, carry = elman(w, windows, carry)
            w = {name: rule(name, w[name], grads[name], 0.3 * share * 0.5 ** (t // 6)) for name in w}
            expected.append(w)
        assert furthest(path, lane, expected) < TOLERANCE


def test_lanes_of_a_continued_text_equal_a_lane_alone(text):
    recipes = continued()
    together, losses = path_of(text, recipes, "EWUbVc", length=7)
    alone, their_losses = path_of(text, recipes[1:], "EWUbVc", length=4)
    np.testing.assert_array_equal(losses[1], their_losses[0])
    for name, leaf in together[-1].items():
        np.testing.assert_array_equal(leaf[1], alone[-1][name][0])


def clipped_step(**settings) -> np.ndarray:
    """One step from zeros at x = (2, 2), y = -1/2, where the gradient of (w.x + b - y)^2 is (2, 2, 1)."""
    row = Rows(np.full((1, 2), 2.0, np.float32), np.full((1, 1), -0.5, np.float32))
    prepared = Preparation(columns=ArrayInputs.fit(row.inputs, standardise=False))
    data = Data("point", "regression", row, None, None, preparation=prepared, fingerprint="point")
    recipe = Recipe(ours.SGD(lr=1.0), batch_size=1, steps=1, precision="f64", **settings)
    path, _ = path_of(Problem(LinearModel([2, 1]), data), [recipe], "Wb")
    return np.concatenate([path[-1][name].ravel() for name in "Wb"])


def test_a_gradient_exactly_at_the_limit_is_not_clipped():
    whole = np.array([-2.0, -2.0, -1.0])
    for settings in ({}, {"clip_norm": 3.0}, {"clip_value": 2.0}):
        np.testing.assert_array_equal(clipped_step(**settings), whole)
    np.testing.assert_allclose(clipped_step(clip_norm=3 - 1e-9), whole * (1 - 1e-9 / 3), rtol=1e-15)
    np.testing.assert_array_equal(clipped_step(clip_value=1.5), [-1.5, -1.5, -1.0])
    for dtype in (np.float32, jax.numpy.bfloat16):
        grads = {"w": jax.numpy.array([[1.5, 2.0], [0.3, 0.4]], dtype)}
        weights = {"w": jax.numpy.array([[3.0, 4.0], [3.0, 4.0]], dtype)}
        for clipped in (clip_norm({"w": grads["w"][:1]}, 2.5), clip_rows(grads, weights, 0.5)):
            np.testing.assert_array_equal(clipped["w"][0], grads["w"][0])
        np.testing.assert_array_equal(clip_value(grads, 2.0)["w"], grads["w"])
        above = np.nextafter(np.float32(2.5), np.float32(0))
        assert np.linalg.norm(np.float32(clip_norm({"w": grads["w"][:1]}, above)["w"])) <= 2.5
