"""Keys: what a seed means."""

import jax
import numpy as np
import pytest

from thalweg.core import keys


@pytest.mark.parametrize("seed", [0, 1, 7, 2**31, 2**32 - 1, 2**32, 2**40 + 5, -1])
def test_a_lanes_key_is_that_of_jax_for_the_seed(seed):
    with jax.enable_x64(True):  # all 64 bits: without, JAX forgets the upper half
        wanted = jax.random.key(np.int64(seed), impl="threefry2x32")
    assert jax.random.key_data(keys.lane_key(seed)).tolist() == jax.random.key_data(wanted).tolist()
    assert keys.lane_key(seed).dtype == wanted.dtype


def test_seeds_that_differ_in_their_upper_half_only_are_different_seeds():
    words = [
        tuple(keys.lane_words(seed).tolist()) for seed in (1, 1 + 2**32, 1 + 2**33, 2**63 - 1, 2**31 - 1)
    ]
    assert words[0] == (0, 1) and len(set(words)) == len(words)


def test_an_order_is_that_of_all_64_bits_of_the_seed():
    # Written down once: a run is resumed, or repeated years later, in the same order.
    assert keys.order(1, 0, 6).tolist() == [4, 2, 0, 1, 5, 3]
    assert keys.order(1 + 2**32, 0, 6).tolist() == [1, 0, 3, 2, 4, 5]
    assert keys.order(1, 1, 6).tolist() == [3, 0, 2, 1, 5, 4]
    assert keys.draws(1, 0, 6).tolist() == [1, 4, 3, 2, 1, 4]
    assert keys.draws(1 + 2**32, 0, 6).tolist() == [0, 1, 2, 5, 0, 0]
