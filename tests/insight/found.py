"""Findings made from a seed, shaped like those of real searches: what readers of findings are tested on."""

import math
from dataclasses import replace

import numpy as np
import polars as pl

from thalweg.insight.finder.finding import (
    FITTED,
    LANE,
    SIZE,
    BatchFinding,
    Cost,
    Fits,
    LearningRateFinding,
    NoiseScale,
)
from thalweg.recipe.optimizers import AdamW
from thalweg.recipe.recipe import Recipe

BEST, OWN, EDGE = 4e-3, 1e-3, 0.15
# Of each rung: updates, distance between rates in doublings, rates each side of the best, seeds.
RUNGS = ((60, 2.0, 4, 1), (180, 1.0, 2, 2), (540, 0.5, 3, 3))


def finding(seed: int = 0) -> LearningRateFinding:
    """A search that went well: three rungs, the largest rates diverge."""
    random = np.random.default_rng(seed)
    rows = [row for rung in range(len(RUNGS)) for row in _rung(rung, random)]
    return LearningRateFinding(
        setting="optimizer.lr",
        value=3.7e-3,
        low=2.1e-3,
        high=6.4e-3,
        default=OWN,
        diverges=EDGE,
        predicted_edge=None,
        status="found",
        reason="Three rungs of 60, 180 and 540 updates; the loss is lowest at 0.004, over three seeds 0.012 "
        "below that of the recipe's own rate (95 % interval 0.008 to 0.016).",
        curve=pl.DataFrame(rows, schema=LANE, orient="row"),
        fitted=pl.DataFrame(_fitted(), schema=FITTED, orient="row"),
        cost=Cost(4_860, 50_000, 11.8),
        recipe=Recipe(AdamW(lr=3.7e-3), batch_size=128, epochs=5),
    )


def flat() -> LearningRateFinding:
    """All rates over two decades are as good."""
    found = finding()
    level = found.curve.with_columns(
        loss=0.3 + 0.001 * pl.col("seed") + 1e-4 * pl.col("rate"), diverged_at=None
    )
    return replace(
        found,
        status="flat",
        low=1e-4,
        high=3e-2,
        diverges=None,
        reason="No rate from 0.0001 to 0.03 differs from the others by more than the seeds do.",
        curve=level.with_columns(stopped=pl.lit("steps")),
        fitted=found.fitted.clear(),
    )


def kept() -> LearningRateFinding:
    """The budget was too small to tell: one short rung, and the recipe's own rate stays."""
    found = finding()
    return replace(
        found,
        value=OWN,
        low=1e-4,
        high=2e-2,
        status="cannot tell",
        reason="Nothing that was tried is better than the recipe's own rate by more than the seeds explain.",
        curve=found.curve.filter(pl.col("rung") == 0),
        fitted=found.fitted.clear(),
        cost=Cost(480, 50_000, 2.1),
    )


def lost() -> LearningRateFinding:
    """Every lane diverged."""
    found = finding()
    gone = found.curve.with_columns(
        loss=pl.lit(None, pl.Float64), stopped=pl.lit("diverged"), diverged_at=pl.lit(3, pl.Int64)
    )
    return replace(
        found,
        value=None,
        low=None,
        high=None,
        diverges=float(gone["rate"].min()),  # type: ignore[arg-type]
        status="all diverged",
        reason="Every lane diverged, down to the smallest rate that was tried.",
        curve=gone,
        fitted=found.fitted.clear(),
    )


def full_batch() -> LearningRateFinding:
    """Plain descent on the whole training part, with its predicted edge beside the observed one."""
    return replace(finding(), predicted_edge=0.12)


def empty() -> LearningRateFinding:
    """No lane was trained at all."""
    found = kept()
    return replace(
        found, low=None, high=None, diverges=None, curve=found.curve.clear(), cost=Cost(0, 50_000, 0.0)
    )


def batches() -> BatchFinding:
    """Six batch sizes; the rate grows with the square root of the size, and linear scaling diverges."""
    rows = []
    for place, size in enumerate((32, 64, 128, 256, 512, 1024)):
        rate = 1e-3 * 2 ** (place / 2)
        reached = 0.2 + 0.001 * place + 0.02 * max(0, place - 3) ** 2
        linear = 1e-3 * 2.0**place
        rows.append(
            {
                "batch": size,
                "low": rate / 1.6,
                "value": rate,
                "high": rate * 1.6,
                "status": "found",
                "loss": reached,
                "linear": linear,
                "linear_loss": reached + 0.05 if place < 4 else None,
                "sqrt": rate,
                "sqrt_loss": reached,
                "error": 0.002,
            }
        )
    return BatchFinding(
        value=256,
        lr=2.83e-3,
        default=128,
        noise_scale=NoiseScale(310.0, 180.0, 620.0, 40),
        largest_useful=310,
        fits=Fits(16_384, 2**20, 4096.0, 2**31, 0.2),
        table=pl.DataFrame(rows, schema=SIZE),
        reason="The gradient noise scale is 310 examples (180 to 620, 95 %).",
        cost=Cost(31_000, 50_000, 44.0),
        recipe=Recipe(AdamW(lr=2.83e-3), batch_size=256, epochs=5),
    )


def no_batch() -> BatchFinding:
    """No size lets it learn, and no gradient can be told from its noise."""
    found = batches()
    gone = [name for name in found.table.columns if name not in ("batch", "status")]
    return replace(
        found,
        value=None,
        lr=None,
        noise_scale=NoiseScale(math.inf, 50.0, math.inf, 40),
        table=found.table.with_columns(**{name: pl.lit(None, pl.Float64) for name in gone}),
    )


def _rung(rung: int, random: np.random.Generator) -> list[tuple]:
    steps, apart, reach, seeds = RUNGS[rung]
    rows = []
    for place in range(-reach, reach + 1):
        rate = BEST * 2.0 ** (apart * place)
        for seed in range(seeds):
            loss = _loss(rate, steps) + random.normal(0, 0.01 * 60 / steps)
            gone = rate > 0.9 * EDGE
            ended = (None, None, "diverged", 7) if gone else (loss, 0.9 * loss, "steps", None)
            rows.append((rung, steps, rate, seed, *ended))
    return rows


def _loss(rate: float, steps: float) -> float:
    away = math.log2(rate / BEST)
    return 0.05 + 1.6 * (60 / steps) ** 0.5 * min(1.0, 0.25 + 0.02 * away**2)


def _fitted() -> list[tuple]:
    rates = BEST * 2.0 ** np.linspace(-2, 2, 33)
    return [
        (rate, _loss(rate, 3000), _loss(rate, 3000) - 0.01, _loss(rate, 3000) + 0.01)
        for rate in rates.tolist()
    ]
