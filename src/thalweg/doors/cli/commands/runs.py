"""Commands on run folders: predict, evaluate, export, serve, show, runs, compare, report, check, watch."""

from pathlib import Path
from typing import Annotated

import typer

from thalweg.doors.cli.flags import (
    AllowImport,
    AnswersFile,
    AsJson,
    By,
    Chosen,
    Conditions,
    Cost,
    DrawnPage,
    ExportFile,
    ExportFormat,
    Folder,
    Force,
    Formulas,
    Keep,
    Port,
    ReadByParts,
    ReportFile,
    RunsFolder,
    SortBy,
    Unverified,
    WatchFolders,
    Weights,
)


def check(run: Annotated[Path, typer.Argument(help="A run folder.")], json: AsJson = False) -> None:
    """Verify every file of a run folder, and report where the run would resume."""
    from thalweg.doors.cli import inspect as command

    raise typer.Exit(command.check(run, json))


def predict(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    data: Annotated[
        str, typer.Argument(help="Data to predict for: a file, a folder, a named data set, or - (piped in).")
    ],
    out: AnswersFile = None,
    keep: Keep = None,
    weights: Weights = "",
    force: Force = False,
    unverified: Unverified = False,
    formulas: Formulas = False,
    allow_import: AllowImport = False,
    folder: Folder = None,
    stream: ReadByParts = None,
    device: Chosen = None,
    json: AsJson = False,
) -> None:
    """Predict with a trained run; for classes also print probabilities."""
    options = dict(locals())
    from thalweg.doors.cli import predict as command

    raise typer.Exit(command.predict(options))


def evaluate(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    data: Annotated[
        str | None,
        typer.Argument(
            help="Data with targets: a file, a folder, a named set, or -; default: the run's own test rows."
        ),
    ] = None,
    cost: Cost = None,
    by: By = None,
    page: DrawnPage = None,
    force: Force = False,
    weights: Weights = "",
    unverified: Unverified = False,
    allow_import: AllowImport = False,
    folder: Folder = None,
    device: Chosen = None,
    json: AsJson = False,
) -> None:
    """Score a trained run on data with targets: metrics, thresholds, classes, groups, what matters."""
    options = dict(locals())
    from thalweg.doors.cli import evaluate as command

    raise typer.Exit(command.evaluate(options))


def export(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    to: ExportFile,
    format_: ExportFormat = None,
    weights: Weights = "",
    force: Force = False,
    unverified: Unverified = False,
    allow_import: AllowImport = False,
    json: AsJson = False,
) -> None:
    """Write a trained model for another program: ONNX, StableHLO, PyTorch."""
    options = dict(locals())
    from thalweg.doors.cli import export as command

    raise typer.Exit(command.export(options))


def show(
    run: Annotated[Path, typer.Argument(help="Folder of a run, a sweep or a find.")],
    unverified: Unverified = False,
    json: AsJson = False,
) -> None:
    """Show what was trained, how, and with what result."""
    from thalweg.doors.cli import inspect as command

    raise typer.Exit(command.show(run, json, unverified))


def runs(
    folder: RunsFolder = Path("runs"),
    sort: SortBy = None,
    reverse: Annotated[bool, typer.Option("--reverse", help="The other way round.")] = False,
    filter_: Conditions = None,
    json: AsJson = False,
) -> None:
    """List runs and sweeps: what they trained, their state and result."""
    from thalweg.doors.cli import runs as command

    raise typer.Exit(command.runs(folder, filter_ or [], sort, reverse, json))


def watch(
    folders: WatchFolders = None,
    port: Port = None,
    show: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
) -> None:
    """Serve a live page of all runs under FOLDERS, on this machine only."""
    from thalweg.doors.cli import watch as command

    raise typer.Exit(command.watch(folders or [], port, show))


def serve(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0: other machines, too.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0: a free one.")] = 8000,
    max_rows: Annotated[int, typer.Option(help="Most rows of a request.")] = 10_000,
    max_megabytes: Annotated[int, typer.Option(help="Most megabytes of a request.")] = 8,
    weights: Weights = "",
    unverified: Unverified = False,
    allow_import: AllowImport = False,
    device: Chosen = None,
) -> None:
    """Serve predictions over HTTP: JSON or CSV rows in, predictions out."""
    options = dict(locals())
    from thalweg.doors.cli import serve as command

    raise typer.Exit(command.serve(options))


def compare(
    first: Annotated[Path, typer.Argument(help="A run folder.")],
    second: Annotated[Path, typer.Argument(help="Another run folder.")],
    unverified: Unverified = False,
    page: DrawnPage = None,
    force: Force = False,
    json: AsJson = False,
) -> None:
    """Show how two runs differ in settings and results, with the curves of both."""
    from thalweg.doors.cli import inspect as command

    raise typer.Exit(command.compare(first, second, page, json, unverified, force))


def report(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    out: ReportFile = None,
    force: Force = False,
    unverified: Unverified = False,
) -> None:
    """Write a self-contained HTML report with the curves."""
    from thalweg.doors.cli import inspect as command

    raise typer.Exit(command.report(run, out, force, unverified))
