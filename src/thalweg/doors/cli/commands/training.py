"""Commands that train: fit, sweep, find, resume, and `data`, which reads as they do."""

from contextlib import AbstractContextManager
from pathlib import Path
from time import monotonic
from typing import Annotated, Any

import typer

from thalweg.doors.cli.flags import (
    READING,
    AllowImport,
    AsJson,
    AtStep,
    BatchSizes,
    Budget,
    By,
    CheckpointEvery,
    Chosen,
    ClassWeight,
    Context,
    Cost,
    DataOn,
    Dates,
    Decimal,
    Devices,
    Distributed,
    DrawnPage,
    Drop,
    Encoding,
    Ensemble,
    ExampleWeights,
    Folder,
    Folds,
    Force,
    ForkFolder,
    HalvingFlag,
    Header,
    Horizon,
    InitialNames,
    InitialWeights,
    LearningRate,
    Lines,
    LongerSchedule,
    Loss,
    MetricNames,
    MinClass,
    Missing,
    On,
    Optimizer,
    PlanOnly,
    Quiet,
    References,
    ResumeRun,
    Sample,
    Separator,
    Series,
    SetPath,
    Size,
    SkipBroken,
    Sources,
    Split,
    SplitSeed,
    Streaming,
    Strict,
    Target,
    Task,
    Test,
    Track,
    Types,
    Validation,
    Vary,
    Watch,
    Window,
    one_or_several,
    with_options_of,
)


