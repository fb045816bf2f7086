"""What each parameter did over a run: sizes of weights, gradients and updates, as tables over time."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Float

from thalweg.insight.curves import one_lane
from thalweg.run.folder.record import Record

# Roles that make up the bulk of a network; the others (biases, scales) are left out of crowded figures.
BULK = ("matrix", "kernel", "embedding")


@dataclass(frozen=True)
class LayerHistory:
    """Figures per parameter and time; NaN where none was taken.

    Args:
        paths: The parameters, in the model's order.
        step: When, `time`.
        weight_norm, gradient_norm, update_norm: Euclidean norms, `parameter time`; an update norm is of one
            update, right after the step.
    """

    paths: tuple[str, ...]
    step: Float[np.ndarray, " time"]
    weight_norm: Float[np.ndarray, "parameter time"]
    gradient_norm: Float[np.ndarray, "parameter time"]
    update_norm: Float[np.ndarray, "parameter time"]

    @property
    def update_ratio(self) -> Float[np.ndarray, "parameter time"]:
        """Size of one update against the size of the weights; NaN where the weights are all zero."""
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = self.update_norm / self.weight_norm
        return np.where(np.isfinite(ratio), ratio, np.nan)

    @property
    def unmoved(self) -> list[str]:
        """Parameters whose every recorded update was exactly zero, at two recordings or more."""
        still = (self.update_norm == 0.0).sum(axis=1)
        seen = np.isfinite(self.update_norm).sum(axis=1)
        return [path for path, zeros, all_ in zip(self.paths, still, seen, strict=True) if zeros == all_ >= 2]

    def only(self, paths: set[str]) -> "LayerHistory":
        """Return the history of some parameters."""
        keep = [row for row, path in enumerate(self.paths) if path in paths]
        return LayerHistory(
            tuple(self.paths[row] for row in keep),
            self.step,
            self.weight_norm[keep],
            self.gradient_norm[keep],
            self.update_norm[keep],
        )


def layer_history(record: Record) -> LayerHistory | None:
    """Read layers.parquet; None when the run recorded nothing per layer."""
    frame = one_lane(record.layers)
    if not frame.height or not {"step", "path"} <= set(frame.columns):
        return None
    paths = _ordered(record, frame["path"].unique(maintain_order=True).to_list())
    steps = frame["step"].unique().sort().to_list()
    rows = np.array([{path: row for row, path in enumerate(paths)}[path] for path in frame["path"]])
    columns = np.searchsorted(np.array(steps), frame["step"].to_numpy())

    def spread(name: str) -> Float[np.ndarray, "parameter time"]:
        table = np.full((len(paths), len(steps)), np.nan)
        if name in frame.columns:
            table[rows, columns] = frame[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
        return table

    return LayerHistory(
        tuple(paths),
        np.array(steps, float),
        spread("weight_norm"),
        spread("gradient_norm"),
        spread("update_norm"),
    )


def bulk(record: Record, history: LayerHistory, most: int = 30) -> LayerHistory:
    """Return all parameters while they are at most `most`, else only matrices, kernels and embeddings."""
    if len(history.paths) <= most:
        return history
    told = {layer.get("path"): layer.get("role") for layer in layer_table(record)}
    chosen = {path for path in history.paths if told.get(path, BULK[0]) in BULK and not path.endswith("bias")}
    return history.only(chosen) if chosen else history


def layer_table(record: Record) -> list[dict[str, object]]:
    """Return the rows of problem.json's layer table: path, shape, role, count."""
    model = record.problem.get("model")
    layers = model.get("layers") if isinstance(model, dict) else None
    return [dict(layer) for layer in layers if isinstance(layer, dict)] if isinstance(layers, list) else []


def _ordered(record: Record, paths: list[str]) -> list[str]:
    rank = {layer.get("path"): place for place, layer in enumerate(layer_table(record))}
    return sorted(paths, key=lambda path: rank.get(path, len(rank)))
