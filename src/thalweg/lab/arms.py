"""`Arms`: what the variants of an experiment gave, seed by seed, and their curves."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from thalweg.insight.curves import Curve, evaluated, per_step, smooth
from thalweg.insight.trials import Trials
from thalweg.lab.chart import Series
from thalweg.run.run import Run

BySeed = dict[int, float]
# Points of a curve in a figure, whose area is about 400 pixels wide.
POINTS = 160


@dataclass(frozen=True)
class Arms:
    """Variants trained over the same seeds.

    Args:
        trials: From `run_trials`.
        labels: What a variant is called in figures, where it differs from its name.
    """

    trials: Trials
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """The variants, in their order."""
        return list(dict.fromkeys(self.trials.table["variant"]))

    def runs(self, name: str) -> list[Run]:
        """Return a variant's runs, in the order of the seeds."""
        runs = [run for sweep in self.trials.sweeps for run in sweep]
        return [run for run, row in zip(runs, self.trials.table["variant"], strict=True) if row == name]

    def values(self, name: str, column: str = "loss") -> BySeed:
        """Return a figure of a variant for each seed; a loss is infinite where the lane diverged.

        Args:
            name: The variant.
            column: A column of `Trials.table` (`loss` and `metric` are those on the validation split), or
                `test_loss`, `test_metric`, `steps`, `seconds`, `train_metric`.
        """
        rows = self.trials.table.filter(pl.col("variant") == name)
        if column in rows.columns:
            found = rows[column].to_list()
        else:
            found = [_figure(run.result.get(column)) for run in self.runs(name)]
        lost = math.inf if "loss" in column else math.nan
        return {seed: lost if v is None else float(v) for seed, v in zip(rows["seed"], found, strict=True)}

    def gap(self, name: str, baseline: str, column: str = "loss") -> BySeed:
        """Return a variant's figure minus that of the baseline, seed by seed."""
        ours, theirs = self.values(name, column), self.values(baseline, column)
        return {seed: ours[seed] - theirs[seed] for seed in ours if seed in theirs}

    def ratio(self, name: str, baseline: str, column: str = "loss") -> BySeed:
        """Return a variant's figure as a multiple of that of the baseline, seed by seed."""
        ours, theirs = self.values(name, column), self.values(baseline, column)
        return {seed: ours[seed] / max(theirs[seed], 1e-30) for seed in ours if seed in theirs}

    def diverged(self, name: str) -> BySeed:
        """Return 1 for each seed whose lane diverged, else 0."""
        rows = self.trials.table.filter(pl.col("variant") == name)
        return {
            seed: float(at is not None) for seed, at in zip(rows["seed"], rows["diverged_at"], strict=True)
        }

    def steps_to(self, name: str, loss: float, window: int = 1) -> BySeed:
        """Return, for each seed, the updates until the training loss is below a value; infinite if never.

        Args:
            name: The variant.
            loss: The value.
            window: Updates that the loss is averaged over.
        """
        found = {}
        for run in self.runs(name):
            curve = smooth(per_step(run.record, "loss"), window)
            below = np.flatnonzero(curve.value < loss)
            found[run.recipe.seed] = float(curve.step[below[0]]) + 1 if len(below) else math.inf
        return found

    def curve(self, name: str, column: str = "loss", split: str = "", window: int = 1) -> list[Curve]:
        """Return a variant's curves, one for each seed.

        Args:
            name: The variant.
            column: Of the record's steps (`loss`, `learning_rate`, `gradient_norm`), or with a split, of its
                evaluations (`loss`, `metric`).
            split: `validation`, `test` or `train`; empty for the loss of each batch.
            window: Updates that are averaged.
        """
        records = [run.record for run in self.runs(name)]
        if split:
            return [evaluated(record, split, column) for record in records]
        return [smooth(per_step(record, column), window) for record in records]

    def series(
        self, column: str = "loss", split: str = "", window: int = 1, names: list[str] | None = None
    ) -> list[Series]:
        """Return the mean curve of every variant, with the range over seeds, for a figure."""
        drawn = []
        for name in names or self.names:
            curves = [curve for curve in self.curve(name, column, split, window) if len(curve)]
            if not curves:
                continue
            length = min(len(curve) for curve in curves)
            every = max(1, -(-length // POINTS))
            values = np.stack([curve.value[:length:every] for curve in curves])
            mean, low, high = values.mean(axis=0), values.min(axis=0), values.max(axis=0)
            label = self.labels.get(name, name)
            drawn.append(Series(label, curves[0].step[:length:every], mean, low, high))
        return drawn


def _figure(value: object) -> float | None:
    found = value.get("value") if isinstance(value, Mapping) else value
    return None if found is None else float(found)  # type: ignore[arg-type]
