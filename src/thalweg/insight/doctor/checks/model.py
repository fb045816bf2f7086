"""Checks of the model: activations, depth, initial weights, capacity, batch norm, dropout."""

from collections.abc import Iterator
from itertools import pairwise

import jax
import numpy as np

from thalweg.insight.doctor import moves
from thalweg.insight.doctor.checks.optimisation import is_fast
from thalweg.insight.doctor.finding import Check, Finding, View
from thalweg.insight.doctor.network import module_of
from thalweg.insight.doctor.swapped import BATCH_NORMS, DROPOUTS, found, rate

# Deviation from an affine function, relative to the spread of the outputs, that rounding explains.
AFFINE = 1e-3
# Share of units of a layer that are never active (or values on the flat ends) from which on it is a fault.
DEAD, SATURATED = 0.5, 0.7
# Layers from which on depth needs norms or skips, and ratio of first to last layer's gradient.
DEEP, VANISHED = 6, 1e-3
# Spread of what an affine map gives for scaled inputs: He's start keeps it near 1.
LARGE_START, SMALL_START = 15.0, 1e-3
FEW_UNITS = 4
SMALL_BATCH = 4
STRONG_DROPOUT = 0.65
NOISY = 1.5


def linear(view: View) -> Iterator[Finding]:
    """Layers without a nonlinear function between them are one affine map."""
    probe = view.probe
    if (
        len(probe.layers) > 1
        and probe.linear is not None
        and probe.linear < AFFINE
        and probe.layers[-1].spread > 1e-9
    ):
        why = f"{len(probe.layers)} layers compute one affine map (deviation {probe.linear:.1g})"
        certain = view.references is not None and _beyond_linear(view)
        yield Finding(
            "hidden_linear", 0.9 if certain else 0.3, why, ((moves.hidden(view.anatomy),),), certain=certain
        )


def _beyond_linear(view: View) -> bool:
    references = view.references
    assert references is not None
    line = references.scores.get("linear", references.constant)
    # A handful of rows can be known by heart, whatever references make of them.
    by_heart = view.ceiling - references.best > 0.05
    return by_heart or references.best - line > max(0.05, references.noise)


def activations(view: View) -> Iterator[Finding]:
    """Hidden activations that squeeze the signal: softmax, deep sigmoids."""
    layers = view.probe.layers[:-1]
    if any(layer.simplex for layer in layers):
        where = next(layer.path for layer in layers if layer.simplex)
        why = f"the units of {where} are positive and sum to 1: a softmax between layers"
        yield Finding("hidden_activation_wrong", 0.85, why, ((moves.hidden(view.anatomy),),))
    squeezed = [layer for layer in layers if set(layer.activations) & {"sigmoid", "hard_sigmoid"}]
    if squeezed and not any(layer.simplex for layer in layers):
        why = f"{len(squeezed)} hidden layers of sigmoids: each passes at most a quarter of the gradient"
        alternatives = ((moves.hidden(view.anatomy),), (moves.hidden(view.anatomy, "tanh"),))
        yield Finding("hidden_activation_wrong", min(0.9, 0.3 + 0.1 * len(squeezed)), why, alternatives[:1])
    growing = [layer for layer in layers if not layer.activations]
    if growing and len(layers) and view.probe.linear is not None and view.probe.linear > 1e3:
        why = "hidden units grow exponentially with their input"
        yield Finding("hidden_activation_wrong", 0.6, why, ((moves.hidden(view.anatomy),),))


