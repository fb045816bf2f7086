"""Probabilities that hold, and intervals for values, from predictions of rows that were not trained on.

The temperature divides the logarithms of the probabilities; it changes no predicted class. The half-width of
an interval is a quantile of the absolute errors: of new rows like these, at least that share lies within
(split conformal prediction). Where each row was predicted by some members of an ensemble only, those errors
are larger than those of all members, and intervals err on the wide side.

References: Guo, Pleiss, Sun & Weinberger, On Calibration of Modern Neural Networks, 2017; Vovk, Gammerman &
Shafer, Algorithmic Learning in a Random World, 2005.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from thalweg.problem.losses.outputs import LOG_PROBABILITIES, LOGITS, VALUES, class_columns

# Below this a quantile of the errors, or a temperature, is chance.
FEWEST = 30
LEVEL = 0.9
# A temperature is between 1 / LIMIT and LIMIT.
LIMIT = 10.0
HALVINGS = 40  # of the logarithm of the range: to 12 digits


@dataclass(frozen=True)
class Calibration:
    """What turns outputs into probabilities, or puts intervals around values.

    Args:
        rows: Predictions that it was fitted to.
        temperature: Of classes.
        half_width: Of the intervals of a regression, in the unit of standardised targets; None for classes.
        level: Share of new rows that the intervals are to hold.
    """

    rows: int
    temperature: float = 1.0
    half_width: float | None = None
    level: float = LEVEL

    @classmethod
    def fit(cls, outputs: np.ndarray, targets: np.ndarray, meaning: Any) -> Self | None:
        """Fit to predictions of rows that were not trained on; None where there is nothing to fit.

        Args:
            outputs: Of the model, `example output`.
            targets: Class numbers, `example`, or standardised values, `example 1`.
            meaning: What the outputs mean (`Problem.outputs`).
        """
        outputs, targets = np.asarray(outputs, np.float64), np.asarray(targets)
        if len(targets) < FEWEST or not np.isfinite(outputs).all():
            return None
        if meaning in (LOGITS, LOG_PROBABILITIES) and targets.ndim == 1:
            return cls(len(targets), _temperature(class_columns(outputs, meaning), targets))
        if meaning == VALUES and targets.shape[1:] == (1,) and outputs.size == len(targets):
            errors = np.sort(np.abs(outputs.ravel() - targets.ravel()))
            rank = math.ceil((len(errors) + 1) * LEVEL)
            return None if rank > len(errors) else cls(len(errors), half_width=float(errors[rank - 1]))
        return None

    @classmethod
    def of(cls, result: Mapping[str, Any]) -> Self | None:
        """Return the calibration that a result holds; None where it holds none, as in older folders."""
        plain = result.get("calibration")
        return cls(**plain) if isinstance(plain, Mapping) else None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return asdict(self)

    def applied(self, outputs: Any, meaning: Any) -> Any:
        """Return outputs of classes with the temperature applied, in their own meaning."""
        if self.temperature == 1.0 or meaning not in (LOGITS, LOG_PROBABILITIES):
            return outputs
        scaled = class_columns(np.asarray(outputs), meaning) / self.temperature
        if meaning == LOG_PROBABILITIES:
            scaled = scaled - np.logaddexp.reduce(scaled, axis=-1, keepdims=True)
        return scaled


def _temperature(logits: np.ndarray, targets: np.ndarray) -> float:
    """Return the temperature with the lowest mean log loss, which is convex in its inverse.

    Bisection of the slope, not `scipy.optimize`, which takes half a second of each fit to import.
    """
    own = logits[np.arange(len(targets)), targets.astype(int)]

    def slope(inverse: float) -> float:
        scaled = logits * inverse
        shares = np.exp(scaled - np.logaddexp.reduce(scaled, axis=1, keepdims=True))
        return float(np.mean((shares * logits).sum(axis=1) - own))

    low, high = 1 / LIMIT, LIMIT
    for _ in range(HALVINGS):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if slope(middle) > 0 else (middle, high)
    return float(f"{1 / math.sqrt(low * high):.6g}")
