"""Convolution by tiles equals the plain product, with all its derivatives and in all its batches."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from thalweg.problem.models.layers.convolution import as_product
from thalweg.problem.models.layers.winograd import by_tiles, suits


@pytest.fixture(autouse=True)
def in_f64():
    with jax.enable_x64(True):
        yield


def arrays(height: int = 5, width: int = 4, inputs: int = 3, outputs: int = 2, *, count: int = 3):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(count, height, width, inputs))
    kernel = rng.normal(size=(outputs, 3, 3, inputs))
    return jnp.asarray(x), jnp.asarray(kernel)


def batch(form):
    return jax.vmap(lambda x, kernel: form(x, kernel, 1), in_axes=(0, None))


def total(form):
    """A loss of a batch that is not linear in anything."""
    return lambda x, kernel: jnp.sum(jnp.sin(batch(form)(x, kernel)))


def close(ours, theirs):
    for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("extent", [(4, 4), (5, 4), (4, 7), (1, 1), (2, 3)])
def test_values_equal_the_product_for_even_and_odd_images(extent):
    x, kernel = arrays(*extent)
    close(batch(by_tiles)(x, kernel), batch(as_product)(x, kernel))
    close(by_tiles(x[0], kernel), as_product(x[0], kernel, 1))


@pytest.mark.parametrize("extent", [(4, 4), (5, 3)])
def test_gradients_equal_the_products(extent):
    given = arrays(*extent)
    close(*(jax.jit(jax.grad(total(form), (0, 1)))(*given) for form in (by_tiles, as_product)))


def test_derivatives_forward_and_second_ones_equal_the_products():
    given = arrays()
    direction = jax.tree.map(jnp.cos, given)
    close(*(jax.jvp(total(form), given, direction) for form in (by_tiles, as_product)))
    close(*(jax.jvp(jax.grad(total(form), (0, 1)), given, direction) for form in (by_tiles, as_product)))

    def size(form):
        return lambda *pair: sum(jnp.vdot(g, g) for g in jax.grad(total(form), (0, 1))(*pair))

    close(*(jax.grad(size(form), (0, 1))(*given) for form in (by_tiles, as_product)))


def test_a_gradient_for_each_example_equals_the_products():
    x, kernel = arrays()

    def each(form):
        one = jax.grad(lambda kernel, x: jnp.sum(jnp.sin(form(x, kernel, 1))))
        return jax.vmap(one, in_axes=(None, 0))(kernel, x)

    assert each(by_tiles).shape == (3, *kernel.shape)
    close(each(by_tiles), each(as_product))


def test_lanes_with_kernels_of_their_own_equal_the_products():
    x, kernel = arrays()
    lanes = jnp.stack([kernel, 2 * kernel, kernel - 1])

    def found(form):
        return jax.vmap(jax.grad(total(form), (0, 1)), in_axes=(None, 0))(x, lanes)

    close(found(by_tiles), found(as_product))
    shifted = jnp.moveaxis(x, 0, 1)
    axis_of_its_own = jax.vmap(lambda x: by_tiles(x, kernel), in_axes=1)(shifted)
    close(axis_of_its_own, batch(as_product)(x, kernel))


def test_the_gradient_of_a_batch_is_one_product_over_it_and_not_one_for_each_example():
    x, kernel = arrays()
    program = str(jax.make_jaxpr(jax.grad(total(by_tiles), 1))(x, kernel))
    assert "winograd_kernel" in program
    assert "f64[3,2,3,3,3]" not in program


def test_float32_stays_float32_and_is_as_close_as_rounding_allows():
    x, kernel = arrays(8, 8, 16, 16)
    narrow = batch(by_tiles)(x.astype(jnp.float32), kernel.astype(jnp.float32))
    assert narrow.dtype == jnp.float32
    exact = batch(as_product)(x, kernel)
    # 144 terms of size one, whose sums pass through numbers about four times as large.
    bound = 4 * np.sqrt(144) * np.finfo(np.float32).eps * np.abs(exact).max()
    assert np.abs(narrow - exact).max() < bound


@pytest.mark.parametrize(
    ("shape", "kernel", "stride", "expected"),
    [
        ((8, 8, 16), (16, 3, 3, 16), 1, True),
        ((8, 8, 16), (16, 3, 3, 16), 2, False),
        ((8, 8, 16), (16, 5, 5, 16), 1, False),
        ((8, 8, 16), (16, 1, 1, 16), 1, False),
        ((8, 8, 3), (16, 3, 3, 3), 1, False),
        ((8, 8, 16), (4, 3, 3, 16), 1, False),
        ((2, 8, 16), (16, 3, 3, 16), 1, False),
    ],
)
def test_it_suits_wide_kernels_of_three_and_stride_one(shape, kernel, stride, expected):
    assert suits(jnp.zeros(shape), jnp.zeros(kernel), stride) is expected
    assert not suits(jnp.zeros(shape, jnp.bfloat16), jnp.zeros(kernel, jnp.bfloat16), stride)
