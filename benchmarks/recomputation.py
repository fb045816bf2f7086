"""What `fit_in` finds against every plan of recomputation: chains of hidden layers under shrinking budgets.

A plan is `blocks:K:R`, with K up to 16. Both are judged by predicted memory and predicted time, so that the
load of the moment does not count; where rates of the machine are kept, time is by them, else by operations.
The budget is the least that a plan needs plus a share of what can be saved. Microbatches are left out: they
would fit all of these budgets without recomputing anything.
"""

import time
from dataclasses import replace

import numpy as np

import thalweg as tw
from benchmarks.machine import markdown
from thalweg.insight.cost.cost import memory_bytes
from thalweg.insight.cost.fitting import fewest_blocks, work

DEPTHS, SHARES, MOST = (6, 12), (0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4), 16


def run(quick: bool) -> dict:
    """Search all plans, and find one, for every chain and budget."""
    return {"rows": [row for depth in (DEPTHS[:1] if quick else DEPTHS) for row in _chain(depth, quick)]}


def _chain(depth: int, quick: bool) -> list[dict]:
    random = np.random.default_rng(0)
    inputs = random.normal(size=(1300, 64)).astype(np.float32)
    data = tw.load((inputs, random.integers(0, 3, 1300)), validation=0.0, test=0.2)
    problem = tw.Problem(tw.MLP([64, *[128] * depth, 3]), data)
    recipe = tw.Recipe(tw.SGD(lr=0.1), steps=60, batch_size=900)
    unit, whole = work(problem, recipe), memory_bytes(problem, recipe)

    def judged(how: str) -> tuple[int, float]:
        changed = replace(recipe, recompute=how)
        return memory_bytes(problem, changed), work(problem, changed) / unit

    started = time.process_time()
    most = 4 if quick else MOST
    every = {f"blocks:{k}:{r}": judged(f"blocks:{k}:{r}") for k in range(2, most + 1) for r in range(1, k)}
    searched = time.process_time() - started
    least = min(memory for memory, _ in every.values())
    rows = []
    for share in SHARES[:2] if quick else SHARES:
        budget = int(least + (whole - least) * share)
        best = min((seconds, how) for how, (memory, seconds) in every.items() if memory <= budget)
        started = time.process_time()
        ours = [f"blocks:{count}" for count in (2, 4, 8, 16)]
        ours += [change for k in (4, 8, 16) if (change := fewest_blocks(problem, recipe, budget, k))]
        found = min((s, how) for how in ours for memory, s in [judged(how)] if memory <= budget)
        seconds = time.process_time() - started
        rows.append({"depth": depth, "share": share, "best": best, "found": found, "seconds": seconds})
        rows[-1]["searched"] = searched
    return rows


def table(result: dict) -> str:
    """Return the table: time of an update over that without recomputation."""
    header = ["layers", "budget", "best plan", "", "found", "", "longer by", "CPU seconds (every plan)"]
    rows = [
        [
            f"{row['depth']}",
            f"{100 * row['share']:.0f} %",
            *(cell for plan in ("best", "found") for cell in (row[plan][1], f"{row[plan][0]:.3f}")),
            f"{100 * (row['found'][0] / row['best'][0] - 1):.1f} %",
            f"{row['seconds']:.1f} ({row['searched']:.0f})",
        ]
        for row in result["rows"]
    ]
    return markdown(header, rows)
