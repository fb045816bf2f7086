"""Convolution over images, channels last, and the one place that decides how it is computed.

On accelerators it is XLA's own convolution. On CPU its gradient, inside a compiled loop, is ten to thirty
times slower than the same written as shifted slices, joined along the channels, times one matrix; mapped over
lanes it is as bad. A 3x3 kernel of stride 1 over enough channels takes about half the time again by
Winograd's tiles. `benchmarks/convolutions.py` measures the forms.
"""

from collections.abc import Callable
from functools import reduce

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from thalweg.core.device import backend
from thalweg.problem.models.layers.bilinear import product
from thalweg.problem.models.layers.initialisations import Fans, initialisation
from thalweg.problem.models.layers.winograd import by_tiles, suits

Image = Float[Array, "height width channels"]
Kernel = Float[Array, "out rows columns in"]
Form = Callable[[Image, Kernel, int], Image]
Blocks = Float[Array, "height row width column channels"]


class Convolution(eqx.Module):
    """A kernel slid over an image with zeros around it: height and width are divided by the stride.

    With padding `(size - 1) // 2` before and the rest after, a stride of 1 keeps height and width.

    Args:
        channels: In and out.
        size: Rows and columns of the kernel.
        stride: Distance between neighbouring outputs, in pixels.
        key: Randomness of the first weights.
        start: Name of the initialisation.
        bias: Whether there is one; none is needed before a norm.

    Reference: LeCun et al., Backpropagation Applied to Handwritten Zip Code Recognition, 1989.
    """

    weight: Kernel
    bias: Float[Array, " out"] | None
    stride: int = eqx.field(static=True)

    def __init__(
        self,
        channels: tuple[int, int],
        size: int = 3,
        *,
        stride: int = 1,
        key: Key[Array, ""],
        start: str = "he",
        bias: bool = True,
    ):
        inputs, outputs = channels
        rule, fans = initialisation(start), Fans(size * size * inputs, size * size * outputs)
        weight_key, bias_key = jax.random.split(key)
        self.weight = rule.sample(weight_key, (outputs, size, size, inputs), fans)
        self.bias = rule.bias(bias_key, outputs, fans) if bias else None
        self.stride = stride

    def __call__(self, x: Image) -> Image:
        """Convolve one image."""
        product = convolve(x, self.weight, self.stride)
        return product if self.bias is None else product + self.bias


def convolve(x: Image, kernel: Kernel, stride: int = 1) -> Image:
    """Slide a kernel over an image, in the form that is fastest where the program will run."""
    return form_for(backend(), x, kernel, stride)(x, kernel, stride)


def form_for(backend: str, x: Image, kernel: Kernel, stride: int) -> Form:
    """Return the form of convolution for a backend (`cpu`, `gpu`, `tpu`) and these arguments."""
    if backend != "cpu":
        return native
    return by_tiles if suits(x, kernel, stride) else as_product


def native(x: Image, kernel: Kernel, stride: int) -> Image:
    """Convolve by XLA's own operation."""
    padding = [_padding(size) for size in kernel.shape[1:3]]
    found = jax.lax.conv_general_dilated(
        x[None], kernel, (stride, stride), padding, dimension_numbers=("NHWC", "OHWI", "NHWC")
    )
    return found[0]


def as_product(x: Image, kernel: Kernel, stride: int) -> Image:
    """Convolve by shifted slices, joined along the channels, times the kernel as one matrix."""
    outputs, rows, columns, _ = kernel.shape
    height, width = (_length(extent, stride) for extent in x.shape[:2])
    padded = jnp.pad(x, (_padding(rows), _padding(columns), (0, 0))) if rows * columns > 1 else x
    shifted = [
        _shifted(padded, (row, column), (height, width), stride)
        for row in range(rows)
        for column in range(columns)
    ]
    patches = jnp.concatenate(shifted, axis=-1) if len(shifted) > 1 else shifted[0]
    found = product(patches.reshape(height * width, -1), kernel.reshape(outputs, -1).T)
    return found.reshape(height, width, outputs)


def pooled(x: Image, size: int = 2) -> Image:
    """Take the largest of each `size x size` block; rows and columns that fill no block are left out.

    Where several are largest, they share the gradient evenly. On CPU the gradient of XLA's window reduction
    is a slow scatter; here it is one pass over the blocks.
    """
    height, width, channels = x.shape[0] // size, x.shape[1] // size, x.shape[2]
    return _largest(x[: height * size, : width * size].reshape(height, size, width, size, channels))


@jax.custom_jvp
def _largest(blocks: Blocks) -> Image:
    return reduce(jnp.maximum, _places(blocks))


@_largest.defjvp
def _largest_changes(primals: tuple[Blocks], tangents: tuple[Blocks]) -> tuple[Image, Image]:
    (blocks,), (changes,) = primals, tangents
    largest = _largest(blocks)
    shares = (blocks == largest[:, None, :, None]).astype(blocks.dtype)
    count = sum((place == largest).astype(blocks.dtype) for place in _places(blocks))
    return largest, jnp.sum(shares * changes, axis=(1, 3)) / count


def _places(blocks: Blocks) -> list[Image]:
    """Return the first pixel of every block, the second, ...: quicker than a reduction over short axes."""
    size = blocks.shape[1]
    return [blocks[:, row, :, column] for row in range(size) for column in range(size)]


def as_image(x: Float[Array, "height width *channels"]) -> Image:
    """Give a grey image its axis of one channel, and whole numbers a floating-point type."""
    image = x[..., None] if x.ndim == 2 else x
    return image if jnp.issubdtype(image.dtype, jnp.floating) else image.astype(jnp.result_type(float))


def _padding(size: int) -> tuple[int, int]:
    return (size - 1) // 2, size // 2


def _length(extent: int, stride: int) -> int:
    return -(-extent // stride)


def _shifted(padded: Image, start: tuple[int, int], extent: tuple[int, int], stride: int) -> Image:
    (row, column), (height, width) = start, extent
    stop = (row + stride * (height - 1) + 1, column + stride * (width - 1) + 1, padded.shape[2])
    return jax.lax.slice(padded, (row, column, 0), stop, (stride, stride, 1))
