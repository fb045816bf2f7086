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

# Columns: of a finding's lanes, of the curve fitted to them, and of batch sizes.
LANE: dict[str, type[pl.DataType]] = {
    "rung": pl.Int64,
    "steps": pl.Int64,
    "rate": pl.Float64,
    "seed": pl.Int64,
    "loss": pl.Float64,
    "train_loss": pl.Float64,
    "stopped": pl.String,
    "diverged_at": pl.Int64,
}
FITTED: dict[str, type[pl.DataType]] = dict.fromkeys(("rate", "loss", "low", "high"), pl.Float64)
SIZE: dict[str, type[pl.DataType]] = {
    "batch": pl.Int64,
    "low": pl.Float64,
    "value": pl.Float64,
    "high": pl.Float64,
    "standing": pl.String,
    **dict.fromkeys(("loss", "linear", "linear_loss", "sqrt", "sqrt_loss", "error"), pl.Float64),
}


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
class NoiseScale:
    """The batch size at which gradients are as noisy as they are long: B = tr(Sigma) / |G|^2, in examples.

    Args:
        value: The estimate; infinite where no gradient can be told from noise.
        low, high: Its interval, 95 %, over batches and places of the run.
        steps: Updates and gradients that it took, in updates of the recipe's own batch.
    """

    value: float
    low: float
    high: float
    steps: int


@dataclass(frozen=True)
class Fits:
    """The largest batch that fits in memory with a margin.

    Args:
        batch: In examples; at most the training part.
        bytes_fixed, bytes_each: Of the compiled program: whatever the batch, and for each example of it.
        bytes_free: What was free.
        margin: Share of it that is left free.
    """

    batch: int
    bytes_fixed: int
    bytes_each: float
    bytes_free: int
    margin: float


@dataclass(frozen=True)
class LearningRateFinding:
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


@dataclass(frozen=True)
class BatchFinding:
    """A batch size, the rates that go with each, and why.

    Args:
        value: The batch size to take; None where no size lets the problem be learned.
        lr: The learning rate that goes with it.
        default: The recipe's own batch size, in examples.
        noise_scale: What predicts the largest useful batch.
        largest_useful: Beyond it more examples in an update are waste: the noise scale, at most the training
            part; twice the steps of the least possible, twice the examples of the least possible.
        fits: What fits in memory.
        table: A row for each size: `batch`, `low`, `value`, `high` (the rate), `standing`, `loss` (with that
            rate, after equal numbers of examples, mean over seeds), `error` (its standard error over seeds,
            against the best size of the table, paired), `linear`, `linear_loss`, `sqrt`, `sqrt_loss` (the
            rate that each rule of scaling makes of the own size's, and what it reached).
        reason: How it was decided, in sentences with figures.
        cost: What it took.
        recipe: The given recipe with batch size and rate in place.
    """

    value: int | None
    lr: float | None
    default: int
    noise_scale: NoiseScale
    largest_useful: int
    fits: Fits
    table: pl.DataFrame
    reason: str
    cost: Cost
    recipe: Recipe

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as JSON holds them; the table as a list of rows."""
        names = ("value", "lr", "default", "largest_useful", "reason")
        told = {name: getattr(self, name) for name in names}
        parts = {name: asdict(getattr(self, name)) for name in ("noise_scale", "fits", "cost")}
        parts["cost"]["share"] = self.cost.share
        return told | parts | {"table": self.table.to_dicts(), "recipe": self.recipe.to_dict()}
