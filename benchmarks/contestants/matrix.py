"""The machine's limit: products of large float32 matrices by PyTorch or NumPy."""

import importlib
import time
from collections.abc import Callable
from typing import Any

# 48 MB for three matrices: large enough for two cores, small enough for a block of half a second.
SIDE = 2048
# 800 MB for three matrices: enough work per product for a GPU.
SIDE_ON_GPU = 8192


def prepare(setting: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """Return a block of `products` matrix products, measured in FLOPs instead of examples."""
    on_gpu, products = setting.get("device") == "cuda", setting["products"]
    side = SIDE_ON_GPU if on_gpu else SIDE
    if setting["library"] == "torch":
        torch = importlib.import_module("torch")
        torch.backends.cuda.matmul.allow_tf32 = True  # as XLA does it
        matrix = torch.rand(side, side, device=setting.get("device", "cpu"))
        multiply, wait = torch.mm, torch.cuda.synchronize if on_gpu else _nothing
    else:
        numpy = importlib.import_module("numpy")
        matrix = numpy.random.default_rng(0).random((side, side), numpy.float32)
        multiply, wait = numpy.matmul, _nothing

    def block() -> dict[str, Any]:
        start = time.perf_counter()
        for _ in range(products):
            multiply(matrix, matrix)
        wait()
        return {"seconds": time.perf_counter() - start, "flops": products * 2 * side**3}

    return block


def _nothing() -> None:
    """Do nothing: on a CPU the product is complete when the call returns."""
