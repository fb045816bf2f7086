"""Implementations of convolution inside the compiled loop, compared with each other and with eager PyTorch.

Times whole updates (gathering the batch, forward, backward, SGD) of two networks: the small CNN (28 x 28
pixels, two 3x3 convolutions with 32 and 64 channels, pooling, 128 hidden units) and a residual network of 8
layers (32 x 32 pixels, 32 channels after a first stride of 2, batch norm). The implementations are XLA's
convolution (`lax.conv`), shifted slices concatenated and multiplied once (`product`), the sum of nine
products of shifted slices (`slices`), Winograd tiles where they apply and `product` elsewhere (`tiles`), and
the layer's own choice (`chosen`). PyTorch gets scaled data and runs in both memory formats; the better median
counts. Contestants are separate processes that alternate; times are of the loop alone, without compilation.
"""

import statistics
import sys
from typing import Any

from benchmarks.machine import markdown, shown, spread
from benchmarks.processes import Contestant, contest

ROUNDS, ROWS = 9, 4096
# Names as in `benchmarks.contestants.convolutions`.
FORMS = ("chosen", "tiles", "product", "slices", "lax.conv")
LAYOUTS = ("NCHW", "NHWC")
NETS: dict[str, dict[str, Any]] = {
    "CNN, batch 32": {"net": "cnn", "shape": [28, 28, 1], "batch": 32},
    "CNN, batch 64": {"net": "cnn", "shape": [28, 28, 1], "batch": 64},
    "CNN, batch 128": {"net": "cnn", "shape": [28, 28, 1], "batch": 128},
    "ResNet-8, batch 64": {"net": "resnet", "shape": [32, 32, 3], "batch": 64},
}


def run(quick: bool) -> dict:
    """Time every implementation and PyTorch on every network."""
    milliseconds = {}
    for name, net in list(NETS.items())[: 1 if quick else None]:
        setting = net | {"rows": ROWS}
        contestants = [Contestant(form, "convolutions", setting | {"form": form}) for form in FORMS]
        contestants += [
            Contestant(f"PyTorch {layout}", "convolutions_torch", setting | {"layout": layout})
            for layout in LAYOUTS
        ]
        results = contest(contestants, 2 if quick else ROUNDS)
        milliseconds[name] = {
            label: [1e3 * block["seconds"] / block["steps"] for block in of_label["blocks"]]
            for label, of_label in results.items()
            if "error" not in of_label
        }
        print(
            name, {k: round(statistics.median(v), 2) for k, v in milliseconds[name].items()}, file=sys.stderr
        )
    return {"milliseconds": milliseconds}


def table(result: dict) -> str:
    """Return the table: milliseconds per update, and the time of PyTorch relative to `chosen`."""
    rows = []
    for name, times in result["milliseconds"].items():
        layout = min(("PyTorch NCHW", "PyTorch NHWC"), key=lambda key: statistics.median(times[key]))
        peer = times[layout]
        ratios = [theirs / ours for theirs, ours in zip(peer, times["chosen"], strict=True)]
        cells = [shown(spread(times[form]), 1) for form in FORMS]
        rows.append([name, *cells, f"{shown(spread(peer), 1)} {layout[-4:]}", shown(spread(ratios))])
    return markdown(["ms per update", *FORMS, "PyTorch eager", "PyTorch / chosen"], rows)