def dying(view: View) -> Iterator[Finding]:
    """ReLU units that are never active."""
    probes = [probe for probe in (view.after, view.probe) if probe is not None]
    for probe in probes:
        dead = [(layer.dead or 0.0, layer.path) for layer in probe.layers]
        share, where = max(dead, default=(0.0, ""))
        if share > DEAD:
            when = "after training" if probe is view.after else "before the first step"
            why = f"{share:.0%} of the units of {where} are 0 for all rows {when}"
            leaky = moves.hidden(view.anatomy, "leaky_relu")
            alternatives = ((leaky,), (leaky, moves.init(view.anatomy)))
            weight = 0.75 if share > 0.9 else 0.55
            if probe is view.after and is_fast(view):  # large steps kill units that were alive
                weight = 0.35
            yield Finding("relu_dying", weight, why, alternatives)
            return
    few = [layer for layer in view.probe.layers[:-1] if "relu" in layer.activations]
    if view.base is not None and few and view.base.unlike and min(layer.width for layer in few) <= 16:
        width = min(layer.width for layer in few)
        why = f"some seeds train, others do not ({view.base.text}); ReLU layers of {width} units"
        yield Finding(
            "relu_dying",
            0.6,
            why,
            ((moves.hidden(view.anatomy, "leaky_relu"),), (moves.hidden(view.anatomy, "tanh"),)),
        )


def deep(view: View) -> Iterator[Finding]:
    """Many layers without norms or skips, whose gradient vanishes on the way."""
    layers = view.probe.layers
    if len(layers) < DEEP:
        return
    ratio = layers[0].gradient / max(layers[-1].gradient, 1e-30)
    if ratio < VANISHED or ratio > 1 / VANISHED:
        why = f"{len(layers)} layers; the first one's gradient is {ratio:.1g} times the last one's"
        alternatives = (
            (moves.normalised(view.anatomy, skip=True),),
            (moves.normalised(view.anatomy, skip=True), moves.hidden(view.anatomy)),
        )
        yield Finding("depth_unnormalised", 0.7, why, alternatives)


def start(view: View) -> Iterator[Finding]:
    """Initial weights that are all the same, too large, or too small."""
    built, layers = view.anatomy.built, view.probe.layers
    matrices = [
        np.asarray(leaf) for leaf in jax.tree.leaves(built.params) if leaf.ndim == 2 and min(leaf.shape) > 1
    ]
    same = [each for each in matrices if np.ptp(each) < 1e-12 * max(1.0, np.abs(each).max())]
    if matrices and len(same) >= max(1, len(matrices) - 1):
        why = f"all numbers of a weight are {float(same[0].flat[0]):g}: its units stay copies of each other"
        yield Finding("init_symmetric", 1.0, why, ((moves.init(view.anatomy),),), certain=len(matrices) > 1)
        return
    if not layers or view.anatomy.train.x is None:
        return
    x = np.asarray(view.anatomy.train.x)
    size = float(np.sqrt(np.mean(x.astype(np.float64) ** 2))) or 1.0
    if x.dtype.kind != "f":  # numbers of words, say, have no size
        size = max(layers[0].size, 1e-30)
    growth = [
        (after.size / max(before, 1e-30), after.path)
        for before, after in zip([size, *[each.size for each in layers]], layers, strict=False)
    ]
    smallest = min(growth[:-1] or growth)
    # A large bias moves all rows alike: what is multiplied is what differs between them.
    spreads = [
        float(np.sqrt(np.mean(np.var(x.astype(np.float64), axis=0)))),
        *[each.spread for each in layers],
    ]
    if x.dtype.kind != "f":
        spreads[0] = max(layers[0].spread, 1e-30)
    apart = [after / max(before, 1e-30) for before, after in pairwise(spreads)]
    largest = max((min(both, rows), path) for (both, path), rows in zip(growth, apart, strict=True))
    if largest[0] > LARGE_START:
        why = f"{largest[1]} multiplies its input by {largest[0]:.3g} at the start"
        yield Finding("init_large", 0.85, why, ((moves.init(view.anatomy),),))
    elif smallest[0] < 0.03 and not any(layer.simplex for layer in layers):
        why = f"{smallest[1]} multiplies its input by {smallest[0]:.1g} at the start"
        yield Finding("init_small", 0.75, why, ((moves.init(view.anatomy),),))


