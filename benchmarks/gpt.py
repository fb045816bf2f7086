"""The small GPT (4 layers, 4 heads, width 128, 65 characters): time per update, compared with eager PyTorch.

Two settings: nanoGPT's for a CPU (context 64, batch 12), and a larger one (context 128, batch 16). Thalweg
runs its bare engine loop with the loss logged at every step. PyTorch runs with fused attention and with AdamW
fused or not. Hyperparameters are the same, with gradients clipped to a norm of 1. `mapped` is Thalweg with
the model called on one example and mapped over the batch, as any Equinox module is.

A busy machine distorts this contest, because PyTorch's threads wait for each other by spinning. Run it on a
quiet one.

The effect of each optimisation, in milliseconds of processor time per update, on an AMD EPYC with AVX-512,
two cores, JAX 0.10.2, PyTorch 2.13, a busy machine; medians of 3-6 interleaved blocks, accurate to about 5 %.
Pairs are from one run, except the first two rows, which were measured minutes apart.

| optimisation | 64 x 12 | 128 x 16 |
|---|---|---|
| initially: mapped over examples, so products over two leading axes | 104 | 300 |
| whole batches, every product a matrix product (no transposed copies) | 104 -> 66 | |
| GELU by erf instead of erfc | 80 -> 74 | |
| GELU with a custom derivative, computed in the forward pass | 80 -> 83, dropped | |
| layer norm with a custom derivative | 74 -> 76, dropped | |
| attention normalised last; one split for queries, keys and values | | 205 -> 198 |
| queries in blocks of 64 with the keys they may attend to (256 x 8: 250 -> 226) | | 198 -> 192 |
| attention with a custom derivative, no division over pairs | | 220, 215 with normalisation last; dropped |
| three products instead of one for queries, keys and values | | 198 -> 196, dropped |
| PyTorch and Thalweg at the end, each on one core | 75, 65: 1.15x | 192, 185: 1.04x |

On two cores of a quiet machine, before these optimisations, a step took 54-58 ms against PyTorch's 35-44
(64 x 12), and 162-166 against 97-123 (128 x 16). After them, two quiet cores have not been measured yet.
"""

from statistics import median
from typing import Any

from benchmarks.machine import data_folder, markdown, shown, spread
from benchmarks.processes import Contestant, contest, rates, ratios

# Context and batch.
SETTINGS = {"nanoGPT on a CPU": (64, 12), "context 128": (128, 16)}
ROUNDS, STEPS = 9, 40
LABELS = {
    "thalweg": "Thalweg",
    "mapped": "Thalweg, mapped over examples",
    "fused": "PyTorch eager, fused AdamW",
    "plain": "PyTorch eager, AdamW",
}


def run(quick: bool) -> dict[str, Any]:
    """Measure both settings."""
    rows = {name: _contest(*setting, quick) for name, setting in SETTINGS.items()}
    return {"rows": rows, "goal": _goal(rows)}


def table(result: dict[str, Any]) -> str:
    """Return the table: milliseconds per update, and times relative to Thalweg."""
    lines = []
    for name, contestants in result["rows"].items():
        context, batch = SETTINGS[name]
        for label, text in LABELS.items():
            work = f"{name}: {context} x {batch}"
            if "error" in contestants[label]:
                lines.append([work, text, contestants[label]["error"], ""])
                continue
            update = spread(1e3 * batch / rate for rate in rates(contestants[label]))
            lines.append(
                [
                    work,
                    text,
                    shown(update, 1),
                    shown(spread(ratios(contestants["thalweg"], contestants[label]))),
                ]
            )
    return markdown(["context x batch", "", "milliseconds per update", "time relative to Thalweg"], lines)


def _contest(context: int, batch: int, quick: bool) -> dict[str, Any]:
    setting = {
        "folder": str(data_folder()),
        "context": context,
        "batch": batch,
        "steps": 5 if quick else STEPS,
    }
    contestants = [
        Contestant("thalweg", "gpt_engine", setting),
        Contestant("mapped", "gpt_engine", setting | {"mapped": True}),
        Contestant("fused", "gpt_torch", setting | {"fused": True}),
        Contestant("plain", "gpt_torch", setting | {"fused": False}),
    ]
    return contest(contestants, 2 if quick else ROUNDS)


def _goal(rows: dict[str, Any]) -> list[float]:
    """Return the ratios to PyTorch's faster optimizer, round by round, in the least favourable setting."""
    candidates = [
        ratios(row["thalweg"], row[label])
        for row in rows.values()
        for label in ("fused", "plain")
        if "error" not in row[label]
    ]
    return min(candidates, key=median, default=[])
