"""Runs that search for a learning rate, a batch size or a recipe."""

from pathlib import Path

import polars as pl

from bits.data import library
from bits.harness import keep_table, recipe_of, run, small_net, thalweg


@run("find/rate")
def _find(folder: Path) -> None:
    thalweg("find", "iris", "--model", "mlp:8", "--budget", 3, "--out", folder / "found", "-q")


@run("find/batch")
def _find_batch(folder: Path) -> None:
    thalweg(
        *("find", "iris", "--model", "linear", "--batch", "16,32", "--budget", 1, "--epochs", 20),
        *("--out", folder / "found", "-q"),
    )


@run("find/fit-auto")
def _fit_auto(folder: Path) -> None:
    thalweg("fit", "iris", "--model", "mlp:8", "--lr", "auto", "--epochs", 60, "--out", folder / "run", "-q")


@run("find/range-test")
def _range_test(folder: Path) -> None:
    test = library().range_test(small_net(), recipe_of(), factor=1.3)
    numbers = {name: value for name, value in vars(test).items() if isinstance(value, int | float)}
    keep_table(folder, "readings", {name: [value] for name, value in numbers.items()})
    for name, value in vars(test).items():
        if isinstance(value, pl.DataFrame):
            keep_table(folder, name, value)


@run("find/search")
def _search(folder: Path) -> None:
    tw = library()
    budget = tw.Budget(trials=4, lanes=2)
    result = tw.search(small_net(), recipe_of(), {"lr": (1e-4, 1e-1)}, budget, key=1)
    keep_table(folder, "trials", result.table)
