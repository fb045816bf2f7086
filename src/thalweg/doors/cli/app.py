"""The `thalweg` command: options and help texts, nothing else.

Imports are inside functions here, and only here: a command's module (and with it JAX) loads when the
command is called, so that `thalweg --help` responds at once.
"""

import gc
import sys
from collections.abc import Callable
from enum import StrEnum
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any

import typer

from thalweg.core.stop_reason import EXIT_DONE, EXIT_INTERRUPTED

EXIT_BAD_INPUT = 2

# Allocations between two runs of Python's garbage collector. With its default of 700 it ran 400 times while
# JAX was imported and programs were traced: 0.25 s of a short command, with almost nothing to collect.
COLLECT_EVERY = 50_000

app = typer.Typer(
    name="thalweg",
    help="Train neural networks by gradient descent, and know why a run works or does not.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Device(StrEnum):
    """The processor to compute on."""

    cpu = "cpu"
    gpu = "gpu"


Target = Annotated[str | None, typer.Option(help="Column to predict: its name, or its index from 0.")]
Missing = Annotated[
    list[str] | None, typer.Option(help="A mark that stands for a missing value (repeatable).")
]
Header = Annotated[
    bool, typer.Option("--header/--no-header", help="Whether the first line of a table names its columns.")
]
Folder = Annotated[
    Path | None, typer.Option(help="Folder with named data sets, searched before THALWEG_DATA.")
]
Chosen = Annotated[Device | None, typer.Option(help="Device to compute on; default: what JAX finds.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print no progress and no summary.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object to standard output.")]


@app.command()
def fit(
    data: Annotated[str, typer.Argument(help="A named data set (digits, mnist, ...), a file or a folder.")],
    target: Target = None,
    model: Annotated[str | None, typer.Option(help="For example mlp:512 or mlp:256,256,dropout=0.1.")] = None,
    recipe: Annotated[str | None, typer.Option(help="Name of a recipe, or a TOML file.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=VALUE", help="Change a setting: optimizer.lr=3e-4."),
    ] = None,
    lr: Annotated[
        str | None,
        typer.Option(help="The learning rate; auto finds it first, in at most a tenth of the run's updates."),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training split.")] = None,
    steps: Annotated[int | None, typer.Option(help="Number of updates, instead of epochs.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of initial weights, data order and noise.")] = None,
    test: Annotated[
        str | None, typer.Option(help="Test split: a fraction of the rows, or a separate file.")
    ] = None,
    validation: Annotated[
        float, typer.Option(help="Validation split: a fraction of the training rows.")
    ] = 0.1,
    split: Annotated[str, typer.Option(help="random, time, or group=COLUMN.")] = "random",
    split_seed: Annotated[int, typer.Option(help="Seed of the split.")] = 0,
    header: Header = True,
    missing: Missing = None,
    drop: Annotated[list[str] | None, typer.Option(help="A column to leave out (repeatable).")] = None,
    task: Annotated[
        str | None, typer.Option(help="classification or regression; default: from the target.")
    ] = None,
    context: Annotated[int, typer.Option(help="Text: characters per window.")] = 64,
    lines: Annotated[
        bool, typer.Option("--lines", help="Text: treat each line as an example (names, words).")
    ] = False,
    window: Annotated[int | None, typer.Option(help="Time series: rows per window, in row order.")] = None,
    horizon: Annotated[int, typer.Option(help="Time series: how many following values to predict.")] = 1,
    folder: Folder = None,
    init: Annotated[Path | None, typer.Option(help="Run folder whose weights to start from.")] = None,
    device: Chosen = None,
    out: Annotated[Path | None, typer.Option(help="Run folder; default: runs/<data>-<n>.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing run in --out.")] = False,
    checkpoint_every: Annotated[
        str, typer.Option(help="Checkpoint interval: updates (500), time (60s, 10m), or off.")
    ] = "60s",
    resume: Annotated[
        str | None,
        typer.Option(help="auto: resume the run in --out if there is one, else start it."),
    ] = None,
    json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Train a network on DATA and write a run folder."""
    options = dict(locals())
    _start_reading(options)
    from thalweg.doors.cli import fit as command

    raise typer.Exit(command.fit(options))


def _start_reading(options: dict[str, Any]) -> None:
    """Unpack compressed data in threads while the command's module is imported."""
    from thalweg.problem.data.load import prefetch

    prefetch(options["data"], options["folder"])


def with_options_of(other: Callable[..., None]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Append the parameters of another command to those of the decorated one."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        inherited = signature(other).parameters
        parameters = [
            p for p in signature(command).parameters.values() if p.kind is not Parameter.VAR_KEYWORD
        ]
        # Keyword-only, so that parameters with a default may precede those without.
        named = [p.replace(kind=Parameter.KEYWORD_ONLY) for p in (*parameters, *inherited.values())]
        command.__signature__ = Signature(named)  # type: ignore[attr-defined]
        command.__annotations__ = {p.name: p.annotation for p in named}
        return command

    return decorate


@app.command()
@with_options_of(fit)
def sweep(
    vary: Annotated[
        list[str],
        typer.Option(
            metavar="PATH=RANGE",
            help="Setting to vary (repeatable): optimizer.lr=1e-4..1e-1:16log, seed=0..2, optimizer=sgd,"
            "adamw, model=mlp:32,mlp:512.",
        ),
    ],
    sample: Annotated[
        int | None, typer.Option(help="Number of points to draw from the ranges; default: every combination.")
    ] = None,
    halving: Annotated[
        bool, typer.Option("--halving", help="Successive halving: freeze the worse settings during training.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Compute every lane bit for bit as if it ran alone.")
    ] = False,
    plan: Annotated[
        bool, typer.Option("--plan", help="Print how the lanes would be laid out, without training.")
    ] = False,
    **options: Any,
) -> None:
    """Train a network on DATA with every combination of settings at once, and rank the settings."""
    options |= {"vary": vary, "sample": sample, "plan": plan, "halving": halving, "strict": strict}
    _start_reading(options)
    from thalweg.doors.cli import sweep as command

    raise typer.Exit(command.sweep(options))


@app.command()
@with_options_of(fit)
def find(
    optimizer: Annotated[
        str | None, typer.Option(help="Name of the optimizer; short for --set optimizer=NAME.")
    ] = None,
    batch: Annotated[
        str | None,
        typer.Option(
            metavar="SIZES",
            help="Find the rate for each batch size, and the largest efficient size: 32..1024:2x "
            "(doubling), or 32,64,128.",
        ),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE",
            help="Updates to spend, as a multiple of the run's: 0.1, 10%, 3. Default: a tenth, or six "
            "seconds of training if that is more.",
        ),
    ] = None,
    **options: Any,
) -> None:
    """Find the learning rate for DATA, with an interval and the evidence for it."""
    options |= {"optimizer": optimizer, "batch": batch, "budget": budget}
    _start_reading(options)
    from thalweg.doors.cli import find as command

    raise typer.Exit(command.find(options))


@app.command()
def resume(
    run: Annotated[Path, typer.Argument(help="Folder of a run or a sweep.")],
    epochs: Annotated[int | None, typer.Option(help="Total passes, to train beyond the planned end.")] = None,
    steps: Annotated[int | None, typer.Option(help="Total updates, instead of epochs.")] = None,
    schedule: Annotated[
        str | None,
        typer.Option(help="With a new length: stretch the schedule over it, or hold its final value."),
    ] = None,
    at: Annotated[
        int | None, typer.Option(help="Resume from the newest checkpoint at or before this step.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=VALUE", help="Change a number of the recipe; requires --out."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Fork: write the continued run to this new folder.")
    ] = None,
    device: Chosen = None,
    json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Resume an interrupted run bit for bit, extend a finished one, or fork one."""
    options = dict(locals())
    from thalweg.doors.cli import fit as command

    raise typer.Exit(command.resume(options))


@app.command()
def check(run: Annotated[Path, typer.Argument(help="A run folder.")], json: AsJson = False) -> None:
    """Verify every file of a run folder, and report where the run would resume."""
    from thalweg.doors.cli import inspect as command

    raise typer.Exit(command.check(run, json))


@app.command()
def predict(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    data: Annotated[str, typer.Argument(help="Data to predict for: a file, a folder or a named data set.")],
    out: Annotated[
        Path | None, typer.Option(help="FILE.csv, .parquet or .npy; default: CSV to standard output.")
    ] = None,
    weights: Annotated[
        str, typer.Option(help="best or final; default: those of the run's test figures.")
    ] = "",
    folder: Folder = None,
    device: Chosen = None,
    json: AsJson = False,
) -> None:
    """Predict with a trained run; for classes also print probabilities."""
    options = dict(locals())
    from thalweg.doors.cli import predict as command

    raise typer.Exit(command.predict(options))


@app.command()
def show(
    run: Annotated[Path, typer.Argument(help="Folder of a run, a sweep or a find.")],
    json: AsJson = False,
) -> None:
    """Show what was trained, how, and with what result."""
    from thalweg.doors.cli import inspect as command

    raise typer.Exit(command.show(run, json))


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(help="A run folder.")],
    second: Annotated[Path, typer.Argument(help="Another run folder.")],
    json: AsJson = False,
) -> None:
    """Show how two runs differ in settings and results."""
    from thalweg.doors.cli import inspect as command

    raise typer.Exit(command.compare(first, second, json))


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    out: Annotated[
        Path | None, typer.Option(help="Output file; default: report.html in the run folder.")
    ] = None,
) -> None:
    """Write a self-contained HTML report with the curves."""
    from thalweg.doors.cli import inspect as command

    raise typer.Exit(command.report(run, out))


@app.command()
def recipes(
    what: Annotated[
        list[str] | None, typer.Argument(help="`show NAME` for one entry; default: the table of all.")
    ] = None,
    json: AsJson = False,
) -> None:
    """List optimizers, schedules and named recipes; `recipes show adamw` shows one in full."""
    words = [word for word in what or [] if word != "show"]
    from thalweg.doors.cli import recipes as command

    raise typer.Exit(command.recipes(words[0] if words else None, json))


def version(requested: bool) -> None:
    """Print the version and exit."""
    if requested:
        from importlib.metadata import version as installed

        typer.echo(f"thalweg {installed('thalweg')}")
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
    sys.exit(_outcome())


def _outcome() -> Any:
    try:
        return app(standalone_mode=False) or EXIT_DONE
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return EXIT_DONE
    except Exception as error:
        return _refused(error)


def _refused(error: Exception) -> int:
    if hasattr(error, "exit_code") and hasattr(error, "show"):  # Typer's own errors, such as an unknown flag
        error.show()  # type: ignore[attr-defined]
        return EXIT_BAD_INPUT
    from thalweg.core.errors import ThalwegError

    if isinstance(error, ThalwegError):
        typer.echo(f"error: {error}", err=True)
        return EXIT_BAD_INPUT
    raise error


if __name__ == "__main__":
    main()
