"""Checks of the head: output activation, number of outputs, form of the labels, and loss."""

from collections.abc import Iterator

import numpy as np

from thalweg.insight.doctor import moves
from thalweg.insight.doctor.anatomy import BINARY, CLASSES, LABELS, VALUES
from thalweg.insight.doctor.edited import LINEAR
from thalweg.insight.doctor.finding import Check, Finding, View
from thalweg.insight.doctor.profile import DISTANCE, LOGITS, NOTHING, PROBABILITIES, RIGHT, WRONG

# Share of targets out of reach of the outputs from which on the head is wrong: a few may be outliers.
OUT_OF_REACH = 0.02
# Whole numbers up to which targets may be the numbers of classes.
MOST_LEVELS = 20
TINY = 1e-6


def _bounds(view: View) -> tuple[float, float] | None:
    """Return the range of outputs under changed weights, or None where they are not known."""
    outputs = view.outputs()
    return None if outputs is None or not len(outputs) else (float(outputs.min()), float(outputs.max()))


def single_softmax(view: View) -> Iterator[Finding]:
    """A softmax over one unit is 1, whatever its input."""
    outputs = view.outputs()
    if outputs is None or outputs.shape[1] != 1 or len(outputs) < 2:
        return
    if np.ptp(outputs) < TINY and abs(outputs.mean() - 1.0) < TINY:
        to = "sigmoid" if view.anatomy.kind == BINARY else LINEAR
        why = "the single output is 1 for all inputs and all weights that were tried: a softmax over one unit"
        yield Finding(
            "head_softmax_single", 1.0, why, ((moves.output(view.anatomy, to, view.head),),), certain=True
        )


def double_activation(view: View) -> Iterator[Finding]:
    """Probabilities fed to a loss that takes logits: its gradient is squeezed, and it cannot reach 0."""
    profile = view.profile
    if profile is None or profile.takes != LOGITS or not view.are_probabilities or profile.prefers == NOTHING:
        return
    outputs = view.outputs()
    if outputs is not None and outputs.shape[1] == 1 and np.ptp(outputs) < TINY:
        return
    why = "outputs lie in [0, 1]; the loss applies softmax or sigmoid itself: it goes on falling above 1"
    yield Finding(
        "head_double_activation", 0.95, why, ((moves.output(view.anatomy, LINEAR, view.head),),), certain=True
    )


def squeezed(view: View) -> Iterator[Finding]:
    """Probabilities passed through softmax or sigmoid once more: they stay away from 0 and 1."""
    outputs, anatomy = view.outputs(), view.anatomy
    if view.profile is None or view.profile.takes != PROBABILITIES or outputs is None or not len(outputs):
        return
    count, (low, high) = outputs.shape[1], (float(outputs.min()), float(outputs.max()))
    if count > 1 and np.allclose(outputs.sum(axis=1), 1.0, atol=1e-3):
        most, least = np.e / (np.e + count - 1), 1 / (count - 1 + np.e)
        to = "softmax"
    elif count == 1:
        most, least = 1 / (1 + np.exp(-1)), 0.5
        to = "sigmoid"
    else:
        return
    if least - TINY <= low and high <= most + TINY and high > 0.97 * most:
        why = f"outputs stay between {low:.3g} and {high:.3g}, which is what {to} makes of probabilities"
        move = moves.output(anatomy, to, view.head)
        yield Finding("head_double_activation", 1.0, why, ((move,),), certain=True)
    elif count == 1 and abs(low - 0.5) < TINY and high > 0.9 and anatomy.kind == BINARY:
        why = f"outputs stay between 0.5 and {high:.3g}: {to} of values that are never negative"
        move = moves.output(anatomy, to, view.head)
        yield Finding("head_activation_wrong", 1.0, why, ((move,),), certain=True)


