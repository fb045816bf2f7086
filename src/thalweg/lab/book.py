"""The book: its chapters, and the experiments, which are found by their files."""

import sys
from importlib import import_module
from inspect import getsource
from pkgutil import iter_modules

from thalweg.core.errors import BadInput, did_you_mean
from thalweg.lab.experiment import Experiment

PACKAGE = "thalweg.lab"
# Chapters are folders of this package, in this order.
CHAPTERS = {
    "updates": "The update",
    "rates": "Learning rate",
    "regimes": "Full batch, one example, mini-batch",
    "orders": "Shuffling",
    "optimizers": "Optimizers",
    "schedules": "Schedules and averaging",
    "gradients": "Gradients",
    "costs": "Cost",
    "surfaces": "Surfaces",
    "models": "Models and losses",
    "recipes": "Recipes",
    "issues": "Training issues",
}


def names() -> dict[str, str]:
    """Return the chapter of every experiment by its name, in the order of the book; nothing is imported."""
    found = {}
    for chapter in CHAPTERS:
        package = import_module(f"{PACKAGE}.{chapter}")
        for module in sorted(iter_modules(package.__path__), key=lambda each: each.name):
            found[module.name] = chapter
    return found


def find(name: str) -> Experiment:
    """Return an experiment.

    Raises:
        BadInput: There is none of this name.
    """
    chapters = names()
    if not isinstance(name, str) or name not in chapters:
        hint = did_you_mean(str(name), chapters)
        raise BadInput("lab", "must be the name of an experiment", got=name, hint=hint)
    return getattr(import_module(f"{PACKAGE}.{chapters[name]}.{name}"), name)


def experiments() -> list[Experiment]:
    """Return all experiments, chapter by chapter."""
    return [find(name) for name in names()]


def code(experiment: Experiment) -> str:
    """Return the text of an experiment's file; of one that is at hand only, the function's."""
    return getsource(sys.modules.get(experiment.module, experiment.function))
