"""Contracts of every layer and architecture: gradients, values against torch, lanes, specs."""

from functools import cache

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from tests.contracts.layers import FAR_OUT, LAYERS, SLOPES_AT_ZERO, filled
from thalweg.core.tree import lane, roles, stack
from thalweg.problem.models import ARCHITECTURES, check, parse
from thalweg.problem.models.adapter import PartitionedModel, apply, build
from thalweg.problem.models.layers.activations import ACTIVATIONS

# Central differences with h = 1e-5 err by h^2 f'''/6 and 1e-16/h, both near 1e-11 of a gradient of order one.
STEP, GRADIENT_TOLERANCE = 1e-5, 1e-7
# A few roundings in f64, times the depth.
VALUE_TOLERANCE = 1e-12


def test_every_activation_has_a_row():
    assert {f"activation/{name}" for name in ACTIVATIONS} <= {row.id for row in LAYERS}
    assert set(SLOPES_AT_ZERO) == set(FAR_OUT) | {"exponential"} == set(ACTIVATIONS) - {"softmax"}


@pytest.mark.parametrize("row", [row for row in LAYERS if row.differences], ids=lambda row: row.id)
def test_gradient_equals_central_differences(row):
    with jax.enable_x64(True):
        floats, fixed = eqx.partition((row.module(), jnp.asarray(row.inputs())), eqx.is_inexact_array)
        flat, unflatten = ravel_pytree(floats)

        def total(vector):
            module, inputs = eqx.combine(unflatten(vector), fixed)
            found = row.call(module, inputs)
            return jnp.sum(found * np.random.default_rng(1).normal(size=found.shape))

        # Along each coordinate if there are few, along random directions if there are many.
        count = flat.shape[0]
        many = np.random.default_rng(2).normal(size=(60, count)) / np.sqrt(count)
        directions = np.eye(count) if count <= 60 else many
        slopes, values = jax.jit(lambda v: _both_ways(total, v, jnp.asarray(directions)))(flat)
    ahead, behind = np.split(np.asarray(values), 2)
    differences = (ahead - behind) / (2 * STEP)
    np.testing.assert_allclose(differences, slopes, rtol=0, atol=GRADIENT_TOLERANCE * np.max(np.abs(slopes)))


def _both_ways(total, vector, directions):
    """Return slopes along directions by JAX, and values one step ahead and one step behind."""
    points = vector + STEP * jnp.concatenate([directions, -directions])
    return directions @ jax.grad(total)(vector), jax.lax.map(total, points)


@pytest.mark.parametrize("row", [row for row in LAYERS if row.torch], ids=lambda row: row.id)
def test_values_equal_torch(row):
    torch = pytest.importorskip("torch", reason="torch is the second reference where it is installed")
    with jax.enable_x64(True):
        module, inputs = row.module(), row.inputs()
        found = np.asarray(jax.jit(lambda batch: row.call(module, batch))(jnp.asarray(inputs)))
        arrays, rest = eqx.partition(module, eqx.is_inexact_array)
        tensors = jax.tree.map(lambda w: torch.tensor(np.asarray(w)), arrays)
    same = eqx.combine(tensors, rest, is_leaf=lambda leaf: isinstance(leaf, torch.Tensor))
    expected = row.torch(torch, same, torch.tensor(inputs)).numpy()
    np.testing.assert_allclose(found, expected, rtol=VALUE_TOLERANCE, atol=VALUE_TOLERANCE)


@pytest.mark.parametrize("name", SLOPES_AT_ZERO)
def test_the_slope_of_an_activation_at_zero_is_the_documented_one(name):
    assert jax.grad(ACTIVATIONS[name])(0.0) == pytest.approx(SLOPES_AT_ZERO[name], rel=1e-6)


@pytest.mark.parametrize("name", FAR_OUT)
def test_activations_of_large_inputs_are_exact_and_have_finite_slopes(name):
    for x, expected in zip((1e4, -1e4), FAR_OUT[name], strict=True):
        value, slope = jax.value_and_grad(ACTIVATIONS[name])(x)
        assert value == pytest.approx(expected, rel=1e-6, abs=1e-30)
        assert jnp.isfinite(slope)


def test_softmax_of_large_inputs():
    found = ACTIVATIONS["softmax"](jnp.asarray([1e4, 0.0, -1e4]))
    np.testing.assert_array_equal(found, [1.0, 0.0, 0.0])