def capacity(view: View) -> Iterator[Finding]:
    """Too few units or layers for what other methods find in the data."""
    layers, references = view.probe.layers, view.references
    if (
        not layers
        or view.base is None
        or view.anatomy.train.x is None
        or view.anatomy.train.x.dtype.kind != "f"
    ):
        return
    hidden = [layer.width for layer in layers[:-1]]
    if hidden and min(hidden) >= view.anatomy.train.distinct - 1:
        return  # one unit less than there are rows can know all of them by heart (Sartori & Antsaklis, 1991)
    if not hidden and references is not None and _beyond_linear(view):
        why = "the model is linear, and other methods find more in the data than a linear one"
        yield Finding("capacity_low", 0.85, why, ((moves.wider(view.anatomy),),))
    elif hidden and min(hidden) <= FEW_UNITS:
        why = f"the narrowest layer has {min(hidden)} units"
        yield Finding("capacity_low", 0.6, why, ((moves.wider(view.anatomy),),))
    elif hidden:
        yield Finding(
            "capacity_low", 0.1, f"hidden layers of {min(hidden)} units", ((moves.wider(view.anatomy),),)
        )


def small_batches(view: View) -> Iterator[Finding]:
    """Batch statistics from very few rows."""
    module = module_of(view.anatomy.problem, view.anatomy.built, training=True)
    if found(module, BATCH_NORMS) and view.batch <= SMALL_BATCH:
        why = f"batch norm takes its statistics from {view.batch} rows"
        alternatives = ((moves.batch(view.anatomy, 32),), (moves.no_batch_norm(),))
        yield Finding("batchnorm_small_batch", 0.9, why, alternatives)


def dropped(view: View) -> Iterator[Finding]:
    """Dropout that leaves little of the signal."""
    module = module_of(view.anatomy.problem, view.anatomy.built, training=True)
    rates = [rate(layer) for layer in found(module, DROPOUTS)]
    if rates and max(rates) > STRONG_DROPOUT:
        noise = f"outputs vary {view.probe.noise:.2g} times as much by that as between rows"
        why = f"{max(rates):.0%} of the units are dropped; {noise}"
        yield Finding(
            "dropout_high", 0.9 if max(rates) > 0.8 else 0.6, why, ((moves.dropout(0.1, max(rates)),),)
        )
    elif not rates and view.probe.noise > NOISY:
        why = f"outputs vary {view.probe.noise:.2g} times as much by the noise of training as between rows"
        yield Finding("dropout_high", 0.5, why)


CHECKS = (
    Check(
        "linear",
        "the last affine map, on lines through pairs of rows",
        "deviation below 0.1 %",
        "rounding",
        linear,
    ),
    Check(
        "activations",
        "what follows hidden layers",
        "sums to 1; sigmoids",
        "Glorot & Bengio 2010",
        activations,
    ),
    Check(
        "dying",
        "units over a fixed batch, before and after training",
        "half of a layer is 0 for all rows",
        "Lu et al., Dying ReLU and Initialization, 2020; limit ours",
        dying,
    ),
    Check(
        "deep",
        "gradients of the first and last layer",
        "6 layers, a factor of 1000",
        "He et al., Deep Residual Learning, 2016; limits ours",
        deep,
    ),
    Check(
        "start",
        "initial weights, and what layers make of their input",
        "equal numbers; a factor of 15 or 1/33",
        "He et al. 2015 keeps the factor near 1",
        start,
    ),
    Check(
        "capacity",
        "widths, and references",
        "4 units, or a linear model where references find more",
        "ours",
        capacity,
    ),
    Check(
        "small batches",
        "batch norm and batch size",
        "4 rows",
        "Wu & He, Group Normalization, 2018, figure 1",
        small_batches,
    ),
    Check(
        "dropped",
        "dropout layers, and noise of the outputs",
        "above 65 %",
        "Srivastava et al. 2014 use 0.2 to 0.5",
        dropped,
    ),
)
