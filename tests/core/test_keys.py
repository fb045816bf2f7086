"""Keys: what a seed means."""

import jax
import numpy as np
import pytest

from thalweg.core import keys


@pytest.mark.parametrize("seed", [0, 1, 7, 2**31, 2**32 - 1, 2**32, 2**40 + 5, -1])
def test_a_lanes_key_is_that_of_jax_for_the_seed(seed):
    wanted = jax.random.key(np.uint32(seed % 2**32), impl="threefry2x32")
    assert jax.random.key_data(keys.lane_key(seed)).tolist() == jax.random.key_data(wanted).tolist()
    assert keys.lane_key(seed).dtype == wanted.dtype
