"""The `thalweg` command: options and help texts, nothing else.

The one place with imports inside functions: a command's module (and with it JAX) is loaded when the command
is called, so that `thalweg --help` answers at once.
"""

import gc
import sys
from collections.abc import Callable
from enum import StrEnum
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any

import typer

from thalweg.doors.cli.codes import BAD_INPUT, DONE, INTERRUPTED

# New objects before Python's garbage collector looks: at its 700 it went 400 times through what importing
# JAX and tracing make, a quarter of a second of a short command, and found next to nothing.
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
    """Where to compute."""

    cpu = "cpu"
    gpu = "gpu"


Target = Annotated[str | None, typer.Option(help="Column to predict: its name, or its number from 0.")]
Missing = Annotated[list[str] | None, typer.Option(help="A mark that means missing (repeatable).")]
Header = Annotated[
    bool, typer.Option("--header/--no-header", help="Whether a table's first line names its columns.")
]
Folder = Annotated[Path | None, typer.Option(help="Where named sets are looked for, before THALWEG_DATA.")]
Chosen = Annotated[Device | None, typer.Option(help="Where to compute; default: what JAX finds.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no summary.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]


@app.command()
def fit(
    data: Annotated[str, typer.Argument(help="A named set (digits, mnist, ...), a file or a folder.")],
    target: Target = None,
    model: Annotated[str | None, typer.Option(help="For example mlp:512 or mlp:256,256,dropout=0.1.")] = None,
    recipe: Annotated[str | None, typer.Option(help="A recipe by name, or a TOML file.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=VALUE", help="Change a setting: optimizer.lr=3e-4."),
    ] = None,
    lr: Annotated[
        str | None, typer.Option(help="The learning rate, or auto: find it first, for a tenth of the run.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training part.")] = None,
    steps: Annotated[int | None, typer.Option(help="Updates, instead of epochs.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of start, order and noise.")] = None,
    test: Annotated[str | None, typer.Option(help="Test part: a fraction, or a file of its own.")] = None,
    validation: Annotated[
        float, typer.Option(help="Validation part, a fraction of the training part.")
    ] = 0.1,
    split: Annotated[str, typer.Option(help="random, time, or group=COLUMN.")] = "random",
    split_seed: Annotated[int, typer.Option(help="Seed of the split.")] = 0,
    header: Header = True,
    missing: Missing = None,
    drop: Annotated[list[str] | None, typer.Option(help="A column to leave out (repeatable).")] = None,
    task: Annotated[
        str | None, typer.Option(help="classification or regression; default: from the target.")
    ] = None,
    context: Annotated[int, typer.Option(help="Text: characters that the model sees at a time.")] = 64,
    lines: Annotated[
        bool, typer.Option("--lines", help="A text's lines are examples of their own (names, words).")
    ] = False,
    window: Annotated[
        int | None, typer.Option(help="Time series: rows that the model sees at a time, in row order.")
    ] = None,
    horizon: Annotated[int, typer.Option(help="Time series: following values to predict.")] = 1,
    folder: Folder = None,
    init: Annotated[Path | None, typer.Option(help="Start from the weights of this run.")] = None,
    device: Chosen = None,
    out: Annotated[Path | None, typer.Option(help="Run folder; default runs/<data>-<n>.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a run that lies in --out.")] = False,
    checkpoint_every: Annotated[
        str, typer.Option(help="Save the state after so many updates (500) or a time (60s, 10m); off.")
    ] = "60s",
    resume: Annotated[
        str | None,
        typer.Option(help="auto: go on with the run in --out if there is one, else start it."),
    ] = None,
    json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Train a network on DATA and write a run folder."""
    given = dict(locals())
    _begin_to_read(given)
    from thalweg.doors.cli import fit as command

    raise typer.Exit(command.run(command.Request(**given)))


def _begin_to_read(given: dict[str, Any]) -> None:
    """Have packed data unpacked while the command's module is imported."""
    from thalweg.problem.data.load import begin

    begin(given["data"], given["folder"])


def with_options_of(other: Callable[..., None]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command all parameters of another one, behind its own."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        theirs = signature(other).parameters
        own = [p for p in signature(command).parameters.values() if p.kind is not Parameter.VAR_KEYWORD]
        # Named only, so that those with a default may stand before those without.
        named = [p.replace(kind=Parameter.KEYWORD_ONLY) for p in (*own, *theirs.values())]
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
            help="What varies (repeatable): optimizer.lr=1e-4..1e-1:16log, seed=0..2, optimizer=sgd,adamw, "
            "model=mlp:32,mlp:512.",
        ),
    ],
    sample: Annotated[
        int | None, typer.Option(help="Draw so many points from the ranges; default: every combination.")
    ] = None,
    halving: Annotated[bool, typer.Option("--halving", help="Freeze the worse settings on the way.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Each lane bit for bit as alone.")] = False,
    plan: Annotated[
        bool, typer.Option("--plan", help="Say how the lanes would be laid out; train nothing.")
    ] = False,
    **options: Any,
) -> None:
    """Train a network on DATA with every combination of settings at once, and rank them."""
    _begin_to_read(options)
    from thalweg.doors.cli import fit as fitting
    from thalweg.doors.cli import sweep as command

    request = command.Request(fitting.Request(**options), vary, sample, plan, halving, strict)
    raise typer.Exit(command.run(request))


@app.command()
@with_options_of(fit)
def find(
    optimizer: Annotated[
        str | None, typer.Option(help="Another optimizer, by name: --set optimizer=NAME.")
    ] = None,
    batch: Annotated[
        str | None,
        typer.Option(
            metavar="SIZES",
            help="The rate for each batch size, and the batch size beyond which more is waste: 32..1024:2x "
            "(doubling), or 32,64,128.",
        ),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE",
            help="Updates to spend, as a share of the run's: 0.1, 10%, 3. Default: a tenth, or six seconds' "
            "worth where that is more.",
        ),
    ] = None,
    **options: Any,
) -> None:
    """Find the learning rate for DATA, with an interval, and say how that was decided."""
    _begin_to_read(options)
    from thalweg.doors.cli import find as command
    from thalweg.doors.cli import fit as fitting

    raise typer.Exit(command.run(command.Request(fitting.Request(**options), optimizer, batch, budget)))


