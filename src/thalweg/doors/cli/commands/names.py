"""Commands that show what can be named: recipes, browse, models."""

from pathlib import Path
from typing import Annotated

import typer

from thalweg.doors.cli.flags import (
    AllowImport,
    AsJson,
    Force,
)


def recipes(
    what: Annotated[
        list[str] | None,
        typer.Argument(help="`show NAME` for one entry, `plot NAME` for a schedule; default: all."),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="plot: updates of the run.")] = None,
    warmup: Annotated[float | None, typer.Option(help="plot: steps of a warmup.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="plot: change a setting: floor=0.1."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="plot: also draw it, to FILE.svg or FILE.html.")] = None,
    force: Force = False,
    allow_import: AllowImport = False,
    json: AsJson = False,
) -> None:
    """List optimizers, schedules and named recipes; show one; plot a schedule.

    `recipes show adamw` shows one in full, `recipes plot cosine --warmup 100 --steps 1000` the learning rate.
    """
    words = list(what or [])
    options = {"steps": steps, "warmup": warmup, "set_": set_, "out": out, "force": force}
    from thalweg.doors.cli import recipes as command

    raise typer.Exit(command.recipes(words, json, allow_import, options))


def browse(
    what: Annotated[
        list[str] | None,
        typer.Argument(help="datasets, models, losses, metrics, optimizers or schedules; then a name."),
    ] = None,
    json: AsJson = False,
) -> None:
    """Show what can be named: data sets, models, losses, metrics, optimizers, schedules."""
    from thalweg.doors.cli import browse as command

    raise typer.Exit(command.browse(what or [], json))


def models(
    what: Annotated[list[str] | None, typer.Argument(help="`show NAME` for one with its options.")] = None,
    json: AsJson = False,
) -> None:
    """List the models; `models show mlp` shows one with its options."""
    from thalweg.doors.cli import browse as command

    raise typer.Exit(command.browse(["models", *(what or [])], json))