def missing_activation(view: View) -> Iterator[Finding]:
    """Raw scores fed to a loss of probabilities: logarithms of negative numbers."""
    profile, bounds = view.profile, _bounds(view)
    if profile is None or profile.takes != PROBABILITIES or bounds is None or view.anatomy.kind == VALUES:
        return
    if bounds[0] < -TINY or bounds[1] > 1 + TINY:
        to = "softmax" if view.anatomy.kind == CLASSES else "sigmoid"
        why = f"outputs reach from {bounds[0]:.3g} to {bounds[1]:.3g}; the loss takes probabilities"
        cause = "head_activation_missing" if view.plain_head else "head_activation_wrong"
        yield Finding(cause, 1.0, why, ((moves.output(view.anatomy, to, view.head),),), certain=True)


def out_of_reach(view: View) -> Iterator[Finding]:
    """Targets that the output activation cannot produce."""
    anatomy, profile, outputs = view.anatomy, view.profile, view.outputs()
    if anatomy.kind not in (VALUES, BINARY) or anatomy.train.y is None or outputs is None or not len(outputs):
        return
    if (profile is not None and profile.takes != DISTANCE) or np.ptp(outputs) < TINY:
        return
    y = np.asarray(anatomy.train.y, np.float64).reshape(anatomy.train.count, -1)
    low, high = view.ends()
    slack = 0.01 * (np.ptp(y) or 1.0)
    share = float(np.mean((y < low - slack) | (y > high + slack)))
    if share > OUT_OF_REACH:
        why = f"outputs stay between {low:.3g} and {high:.3g}; {share:.0%} of the targets lie outside"
        move = moves.output(anatomy, LINEAR, view.head)
        # A sigmoid's logarithms for several classes: the head has too few units, and that comes first.
        few = profile is not None and profile.breaks and _levels(y) > 2
        yield Finding("head_activation_wrong", 0.6 if few else 1.0, why, ((move,),), certain=not few)


def _levels(y: np.ndarray) -> int:
    """Return how many classes targets may be the numbers of; 0 where they are no small whole numbers."""
    levels = np.unique(y)
    whole = np.all(levels == np.round(levels)) and levels.min() >= 0
    return len(levels) if whole and y.shape[-1] == 1 and len(levels) <= MOST_LEVELS else 0


def few_outputs(view: View) -> Iterator[Finding]:
    """One output, or another number of them, for several classes."""
    anatomy = view.anatomy
    if anatomy.first.outputs is None or anatomy.train.y is None or anatomy.kind in (BINARY, LABELS):
        return
    width = int(np.prod(np.asarray(anatomy.first.outputs).shape[1:]))
    if anatomy.kind == CLASSES and anatomy.levels is not None and len(anatomy.levels) > width:
        why = f"{width} outputs for {len(anatomy.levels)} classes"
        yield Finding("head_units_wrong", 1.0, why, certain=True)
    y = np.asarray(anatomy.train.y)
    count = _levels(y.reshape(len(y), -1))
    if width != 1 or anatomy.kind == CLASSES or count <= 2:
        return
    # A logarithm of one output in [0, 1], and more than two whole numbers: a loss of two classes for several.
    low, high = view.ends()
    of_two = view.profile is not None and view.profile.breaks and low > -TINY and high < 1 + TINY
    if of_two or y.dtype.kind in "iu" or (view.are_probabilities and not view.plain_head):
        why = f"one output for {count} classes"
        yield Finding("head_units_wrong", 1.0 if of_two else 0.7, why, certain=of_two)


def wrong_activation(view: View) -> Iterator[Finding]:
    """An output function other than the usual one for the task: something to try."""
    anatomy, bounds = view.anatomy, _bounds(view)
    if bounds is None or not view.probe.layers or view.profile is None:
        return
    sites = view.probe.layers[-1].activations
    if anatomy.kind == VALUES and (sites or bounds[0] >= 0):
        through = ", ".join(sites) or "a function that is never negative"
        why = f"a regression whose outputs pass through {through}"
        yield Finding("head_activation_wrong", 0.4, why, ((moves.output(anatomy, LINEAR, view.head),),))
    takes = view.profile.takes
    if (
        anatomy.kind in (BINARY, LABELS, CLASSES)
        and takes in (LOGITS, PROBABILITIES)
        and sites
        and not view.are_probabilities
    ):
        to = LINEAR if takes == LOGITS else "softmax" if anatomy.kind == CLASSES else "sigmoid"
        why = f"outputs pass through {', '.join(sites)} before a loss of {takes}"
        yield Finding("head_activation_wrong", 0.8, why, ((moves.output(anatomy, to, view.head),),))
    if (
        anatomy.kind in (BINARY, LABELS)
        and takes == PROBABILITIES
        and bounds[0] >= 0
        and "sigmoid" not in sites
    ):
        why = "outputs are never negative, but no sigmoid makes probabilities of them"
        yield Finding("head_activation_wrong", 0.5, why, ((moves.output(anatomy, "sigmoid", view.head),),))


