"""Contracts of every loss: gradients, values against torch, subgradients, extreme values, refused inputs."""

import dataclasses
import decimal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from thalweg.core.errors import BadInput, DataError, ModelError
from thalweg.problem.losses import (
    LOSSES,
    BinaryCrossEntropy,
    CrossEntropy,
    Hinge,
    Huber,
    KullbackLeibler,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
    Ordinal,
    Poisson,
    Quantile,
    Weighted,
    as_loss,
)

# Central differences with h = 1e-5 err by h^2 f'''/6 and 1e-16/h, both near 1e-11 of a gradient of order one.
STEP, GRADIENT_TOLERANCE = 1e-5, 1e-7
# A few roundings in f64.
VALUE_TOLERANCE = 1e-12

generator = np.random.default_rng(3)
LOGITS = generator.normal(size=(5, 4)) * 2
CLASSES = np.array([0, 3, 1, 2, 1])
SEQUENCE, TOKENS = generator.normal(size=(3, 6, 4)), generator.integers(0, 4, (3, 6))
PADDED = np.where(np.arange(6) < np.array([[6], [2], [0]]), TOKENS, -1)
SHARES = np.vstack([generator.dirichlet(np.ones(4), size=4), [0.0, 1.0, 0.0, 0.0]])
VALUES, WANTED = generator.normal(size=(5, 3)) * 2, generator.normal(size=(5, 3))
SCORES, YES = generator.normal(size=(5, 3)) * 2, generator.integers(0, 2, (5, 3))
RATIOS = np.random.default_rng(5).gamma(2.0, size=(5, 3))
WEIGHTS = np.array([0.0, 0.5, 1.0, 2.0, 1.5])
CLASS_WEIGHTS = (0.5, 2.0, 1.0, 0.25)


@dataclass(frozen=True)
class Row:
    """One loss at smooth points; `torch` takes (functional, outputs, targets) and gives losses, `batch`."""

    id: str
    loss: Loss
    outputs: Any
    targets: Any
    torch: Callable[[Any, Any, Any], Any]


def _mean(losses):
    return losses.flatten(1).mean(1) if losses.ndim > 1 else losses


def _entropy(**options):
    def call(f, z, y):
        moved = z.movedim(-1, 1)
        return _mean(
            f.cross_entropy(moved, y if y.shape != z.shape else y.movedim(-1, 1), reduction="none", **options)
        )

    return call


def _padded(f, z, y):
    losses = f.cross_entropy(z.movedim(-1, 1), y, ignore_index=-1, reduction="none")
    return losses.sum(1) / (y != -1).sum(1).clamp(min=1)


def _weights(torch_like):
    return torch_like.new_tensor(CLASS_WEIGHTS)


def _pinball(z, y, levels):
    error = y - z
    return (error.relu() * levels + (-error).relu() * (1 - levels)).mean(1)


def _cumulative(f, z, y):
    """The cumulative link model, by differences of sigmoids of rising thresholds."""
    cuts = z[:, :1] + f.pad(f.softplus(z[:, 1:]).cumsum(1), (1, 0))
    below = f.pad(f.pad(cuts.sigmoid(), (0, 1), value=1.0), (1, 0))
    return -below.diff(dim=1).gather(1, y[:, None].long()).log()[:, 0]


