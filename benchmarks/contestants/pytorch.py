"""PyTorch's eager loop: tensors in memory, batches by index or by a DataLoader, plain or fused optimizer."""

import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import torch

from benchmarks.contestants.mnist import images


def prepare(setting: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """Return a block of `steps` updates, or of `epochs` epochs."""
    if "threads" in setting:
        torch.set_num_threads(setting["threads"])
    x, y = tensors(setting)
    model = network(setting["sizes"])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, fused=setting.get("fused", False))
    batches = endless(x, y, setting["batch"], setting.get("loader", False))
    steps = setting.get("steps") or setting["epochs"] * (len(x) // setting["batch"])

    def block() -> dict[str, Any]:
        start = time.perf_counter()
        train(model, optimizer, batches, steps)
        return {
            "seconds": time.perf_counter() - start,
            "examples": steps * setting["batch"],
            "steps": steps,
        }

    return block


def tensors(setting: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return images and labels."""
    x, y = images(setting["folder"], setting.get("rows"))
    return torch.from_numpy(x), torch.from_numpy(y)


def loader(x: torch.Tensor, y: torch.Tensor, batch: int, shuffle: bool = True) -> torch.utils.data.DataLoader:
    """Return a DataLoader as in tutorials: without worker processes, whole batches only."""
    data = torch.utils.data.TensorDataset(x, y)
    return torch.utils.data.DataLoader(data, batch_size=batch, shuffle=shuffle, drop_last=shuffle)


def network(sizes: list[int]) -> torch.nn.Sequential:
    """Return a network of these widths, ReLU between the layers."""
    layers: list[torch.nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [torch.nn.Linear(inputs, outputs), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def endless(
    x: torch.Tensor, y: torch.Tensor, batch: int, by_loader: bool = False
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield batches, reshuffled each epoch; whole batches only, as for the other contestants."""
    if by_loader:
        source = loader(x, y, batch)
        while True:
            yield from source
    while True:
        for rows in torch.randperm(len(x))[: len(x) // batch * batch].split(batch):
            yield x[rows], y[rows]


def train(
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Iterator[tuple[torch.Tensor, torch.Tensor]],
    steps: int,
) -> None:
    """Make `steps` updates."""
    loss = torch.nn.CrossEntropyLoss()
    for _ in range(steps):
        inputs, labels = next(batches)
        optimizer.zero_grad()
        loss(model(inputs), labels).backward()
        optimizer.step()
