"""`Data`: the three splits of a data set, what they are for, and how raw rows became arrays."""

from dataclasses import dataclass, field
from typing import Any

import jax

from thalweg.problem.data.fingerprint import Awaited
from thalweg.problem.data.note import Note
from thalweg.problem.data.preparation import Preparation
from thalweg.problem.data.split import Split, first_leaf

CLASSIFICATION, REGRESSION, LANGUAGE = "classification", "regression", "language"


@dataclass(frozen=True)
class Data:
    """A data set, ready for training.

    Args:
        name: Short name; run folders are called after it.
        task: `classification`, `regression` or `language` (predict the next token).
        train: What gradient descent sees.
        validation: Decides when to stop and which weights are best; None when there is none.
        test: Looked at once, at the end; None when there is none.
        preparation: How raw input becomes a model's input, and outputs become answers.
        notes: What was pointed out while reading.
        fingerprint: SHA-256 over the arrays of all splits; another fingerprint is other data. It may be given
            as a future, and is a text where it is read.
        source: How to read it again: path or name, and the options that were used.
    """

    name: str
    task: str
    train: Split
    validation: Split | None
    test: Split | None
    preparation: Preparation
    notes: tuple[Note, ...] = ()
    fingerprint: Awaited = Awaited()  # noqa: RUF009 - a descriptor, not a default
    source: dict[str, Any] = field(default_factory=dict)

    def __getstate__(self) -> dict[str, Any]:
        """Return what is pickled or copied: the fingerprint itself, not what it is awaited by."""
        return self.__dict__ | {"fingerprint": self.fingerprint}

    @property
    def splits(self) -> dict[str, Split]:
        """The splits that exist, by name."""
        named = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: part for name, part in named.items() if part is not None}

    @property
    def input_shape(self) -> Any:
        """Shape of one example's inputs; for a tree of arrays the tree of their shapes."""
        return self.train.input_shape

    @property
    def outputs(self) -> int:
        """Number of outputs a model needs: classes, target values, or tokens of the vocabulary."""
        if self.preparation.classes is not None:
            return len(self.preparation.classes)
        first = jax.ShapeDtypeStruct((1,), "int32")
        return int(first_leaf(jax.eval_shape(self.train.batch, first)[1]).shape[-1])
