"""Checks of the data: scale, dead columns, labels, order of the rows, splits."""

from collections.abc import Iterator

import jax
import numpy as np

from thalweg.insight.doctor import moves
from thalweg.insight.doctor.anatomy import SELF, VALUES
from thalweg.insight.doctor.finding import Check, Finding, View
from thalweg.problem.data.split import Rows as RowsSplit

# Root mean square of inputs above (or below) which a network with usual initial weights starts saturated (or
# blind), and the ratio of column scales from which on one rate cannot serve all columns. LeCun et al.,
# Efficient BackProp, 1998, asks for 1; these are where plain networks begin to fail.
LARGE, SMALL, UNEVEN = 8.0, 0.02, 100.0
# The same for regression targets.
TARGET_LARGE, TARGET_SMALL = 8.0, 0.02
TINY = 1e-12
# Share of dead columns that is no longer normal: a third of the pixels of handwritten digits never change.
DEAD = 0.5
# Share of neighbouring rows of one class, relative to chance: 0 for shuffled rows, 1 for sorted ones.
SORTED = 0.5
# Shift of a column's mean, in standard deviations, and ratio of scales, between training and validation.
SHIFTED, RESCALED = 3.0, 5.0
# Correlation with the target above which a second column says that it is no leak.
ALIKE = 0.999
# Validation rows that are also training rows.
SHARED = 0.1
# Share of training rows that are different from which on a row that occurs again tells something; where there
# are many columns, or columns of many values, less of it does.
MOSTLY_UNLIKE, UNLIKE, MANY_COLUMNS = 0.9, 0.3, 16


def unscaled_inputs(view: View) -> Iterator[Finding]:
    """Inputs of wrong or of very different magnitude."""
    x = view.anatomy.train.x
    if x is None or x.dtype.kind != "f" or view.anatomy.kind == SELF:
        return
    flat = np.asarray(x, np.float64).reshape(len(x), -1)
    scales = flat.std(axis=0)
    if x.ndim == 2 and (scales > 0).any():  # constant columns are a fault of their own: `dead_inputs`
        flat, scales = flat[:, scales > 0], scales[scales > 0]
    size = float(np.sqrt(np.mean(flat**2)))
    scales = scales[scales > 1e-12]
    uneven = float(scales.max() / scales.min()) if len(scales) > 1 and x.ndim == 2 else 1.0
    offset = (
        float(np.median(np.abs(flat.mean(axis=0)) / np.maximum(flat.std(axis=0), 1e-12)))
        if x.ndim == 2
        else 0.0
    )
    why = f"inputs have a root mean square of {size:.3g}; column scales differ by a factor of {uneven:.3g}"
    if size > LARGE or (0 < size < SMALL):
        yield Finding("inputs_unscaled", 0.8, why, ((moves.scale_inputs(view.anatomy),),))
    elif (uneven > UNEVEN and size > 1) or offset > 10:
        yield Finding("inputs_unscaled", 0.6, why, ((moves.scale_inputs(view.anatomy),),))


def dead_inputs(view: View) -> Iterator[Finding]:
    """Columns that are the same in every row: useless, and harmful if they are large or come alive later."""
    x = view.anatomy.train.x
    if x is None or len(x) < 3:
        return
    flat = np.asarray(x, np.float64).reshape(len(x), -1)
    dead = np.ptp(flat, axis=0) == 0
    share = float(dead.mean())
    if share == 1.0:
        yield Finding(
            "inputs_dead", 1.0, "all input columns are the same in every training row", certain=True
        )
        return
    rest = max(float(np.sqrt(np.mean(flat[:, ~dead] ** 2))), TINY)
    large = dead & (np.abs(flat[0]) > max(LARGE, LARGE * rest))
    later = dead & (_later(view, flat[0]) > rest)
    for which, what in ((large, "far larger than the others"), (later, "other values in validation rows")):
        if which.any():
            column = int(np.flatnonzero(which)[0])
            why = f"input column {column} is {flat[0, column]:.4g} in every training row; {what}"
            move = moves.without_columns(view.anatomy, np.flatnonzero(which))
            yield Finding("inputs_dead", 0.85, why, ((move,),))
            return
    if share > DEAD:
        why = f"{share:.0%} of the input columns are the same in every training row"
        yield Finding("inputs_dead", 0.5, why)


