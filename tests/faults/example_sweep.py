"""Lanes of a script of `examples/`: `python -m tests.faults.example_sweep FOLDER EXAMPLE LANES [alone]`.

Starts or resumes the sweep; with `alone`, trains its recipes one after the other.
"""

import dataclasses
import sys
from pathlib import Path

from tests.test_examples import loaded
from thalweg.run.resume import is_resumable, resume
from thalweg.run.spec import SaveOptions
from thalweg.run.train import train

STEPS = 400


def main(folder: Path, name: str, lanes: int, alone: bool) -> None:
    """Start or resume the sweep in a folder, or train its recipes one after the other."""
    example = loaded(Path(__file__).parents[2] / "examples" / f"{name}.py")
    problem, recipe = example.problem(), dataclasses.replace(example.recipe(), epochs=None, steps=STEPS)
    rates = [recipe.optimizer.lr * 10 ** (lane % 8 / 4 - 1) for lane in range(lanes)]
    recipes = [
        dataclasses.replace(recipe, seed=lane, optimizer=dataclasses.replace(recipe.optimizer, lr=rate))
        for lane, rate in enumerate(rates)
    ]
    if alone:
        for number, one in enumerate(recipes):
            train(problem, one, keep=folder / f"{number:03d}", progress=False)
    elif is_resumable(folder):
        resume(folder, problem)
    else:
        train(problem, recipes, keep=SaveOptions(folder, force=True, every="40"), strict=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), alone=sys.argv[4:] == ["alone"])
