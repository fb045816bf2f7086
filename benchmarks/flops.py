"""Floating-point operations of one update, by formula: 2 per multiply-add of a matrix product.

Counts the forward pass, the gradient of every weight, and the gradient of every layer's input except the
first: 6 per weight and example, 4 in the first layer. Biases, activations, losses and the update are not
counted; `tests/engine/test_counts.py` compares these figures with the products in the step program.
"""

from collections.abc import Sequence
from itertools import pairwise


def mlp(sizes: Sequence[int], batch: int) -> int:
    """Return FLOPs of one update of a multilayer perceptron."""
    return _update([inputs * outputs for inputs, outputs in pairwise(sizes)], batch)


def cnn(channels: Sequence[int], batch: int, side: int = 28, hidden: int = 128, outputs: int = 10) -> int:
    """Return FLOPs of one update of `thalweg.CNN`: 3x3 convolutions and poolings, then two dense layers."""
    products = []
    for before, after in pairwise([1, *channels]):
        products.append(side * side * 9 * before * after)
        side //= 2
    return _update([*products, side * side * channels[-1] * hidden, hidden * outputs], batch)


def _update(products: list[int], batch: int) -> int:
    forward = sum(products)
    return 2 * batch * (3 * forward - products[0])
