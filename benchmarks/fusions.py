"""Training with and without XLA's fusions of small reductions, which Thalweg switches off on the CPU.

jaxlib 0.10.2 makes these fusions by default, and miscompiles some (`thalweg.core.compiler`). The benchmark
says what it costs, or gains, to do without: two compilations of the training loop, in turn in one process on
one core, in dispatches of about 30 ms. The figure is processor time, which depends less on what else the
machine does; ratios are taken within pairs.
"""

from collections.abc import Sequence
from statistics import quantiles
from typing import Any

from benchmarks.machine import data_folder, markdown
from benchmarks.processes import Contestant, Process

SETTINGS: dict[str, dict[str, Any]] = {
    "784-512-10, batch 128": {"sizes": [784, 512, 10], "batch": 128, "steps": 12},
    "784-32-10, batch 32, 8 lanes": {"sizes": [784, 32, 10], "batch": 32, "lanes": 8, "steps": 100},
    "CNN 8-16, batch 32": {"channels": [8, 16], "batch": 32, "steps": 6},
    "GPT, context 64, batch 12": {"context": 64, "batch": 12, "steps": 1},
}
PAIRS, ROUNDS = 20, 3


def run(quick: bool) -> dict[str, Any]:
    """Measure every setting, a process after the other."""
    return {"rows": measured("fusions", SETTINGS, ("off", "on"), quick)}


def measured(
    contestant: str, settings: dict[str, dict[str, Any]], labels: Sequence[str], quick: bool
) -> dict[str, dict[str, list[float]]]:
    """Return the times of every setting by label, from a contestant that measures all labels in turn."""
    rows = {}
    for name, setting in settings.items():
        base = {"folder": str(data_folder()), "pairs": 3 if quick else PAIRS} | setting
        process = Process(Contestant(name, contestant, base))
        try:
            blocks = [process.block() for _ in range(1 if quick else ROUNDS)]
        finally:
            process.close()
        rows[name] = {label: [x for block in blocks for x in block[label]] for label in labels}
    return rows


def table(result: dict[str, Any]) -> str:
    """Return the table: milliseconds of processor time a step, and ratios, with quartiles."""
    lines = []
    for name, row in result["rows"].items():
        ratios = [off / on for off, on in zip(row["off"], row["on"], strict=True)]
        times = [quartiles([1e3 * seconds for seconds in row[label]], 3) for label in ("off", "on")]
        lines.append([name, *times, quartiles(ratios, 2), str(len(ratios))])
    header = ["work", "ms of processor time a step, off", "on", "off / on", "pairs"]
    return markdown(header, lines)


def quartiles(values: list[float], digits: int) -> str:
    """Return the median with both quartiles."""
    low, middle, high = quantiles(values, n=4)
    return f"{middle:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"
