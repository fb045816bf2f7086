"""What a finder found, as data: the rate to take, how sure that is, what it rests on and what it cost."""

from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from thalweg.recipe.recipe import Recipe

FOUND, FLAT, UNTOLD, UNTEACHABLE, LOST = (
    "found",
    "flat",
    "cannot tell",
    "cannot learn",
    "all diverged",
)


@dataclass(frozen=True)
class Cost:
    """What a search took.

    Args:
        steps: Lane-steps trained: updates, added over all lanes and rungs.
        run_steps: Updates of the run that it is for.
        seconds: Wall clock, compilation included.
    """

    steps: int
    run_steps: int
    seconds: float

    @property
    def share(self) -> float:
        """Lane-steps as a share of the run's updates."""
        return self.steps / self.run_steps


@dataclass(frozen=True)
class Finding:
    """A learning rate, and why that one.

    Args:
        setting: Path of the rate, `optimizer.lr`; of the first one where an optimizer has several, which then
            move along in proportion.
        value: The rate to take; None where there is none.
        low, high: Rates between which none can be told from the best, 95 %; None where that is not known.
        default: The recipe's own rate.
        diverges: Smallest rate at which a lane diverged; None: none did.
        predicted_edge: 2 / lambda_max at the start, for plain descent on the whole training part; else None.
        standing: `found`; `flat`: rates from low to high are as good; `cannot tell`: the recipe's own rate
            stays, for none was shown to be better; `cannot learn`; `all diverged`.
        reason: How it was decided, in sentences with figures.
        curve: A row for each lane: `rung`, `steps`, `rate`, `seed`, `loss` (of the validation part; of the
            training part where there is none), `train_loss`, `stopped`, `diverged_at`.
        fitted: The curve that was fitted, for drawing: `rate`, `loss`, `low`, `high`; may be empty.
        cost: What it took.
        recipe: The given recipe with the value in place; unchanged where the value is None or its own.
    """

    setting: str
    value: float | None
    low: float | None
    high: float | None
    default: float
    diverges: float | None
    predicted_edge: float | None
    standing: str
    reason: str
    curve: pl.DataFrame
    fitted: pl.DataFrame
    cost: Cost
    recipe: Recipe

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as JSON holds them; tables as lists of rows."""
        names = ("setting", "value", "low", "high", "default", "diverges", "predicted_edge", "standing")
        told = {name: getattr(self, name) for name in (*names, "reason")}
        cost = asdict(self.cost) | {"share": self.cost.share}
        tables = {"curve": self.curve.to_dicts(), "fitted": self.fitted.to_dicts()}
        return told | tables | {"cost": cost, "recipe": self.recipe.to_dict()}