ROWS = [
    Row("cross_entropy", CrossEntropy(), LOGITS, CLASSES, _entropy()),
    Row("cross_entropy/soft", CrossEntropy(), LOGITS, SHARES, _entropy()),
    Row("cross_entropy/smooth", CrossEntropy(smoothing=0.1), LOGITS, CLASSES, _entropy(label_smoothing=0.1)),
    Row("cross_entropy/sequence", CrossEntropy(), SEQUENCE, TOKENS, _entropy()),
    Row("cross_entropy/ignore", CrossEntropy(ignore=-1), SEQUENCE, PADDED, _padded),
    Row(
        "cross_entropy/weights",
        CrossEntropy(class_weights=CLASS_WEIGHTS, smoothing=0.2),
        LOGITS,
        CLASSES,
        lambda f, z, y: f.cross_entropy(z, y, weight=_weights(z), label_smoothing=0.2, reduction="none"),
    ),
    Row(
        "binary_cross_entropy",
        BinaryCrossEntropy(),
        SCORES,
        YES,
        lambda f, z, y: f.binary_cross_entropy_with_logits(z, y.to(z), reduction="none").mean(1),
    ),
    Row(
        "binary_cross_entropy/weight",
        BinaryCrossEntropy(positive_weight=3.0),
        SCORES,
        YES,
        lambda f, z, y: f.binary_cross_entropy_with_logits(
            z, y.to(z), pos_weight=z.new_tensor(3.0), reduction="none"
        ).mean(1),
    ),
    Row(
        "kl",
        KullbackLeibler(),
        LOGITS,
        SHARES,
        lambda f, z, y: f.kl_div(z.log_softmax(-1), y, reduction="none").sum(-1),
    ),
    Row("hinge", Hinge(), LOGITS, CLASSES, lambda f, z, y: f.multi_margin_loss(z, y, reduction="none")),
    Row(
        "hinge/margin",
        Hinge(margin=0.5),
        LOGITS,
        CLASSES,
        lambda f, z, y: f.multi_margin_loss(z, y, margin=0.5, reduction="none"),
    ),
    Row(
        "hinge/one",
        Hinge(),
        SCORES[:, :1],
        YES[:, 0],
        lambda f, z, y: f.hinge_embedding_loss(1 - (1 - (2 * y - 1) * z[:, 0]), 0 * y - 1, reduction="none"),
    ),
    Row(
        "mse", MeanSquaredError(), VALUES, WANTED, lambda f, z, y: f.mse_loss(z, y, reduction="none").mean(1)
    ),
    Row(
        "mae", MeanAbsoluteError(), VALUES, WANTED, lambda f, z, y: f.l1_loss(z, y, reduction="none").mean(1)
    ),
    Row(
        "quantile",
        Quantile(levels=(0.9, 0.1, 0.5)),
        VALUES,
        WANTED[:, :1],
        lambda f, z, y: _pinball(z, y, z.new_tensor([0.1, 0.5, 0.9])),
    ),
    Row("quantile/median", Quantile(), VALUES[:, :1], WANTED[:, :1], lambda f, z, y: (z - y).abs()[:, 0] / 2),
    Row(
        "poisson",
        Poisson(),
        VALUES,
        RATIOS,
        lambda f, z, y: (
            f.poisson_nll_loss(z, y, reduction="none") - f.poisson_nll_loss(y.log(), y, reduction="none")
        ).mean(1),
    ),
    Row("ordinal", Ordinal(), LOGITS[:, :3], CLASSES, _cumulative),
    Row("ordinal/order", Ordinal(order=("low", "some", "high")), LOGITS[:, :2], CLASSES % 3, _cumulative),
    Row("huber", Huber(), VALUES, WANTED, lambda f, z, y: f.huber_loss(z, y, reduction="none").mean(1)),
    Row(
        "huber/delta",
        Huber(delta=0.3),
        VALUES,
        WANTED,
        lambda f, z, y: f.huber_loss(z, y, delta=0.3, reduction="none").mean(1),
    ),
    Row(
        "weighted/examples",
        Weighted(MeanSquaredError()),
        VALUES,
        (WANTED, WEIGHTS),
        lambda f, z, y: y[1] * f.mse_loss(z, y[0], reduction="none").mean(1),
    ),
    Row(
        "weighted/positions",
        Weighted(CrossEntropy()),
        SEQUENCE,
        (TOKENS, (PADDED >= 0).astype(float)),
        lambda f, z, y: (y[1] * f.cross_entropy(z.movedim(-1, 1), y[0], reduction="none")).mean(1),
    ),
]
every_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)


def test_every_registered_loss_has_a_row():
    assert set(LOSSES) <= {row.id.partition("/")[0] for row in ROWS}


