"""The machine's own limit: products of large float32 matrices, by PyTorch's library or by NumPy's."""

import importlib
import time
from collections.abc import Callable
from typing import Any

SIDE = (
    2048  # 48 MB for three matrices: large enough for both cores, small enough for a block of half a second
)


def prepare(setting: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """Return a block of `products` products; what counts are FLOPs, not examples."""
    card, products = setting.get("device") == "cuda", setting["products"]
    side = SIDE_ON_CARD if card else SIDE
    if setting["library"] == "torch":
        torch = importlib.import_module("torch")
        torch.backends.cuda.matmul.allow_tf32 = True  # as XLA does it
        one = torch.rand(side, side, device=setting.get("device", "cpu"))
        multiply, wait = torch.mm, torch.cuda.synchronize if card else _nothing
    else:
        numpy = importlib.import_module("numpy")
        one = numpy.random.default_rng(0).random((side, side), numpy.float32)
        multiply, wait = numpy.matmul, _nothing

    def block() -> dict[str, Any]:
        begun = time.perf_counter()
        for _ in range(products):
            multiply(one, one)
        wait()
        return {"seconds": time.perf_counter() - begun, "flops": products * 2 * side**3}

    return block


def _nothing() -> None:
    """A processor's product is done when the call returns."""
