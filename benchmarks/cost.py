"""What `thalweg cost` predicts: memory against XLA's buffer assignment, time against the clock.

Models x batch sizes x optimizers x precisions on made data. The rules of the prediction were chosen on the
configurations of `DEVELOPMENT`; those of `SET_ASIDE` were first predicted when the rules stood. `COST_SET` in
the environment takes one of the two. Memory: arguments, results and temporaries less aliases, from
`memory_analysis()` of the compiled loop. Time: the median seconds of an update over the chunks of a second of
training, with `COST_SECONDS=1` only, as it needs a quiet machine; the first chunks, which are short, do not
count. `COST_AGAIN=1` measures nothing: it predicts anew the times of what the last run measured, and
`COST_FIT=1` fits `insight.cost.timing.WITHIN` to those of `DEVELOPMENT`.
"""

import itertools
import json
import os
import statistics
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
from scipy import optimize

import thalweg as tw
from benchmarks.machine import data_folder, markdown
from thalweg.engine.dispatch import ChunkLength, run_chunks
from thalweg.engine.group import init_group
from thalweg.insight.cost import graph, timing, trace
from thalweg.insight.cost.cost import memory_bytes
from thalweg.insight.cost.fitting import compiled_bytes
from thalweg.insight.cost.rates import rates
from thalweg.problem.models import parse

OPTIMIZERS = {
    "sgd": tw.SGD(lr=1e-5),  # so low that nothing diverges and stops early, however long it trains
    "momentum": tw.SGD(lr=1e-5, momentum=0.9),
    "adamw": tw.AdamW(lr=1e-6),
    "lion": tw.Lion(lr=1e-6),
    "rmsprop": tw.RMSprop(lr=1e-6),
}
# Model, kind of data, batch sizes, optimizers, precisions.
Family = tuple[str, str, tuple[int, ...], tuple[str, ...], tuple[str, ...]]
DEVELOPMENT: tuple[Family, ...] = (
    ("mlp:512", "flat", (32, 128, 1024), ("sgd", "momentum", "adamw"), ("f32",)),
    ("mlp:512,512,512,512", "flat", (2000,), ("sgd",), ("f32",)),
    ("cnn", "grey", (64, 256), ("sgd", "adamw"), ("f32",)),
    ("gpt:layers=2,width=64", "text", (16,), ("adamw",), ("f32",)),
    ("lstm", "series", (64,), ("adamw",), ("f32",)),
    ("mlp:64", "table", (16, 64, 256), ("sgd", "momentum", "adamw", "lion", "rmsprop"), ("f32", "bf16")),
    ("mlp:300,100", "flat", (64, 500), ("sgd", "adamw", "lion"), ("f32", "bf16")),
    ("mlp:256,256,256,skip=true", "flat", (128, 1500), ("momentum", "rmsprop"), ("f32",)),
    ("mlp:128,128,dropout=0.2", "table", (128, 1024), ("adamw", "sgd"), ("f32", "bf16")),
    ("mlp:128,128,normalisation=layer", "table", (128, 1024), ("adamw", "sgd"), ("f32",)),
    ("linear", "flat", (32, 1000), ("sgd", "adamw", "momentum"), ("f32",)),
    ("rnn", "series", (32, 256), ("sgd", "adamw"), ("f32",)),
    ("gru", "series", (32, 256), ("momentum", "lion"), ("f32",)),
    ("cnn:8,16", "grey", (32, 128), ("momentum", "lion"), ("f32", "bf16")),
    ("gpt:layers=1,width=32", "text", (8, 32), ("sgd", "adamw"), ("f32",)),
    ("gpt:layers=3,width=96", "text", (32,), ("adamw", "lion"), ("f32",)),
    ("resnet:8", "rgb", (32, 100), ("momentum", "adamw"), ("f32",)),
    ("mlp:200,dropout=0.4", "flat", (48, 700), ("adamw", "rmsprop"), ("f32", "bf16")),
    ("mlp:96,96,96,normalisation=batch", "table", (48, 400), ("sgd", "lion"), ("f32", "bf16")),
    ("linear", "table", (700,), ("adamw", "lion"), ("f32", "bf16")),
    ("cnn:12", "grey", (48, 200), ("sgd", "rmsprop"), ("f32", "bf16")),
    ("cnn:8,16", "rgb", (50,), ("adamw",), ("f32", "bf16")),
    ("rnn:48", "series", (100, 500), ("adamw", "momentum"), ("f32",)),
    ("lstm:40", "series", (100,), ("sgd", "lion"), ("f32", "bf16")),
    ("gru:72", "series", (60,), ("adamw", "rmsprop"), ("f32",)),
    ("gpt:layers=2,width=48,dropout=0.1", "text", (12, 48), ("adamw", "sgd"), ("f32",)),
    ("gpt:layers=2,width=48", "text", (24,), ("momentum",), ("f32", "bf16")),
    ("resnet:8", "rgb", (48,), ("sgd",), ("f32",)),
)
SET_ASIDE: tuple[Family, ...] = (
    ("mlp:150,150,dropout=0.3", "table", (60, 900), ("momentum",), ("f32", "bf16")),
    ("mlp:80,80,normalisation=batch", "flat", (200,), ("adamw",), ("f32", "bf16")),
    ("linear", "flat", (300,), ("rmsprop",), ("f32", "bf16")),
    ("cnn:6,12", "grey", (80,), ("adamw", "sgd"), ("f32", "bf16")),
    ("rnn:100", "series", (70,), ("lion",), ("f32", "bf16")),
    ("gru:30", "series", (150,), ("sgd",), ("f32",)),
    ("lstm:64", "series", (40,), ("rmsprop",), ("f32",)),
    ("gpt:layers=1,width=64", "text", (20,), ("lion",), ("f32", "bf16")),
    ("gpt:layers=2,width=32,dropout=0.2", "text", (20,), ("adamw",), ("f32",)),
    ("resnet:8", "rgb", (20,), ("adamw",), ("f32",)),
)
# Updates planned, far more than are made, and the seconds of chunks that are.
UPDATES, TIMED_SECONDS = 200_000, 1.0