def uphill(view: View) -> Iterator[Finding]:
    """The loss is lowest for the wrong outputs: each step goes uphill."""
    if view.profile is None or view.profile.prefers != WRONG:
        return
    why = "the loss is lower for wrong outputs than for right ones: minimising it goes uphill"
    yield Finding(
        "lr_sign", 1.0, why, ((moves.scaled_loss("flip_step_sign", -1.0, "return -loss"),),), certain=True
    )


def label_form(view: View) -> Iterator[Finding]:
    """Labels in a form that the loss does not mean."""
    anatomy, profile = view.anatomy, view.profile
    if profile is None or anatomy.train.y is None or profile.prefers == WRONG:
        return
    y = np.asarray(anatomy.train.y, np.float64)
    low, high = float(y.min()), float(y.max())
    unit = (low, high) == (0.0, 1.0)
    if (
        anatomy.kind == BINARY
        and not unit
        and profile.takes in (LOGITS, PROBABILITIES)
        and profile.lowest < -0.01
    ):
        move = moves.relabelled(
            anatomy, 1 / (high - low), -low / (high - low), "y = (y == y.max()).astype(float)"
        )
        why = f"labels are {low:g} and {high:g}; the loss means 0 and 1, and falls to {profile.lowest:.3g}"
        yield Finding("label_encoding_wrong", 1.0, why, ((move,),), certain=True)
    if anatomy.kind == BINARY and unit and profile.deaf and profile.prefers == RIGHT:
        why = "the loss is the same whatever the output for one of the labels 0 and 1"
        if view.are_probabilities or profile.takes == PROBABILITIES:
            fix = moves.usual(anatomy, probabilities=True)
            yield Finding("loss_mismatch", 1.0, f"{why}: half of it is missing", ((fix,),), certain=True)
            return
        move = moves.relabelled(anatomy, 2.0, -1.0, "y = 2 * y - 1  # -1 and 1")
        why = f"{why}; it means -1 and 1"
        yield Finding("label_encoding_wrong", 1.0, why, ((move,),), certain=True)
    if (
        anatomy.kind == CLASSES
        and anatomy.levels is not None
        and profile.wrong > 0
        and profile.prefers == RIGHT
    ):
        levels = anatomy.levels
        if (
            len(levels) > 1
            and (low != 0 or high >= len(levels))
            and np.allclose(np.diff(levels), levels[1] - levels[0])
        ):
            step = float(levels[1] - levels[0])
            move = moves.relabelled(
                anatomy, 1 / step, -low / step, "y = (y - y.min()) / step  # 0, 1, ..., k - 1"
            )
            why = f"labels are {low:g} to {high:g}; {profile.wrong:.0%} of them have no output of their own"
            yield Finding("label_encoding_wrong", 1.0, why, ((move,),), certain=True)


