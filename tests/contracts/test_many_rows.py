"""Layers, losses, metrics and modules of users on tens of thousands of rows, against NumPy in float64.

Compilers partition long loops, and what is wrong at the seams shows in no small test. Row counts are odd or
just above a power of two, widths small and a power of two. Every case meets some of the pairs; together they
meet all of them (`test_all_pairs_of_rows_and_width_are_met`).
"""

import equinox as eqx
import jax
import numpy as np
import pytest

from tests.contracts.layers import LAYERS as SMALL
from tests.contracts.many_rows import LAYERS, OBJECTIVES, OWN
from thalweg.core.compiler import filter_jit, jit
from thalweg.problem.losses import LOSSES, METRICS

ROWS, WIDTHS = (32_769, 40_000, 50_001, 100_003), (1, 2, 3, 4, 8, 32)
# In this order, neighbours differ in both; every six contain all widths, every four all row counts.
PAIRS = [(ROWS[(i + i // 12) % 4], WIDTHS[i % 6]) for i in range(24)]
# Float32 has 6e-8; products of 32 terms, exponentials and norms of small variances lose some of it.
TOLERANCE = 2e-4
# Small, so that no input lies within a step of a kink; NumPy has 1e-16.
STEP = 1e-9
# Where jaxlib 0.10.2 computes a fifth of `own/sum of squares` wrong by default.
KNOWN = (40_000, 3)


def pairs(cases, each, *, known=False):
    """Give `each` pairs to every case, cyclically, and with `known` the pair `KNOWN` to all."""
    given = {
        case: [PAIRS[(number * each + k) % len(PAIRS)] for k in range(each)] + [KNOWN] * known
        for number, case in enumerate(cases)
    }
    return [
        pytest.param(case, rows, width, id=f"{case.id}-{rows}x{width}")
        for case, sizes in given.items()
        for rows, width in dict.fromkeys(sizes)
    ]


def wide(tree):
    """Return a module or targets with NumPy's arrays, floats in float64."""

    def widen(leaf):
        if not eqx.is_array(leaf):
            return leaf
        array = np.asarray(leaf)
        return array.astype(np.float64) if array.dtype.kind == "f" else array

    return jax.tree.map(widen, tree)


def assert_rows_equal(found, expected):
    scale = np.abs(expected) + np.sqrt(np.mean(expected**2)) + 1e-6
    wrong = ~(np.abs(np.asarray(found, np.float64) - expected) <= TOLERANCE * scale)
    assert found.shape == expected.shape
    assert not wrong.any(), f"{100 * wrong.mean():.3g} % of the values are wrong"


def test_all_pairs_of_rows_and_width_are_met():
    assert set(PAIRS) == {(rows, width) for rows in ROWS for width in WIDTHS}


def test_every_layer_loss_and_metric_is_here():
    families = {row.id.split("/")[0] for row in SMALL} - {"dropout", "residual", "gpt"}
    assert families <= {case.id.split("/")[0] for case in LAYERS}
    assert {row.id for row in SMALL if row.id.startswith("activation")} <= {case.id for case in LAYERS}
    means = [name for name, metric in METRICS.items() if metric.whole is None]
    ids = {case.id.split("/")[0] for case in OBJECTIVES} | {case.id for case in OBJECTIVES}
    assert set(LOSSES) | {f"metric/{name}" for name in means} <= ids


@pytest.mark.parametrize(("case", "rows", "width"), pairs(LAYERS, 2) + pairs(OWN, 3, known=True))
def test_outputs(case, rows, width):
    module, inputs = case.module(width), case.inputs(rows, width)
    found = filter_jit(case.call)(module, inputs)
    assert_rows_equal(found, case.define(wide(module), wide(inputs)))


@pytest.mark.parametrize(("case", "rows", "width"), pairs(LAYERS, 1) + pairs(OWN, 1))
def test_gradients(case, rows, width):
    """Slopes along a direction, for the inputs row by row, and NumPy's central differences."""
    module, inputs = case.module(width), case.inputs(rows, width)
    floats, fixed = eqx.partition((module, inputs), eqx.is_inexact_array)
    generator = np.random.default_rng(1)

    def call(floats):
        return case.call(*eqx.combine(floats, fixed))

    shape = jax.eval_shape(call, floats).shape
    mix = generator.normal(size=shape).astype(np.float32)
    gradients = jit(lambda floats, mix: jax.vjp(call, floats)[1](mix)[0])(floats, mix)
    for moved in (0, 1):  # the module's arrays; the inputs
        leaves, treedef = jax.tree.flatten(floats[moved])
        if not leaves:
            continue
        directions = [generator.normal(size=leaf.shape) for leaf in leaves]

        def shifted(step, leaves=leaves, directions=directions, treedef=treedef, moved=moved):
            values = [
                np.asarray(leaf, np.float64) + step * d for leaf, d in zip(leaves, directions, strict=True)
            ]
            both = wide(list(floats))
            both[moved] = jax.tree.unflatten(treedef, values)
            outputs = case.define(*eqx.combine(tuple(both), wide(fixed)))
            return (outputs * mix).reshape(len(mix), -1).sum(1)

        slopes = (shifted(STEP) - shifted(-STEP)) / (2 * STEP)
        parts = [
            np.asarray(g, np.float64) * d
            for g, d in zip(jax.tree.leaves(gradients[moved]), directions, strict=True)
        ]
        if moved and not case.id.startswith("batch_norm"):  # whose examples depend on each other
            found = sum(part.reshape(len(mix), -1).sum(1) for part in parts)
            assert_rows_equal(found, slopes)
        else:
            size = np.sqrt((slopes**2).sum()) + 1
            assert abs(sum(part.sum() for part in parts) - slopes.sum()) <= 10 * TOLERANCE * size


@pytest.mark.parametrize(("case", "rows", "width"), pairs(OBJECTIVES, 2, known=True))
def test_losses_and_metrics(case, rows, width):
    outputs, targets = case.pair(rows, width)
    found = jit(case.call)(outputs, targets)
    assert_rows_equal(found, case.define(wide(outputs), wide(targets)))


@pytest.mark.parametrize(("case", "rows", "width"), pairs([case for case in OBJECTIVES if case.smooth], 1))
def test_means_and_gradients_of_losses(case, rows, width):
    outputs, targets = case.pair(rows, width)
    mean = jax.value_and_grad(lambda outputs, targets: case.call(outputs, targets).mean())
    value, gradient = jit(mean)(outputs, targets)
    z, y = wide(outputs), wide(targets)
    direction = np.random.default_rng(1).normal(size=z.shape)
    expected = case.define(z, y)
    ahead, behind = (case.define(z + step * direction, y) for step in (STEP, -STEP))
    assert float(value) == pytest.approx(expected.mean(), rel=TOLERANCE)
    slopes = rows * (np.asarray(gradient, np.float64) * direction).sum(1)
    assert_rows_equal(slopes, (ahead - behind) / (2 * STEP))
