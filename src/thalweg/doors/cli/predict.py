"""`thalweg predict`: answers for new data from a run folder."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from thalweg.core.errors import BadInput
from thalweg.doors.cli.codes import DONE
from thalweg.doors.cli.device import use
from thalweg.doors.cli.output import print_json
from thalweg.run.restore import restore

WRITERS = (".csv", ".parquet", ".npy")


@dataclass(frozen=True)
class Request:
    """The command's arguments; see `thalweg predict --help`."""

    run: Path
    data: str
    out: Path | None
    weights: str
    folder: Path | None
    device: Any
    json: bool


def run(request: Request) -> int:
    """Predict; return the exit code."""
    _check(request)
    use(request.device)
    trained = restore(request.run, weights=request.weights or None)
    answers = trained.answers(request.data, folder=request.folder)
    if request.out is not None:
        _write(request.out, answers)
    if request.json:
        told = {
            "run": str(request.run),
            "rows": _rows(answers),
            "columns": list(answers),
            "out": str(request.out) if request.out else None,
            "weights": trained.weights,
        }
        print_json(told)
    elif request.out is not None:
        print(f"{_rows(answers)} predictions written to {request.out} ({trained.weights} weights)")
    else:
        sys.stdout.write(_csv(answers))
    return DONE


def _check(request: Request) -> None:
    if request.out is not None and request.out.suffix not in WRITERS:
        raise BadInput(
            "--out",
            f"must end in one of {', '.join(WRITERS)}",
            got=str(request.out),
            hint=f"try {request.out.with_suffix('.csv').name}",
        )
    if request.out is not None and not request.out.absolute().parent.is_dir():
        raise BadInput("--out", "must lie in a folder that exists", got=str(request.out))
    if request.weights not in ("", "best", "final"):
        raise BadInput("--weights", "must be best or final", got=request.weights, hint="try best")


def _rows(answers: dict[str, np.ndarray]) -> int:
    return len(answers["prediction"])


def _frame(answers: dict[str, np.ndarray]) -> pl.DataFrame:
    columns = {}
    for name, values in answers.items():
        if values.ndim == 1:
            columns[name] = values.tolist() if values.dtype == object else values
        else:  # several target values: a column each
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
