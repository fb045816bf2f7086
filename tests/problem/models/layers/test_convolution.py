"""Winograd convolution equals im2col in values and derivatives, alone and under `vmap`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from thalweg.problem.models.layers.convolution import im2col, winograd, winograd_applies


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
    """Return a loss of a batch that is nonlinear in all its arguments."""
    return lambda x, kernel: jnp.sum(jnp.sin(batch(form)(x, kernel)))


def close(ours, theirs):
    for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("extent", [(4, 4), (5, 4), (4, 7), (1, 1), (2, 3)])
def test_values_equal_those_of_im2col_for_even_and_odd_images(extent):
    x, kernel = arrays(*extent)
    close(batch(winograd)(x, kernel), batch(im2col)(x, kernel))
    close(winograd(x[0], kernel), im2col(x[0], kernel, 1))


@pytest.mark.parametrize("extent", [(4, 4), (5, 3)])
def test_gradients_equal_those_of_im2col(extent):
    arguments = arrays(*extent)
    close(*(jax.jit(jax.grad(total(form), (0, 1)))(*arguments) for form in (winograd, im2col)))


def test_forward_and_second_derivatives_equal_those_of_im2col():
    arguments = arrays()
    direction = jax.tree.map(jnp.cos, arguments)
    close(*(jax.jvp(total(form), arguments, direction) for form in (winograd, im2col)))
    close(*(jax.jvp(jax.grad(total(form), (0, 1)), arguments, direction) for form in (winograd, im2col)))

    def size(form):
        return lambda *pair: sum(jnp.vdot(g, g) for g in jax.grad(total(form), (0, 1))(*pair))

    close(*(jax.grad(size(form), (0, 1))(*arguments) for form in (winograd, im2col)))


def test_gradients_per_example_equal_those_of_im2col():
    x, kernel = arrays()

    def each(form):
        one = jax.grad(lambda kernel, x: jnp.sum(jnp.sin(form(x, kernel, 1))))
        return jax.vmap(one, in_axes=(None, 0))(kernel, x)

    assert each(winograd).shape == (3, *kernel.shape)
    close(each(winograd), each(im2col))


def test_gradients_per_lane_equal_those_of_im2col():
    x, kernel = arrays()
    lanes = jnp.stack([kernel, 2 * kernel, kernel - 1])

    def gradients(form):
        return jax.vmap(jax.grad(total(form), (0, 1)), in_axes=(None, 0))(x, lanes)

    close(gradients(winograd), gradients(im2col))
    shifted = jnp.moveaxis(x, 0, 1)
    batched_last = jax.vmap(lambda x: winograd(x, kernel), in_axes=1)(shifted)
    close(batched_last, batch(im2col)(x, kernel))


def test_the_gradient_of_the_kernel_over_a_batch_is_one_product():
    x, kernel = arrays()
    program = str(jax.make_jaxpr(jax.grad(total(winograd), 1))(x, kernel))
    assert "winograd_kernel" in program
    assert "f64[3,2,3,3,3]" not in program


def test_float32_is_kept_and_as_accurate_as_rounding_allows():
    x, kernel = arrays(8, 8, 16, 16)
    narrow = batch(winograd)(x.astype(jnp.float32), kernel.astype(jnp.float32))
    assert narrow.dtype == jnp.float32
    exact = batch(im2col)(x, kernel)
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
def test_winograd_applies_to_3x3_kernels_of_stride_one_and_many_channels(shape, kernel, stride, expected):
    assert winograd_applies(jnp.zeros(shape), jnp.zeros(kernel), stride) is expected
    assert not winograd_applies(jnp.zeros(shape, jnp.bfloat16), jnp.zeros(kernel, jnp.bfloat16), stride)
