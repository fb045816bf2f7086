"""Checks of what the gradient reaches: functions that stop it, and penalties that outweigh the loss."""

from collections.abc import Iterator
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from thalweg.insight.doctor import moves
from thalweg.insight.doctor.anatomy import BINARY, CLASSES, VALUES, loss_slope, tried_losses
from thalweg.insight.doctor.edited import LINEAR
from thalweg.insight.doctor.finding import Check, Finding, View
from thalweg.insight.doctor.profile import DISTANCE, PROBABILITIES

# Spread of values that says that a function does not just give a constant.
VARYING = 1e-6
# Penalty of the initial weights, relative to the loss of the data, from which on it competes with that, and
# from which on it drowns it.
COMPETING, DROWNING = 0.5, 3.0
# Rows on which the penalty is measured.
ROWS = 8


def stopped_at_the_end(view: View) -> Iterator[Finding]:
    """A function after the last layer without a slope: rounding, argmax, a step, a stopped gradient."""
    swept, slopes = view.probe.swept, view.probe.slopes
    if swept is None or slopes is None or not np.isfinite(swept).all():
        return
    if np.ptp(swept) < VARYING or np.any(slopes != 0):
        return
    probable = view.profile is not None and view.profile.takes == PROBABILITIES
    to = LINEAR
    if probable:
        to = "softmax" if view.anatomy.kind == CLASSES else "sigmoid"
    why = "what follows the last layer has slope zero everywhere: no gradient reaches any weight"
    move = moves.output(view.anatomy, to, view.head)
    yield Finding("head_activation_wrong", 1.0, why, ((move,),), certain=True)


def stopped_between(view: View) -> Iterator[Finding]:
    """A function between layers without a slope: the last layer has a gradient, those before it none."""
    layers = view.probe.layers
    if len(layers) < 2 or not view.probe.finite or not layers[-1].gradient > 0:
        return
    before = layers[:-1]
    if any(layer.gradient != 0 or (layer.dead or 0) >= 1 or (layer.saturated or 0) > 0.5 for layer in before):
        return
    if layers[-1].spread < VARYING:  # nothing comes through: equal or zero weights, which others name
        return
    why = "no gradient at all reaches the layers before the last one, though their units vary between rows"
    yield Finding("hidden_activation_wrong", 0.9, why, ((moves.hidden(view.anatomy),),))


def stopped_in_the_loss(view: View) -> Iterator[Finding]:
    """A loss whose value changes with the outputs, without a slope: of rounded outputs, or of an argmax."""
    anatomy, profile = view.anatomy, view.profile
    if anatomy.kind not in (BINARY, CLASSES, VALUES) or profile is None or any(view.probe.gradients.values()):
        return
    if not view.probe.finite or not view.plain_slope or loss_slope(anatomy) != 0:
        return
    why = (
        "the loss has slope zero in all outputs: it rounds them, or takes the largest, or stops the gradient"
    )
    probable = view.are_probabilities
    move = moves.usual(anatomy, probabilities=probable, distance=profile.takes == DISTANCE)
    yield Finding("loss_mismatch", 1.0, why, ((move,),), certain=True)


def penalised(view: View) -> Iterator[Finding]:
    """A loss of the user's own that adds a penalty of the weights, larger than the loss of the data."""
    anatomy = view.anatomy
    if anatomy.problem.objective is None or anatomy.first.outputs is None or view.profile is None:
        return
    rows = anatomy.train.some(np.linspace(0, anatomy.train.count - 1, ROWS).astype(int))
    outputs = np.asarray(anatomy.first.outputs)[np.linspace(0, anatomy.train.count - 1, ROWS).astype(int)]
    if not np.isfinite(outputs).all():
        return
    without = anatomy.built._replace(params=jax.tree.map(jnp.zeros_like, anatomy.built.params))
    empty = replace(anatomy, built=without)
    with_, data = (float(tried_losses(each, rows, outputs[None])[0]) for each in (anatomy, empty))
    penalty, size = with_ - data, max(abs(data), 1e-6)
    if not np.isfinite(penalty) or penalty < COMPETING * size:
        return
    why = f"the loss adds {penalty:.3g} for the initial weights alone, to {data:.3g} for the data"
    weight = 0.9 if penalty > DROWNING * size else 0.5
    yield Finding("decay_strong", weight, why, ((moves.unpenalised(f"{penalty:.3g}"),),))


CHECKS = (
    Check(
        "stopped at the end",
        "slopes of what follows the last layer",
        "zero throughout, while outputs vary",
        "definition of a gradient",
        stopped_at_the_end,
    ),
    Check(
        "stopped between",
        "gradients of the layers",
        "zero for all but the last, none dead or saturated",
        "definition of a gradient",
        stopped_between,
    ),
    Check(
        "stopped in the loss",
        "slope of the loss in the outputs",
        "zero, while its value changes",
        "definition of a gradient",
        stopped_in_the_loss,
    ),
    Check(
        "penalised",
        "the loss for the same outputs, with the weights and with zeros in their place",
        "half of the loss of the data",
        "Goodfellow et al., Deep Learning, 2016, section 7.1; limits ours",
        penalised,
    ),
)