def _later(view: View, first: np.ndarray) -> np.ndarray:
    """Return how far columns of validation rows lie from a training row: root mean square, `column`."""
    held = view.anatomy.held
    if held is None or held.x is None or held.distinct < 10:
        return np.zeros(len(first))
    other = np.asarray(held.x, np.float64).reshape(held.count, -1)
    if other.shape[1] != len(first):  # series of another length, say
        return np.zeros(len(first))
    return np.sqrt(np.mean((other - first) ** 2, axis=0))


def unscaled_targets(view: View) -> Iterator[Finding]:
    """Regression targets far from unit scale."""
    anatomy = view.anatomy
    if anatomy.kind != VALUES or anatomy.train.y is None:
        return
    y = np.asarray(anatomy.train.y, np.float64)
    size, spread = float(np.sqrt(np.mean(y**2))), float(y.std())
    if spread > 0 and (size > TARGET_LARGE or spread < TARGET_SMALL):
        why = f"targets have mean {y.mean():.4g} and standard deviation {spread:.4g}"
        weight = 0.85 if size > 50 or spread < TARGET_SMALL / 4 else 0.5
        yield Finding("targets_unscaled", weight, why, ((moves.scale_targets(anatomy),),))


def unshuffled(view: View) -> Iterator[Finding]:
    """Rows in the order of their classes, read or split in that order."""
    anatomy, data = view.anatomy, view.anatomy.problem.data
    labels = anatomy.classes
    if labels is not None:  # a small split repeats its rows, which then follow each other
        labels = labels[anatomy.train.different]
    if labels is None or len(labels) < 20 or len(np.unique(labels)) < 2:
        return
    together = float(np.mean(labels[1:] == labels[:-1]))
    chance = float(np.sum((np.bincount(labels) / len(labels)) ** 2))
    sorted_ = (together - chance) / (1 - chance)
    if view.recipe.shuffle in ("none", "continued") and sorted_ > SORTED and view.batch < data.train.count():
        why = f"rows are read in their own order, in which {together:.0%} of neighbours have the same class"
        yield Finding("data_unshuffled", 0.95, why, ((moves.shuffled(view.recipe),),))
    held = None if anatomy.held is None or anatomy.held.y is None else anatomy.numbered(anatomy.held.y)
    if held is not None and anatomy.held is not None and anatomy.held.distinct >= 10:
        count = max(int(labels.max()), int(held.max())) + 1
        shares = [np.bincount(each, minlength=count) / len(each) for each in (labels, held)]
        apart = float(np.abs(shares[0] - shares[1]).sum() / 2)
        if apart > 0.4:
            why = f"training and validation have different classes: {apart:.0%} of the rows too many"
            yield Finding("data_unshuffled", 0.9, why, ((moves.mixed_splits(anatomy),),))


def leaking(view: View) -> Iterator[Finding]:
    """Validation rows that are training rows, and columns that are the target."""
    anatomy = view.anatomy
    x, y = anatomy.train.x, anatomy.train.y
    if x is None or y is None:
        return
    flat = np.asarray(x, np.float64).reshape(len(x), -1)
    target = np.asarray(y, np.float64).reshape(len(y), -1)
    if flat.shape[1] > 2 and target.shape[1] == 1 and np.std(target) > 0:
        centred = target[:, 0] - target.mean()
        columns = flat - flat.mean(axis=0)
        norms = np.linalg.norm(columns, axis=0) * np.linalg.norm(centred)
        alike = np.abs(columns.T @ centred) / np.where(norms > 0, norms, np.inf)
        # A single one: the columns of a window over a straight line are all alike, and leak nothing.
        if alike.max() > 0.99999 and np.sum(alike > ALIKE) == 1:
            leaks = np.flatnonzero(alike > 0.99999)
            move = moves.without_columns(anatomy, leaks)
            why = f"input column {int(leaks[0])} is the target"
            yield Finding("data_leakage", 0.9, why, ((move,),), certain=True)
    if anatomy.held is not None and anatomy.held.x is not None and flat.shape[1] > 1:
        known = {row.tobytes() for row in flat}
        other = np.unique(np.asarray(anatomy.held.x, np.float64).reshape(anatomy.held.count, -1), axis=0)
        share = float(np.mean([row.tobytes() in known for row in other]))
        if share > SHARED and _repeats_tell(flat):
            why = f"{share:.0%} of the validation rows are also training rows"
            shared = _shared(view)
            fix = () if shared is None else ((moves.unshared(anatomy, shared),),)
            yield Finding("data_leakage", 0.9, why, fix, certain=True)


