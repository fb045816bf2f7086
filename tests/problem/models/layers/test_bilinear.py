"""`product` equals `x @ matrix` in values, dtypes and derivatives, alone and under `vmap`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from thalweg.problem.models.layers.bilinear import product


@pytest.fixture(autouse=True)
def in_f64():
    with jax.enable_x64(True):
        yield


def arrays():
    rng = np.random.default_rng(0)
    return jnp.asarray(rng.normal(size=(4, 5, 3))), jnp.asarray(rng.normal(size=(3, 2)))


def total(form):
    """Return a loss of a batch that is nonlinear in all its arguments."""
    return lambda x, matrix: jnp.sum(jnp.sin(jax.vmap(form, (0, None))(x, matrix)))


def close(ours, theirs):
    for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


def test_values_and_gradients_equal_those_of_matmul():
    close(*(jax.value_and_grad(total(form), (0, 1))(*arrays()) for form in (product, jnp.matmul)))


def test_forward_and_second_derivatives_equal_those_of_matmul():
    direction = jax.tree.map(jnp.cos, arrays())
    close(*(jax.jvp(jax.grad(total(form), (0, 1)), arrays(), direction) for form in (product, jnp.matmul)))


def test_gradients_per_example_and_per_lane_equal_those_of_matmul():
    x, matrix = arrays()

    def each(form):
        return jax.vmap(jax.grad(lambda matrix, x: jnp.sum(jnp.sin(form(x, matrix)))), (None, 0))(matrix, x)

    close(each(product), each(jnp.matmul))
    lanes = jnp.stack([matrix, 2 * matrix])
    close(*(jax.vmap(jax.grad(total(form), (0, 1)), (None, 0))(x, lanes) for form in (product, jnp.matmul)))


def test_the_gradient_of_the_matrix_over_a_batch_is_one_product():
    program = str(jax.make_jaxpr(jax.grad(total(product), 1))(*arrays()))
    assert "product_kernel" in program
    assert "f64[4,3,2]" not in program


def test_a_product_has_the_wider_of_two_dtypes():
    x, matrix = arrays()
    assert product(x[0].astype(jnp.float32), matrix).dtype == jnp.float64
    assert product(x[0].astype(jnp.bfloat16), matrix.astype(jnp.bfloat16)).dtype == jnp.bfloat16
