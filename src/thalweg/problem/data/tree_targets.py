"""`Targets`: the targets of a tree of inputs, one array or several of mixed kinds, encoded."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from thalweg.core.errors import DataError
from thalweg.problem.data.data import CLASSIFICATION, HEADS, REGRESSION
from thalweg.problem.data.inputs import Columns
from thalweg.problem.data.inputs.array import checked_numbers, mean_and_scale, plain_array
from thalweg.problem.data.labels import Target, encode, encode_known
from thalweg.problem.data.preparation import Head, Preparation
from thalweg.problem.data.tasks import decide


@dataclass(frozen=True)
class Targets:
    """Targets of all examples.

    Args:
        by_name: Each of them by name, or by its place in a list.
        form: `one` array, `named` ones, or a `list`.
    """

    by_name: dict[Any, Target]
    form: str

    @classmethod
    def of(cls, given: Any, count: int) -> Self:
        """Encode targets.

        Raises:
            DataError: They cannot be used, or are not one for each of `count` examples.
        """
        form, several = _several(given)
        return cls({name: _encoded(name, raw, count) for name, raw in several.items()}, form)

    @property
    def task(self) -> str:
        """The task, as in `Data`."""
        return next(iter(self.by_name.values())).task if self.form == ONE else HEADS

    @property
    def strata(self) -> np.ndarray | None:
        """Classes of which every split should have its share; None without a single target of classes."""
        first = next(iter(self.by_name.values()))
        return first.values if self.task == CLASSIFICATION else None

    def known(self, given: Any, count: int) -> dict[Any, np.ndarray]:
        """Return the targets of another split, encoded in the same way.

        Raises:
            DataError: They are missing, or others.
        """
        form, several = _several(given) if given is not None else ("", {})
        if form != self.form or set(several) != set(self.by_name):
            rule, hint = (
                "needs its targets",
                "give a pair of inputs and targets, in the form of the training data",
            )
            raise DataError("test", rule, got=type(given).__name__, hint=hint)
        return {
            name: encode_known(_raw(name, several[name], count), target, f"{_title(name)}, test split")
            for name, target in self.by_name.items()
        }

    def prepared(
        self, columns: Columns, rows: Mapping[str, np.ndarray], test: dict[Any, np.ndarray] | None
    ) -> tuple[Preparation, dict[str, Any]]:
        """Return the preparation, and the targets of each split as a loss takes them.

        Args:
            columns: What prepares the inputs.
            rows: The examples of each split.
            test: Encoded targets of a separate test split; None if there is none.
        """
        parts: dict[Any, dict[str, np.ndarray]] = {}
        heads = []
        for name, target in self.by_name.items():
            values = {split: target.values[at] for split, at in rows.items()}
            values |= {} if test is None else {"test": test[name]}
            mean, scale = 0.0, 1.0
            if target.task == REGRESSION:
                mean, scale = map(_plain, mean_and_scale(values["train"]))
                values = {s: ((y - np.asarray(mean)) / np.asarray(scale)) for s, y in values.items()}
            kind = np.int32 if target.task == CLASSIFICATION else np.float32
            parts[name] = {split: y.astype(kind) for split, y in values.items()}
            width = len(target.classes) if target.classes is not None else target.values.shape[-1]
            heads.append(Head(name, target.task, width, target.classes, mean, scale))
        splits = next(iter(parts.values()))
        if self.form == ONE:
            one = heads[0]
            facts = {"target_mean": one.target_mean, "target_scale": one.target_scale}
            return Preparation(columns, classes=one.classes, **facts), {s: parts[one.name][s] for s in splits}
        ready = Preparation(columns, target=", ".join(str(head.name) for head in heads), heads=tuple(heads))
        named: dict[str, Any] = {split: {name: parts[name][split] for name in parts} for split in splits}
        return ready, named if self.form == NAMED else {s: list(each.values()) for s, each in named.items()}


ONE, NAMED, LIST = "one", "named", "list"


def _several(given: Any) -> tuple[str, dict[Any, Any]]:
    if isinstance(given, Mapping):
        form, several = NAMED, dict(given)
    elif isinstance(given, (list, tuple)) and given and all(hasattr(part, "shape") for part in given):
        form, several = LIST, dict(enumerate(given))
    else:
        form, several = ONE, {"target": given}
    if not several:
        raise DataError("targets", "must not be empty", got=given, hint="for example {'kind': y}")
    return form, several


def _raw(name: Any, raw: Any, count: int) -> np.ndarray:
    array = plain_array(_title(name), raw)
    array = checked_numbers(_title(name), array) if array.dtype.kind in "iuf" else array
    if array.ndim == 0 or array.shape[0] != count:
        got = f"{array.shape[0] if array.ndim else 'a single value'} and {count}"
        rule, hint = (
            "targets and inputs must have the same number of examples",
            "check that both are of the same",
        )
        raise DataError("targets", rule, got=got, where=_title(name), hint=hint)
    return array


def _encoded(name: Any, raw: Any, count: int) -> Target:
    array = _raw(name, raw, count)
    return encode(array, decide(array, None), _title(name))


def _title(name: Any) -> str:
    return f"target {name}" if isinstance(name, int) else str(name)


def _plain(values: np.ndarray) -> Any:
    return float(values[0]) if values.size == 1 else tuple(values.tolist())
