"""A table read in chunks against the same table in memory: peak memory, processor time, examples a second.

Made numbers and categories, Parquet in row groups of 100,000. Each run is a process of `thalweg fit`; its
memory is the most that the process held. `STREAMED_ROWS` in the environment sets the number of rows: 100
million take about 5 GB.
"""

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.machine import markdown

ROWS, GROUP, STEPS, BATCH = 4_000_000, 100_000, 3000, 1024
NUMBERS, CATEGORIES = 7, 3
MOST_IN_MEMORY = 10_000_000  # rows; more are streamed only


def run(quick: bool) -> dict:
    """Write the table, and train on it streamed and in memory."""
    rows = 2 * GROUP if quick else int(os.environ.get("STREAMED_ROWS", ROWS))
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "made.parquet"
        _write(path, rows)
        steps = 100 if quick else STEPS
        ways = ("--stream", "--no-stream") if rows <= MOST_IN_MEMORY else ("--stream",)
        runs = {how: _fit(path, how, steps) for how in ways}
        return {"rows": rows, "bytes": path.stat().st_size, "runs": runs}


def _write(path: Path, rows: int) -> None:
    random = np.random.default_rng(0)
    writer = None
    for start in range(0, rows, GROUP):
        size = min(GROUP, rows - start)
        numbers = random.normal(size=(size, NUMBERS)).astype(np.float32)
        columns: dict[str, Any] = {f"x{i}": numbers[:, i] for i in range(NUMBERS)}
        codes = random.integers(0, 12, (size, CATEGORIES))
        columns |= {f"c{i}": np.array(list("abcdefghijkl"))[codes[:, i]] for i in range(CATEGORIES)}
        columns["y"] = np.sin(numbers[:, 0]) + numbers[:, 1] * (codes[:, 0] > 5)
        table = pa.table(pl.DataFrame(columns).to_arrow())
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    assert writer is not None
    writer.close()


def _fit(path: Path, how: str, steps: int) -> dict[str, float]:
    out = path.parent / how.strip("-")
    arguments = [str(path), "--target", "y", "--model", "mlp:64,64", "--steps", str(steps), how]
    return measured_fit([*arguments, "--set", f"batch_size={BATCH}"], out)


def measured_fit(arguments: list[str], out: Path) -> dict[str, float]:
    """Run `thalweg fit` in a process; return its peak memory, processor time, speed and test loss."""
    arguments = [*arguments, "--no-references", "--quiet", "--out", str(out)]
    process = os.spawnv(os.P_NOWAIT, sys.executable, [sys.executable, "-m", "thalweg", "fit", *arguments])
    _, status, used = os.wait4(process, 0)
    if status:
        raise RuntimeError(
            f"thalweg fit {' '.join(arguments)} ended with {os.waitstatus_to_exitcode(status)}"
        )
    result = json.loads((out / "result.json").read_text())
    return {
        "peak": used.ru_maxrss * 1024,
        "processor": used.ru_utime + used.ru_stime,
        "examples": result["examples_per_second"],
        "test_loss": result["test_loss"],
    }


def table(result: dict) -> str:
    """Return the table."""
    rows = [
        [
            how.strip("-"),
            f"{row['peak'] / 2**20:,.0f}",
            f"{row['processor']:.1f}",
            f"{row['examples'] / 1000:.0f}",
            f"{row['test_loss']:.4f}",
        ]
        for how, row in result["runs"].items()
    ]
    said = f"{result['rows']:,} rows, {result['bytes'] / 2**20:,.0f} MiB of Parquet"
    header = ["", "peak memory, MiB", "processor seconds", "thousand examples a second", "test loss"]
    return f"{said}\n\n{markdown(header, rows)}"
