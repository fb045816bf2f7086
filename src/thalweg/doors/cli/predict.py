"""`thalweg predict`: predictions of a trained run for new data."""

from __future__ import annotations

import sys
import warnings
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from thalweg.core.errors import BadInput, DataError, DataWarning
from thalweg.core.lazy import LazyModule
from thalweg.core.stop_reason import EXIT_DONE
from thalweg.doors.answers import csv_of, frame_of
from thalweg.doors.cli.device import Options, use_device
from thalweg.doors.cli.json_output import print_json
from thalweg.doors.cli.outfile import check_out, write_out
from thalweg.doors.cli.piped import piped
from thalweg.problem.data.labelled import has_labels
from thalweg.problem.data.predict_inputs import NewData, read_new, read_parts
from thalweg.run.restore import Trained, restore
from thalweg.view.terminal import say

if TYPE_CHECKING:
    from thalweg.insight.evaluation import Evaluation

# Metrics and figures to decide by take longer to import than five rows to predict.
evaluation: Any = LazyModule("thalweg.insight.evaluation")
wording: Any = LazyModule("thalweg.insight.wording")
by_parts: Any = LazyModule("thalweg.doors.cli.predict_parts")

WRITERS = (".csv", ".parquet", ".npy")


def restored(options: Options) -> Trained:
    """Return the trained model that a command names, with the weights that it asks for."""
    return restore(
        options["run"],
        weights=options["weights"] or None,
        unverified=options["unverified"],
        allow_import=options["allow_import"],
    )


def predict(options: Options) -> int:
    """Predict; return the exit code."""
    out = options["out"]
    _check(out, options)
    use_device(options["device"])
    trained = restored(options)
    with warnings.catch_warnings(record=True) as caught, piped(options["data"]) as source:
        warnings.simplefilter("always", DataWarning)
        trained.check_predicts()
        table = read_parts(source, trained.preparation, options["stream"])
        if table is not None:
            by_parts.predict_by_parts(trained, table, options, _say)
            return EXIT_DONE
        new = read_new(source, trained.preparation, options["folder"])
        answers = trained.rows(new, options["keep"] or ()) | trained.answers_for(new, _say)
        scored = _scored(trained, new)
    for warning in caught:
        _say(str(warning.message))
    targets = trained.preparation.target_names
    if out is not None:
        write_out(out, _content(out, answers, options["formulas"], targets), force=options["force"])
    if options["json"]:
        print_json(
            {
                "run": str(options["run"]),
                "rows": _rows(answers),
                "columns": frame_of(answers, targets).columns,
                "out": str(out) if out else None,
                "weights": trained.weights,
            }
            | ({} if scored is None else {"metrics": scored.metrics, "trained_on": scored.trained_on})
            | ({} if out else {"answers": frame_of(answers, targets).to_dicts()})
        )
    elif out is not None:
        say(f"{_rows(answers)} predictions written to {out} ({trained.weights} weights)")
    else:
        sys.stdout.write(csv_of(answers, options["formulas"], targets))
    return EXIT_DONE


def _scored(trained: Trained, new: NewData) -> Evaluation | None:
    """Score data that hold their targets, and say so; None where they do not, or cannot be scored."""
    if not has_labels(new, trained.preparation, trained.task):
        return None
    try:
        scored = evaluation.evaluation_of(trained, new)
    except DataError as error:
        _say(
            f"the data hold {trained.preparation.target!r}, and were not scored: {str(error).splitlines()[0]}"
        )
        return None
    shown = ", ".join(
        f"{name} {wording.measure(name, value)}" for name, value in list(scored.metrics.items())[:2]
    )
    _say(f"the data hold {trained.preparation.target!r}: {shown} on {scored.rows} rows.")
    for text in scored.notes:
        _say(text)
    return scored


def _say(text: str) -> None:
    say(f"note: {text}", sys.stderr)


def _check(out: Path | None, options: Options) -> None:
    if out is not None and out.suffix not in WRITERS:
        raise BadInput(
            "--out",
            f"must end in one of {', '.join(WRITERS)}",
            got=str(out),
            hint=f"try {out.with_suffix('.csv').name}",
        )
    if out is not None:
        check_out(out, force=options["force"], inputs=(options["data"],))
    check_weights(options["weights"])


def check_weights(weights: str) -> None:
    """Refuse weights that no run has."""
    if weights not in ("", "best", "final"):
        raise BadInput("--weights", "must be best or final", got=weights, hint="try best")


def _rows(answers: dict[str, np.ndarray]) -> int:
    return len(answers["prediction"])


def _content(path: Path, answers: dict[str, np.ndarray], formulas: bool, targets: tuple[str, ...]) -> bytes:
    """Return the content of the file of predictions, by its suffix."""
    content = BytesIO()
    if path.suffix == ".npy":
        values = answers["prediction"]
        np.save(content, values.astype(str) if values.dtype == object else values, allow_pickle=False)
    elif path.suffix == ".parquet":
        frame_of(answers, targets).write_parquet(content)
    else:
        return csv_of(answers, formulas, targets).encode()
    return content.getvalue()
