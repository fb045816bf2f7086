"""A sweep of 16 lanes as a process of its own: `python -m tests.faults.sweep FOLDER` starts or resumes it."""

import sys

from tests.made import blobs
from thalweg.problem.models import MLP
from thalweg.problem.problem import Problem
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe
from thalweg.run.resume import is_resumable, resume
from thalweg.run.spec import SaveOptions
from thalweg.run.train import train


def main(folder: str) -> None:
    """Start or resume the sweep in a folder."""
    problem = Problem(MLP([6, 16, 3]), blobs(count=1500))
    rates = [10 ** (-4 + lane / 4) for lane in range(15)] + [1e6]
    if is_resumable(folder):
        resume(folder, problem)
        return
    recipes = [Recipe(SGD(lr=rate, momentum=0.9), batch_size=8, epochs=30) for rate in rates]
    train(problem, recipes, keep=SaveOptions(folder, force=True, every="200"), strict=True)


if __name__ == "__main__":
    main(sys.argv[1])
