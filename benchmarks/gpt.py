"""The small GPT (4 layers, 4 heads, width 128, 65 characters): time of an update beside eager PyTorch.

Two settings: nanoGPT's for a CPU (context 64, batch 12), and a larger one (context 128, batch 16). Thalweg's
bare engine loop with the loss logged at every step; PyTorch with its fused attention, AdamW in its fused form
and in its plain one; the same numbers of both recipes, gradients clipped at a norm of 1. `mapped` is Thalweg
with the model called on one example and mapped over the batch, as any Equinox module is.
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
