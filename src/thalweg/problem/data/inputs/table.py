"""`TableColumns`: the rules of all columns, and their use on new rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from thalweg.core.errors import DataError, nearest
from thalweg.problem.data.inputs.fitting import Rule, rule_from_dict, rule_to_dict
from thalweg.problem.data.inputs.frames import as_frame


@dataclass(frozen=True)
class TableColumns:
    """Turns rows of a table into standardised inputs.

    Args:
        rules: One for each column that is used, in the order of the table.
        names: All columns of the training table, in order, the target among them.
        target: Name of the target column.
        header: Whether the training file had a header; new files are read the same way.
        missing: Marks for a missing value, besides the known ones.
    """

    kind: ClassVar[str] = "table"
    rules: tuple[Rule, ...]
    names: tuple[str, ...]
    target: str = ""
    header: bool = True
    missing: tuple[str, ...] = ()

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the inputs, in order."""
        return tuple(feature for rule in self.rules for feature in rule.features)

    def inputs(self, raw: Any) -> np.ndarray:
        """Return float32 inputs, `row feature`, from a frame.

        Raises:
            DataError: Columns are missing, or hold something else than in training.
        """
        frame = as_frame(raw)
        check_columns([rule.column for rule in self.rules], self.names, frame.columns)
        blocks = [rule.apply(frame[rule.column], self.missing) for rule in self.rules]
        return np.concatenate([np.zeros((frame.height, 0), np.float32), *blocks], axis=1)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {
            "rules": [rule_to_dict(rule) for rule in self.rules],
            "names": list(self.names),
            "target": self.target,
            "header": self.header,
            "missing": list(self.missing),
        }

    @classmethod
    def from_dict(cls, given: dict[str, Any]) -> Self:
        """Build from plain values; the inverse of `to_dict`."""
        rules = tuple(rule_from_dict(rule) for rule in given["rules"])
        return cls(rules, tuple(given["names"]), given["target"], given["header"], tuple(given["missing"]))


def check_columns(needed: Sequence[str], known: Sequence[str], found: Sequence[str]) -> None:
    """Refuse a table that lacks a column, with the nearest name it has.

    Args:
        needed: Columns that are learnt from.
        known: All columns of the training table.
        found: Columns of this table.
    """
    lacking = [name for name in needed if name not in found]
    if not lacking:
        return
    spare = [name for name in found if name not in known]
    near = {name: nearest(name, spare) for name in lacking}
    pairs = ", ".join(f"{name} (is it {close!r}?)" if close else name for name, close in near.items())
    raise DataError(
        "table",
        "must have the columns of the training table",
        got=f"no column {pairs}",
        where=f"columns {', '.join(found[:20])}",
        hint="rename the columns as in training" if spare else "add the columns; empty cells are allowed",
    )
