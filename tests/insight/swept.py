"""Sweeps made from a seed, shaped like those of real ones: what readers of sweeps are tested on."""

import math
from pathlib import Path

import numpy as np
import polars as pl

from tests.insight import made
from thalweg.run.folder.sweep_record import Sweep

RATES = (1e-4, 2.5e-4, 6.3e-4, 1.6e-3, 4e-3, 0.01, 0.025, 0.063)
BEST_RATE = {"sgd": 0.04, "adamw": 2.5e-3, "muon": 0.016}


def row(lane: int, loss: float | None, **values) -> dict:
    """Return a lane's row; no loss is a lane that diverged at step 37."""
    told = {
        "lane": lane,
        "group": 0,
        "stopped": "diverged" if loss is None else "epochs",
        "steps": 37 if loss is None else 900,
        "epochs": 2.0,
        "diverged_at": 37 if loss is None else None,
        "train_loss": None if loss is None else 0.8 * loss,
        "validation_loss": loss,
        "validation_metric": None if loss is None else 1 - loss / 3,
        "test_loss": None if loss is None else 1.1 * loss,
        "test_metric": None if loss is None else 1 - loss / 2.8,
    }
    return told | values


def table(rows: list[dict]) -> pl.DataFrame:
    """Return rows as the table of a sweep."""
    return pl.DataFrame(rows, infer_schema_length=None, strict=False)


def sweep(
    optimizers: tuple[str, ...] = ("adamw",),
    decays: tuple[float, ...] = (0.1,),
    seeds: int = 3,
    seed: int = 0,
) -> Sweep:
    """Return a sweep over learning rates; the largest diverge."""
    random, rows = np.random.default_rng(seed), []
    for optimizer in optimizers:
        for decay in decays:
            for rate in RATES:
                for number in range(seeds):
                    away = math.log10(rate / BEST_RATE[optimizer])
                    loss = (
                        0.08 + 0.05 * away**2 + 0.01 * math.log10(10 * decay) ** 2 + random.normal(0, 0.004)
                    )
                    lost = rate > 12 * BEST_RATE[optimizer]
                    values = {
                        "optimizer": optimizer,
                        "optimizer.lr": rate,
                        "optimizer.weight_decay": decay,
                        "seed": number,
                    }
                    rows.append(row(len(rows), None if lost else loss, **values))
    counts = {"optimizer": len(optimizers), "optimizer.lr": len(RATES)}
    counts |= {"optimizer.weight_decay": len(decays), "seed": seeds}
    record = made.classification(steps=50)
    result = {
        "run": "runs/swept-1",
        "stopped": {"epochs": len(rows)},
        "data": "mnist",
        "task": "classification",
        "model": "mlp:512",
        "parameters": 669_706,
        "metric": {"name": "accuracy", "higher_is_better": True},
        "lanes": len(rows),
        "varied": [path for path, number in counts.items() if number > 1],
        "groups": [list(range(len(rows)))],
        "recipe": made.RECIPE,
        "seconds": {"total": 33.0, "compile": 2.0, "train": 28.0, "evaluate": 2.0},
    }
    frame = table(rows).drop([path for path, number in counts.items() if number == 1])
    return Sweep(Path("runs/swept-1"), result, frame, record.problem, made.ENVIRONMENT)
