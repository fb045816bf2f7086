"""The share of the machine's peak matrix throughput that 32 lanes reach, and the cost of a tiny step.

The peak is the faster of PyTorch's and NumPy's float32 products of 2048 x 2048 matrices on all cores,
measured in the same rounds. FLOPs are computed by formula (`benchmarks.flops`) for the plain convolution;
Winograd's algorithm needs fewer, so the share counts useful work, not multiplications. Lanes read the same
batches (one seed); the plan is not strict.
"""

from benchmarks import flops
from benchmarks.machine import data_folder, markdown, shown, spread
from benchmarks.processes import Contestant, contest

LANES = 32
# Setting (with steps per block: about a second) and formula for the FLOPs of an update; None: not matrix
# work.
WORK = {
    "784-512-10, batch 128": ({"sizes": [784, 512, 10], "batch": 128, "steps": 30}, "mlp"),
    "784-32-10, batch 32": ({"sizes": [784, 32, 10], "batch": 32, "steps": 600}, "mlp"),
    "CNN 32-64, batch 32": ({"channels": [32, 64], "batch": 32, "steps": 6}, "cnn"),
    "2-16-16-2, batch 32": ({"sizes": [2, 16, 16, 2], "batch": 32, "steps": 5000}, None),
}
LIBRARIES = {"PyTorch's product": "torch", "NumPy's product": "numpy"}
ROUNDS = 7


def run(quick: bool) -> dict:
    """Measure every workload, with the matrix products in the same rounds."""
    rows = {}
    for name, (setting, _) in WORK.items():
        base = {"folder": str(data_folder()), "lanes": LANES} | setting
        if quick:
            base["steps"] = max(2, setting["steps"] // 10)
        products = [
            Contestant(label, "matrix", {"library": library, "products": 2 if quick else 5})
            for label, library in LIBRARIES.items()
        ]
        rows[name] = contest([Contestant("lanes", "lanes", base), *products], 2 if quick else ROUNDS)
    return {"rows": rows}


def shares(result: dict) -> dict[str, list[float]]:
    """Return the share of the peak by workload and round; microseconds per lane-step for tiny networks."""
    by_work = {}
    for name, contestants in result["rows"].items():
        steps = _seconds(contestants)
        flops_per_step = flops_of(name)
        if flops_per_step is None:
            by_work[name] = [1e6 * step for step in steps]
        else:
            by_work[name] = [
                flops_per_step / step / peak for step, peak in zip(steps, peaks(contestants), strict=True)
            ]
    return by_work


def peaks(contestants: dict) -> list[float]:
    """Return FLOPs per second of the faster matrix product, round by round."""
    blocks = [contestants[label]["blocks"] for label in LIBRARIES if "blocks" in contestants[label]]
    return [
        max(block["flops"] / block["seconds"] for block in in_round) for in_round in zip(*blocks, strict=True)
    ]


def flops_of(name: str) -> int | None:
    """Return FLOPs of one update of one lane."""
    setting, form = WORK[name]
    if form is None:
        return None
    if form == "cnn":
        return flops.cnn(setting["channels"], setting["batch"])
    return flops.mlp(setting["sizes"], setting["batch"])


def table(result: dict) -> str:
    """Return the table."""
    rows = []
    for name, contestants in result["rows"].items():
        flops_per_step = flops_of(name)
        steps = _seconds(contestants)
        rates = (
            "" if flops_per_step is None else shown(spread(flops_per_step / step / 1e9 for step in steps), 0)
        )
        peak = "" if flops_per_step is None else shown(spread(rate / 1e9 for rate in peaks(contestants)), 0)
        share = (
            "" if flops_per_step is None else shown(spread(100 * value for value in shares(result)[name]), 0)
        )
        rows.append([name, shown(spread(1e6 * step for step in steps), 1), rates, peak, share])
    header = [
        f"{LANES} lanes",
        "microseconds per lane-step",
        "GFLOP/s",
        "peak, GFLOP/s",
        "share of the peak, %",
    ]
    return markdown(header, rows)


def _seconds(contestants: dict) -> list[float]:
    return [block["seconds"] / block["lane_steps"] for block in contestants["lanes"]["blocks"]]