def _repeats_tell(x: np.ndarray) -> bool:
    """Return whether equal rows are the same example, not equal by chance in few columns of few values."""
    rows = np.unique(x, axis=0)
    if len(rows) > MOSTLY_UNLIKE * len(x):
        return True
    values = max(len(np.unique(column)) for column in rows.T)
    return len(rows) > UNLIKE * len(x) and (x.shape[1] >= MANY_COLUMNS or values > len(rows) / 2)


def _shared(view: View) -> np.ndarray | None:
    """Return for each row of the validation split whether its inputs are those of a training row."""
    data, shape = view.anatomy.problem.data, np.asarray(view.anatomy.train.x).shape[1:]
    if not isinstance(data.train, RowsSplit) or not isinstance(data.validation, RowsSplit):
        return None
    pairs = zip(jax.tree.leaves(data.train.inputs), jax.tree.leaves(data.validation.inputs), strict=True)
    for train, held in pairs:
        if np.shape(train)[1:] == shape:
            known = {row.tobytes() for row in np.asarray(train)}
            found = np.array([row.tobytes() in known for row in np.asarray(held)])
            return found if 0 < found.sum() < len(found) else None
    return None


def shifted(view: View) -> Iterator[Finding]:
    """Validation inputs of another scale than training inputs."""
    anatomy = view.anatomy
    if (
        anatomy.held is None
        or anatomy.held.x is None
        or anatomy.train.x is None
        or anatomy.held.distinct < 10
    ):
        return
    x, other = (
        np.asarray(each, np.float64).reshape(len(each), -1) for each in (anatomy.train.x, anatomy.held.x)
    )
    spread = x.std(axis=0)
    varying = spread > 1e-12
    if not varying.any():
        return
    shift = np.median(np.abs(other.mean(axis=0) - x.mean(axis=0))[varying] / spread[varying])
    ratio = float(np.median(np.maximum(other.std(axis=0), 1e-12)[varying] / spread[varying]))
    if shift > SHIFTED or not 1 / RESCALED < ratio < RESCALED:
        off = f"{shift:.3g} standard deviations off"
        why = f"validation inputs lie {off}, with {ratio:.3g} times the spread of training"
        rescaled = not 1 / RESCALED < ratio < RESCALED
        yield Finding("train_eval_mismatch", 0.95, why, ((moves.matched(anatomy),),), certain=rescaled)


CHECKS = (
    Check(
        "unscaled inputs",
        "what enters the model",
        "rms above 8 or below 0.02; column scales 100 apart",
        "LeCun et al., Efficient BackProp, 1998; limits ours",
        unscaled_inputs,
    ),
    Check(
        "dead inputs",
        "columns of the inputs",
        "half of them constant; constant ones 8 times as large as the others, or alive in validation rows",
        "ours: a third of the pixels of digits is constant",
        dead_inputs,
    ),
    Check(
        "unscaled targets",
        "targets of a regression",
        "rms above 8, deviation below 0.02",
        "as for inputs",
        unscaled_targets,
    ),
    Check(
        "unshuffled",
        "classes of neighbouring rows, and of the splits",
        "half way from chance to sorted",
        "ours",
        unshuffled,
    ),
    Check(
        "leaking",
        "columns, and rows of both splits",
        "a column that is the target; a tenth of the rows",
        "Kapoor & Narayanan, Leakage and the Reproducibility Crisis, 2023; limits ours",
        leaking,
    ),
    Check(
        "shifted", "means and scales of both splits", "3 standard deviations, a factor of 5", "ours", shifted
    ),
)
