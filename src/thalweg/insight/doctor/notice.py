"""What is certain from a problem and a recipe before anything is compiled: one line of `fit`.

Only what needs no program: settings of the recipe and of the library's architectures, and labels on the host.
Everything else is the doctor's.
"""

import numpy as np

from thalweg.problem.data.data import CLASSIFICATION
from thalweg.problem.data.split import Rows
from thalweg.problem.models.architecture import Architecture
from thalweg.problem.problem import Problem
from thalweg.recipe.recipe import Recipe

# Settings beyond which no run trains: see the checks of the doctor for their sources.
DECAY, DROPOUT, BATCH = 10.0, 0.9, 2
# Share of neighbouring rows of one class from which on rows are taken as sorted; and rows that are looked at.
TOGETHER, LOOKED_AT = 0.95, 10_000


def noticed(problem: Problem, recipe: Recipe) -> str | None:
    """Return the first certain finding as a sentence with the command that says more; None without."""
    found = next(filter(None, (_model(problem, recipe), _recipe(recipe), _order(problem, recipe))), None)
    return None if found is None else f"doctor: {found}; thalweg doctor tries it and what repairs it"


def _model(problem: Problem, recipe: Recipe) -> str | None:
    model = problem.model
    if not isinstance(model, Architecture):
        return None
    start = str(getattr(model, "initialisation", ""))
    hidden = len(getattr(model, "sizes", ()) or ()) > 2
    if hidden and start.split(":")[0] in ("zeros", "ones", "constant"):
        return f"initialisation={start} makes all units of a layer copies of each other (init_symmetric)"
    share = float(getattr(model, "dropout", 0.0) or 0.0)
    if share > DROPOUT:
        return f"dropout={share:g} removes most of the signal (dropout_high)"
    size = recipe.batch(problem.data.train.count())
    if getattr(model, "normalisation", "") == "batch" and size <= BATCH:
        return f"batch norm takes its statistics from {size} rows (batchnorm_small_batch)"
    return None


def _recipe(recipe: Recipe) -> str | None:
    decay = float(getattr(recipe.optimizer, "weight_decay", 0.0) or 0.0)
    return f"weight_decay={decay:g} dominates the loss (decay_strong)" if decay > DECAY else None


def _order(problem: Problem, recipe: Recipe) -> str | None:
    split = problem.data.train
    if problem.data.task != CLASSIFICATION or recipe.shuffle != "none" or not isinstance(split, Rows):
        return None
    if recipe.batch(split.count()) >= split.count():
        return None
    labels = np.asarray(split.targets)[:LOOKED_AT].reshape(-1)
    if len(labels) < 20 or len(np.unique(labels)) < 2:
        return None
    together = float(np.mean(labels[1:] == labels[:-1]))
    return "rows are read in the order of their classes (data_unshuffled)" if together > TOGETHER else None
