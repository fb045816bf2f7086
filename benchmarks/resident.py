"""What `thalweg cost` predicts for large runs against the memory that a process holds while it trains them.

Each run has a process of its own, which trains it twice: what Python, JAX and the compiled programs hold is
there before the second time, and the compiler, which needs memory of its own, is done. Freed memory is given
back to the system in between, and the mark of the most that was held is reset. Linux only (`/proc/self`).
"""

import ctypes
import gc
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import thalweg as tw
from benchmarks.cost import OPTIMIZERS, made
from benchmarks.machine import markdown
from thalweg.problem.models import parse

# Model, kind of data, batch, optimizer, precision: most of them 200 MB to 1.5 GB. An evaluation of the small
# convolutions takes more than training does.
RUNS = (
    ("mlp:4096,4096", "flat", 1000, "adamw", "f32"),
    ("mlp:2048,2048,2048,2048", "flat", 1500, "sgd", "f32"),
    ("mlp:8192", "flat", 2000, "momentum", "f32"),
    ("cnn:64,128", "grey", 500, "adamw", "f32"),
    ("cnn:64,128", "rgb", 256, "sgd", "bf16"),
    ("cnn:32,64", "photographs", 16, "sgd", "f32"),
    ("resnet:20", "rgb", 256, "momentum", "f32"),
    ("lstm:512", "series", 1000, "adamw", "f32"),
    ("gpt:layers=6,width=384", "text", 16, "adamw", "f32"),
    ("gpt:layers=4,width=256", "text", 64, "lion", "f32"),
)
STEPS = 6
SECONDS = 600


def run(quick: bool) -> dict[str, Any]:
    """Predict each run, and train it for a few chunks in a process of its own."""
    rows = []
    for setting in RUNS[: 1 if quick else None]:
        command = [sys.executable, "-m", "benchmarks.resident", json.dumps(setting)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=True)
        rows.append({"configuration": " ".join(map(str, setting))} | json.loads(done.stdout.splitlines()[-1]))
    return {"rows": rows}


def held(setting: tuple[str, str, int, str, str]) -> dict[str, int]:
    """Return bytes of one run in this process: what was predicted, and by how much the process grew."""
    model, kind, batch, optimizer, precision = setting
    problem = tw.Problem(parse(model), made(kind))
    recipe = tw.Recipe(OPTIMIZERS[optimizer], batch_size=batch, steps=STEPS, precision=precision)
    predicted = tw.cost(problem, recipe, measure=False).memory.peak
    tw.train(problem, recipe)  # compiles
    _give_back()
    before = _kilobytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    tw.train(problem, recipe)
    return {"predicted": predicted, "held": 1024 * (_kilobytes("VmHWM") - before)}


def _give_back() -> None:
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)


def _kilobytes(name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1])


def table(result: dict[str, Any]) -> str:
    """Return the table."""
    rows = [
        [
            row["configuration"],
            f"{row['predicted'] / 2**20:.0f}",
            f"{row['held'] / 2**20:.0f}",
            f"{100 * (row['predicted'] / row['held'] - 1):+.1f} %",
        ]
        for row in result["rows"]
    ]
    return markdown(["run", "predicted, MiB", "held, MiB", ""], rows)


if __name__ == "__main__":
    print(json.dumps(held(json.loads(sys.argv[1]))))
