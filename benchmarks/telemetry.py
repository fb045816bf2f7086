"""What telemetry costs: the engine's loop beside its own step in a loop that keeps nothing.

On: loss and learning rate of every step, gradient norm and per-layer figures once in a while, as any run has
them. The goal is at most 2 % over off. Dispatches are equally long in
both, so that only the telemetry differs.
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
    """Measure all settings."""
    found = {}
    for name, setting in SETTINGS.items():
        given = {"folder": str(data_folder()), "longest": True} | setting
        if quick:
            given["steps"] = setting["steps"] // 10
        both = [Contestant("on", "engine", given), Contestant("off", "steps", given)]
        found[name] = contest(both, 3 if quick else ROUNDS)
    return {"rows": found}


def overheads(result: dict) -> dict[str, list[float]]:
    """Return by setting how much longer the loop with telemetry took, round by round, as a share."""
    return {
        name: [ratio - 1 for ratio in ratios(found["off"], found["on"])]
        for name, found in result["rows"].items()
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
    return markdown(["work", "microseconds a step, on", "off", "telemetry costs, %"], rows)
