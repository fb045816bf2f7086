"""`thalweg cost` beside other tools that count operations and estimate memory, on the same networks.

torchinfo and fvcore count multiplications (one with its addition) of a forward pass; torchinfo and
`accelerate estimate-memory` estimate the memory of training; PyTorch's `activation_memory_budget` trades
recomputation for memory. Thalweg's memory is beside XLA's buffer assignment, activations are beside what
PyTorch's autograd saves. `RIVALS_PYTHON` in the environment names a Python with torch, torchinfo, fvcore and
accelerate.
"""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import thalweg as tw
from benchmarks.cost import made
from benchmarks.machine import markdown
from thalweg.insight.cost.fitting import compiled_bytes
from thalweg.problem.models import parse

SCRIPT = Path(__file__).parent / "contestants" / "cost_torch.py"
# Batch by network, with the kind of made data.
MODELS = {
    "mlp:512": ("flat", 1024),
    "mlp:256,256,256,256,256,256,256": ("flat", 2000),
    "cnn": ("grey", 256),
}
RECOMPUTED = ("none", "blocks:2", "blocks:4", "sqrt")
SECONDS = 1800  # that the other tools may take


def run(quick: bool) -> dict[str, Any]:
    """Ask all of them."""
    models = dict(list(MODELS.items())[: 1 if quick else None])
    return {
        "thalweg": {name: _own(name, *about) for name, about in models.items()},
        "others": _others({name: batch for name, (_, batch) in models.items()}),
    }


def _own(name: str, kind: str, batch: int) -> dict[str, Any]:
    problem = tw.Problem(parse(name), made(kind))
    recipe = tw.Recipe(tw.Adam(lr=1e-4), batch_size=batch, steps=100)
    costs = {how: tw.cost(problem, replace(recipe, recompute=how), measure=False) for how in RECOMPUTED}
    one = costs["none"]
    return {
        "multiplications": one.forward.products_multiply,
        "additions": one.forward.products_add,
        "backward_ratio": one.backward_ratio,
        "parameters": one.parameters,
        "activations": {how: each.memory.activations for how, each in costs.items()},
        "memory": one.memory.total,
        "compiled": compiled_bytes(problem, recipe),
    }


def _others(batches: dict[str, int]) -> dict[str, Any]:
    python = os.environ.get("RIVALS_PYTHON", sys.executable)
    command = [python, str(SCRIPT), json.dumps(batches)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    if done.returncode:
        return {"error": done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "it failed"}
    return json.loads(done.stdout.splitlines()[-1])


def table(result: dict[str, Any]) -> str:
    """Return the tables."""
    others = result["others"]
    if "error" in others:
        return f"the other tools did not run: {others['error']}"
    rows, kept = [], []
    for name, own in result["thalweg"].items():
        them = others[name]
        for what, label, write in (
            ("multiplications", "multiplications forward", "{:,}".format),
            ("parameters", "parameters", "{:,}".format),
            ("activations", "activations kept", _mib),
            ("memory", "memory of training with Adam", _mib),
        ):
            mine = own[what]["none"] if what == "activations" else own[what]
            true = {"activations": them["torch"].get("activations"), "memory": own["compiled"]}.get(what)
            cells = [write(mine), *(_cell(them[tool], what, write) for tool in TOOLS)]
            rows.append(
                [_short(name), label, *cells, "" if true is None else f"{write(true)} {ACTUAL[what]}"]
            )
        ours = ", ".join(f"{how} {_mib(taken)}" for how, taken in own["activations"].items())
        theirs = ", ".join(f"{budget} {_mib(taken)}" for budget, taken in them["budgets"].items())
        kept.append([_short(name), ours, theirs])
    first = markdown(["network", "", "thalweg cost", *TOOLS, "actual"], rows)
    second = markdown(["network", "kept by `recompute`", "kept by `activation_memory_budget`"], kept)
    return f"{first}\n\n{second}"


TOOLS = ("torchinfo", "fvcore", "accelerate")
ACTUAL = {"activations": "(autograd's)", "memory": "(XLA's buffers)"}


def _cell(found: dict[str, Any], what: str, write: Any) -> str:
    if "error" in found:
        return "failed"
    return write(found[what]) if what in found else "-"


def _mib(taken: float) -> str:
    return f"{taken / 2**20:.1f} MiB"


def _short(name: str) -> str:
    kind, _, settings = name.partition(":")
    widths = settings.split(",") if settings else []
    return f"{kind}:{widths[0]} x {len(widths)}" if len(widths) > 2 else name
