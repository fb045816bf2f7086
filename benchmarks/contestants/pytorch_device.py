"""PyTorch on an accelerator: eager, compiled with CUDA graphs, or a whole update captured as one CUDA graph.

The data is on the device; batches are taken by index. On `cpu` the same code runs eagerly, to test it.
"""

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from benchmarks.contestants.gpt_torch import Transformer
from benchmarks.contestants.pytorch import network, tensors

WARM_UPDATES = 11  # before a capture; PyTorch's guide to CUDA graphs asks for a few on a side stream
SIDE, HIDDEN, CLASSES, VOCABULARY = 28, 128, 10, 65


def prepare(setting: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """Return a block of `steps` updates, plain SGD."""
    torch.backends.cuda.matmul.allow_tf32 = True  # as XLA does it
    torch.backends.cudnn.allow_tf32 = True
    work, steps = Work(setting), setting["steps"]

    def block() -> dict[str, Any]:
        start = time.perf_counter()
        for _ in range(steps):
            work.update()
        work.wait()
        return {
            "seconds": time.perf_counter() - start,
            "examples": steps * setting["batch"],
            "steps": steps,
        }

    return block


class Work:
    """A network, its data and one update, in the form given by `setting`."""

    def __init__(self, setting: dict[str, Any]):
        self._device, self._batch = torch.device(setting["device"]), setting["batch"]
        self._x, self._y = (tensor.to(self._device) for tensor in _data(setting))
        self._rows = torch.zeros(self._batch, dtype=torch.long, device=self._device)
        self._model = _model(setting).to(self._device)
        self._optimizer = torch.optim.SGD(self._model.parameters(), lr=0.01)
        self._loss = self._loss_of
        self.update = self._eager
        if setting["form"] == "compiled":
            self._loss = torch.compile(self._loss_of, mode="reduce-overhead")
        elif setting["form"] == "graph":
            self._capture()

    def wait(self) -> None:
        """Wait until the device has finished."""
        if self._device.type == "cuda":
            torch.cuda.synchronize()

    def _loss_of(self, inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        logits = self._model(inputs)
        return nn.functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), labels.reshape(-1))

    def _draw(self) -> None:
        torch.randint(len(self._x), (self._batch,), device=self._device, out=self._rows)

    def _eager(self) -> None:
        self._draw()
        self._optimizer.zero_grad()
        self._loss(self._x[self._rows], self._y[self._rows]).backward()
        self._optimizer.step()

    def _capture(self) -> None:
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UPDATES):
                self._eager()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        self._optimizer.zero_grad()
        with torch.cuda.graph(graph):
            self._loss(self._x[self._rows], self._y[self._rows]).backward()
            self._optimizer.step()
            self._optimizer.zero_grad(set_to_none=False)

        def update() -> None:
            self._draw()
            graph.replay()

        self.update = update


def _data(setting: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return MNIST, as images for a CNN; random tokens for a GPT, whose values do not affect the time."""
    if "context" in setting:
        tokens = torch.randint(VOCABULARY, (4096, setting["context"] + 1))
        return tokens[:, :-1], tokens[:, 1:]
    x, y = tensors(setting)
    return (x.view(-1, 1, SIDE, SIDE) if "channels" in setting else x), y


def _model(setting: dict[str, Any]) -> nn.Module:
    if "context" in setting:
        return Transformer(VOCABULARY, setting["context"])
    if "sizes" in setting:
        return network(setting["sizes"])
    layers: list[nn.Module] = []
    inputs, side = 1, SIDE
    for channels in setting["channels"]:
        layers += [nn.Conv2d(inputs, channels, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        inputs, side = channels, side // 2
    return nn.Sequential(*layers, nn.Flatten(), network([inputs * side * side, HIDDEN, CLASSES]))