def fit(
    data: Sources,
    target: Target = None,
    model: Annotated[str | None, typer.Option(help="For example mlp:512 or mlp:256,256,dropout=0.1.")] = None,
    recipe: Annotated[str | None, typer.Option(help="Name of a recipe, or a TOML file.")] = None,
    set_: SetPath = None,
    lr: LearningRate = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training split.")] = None,
    steps: Annotated[int | None, typer.Option(help="Number of updates, instead of epochs.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of initial weights, data order and noise.")] = None,
    test: Test = None,
    validation: Validation = 0.1,
    split: Split = "random",
    split_seed: SplitSeed = 0,
    header: Header = None,
    separator: Separator = None,
    encoding: Encoding = None,
    decimal: Decimal = None,
    dates: Dates = None,
    types: Types = None,
    missing: Missing = None,
    drop: Drop = None,
    task: Task = None,
    min_class: MinClass = 1,
    context: Context = None,
    lines: Lines = False,
    window: Window = None,
    horizon: Horizon = 1,
    series: Series = None,
    size: Size = None,
    skip_broken: SkipBroken = False,
    folds: Folds = None,
    ensemble: Ensemble = None,
    weights: ExampleWeights = None,
    stream: Streaming = None,
    folder: Folder = None,
    loss: Loss = None,
    metric: MetricNames = None,
    class_weight: ClassWeight = None,
    init: InitialWeights = None,
    init_names: InitialNames = None,
    references: References = True,
    cost: Cost = None,
    by: By = None,
    device: Chosen = None,
    devices: Devices = None,
    data_on: DataOn = None,
    distributed: Distributed = False,
    out: Annotated[Path | None, typer.Option(help="Run folder; default: runs/<data>-<n>.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing run in --out.")] = False,
    checkpoint_every: CheckpointEvery = "60s",
    resume: ResumeRun = None,
    watch: Watch = False,
    track: Track = None,
    allow_import: AllowImport = False,
    json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Train a network on DATA and write a run folder."""
    options = dict(locals())
    _start_reading(options)
    from thalweg.doors.cli import fit as command

    with _allowing(options):
        raise typer.Exit(command.fit(options))


def _allowing(options: dict[str, Any]) -> AbstractContextManager[None]:
    """Import what recipes name, if the option allows it."""
    from thalweg.core.imports import allowing

    return allowing(options["allow_import"])


def _start_reading(options: dict[str, Any]) -> None:
    """Unpack compressed data in threads while the command's module is imported; one source is no list."""
    from thalweg.problem.data.load import prefetch

    options["data"] = one_or_several(options["data"])
    prefetch(options["data"], options["folder"])


@with_options_of(fit, without=("references", "ensemble", "cost", "by", "distributed"))
def sweep(
    vary: Vary,
    sample: Sample = None,
    halving: HalvingFlag = False,
    strict: Strict = False,
    plan: PlanOnly = False,
    on: On = None,
    **options: Any,
) -> None:
    """Train a network on DATA with every combination of settings at once, and rank the settings."""
    options |= {"vary": vary, "sample": sample, "plan": plan, "halving": halving, "strict": strict, "on": on}
    _start_reading(options)
    from thalweg.doors.cli import sweep as command

    with _allowing(options):
        raise typer.Exit(command.sweep(options))


@with_options_of(
    fit,
    without=("watch", "folds", "references", "ensemble", "cost", "by", "devices", "data_on", "distributed"),
)
def find(
    optimizer: Optimizer = None,
    batch: BatchSizes = None,
    budget: Budget = None,
    **options: Any,
) -> None:
    """Find the learning rate for DATA, with an interval and the evidence for it."""
    options |= {"optimizer": optimizer, "batch": batch, "budget": budget}
    _start_reading(options)
    from thalweg.doors.cli import find as command

    with _allowing(options):
        raise typer.Exit(command.find(options))


TimeBudget = Annotated[
    str,
    typer.Option(
        metavar="TIME", help="Time until the end of the final run: 30s, 10m, 2h; or a number of updates."
    ),
]
OptimizersTried = Annotated[
    str, typer.Option(metavar="NAMES", help="Optimizers to try, such as adamw,muon,sgd.")
]
ModelsTried = Annotated[
    str | None,
    typer.Option(
        metavar="MODELS", help="Models to try, such as mlp:64,mlp:512; default: the data's, in several sizes."
    ),
]


@with_options_of(
    fit,
    without=(
        *("watch", "folds", "lr", "epochs", "steps", "init", "init_names", "devices", "distributed", "track"),
        *("checkpoint_every", "data_on"),
    ),
)
def best(
    budget: TimeBudget = "10m",
    optimizers: OptimizersTried = "adamw,muon",
    models: ModelsTried = None,
    **options: Any,
) -> None:
    """Find the best network for DATA within a time, and train it: sizes, optimizers, rates as lanes."""
    options |= {"budget": budget, "optimizers": optimizers, "models": models, "checkpoint_every": "60s"}
    options["began"] = monotonic()  # imports count
    _start_reading(options)
    from thalweg.doors.cli import best as command

    with _allowing(options):
        raise typer.Exit(command.best(options))


def resume(
    run: Annotated[Path, typer.Argument(help="Folder of a run or a sweep.")],
    epochs: Annotated[int | None, typer.Option(help="Total passes, to train beyond the planned end.")] = None,
    steps: Annotated[int | None, typer.Option(help="Total updates, instead of epochs.")] = None,
    schedule: LongerSchedule = None,
    at: AtStep = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=VALUE", help="Change a number of the recipe; requires --out."),
    ] = None,
    out: ForkFolder = None,
    data: Annotated[
        str | None, typer.Option(help="Where the data are now, if they moved; they must be unchanged.")
    ] = None,
    allow_import: AllowImport = False,
    device: Chosen = None,
    devices: Devices = None,
    data_on: DataOn = None,
    on: On = None,
    json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Resume an interrupted run bit for bit, extend a finished one, or fork one."""
    options = dict(locals())
    from thalweg.doors.cli import fit as command

    raise typer.Exit(command.resume(options))


@with_options_of(fit, only=READING)
def data(
    page: DrawnPage = None,
    force: Force = False,
    **options: Any,
) -> None:
    """Print what is understood of DATA, column by column, with every guess; train nothing."""
    options |= {"page": page, "force": force}
    _start_reading(options)
    from thalweg.doors.cli import inspect as command

    raise typer.Exit(command.data(options))
