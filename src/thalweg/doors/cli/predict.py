"""`thalweg predict`: predictions of a trained run for new data."""

import sys
from pathlib import Path

import numpy as np
import polars as pl

from thalweg.core.errors import BadInput
from thalweg.core.stop_reason import EXIT_DONE
from thalweg.doors.cli.arguments import Options, use_device
from thalweg.doors.cli.output import print_json
from thalweg.run.restore import restore

WRITERS = (".csv", ".parquet", ".npy")


def predict(options: Options) -> int:
    """Predict; return the exit code."""
    out = options["out"]
    _check(out, options["weights"])
    use_device(options["device"])
    trained = restore(options["run"], weights=options["weights"] or None)
    answers = trained.answers(options["data"], folder=options["folder"])
    if out is not None:
        _write(out, answers)
    if options["json"]:
        print_json(
            {
                "run": str(options["run"]),
                "rows": _rows(answers),
                "columns": list(answers),
                "out": str(out) if out else None,
                "weights": trained.weights,
            }
        )
    elif out is not None:
        print(f"{_rows(answers)} predictions written to {out} ({trained.weights} weights)")
    else:
        sys.stdout.write(_csv(answers))
    return EXIT_DONE


def _check(out: Path | None, weights: str) -> None:
    if out is not None and out.suffix not in WRITERS:
        raise BadInput(
            "--out",
            f"must end in one of {', '.join(WRITERS)}",
            got=str(out),
            hint=f"try {out.with_suffix('.csv').name}",
        )
    if out is not None and not out.absolute().parent.is_dir():
        raise BadInput("--out", "must be in an existing folder", got=str(out))
    if weights not in ("", "best", "final"):
        raise BadInput("--weights", "must be best or final", got=weights, hint="try best")


def _rows(answers: dict[str, np.ndarray]) -> int:
    return len(answers["prediction"])


def _frame(answers: dict[str, np.ndarray]) -> pl.DataFrame:
    columns = {}
    for name, values in answers.items():
        if values.ndim == 1:
            columns[name] = values.tolist() if values.dtype == object else values
        else:  # several target values: one column each
            columns |= {f"{name}_{i}": values[:, i] for i in range(values.shape[1])}
    return pl.DataFrame(columns)


def _csv(answers: dict[str, np.ndarray]) -> str:
    return _frame(answers).write_csv()


def _write(path: Path, answers: dict[str, np.ndarray]) -> None:
    try:
        if path.suffix == ".npy":
            values = answers["prediction"]
            np.save(path, values.astype(str) if values.dtype == object else values, allow_pickle=False)
        elif path.suffix == ".parquet":
            _frame(answers).write_parquet(path)
        else:
            path.write_text(_csv(answers), encoding="utf-8")
    except OSError as error:
        raise BadInput("--out", "must be writable", got=str(path), where=error.strerror) from error
