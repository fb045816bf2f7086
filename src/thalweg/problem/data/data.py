"""`Data`: the splits of a data set, its task, and how raw rows became arrays."""

import hashlib
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any, Self

import jax
import numpy as np

from thalweg.problem.data.note import Note
from thalweg.problem.data.preparation import Preparation
from thalweg.problem.data.split import Split, first_leaf

CLASSIFICATION, REGRESSION, LANGUAGE = "classification", "regression", "language"
MULTILABEL = "multilabel"  # several yes-or-no labels of one example, which do not exclude each other
EXAMPLES = "examples"  # whatever an objective makes of them: there is no target that is known here
HEADS = "heads"  # several targets of mixed kinds, by name; see `problem.heads`
# Test rows up to which a table's cells are kept beside its inputs.
MOST_CELLS = 100_000
IN_MEMORY = "in memory"  # the source of data that did not come from a file or a named set


class _Awaited:
    """A dataclass field that is a string, or the future of one, which is awaited when the field is read."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type) -> str:
        if instance is None:
            return ""  # the default
        value = instance.__dict__[self._name]
        if isinstance(value, Future):
            value = instance.__dict__[self._name] = value.result()
        return value

    def __set__(self, instance: Any, value: str | Future[str]) -> None:
        instance.__dict__[self._name] = value


@dataclass(frozen=True)
class Data:
    """A data set, ready for training.

    Args:
        name: Short name, from which the run folder's is made.
        task: `classification`, `regression`, `multilabel` (several labels that do not exclude each other),
            `language` (predict the next token), `heads` (several targets of mixed kinds) or `examples` (there
            are no targets).
        train: What the model is trained on.
        validation: Decides when to stop and which weights are best; None if there is none.
        test: Evaluated once, at the end; None if there is none.
        preparation: How raw data become a model's inputs, and outputs become predictions.
        notes: Notes of the readers.
        fingerprint: SHA-256 over the arrays of all splits: it differs where the data differ. A future is
            accepted, and awaited when the field is read.
        source: How to read the data again: path or name, and the options that were used.
        rows: For a split, the number of every example among the rows that were read, from 0, `example`; only
            where it is known. A test split from a file of its own has that file's rows.
        cells: Of a table, the test rows with all columns as they were read, so that errors can be shown and
            figures be given by group; None for other data and beyond `MOST_CELLS` rows.
    """

    name: str
    task: str
    train: Split
    validation: Split | None
    test: Split | None
    preparation: Preparation
    notes: tuple[Note, ...] = ()
    fingerprint: _Awaited = _Awaited()
    source: dict[str, Any] = field(default_factory=dict)
    rows: dict[str, np.ndarray] = field(default_factory=dict, repr=False, compare=False)
    cells: Any = field(default=None, repr=False, compare=False)

    @classmethod
    def of_splits(
        cls,
        name: str,
        task: str,
        splits: Mapping[str, Split],
        preparation: Preparation,
        notes: tuple[Note, ...],
        rows: Mapping[str, np.ndarray] | None = None,
    ) -> Self:
        """Build from the splits by name; `validation` and `test` may be absent."""
        train, validation, test = splits["train"], splits.get("validation"), splits.get("test")
        own = dict(rows or {})
        return cls(name, task, train, validation, test, preparation, notes, rows=own)

    def with_source(self, source: dict[str, Any], fingerprint: str | Future[str]) -> Self:
        """Return the same data with how to read them again, and their fingerprint."""
        return replace(self, source=source, fingerprint=fingerprint)

    def __getstate__(self) -> dict[str, Any]:
        """Return what is pickled or copied: the fingerprint itself, not its future."""
        return self.__dict__ | {"fingerprint": self.fingerprint}

    @property
    def splits(self) -> dict[str, Split]:
        """The splits that exist, by name."""
        named = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: split for name, split in named.items() if split is not None}

    @property
    def input_shape(self) -> Any:
        """Shape of one example's inputs; for a tree of arrays, the tree of their shapes."""
        return self.train.input_shape

    @property
    def outputs(self) -> int:
        """Number of outputs that a model needs: classes, target values, or tokens; 0 without targets."""
        if self.task in (EXAMPLES, HEADS):
            return sum(head.width for head in self.preparation.heads)
        if self.preparation.classes is not None:
            return len(self.preparation.classes)
        first = jax.ShapeDtypeStruct((1,), "int32")
        return int(first_leaf(jax.eval_shape(self.train.batch, first)[1]).shape[-1])


def fingerprint(splits: Mapping[str, Split]) -> str:
    """Return the SHA-256, in hex, over names, types, shapes and bytes of all arrays of all splits."""
    digest = hashlib.sha256()
    for name, split in splits.items():
        digest.update(name.encode())
        for leaf in jax.tree.leaves(split):
            array: np.ndarray = np.ascontiguousarray(leaf)
            digest.update(f"{array.dtype.str}{array.shape}".encode())
            digest.update(array.reshape(-1).view(np.uint8).data if array.size else b"")
    return digest.hexdigest()
