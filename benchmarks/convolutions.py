"""Forms of convolution inside the compiled loop, beside each other and beside eager PyTorch.

Whole updates (gathering the batch, forward, backward, SGD) of two networks: the small CNN (28 x 28 pixels,
two 3x3 convolutions of 32 and 64 channels, pooling, 128 hidden units) and a residual net of 8 layers (32 x 32
pixels, 32 channels after a first stride of 2, batch norm). Forms: XLA's convolution (`lax.conv`), shifted
slices joined and multiplied once (`product`), nine products of shifted slices summed (`slices`), Winograd's
tiles where they suit and `product` elsewhere (`tiles`), and what the layer itself chooses (`chosen`). PyTorch
gets its data scaled beforehand and is run in both memory formats; the better median counts. Contestants
are processes of their own and alternate; seconds are of the loop alone, without compilation.
"""

import statistics
import sys
from typing import Any

from benchmarks.machine import markdown, shown, spread
from benchmarks.processes import Contestant, contest

ROUNDS, ROWS = 9, 4096
# As `benchmarks.contestants.convolutions` names them.
FORMS = ("chosen", "tiles", "product", "slices", "lax.conv")
LAYOUTS = ("NCHW", "NHWC")
NETS: dict[str, dict[str, Any]] = {
    "CNN, batch 32": {"net": "cnn", "shape": [28, 28, 1], "batch": 32},
    "CNN, batch 64": {"net": "cnn", "shape": [28, 28, 1], "batch": 64},
    "CNN, batch 128": {"net": "cnn", "shape": [28, 28, 1], "batch": 128},
    "ResNet-8, batch 64": {"net": "resnet", "shape": [32, 32, 3], "batch": 64},
}


def run(quick: bool) -> dict:
    """Time every form and PyTorch on every net."""
    found = {}
    for name, net in list(NETS.items())[: 1 if quick else None]:
        given = net | {"rows": ROWS}
        contestants = [Contestant(form, "convolutions", given | {"form": form}) for form in FORMS]
        contestants += [
            Contestant(f"PyTorch {layout}", "convolutions_torch", given | {"layout": layout})
            for layout in LAYOUTS
        ]
        told = contest(contestants, 2 if quick else ROUNDS)
        found[name] = {
            label: [1e3 * block["seconds"] / block["steps"] for block in of_label["blocks"]]
            for label, of_label in told.items()
            if "error" not in of_label
        }
        print(name, {k: round(statistics.median(v), 2) for k, v in found[name].items()}, file=sys.stderr)
    return {"milliseconds": found}


def table(result: dict) -> str:
    """Return the table: milliseconds an update, and how many times quicker than PyTorch what is chosen is."""
    rows = []
    for name, times in result["milliseconds"].items():
        layout = min(("PyTorch NCHW", "PyTorch NHWC"), key=lambda key: statistics.median(times[key]))
        peer = times[layout]
        ratios = [theirs / ours for theirs, ours in zip(peer, times["chosen"], strict=True)]
        cells = [shown(spread(times[form]), 1) for form in FORMS]
        rows.append([name, *cells, f"{shown(spread(peer), 1)} {layout[-4:]}", shown(spread(ratios))])
    return markdown(["ms an update", *FORMS, "PyTorch eager", "PyTorch / chosen"], rows)
