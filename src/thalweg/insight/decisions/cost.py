"""The cost of errors: the threshold that costs least on some rows, judged on others."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from jaxtyping import Bool, Float

from thalweg.core.caller import argument, option
from thalweg.core.errors import BadInput
from thalweg.core.lazy import special

# The threshold that is used where nothing is said: the more probable class.
USUAL = 0.5


@dataclass(frozen=True)
class ErrorCost:
    """What an error costs, in any unit.

    Args:
        fp: Calling a negative row positive.
        fn: Calling a positive row negative.
    """

    fp: float
    fn: float

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not 0 <= value < float("inf"):
                raise _wrong("a cost must be a finite number that is not negative", f"{name}={value}")
        if self.fp + self.fn <= 0:
            raise _wrong("one of both errors must cost something", "fp=0,fn=0")

    @classmethod
    def of(cls, given: Any) -> Self | None:
        """Return the cost that a caller gives: None, text such as `fp=1,fn=5`, or a table of both.

        Raises:
            BadInput: It does not name both, or names something else, or holds no numbers.
        """
        if given is None or isinstance(given, cls):
            return given
        if isinstance(given, str):
            pairs = [part.partition("=") for part in re.split(r"[,\s]+", given.strip()) if part]
            values: dict[str, Any] = {name.strip().lower(): value.strip() for name, _, value in pairs}
            if len(values) != len(pairs):
                raise _wrong("each kind of error has one cost", given)
        elif isinstance(given, Mapping):
            values = {str(name): value for name, value in given.items()}
        else:
            raise _wrong("must name the costs of both errors", type(given).__name__)
        if set(values) != {"fp", "fn"}:
            raise _wrong("must name the costs of false positives (fp) and of false negatives (fn)", given)
        try:
            numbers = {name: float(value) for name, value in values.items()}
        except (TypeError, ValueError):
            raise _wrong("a cost must be a number", given) from None
        return cls(**numbers)

    def each(
        self, positive: Bool[np.ndarray, " row"], score: Float[np.ndarray, " row"], threshold: float
    ) -> Float[np.ndarray, " row"]:
        """Return what each row costs at a threshold."""
        flagged = score >= threshold
        return self.fp * (flagged & ~positive) + self.fn * (~flagged & positive)

    @property
    def bayes(self) -> float:
        """The threshold that costs least where probabilities are right: `fp / (fp + fn)`.

        Reference: Elkan, The Foundations of Cost-Sensitive Learning, 2001.
        """
        return self.fp / (self.fp + self.fn)

    def best(self, positive: Bool[np.ndarray, " row"], score: Float[np.ndarray, " row"]) -> float:
        """Return the threshold with the least mean cost on some rows.

        Candidates are `bayes`, the middles between neighbouring scores, and a step beyond both ends. Of
        several that cost the same it is the one nearest to `bayes`.
        """
        distinct, at = np.unique(score, return_inverse=True)
        positives = np.bincount(at, positive, minlength=distinct.size)
        negatives = np.bincount(at, ~positive, minlength=distinct.size)
        # A threshold below the i-th score misses the positives before it, and flags the negatives from it on.
        missed, cleared = np.r_[0.0, np.cumsum(positives)], np.r_[0.0, np.cumsum(negatives)]
        total = self.fn * missed + self.fp * (negatives.sum() - cleared)
        ends = np.nextafter(distinct[0], -np.inf), np.nextafter(distinct[-1], np.inf)
        candidates = np.r_[ends[0], (distinct[1:] + distinct[:-1]) / 2, ends[1]]
        candidates[np.searchsorted(distinct, self.bayes)] = self.bayes
        least = np.flatnonzero(total <= total.min() * (1 + 1e-12))
        return float(candidates[least[np.argmin(np.abs(candidates[least] - self.bayes))]])


def cost_entry(
    cost: ErrorCost,
    held: tuple[np.ndarray, np.ndarray] | None,
    test: tuple[np.ndarray, np.ndarray],
    probabilities: bool,
) -> dict[str, Any] | None:
    """Choose a threshold on held-out rows and judge it on the test rows; None where neither is possible.

    Args:
        cost: Of both errors.
        held: Whether rows are positive, and their scores, of the validation part; None if there is none.
        test: Those of the test rows.
        probabilities: Whether scores are probabilities: without a validation part `cost.bayes` is used.

    Returns:
        `fp`, `fn`, `threshold`, `chosen_on` (`validation` or `probabilities`), `rows` (of the validation
        part) and `validation` (the mean cost of a row there); `test`, `usual` (at 0.5, or where the score
        changes its sign), `none` and `all` (nothing flagged, everything): mean costs of a test row; `saved`
        with `low` and `high`: `usual` minus `test` with its 95 % interval over the choice of test rows.
    """
    usual = USUAL if probabilities else 0.0
    chosen = held is not None and 0 < held[0].sum() < len(held[0])
    if not chosen and not probabilities:
        return None
    positive, score = test
    threshold = cost.best(*held) if chosen and held is not None else cost.bayes
    ours, theirs = cost.each(positive, score, threshold), cost.each(positive, score, usual)
    entry: dict[str, Any] = {
        **asdict(cost),
        "threshold": threshold,
        "chosen_on": "validation" if chosen else "probabilities",
        "rows": len(held[0]) if chosen and held is not None else None,
        "validation": float(cost.each(*held, threshold).mean()) if chosen and held is not None else None,
        "test": float(ours.mean()),
        "usual_threshold": usual,
        "usual": float(theirs.mean()),
        "none": float(cost.each(positive, score, np.inf).mean()),
        "all": float(cost.each(positive, score, -np.inf).mean()),
    }
    return entry | _saved(theirs - ours)


def _saved(differences: np.ndarray) -> dict[str, float | None]:
    """Return the mean of paired differences with Student's 95 % interval; no interval where none differs."""
    mean, number = float(differences.mean()), len(differences)
    if number < 2 or not np.ptp(differences):
        return {"saved": mean, "low": None, "high": None}
    half = special.stdtrit(number - 1, 0.975) * differences.std(ddof=1) / np.sqrt(number)
    return {"saved": mean, "low": float(mean - half), "high": float(mean + half)}


def _wrong(rule: str, got: Any) -> BadInput:
    return BadInput(argument("cost"), rule, got=got, hint=f"for example {option('cost', 'fp=1,fn=5')}")
