"""Checks of labels and of the number of rows: what other methods predict, and what more rows would."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from thalweg.insight.doctor.anatomy import BINARY, CLASSES, VALUES, Anatomy, further_rows
from thalweg.insight.doctor.finding import Check, Finding, View
from thalweg.insight.doctor.moves_of_rows import cleaned, more_rows
from thalweg.insight.references import References, references

# The best of three references is ahead by chance more often than one.
BEST_OF_THREE = 1.6
# Shuffled labels that true ones are compared with.
SHUFFLES = 19
# Rows from which on references that are no better than a constant tell something, unless one class has nearly
# all rows; fewest rows of one split alone.
MANY_ROWS, MOSTLY_ONE, FEWEST_ALONE = 150, 0.75, 40
# Share of labels that nearly all neighbours contradict. It is suspected strongly if they are a quarter of the
# rows whose neighbours agree, many of which do, and more than shuffled labels have. If a third of the labels
# is wrong, about a fifth is contradicted, and nearly a third of those with agreeing neighbours.
CONTRADICTED, OF_AGREEING, MANY_AGREE, BEYOND_NOISE = 0.15, 0.25, 0.2, 0.1
# Neighbours that are looked at; so many agree, and at most so many have the row's own label.
NEAREST, AGREEING, OWN = 15, 9, 3
# Rows held out for each training row from which on they tell what more rows would, and how much further a
# reference comes with them, as a share of the distance from the constant.
MANY_HELD, FURTHER, MISSED = 3, 0.15, 0.3
# Training rows below which a network that fails may have too few.
FEW, A_COLUMN = 100, 3


def corrupted_labels(view: View) -> Iterator[Finding]:
    """Labels that nothing predicts, or that contradict each other."""
    known, anatomy = view.references, view.anatomy
    if known is None or anatomy.train.y is None or anatomy.train.x is None or anatomy.train.distinct < 60:
        return
    if _only_training(view):
        why = (
            "references learn the labels of the validation rows, and nothing from those of the training rows"
        )
        yield Finding("labels_corrupted", 0.9, why)
    elif known.best - known.constant < max(0.03, known.noise):
        every = _cross_validated(view) if known.held else known
        ahead = every.best - every.constant >= BEST_OF_THREE * every.noise
        if ahead or _says_something(view):  # of more rows, something does
            return
        figures = f"{every.best:.3g} against {every.constant:.3g} on {every.rows} rows"
        why = f"no reference predicts them better than a constant ({figures})"
        # Of few rows, or of one class nearly alone, that says little.
        telling = every.rows >= MANY_ROWS and every.constant < MOSTLY_ONE
        yield Finding("labels_corrupted", 0.8 if telling else 0.5, why)
    elif known.metric == "accuracy" and anatomy.classes is not None:
        agree, wrong = _contradicted(anatomy, anatomy.classes)
        share = float(wrong.mean())
        many = agree.mean() > MANY_AGREE and share > OF_AGREEING * agree.mean()
        if many:
            shuffled = np.random.default_rng(0).permutation(anatomy.classes)
            many = share > _contradicted(anatomy, shuffled)[1].mean() + BEYOND_NOISE
        if many or (share > CONTRADICTED and view.after is not None):
            why = f"{share:.0%} of the labels differ from those of nearly all of their neighbours"
            move = cleaned(anatomy, wrong)
            fix = () if move is None else ((move,),)
            yield Finding("labels_corrupted", 0.85 if many else 0.4 + share, why, fix)


def _only_training(view: View) -> bool:
    """Return whether labels of the rows held out follow from the inputs, and those of training rows do not.

    Rows of one split that were shuffled apart from their labels look like that.
    """
    known, anatomy = view.references, view.anatomy
    held = anatomy.held
    assert known is not None
    if held is None or held.x is None or held.distinct < FEWEST_ALONE:
        return False
    if known.best - known.constant >= max(0.05, 1.5 * known.noise):
        return False
    which = held.different
    targets = [anatomy.reference_targets(rows) for rows in (anatomy.train, held)]
    if targets[0] is None or targets[1] is None:
        return False
    splits = [(anatomy.train.x, targets[0]), (np.asarray(held.x)[which], targets[1][which])]
    own, other = (references(split, None, known.metric, trees=False) for split in splits)
    learned = other.best - other.constant > max(0.2, 3 * other.noise)
    return learned and own.best - own.constant < max(0.05, BEST_OF_THREE * own.noise)


def _cross_validated(view: View) -> References:
    """Return scores of references over all rows, which vary less than those of the rows held out."""
    assert view.references is not None
    return references(_every_row(view), None, view.references.metric)


def _says_something(view: View) -> bool:
    """Return whether labels are predicted better than shuffled ones ever are: weak signals beside much noise.

    A permutation test (Ojala & Garriga, 2010): of labels without a signal, 5 % pass.
    """
    assert view.references is not None
    (x, y), random, metric = _every_row(view), np.random.default_rng(0), view.references.metric

    def ahead(targets: Any) -> float:
        found = references((x, targets), None, metric, trees=False)
        return found.best - found.constant

    own = ahead(y)
    return own > 0 and all(own > ahead(random.permutation(y)) for _ in range(SHUFFLES))


def _every_row(view: View) -> tuple[Any, Any]:
    """Return inputs and targets of the training and the validation rows, as references take them."""
    anatomy = view.anatomy
    x: list[Any] = [anatomy.train.x]
    y: list[Any] = [anatomy.reference_targets(anatomy.train)]
    other = None if anatomy.held is None else anatomy.reference_targets(anatomy.held)
    if anatomy.held is not None and other is not None:
        x.append(np.asarray(anatomy.held.x)[anatomy.held.different])
        y.append(other[anatomy.held.different])
    return np.concatenate(x), np.concatenate(y)


def _contradicted(anatomy: Anatomy, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return for each training row whether its nearest others agree, and whether hardly any has its label.

    Args:
        anatomy: The problem.
        labels: Its own, or others, `row`.
    """
    nearest = labels[_nearest(anatomy)]
    agree = np.array([np.bincount(row).max() >= AGREEING for row in nearest])
    return agree, agree & ((nearest == labels[:, None]).sum(axis=1) <= OWN)


