"""Options of the command line that several commands have, with their help texts."""

from collections.abc import Callable
from enum import StrEnum
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated

import typer


class Device(StrEnum):
    """The processor to compute on."""

    cpu = "cpu"
    gpu = "gpu"


Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="DATA",
        help="A named data set (digits, mnist, ...), a file, a folder, several tables of equal columns or "
        'archives of images, a pattern ("part-*.csv"), or - for a table from standard input.',
        show_default=False,
    ),
]
Streaming = Annotated[
    bool | None,
    typer.Option(
        "--stream/--no-stream",
        help="Read a table in files chunk by chunk, or decode images, while training; default: where they do "
        "not fit in memory.",
        show_default=False,
    ),
]
ReadByParts = Annotated[
    bool | None,
    typer.Option(
        "--stream/--no-stream",
        help="Read and predict a table in files part by part; default: where it does not fit in memory.",
        show_default=False,
    ),
]
Target = Annotated[
    str | None, typer.Option(help="Column to predict: its name, or its index from 0; several: heat,cool.")
]
Missing = Annotated[
    list[str] | None, typer.Option(help="A mark that stands for a missing value (repeatable).")
]
Header = Annotated[
    bool | None,
    typer.Option(
        "--header/--no-header",
        help="Whether the first line of a table names its columns; default: decided by its cells.",
        show_default=False,
    ),
]
Separator = Annotated[
    str | None, typer.Option(help="What separates cells, such as ';', or space; default: found.")
]
Encoding = Annotated[
    str | None, typer.Option(help="Encoding of a text table, such as cp1252; default: found.")
]
Decimal = Annotated[str | None, typer.Option(help="Decimal mark of numbers, '.' or ','; default: found.")]
Dates = Annotated[
    str | None, typer.Option(help="Order in dates such as 3/4/2024: dmy or mdy; default: decided by column.")
]
Types = Annotated[
    list[str] | None,
    typer.Option(
        metavar="COLUMN=TYPE", help="Type of a column: number, category, date, text or skip (repeatable)."
    ),
]
Folder = Annotated[
    Path | None, typer.Option(help="Folder with named data sets, searched before THALWEG_DATA.")
]
InitialWeights = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Weights to start from: a run folder, .safetensors, or a PyTorch state_dict (.pt).",
    ),
]
InitialNames = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help='Names in the file of --init, TOML or JSON: "layers.*.weight" = "encoder.*.w".'
    ),
]
Chosen = Annotated[Device | None, typer.Option(help="Device to compute on; default: what JAX finds.")]
Track = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME:PLACE",
        help="Report to a tracker (repeatable): tensorboard:DIR, wandb:PROJECT, mlflow:URI, trackio:PROJECT.",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print no progress and no summary.")]
