"""Convolution over images, channels last, and the one place that decides how it is computed.

On accelerators it is XLA's own convolution. On CPUs the gradient of that, inside a compiled loop, is ten to
thirty times slower than that of `im2col`; mapped over lanes it is as slow. For a 3x3 kernel of stride 1 over
enough channels, `winograd` takes about half the time of `im2col`. `benchmarks/convolutions.py` measures them.

References: Chellapilla, Puri & Simard, High Performance Convolutional Neural Networks for Document
Processing, 2006 (im2col); Lavin & Gray, Fast Algorithms for Convolutional Neural Networks, 2016, section 4.1
(F(2x2, 3x3)).
"""

from collections.abc import Callable, Sequence
from functools import reduce

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from thalweg.core.device import backend
from thalweg.problem.models.layers.bilinear import Bilinear, matrix_gradient, product
from thalweg.problem.models.layers.initialisations import Fans, initialisation
from thalweg.problem.models.layers.portable import is_portable

Image = Float[Array, "height width channels"]
Images = Float[Array, "batch height width channels"]
Kernel = Float[Array, "out rows columns in"]
Form = Callable[[Image, Kernel, int], Image]
Windows = Float[Array, "height row width column channels"]
Tiles = list[list[Float[Array, "batch row column channels"]]]

# With fewer channels the products of `winograd` are too thin to pay for the tiles; below 4 pixels a tile is
# mostly border. Sums of tiles lose digits that narrower dtypes do not have.
MIN_CHANNELS, MIN_PIXELS, DTYPES = 8, 4, (jnp.float32, jnp.float64)


class Convolution(eqx.Module):
    """Convolution of an image padded with zeros; the stride divides height and width, rounded up.

    The padding is `(size - 1) // 2` before and `size // 2` after.

    Args:
        channels: In and out.
        size: Rows and columns of the kernel.
        stride: Distance between neighbouring outputs, in pixels.
        key: Randomness of the initial weights.
        start: Name of the initialisation.
        bias: Whether to add a bias; not needed before a norm.
        padding: `same`; or `valid`: only where the whole kernel is inside of the image. Stride 1 then.

    Reference: LeCun et al., Backpropagation Applied to Handwritten Zip Code Recognition, 1989.
    """

    weight: Kernel
    bias: Float[Array, " out"] | None
    stride: int = eqx.field(static=True)
    padding: str = eqx.field(static=True)

    def __init__(
        self,
        channels: tuple[int, int],
        size: int = 3,
        *,
        stride: int = 1,
        key: Key[Array, ""],
        start: str = "he",
        bias: bool = True,
        padding: str = "same",
    ):
        assert padding == "same" or stride == 1
        inputs, outputs = channels
        rule, fans = initialisation(start), Fans(size * size * inputs, size * size * outputs)
        weight_key, bias_key = jax.random.split(key)
        self.weight = rule.sample(weight_key, (outputs, size, size, inputs), fans)
        self.bias = rule.bias(bias_key, outputs, fans) if bias else None
        self.stride, self.padding = stride, padding

    def __call__(self, x: Image) -> Image:
        """Convolve one image."""
        product = convolve(x, self.weight, self.stride)
        if self.padding == "valid":  # the inner part, without what zeros contributed to
            sides = [_padding(size) for size in self.weight.shape[1:3]]
            rows, columns = (slice(before, -after or None) for before, after in sides)
            product = product[rows, columns]
        return product if self.bias is None else product + self.bias


def convolve(x: Image, kernel: Kernel, stride: int = 1) -> Image:
    """Convolve an image, in the form that is fastest on the default backend."""
    if is_portable():
        return native(x, kernel.transpose(1, 2, 3, 0), stride, kernels="HWIO")
    return form_for(backend(), x, kernel, stride)(x, kernel, stride)


def form_for(backend: str, x: Image, kernel: Kernel, stride: int) -> Form:
    """Return the form of convolution for a backend (`cpu`, `gpu`, `tpu`) and these arguments."""
    if backend != "cpu":
        return native
    return winograd if winograd_applies(x, kernel, stride) else im2col


