"""Forms of convolution inside the compiled loop, beside each other and beside eager PyTorch.

Whole updates (gathering the batch, forward, backward, SGD) of two networks: the small CNN (28 x 28 pixels,
two 3x3 convolutions of 32 and 64 channels, pooling, 128 hidden units) and a residual net of 8 layers (32 x 32
pixels, 32 channels after a first stride of 2, batch norm). Forms: XLA's convolution (`lax.conv`), shifted
slices joined and multiplied once (`product`), nine products of shifted slices summed (`slices`), Winograd's
tiles where they suit and `product` elsewhere (`tiles`), and what the layer itself chooses (`chosen`). PyTorch
gets its data scaled beforehand and is run in both memory formats; the better median counts. Contestants
alternate; seconds are of the loop alone, without compilation.
"""

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

import thalweg as tw
from benchmarks.machine import markdown, shown, spread
from thalweg.problem.models import ResNet
from thalweg.problem.models.layers import convolution
from thalweg.problem.models.layers.convolution import Convolution

ROUNDS, SECONDS = 5, 1.0
# XLA's own form takes up to a second a step: fewer of them.
SLOW, SLOW_ROUNDS = ("lax.conv",), 3
NETS = {
    "CNN, batch 32": (tw.CNN([32, 64]), (28, 28, 1), 32),
    "CNN, batch 64": (tw.CNN([32, 64]), (28, 28, 1), 64),
    "CNN, batch 128": (tw.CNN([32, 64]), (28, 28, 1), 128),
    "ResNet-8, batch 64": (ResNet(8, channels=32, stride=2), (32, 32, 3), 64),
}


def run(quick: bool) -> dict:
    """Time every form and PyTorch on every net."""
    import torch

    names = list(NETS)[:1] if quick else list(NETS)
    found: dict[str, dict[str, list[float]]] = {}
    for name in names:
        architecture, shape, batch = NETS[name]
        images, labels = _data(shape)
        ours = {form: _ours(architecture, form, images, labels, batch) for form in FORMS}
        theirs = {
            f"PyTorch {layout}": _torch(torch, architecture, images, labels, batch, layout)
            for layout in ("NCHW", "NHWC")
        }
        found[name] = _alternate(ours | theirs, 2 if quick else ROUNDS)
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


