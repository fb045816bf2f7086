"""Changes of which rows are trained on: without labels that are contradicted, or with more rows."""

from dataclasses import replace
from typing import Any

import jax
import numpy as np

from thalweg.engine.group import length
from thalweg.insight.doctor.anatomy import Anatomy
from thalweg.insight.doctor.diagnosis import Change
from thalweg.insight.doctor.plan import Move, Plan
from thalweg.problem.data.split import Rows as RowsSplit


def cleaned(anatomy: Anatomy, wrong: np.ndarray) -> Move | None:
    """Leave out training rows; None where the rows that were looked at are not all of the split's.

    Args:
        anatomy: The problem.
        wrong: For each row that was looked at, whether its label is wrong.
    """
    data = anatomy.problem.data
    if not isinstance(data.train, RowsSplit) or len(wrong) != data.train.count() or wrong.all():
        return None
    line = "keep = neighbours_agree(x, y); x, y = x[keep], y[keep]  # better: correct these labels"
    change = Change("fix_labels", "data.targets", f"{int(wrong.sum())} rows contradicted", "left out", line)

    def apply(plan: Plan) -> Plan:
        kept = np.flatnonzero(~wrong)
        own = plan.data or data
        train = jax.tree.map(lambda leaf: np.asarray(leaf)[kept], data.train)
        return replace(plan, data=replace(own, train=train))

    return Move(change, apply)


def more_rows(anatomy: Anatomy) -> Move | None:
    """Train on those validation rows, too, that the metric does not look at; None where there are none."""
    data, held = anatomy.problem.data, anatomy.held
    train, other = data.train, data.validation
    if not isinstance(train, RowsSplit) or not isinstance(other, RowsSplit) or held is None:
        return None
    looked = np.unique(np.linspace(0, other.count() - 1, held.count).round().astype(int))
    further = np.setdiff1d(np.arange(other.count()), looked)
    if not len(further):
        return None
    line, steps = "train on more rows", length(anatomy.problem, anatomy.recipe)
    change = Change("add_data", "data.train", train.count(), train.count() + len(further), line)

    def joined(first: Any, second: Any) -> Any:
        return np.concatenate([np.asarray(first), np.asarray(second)[further]])

    def apply(plan: Plan) -> Plan:
        own = plan.data or data
        both = jax.tree.map(joined, train, other)
        rest = jax.tree.map(lambda leaf: np.asarray(leaf)[looked], other)
        updates = plan.recipe.steps or max(1, steps)  # as many as the recipe has, not as many epochs
        recipe = replace(plan.recipe, epochs=None, steps=updates)
        return replace(plan, recipe=recipe, data=replace(own, train=both, validation=rest))

    return Move(change, apply)
