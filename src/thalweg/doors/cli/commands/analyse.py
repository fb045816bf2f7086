"""Commands that look into a training step: tape; and before it: cost."""

from pathlib import Path
from typing import Annotated, Any

import typer

from thalweg.doors.cli.commands.training import fit
from thalweg.doors.cli.flags import (
    READING,
    AsJson,
    Chosen,
    DrawnPage,
    Force,
    Unverified,
    Weights,
    one_or_several,
    with_options_of,
)


def tape(
    run: Annotated[
        Path, typer.Argument(help="A run folder; or a script whose problem() and recipe() are recorded.")
    ],
    example: Annotated[int, typer.Option(help="Number of the example in the training split.", min=0)] = 0,
    born: Annotated[
        bool,
        typer.Option("--born", help="Replay a diverged run: where NaN was made, by which op and example."),
    ] = False,
    script: Annotated[
        Path | None,
        typer.Option(help="Script whose problem() the run trained, where it cannot be rebuilt from names."),
    ] = None,
    data: Annotated[str | None, typer.Option(help="Where the data are now, if they moved.")] = None,
    weights: Weights = "",
    page: DrawnPage = None,
    force: Force = False,
    unverified: Unverified = False,
    device: Chosen = None,
    json: AsJson = False,
) -> None:
    """Show one example's forward and backward pass, op by op or layer by layer."""
    options = dict(locals())
    from thalweg.doors.cli import tape as command

    raise typer.Exit(command.tape(options))


@with_options_of(fit, only=READING | {"model", "recipe", "set_", "epochs", "steps", "seed"})
def cost(
    batch: Annotated[
        str | None,
        typer.Option(metavar="SIZES", help="Compare batch sizes: 32..1024:2x (doubling), or 32,64,128."),
    ] = None,
    fit_in: Annotated[
        str | None,
        typer.Option(metavar="BYTES", help="Change the recipe so that it needs at most this: 2GB, 512MiB."),
    ] = None,
    device: Annotated[
        str, typer.Option(help="cpu for this machine, or A100, H100, H200, L4, T4, RTX4090, TPUv4, TPUv5e.")
    ] = "cpu",
    measure: Annotated[
        bool, typer.Option("--measure", help="Measure this machine's rates again; they are kept.")
    ] = False,
    **options: Any,
) -> None:
    """Print what training on DATA would cost: operations, memory, time; nothing is compiled or trained."""
    options |= {"batch": batch, "fit_in": fit_in, "device": device, "measure": measure}
    options["data"] = one_or_several(options["data"])
    from thalweg.doors.cli import cost as command

    raise typer.Exit(command.cost(options))
