"""Whole updates of the same networks in eager PyTorch, in one memory format."""

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn.functional import pad

from benchmarks.contestants.paced import paced


def prepare(setting: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """Return a block of updates on random pixels, already scaled; its seconds are of the loop alone."""
    batch, (height, width, channels) = setting["batch"], setting["shape"]
    net = {"cnn": _cnn, "resnet": _resnet}[setting["net"]]()
    x = torch.randint(0, 256, (setting["rows"], channels, height, width)) / 128.0 - 1.0
    y = torch.randint(0, 10, (setting["rows"],))
    if setting["layout"] == "NHWC":
        net, x = net.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    optimizer, loss = torch.optim.SGD(net.parameters(), lr=0.01), nn.CrossEntropyLoss()

    def seconds(steps: int) -> float:
        orders = [
            rows for _ in range(1 + steps * batch // len(x)) for rows in torch.randperm(len(x)).split(batch)
        ]
        start = time.perf_counter()
        for rows in orders[:steps]:
            optimizer.zero_grad()
            loss(net(x[rows]), y[rows]).backward()
            optimizer.step()
        return time.perf_counter() - start

    return paced(seconds, batch)


def _cnn() -> nn.Module:
    first = [nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    second = [nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*first, *second, nn.Flatten(), nn.Linear(3136, 128), nn.ReLU(), nn.Linear(128, 10))


def _resnet() -> nn.Module:
    class Block(nn.Module):
        def __init__(self, before: int, after: int):
            super().__init__()
            self.stride, self.extra = after // before, after - before
            self.first = nn.Conv2d(before, after, 3, stride=self.stride, padding=1, bias=False)
            self.second = nn.Conv2d(after, after, 3, padding=1, bias=False)
            self.norms = nn.ModuleList([nn.BatchNorm2d(after), nn.BatchNorm2d(after)])

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            inner = self.norms[1](self.second(torch.relu(self.norms[0](self.first(x)))))
            shortcut = pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.extra))
            return torch.relu(inner + shortcut)

    stem = [nn.Conv2d(3, 32, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU()]
    blocks = [Block(32, 32), Block(32, 64), Block(64, 128)]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 10))
