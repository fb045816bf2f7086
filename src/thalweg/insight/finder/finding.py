"""The results of the finders as data: what to use, how sure that is, the evidence and the cost."""

from dataclasses import asdict, dataclass, fields
from typing import Any

import polars as pl

from thalweg.core.shown import Shown
from thalweg.recipe.recipe import Recipe

# Values of `LearningRateFinding.status`.
FOUND, FLAT, INCONCLUSIVE, CANNOT_LEARN, ALL_DIVERGED = (
    "found",
    "flat",
    "cannot tell",
    "cannot learn",
    "all diverged",
)

# Columns of `LearningRateFinding.curve`, of `LearningRateFinding.fitted` and of `BatchFinding.table`.
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
    "status": pl.String,
    **dict.fromkeys(("loss", "linear", "linear_loss", "sqrt", "sqrt_loss", "error"), pl.Float64),
}


@dataclass(frozen=True)
class Cost:
    """The cost of a search.

    Args:
        steps: Lane-steps: updates, added over all lanes and rungs.
        run_steps: Updates of the whole run that the search is for.
        seconds: Wall-clock time, including compilation.
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
    """The batch size at which a gradient's noise equals its length: B = tr(Sigma) / |G|^2, in examples.

    Args:
        value: The estimate; infinite where the gradient cannot be distinguished from noise.
        low, high: Its 95 % interval, over batches and points of the run.
        steps: Cost of the estimate, in updates of the recipe's own batch size.
    """

    value: float
    low: float
    high: float
    steps: int


@dataclass(frozen=True)
class Fits:
    """The largest batch that fits in memory with a margin.

    Args:
        batch: In examples; at most the training split.
        bytes_fixed: Memory of the compiled update that does not depend on the batch.
        bytes_each: Memory for each example of the batch.
        bytes_free: Memory that was available.
        margin: Share of it that is kept free.
    """

    batch: int
    bytes_fixed: int
    bytes_each: float
    bytes_free: int
    margin: float


@dataclass(frozen=True)
class LearningRateFinding(Shown):
    """A learning rate, and why that one.

    Args:
        setting: Path of the rate, such as `optimizer.lr`. An optimizer with several rates has its first one
            here; the others are scaled by the same factor.
        value: The rate to use; None where there is none.
        low, high: 95 % interval of the best rate; None where it is unknown.
        default: The recipe's own rate.
        diverges: Smallest rate at which a lane diverged; None where none did.
        predicted_edge: 2 / lambda_max at the start, for plain gradient descent on the whole training split;
            None otherwise.
        status: `found`; `flat` (all rates from `low` to `high` are equally good); `cannot tell` (no rate was
            shown to be better than the recipe's own, which is kept); `cannot learn`; `all diverged`.
        reason: How it was decided, in sentences with figures.
        curve: One row per lane: `rung`, `steps`, `rate`, `seed`, `loss` (validation loss; training loss
            without a validation split), `train_loss`, `stopped`, `diverged_at`.
        fitted: The fitted curve, for drawing: `rate`, `loss`, `low`, `high`; may be empty.
        cost: The cost of the search.
        recipe: The recipe with `value` as its rate; unchanged where `value` is None or the recipe's own.
    """

    setting: str
    value: float | None
    low: float | None
    high: float | None
    default: float
    diverges: float | None
    predicted_edge: float | None
    status: str
    reason: str
    curve: pl.DataFrame
    fitted: pl.DataFrame
    cost: Cost
    recipe: Recipe

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; tables become lists of rows."""
        return _plain_fields(self)


@dataclass(frozen=True)
class BatchFinding(Shown):
    """A batch size, the best learning rate for each size, and why.

    Args:
        value: The batch size to use; None where no size lets the model learn.
        lr: The learning rate for it.
        default: The recipe's own batch size, in examples.
        largest_useful: Above it, more examples per update are mostly wasted: the noise scale, at most the
            size of the training split. A run with this batch takes twice the fewest possible updates, and
            twice the fewest possible examples.
        reason: How it was decided, in sentences with figures.
        noise_scale: The prediction behind `largest_useful`.
        fits: What fits in memory.
        cost: The cost of the search.
        table: One row per size: `batch`; `low`, `value`, `high` (its learning rate); `status`; `loss` (with
            that rate, after the same number of examples, mean over seeds); `error` (standard error over seeds
            of the difference from the best size, paired); `linear`, `linear_loss`, `sqrt`, `sqrt_loss` (the
            rate that each scaling rule derives from the own size's, and the loss it reached).
        recipe: The recipe with batch size and rate replaced.
    """

    value: int | None
    lr: float | None
    default: int
    largest_useful: int
    reason: str
    noise_scale: NoiseScale
    fits: Fits
    cost: Cost
    table: pl.DataFrame
    recipe: Recipe

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; the table becomes a list of rows."""
        return _plain_fields(self)


def _plain_fields(finding: LearningRateFinding | BatchFinding) -> dict[str, Any]:
    return {field.name: _plain(getattr(finding, field.name)) for field in fields(finding)}


def _plain(value: Any) -> Any:
    if isinstance(value, pl.DataFrame):
        return value.to_dicts()
    if isinstance(value, Recipe):
        return value.to_dict()
    if isinstance(value, Cost):
        return asdict(value) | {"share": value.share}
    return asdict(value) if isinstance(value, NoiseScale | Fits) else value
