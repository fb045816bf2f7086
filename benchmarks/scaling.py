"""How time grows with lanes, rows of data and depth, and how memory grows with lanes.

Draws `results/scaling.svg`. The goals: the time per lane-step is constant within 15 % from 8 to 128 lanes;
the time per epoch is linear in rows and in layers; memory is linear in lanes. The slope of memory is shown
with the engine's own estimate.
"""

from pathlib import Path

import numpy as np

import thalweg as tw
from benchmarks.drawing import Panel, Points, svg
from benchmarks.machine import data_folder, markdown, shown, spread
from benchmarks.processes import Contestant, contest
from thalweg.engine.group import lane_bytes

LANES = (8, 16, 32, 64, 128)
# From 32 on every worker has a full shard: a shard being trained holds its states twice, a waiting one once.
LANES_OF_MEMORY = (32, 64, 128, 256)
ROWS = (7_500, 15_000, 30_000, 60_000)
DEPTHS = (1, 2, 4, 8)
ROUNDS = 5
PICTURE = Path(__file__).parent / "results" / "scaling.svg"


def run(quick: bool) -> dict:
    """Measure the four curves."""
    folder = {"folder": str(data_folder())}
    rounds = 1 if quick else ROUNDS
    small = folder | {"sizes": [784, 32, 10], "batch": 32, "steps": 40 if quick else 400}
    large = folder | {"sizes": [784, 512, 10], "batch": 128, "steps": 2}
    lanes = [
        Contestant(str(count), "lanes", small | {"lanes": count, "steps": small["steps"] * 64 // count})
        for count in LANES  # equal work per block, so that the fixed cost of a block weighs the same
    ]
    memory = [Contestant(str(count), "lanes", large | {"lanes": count}) for count in LANES_OF_MEMORY]
    rows = [Contestant(str(count), "engine", small | {"rows": count, "steps": count // 32}) for count in ROWS]
    depth = [
        Contestant(str(layers), "engine", small | {"sizes": [784, *[128] * layers, 10], "steps": 400})
        for layers in DEPTHS
    ]
    # Compiles the programs, uncounted: the compiler's memory would be charged to the first contestant.
    contest(memory[:1], 1)
    result = {
        "lanes": contest(lanes, rounds),
        "memory": _in_processes(memory, rounds),
        "rows": contest(rows, rounds),
        "depth": contest(depth, rounds),
        "reckoned_bytes": _estimated_bytes(),
    }
    if not quick:
        PICTURE.write_text(picture(result))
    return result


def _in_processes(contestants: list[Contestant], rounds: int) -> dict[str, dict]:
    """Run one block of each in new processes per round: what a process retains differs by a tenth."""
    results: dict[str, dict] = {}
    for _ in range(rounds):
        for label, contestant in contest(contestants, 1).items():
            results.setdefault(label, {"blocks": []})["blocks"] += contestant["blocks"]
    return results


def lane_step(result: dict) -> dict[int, list[float]]:
    """Return microseconds of a lane-step by lanes, round by round."""
    return {
        int(count): [1e6 * block["seconds"] / block["lane_steps"] for block in contestant["blocks"]]
        for count, contestant in result["lanes"].items()
    }


def flatness(result: dict) -> list[float]:
    """Return the slowest lane-step over the fastest among the numbers of lanes, round by round."""
    by_round = zip(*lane_step(result).values(), strict=True)
    return [max(in_round) / min(in_round) for in_round in by_round]


def memory_slope(result: dict) -> tuple[float, float]:
    """Return bytes per lane (least squares), and the largest deviation as a share of the line's rise."""
    counts = np.array([int(count) for count in result["memory"]], float)
    peaks = np.array([np.median(_peaks(contestant)) for contestant in result["memory"].values()])
    slope, first = np.polyfit(counts, peaks, 1)
    return float(slope), float(np.abs(peaks - first - slope * counts).max() / (slope * np.ptp(counts)))


def _peaks(contestant: dict) -> list[int]:
    return [block["peak_bytes"] for block in contestant["blocks"]]


def table(result: dict) -> str:
    """Return the tables."""
    slope, off = memory_slope(result)
    lanes = [[f"{count} lanes", shown(spread(steps), 1)] for count, steps in lane_step(result).items()]
    rows = [
        [f"{count} rows", shown(spread(_ms(contestant)), 0)] for count, contestant in result["rows"].items()
    ]
    depth = [
        [f"{layers} hidden layers of 128", shown(spread(_ms(contestant, per_step=True)), 3)]
        for layers, contestant in result["depth"].items()
    ]
    memory_text = (
        f"784-512-10: {slope / 2**20:.2f} MiB per lane, at most {100 * off:.1f} % off a line; "
        f"estimated: {result['reckoned_bytes'] / 2**20:.2f} MiB"
    )
    return "\n\n".join(
        [
            markdown(["784-32-10, batch 32", "microseconds per lane-step"], lanes),
            markdown(["784-32-10, batch 32, one lane", "milliseconds per epoch"], rows),
            markdown(["784-...-10, batch 32, one lane", "milliseconds per step"], depth),
            f"Memory of {memory_text}.",
        ]
    )


def picture(result: dict) -> str:
    """Return the four curves as one SVG."""
    memory = {
        int(count): [peak / 2**20 for peak in _peaks(contestant)]
        for count, contestant in result["memory"].items()
    }
    steps = lane_step(result)
    rows = {int(count): _ms(contestant) for count, contestant in result["rows"].items()}
    depth = {int(layers): _ms(contestant, per_step=True) for layers, contestant in result["depth"].items()}
    return svg(
        [
            Panel("784-32-10: microseconds per lane-step", "lanes", Points.of(steps)),
            Panel("784-512-10: memory of the process, MiB", "lanes", Points.of(memory)),
            Panel("784-32-10: milliseconds per epoch", "rows", Points.of(rows)),
            Panel("784-128...-10: milliseconds per step", "hidden layers", Points.of(depth)),
        ]
    )


def _ms(contestant: dict, per_step: bool = False) -> list[float]:
    return [1e3 * b["seconds"] / (b["steps"] if per_step else 1) for b in contestant["blocks"]]


def _estimated_bytes() -> int:
    data = tw.load("mnist", folder=data_folder(), validation=0.0)
    recipe = tw.Recipe(tw.SGD(lr=0.01), batch_size=128)
    return lane_bytes(tw.Problem(tw.MLP([784, 512, 10]), data), recipe)