def _arrays(tree, floating=jnp.float64):
    def convert(leaf):
        leaf = np.asarray(leaf)
        return jnp.asarray(leaf, floating if leaf.dtype.kind == "f" else jnp.int32)

    return jax.tree.map(convert, tree)


def _both_ways(loss, outputs, targets):
    """The gradient of a mix of the losses, by JAX and by central differences."""
    mix = np.random.default_rng(0).normal(size=outputs.shape[0])

    def total(z):
        return jnp.sum(mix * loss(z, targets))

    shifts = STEP * jnp.eye(outputs.size).reshape(-1, *outputs.shape)
    differences = jax.lax.map(lambda d: (total(outputs + d) - total(outputs - d)) / (2 * STEP), shifts)
    return jax.grad(total)(outputs), differences.reshape(outputs.shape)


@every_row
def test_gradient_equals_central_differences(row):
    with jax.enable_x64(True):
        outputs, targets = _arrays(row.outputs), _arrays(row.targets)
        gradient, differences = jax.jit(lambda z: _both_ways(row.loss, z, targets))(outputs)
        error = jnp.max(jnp.abs(differences - gradient))
        assert error <= GRADIENT_TOLERANCE * jnp.max(jnp.abs(gradient))


@every_row
def test_values_equal_torch(row):
    torch = pytest.importorskip("torch", reason="torch is the second reference where it is installed")
    # hinge_embedding_loss with target -1 is max(0, 1 - x); its argument is written so that this is the hinge.
    expected = row.torch(
        torch.nn.functional,
        torch.tensor(row.outputs),
        jax.tree.map(torch.tensor, row.targets),
    )
    with jax.enable_x64(True):
        found = np.asarray(row.loss(_arrays(row.outputs), _arrays(row.targets)))
    np.testing.assert_allclose(found, expected.numpy(), rtol=VALUE_TOLERANCE, atol=VALUE_TOLERANCE)


@every_row
@pytest.mark.parametrize("kind", ["float32", "float64", "bfloat16", "float16"])
def test_gives_one_number_per_example_in_the_dtype_of_the_outputs(row, kind):
    with jax.enable_x64(kind == "float64"):
        outputs, targets = _arrays(row.outputs, jnp.dtype(kind)), _arrays(row.targets, jnp.float32)
        found = row.loss(outputs, targets)
    assert found.shape == (row.outputs.shape[0],)
    assert found.dtype == ("float64" if kind == "float64" else "float32")


@every_row
def test_the_loss_of_an_example_does_not_depend_on_the_others(row):
    outputs, targets = _arrays(row.outputs, jnp.float32), _arrays(row.targets, jnp.float32)
    together = row.loss(outputs, targets)
    for i in range(outputs.shape[0]):
        own = row.loss(outputs[i : i + 1], jax.tree.map(lambda leaf, i=i: leaf[i : i + 1], targets))
        np.testing.assert_allclose(own, together[i : i + 1], rtol=1e-6)


@every_row
def test_is_hashable_and_compares_by_value(row):
    again = dataclasses.replace(row.loss)
    assert again is not row.loss
    assert again == row.loss
    assert hash(again) == hash(row.loss)
    assert row.loss.formula and row.loss.when and row.loss.reference


@every_row
def test_the_first_batch_passes_its_check(row):
    row.loss.check(_arrays(row.outputs, jnp.float32), _arrays(row.targets, jnp.float32))


@every_row
def test_shapes_that_do_not_fit_are_refused(row):
    outputs, targets = _arrays(row.outputs, jnp.float32), _arrays(row.targets, jnp.float32)
    with pytest.raises(BadInput, match=r"shape|row of logits|distributions|each example"):
        row.loss(outputs[:2], targets)
    with pytest.raises(BadInput):
        row.loss(jnp.stack([outputs, outputs], axis=1), targets)


