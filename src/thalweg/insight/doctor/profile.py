"""What a loss makes of outputs, found by trying some: which form of outputs it takes, and what it prefers.

Nothing is read off names. A loss that is lower for larger outputs of the right class, all the way, takes
logits; one that is not finite, or does not change, outside of [0, 1] takes probabilities; one that has its
minimum at the target takes values.
"""

from dataclasses import dataclass

import numpy as np

from thalweg.insight.doctor.anatomy import (
    BINARY,
    CLASSES,
    GRID,
    LABELS,
    SELF,
    VALUES,
    Anatomy,
    Rows,
    tried_losses,
)

LOGITS, PROBABILITIES, DISTANCE, UNKNOWN = "logits", "probabilities", "distance", "unknown"
RIGHT, WRONG, NOTHING = "right", "wrong", "nothing"
# Rows for which outputs are tried: of different classes, or with the smallest, middle and largest value.
TRIED_ROWS = 5
# A logit with which a class is certain, and a probability.
SURE, LIKELY = 20.0, 0.99
# Outputs around a target, in units of the targets' standard deviation.
STEPS = np.array([-3.0, -1.0, -0.3, 0.0, 0.3, 1.0, 3.0])
# Outputs below 0, within 0 and 1, and above.
INSIDE = np.array([-3.0, -1.0, 0.1, 0.4, 0.7, 2.0, 4.0])
# Rows on which a loss of a batch is compared with those of single rows.
JOINED = 6


@dataclass(frozen=True)
class LossProfile:
    """How a loss behaves.

    Args:
        takes: `logits`, `probabilities`, `distance` (a minimum at the target) or `unknown`.
        prefers: `right`, `wrong` or `nothing`: which outputs it is lowest for.
        wrong: Share of the tried rows for which it does not prefer the right outputs.
        lowest: The lowest loss that was seen.
        breaks: Whether it is not finite for outputs that are exactly right or exactly wrong.
        deaf: Whether, of two classes, it is the same for all outputs of one.
        growth: Loss of several rows relative to the mean of the single rows: 1 for a mean, the number of rows
            for a sum; infinite if single rows have no loss; None where it was not tried.
        rows: The number of these rows.
    """

    takes: str
    prefers: str
    wrong: float
    lowest: float
    breaks: bool
    deaf: bool = False
    growth: float | None = None
    rows: int = 1


def profiled(anatomy: Anatomy) -> LossProfile | None:
    """Try outputs; None where targets or outputs are not known."""
    if anatomy.first.outputs is None or anatomy.train.y is None:
        return None
    if anatomy.kind in (BINARY, LABELS):
        found = _of_two(anatomy)
    elif anatomy.kind == CLASSES:
        found = _of_classes(anatomy)
    elif anatomy.kind == VALUES:
        found = _of_values(anatomy)
    else:
        return None
    growth, rows = _growth(anatomy)
    return LossProfile(*found[:5], deaf=found[5], growth=growth, rows=rows)


def _losses(anatomy: Anatomy, row: int, outputs: np.ndarray) -> np.ndarray:
    """Return the loss of one row for each of several outputs, `try output`."""
    shape = np.asarray(anatomy.first.outputs).shape[1:]
    tried = np.asarray(outputs, np.float32).reshape(len(outputs), 1, *shape)
    return tried_losses(anatomy, anatomy.train.some(np.array([row])), tried)


