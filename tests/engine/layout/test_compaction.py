"""Lanes that run no more are taken out of a dispatch, and are put back as lanes that made no step."""

import jax.numpy as jnp
import numpy as np

from thalweg.engine.layout.compaction import expand_chunk
from thalweg.engine.state import Chunk, Info


def test_a_lane_that_was_taken_out_reports_nothing():
    unset, rows = jnp.full((2, 3), 0.5), jnp.asarray([[0, 4], [0, 4]], jnp.int32)
    ran = Chunk(Info(unset, unset, unset, (unset,)), jnp.ones((2, 2, 5, 4)), rows, jnp.asarray([3, 3]))
    chunk = expand_chunk(ran, np.array([0, 2]), 4)
    assert chunk.done.tolist() == [3, 0, 3, 0]
    assert chunk.layer_steps.tolist() == [[0, 4], [-1, -1], [0, 4], [-1, -1]], "-1: no row of statistics"
    for values in (chunk.info.loss, *chunk.info.figures):
        assert np.isnan(values[[1, 3]]).all() and (values[[0, 2]] == 0.5).all()
    assert not chunk.layers[[1, 3]].any() and chunk.layers[[0, 2]].all()