@pytest.mark.parametrize(
    "loss",
    [MeanSquaredError(), MeanAbsoluteError(), Huber(), BinaryCrossEntropy()],
    ids=lambda loss: loss.name,
)
def test_a_missing_axis_of_one_never_broadcasts_to_batch_times_batch(loss):
    column, flat = jnp.arange(5.0)[:, None] / 5, jnp.arange(5.0) / 5
    for outputs, targets in ((column, flat), (flat, column)):
        np.testing.assert_array_equal(loss(outputs, targets), loss(column, column))


@pytest.mark.parametrize(
    "row", [row for row in ROWS if row.id.split("/")[0] in LOSSES], ids=lambda row: row.id
)
def test_the_short_form_reads_back(row):
    assert as_loss(row.loss.spec()) == row.loss


KINKS = [
    (MeanAbsoluteError(), [[1.0]], [[1.0]], [[0.0]]),
    (Huber(), [[1.0]], [[1.0]], [[0.0]]),
    (Huber(delta=0.5), [[1.5]], [[1.0]], [[0.5]]),
    (Hinge(), [[1.0]], [1], [[0.0]]),
    (Hinge(), [[1.0, 0.0]], [0], [[0.0, 0.0]]),
    (Hinge(), [[0.0, 0.0, 0.0]], [0], [[-2 / 3, 1 / 3, 1 / 3]]),
    (BinaryCrossEntropy(), [[0.0]], [[1]], [[-0.5]]),
    (CrossEntropy(), [[0.0, 0.0]], [0], [[-0.5, 0.5]]),
]


@pytest.mark.parametrize(("loss", "outputs", "targets", "stated"), KINKS)
def test_the_subgradient_at_kinks_and_ties_is_the_documented_one(loss, outputs, targets, stated):
    found = jax.grad(lambda z: jnp.sum(loss(z, jnp.asarray(targets))))(jnp.asarray(outputs))
    np.testing.assert_allclose(found, stated, rtol=1e-6)


def _exact_entropy(logits, y):
    """-log softmax(z)_y in fifty digits."""
    with decimal.localcontext(prec=50):
        z = [decimal.Decimal(v) for v in logits]
        total = sum(((v - max(z)).exp() for v in z), decimal.Decimal(0))
        return float(total.ln() + max(z) - z[y])


def _exact_binary(logit, y):
    return _exact_entropy([0.0, logit], y)


EXTREMES = [[1e4, 0.0, -1e4], [1e4, 1e4, 1e4], [-1e4, -1e4, 0.0], [1e4, 1e4 - 1.0, 0.0], [30.0, 0.0, 0.0]]


@pytest.mark.parametrize("logits", EXTREMES)
@pytest.mark.parametrize("label", [0, 1, 2])
def test_extreme_logits_are_exact(logits, label):
    z = jnp.asarray([logits], jnp.float32)
    loss, gradient = jax.value_and_grad(lambda v: CrossEntropy()(v, jnp.asarray([label]))[0])(z)
    expected = _exact_entropy(logits, label)
    assert loss == pytest.approx(expected, rel=1e-6, abs=2e-13)
    assert jnp.isfinite(gradient).all()
    divergence = KullbackLeibler()(z, jax.nn.one_hot(jnp.asarray([label]), 3))[0]
    assert divergence == pytest.approx(expected, rel=1e-6, abs=2e-13)


@pytest.mark.parametrize("logit", [1e4, -1e4, 40.0, -40.0, 20.0, 0.0])
@pytest.mark.parametrize("label", [0, 1])
def test_extreme_binary_logits_are_exact(logit, label):
    def of(z):
        return BinaryCrossEntropy()(z, jnp.asarray([[label]]))[0]

    loss, gradient = jax.value_and_grad(of)(jnp.asarray([[logit]], jnp.float32))
    # Relative precision is kept down to the smallest normal number.
    assert loss == pytest.approx(_exact_binary(logit, label), rel=1e-6, abs=1e-37)
    assert jnp.isfinite(gradient).all()


@pytest.mark.parametrize("loss", [MeanAbsoluteError(), Huber(), Hinge()])
def test_extreme_errors_stay_linear(loss):
    targets = jnp.asarray([[0]])
    value = loss(jnp.asarray([[1e30]], jnp.float32), targets)[0]
    assert value == pytest.approx(1e30, rel=1e-6)