def native(x: Image, kernel: Array, stride: int, *, kernels: str = "OHWI") -> Image:
    """Convolve by XLA's own operation; `kernels` is the layout of the kernel."""
    padding = [_padding(kernel.shape[kernels.index(axis)]) for axis in "HW"]
    images = jax.lax.conv_general_dilated(
        x[None], kernel, (stride, stride), padding, dimension_numbers=("NHWC", kernels, "NHWC")
    )
    return images[0]


def im2col(x: Image, kernel: Kernel, stride: int) -> Image:
    """Convolve by shifted slices, joined along the channels, times the kernel as one matrix."""
    outputs, rows, columns, _ = kernel.shape
    height, width = (-(-extent // stride) for extent in x.shape[:2])
    padded = jnp.pad(x, (_padding(rows), _padding(columns), (0, 0))) if rows * columns > 1 else x

    def shifted(row: int, column: int) -> Image:
        stop = (row + stride * (height - 1) + 1, column + stride * (width - 1) + 1, padded.shape[2])
        return jax.lax.slice(padded, (row, column, 0), stop, (stride, stride, 1))

    slices = [shifted(row, column) for row in range(rows) for column in range(columns)]
    patches = jnp.concatenate(slices, axis=-1) if len(slices) > 1 else slices[0]
    pixels = product(patches.reshape(height * width, -1), kernel.reshape(outputs, -1).T)
    return pixels.reshape(height, width, outputs)


def winograd_applies(x: Image, kernel: Kernel, stride: int) -> bool:
    """Return whether `winograd` can compute a convolution, and is worth it."""
    fits = kernel.shape[1:3] == (3, 3) and stride == 1 and x.dtype == kernel.dtype and x.dtype in DTYPES
    return fits and min(kernel.shape[::3]) >= MIN_CHANNELS and min(x.shape[:2]) >= MIN_PIXELS


def winograd(x: Image, kernel: Kernel, stride: int = 1) -> Image:
    """Convolve by Winograd's minimal filtering: 3x3 kernel, stride 1, one dtype.

    Each 2x2 of outputs comes from a 4x4 tile d of the padded input and the kernel g,

        Y = A^T [ (G g G^T) * (B^T d B) ] A,

    with 16 products instead of 36; over all tiles and channels they are 16 matrix products. The rounding
    error is that of a sum with a few more terms: tiles are sums of up to four inputs.

    It is one operation, linear in the image and in the kernel, and each of its gradients is such an operation
    again: automatic differentiation of the cutting of tiles (adding sixteen spread-out arrays) would cost
    more than all products together.
    """
    assert stride == 1
    return _winograd(x[None], kernel)[0]


def max_pool(x: Image, size: int = 2) -> Image:
    """Return the maximum of each `size x size` window; rows and columns that fill no window are dropped.

    Pixels that tie for the maximum share the gradient evenly. On CPUs the gradient of XLA's window reduction
    is a slow scatter; here it is one pass over the windows.
    """
    height, width, channels = x.shape[0] // size, x.shape[1] // size, x.shape[2]
    return _window_max(x[: height * size, : width * size].reshape(height, size, width, size, channels))


@jax.custom_jvp
def _window_max(windows: Windows) -> Image:
    return reduce(jnp.maximum, _pixels(windows))


@_window_max.defjvp
def _window_max_jvp(primals: tuple[Windows], tangents: tuple[Windows]) -> tuple[Image, Image]:
    (windows,), (changes,) = primals, tangents
    largest = _window_max(windows)
    shares = (windows == largest[:, None, :, None]).astype(windows.dtype)
    count = sum((pixel == largest).astype(windows.dtype) for pixel in _pixels(windows))
    return largest, jnp.sum(shares * changes, axis=(1, 3)) / count


def _pixels(windows: Windows) -> list[Image]:
    """Return the first pixel of every window, the second, ...: faster than a reduction over short axes."""
    size = windows.shape[1]
    return [windows[:, row, :, column] for row in range(size) for column in range(size)]


def as_image(x: Float[Array, "height width *channels"]) -> Image:
    """Give a greyscale image its axis of one channel, and integers a floating-point dtype."""
    image = x[..., None] if x.ndim == 2 else x
    return image if jnp.issubdtype(image.dtype, jnp.floating) else image.astype(jnp.result_type(float))


def _padding(size: int) -> tuple[int, int]:
    return (size - 1) // 2, size // 2


def _winograd_outputs(x: Images, kernel: Kernel) -> Images:
    """Return the convolution of a batch."""
    (_, height, width, _), filters = x.shape, _both_axes(_filter, kernel.transpose(1, 2, 3, 0))
    products = [[tile @ filters[a, b] for b, tile in enumerate(row)] for a, row in enumerate(_tiles(x))]
    columns = [_output([products[a][b] for a in range(4)]) for b in range(4)]
    blocks = [_output([columns[b][row] for b in range(4)]) for row in range(2)]
    joined = jnp.stack([jnp.stack(row, axis=3) for row in blocks], axis=2)
    batch, rows, _, across, _, outputs = joined.shape
    return joined.reshape(batch, 2 * rows, 2 * across, outputs)[:, :height, :width]


def _winograd_kernel_gradient(x: Images, y: Images) -> Kernel:
    """Return the gradient of the kernel: the correlation of images with the gradients y of outputs."""
    height, width = y.shape[1:3]
    padded = jnp.pad(y, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)))
    halves = [
        _output_transposed(padded[:, 0::2, column::2], padded[:, 1::2, column::2]) for column in range(2)
    ]
    spread = [_output_transposed(halves[0][a], halves[1][a]) for a in range(4)]
    pairs = [map(matrix_gradient, *row) for row in zip(_tiles(x), spread, strict=True)]
    gradient = _both_axes(_filter_transposed, jnp.stack([jnp.stack(list(row)) for row in pairs]))
    return gradient.transpose(3, 0, 1, 2)


