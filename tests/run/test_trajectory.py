"""Weights along the way: the first, those at equal distances, and the last; of checkpoints in their order."""

import jax
import numpy as np

import thalweg as tw
from thalweg.run.checkpoint.store import Retention, Store
from thalweg.run.trajectory import saved_trajectory, trajectories

BOWL = tw.surface("bowl")
RECIPE = tw.Recipe(tw.SGD(lr=0.02), batch_size=1, steps=11)


def flat(params) -> np.ndarray:
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(params)])


def test_weights_are_kept_at_equal_distances_and_at_the_end():
    (path,) = trajectories(BOWL, [RECIPE], points=3)
    assert path.step.tolist() == [0, 4, 8, 11]
    assert path.run is not None
    np.testing.assert_array_equal(flat(path.weights[-1]), flat(path.run.params))
    (every,) = trajectories(BOWL, [RECIPE])
    assert every.step.tolist() == list(range(12))
    for step, weights in zip(path.step, path.weights, strict=True):
        np.testing.assert_array_equal(flat(weights), flat(every.weights[step]))


def test_checkpoints_are_read_in_the_order_of_training(tmp_path):
    store, params = Store(tmp_path, "run"), {"w": np.zeros(2, np.float32)}
    assert saved_trajectory(tmp_path, "run", params) is None
    for step in (3, 6, 9):
        arrays = {"state.params.w": np.full((1, 2), step, np.float32)}
        store.commit(step, arrays, {}, keep=Retention(last=3))
    path = saved_trajectory(tmp_path, "run", params)
    assert path is not None and path.step.tolist() == [3, 6, 9]
    assert [np.asarray(weights["w"]).tolist() for weights in path.weights] == [[3, 3], [6, 6], [9, 9]]
