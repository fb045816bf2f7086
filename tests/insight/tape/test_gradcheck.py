"""`gradcheck` finds a wrong gradient however small, names its worst entry, and says what it cannot tell."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from thalweg.core.errors import BadInput
from thalweg.insight.tape.gradcheck import AGREES, DIFFERS, UNRESOLVED, _entry, extrapolated, gradcheck


@jax.custom_vjp
def wrong_in_one(x):
    return jnp.sin(x)


def _backward(x, gradient):
    return (gradient * jnp.cos(x) * jnp.where(jnp.arange(4) == 2, 1.0001, 1.0),)


wrong_in_one.defvjp(lambda x: (jnp.sin(x), x), _backward)
X = jnp.arange(4.0)


def test_a_right_gradient_passes_with_tiny_errors():
    result = gradcheck(lambda w, x: jnp.sum(jnp.tanh(w @ x)), jnp.full((2, 3), 0.3), jnp.arange(3.0))
    assert result.passed and len(result.entries) == 9 and not result.unresolved
    assert result.worst.error < 1e-9
    assert {entry.status for entry in result.entries} == {AGREES}


@pytest.mark.parametrize("scale", [1.0, 1e-4])
def test_the_worst_entry_of_a_wrong_gradient_is_named_whatever_its_size(scale):
    result = gradcheck(lambda x: 1 + scale * jnp.sum(wrong_in_one(x)), X)
    assert not result and result.worst.name == "x[2]"
    assert result.worst.error == pytest.approx(1e-4, rel=0.01)
    assert sum(entry.status == "differs" for entry in result.entries) == 1
    assert "x[2]" in repr(result) and "1 of 4 entries differ" in repr(result)


def test_what_rounding_hides_is_not_passed_over():
    result = gradcheck(lambda x: 1 + 1e-18 * jnp.sum(jnp.exp(x)), X)
    assert {entry.status for entry in result.entries} == {UNRESOLVED}
    assert "unresolved: 4" in repr(result)


def test_a_kink_is_unresolved_and_not_wrong():
    result = gradcheck(lambda x: jnp.sum(jax.nn.relu(x)), jnp.array([0.0, 1.0, -1.0]))
    assert result.passed and [entry.name for entry in result.unresolved] == ["x[0]"]


def test_a_large_input_is_sampled_and_says_so():
    result = gradcheck(lambda x: jnp.sum(x**2), jnp.ones((30, 30)))
    assert len(result.entries) == 200 and result.skipped == 700
    assert np.all([entry.name.startswith("x[") for entry in result.entries])
    several = gradcheck(lambda x, y, z: jnp.sum(x**2) + jnp.sum(y * z), jnp.ones(250), jnp.ones(230), 2.0)
    assert len(several.entries) == 401 and several.skipped == 50 + 30


@pytest.mark.parametrize("tolerance", [0, -1.0, 2.0, "small"])
def test_an_impossible_tolerance_is_refused(tolerance):
    with pytest.raises(BadInput, match="tolerance"):
        gradcheck(lambda x: x, 1.0, tolerance=tolerance)


def test_a_difference_counts_from_ten_times_its_uncertainty():
    levels = {"exact": 1.0, "difference": 1.0 + 1e-3, "tolerance": 1e-6}
    assert _entry("x", uncertainty=9e-5, **levels).status == DIFFERS
    assert _entry("x", uncertainty=1.1e-4, **levels).status == UNRESOLVED


def test_differences_at_halved_steps_are_extrapolated_by_the_powers_of_their_errors():
    """Errors of central differences are a series in h^2: Richardson divides by 4^k - 1 (Ridders 1982)."""
    steps = 0.5 / 2.0 ** np.arange(6)
    levels = np.stack([np.sinh(steps) / steps, np.ones(6), 16.0 ** -np.arange(6)], axis=1)
    value, uncertainty = extrapolated(levels)
    assert abs(value - 1) < 1e-12 and abs(value - 1) <= uncertainty < 1e-9