@app.command()
def resume(
    run: Annotated[Path, typer.Argument(help="A run folder, or that of a sweep.")],
    epochs: Annotated[
        int | None, typer.Option(help="Passes in total, to go on beyond the planned end.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Updates in total, instead of epochs.")] = None,
    schedule: Annotated[
        str | None,
        typer.Option(help="With a new length: stretch plans the schedule over it, hold lets its end last."),
    ] = None,
    at: Annotated[int | None, typer.Option(help="Go on from the newest checkpoint up to this step.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=VALUE", help="Change a number of the recipe; needs --out."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Go on as a new run in this folder.")] = None,
    device: Chosen = None,
    json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Go on with a run that was broken off, bit for bit; extend a finished one; or fork it."""
    given = dict(locals())
    from thalweg.doors.cli import resume as command

    raise typer.Exit(command.run(command.Request(**given)))


@app.command()
def check(run: Annotated[Path, typer.Argument(help="A run folder.")], json: AsJson = False) -> None:
    """Verify a run folder, file by file, and say where the run would go on."""
    from thalweg.doors.cli import check as command

    raise typer.Exit(command.run(run, json))


@app.command()
def predict(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    data: Annotated[str, typer.Argument(help="Data to predict for: a file, a folder or a named set.")],
    out: Annotated[
        Path | None, typer.Option(help="FILE.csv, .parquet or .npy; default: CSV on the screen.")
    ] = None,
    weights: Annotated[str, typer.Option(help="best or final; default: those the run was judged by.")] = "",
    folder: Folder = None,
    device: Chosen = None,
    json: AsJson = False,
) -> None:
    """Predict with a trained run; for classes also the probabilities."""
    given = dict(locals())
    from thalweg.doors.cli import predict as command

    raise typer.Exit(command.run(command.Request(**given)))


@app.command()
def show(
    run: Annotated[Path, typer.Argument(help="A run folder, or that of a sweep or of find.")],
    json: AsJson = False,
) -> None:
    """Say what was trained, how, and what came of it."""
    from thalweg.doors.cli import inspect as command

    raise typer.Exit(command.show(run, json))


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(help="A run folder.")],
    second: Annotated[Path, typer.Argument(help="Another run folder.")],
    json: AsJson = False,
) -> None:
    """Say what differs between two runs, and what came of it."""
    from thalweg.doors.cli import inspect as command

    raise typer.Exit(command.compare(first, second, json))


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    out: Annotated[
        Path | None, typer.Option(help="The file; default: report.html in the run folder.")
    ] = None,
) -> None:
    """Write one self-contained HTML file with the curves."""
    from thalweg.doors.cli import inspect as command

    raise typer.Exit(command.report(run, out))


@app.command()
def recipes(
    what: Annotated[
        list[str] | None, typer.Argument(help="Nothing for the table; `show NAME` for one row.")
    ] = None,
    json: AsJson = False,
) -> None:
    """List every optimizer, schedule and named recipe; `recipes show adamw` tells all of one."""
    words = [word for word in what or [] if word != "show"]
    from thalweg.doors.cli import recipes as command

    raise typer.Exit(command.run(words[0] if words else None, json))


def version(asked: bool) -> None:
    """Print the version and stop."""
    if asked:
        from importlib.metadata import version as installed

        typer.echo(f"thalweg {installed('thalweg')}")
        raise typer.Exit


@app.callback()
def options(
    _version: Annotated[
        bool, typer.Option("--version", callback=version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Train neural networks by gradient descent, and know why a run works or does not."""


def main() -> None:
    """Run the command line; every outcome has its exit code, and only a bug of ours shows a traceback."""
    gc.set_threshold(COLLECT_EVERY)
    sys.exit(_outcome())


def _outcome() -> Any:
    try:
        return app(standalone_mode=False) or DONE
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return DONE
    except Exception as error:
        return _refused(error)


def _refused(error: Exception) -> int:
    if hasattr(error, "exit_code") and hasattr(error, "show"):  # the command line's own: a wrong flag
        error.show()  # type: ignore[attr-defined]
        return BAD_INPUT
    from thalweg.core.errors import ThalwegError

    if isinstance(error, ThalwegError):
        typer.echo(f"error: {error}", err=True)
        return BAD_INPUT
    raise error


if __name__ == "__main__":
    main()