Formulas = Annotated[
    bool,
    typer.Option(
        "--formulas", help="Write text to CSV as it is; default: text that a spreadsheet would run gets a '."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object to standard output.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite the output file if it exists.")]
Unverified = Annotated[
    bool, typer.Option("--unverified", help="Also use a run folder without checksums (without run.json).")
]
Test = Annotated[str | None, typer.Option(help="Test split: a fraction of the rows, or a separate file.")]
Validation = Annotated[float, typer.Option(help="Validation split: a fraction of the training rows.")]
Split = Annotated[str, typer.Option(help="random, time, or group=COLUMN.")]
SplitSeed = Annotated[int, typer.Option(help="Seed of the split.")]
Drop = Annotated[list[str] | None, typer.Option(help="A column to leave out (repeatable).")]
Task = Annotated[str | None, typer.Option(help="classification or regression; default: from the target.")]
MinClass = Annotated[
    int, typer.Option(help="Leave out classes with fewer rows than this.", show_default=False)
]
Context = Annotated[
    int | None, typer.Option(help="Text: characters per window; default: 64.", show_default=False)
]
Lines = Annotated[bool, typer.Option("--lines", help="Text: treat each line as an example (names, words).")]
Window = Annotated[int | None, typer.Option(help="Time series: rows per window, in row order.")]
Horizon = Annotated[int, typer.Option(help="Time series: how many following values to predict.")]
Series = Annotated[str | None, typer.Option(help="Time series: the column that tells several series apart.")]
Size = Annotated[
    str | None, typer.Option(help="Images: resize to this side, or WIDTHxHEIGHT; default: found.")
]
SkipBroken = Annotated[
    bool, typer.Option("--skip-broken", help="Images: leave out files that cannot be read.")
]

Folds = Annotated[
    int | None,
    typer.Option(
        min=2,
        show_default=False,
        help="Cross-validation: deal the rows into so many parts; each is the test split of one run.",
    ),
]

Ensemble = Annotated[
    int | None,
    typer.Option(
        min=1,
        show_default=False,
        help="Networks on a table, trained side by side and averaged as one model, such as 8.",
    ),
]

SetPath = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Change a setting: optimizer.lr=3e-4."),
]
LearningRate = Annotated[
    str | None,
    typer.Option(help="The learning rate; auto finds it first, in at most a tenth of the run's updates."),
]
CheckpointEvery = Annotated[
    str, typer.Option(help="Checkpoint interval: updates (500), time (60s, 10m), or off.")
]
ResumeRun = Annotated[
    str | None,
    typer.Option(help="auto: resume the run in --out if there is one, else start it."),
]
Watch = Annotated[bool, typer.Option("--watch", help="Serve a live page of the run; its address is printed.")]
Vary = Annotated[
    list[str],
    typer.Option(
        metavar="PATH=RANGE",
        help="Setting to vary (repeatable): optimizer.lr=1e-4..1e-1:16log, seed=0..2, optimizer=sgd,"
        "adamw, model=mlp:32,mlp:512.",
    ),
]
Sample = Annotated[
    int | None, typer.Option(help="Number of points to draw from the ranges; default: every combination.")
]
HalvingFlag = Annotated[
    bool, typer.Option("--halving", help="Successive halving: freeze the worse settings during training.")
]
Strict = Annotated[bool, typer.Option("--strict", help="Compute every lane bit for bit as if it ran alone.")]
Devices = Annotated[
    str | None,
    typer.Option(
        metavar="N",
        help="Devices (or all) that share each batch, or the lanes of a sweep; or both: lanes:2,data:4.",
    ),
]
DataOn = Annotated[
    str | None,
    typer.Option(
        metavar="PLACE",
        help="Where the training rows are: whole on each device, or on the host, which sends those that are "
        "read; default: device, or host where an accelerator has too little memory.",
        show_default=False,
    ),
]
Distributed = Annotated[
    bool,
    typer.Option(
        "--distributed",
        help="Train one run on the devices of all processes that were started with this option.",
    ),
]
On = Annotated[
    str | None,
    typer.Option(
        "--on",
        metavar="WORKERS",
        help="Train on workers: processes:4, dask:local:4, dask:ADDRESS, slurm:OPTIONS, ray or mpi.",
    ),
]
PlanOnly = Annotated[
    bool, typer.Option("--plan", help="Print how the lanes would be laid out, without training.")
]
Optimizer = Annotated[str | None, typer.Option(help="Name of the optimizer; short for --set optimizer=NAME.")]
BatchSizes = Annotated[
    str | None,
    typer.Option(
        metavar="SIZES",
        help="Find the rate for each batch size, and the largest efficient size: 32..1024:2x "
        "(doubling), or 32,64,128.",
    ),
]
Budget = Annotated[
    str | None,
    typer.Option(
        metavar="SHARE",
        help="Updates to spend, as a multiple of the run's: 0.1, 10%, 3. Default: a tenth, or six "
        "seconds of training if that is more.",
    ),
]
References = Annotated[
    bool,
    typer.Option(
        help="Compare with a linear model, nearest neighbours and boosted trees on the same rows, in at most "
        "a fifth of the run's time.",
    ),
]
Cost = Annotated[
    str | None,
    typer.Option(
        metavar="fp=N,fn=N",
        help="What errors cost, false positives and false negatives: finds the threshold that costs least.",
    ),
]
By = Annotated[
    list[str] | None,
    typer.Option(metavar="COLUMN", help="Also judge each group of a column of the table (repeatable)."),
]
RunsFolder = Annotated[Path, typer.Argument(help="Folder with run folders, at any depth up to four.")]
SortBy = Annotated[
    str | None,
    typer.Option(
        metavar="KEY",
        help="Order by a column or a setting: metric (the best first), validation_loss, seconds, "
        "optimizer.lr; default: the newest first.",
    ),
]
Conditions = Annotated[
    list[str] | None,
    typer.Option(
        "--filter",
        metavar="CONDITION",
        help="Only runs that meet it (repeatable): state=finished, model=mlp:*, 'lr<0.01', 'metric>=0.98'.",
    ),
]
WatchFolders = Annotated[
    list[Path] | None, typer.Argument(help="Folders with runs, or run folders; default: runs.")
]
Port = Annotated[
    int | None, typer.Option(help="Port; default: that of the last time for these folders, or a free one.")
]
LongerSchedule = Annotated[
    str | None,
    typer.Option(help="With a new length: stretch the schedule over it, or hold its final value."),
]
AtStep = Annotated[int | None, typer.Option(help="Resume from the newest checkpoint at or before this step.")]
Weights = Annotated[str, typer.Option(help="best or final; default: those of the run's test figures.")]
AllowImport = Annotated[
    bool,
    typer.Option(
        "--allow-import",
        help="Import your functions that recipes and run folders name, which executes their modules.",
    ),
]
DrawnPage = Annotated[Path | None, typer.Option(help="Also draw it: write a page to FILE.html.")]
ForkFolder = Annotated[Path | None, typer.Option(help="Fork: write the continued run to this new folder.")]
AnswersFile = Annotated[
    Path | None, typer.Option(help="FILE.csv, .parquet or .npy; default: CSV to standard output.")
]
Keep = Annotated[
    list[str] | None,
    typer.Option(
        "--keep", metavar="COLUMN", help="Input column to keep beside the predictions (repeatable)."
    ),
]
ExportFile = Annotated[
    str,
    typer.Option("--to", metavar="FILE", help="Output: model.onnx, model.stablehlo, model.py (PyTorch)."),
]
ExportFormat = Annotated[
    str | None,
    typer.Option("--format", help="onnx, stablehlo or torch; default: by the ending of the file."),
]
ReportFile = Annotated[Path | None, typer.Option(help="Output file; default: report.html in the run folder.")]

# Options of `fit` that say how data are read.
Loss = Annotated[
    str | None,
    typer.Option(
        help="What is minimised, such as huber, poisson, ordinal or quantile:0.1,0.5,0.9.",
        show_default="cross_entropy, or mse for values",
    ),
]
MetricNames = Annotated[
    list[str] | None,
    typer.Option(
        "--metric",
        help="What is reported, such as roc_auc (repeatable): the first selects weights and stops. "
        "thalweg browse metrics lists them.",
        show_default="accuracy, or rmse for values",
    ),
]
ClassWeight = Annotated[
    list[str] | None,
    typer.Option(
        metavar="balanced | CLASS=NUMBER",
        help="What a class counts in the loss, such as balanced or yes=5 (repeatable).",
    ),
]
ExampleWeights = Annotated[
    str | None,
    typer.Option(metavar="COLUMN", help="Column with what each row counts in the loss and the metrics."),
]


def one_or_several(sources: list[str]) -> str | list[str]:
    """Return what `DATA...` names: the source itself if there is one."""
    return sources if len(sources) > 1 else sources[0]


READING = frozenset(
    (
        *("data", "target", "test", "validation", "split", "split_seed", "folder", "json", "missing", "drop"),
        *("header", "separator", "encoding", "decimal", "dates", "types", "task", "min_class"),
        *("context", "lines", "window", "horizon", "series", "size", "skip_broken", "weights"),
    )
)


def with_options_of(
    other: Callable[..., None], only: frozenset[str] | None = None, without: tuple[str, ...] = ()
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Append the parameters of another command, all or only some, to those of the decorated one."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        inherited = {n: p for n, p in signature(other).parameters.items() if only is None or n in only}
        inherited = {n: p for n, p in inherited.items() if n not in without}
        parameters = [
            p for p in signature(command).parameters.values() if p.kind is not Parameter.VAR_KEYWORD
        ]
        # Keyword-only, so that parameters with a default may precede those without.
        named = [p.replace(kind=Parameter.KEYWORD_ONLY) for p in (*parameters, *inherited.values())]
        command.__signature__ = Signature(named)  # type: ignore[attr-defined]
        command.__annotations__ = {p.name: p.annotation for p in named}
        return command

    return decorate
