"""`thalweg evaluate`: the figures of a trained run on data that hold their targets."""

import sys
import warnings
from contextlib import AbstractContextManager, nullcontext

from rich.table import Table

from thalweg.core.errors import DataWarning
from thalweg.core.lazy import pl
from thalweg.core.stop_reason import EXIT_DONE
from thalweg.doors.cli.device import Options, use_device
from thalweg.doors.cli.json_output import print_json
from thalweg.doors.cli.outfile import check_out, write_out
from thalweg.doors.cli.piped import piped
from thalweg.doors.cli.predict import check_weights, restored
from thalweg.insight.decisions.cost import ErrorCost
from thalweg.insight.evaluation import Asked, Evaluation, evaluation_of
from thalweg.insight.wording import measure
from thalweg.problem.data.predict_inputs import read_new
from thalweg.view.decisions.page import render
from thalweg.view.decisions.text import show
from thalweg.view.terminal import say, terminal


def evaluate(options: Options) -> int:
    """Evaluate; return the exit code."""
    check_weights(options["weights"])
    asked, page = Asked(options["cost"], tuple(options["by"] or ())), options["page"]
    ErrorCost.of(asked.cost)
    if page is not None:
        check_out(page, "--page", force=options["force"], inputs=(options["data"],))
    use_device(options["device"])
    trained = restored(options)
    trained.check_predicts()
    with warnings.catch_warnings(record=True) as caught, _source(options["data"]) as source:
        warnings.simplefilter("always", DataWarning)
        new = None if source is None else read_new(source, trained.preparation, options["folder"])
        scored = evaluation_of(trained, new, asked=asked)
    notes = [*map(str, (warning.message for warning in caught)), *scored.notes]
    for text in notes:
        say(f"note: {text}", sys.stderr)
    if options["json"]:
        print_json(as_dict(scored) | {"run": str(options["run"]), "data": options["data"]})
    else:
        _print(scored)
    if page is not None:
        write_out(
            page, render(scored, trained.record, options["data"]).encode(), "--page", force=options["force"]
        )
        say(f"page: {page}", sys.stderr if options["json"] else sys.stdout)
    return EXIT_DONE


def _source(data: str | None) -> AbstractContextManager[str | None]:
    return nullcontext(None) if data is None else piped(data)


def as_dict(scored: Evaluation) -> dict[str, object]:
    """Return an evaluation as plain values."""
    return {
        "rows": scored.rows,
        "metrics": scored.metrics,
        "classes": scored.classes.to_dicts(),
        "targets": scored.targets.to_dicts(),
        "trained_on": scored.trained_on,
        "weights": scored.weights,
        "notes": list(scored.notes),
        "decisions": scored.decisions,
    }


def _print(scored: Evaluation) -> None:
    say(f"{scored.rows} rows, {scored.weights} weights")
    figures = Table(box=None, show_header=False, pad_edge=False)
    for name, value in scored.metrics.items():
        figures.add_row(name, measure(name, value))
    terminal(sys.stdout).print(figures)
    for parts in (scored.classes, scored.targets):
        if not parts.is_empty():
            _print_parts(parts)
    for part in show(scored.decisions):
        terminal(sys.stdout).print(part)


def _print_parts(parts: pl.DataFrame) -> None:
    """Print a row for each class or target; its name comes first."""
    shown = Table(box=None, pad_edge=False)
    for place, column in enumerate(parts.columns):
        shown.add_column(column, justify="right" if place else "left")
    of_classes = parts.columns[0] == "class"
    for row in parts.iter_rows(named=True):
        cells = (
            str(cell) if not isinstance(cell, float) else f"{cell:.3f}" if of_classes else measure(name, cell)
            for name, cell in row.items()
        )
        shown.add_row(*cells)
    terminal(sys.stdout).print()
    terminal(sys.stdout).print(shown)