def _of_two(anatomy: Anatomy) -> tuple[str, str, float, float, bool, bool]:
    y = np.asarray(anatomy.train.y, np.float64).reshape(anatomy.train.count, -1)
    rows = int(y.sum(axis=1).argmin()), int(y.sum(axis=1).argmax())  # fewest and most labels that apply
    grid, width = (
        np.sort(np.concatenate([GRID, [1.0]])),
        int(np.prod(np.asarray(anatomy.first.outputs).shape[1:])),
    )
    tried = np.repeat(grid[:, None], width, axis=1)
    low, high = (_losses(anatomy, row, tried) for row in rows)
    inside, edges = (grid > 0.005) & (grid < 0.995), (grid == 0.0) | (grid == 1.0)
    slope = _change(low - high, grid, inside)
    prefers = NOTHING if abs(slope) < 1e-9 else RIGHT if slope > 0 else WRONG
    every = np.concatenate([low, high])
    finite = every[np.isfinite(every)]
    outside = (grid < -0.5) | (grid > 1.5)
    far = np.concatenate([low[outside], high[outside]])
    if not np.isfinite(far).all() or (_is_flat(high[grid > 1.5]) and _is_flat(high[grid < -0.5])):
        takes = PROBABILITIES
    elif high[-1] > high[np.abs(grid - 1).argmin()] and low[0] > low[np.abs(grid).argmin()]:
        takes = DISTANCE
    else:
        takes = LOGITS
    inner = np.concatenate([low[inside], high[inside]]) if takes == PROBABILITIES else every
    breaks = not np.isfinite(np.concatenate([low[edges], high[edges]])).all()
    lowest = (
        float(inner[np.isfinite(inner)].min()) if np.isfinite(inner).any() else float(finite.min(initial=0))
    )
    deaf = _is_flat(low[np.isfinite(low)]) != _is_flat(high[np.isfinite(high)])
    return takes, prefers, float(prefers != RIGHT), lowest, breaks, deaf


def _change(values: np.ndarray, grid: np.ndarray, where: np.ndarray) -> float:
    values, grid = values[where], grid[where]
    good = np.isfinite(values)
    return float(values[good][-1] - values[good][0]) if good.sum() > 1 else 0.0


def _is_flat(values: np.ndarray) -> bool:
    return bool(len(values) and np.isfinite(values).all() and np.ptp(values) < 1e-6 * (1 + abs(values).max()))


def _of_classes(anatomy: Anatomy) -> tuple[str, str, float, float, bool, bool]:
    classes = anatomy.numbered(np.asarray(anatomy.train.y))
    assert classes is not None
    width = int(np.prod(np.asarray(anatomy.first.outputs).shape[1:]))
    one_hot = np.eye(width)
    likely = np.where(one_hot > 0, LIKELY, (1 - LIKELY) / max(width - 1, 1))
    tried = np.concatenate([SURE * one_hot, likely, np.full((1, width), 1 / width), one_hot])
    numbers = np.unique(classes)
    chosen = numbers[np.linspace(0, len(numbers) - 1, min(TRIED_ROWS, len(numbers))).astype(int)]
    of_row = []
    for number in chosen:
        losses = _losses(anatomy, int(np.flatnonzero(classes == number)[0]), tried)
        of_row.append((int(number), losses))
    lowest = min(float(np.nanmin(losses[width : 2 * width + 1])) for _, losses in of_row)
    best = [(number, _lowest_at(losses[width : 2 * width])) for number, losses in of_row]
    # Which output a class belongs to does not matter, as long as every class has its own.
    flat = [number for number, at in best if at is None]
    distinct = len({at for _, at in best if at is not None})
    uphill = [_lowest_at(-losses[width : 2 * width]) for _, losses in of_row]
    wrong = 1 - distinct / len(best)
    prefers = NOTHING if len(flat) == len(best) else RIGHT
    if (
        prefers == RIGHT
        and len(best) > 1
        and wrong > 0
        and len(set(uphill)) == len(best)
        and None not in uphill
    ):
        prefers = WRONG
        # The form of outputs is that of the loss the right way round.
        of_row = [(number, -losses) for number, losses in of_row]
        best = [(number, at) for (number, _), at in zip(best, uphill, strict=True)]
    takes, breaks = _classes_form(of_row, best, width), False
    for (_, losses), (_, at) in zip(of_row, best, strict=True):
        breaks |= at is not None and not np.isfinite(losses[2 * width + 1 + at])
    return takes, prefers, wrong if prefers == RIGHT else 1.0, lowest, breaks, False


def _classes_form(of_row: list, best: list, width: int) -> str:
    (_, losses), (_, at) = of_row[0], best[0]
    if at is None:
        return UNKNOWN
    sure, likely, even = losses[at], losses[width + at], losses[2 * width]
    if np.isfinite(sure) and sure > max(10.0, 5 * abs(even)):
        return DISTANCE
    if likely - min(0.0, likely) < 0.25 * abs(even):
        return PROBABILITIES
    return LOGITS


def _lowest_at(losses: np.ndarray) -> int | None:
    """Return where losses are lowest; None where they are all the same, or not finite."""
    if not np.isfinite(losses).all() or np.ptp(losses) < 1e-9 * (1 + np.abs(losses).max()):
        return None
    return int(losses.argmin())


