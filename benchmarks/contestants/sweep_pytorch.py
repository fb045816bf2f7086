"""A sweep in PyTorch, well run: a process for each core with one thread each, the fused optimizer."""

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
    for _, far in pipes:
        context.Process(target=_work, args=(far, setting), daemon=True).start()
    for near, _ in pipes:
        near.recv()

    def block() -> dict[str, Any]:
        begun = time.perf_counter()
        for near, _ in pipes:
            near.send(True)
        for near, _ in pipes:
            near.recv()
        steps = count * setting["steps"]
        return {
            "seconds": time.perf_counter() - begun,
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
