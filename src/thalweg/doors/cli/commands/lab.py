"""Commands of the lab: claims about training as experiments, and the checklist that they try."""

from pathlib import Path
from typing import Annotated

import typer

from thalweg.doors.cli.flags import AsJson, Chosen, Quiet


def lab(
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[run|show] [NAME]",
            help="`run NAME` runs an experiment, `show NAME` shows it; default: all, with their verdicts.",
        ),
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="run: all experiments, as a book.")] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="run: one seed and a few updates; only arithmetic is judged.")
    ] = False,
    seeds: Annotated[int, typer.Option(help="run: seeds of every variant.")] = 5,
    code: Annotated[bool, typer.Option("--code", help="show: the text of the experiment.")] = False,
    out: Annotated[
        Path, typer.Option(help="Folder of the book; an experiment is written to FOLDER/NAME.")
    ] = Path("runs/lab"),
    markdown: Annotated[
        Path | None,
        typer.Option(help="run: also renew the entries in the book as Markdown with pictures, here."),
    ] = None,
    device: Chosen = None,
    json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Run the claims of textbooks about training as experiments, with a figure and a verdict each.

    `lab run shuffling` runs one, `lab show shuffling --code` prints it, `lab run --all` makes the whole book.
    """
    options = dict(locals())
    from thalweg.doors.cli import lab as command

    raise typer.Exit(command.lab(options))


def audit(
    what: Annotated[
        str,
        typer.Argument(
            metavar="RECIPE|RUN", help="A recipe's name or TOML file, an optimizer's name, or a run folder."
        ),
    ],
    json: AsJson = False,
) -> None:
    """Compare a recipe, or a run, with the texts' checklist; each point names the experiments that try it."""
    from thalweg.doors.cli import audit as command

    raise typer.Exit(command.audit_recipe({"what": what, "json": json}))