def _of_values(anatomy: Anatomy) -> tuple[str, str, float, float, bool, bool]:
    y = np.asarray(anatomy.train.y, np.float64).reshape(anatomy.train.count, -1)
    width = int(np.prod(np.asarray(anatomy.first.outputs).shape[1:]))
    if width != y.shape[1]:
        return UNKNOWN, RIGHT, 0.0, 0.0, False, False
    scale = y.std() or 1.0
    order = np.argsort(y[:, 0])
    rows = order[np.linspace(0, len(order) - 1, min(TRIED_ROWS, len(order))).astype(int)]
    off, away, lowest, breaks = 0, 0, np.inf, False
    for row in rows:
        losses = _losses(anatomy, int(row), y[row] + scale * STEPS[:, None])
        finite = np.isfinite(losses)
        lowest = min(lowest, float(losses[finite].min(initial=np.inf)))
        breaks |= not finite.all()
        middle = len(STEPS) // 2
        breaks |= _keeps_within(_losses(anatomy, int(row), np.repeat(INSIDE[:, None], width, axis=1)))
        if not finite[middle] or losses[finite].min() < losses[middle] - 1e-6 * abs(losses[middle]):
            off += 1
            away += bool(finite.all() and losses.argmax() == middle)
    prefers = WRONG if away == len(rows) else RIGHT
    return DISTANCE, prefers, off / len(rows), lowest, breaks, False


def _keeps_within(losses: np.ndarray) -> bool:
    """Return whether losses of `INSIDE` vary between 0 and 1 only, where outputs are cut off for a log."""
    below, within, above = losses[:2], losses[2:-2], losses[-2:]
    varies = bool(np.isfinite(within).all()) and not _is_flat(within)
    return _is_flat(below) and _is_flat(above) and varies


def _growth(anatomy: Anatomy) -> tuple[float | None, int]:
    """Compare the loss of several rows with the mean of the losses of each; only objectives can differ.

    Outputs that are all alike hide a loss that mixes rows, such as the difference of a column and a row:
    those that are tried go with the targets.
    """
    count = min(JOINED, anatomy.train.count)
    if anatomy.problem.objective is None or count < 2 or anatomy.kind == SELF:
        return None, 1
    which = np.linspace(0, anatomy.train.count - 1, count).astype(int)
    outputs = np.asarray(anatomy.first.outputs, np.float32)[which]
    if outputs.min() >= 0 and outputs.max() <= 1:
        outputs = np.clip(outputs, 0.05, 0.95)
    for tried in (_matching(anatomy, which, outputs), outputs):
        growth = None if tried is None else _joined(anatomy, which, tried)
        if growth is not None:
            return growth, count
    return None, count


def _matching(anatomy: Anatomy, which: np.ndarray, like: np.ndarray) -> np.ndarray | None:
    """Return outputs close to the targets, none of them exactly right; None where that is not known."""
    targets = np.asarray(anatomy.train.y)
    if anatomy.kind == CLASSES:
        numbers, width = anatomy.numbered(targets), like[0].size
        if numbers is None or numbers.max() >= width:
            return None
        close = 0.8 * np.eye(width)[numbers[which]] + 0.2 / width
    elif targets[0].size != like[0].size:
        return None
    elif anatomy.kind in (BINARY, LABELS):
        close = np.where(targets == targets.max(), 0.8, 0.2)[which]
    else:
        y = targets.astype(np.float64)
        alternating = np.where(np.arange(len(which)) % 2, 1.0, -1.0).reshape(-1, *[1] * (y.ndim - 1))
        close = y[which] + 0.3 * (y.std() or 1.0) * alternating
    return close.reshape(like.shape).astype(np.float32)


def _joined(anatomy: Anatomy, which: np.ndarray, outputs: np.ndarray) -> float | None:
    """Return the loss of rows together, relative to the mean of their own; infinite if that alone is 0."""
    rows: Rows = anatomy.train.some(which)
    joined = float(tried_losses(anatomy, rows, outputs[None])[0])
    singles = [float(_losses(anatomy, int(row), outputs[at][None])[0]) for at, row in enumerate(which)]
    mean = float(np.mean(singles))
    if not np.isfinite(joined) or not np.isfinite(mean) or max(abs(joined), abs(mean)) < 1e-9:
        return None
    return joined / mean if abs(mean) >= 1e-9 else np.inf