def unfit_loss(view: View) -> Iterator[Finding]:
    """A loss whose lowest point is not at the target, or that does not react to it."""
    anatomy, profile = view.anatomy, view.profile
    if profile is None or profile.prefers == WRONG:
        return
    if anatomy.kind == VALUES and profile.wrong > 0.5:
        why = (
            f"for {profile.wrong:.0%} of the rows tried, the loss is lower for another value than the target"
        )
        fix = moves.usual(anatomy, probabilities=False)
        yield Finding("loss_mismatch", 0.95, why, ((fix,),), certain=profile.wrong > 0.7)
    mixed = profile.growth == np.inf  # it says something of several rows
    if anatomy.kind in (BINARY, CLASSES) and profile.prefers == NOTHING and not mixed:
        why = "the loss is the same for right and wrong outputs"
        fix = moves.usual(anatomy, probabilities=view.are_probabilities)
        yield Finding("loss_mismatch", 0.9, why, ((fix,),), certain=True)
    if anatomy.kind == CLASSES and profile.takes == DISTANCE:
        move = moves.usual(anatomy, probabilities=view.are_probabilities)
        yield Finding("loss_mismatch", 0.4, "classes are trained by a distance to 0 and 1", ((move,),))


def unstable_loss(view: View) -> Iterator[Finding]:
    """A logarithm that is infinite at certainty, a sum over the batch, or rows that are mixed."""
    profile = view.profile
    if profile is None:
        return
    if profile.breaks and profile.takes == PROBABILITIES:
        diverged = view.base is not None and any(view.base.diverged)
        why = "the loss is not finite for outputs that are exactly 0 or 1"
        yield Finding("loss_unstable", 0.9 if diverged else 0.2, why, ((moves.clipped_output(),),))
    if profile.growth is None:
        return
    count = profile.rows
    if abs(profile.growth / count - 1) < 0.02:
        factor = 1 / view.batch
        move = moves.scaled_loss("stabilise_loss", factor, "return jnp.mean(losses)")
        yield Finding(
            "loss_unstable", 0.7, "the loss is a sum over the batch: its gradient grows with it", ((move,),)
        )
    elif abs(profile.growth - 1) > 0.1:
        why = "the loss of a row depends on the other rows: an axis is wrong, or a column meets a row"
        distance = profile.takes == DISTANCE and view.anatomy.kind != CLASSES
        fix = moves.usual(view.anatomy, probabilities=view.are_probabilities, distance=distance)
        yield Finding("loss_unstable", 0.9, why, ((fix,),))


CHECKS = (
    Check(
        "single softmax",
        "outputs under changed weights",
        "one output, constant at 1",
        "softmax over one unit is 1",
        single_softmax,
    ),
    Check(
        "double activation",
        "outputs, and the loss for logits and probabilities",
        "outputs in [0, 1], loss of logits",
        "definition of softmax cross-entropy",
        double_activation,
    ),
    Check(
        "squeezed",
        "outputs under changed weights",
        "within what softmax or sigmoid makes of [0, 1]",
        "softmax of (1, 0, ..., 0) is e / (e + k - 1)",
        squeezed,
    ),
    Check(
        "missing activation",
        "outputs, and the loss outside of [0, 1]",
        "outputs outside of [0, 1], loss of probabilities",
        "domain of the logarithm",
        missing_activation,
    ),
    Check(
        "out of reach",
        "outputs under changed weights, and targets",
        "2 % of the targets outside",
        "ours: a few may be outliers",
        out_of_reach,
    ),
    Check(
        "wrong activation",
        "the function after the last layer",
        "another than the task's",
        "Goodfellow et al., Deep Learning, 2016, section 6.2.2",
        wrong_activation,
    ),
    Check(
        "few outputs",
        "outputs, targets, and the loss outside of [0, 1]",
        "fewer outputs than classes; a logarithm of one output for three whole numbers",
        "definition of cross-entropy",
        few_outputs,
    ),
    Check(
        "uphill",
        "the loss for right and wrong outputs",
        "lower for the wrong ones",
        "definition of a loss",
        uphill,
    ),
    Check(
        "label form",
        "labels, and the loss for each of them",
        "no output of its own for a label, or a loss below zero",
        "definition of cross-entropy",
        label_form,
    ),
    Check(
        "unfit loss",
        "the loss around the targets",
        "lower elsewhere for half of the rows",
        "definition of a loss",
        unfit_loss,
    ),
    Check(
        "unstable loss",
        "the loss at certainty, and of several rows",
        "not finite; a sum; another figure than the mean",
        "domain of the logarithm",
        unstable_loss,
    ),
)
