"""Validation by folds: every row that is not for the test is trained on, and validates members that have not
seen it.

Means and scales of inputs and targets stay those of the rows that were for training at first.
"""

from dataclasses import replace
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PyTree, Shaped

from thalweg.core.caller import argument, option
from thalweg.core.errors import DataError
from thalweg.problem.data.data import CLASSIFICATION, REGRESSION, Data, fingerprint
from thalweg.problem.data.folds import FoldedData
from thalweg.problem.data.options import RANDOM
from thalweg.problem.data.split import Rows, taken
from thalweg.problem.data.splitting import first_copies, row_hashes
from thalweg.problem.members import Folded


class MemberRows(Rows):
    """Rows that belong to folds; inputs come as `Folded`.

    Args:
        fold: Of each row; see `Folded`.
    """

    one_row: ClassVar[bool] = True

    fold: Shaped[Array | np.ndarray, " example"]

    def batch(self, indices: Int[Array, " batch"]) -> tuple[PyTree, PyTree]:
        """Gather rows by index."""
        inputs, targets = super().batch(indices)
        return Folded(inputs, jnp.asarray(self.fold)[indices]), targets

    def gather(self, indices: np.ndarray) -> tuple[PyTree, PyTree]:
        """Gather rows by index, on the host."""
        inputs = Folded(taken(self.inputs, indices), taken(self.fold, indices))
        return inputs, taken(self.targets, indices)

    @property
    def folds(self) -> int:
        """How many folds there are."""
        fold = np.asarray(self.fold)
        return int(np.where(fold < 0, -1 - fold, fold).max()) + 1


def why_not(data: Data, folds: int) -> str | None:
    """Return why the rows of data cannot be divided into validation folds; None if they can."""
    splits = (data.train, data.validation)
    if isinstance(data, FoldedData) or any(type(split) is not Rows for split in splits):
        return "there must be rows for training and for validation, without weights or folds"
    if data.task not in (CLASSIFICATION, REGRESSION) or not isinstance(data.input_shape, tuple):
        return f"the task must be {CLASSIFICATION} or {REGRESSION}, with one array of inputs"
    if data.source.get("options", {}).get("split", RANDOM) != RANDOM:
        return "the splits must be drawn at random"
    if sum(split.count() for split in splits if split is not None) < 2 * folds:
        return f"{folds} folds need at least {2 * folds} rows"
    # Copies of a row are in one fold, so that fewer different rows than folds would leave some empty.
    inputs = np.concatenate([np.asarray(split.inputs) for split in splits if isinstance(split, Rows)])
    if np.unique(first_copies(row_hashes(inputs))).size < 2 * folds:
        return f"{folds} folds need at least {2 * folds} rows with different inputs"
    return None


def with_validation_folds(data: Data, folds: int, seed: int = 0) -> Data:
    """Return data in which the rows for training and for validation are both, in folds.

    The folds are drawn at random, class by class; copies of a row are in one fold.

    Args:
        data: Data with a validation split.
        folds: At least 2.
        seed: Selects one of the divisions.

    Raises:
        DataError: The rows cannot be divided.
    """
    who, hint = argument("validation_folds"), f"leave {argument('validation_folds')} out"
    reason = "there must be at least 2 folds" if folds < 2 else why_not(data, folds)
    if reason is not None:
        raise DataError(who, reason, got=f"{option('validation_folds', folds)} on {data.name}", hint=hint)
    rows: list[Any] = [data.train, data.validation]
    inputs, targets = (
        np.concatenate([np.asarray(getattr(r, f)) for r in rows]) for f in ("inputs", "targets")
    )
    fold = _drawn(inputs, targets if data.task == CLASSIFICATION else None, folds, seed)
    splits = {
        "train": MemberRows(inputs, targets, fold),
        "validation": MemberRows(inputs, targets, -1 - fold),
    }
    numbers = dict(data.rows)
    if {"train", "validation"} <= set(numbers):
        both = np.concatenate([numbers["train"], numbers["validation"]])
        numbers |= {"train": both, "validation": both}
    source = dict(data.source)
    if source:
        source["options"] = {**source.get("options", {}), "validation_folds": folds}
    divided = replace(data, rows=numbers, source=source, **splits)
    return replace(divided, fingerprint=fingerprint(divided.splits))


def _drawn(inputs: np.ndarray, classes: np.ndarray | None, folds: int, seed: int) -> np.ndarray:
    """Return the fold of each row, int32: equal numbers of each class, copies together."""
    first = first_copies(row_hashes(inputs))
    heads = np.unique(first)
    random = np.random.default_rng([seed % 2**32, folds])
    order = random.permutation(heads.size)
    if classes is not None:
        order = order[np.argsort(classes.reshape(len(classes), -1)[heads[order], 0], kind="stable")]
    fold = np.zeros(len(inputs), np.int32)
    fold[heads[order]] = np.arange(heads.size) % folds
    return fold[first]
