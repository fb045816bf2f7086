"""Weights along the way: the first, those at equal distances, and the last; of checkpoints in their order."""

import jax
import numpy as np

import thalweg as tw
from thalweg.run.folder.folder import RunFile
from thalweg.run.trajectory import saved_trajectory, trajectories

BOWL = tw.surface("bowl")
RECIPE = tw.Recipe(tw.SGD(lr=0.02), batch_size=1, steps=11)


def flat(params) -> np.ndarray:
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(params)])


def test_weights_are_kept_at_equal_distances_and_at_the_end():
    (path,) = trajectories(BOWL, [RECIPE], points=3)
    assert path.step.tolist() == [0, 4, 8, 11]
    np.testing.assert_array_equal(flat(path.weights[-1]), flat(path.run.params))
    (every,) = trajectories(BOWL, [RECIPE])
    assert every.step.tolist() == list(range(12))
    for step, weights in zip(path.step, path.weights, strict=True):
        np.testing.assert_array_equal(flat(weights), flat(every.weights[step]))


def test_checkpoints_are_read_in_the_order_of_training(tmp_path):
    keep = tw.SaveOptions(tmp_path / "run", every="3", last=9)
    run = tw.train(BOWL, RECIPE, keep=keep, progress=False)
    path = saved_trajectory(run.folder, RunFile.read(run.folder).run, run.params)
    assert path is not None and path.step.tolist() == sorted(path.step) and path.step[-1] == 11
    (every,) = trajectories(BOWL, [RECIPE])
    for step, weights in zip(path.step, path.weights, strict=True):
        np.testing.assert_allclose(flat(weights), flat(every.weights[step]), rtol=1e-6)
