"""The last step of every reader: arrays and a target in, `Data` with parts, preparation and notes out."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from thalweg.problem.data.data import CLASSIFICATION, REGRESSION, Data
from thalweg.problem.data.inputs.array import standard_figures
from thalweg.problem.data.note import Note
from thalweg.problem.data.preparation import Preparation
from thalweg.problem.data.split import Rows

# From here on the largest class answers so often that accuracy alone misleads.
IMBALANCE = 3.0


@dataclass(frozen=True)
class Pieces:
    """What a reader hands over.

    Args:
        name: Name of the set.
        task: `classification` or `regression`.
        inputs: Input arrays by part.
        targets: By part: int32 class numbers, or float64 values in their own unit, `example target`.
        preparation: Without the figures of the target, which are taken here.
        notes: What was pointed out so far.
    """

    name: str
    task: str
    inputs: Mapping[str, np.ndarray]
    targets: Mapping[str, np.ndarray]
    preparation: Preparation
    notes: tuple[Note, ...] = ()


def assemble(pieces: Pieces) -> Data:
    """Standardise regression targets, note imbalance, and join everything."""
    preparation, targets, notes = pieces.preparation, dict(pieces.targets), pieces.notes
    if pieces.task == REGRESSION:
        mean, scale = standard_figures(targets["train"])
        targets = {name: ((y - mean) / scale).astype(np.float32) for name, y in targets.items()}
        preparation = replace(preparation, target_mean=_one(mean), target_scale=_one(scale))
    elif pieces.task == CLASSIFICATION:
        notes += _imbalance(targets["train"], preparation.classes or ())
    parts = {name: Rows(pieces.inputs[name], y) for name, y in targets.items() if y.shape[0]}
    return Data(
        name=pieces.name,
        task=pieces.task,
        train=parts["train"],
        validation=parts.get("validation"),
        test=parts.get("test"),
        preparation=preparation,
        notes=notes,
    )


def _one(figures: np.ndarray) -> float | tuple[float, ...]:
    return float(figures[0]) if figures.size == 1 else tuple(figures.tolist())


def _imbalance(codes: np.ndarray, classes: tuple[Any, ...]) -> tuple[Note, ...]:
    counts = np.bincount(codes, minlength=len(classes))
    notes = []
    largest, smallest = int(counts.argmax()), int(counts.argmin())
    if counts[largest] >= IMBALANCE * counts[smallest]:
        most, least = counts[largest] / codes.size, counts[smallest] / codes.size
        text = (
            f"class {classes[largest]} has {most:.1%} of the training rows, class {classes[smallest]} "
            f"{least:.1%}: always answering {classes[largest]} would be right in {most:.1%}."
        )
        notes.append(Note("imbalance", text))
    return tuple(notes)