def configurations(families: tuple[Family, ...]) -> list[tuple[str, str, int, str, str]]:
    """Return every combination of some families."""
    return [
        (model, kind, batch, optimizer, precision)
        for model, kind, batches, optimizers, precisions in families
        for batch, optimizer, precision in itertools.product(batches, optimizers, precisions)
    ]


def run(quick: bool) -> dict:
    """Predict and compile every configuration; `COST_SECONDS=1` in the environment also times them."""
    if os.environ.get("COST_AGAIN") or os.environ.get("COST_FIT"):
        return _predicted_again()
    timed = bool(os.environ.get("COST_SECONDS"))
    only = os.environ.get("COST_SET", "")
    limit, started = float(os.environ.get("COST_LIMIT", "inf")), time.perf_counter()
    data: dict[str, tw.Data] = {}
    rows = []
    sets = {"development": configurations(DEVELOPMENT), "set aside": configurations(SET_ASIDE)}
    for name, several in sets.items():
        if only and only != name:
            continue
        for model, kind, batch, optimizer, precision in several[:2] if quick else several:
            if time.perf_counter() - started > limit:
                break
            data.setdefault(kind, made(kind))
            problem, recipe = _run(data[kind], model, batch, optimizer, precision)
            row = {"set": name, "configuration": f"{model} {kind} {batch} {optimizer} {precision}"}
            row |= {"predicted": memory_bytes(problem, recipe), "compiled": compiled_bytes(problem, recipe)}
            if timed:
                row |= _times(problem, recipe)
            rows.append(row)
            jax.clear_caches()
    return {"rows": rows}


def _run(data: tw.Data, model: str, batch: int, optimizer: str, precision: str) -> tuple[Any, tw.Recipe]:
    settings: dict[str, Any] = {"batch_size": batch, "steps": UPDATES, "precision": precision}
    return tw.Problem(parse(model), data), tw.Recipe(OPTIMIZERS[optimizer], **settings)


