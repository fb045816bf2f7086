"""What telemetry costs: the engine's loop compared with its own step in a loop that records nothing.

On: loss and learning rate of every step, and gradient norm and per-layer statistics at intervals, as in any
run. The goal is at most 2 % more than off. Dispatches are equally long in both, so only the telemetry
differs.
"""

from benchmarks.machine import data_folder, markdown, shown, spread
from benchmarks.processes import Contestant, contest, ratios

SETTINGS = {
    "784-32-10, batch 32": {"sizes": [784, 32, 10], "batch": 32, "steps": 8000},
    "784-512-10, batch 1": {"sizes": [784, 512, 10], "batch": 1, "steps": 4000},
    "784-512-10, batch 32": {"sizes": [784, 512, 10], "batch": 32, "steps": 2000},
    "784-512-10, batch 128": {"sizes": [784, 512, 10], "batch": 128, "steps": 500},
}
ROUNDS = 9


def run(quick: bool) -> dict:
    """Measure every setting."""
    rows = {}
    for name, setting in SETTINGS.items():
        base = {"folder": str(data_folder()), "longest": True} | setting
        if quick:
            base["steps"] = setting["steps"] // 10
        both = [Contestant("on", "engine", base), Contestant("off", "steps", base)]
        rows[name] = contest(both, 3 if quick else ROUNDS)
    return {"rows": rows}


def overheads(result: dict) -> dict[str, list[float]]:
    """Return the extra time of the loop with telemetry as a share, by setting and round."""
    return {
        name: [ratio - 1 for ratio in ratios(contestants["off"], contestants["on"])]
        for name, contestants in result["rows"].items()
    }


def table(result: dict) -> str:
    """Return the table."""
    rows = []
    for name, shares in overheads(result).items():
        steps = [
            shown(spread(1e6 * b["seconds"] / b["steps"] for b in result["rows"][name][which]["blocks"]), 0)
            for which in ("on", "off")
        ]
        rows.append([name, *steps, shown(spread(100 * share for share in shares), 1)])
    return markdown(["work", "microseconds per step, on", "off", "cost of telemetry, %"], rows)
