"""How much of the machine's matrix peak 32 lanes reach, and what a step of a tiny network costs.

The peak is the quicker of PyTorch's and NumPy's float32 product of 2048 x 2048 on all cores, measured in the
same rounds. FLOPs by formula (`benchmarks.flops`), the plain convolution's: Winograd's filtering makes fewer,
so that a share is one of work done, not of multiplications. Lanes read the same batches (one seed); the plan
is not strict.
"""

from benchmarks import flops
from benchmarks.machine import data_folder, markdown, shown, spread
from benchmarks.processes import Contestant, contest

LANES = 32
# Name: setting, FLOPs of an update (None: not matrix work), steps of a block: about a second.
WORK = {
    "784-512-10, batch 128": ({"sizes": [784, 512, 10], "batch": 128, "steps": 30}, "mlp"),
    "784-32-10, batch 32": ({"sizes": [784, 32, 10], "batch": 32, "steps": 600}, "mlp"),
    "CNN 32-64, batch 32": ({"channels": [32, 64], "batch": 32, "steps": 6}, "cnn"),
    "2-16-16-2, batch 32": ({"sizes": [2, 16, 16, 2], "batch": 32, "steps": 5000}, None),
}
LIBRARIES = {"PyTorch's product": "torch", "NumPy's product": "numpy"}
ROUNDS = 7


def run(quick: bool) -> dict:
    """Measure all works, each with the products in its rounds."""
    found = {}
    for name, (setting, _) in WORK.items():
        given = {"folder": str(data_folder()), "lanes": LANES} | setting
        if quick:
            given["steps"] = max(2, setting["steps"] // 10)
        products = [
            Contestant(label, "matrix", {"library": library, "products": 2 if quick else 5})
            for label, library in LIBRARIES.items()
        ]
        found[name] = contest([Contestant("lanes", "lanes", given), *products], 2 if quick else ROUNDS)
    return {"rows": found}


def shares(result: dict) -> dict[str, list[float]]:
    """Return by work the share of the peak, round by round; microseconds a lane-step for tiny networks."""
    found = {}
    for name, of_name in result["rows"].items():
        steps = _seconds(of_name)
        work = flops_of(name)
        if work is None:
            found[name] = [1e6 * step for step in steps]
        else:
            found[name] = [work / step / peak for step, peak in zip(steps, peaks(of_name), strict=True)]
    return found


def peaks(found: dict) -> list[float]:
    """Return FLOPs per second of the quicker product, round by round."""
    known = [found[label]["blocks"] for label in LIBRARIES if "blocks" in found[label]]
    return [max(block["flops"] / block["seconds"] for block in turn) for turn in zip(*known, strict=True)]


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
    for name, of_name in result["rows"].items():
        work = flops_of(name)
        steps = _seconds(of_name)
        rates = "" if work is None else shown(spread(work / step / 1e9 for step in steps), 0)
        peak = "" if work is None else shown(spread(rate / 1e9 for rate in peaks(of_name)), 0)
        share = "" if work is None else shown(spread(100 * one for one in shares(result)[name]), 0)
        rows.append([name, shown(spread(1e6 * step for step in steps), 1), rates, peak, share])
    header = [
        f"{LANES} lanes",
        "microseconds a lane-step",
        "GFLOP/s",
        "peak, GFLOP/s",
        "share of the peak, %",
    ]
    return markdown(header, rows)


def _seconds(found: dict) -> list[float]:
    return [block["seconds"] / block["lane_steps"] for block in found["lanes"]["blocks"]]