def _tiles(x: Images) -> Tiles:
    """Return B^T d B for every tile d: four by four arrays of one pixel per tile."""
    batch, height, width, channels = x.shape
    rows, columns = -(-height // 2), -(-width // 2)
    border = ((0, 0), (1, 1 + 2 * rows - height), (1, 1 + 2 * columns - width), (0, 0))
    padded = jnp.pad(x, border)

    def cut(row: int, column: int) -> Array:
        stop = (batch, row + 2 * rows - 1, column + 2 * columns - 1, channels)
        return jax.lax.slice(padded, (0, row, column, 0), stop, (1, 2, 2, 1))

    half = [_input([cut(row, column) for row in range(4)]) for column in range(4)]
    return [_input([half[column][a] for column in range(4)]) for a in range(4)]


def _input(d: Sequence[Array]) -> list[Array]:
    """B^T: four inputs to four terms."""
    return [d[0] - d[2], d[1] + d[2], d[2] - d[1], d[1] - d[3]]


def _output(m: Sequence[Array]) -> list[Array]:
    """A^T: four products to two outputs."""
    return [m[0] + m[1] + m[2], m[1] - m[2] - m[3]]


def _output_transposed(first: Array, second: Array) -> list[Array]:
    """A: gradients of two outputs to those of four products."""
    return [first, first + second, first - second, -second]


def _filter(g: Array) -> Array:
    """G: three weights (first axis) to four."""
    return jnp.stack([g[0], (g[0] + g[1] + g[2]) / 2, (g[0] - g[1] + g[2]) / 2, g[2]])


def _filter_transposed(u: Array) -> Array:
    """G^T: gradients of four weights to those of three."""
    return jnp.stack([u[0] + (u[1] + u[2]) / 2, (u[1] - u[2]) / 2, (u[1] + u[2]) / 2 + u[3]])


def _both_axes(transform: Callable[[Array], Array], kernel: Array) -> Array:
    """Apply a transform of the first axis to the first and to the second axis."""
    return transform(transform(kernel).swapaxes(0, 1)).swapaxes(0, 1)


def _transposed(kernel: Kernel) -> Kernel:
    """Return the kernel of the transposed convolution: flipped in both axes, in and out swapped."""
    return kernel[:, ::-1, ::-1].transpose(3, 1, 2, 0)


_winograd = Bilinear(
    "winograd",
    _winograd_outputs,
    _winograd_kernel_gradient,
    transposed=_transposed,
    shapes=(lambda x, kernel: (*x[:3], kernel[0]), lambda x, y: (y[3], 3, 3, x[3])),
).operation()
