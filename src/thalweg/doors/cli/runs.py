"""`thalweg runs`: the runs and sweeps under a folder as a table."""

import dataclasses
from pathlib import Path
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from thalweg.core.errors import BadInput
from thalweg.core.stop_reason import EXIT_DONE
from thalweg.doors.cli.output import print_json, print_text
from thalweg.insight.run_list import FAILED, INTERRUPTED, RUNNING, RunList, RunSummary
from thalweg.insight.run_query import filtered, ordered
from thalweg.insight.summary import model_in_words
from thalweg.insight.wording import NOTHING, figure, plural, seconds

_STYLES = {RUNNING: "cyan", INTERRUPTED: "yellow", FAILED: "red"}


def runs(folder: Path, conditions: list[str], sort: str | None, reverse: bool, as_json: bool) -> int:
    """Print the runs that meet the conditions; return the exit code."""
    if not folder.is_dir():
        hint = "name the folder that holds the run folders; fit writes to runs/ unless --out is given"
        raise BadInput("runs", "must be an existing folder", got=str(folder), hint=hint)
    known = RunList([folder]).look()
    shown = filtered(known, conditions)
    shown = ordered(shown, sort, reverse) if sort else shown[::-1] if reverse else shown
    if as_json:
        print_json({"folder": str(folder), "runs": [_plain(run) for run in shown]})
    elif shown:
        print_text(_table(shown))
    else:
        print(f"no run in {folder}" + (f" meets the filter, of {plural(len(known), 'run')}" if known else ""))
    return EXIT_DONE


def _plain(run: RunSummary) -> dict[str, Any]:
    values = {field.name: getattr(run, field.name) for field in dataclasses.fields(run)}
    metric = None if run.metric is None else {"name": run.metric.name, "value": run.metric.value}
    return values | {"folder": str(run.folder), "metric": metric}


def _table(shown: list[RunSummary]) -> RenderableType:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for title in ("run", "state", "data", "model", "test metric", "validation loss", "trained", "time"):
        table.add_column(title, overflow="fold")
    for run in shown:
        state = run.why if run.state == FAILED else run.state
        model = model_in_words(run.model) if run.model else NOTHING
        cells = (run.data or NOTHING, model, _metric(run), figure(run.validation_loss))
        table.add_row(
            Text(run.name, style="bold"),
            Text(state, style=_STYLES.get(run.state, "")),
            *map(Text, (*cells, _length(run), seconds(run.seconds))),
        )
    return table


def _metric(run: RunSummary) -> str:
    return NOTHING if run.metric is None else f"{run.metric.text} {run.metric.name.replace('_', ' ')}"


def _length(run: RunSummary) -> str:
    length = plural(round(run.epochs, 1), "epoch") if run.epochs is not None else NOTHING
    lanes = f"{plural(run.lanes, 'lane')}" if run.is_sweep else ""
    return lanes if length == NOTHING and lanes else f"{lanes}, {length}" if lanes else length