def slices(x: Array, kernel: Array, stride: int) -> Array:
    """Convolve by a product for each place of the kernel, summed."""
    _, rows, columns, _ = kernel.shape
    padded = jnp.pad(x, (((rows - 1) // 2, rows // 2), ((columns - 1) // 2, columns // 2), (0, 0)))
    extent = [-(-length // stride) for length in x.shape[:2]]

    def product(row: int, column: int) -> Array:
        stop = (row + stride * (extent[0] - 1) + 1, column + stride * (extent[1] - 1) + 1, x.shape[2])
        return jax.lax.slice(padded, (row, column, 0), stop, (stride, stride, 1)) @ kernel[:, row, column].T

    return sum((product(row, column) for row in range(rows) for column in range(columns)), jnp.zeros(()))


def tiles(x: Array, kernel: Array, stride: int) -> Array:
    """Convolve by tiles where they suit, by one product elsewhere."""
    suits = convolution.suits(x, kernel, stride)
    return (convolution.by_tiles if suits else convolution.as_product)(x, kernel, stride)


FORMS: dict[str, Callable[[Array, Array, int], Array]] = {
    "chosen": convolution.convolve,
    "tiles": tiles,
    "product": convolution.as_product,
    "slices": slices,
    "lax.conv": convolution.native,
}


class InForm(eqx.Module):
    """A convolution computed in one form, whatever the layer itself would choose."""

    weight: Array
    bias: Array | None
    stride: int = eqx.field(static=True)
    form: str = eqx.field(static=True)

    def __call__(self, x: Array) -> Array:
        """Convolve one image."""
        product = FORMS[self.form](x, self.weight, self.stride)
        return product if self.bias is None else product + self.bias


def _ours(architecture: Any, form: str, images: np.ndarray, labels: np.ndarray, batch: int) -> Callable:
    """Return a function that trains for some steps and gives the seconds of the loop."""
    data = tw.load((images, labels), test=(images[:batch], labels[:batch]), validation=0.0)
    fitted = architecture.fitted(images.shape[1:], 10)

    def model(key: Array) -> eqx.Module:
        def changed(node: Any) -> Any:
            is_one = isinstance(node, Convolution)
            return InForm(node.weight, node.bias, node.stride, form) if is_one else node

        return jax.tree.map(changed, fitted(key), is_leaf=lambda node: isinstance(node, Convolution))

    problem = tw.Problem(model, data)

    def seconds(steps: int) -> float:
        recipe = tw.Recipe(tw.SGD(lr=0.01), batch_size=batch, steps=steps)
        return tw.train(problem, recipe).result["seconds"]["train"]

    return seconds


def _torch(
    torch: Any, architecture: Any, images: np.ndarray, labels: np.ndarray, batch: int, layout: str
) -> Callable:
    net = _torch_cnn(torch) if isinstance(architecture, tw.CNN) else _torch_resnet(torch)
    x = torch.from_numpy((images.transpose(0, 3, 1, 2) / 128.0 - 1.0).astype(np.float32))
    y = torch.from_numpy(labels.astype(np.int64))
    if layout == "NHWC":
        net, x = net.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    optimizer, loss = torch.optim.SGD(net.parameters(), lr=0.01), torch.nn.CrossEntropyLoss()

    def seconds(steps: int) -> float:
        orders = [
            rows for _ in range(1 + steps * batch // len(x)) for rows in torch.randperm(len(x)).split(batch)
        ]
        begun = time.perf_counter()
        for rows in orders[:steps]:
            optimizer.zero_grad()
            loss(net(x[rows]), y[rows]).backward()
            optimizer.step()
        return time.perf_counter() - begun

    return seconds


def _torch_cnn(torch: Any) -> Any:
    nn = torch.nn
    first = [nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    second = [nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*first, *second, nn.Flatten(), nn.Linear(3136, 128), nn.ReLU(), nn.Linear(128, 10))


def _torch_resnet(torch: Any) -> Any:
    nn, pad = torch.nn, torch.nn.functional.pad

    class Block(nn.Module):
        def __init__(self, before: int, after: int):
            super().__init__()
            self.stride, self.more = after // before, after - before
            self.one = nn.Conv2d(before, after, 3, stride=self.stride, padding=1, bias=False)
            self.two = nn.Conv2d(after, after, 3, padding=1, bias=False)
            self.norms = nn.ModuleList([nn.BatchNorm2d(after), nn.BatchNorm2d(after)])

        def forward(self, x: Any) -> Any:
            inner = self.norms[1](self.two(torch.relu(self.norms[0](self.one(x)))))
            kept = pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.more))
            return torch.relu(inner + kept)

    stem = [nn.Conv2d(3, 32, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU()]
    blocks = [Block(32, 32), Block(32, 64), Block(64, 128)]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 10))


def _alternate(contestants: dict[str, Callable[[int], float]], rounds: int) -> dict[str, list[float]]:
    """Run all in turn; return milliseconds an update, by contestant."""
    steps, found = {}, {name: [] for name in contestants}
    for name, seconds in contestants.items():
        seconds(4)  # compiles, and warms up
        steps[name] = max(4, min(400, int(4 * SECONDS / seconds(4))))
    for turn in range(rounds):
        for name, seconds in contestants.items():
            if name not in SLOW or turn < SLOW_ROUNDS:
                found[name].append(1e3 * seconds(steps[name]) / steps[name])
    return found


def _data(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (4096, *shape)).astype(np.uint8), rng.integers(0, 10, 4096)
