"""The command that serves the playground: play."""

from typing import Annotated, Any

import typer

from thalweg.doors.cli.commands.training import fit
from thalweg.doors.cli.flags import READING, with_options_of

_OTHER_KINDS = {"context", "lines", "window", "horizon", "series", "size", "skip_broken", "weights", "json"}


@with_options_of(fit, only=READING - _OTHER_KINDS - {"data"})
def play(
    data: Annotated[
        str,
        typer.Argument(
            help="moons, circles, spirals, xor, sine, quadratic, linear; a surface: bowl, ravine, "
            "rosenbrock, saddle, plateau, bumps; or a table with two numeric columns and a target."
        ),
    ] = "moons",
    port: Annotated[int | None, typer.Option(help="Port; default: a free one.")] = None,
    show: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    **options: Any,
) -> None:
    """Serve the playground, on this machine only: train networks while you watch, and change settings."""
    options |= {"data": data, "port": port, "show": show}
    from thalweg.doors.cli import play as command

    raise typer.Exit(command.play(options))
