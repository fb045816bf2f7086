"""The command that draws the loss as a function of the weights: landscape."""

from pathlib import Path
from typing import Annotated

import typer

from thalweg.doors.cli.flags import AsJson, Chosen, Folder, Force, Quiet, SetPath, Unverified, Weights


def landscape(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...",
            help="One run folder (the loss around it), two (between them), three (the plane through them); "
            "or a surface: bowl, ravine, rosenbrock, saddle, plateau, bumps.",
        ),
    ],
    plane: Annotated[
        str | None, typer.Option(help="random, path (the run's own) or runs; default: random for one run.")
    ] = None,
    path: Annotated[bool, typer.Option("--path", help="Draw the run's path on a random plane too.")] = False,
    side: Annotated[int, typer.Option(help="Points along a side.")] = 51,
    adaptive: Annotated[
        bool, typer.Option("--adaptive", help="Evaluate at most 300 points; the error is stated.")
    ] = False,
    span: Annotated[
        float, typer.Option(help="Half a side of a random plane; 1 is the norm of a filter.")
    ] = 1.0,
    seed: Annotated[int, typer.Option(help="Seed of the random directions.")] = 0,
    split: Annotated[str, typer.Option(help="Whose loss: train, validation or test.")] = "train",
    rows: Annotated[int, typer.Option(help="The most examples to use; 0 for all.")] = 10_000,
    batch_norm: Annotated[
        str | None,
        typer.Option(help="Running statistics: frozen or recomputed; default: recomputed for several runs."),
    ] = None,
    curve: Annotated[int, typer.Option(help="Between two runs: updates to train a low-loss curve for.")] = 0,
    curvature: Annotated[
        bool, typer.Option("--curvature", help="Also the Hessian's eigenvalues, trace and density.")
    ] = False,
    sharpness: Annotated[
        bool, typer.Option("--sharpness", help="Also the largest eigenvalue along the run.")
    ] = False,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH=RANGE",
            help="On a surface: recipes to draw (repeatable): optimizer=sgd,momentum,adam.",
        ),
    ] = None,
    set_: SetPath = None,
    steps: Annotated[int, typer.Option(help="On a surface: updates of each recipe.")] = 30,
    start: Annotated[
        str | None, typer.Option(metavar="W0,W1", help="On a surface: where paths start.")
    ] = None,
    noise: Annotated[float, typer.Option(help="On a surface: noise of the gradient.")] = 0.0,
    data: Annotated[
        str | None, typer.Option(help="Where the data are now, if they moved; they must be unchanged.")
    ] = None,
    weights: Weights = "",
    unverified: Unverified = False,
    folder: Folder = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="FILE.html; default: landscape.html in the run folder, or here. FILE.svg beside it."
        ),
    ] = None,
    force: Force = False,
    device: Chosen = None,
    json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Draw the loss as a function of the weights: around a run, between runs, with paths and curvature."""
    options = dict(locals())
    from thalweg.doors.cli import landscape as command

    raise typer.Exit(command.landscape(options))