def _predicted_again() -> dict:
    """Return the results of the last run with the seconds that are predicted now."""
    kept = json.loads((Path(__file__).parent / "results" / "cost.json").read_text())
    data: dict[str, tw.Data] = {}
    for row in kept["rows"]:
        model, kind, batch, optimizer, precision = row["configuration"].split()
        data.setdefault(kind, made(kind))
        asked = _run(data[kind], model, int(batch), optimizer, precision)
        row["predicted_seconds"] = _predicted(*asked)
        row["alone"] = _alone(*asked)
    if os.environ.get("COST_FIT"):
        kept["within"] = fitted([row for row in kept["rows"] if row["set"] == "development"])
    return kept


def _alone(problem: tw.Problem, recipe: tw.Recipe) -> dict[str, float]:
    update = graph.computation(trace.one_update(trace.shapes(problem, recipe)))
    return timing.by_kind(update, rates())


def fitted(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Return factors, none below 0, with the least absolute relative errors (reweighted least squares)."""
    spent = np.array([[row["alone"][kind] / row["seconds"] for kind in timing.WITHIN] for row in rows])
    weights, factors = np.ones(len(rows)), np.ones(len(timing.WITHIN))
    for _ in range(50):
        factors = optimize.nnls(spent * weights[:, None], weights)[0]
        weights = 1 / np.sqrt(np.maximum(np.abs(spent @ factors - 1), 0.02))
    return dict(zip(timing.WITHIN, factors.round(3).tolist(), strict=True))


def made(kind: str) -> tw.Data:
    """Return data of a kind; the values do not matter."""
    if kind == "text":
        return tw.load("tinyshakespeare", folder=data_folder())
    random = np.random.default_rng(0)
    shape, rows = {
        "flat": ((784,), 2500),
        "table": ((20,), 4000),
        "grey": ((28, 28), 1000),
        "rgb": ((32, 32, 3), 400),
        "photographs": ((64, 64, 3), 1200),
        "series": ((24, 6), 1500),
    }[kind]
    inputs = random.normal(size=(rows, *shape)).astype(np.float32)
    return tw.load((inputs, random.integers(0, 10, rows)), validation=0.0)


def _times(problem: tw.Problem, recipe: tw.Recipe) -> dict[str, float]:
    group, states = init_group(problem, [recipe])
    chunks: list[tuple[float, int]] = []
    for result in run_chunks(group, states, 0, UPDATES, ChunkLength(group.program.capacity)):
        if not result.compile_seconds:
            chunks.append((result.seconds, result.steps))
        if sum(seconds for seconds, _ in chunks) > TIMED_SECONDS and len(chunks) > 4:
            break
    longest = max(steps for _, steps in chunks)
    each = [seconds / steps for seconds, steps in chunks if 2 * steps > longest]
    return {"predicted_seconds": _predicted(problem, recipe), "seconds": statistics.median(each)}


def _predicted(problem: tw.Problem, recipe: tw.Recipe) -> float:
    return tw.cost(problem, recipe).step_seconds or float("nan")


def errors(result: dict, name: str, predicted: str = "predicted", actual: str = "compiled") -> list[float]:
    """Return the relative errors of the configurations of a set."""
    rows = [row for row in result["rows"] if row["set"] == name and actual in row]
    return [row[predicted] / row[actual] - 1 for row in rows]


def table(result: dict) -> str:
    """Return the table."""
    rows = []
    for name in ("development", "set aside"):
        for what, pair in (("memory", ()), ("time", ("predicted_seconds", "seconds"))):
            sizes = sorted(abs(error) for error in errors(result, name, *pair))
            if sizes:
                middle = f"{100 * statistics.median(sizes):.2f} %"
                share = sum(size <= 0.1 for size in sizes)
                rows.append([name, what, f"{len(sizes)}", middle, f"{100 * sizes[-1]:.1f} %", f"{share}"])
    worst = sorted(result["rows"], key=lambda row: -abs(row["predicted"] / row["compiled"] - 1))[:8]
    lines = [
        f"{row['configuration']}: {row['predicted'] / 2**20:.2f} MiB predicted, {row['compiled'] / 2**20:.2f}"
        for row in worst
    ]
    header = ["configurations", "", "number", "median error", "worst", "within 10 %"]
    fit = [f"factors: {result['within']}"] if "within" in result else []
    return "\n".join([markdown(header, rows), "", "Farthest off in memory:", *lines, *fit])
