"""Metrics that need a whole split: what is kept of the outputs of every example, and the figures of it.

Outputs are kept on the device while an evaluation runs, for the metrics that ask for them alone, and the
figures are computed on the host in float64, example after example in their own order. So they depend neither
on the batches of the evaluation nor on the other lanes.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PyTree

from thalweg.engine.program import Program
from thalweg.problem.data.fold_rows import FoldRows
from thalweg.problem.data.split import Split
from thalweg.problem.losses.metrics import Metric


class Targets(NamedTuple):
    """What the examples of an evaluation should give, in the order of its batches.

    Args:
        targets: `batch row ...`, without weights.
        weights: `batch row ...`; None if all examples count the same.
        indices: Which example each row is, `batch row`; those beyond the last are padding.
    """

    targets: PyTree
    weights: Array | None
    indices: Int[Array, "batch row"]


def rules_of(program: Program) -> tuple[Any, ...]:
    """Return what is kept for the metrics of a program: (head, rule) pairs, each once."""
    whole = [metric for metric in program.metrics if metric.whole is not None]
    return tuple(dict.fromkeys((metric.head, metric.rule) for metric in whole))


def keep(program: Program, outputs: PyTree, targets: PyTree) -> tuple[Array, ...]:
    """Return what is kept of the outputs of a batch, for each rule `row ...`."""
    return tuple(rule(part(outputs, head), part(targets, head)) for head, rule in rules_of(program))


def part(tree: PyTree, head: str | None) -> PyTree:
    """Return the outputs or targets of one head, or all where there are no heads."""
    return tree if head is None else tree[head]


class Lanes(NamedTuple):
    """The lanes of an evaluation.

    Args:
        ran: Which were evaluated, `lane` of bool.
        fold: The fold of each, `lane`; None where all read the same examples.
    """

    ran: np.ndarray
    fold: np.ndarray | None = None


def wanted(split: Split, indices: Int[Array, "batch row"]) -> Targets:
    """Return the targets of the examples at some indices, batch by batch; of folds, the indices alone."""
    if isinstance(split, FoldRows):
        return Targets(None, None, indices)

    def of_batch(rows: Int[Array, " row"]) -> tuple[PyTree, Array | None]:
        targets = split.batch(jnp.minimum(rows, split.count() - 1))[1]
        return targets if split.weighted else (targets, None)

    targets, weights = jax.lax.map(of_batch, indices)
    return Targets(targets, weights, indices)


def finished(
    program: Program,
    sums: Sequence[np.ndarray],
    kept: Sequence[Array],
    given: Targets | None,
    split: Split,
    lanes: Lanes,
) -> list[np.ndarray]:
    """Return every metric of every lane, `lane`; NaN for lanes that were not evaluated.

    Args:
        program: The program.
        sums: Means over the examples of the metrics that are means, in their order, each `lane`.
        kept: What `keep` gave, `lane batch row ...`, for each rule.
        given: The targets; None if nothing was kept.
        split: The split.
        lanes: The lanes.
    """
    means = iter(sums)
    if given is None:
        return [metric.finish(next(means)) for metric in program.metrics]
    offsets = split.offsets
    by_rule = dict(zip(rules_of(program), jax.device_get(tuple(kept)), strict=True))
    order = _InOrder(Targets(*jax.device_get(tuple(given))), split)

    def of_lane(metric: Metric, lane: int) -> float:
        if not lanes.ran[lane] or metric.whole is None:
            return float("nan")
        own = order if lanes.fold is None else order.of_fold(int(lanes.fold[lane]))
        outputs = by_rule[metric.head, metric.rule][lane]
        targets = part(own.targets(), metric.head)
        added = None if offsets is None else offsets[own.indices]
        return metric.whole(own.rows(outputs), targets, own.weights(), added)

    def values(metric: Metric) -> np.ndarray:
        if metric.whole is None:
            return metric.finish(next(means))
        return np.array([of_lane(metric, lane) for lane in range(len(lanes.ran))])

    return [values(metric) for metric in program.metrics]


class _InOrder:
    """Rows of batches in the order of their examples, without padding."""

    def __init__(self, given: Targets, split: Split, fold: int | None = None):
        self._given, self._split, self._fold = given, split, fold
        flat = np.asarray(given.indices).reshape(-1)
        count = split.count() if fold is None else int(split.counts[fold])  # type: ignore[attr-defined]
        order = np.argsort(flat, kind="stable")
        self._order = order[flat[order] < count]
        self.indices = flat[self._order]

    def of_fold(self, fold: int) -> "_InOrder":
        """Return the rows of one fold."""
        return _InOrder(self._given, self._split, fold)

    def rows(self, array: np.ndarray) -> np.ndarray:
        """Return an array `batch row ...` as `example ...`."""
        return array.reshape(-1, *array.shape[2:])[self._order]

    def targets(self) -> PyTree:
        """Return the targets, each `example ...`."""
        if self._fold is None:
            return jax.tree.map(self.rows, self._given.targets)
        folds: Any = self._split
        return np.asarray(folds.targets)[int(folds.starts[self._fold]) + self.indices]

    def weights(self) -> np.ndarray:
        """Return what each example counts, float64."""
        if self._given.weights is None:
            return np.ones(self._order.size)
        return self.rows(np.asarray(self._given.weights)).astype(np.float64)
