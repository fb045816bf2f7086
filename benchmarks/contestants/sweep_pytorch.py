"""An efficient sweep in PyTorch: one single-threaded process per core, with the fused optimizer."""

import multiprocessing
import time
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.contestants.pytorch import endless, network, tensors, train


def prepare(setting: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """Return a block in which every process trains one of the sweep's networks for `steps` updates."""
    count = setting["processes"]
    context = multiprocessing.get_context("spawn")
    pipes = [context.Pipe() for _ in range(count)]
    for _, child in pipes:
        context.Process(target=_work, args=(child, setting), daemon=True).start()
    for parent, _ in pipes:
        parent.recv()

    def block() -> dict[str, Any]:
        start = time.perf_counter()
        for parent, _ in pipes:
            parent.send(True)
        for parent, _ in pipes:
            parent.recv()
        steps = count * setting["steps"]
        return {
            "seconds": time.perf_counter() - start,
            "examples": steps * setting["batch"],
            "lane_steps": steps,
        }

    return block


def _work(pipe: Any, setting: dict[str, Any]) -> None:
    torch.set_num_threads(1)
    x, y = tensors(setting)
    pipe.send("ready")
    while pipe.recv():
        model = network(setting["sizes"])
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01, fused=True)
        train(model, optimizer, endless(x, y, setting["batch"]), setting["steps"])
        pipe.send("done")
