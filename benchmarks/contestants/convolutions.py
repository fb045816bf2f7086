"""Whole updates of a convolutional network in Thalweg's loop, with one implementation of convolution."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

import thalweg as tw
from benchmarks.contestants.paced import paced
from thalweg.problem.models import ResNet
from thalweg.problem.models.layers import convolution
from thalweg.problem.models.layers.convolution import Convolution

NETS = {"cnn": tw.CNN([32, 64]), "resnet": ResNet(8, channels=32, stride=2)}


def slices(x: Array, kernel: Array, stride: int) -> Array:
    """Convolve by one matrix product per kernel position, summed."""
    _, rows, columns, _ = kernel.shape
    padded = jnp.pad(x, (((rows - 1) // 2, rows // 2), ((columns - 1) // 2, columns // 2), (0, 0)))
    extent = [-(-length // stride) for length in x.shape[:2]]

    def product(row: int, column: int) -> Array:
        stop = (row + stride * (extent[0] - 1) + 1, column + stride * (extent[1] - 1) + 1, x.shape[2])
        return jax.lax.slice(padded, (row, column, 0), stop, (stride, stride, 1)) @ kernel[:, row, column].T

    return sum((product(row, column) for row in range(rows) for column in range(columns)), jnp.zeros(()))


def tiles(x: Array, kernel: Array, stride: int) -> Array:
    """Convolve by tiles where they suit, by one product elsewhere."""
    applies = convolution.winograd_applies(x, kernel, stride)
    return (convolution.winograd if applies else convolution.im2col)(x, kernel, stride)


FORMS: dict[str, Callable[[Array, Array, int], Array]] = {
    "chosen": convolution.convolve,
    "tiles": tiles,
    "product": convolution.im2col,
    "slices": slices,
    "lax.conv": convolution.native,
}


class FixedConvolution(eqx.Module):
    """A convolution with a fixed implementation, whatever the layer itself would choose."""

    weight: Array
    bias: Array | None
    stride: int = eqx.field(static=True)
    form: str = eqx.field(static=True)

    def __call__(self, x: Array) -> Array:
        """Convolve one image."""
        product = FORMS[self.form](x, self.weight, self.stride)
        return product if self.bias is None else product + self.bias


def prepare(setting: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """Return a block of updates on random pixels; its seconds are of the loop alone."""
    shape, batch = tuple(setting["shape"]), setting["batch"]
    rng = np.random.default_rng(0)
    images, labels = (
        rng.integers(0, 256, (setting["rows"], *shape)).astype(np.uint8),
        rng.integers(0, 10, setting["rows"]),
    )
    data = tw.load((images, labels), test=(images[:batch], labels[:batch]), validation=0.0)
    fitted = NETS[setting["net"]].fitted(shape, 10)

    def model(key: Array) -> eqx.Module:
        def replaced(node: Any) -> Any:
            is_convolution = isinstance(node, Convolution)
            return (
                FixedConvolution(node.weight, node.bias, node.stride, setting["form"])
                if is_convolution
                else node
            )

        return jax.tree.map(replaced, fitted(key), is_leaf=lambda node: isinstance(node, Convolution))

    problem = tw.Problem(model, data)

    def seconds(steps: int) -> float:
        recipe = tw.Recipe(tw.SGD(lr=0.01), batch_size=batch, steps=steps)
        return tw.train(problem, recipe).result["seconds"]["train"]

    return paced(seconds, batch)
