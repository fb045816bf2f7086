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
    library, products = setting["library"], setting["products"]
    if library == "torch":
        torch = importlib.import_module("torch")
        one = torch.rand(SIDE, SIDE)
        multiply = torch.mm
    else:
        numpy = importlib.import_module("numpy")
        one = numpy.random.default_rng(0).random((SIDE, SIDE), numpy.float32)
        multiply = numpy.matmul

    def block() -> dict[str, Any]:
        begun = time.perf_counter()
        for _ in range(products):
            multiply(one, one)
        return {"seconds": time.perf_counter() - begun, "flops": products * 2 * SIDE**3}

    return block