def test_an_all_masked_batch_gives_zero_loss_and_zero_gradient():
    outputs = jnp.asarray([[jnp.nan, 1e4, 0.0], [jnp.inf, 1.0, 2.0]])
    targets = (jnp.asarray([0, 1]), jnp.zeros(2))
    loss, gradient = jax.value_and_grad(lambda z: Weighted(CrossEntropy())(z, targets).sum())(outputs)
    assert loss == 0
    assert (gradient == 0).all()
    ignored = jnp.asarray([[-1, -1], [-1, -1]])
    logits = jnp.full((2, 2, 3), 1e4)
    loss, gradient = jax.value_and_grad(lambda z: CrossEntropy(ignore=-1)(z, ignored).sum())(logits)
    assert loss == 0
    assert (gradient == 0).all()


def test_infinite_logits_of_other_classes_are_exact():
    assert CrossEntropy()(jnp.asarray([[0.0, -jnp.inf]]), jnp.asarray([0]))[0] == 0
    assert CrossEntropy()(jnp.asarray([[0.0, -jnp.inf]]), jnp.asarray([1]))[0] == jnp.inf


REFUSED = [
    (CrossEntropy(), [[0.2, 0.8], [0.5, 0.5]], [0, 1], ModelError, "takes logits"),
    (KullbackLeibler(), [[0.2, 0.8], [0.5, 0.5]], [[0.0, 1.0], [1.0, 0.0]], ModelError, "takes logits"),
    (CrossEntropy(), [[0.3, 2.0]], [2], DataError, "labels must lie in 0..1; got 2"),
    (CrossEntropy(), [[0.3, 2.0]], [-1], DataError, "labels must lie in 0..1; got -1"),
    (CrossEntropy(), [[0.3, 2.0]], [1.0], DataError, "whole numbers"),
    (CrossEntropy(), [[0.3, 2.0]], [[0.7, 0.7]], DataError, "sum to 1"),
    (CrossEntropy(), [[0.3, 2.0]], [[1.5, -0.5]], DataError, "in \\[0, 1\\]"),
    (BinaryCrossEntropy(), [[0.3]], [[2]], DataError, "in \\[0, 1\\]"),
    (BinaryCrossEntropy(), [[0.3]], [[-1]], DataError, "in \\[0, 1\\]"),
    (KullbackLeibler(), [[0.3, 2.0]], [[0.7, 0.7]], DataError, "sum to 1"),
    (Hinge(), [[0.3, 2.0]], [2], DataError, "labels must lie in 0..1"),
    (Hinge(), [[0.3]], [-1], DataError, "labels must lie in 0..1"),
    (MeanSquaredError(), [[0.3]], [[float("nan")]], DataError, "finite"),
    (MeanAbsoluteError(), [[0.3]], [[float("inf")]], DataError, "finite"),
    (Huber(), [[0.3]], [[float("nan")]], DataError, "finite"),
    (Weighted(MeanSquaredError()), [[0.3]], ([[1.0]], [-1.0]), DataError, "at least 0"),
    (Weighted(MeanSquaredError()), [[0.3]], ([[1.0]], [float("nan")]), DataError, "finite"),
]


@pytest.mark.parametrize(("loss", "outputs", "targets", "kind", "words"), REFUSED)
def test_wrong_outputs_or_targets_are_refused(loss, outputs, targets, kind, words):
    given = tuple(map(jnp.asarray, targets)) if isinstance(targets, tuple) else jnp.asarray(targets)
    with pytest.raises(kind, match=words):
        loss.check(jnp.asarray(outputs), given)


@pytest.mark.parametrize("loss", [CrossEntropy(), Hinge()])
@pytest.mark.parametrize("label", [-1, 3])
def test_a_label_out_of_range_gives_nan(loss, label):
    assert jnp.isnan(loss(jnp.zeros((1, 3)), jnp.asarray([label]))[0])
