"""Checks of several outputs: what a loss makes of those that do not belong to the target."""

from collections.abc import Iterator

import numpy as np

from thalweg.insight.doctor import moves
from thalweg.insight.doctor.anatomy import CLASSES, LABELS, tried_losses
from thalweg.insight.doctor.finding import Check, Finding, View
from thalweg.insight.doctor.profile import LIKELY, NOTHING, PROBABILITIES

# How far sums of outputs may lie from 1, and a loss with all outputs near 1 above that with the right one.
SUMMING, SAME = 0.01, 1e-4
# Rows on which the loss is tried.
ROWS = 8


def several_labels(view: View) -> Iterator[Finding]:
    """Several labels that may apply together, to a softmax, of which one gets all."""
    anatomy, profile = view.anatomy, view.profile
    if anatomy.kind != LABELS or profile is None or anatomy.train.y is None:
        return
    outputs = view.outputs()
    if outputs is None or outputs.shape[1] < 2:
        return
    summing = view.are_probabilities and np.allclose(outputs.sum(axis=1), 1.0, atol=1e-3)
    if not summing and profile.prefers != NOTHING:
        return
    counts = np.asarray(anatomy.train.y).reshape(anatomy.train.count, -1).sum(axis=1)
    why = (
        f"0 to {int(counts.max())} labels apply to a row, and a softmax gives its probability to one of them"
    )
    fix = moves.usual(anatomy, probabilities=summing)
    head = (moves.output(anatomy, "sigmoid", view.head),) if summing else ()
    yield Finding("label_encoding_wrong", 0.95, why, ((*head, fix),), certain=True)


def unnormalised(view: View) -> Iterator[Finding]:
    """Probabilities that are not divided among the classes, to a loss that looks at the right one alone.

    It is lowest if every output is 1, whatever the input: sigmoids before a categorical cross-entropy.
    """
    anatomy, profile, outputs = view.anatomy, view.profile, view.outputs()
    if anatomy.kind != CLASSES or profile is None or outputs is None or not len(outputs):
        return
    if profile.takes != PROBABILITIES or outputs.shape[1] < 2 or outputs.min() < 0 or outputs.max() > 1:
        return
    if np.abs(outputs.sum(axis=1) - 1).max() < SUMMING:
        return
    rows = anatomy.train.some(np.linspace(0, anatomy.train.count - 1, ROWS).astype(int))
    numbers = None if rows.y is None else anatomy.numbered(rows.y)
    width = outputs.shape[1]
    if numbers is None or numbers.max() >= width:
        return
    shape = (ROWS, *np.shape(anatomy.first.outputs)[1:])
    right = np.where(np.eye(width)[numbers] > 0, LIKELY, (1 - LIKELY) / (width - 1))
    tried = np.stack([right, np.full_like(right, LIKELY)]).reshape(2, *shape).astype(np.float32)
    of_right, of_all = tried_losses(anatomy, rows, tried)
    if not of_all <= of_right + SAME:
        return
    why = "outputs do not sum to 1, and the loss is as low with all of them at 1 as with the right one alone"
    move = moves.output(anatomy, "softmax", view.head)
    yield Finding("head_activation_wrong", 1.0, why, ((move,),), certain=True)


CHECKS = (
    Check(
        "several labels",
        "labels, and sums of outputs",
        "outputs that sum to 1 for labels that do not",
        "definition of softmax",
        several_labels,
    ),
    Check(
        "unnormalised",
        "sums of outputs, and the loss with all of them at 1",
        "no higher than with the right one alone",
        "definition of cross-entropy",
        unnormalised,
    ),
)