def _nearest(anatomy: Anatomy) -> np.ndarray:
    """Return the numbers of the nearest others of each training row, `row neighbour`; kept once known."""
    if "nearest" not in anatomy.notes:
        x = np.asarray(anatomy.train.x, np.float64).reshape(anatomy.train.count, -1)
        x = (x - x.mean(axis=0)) / np.where(x.std(axis=0) > 0, x.std(axis=0), 1)
        distance = ((x**2).sum(axis=1)[:, None] + (x**2).sum(axis=1)) - 2 * x @ x.T
        np.fill_diagonal(distance, np.inf)
        anatomy.notes["nearest"] = np.argpartition(distance, NEAREST, axis=1)[:, :NEAREST]
    return anatomy.notes["nearest"]


def few_rows(view: View) -> Iterator[Finding]:
    """Fewer rows than the task needs: references that are given more of them come much further."""
    anatomy, base, known = view.anatomy, view.base, view.references
    if base is None or anatomy.kind not in (CLASSES, BINARY, VALUES) or anatomy.held is None:
        return
    count = anatomy.problem.data.train.count()
    held = anatomy.problem.data.validation
    if known is not None and known.held and held is not None and held.count() >= MANY_HELD * count:
        rows = further_rows(anatomy)
        targets = None if rows is None else anatomy.reference_targets(rows)
        if rows is not None and targets is not None:
            more = references((rows.x, targets), None, known.metric)
            span = more.best - more.constant
            further = more.best - known.best > max(FURTHER * span, known.noise)
            if further and more.best - base.score > MISSED * span + more.noise:
                learned = (
                    f"{more.best:.3g} of {rows.count} rows, {known.best:.3g} of the {count} training rows"
                )
                why = f"references learn {learned}"
                move = more_rows(anatomy)
                yield Finding("data_too_little", 0.9, why, () if move is None else ((move,),))
                return
    columns = int(np.prod(np.asarray(anatomy.train.x).shape[1:])) if anatomy.train.x is not None else 0
    if count < FEW and count < A_COLUMN * columns and base.gap > 0.25:
        yield Finding("data_too_little", 0.5, f"{count} training rows of {columns} columns")


CHECKS = (
    Check(
        "corrupted labels",
        "references, and labels of neighbours",
        "no better than a constant; a quarter contradict",
        "Northcutt et al., Confident Learning, 2021, takes predicted classes; limits ours",
        corrupted_labels,
    ),
    Check(
        "few rows",
        "references on the training rows and on more",
        "15 % further with three times the rows; or under 100 rows, and 3 for each column",
        "learning curves: Cortes et al. 1993; limits ours",
        few_rows,
    ),
)
