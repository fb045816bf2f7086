"""A sweep on the workers of Dask: `python dask_sweep.py` (pip install 'thalweg[dask]')."""

from pathlib import Path
from tempfile import TemporaryDirectory

import thalweg as tw


def main(workers: int = 2) -> list[float]:
    """Return the validation loss of each rate."""
    problem = tw.Problem(tw.MLP([64, 32, 10]), tw.load("digits"))
    recipes = [tw.Recipe(tw.AdamW(rate), epochs=2) for rate in (1e-4, 1e-3, 1e-2)]
    with TemporaryDirectory() as place, tw.executor(f"dask:local:{workers}") as cluster:
        runs = tw.train(problem, recipes, executor=cluster, keep=Path(place) / "sweep")
        return [run.result["validation_loss"] for run in runs]


if __name__ == "__main__":
    print(main())
