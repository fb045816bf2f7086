"""A sweep that executors train, and the same on this machine alone."""

import numpy as np
import pytest

import thalweg as tw


@pytest.fixture(scope="package")
def recipes():
    return [tw.Recipe(tw.SGD(lr=rate), batch_size=16, steps=40) for rate in (0.01, 0.1)]


@pytest.fixture(scope="package")
def problem():
    rows = np.random.default_rng(0).normal(size=(120, 4)).astype(np.float32)
    return tw.Problem(tw.MLP([4, 8, 2]), tw.load((rows, (rows[:, 0] > 0).astype(int))))


@pytest.fixture(scope="package")
def alone(problem, recipes, tmp_path_factory):
    """Folder of the sweep that was trained here."""
    folder = tmp_path_factory.mktemp("alone") / "sweep"
    tw.train(problem, recipes, keep=folder, strict=True, progress=False)
    return folder
