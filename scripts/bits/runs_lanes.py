"""Runs of several recipes at once: both layouts, halving, lanes that stop early, sweeps."""

from pathlib import Path

from bits.data import library, streamed, text_data
from bits.harness import fit_lanes, recipe_of, run, thalweg


@run("lanes/mapped")
def _mapped(folder: Path) -> None:
    recipes = recipe_of(library().SGD(lr=0.01)).vary(lr=[0.01, 0.03, 0.1], seed=[0, 1])
    fit_lanes(folder, recipes, strict=True)


@run("lanes/batched")
def _batched(folder: Path) -> None:
    # A network this small is always laid out in one product, and the work is too short for a timing trial.
    fit_lanes(folder, recipe_of(library().SGD(lr=0.01)).vary(lr=[0.01, 0.02, 0.04], seed=[0, 1]))


@run("lanes/batched-by-seed")
def _batched_by_seed(folder: Path) -> None:
    fit_lanes(folder, recipe_of().vary(lr=[0.001, 0.002, 0.004, 0.008, 0.016], seed=[0, 1]))


@run("lanes/batched-text")
def _batched_text(folder: Path) -> None:
    problem = library().Problem(library().RNN(8, embedding=4), text_data())
    fit_lanes(folder, recipe_of(steps=20).vary(lr=[0.001, 0.002, 0.004, 0.008]), problem)


@run("lanes/groups")
def _several_groups(folder: Path) -> None:
    tw = library()
    recipes = [recipe_of(rule, batch_size=size) for rule in (tw.SGD(lr=0.05), tw.Adam()) for size in (8, 16)]
    fit_lanes(folder, recipes, strict=True)


@run("lanes/diverging")
def _diverging(folder: Path) -> None:
    fit_lanes(folder, recipe_of(library().SGD(lr=0.01)).vary(lr=[0.01, 1e8, 0.1, 1e9]), strict=True)


@run("lanes/diverging-batched")
def _diverging_batched(folder: Path) -> None:
    fit_lanes(folder, recipe_of(library().SGD(lr=0.01)).vary(lr=[0.01, 1e8, 0.1, 1e9]))


@run("lanes/halving")
def _halving(folder: Path) -> None:
    recipes = recipe_of(library().SGD(lr=0.01), steps=440).vary(lr=[0.001, 0.01, 0.1, 0.3], seed=[0, 1])
    fit_lanes(folder, recipes, strict=True, halving=library().Halving(factor=2.0))


@run("lanes/patience")
def _lane_patience(folder: Path) -> None:
    recipes = recipe_of(library().SGD(lr=0.01), steps=660, patience=1).vary(lr=[0.01, 2.0])
    fit_lanes(folder, recipes, strict=True)


@run("lanes/streamed")
def _lanes_streamed(folder: Path) -> None:
    fit_lanes(folder, recipe_of().vary(lr=[0.001, 0.01]), streamed(), strict=True)


@run("lanes/sampled")
def _sampled(folder: Path) -> None:
    fit_lanes(
        folder, recipe_of().sample(4, {"lr": (1e-4, 1e-1), "weight_decay": [0.0, 0.1]}, key=3), strict=True
    )


@run("sweep/vary")
def _sweep(folder: Path) -> None:
    thalweg(
        *("sweep", "iris", "--vary", "optimizer.lr=1e-4..1e-1:3log", "--vary", "seed=0..1"),
        *("--model", "mlp:8", "--steps", 40, "--strict", "--out", folder / "run", "-q"),
    )


@run("sweep/models")
def _sweep_models(folder: Path) -> None:
    thalweg(
        *("sweep", "iris", "--vary", "model=mlp:8,linear", "--vary", "seed=0..1"),
        *("--steps", 30, "--strict", "--out", folder / "run", "-q"),
    )


@run("sweep/halving")
def _sweep_halving(folder: Path) -> None:
    thalweg(
        *("sweep", "iris", "--vary", "optimizer.lr=1e-4..1e-1:4log", "--sample", 4, "--halving"),
        *("--model", "mlp:8", "--steps", 300, "--strict", "--out", folder / "run", "-q"),
    )
