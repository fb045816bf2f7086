"""The `thalweg` command: the list of commands, and the exit code of every outcome."""

import gc
import sys
from importlib import metadata
from typing import Annotated, Any

import typer

from thalweg.core.caller import command_line
from thalweg.core.stop_reason import EXIT_DONE, EXIT_INTERRUPTED
from thalweg.doors.cli.commands import analyse, diagnose, lab, landscape, names, play, runs, training
from thalweg.doors.cli.shortage import reject_small_address_space
from thalweg.doors.cli.usage import report_error

# Allocations between two runs of Python's garbage collector. With its default of 700 it ran 400 times while
# JAX was imported and programs were traced: 0.25 s of a short command, with almost nothing to collect.
COLLECT_EVERY = 50_000

# By panel of `thalweg --help`, in this order. A command has the name of its function.
COMMANDS = {
    "Train": (training.fit, training.best, training.sweep, training.find, training.resume),
    "Data": (training.data,),
    "Runs": (
        *(runs.predict, runs.evaluate, runs.export, runs.serve, runs.show, runs.runs),
        *(runs.compare, runs.report, runs.check, runs.watch),
    ),
    "Understand": (
        diagnose.doctor,
        diagnose.race,
        analyse.cost,
        analyse.tape,
        landscape.landscape,
        lab.lab,
        lab.audit,
        play.play,
    ),
    "Names": (names.browse, names.models, names.recipes),
}

app = typer.Typer(
    name="thalweg",
    help="Train neural networks by gradient descent, and know why a run works or does not.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for panel, commands in COMMANDS.items():
    for command in commands:
        app.command(rich_help_panel=panel)(command)


def version(requested: bool) -> None:
    """Print the version and exit."""
    if requested:
        typer.echo(f"thalweg {metadata.version('thalweg')}")
        raise typer.Exit


@app.callback()
def options(
    _version: Annotated[
        bool, typer.Option("--version", callback=version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Train neural networks by gradient descent, and know why a run works or does not."""


def main() -> None:
    """Run the command line. Every outcome has its exit code; only a bug in Thalweg shows a traceback."""
    gc.set_threshold(COLLECT_EVERY)
    getattr(sys.stdout, "reconfigure", dict)(errors="backslashreplace")  # captured output has none
    sys.exit(_outcome())


def _outcome() -> Any:
    try:
        with command_line():
            reject_small_address_space()
            return app(standalone_mode=False) or EXIT_DONE
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return EXIT_DONE
    except BaseException as error:  # Polars' errors of its own kind are no `Exception`s
        return report_error(error, sys.argv[1:])


if __name__ == "__main__":
    main()
