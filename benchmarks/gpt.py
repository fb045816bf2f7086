"""The small GPT (4 layers, 4 heads, width 128, 65 characters): time of an update beside eager PyTorch.

Two settings: nanoGPT's for a CPU (context 64, batch 12), and a larger one (context 128, batch 16). Thalweg's
bare engine loop with the loss logged at every step; PyTorch with its fused attention, AdamW in its fused form
and in its plain one; the same numbers of both recipes, gradients clipped at a norm of 1. `mapped` is Thalweg
with the model called on one example and mapped over the batch, as any Equinox module is.

A busy machine spoils this contest: PyTorch's threads wait for each other by spinning. Run it on a quiet one.

What each idea gave, in milliseconds of processor time an update: AMD EPYC with AVX-512, two cores, JAX
0.10.2, PyTorch 2.13, a busy machine; medians of 3-6 interleaved blocks, good to about 5 %. Pairs are of one
run, but for the first two rows, which are minutes apart.

| idea | 64 x 12 | 128 x 16 |
|---|---|---|
| at first: mapped over examples, so products over two leading axes | 104 | 300 |
| whole batches, every product a matrix product (no transposed copies) | 104 -> 66 | |
| GELU by erf in place of erfc | 80 -> 74 | |
| GELU with its own derivative, taken along in the forward pass | 80 -> 83, dropped | |
| layer norm with its own derivative | 74 -> 76, dropped | |
| attention divided last; one split for queries, keys and values | | 205 -> 198 |
| queries in blocks of 64 with the keys they may see (256 x 8: 250 -> 226) | | 198 -> 192 |
| attention with its own derivative, no division over pairs | | 220, against 215 by division last; dropped |
| three products in place of one for queries, keys and values | | 198 -> 196, dropped |
| PyTorch and Thalweg at the end, each on one core | 75, 65: 1.15x | 192, 185: 1.04x |

On two cores, before any of this and with the machine quiet, a step took 54-58 ms against PyTorch's 35-44
(64 x 12), and 162-166 against 97-123 (128 x 16). After it: not measured on two quiet cores yet.
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
    """Return the table: milliseconds an update, and how many times Thalweg's time the others take."""
    lines = []
    for name, found in result["rows"].items():
        context, batch = SETTINGS[name]
        for label, shown_as in LABELS.items():
            work = f"{name}: {context} x {batch}"
            if "error" in found[label]:
                lines.append([work, shown_as, found[label]["error"], ""])
                continue
            update = spread(1e3 * batch / rate for rate in rates(found[label]))
            lines.append(
                [work, shown_as, shown(update, 1), shown(spread(ratios(found["thalweg"], found[label])))]
            )
    return markdown(["context x batch", "", "milliseconds an update", "times Thalweg's time"], lines)


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
    """Return the rounds' ratios to PyTorch's quicker optimizer in the setting where they are lowest."""
    found = [
        ratios(row["thalweg"], row[label])
        for row in rows.values()
        for label in ("fused", "plain")
        if "error" not in row[label]
    ]
    return min(found, key=median, default=[])
