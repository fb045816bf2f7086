"""The 3x3 convolution of stride 1 by Winograd's minimal filtering, for CPUs.

Each 2x2 of outputs comes from a 4x4 tile of the padded input,

    Y = A^T [ (G g G^T) * (B^T d B) ] A,

with 16 products in place of 36; over all tiles and channels they are 16 matrix products. Rounding is that of
a sum with a few more terms: tiles are sums of up to four inputs.

It is an operation of its own, linear in the image and in the kernel, and each of its gradients is again such
an operation: left to automatic differentiation, the gradient of cutting tiles out (adding sixteen spread-out
arrays) costs more than all products together.

Reference: Lavin & Gray, Fast Algorithms for Convolutional Neural Networks, 2016, section 4.1 (F(2x2, 3x3)).
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from thalweg.problem.models.layers.bilinear import Bilinear, over_rows

Images = Float[Array, "batch height width channels"]
Kernel = Float[Array, "out 3 3 in"]
Tiles = list[list[Float[Array, "batch row column channels"]]]

# Below, products over the channels are too thin to pay for the tiles; below 4 pixels a tile is mostly border.
FEWEST_CHANNELS, FEWEST_PIXELS = 8, 4
# Sums of tiles lose digits that narrower types do not have.
DTYPES = (jnp.float32, jnp.float64)


def suits(
    x: Float[Array, "height width in"], kernel: Float[Array, "out rows columns in"], stride: int
) -> bool:
    """Tell whether a convolution can be computed this way, and is worth it."""
    fits = kernel.shape[1:3] == (3, 3) and stride == 1 and x.dtype == kernel.dtype and x.dtype in DTYPES
    return fits and min(kernel.shape[::3]) >= FEWEST_CHANNELS and min(x.shape[:2]) >= FEWEST_PIXELS


def by_tiles(x: Float[Array, "height width in"], kernel: Kernel, stride: int = 1) -> Array:
    """Convolve one image with zeros around it, stride 1.

    Args:
        x: The image.
        kernel: 3x3, of the same type.
        stride: 1; here because every form of convolution takes one.
    """
    assert stride == 1
    return _convolve(x[None], kernel)[0]


def _convolved(x: Images, kernel: Kernel) -> Images:
    """Compute the convolution of a batch."""
    (_, height, width, _), filters = x.shape, _twice(_filter, kernel.transpose(1, 2, 3, 0))
    products = [[tile @ filters[a, b] for b, tile in enumerate(row)] for a, row in enumerate(_tiles(x))]
    columns = [_output([products[a][b] for a in range(4)]) for b in range(4)]
    blocks = [_output([columns[b][row] for b in range(4)]) for row in range(2)]
    joined = jnp.stack([jnp.stack(row, axis=3) for row in blocks], axis=2)
    batch, rows, _, across, _, outputs = joined.shape
    return joined.reshape(batch, 2 * rows, 2 * across, outputs)[:, :height, :width]


def _correlated(x: Images, y: Images) -> Kernel:
    """Compute the kernel's gradient: the correlation of images with outputs' gradients, over all pixels."""
    height, width = y.shape[1:3]
    padded = jnp.pad(y, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)))
    rows = [_spread(padded[:, 0::2, column::2], padded[:, 1::2, column::2]) for column in range(2)]
    spread = [_spread(rows[0][a], rows[1][a]) for a in range(4)]
    pairs = [map(over_rows, *row) for row in zip(_tiles(x), spread, strict=True)]
    gradient = _twice(_filtered_back, jnp.stack([jnp.stack(list(row)) for row in pairs]))
    return gradient.transpose(3, 0, 1, 2)


def _tiles(x: Images) -> Tiles:
    """Return B^T d B for every tile d: four by four arrays with a pixel for each tile."""
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


def _spread(first: Array, second: Array) -> list[Array]:
    """A: two outputs' gradients to those of four products."""
    return [first, first + second, first - second, -second]


def _filter(g: Array) -> Array:
    """G: three weights (first axis) to four."""
    return jnp.stack([g[0], (g[0] + g[1] + g[2]) / 2, (g[0] - g[1] + g[2]) / 2, g[2]])


def _filtered_back(u: Array) -> Array:
    """G^T: the gradients of four to those of three weights."""
    return jnp.stack([u[0] + (u[1] + u[2]) / 2, (u[1] - u[2]) / 2, (u[1] + u[2]) / 2 + u[3]])


def _twice(change: Callable[[Array], Array], kernel: Array) -> Array:
    """Apply a change of the first axis to the first and to the second."""
    return change(change(kernel).swapaxes(0, 1)).swapaxes(0, 1)


def _turned(kernel: Kernel) -> Kernel:
    """Return the kernel whose convolution carries gradients back: turned by half, in and out swapped."""
    return kernel[:, ::-1, ::-1].transpose(3, 1, 2, 0)


_convolve = Bilinear(
    "winograd",
    _convolved,
    _correlated,
    turned=_turned,
    shapes=(lambda x, kernel: (*x[:3], kernel[0]), lambda x, y: (y[3], 3, 3, x[3])),
).operation()