# Architectures: spec, shape of an example, outputs, tokens in the vocabulary.
ROWS = [
    ("linear", (4, 3), 3, 0),
    ("mlp:8", (5,), 3, 0),
    ("mlp:8,8,activation=gelu,normalisation=batch,dropout=0.2,skip=true", (4, 4), 3, 0),
    ("tabular:8,8,members=3,embedding=periodic,embedded=0-1+3,dropout=0.2,averaged=softmax", (5,), 3, 0),
    ("cnn:2,3,hidden=8,dropout=0.1", (8, 9), 3, 0),
    ("vgg:8,channels=2", (8, 8, 3), 3, 0),
    ("resnet:8,channels=2", (8, 8, 3), 3, 0),
    ("rnn:8,embedding=4", (6,), 5, 5),
    ("lstm:8,layers=2,dropout=0.1,truncation=3", (6, 2), 3, 0),
    ("gru:8", (6, 2), 3, 0),
    ("gpt:layers=1,heads=2,width=8,dropout=0.1", (6,), 5, 5),
]
every_architecture = pytest.mark.parametrize(
    ("text", "shape", "outputs", "tokens"), ROWS, ids=lambda v: str(v)
)


def _fitted(text, shape, outputs):
    return parse(text).fitted(shape, outputs)


@cache
def _model(text, shape, outputs, seed):
    """Return a model with arrays drawn by NumPy, which compiles nothing."""
    built = filled(eqx.filter_eval_shape(build, _fitted(text, shape, outputs), jax.random.key(0)), seed)
    # Running variances must not be negative.
    return built._replace(model_state=jax.tree.map(jnp.abs, built.model_state))


def _batch(shape, tokens, examples=4):
    if tokens:
        return jax.random.randint(jax.random.key(3), (examples, *shape), 0, tokens)
    return jax.random.normal(jax.random.key(3), (examples, *shape))


def test_every_architecture_has_a_row_and_a_description():
    assert set(ARCHITECTURES) == {parse(text).name for text, *_ in ROWS}
    assert all(kind.formula and kind.when and kind.reference for kind in ARCHITECTURES.values())


@every_architecture
def test_round_trips_through_its_spec_and_its_fields(text, shape, outputs, tokens):
    given, full = parse(text), _fitted(text, shape, outputs)
    for architecture in (given, full):
        assert parse(architecture.spec()) == architecture
        assert type(architecture).from_dict(architecture.to_dict()) == architecture
        assert hash(parse(architecture.spec())) == hash(architecture)
    assert full.fitted(shape, outputs) == full


@every_architecture
def test_initial_weights_depend_on_the_seed_alone(text, shape, outputs, tokens):
    model = _fitted(text, shape, outputs)
    first, again, other = (build(model, jax.random.key(seed)).params for seed in (1, 1, 2))
    assert eqx.tree_equal(first, again)
    if text != "linear":  # which starts at zero
        assert not eqx.tree_equal(first, other)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(first))
    assert set(jax.tree.leaves(roles(first))) <= {"bias", "scale", "embedding", "matrix", "kernel", "head"}


@every_architecture
def test_outputs_have_the_shape_that_the_check_accepts(text, shape, outputs, tokens):
    model, inputs = _fitted(text, shape, outputs), _batch(shape, tokens)
    check(model, inputs[0], "language" if tokens else "classification", outputs, logits=True)
    built = _model(text, shape, outputs, 1)
    arrays, rest = eqx.partition(built, eqx.is_array)

    @jax.jit
    def predict(arrays):
        return apply(eqx.combine(arrays, rest), inputs, key=None, training=False)[0]

    found = predict(arrays)
    assert found.shape == ((4, *shape, outputs) if tokens else (4, outputs))
    assert jnp.isfinite(found).all()


@every_architecture
def test_a_lane_does_not_depend_on_its_position_or_on_other_lanes(text, shape, outputs, tokens):
    inputs = _batch(shape, tokens)
    lanes = [_model(text, shape, outputs, seed) for seed in (1, 2)]

    def gradient(params, model_state):
        def loss(params):
            built = PartitionedModel(params, model_state, lanes[0].fixed)
            outputs = apply(built, inputs, key=jax.random.key(1), training=True)[0]
            return sum(jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(outputs))

        return jax.value_and_grad(loss)(params)

    # One program for both: a map over two lanes, and over twice the second.
    mapped = jax.jit(lambda given: jax.lax.map(lambda one: gradient(*one), given))
    among = mapped(stack([built[:2] for built in lanes]))
    alone = mapped(stack([lanes[1][:2]] * 2))
    for ours, theirs in zip(jax.tree.leaves(lane(among, 1)), jax.tree.leaves(lane(alone, 0)), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(alone))


def test_vgg_and_resnet_differ_only_in_the_skip():
    plain, residual = (_model(f"{name}:8,channels=2", (8, 8, 3), 3, 1) for name in ("vgg", "resnet"))
    for ours, theirs in zip(jax.tree.leaves(plain.params), jax.tree.leaves(residual.params), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    inputs = _batch((8, 8, 3), 0)
    found = [
        jax.jit(lambda b=built: apply(b, inputs, key=None, training=True)[0])() for built in (plain, residual)
    ]
    assert not np.allclose(*found)
