"""Run folders that look as if a run were training in them, written without training."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa

from thalweg.run.folder.lock import NAME, this_process
from thalweg.run.folder.log_stream import TABLES

RATES = (0.1, 0.01, 0.001)


def write(folder: Path, name: str, value) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")


def start(folder: Path, lanes: int | None = None, is_running: bool = True) -> Path:
    """Write the files that a run has before its first step; `lanes`: of a sweep, None for a single run."""
    write(folder, "environment.json", {})
    problem = {"data": {"name": "made"}, "model": {"spec": "mlp:8"}, "metric": "accuracy"}
    write(folder, "problem.json", problem)
    origin = {}
    if lanes is None:
        write(folder, "result.json", {"run": str(folder), "stopped": None})
        write(folder, "recipe.toml", "epochs = 4\n[optimizer]\nname = 'sgd'\nlr = 0.1\n")
    else:
        texts = [f"[optimizer]\nname = 'sgd'\nlr = {RATES[lane % 3]}\n" for lane in range(lanes)]
        shards = [{"lanes": list(range(first, min(lanes, first + 2)))} for first in range(0, lanes, 2)]
        origin = {"recipes": texts, "plan": {"shards": shards}}
        metric = {"name": "accuracy", "higher_is_better": True}
        sweep = {"stopped": None, "lanes": lanes, "varied": ["optimizer.lr"], "metric": metric}
        write(folder, "sweep.json", sweep | {"recipe": {"epochs": 4}})
        (folder / "shards").mkdir()
    write(folder, "run.json", {"ended": False, "origin": origin})
    if is_running:
        write(folder, NAME, this_process())
    return folder


def end(folder: Path, **result) -> Path:
    """Write what a single run has at its end."""
    values = {"stopped": "epochs", "epochs": 4.0, "steps": 40, "validation_loss": 0.5}
    values |= {"test_metric": {"name": "accuracy", "value": 0.9}, "seconds": {"total": 3.0}}
    write(folder, "result.json", values | result)
    write(folder, "run.json", {"ended": values["stopped"] != "interrupted", "origin": {}})
    (folder / NAME).unlink(missing_ok=True)
    return folder


def steps(lane: int, first: int, losses) -> pa.RecordBatch:
    """Return rows of the log of steps."""
    number = len(losses)
    columns = {
        "lane": np.full(number, lane, np.int32),
        "step": np.arange(first, first + number),
        "loss": np.asarray(losses, np.float32),
        "learning_rate": np.full(number, 0.1, np.float32),
        "gradient_norm": np.full(number, np.nan, np.float32),
    }
    return pa.record_batch(list(columns.values()), schema=TABLES["steps"])


def evaluation(lane: int, step: int, loss: float, part: str = "validation") -> pa.RecordBatch:
    """Return one row of the log of evaluations; an epoch has ten steps."""
    values = [lane, step, step / 10, part, loss, 1 - loss, 0.5]
    columns = [
        pa.array([value], kind.type) for value, kind in zip(values, TABLES["evaluations"], strict=True)
    ]
    return pa.record_batch(columns, schema=TABLES["evaluations"])


def append(folder: Path, *batches: pa.RecordBatch) -> None:
    """Append batches to the growing logs of a folder, each to the table that it belongs to."""
    folder.mkdir(parents=True, exist_ok=True)
    for batch in batches:
        name = next(name for name, schema in TABLES.items() if batch.schema.equals(schema))
        path = folder / f"{name}.arrows"
        if not path.exists():
            path.write_bytes(TABLES[name].serialize().to_pybytes())
        with path.open("ab") as file:
            file.write(batch.serialize().to_pybytes())
