"""What a step feeds to the model: prepared inputs, augmented by a key of their own, and noise of its own.

The model's output is a sum of its inputs plus a random number, and the loss is the output, so the log of a
run shows both.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import thalweg as tw
from thalweg.core import keys
from thalweg.problem.augment import AUGMENTATIONS

SIDE, COUNT, STEPS, SEED = 8, 60, 4, 5
WEIGHTS = np.linspace(-1, 1, SIDE * SIDE).reshape(SIDE, SIDE)


class Sum(eqx.Module):
    """A weighted sum of pixels, and a random number while training."""

    by: jax.Array

    def __call__(self, x, *, key=None):
        noise = 0.0 if key is None else jax.random.uniform(key)
        return jnp.sum(self.by * x)[None] + noise


def output(outputs, targets):
    """The output itself."""
    return outputs[:, 0]


@pytest.fixture(scope="module")
def run():
    """A run that changes no weight, on all images at once."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (COUNT, SIDE, SIDE)).astype(np.uint8)
    data = tw.load((images, random.normal(size=COUNT)), validation=0.2, test=0.2)
    problem = tw.Problem(Sum(jnp.asarray(WEIGHTS, jnp.float32)), data, loss=output)
    settings = {"batch_size": "full", "shuffle": "none", "augment": "crop-flip", "seed": SEED}
    return tw.train(problem, tw.Recipe(tw.SGD(lr=1e-30), steps=STEPS, **settings))


def prepared(run, split: str) -> np.ndarray:
    preparation, rows = run.problem.data.preparation, run.problem.data.splits[split]
    assert preparation.input_scale is not None and preparation.input_shift != 0
    return (np.asarray(rows.inputs, np.float64) + preparation.input_shift) * preparation.input_scale


def test_training_inputs_are_prepared_and_augmented_with_noise_of_the_step(run):
    images, root = jnp.asarray(prepared(run, "train"), jnp.float32), keys.lane_key(SEED)
    expected = []
    for step in range(STEPS):
        change, noise = (
            jax.random.fold_in(keys.purpose_key(root, purpose), step)
            for purpose in (keys.AUGMENTATION, keys.MODEL)
        )
        changed = AUGMENTATIONS["crop-flip"](change, images)
        uniform = jax.vmap(jax.random.uniform)(jax.random.split(noise, len(images)))
        expected.append(float((np.sum(WEIGHTS * changed, axis=(1, 2)) + uniform).mean()))
    assert len({round(loss, 4) for loss in expected}) == STEPS
    np.testing.assert_allclose(run.record.steps["loss"], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_evaluations_are_prepared_and_neither_augmented_nor_noisy(run, split):
    sums = (WEIGHTS * prepared(run, split)).sum(axis=(1, 2))
    assert run.result[f"{split}_loss"] == pytest.approx(sums.mean(), rel=1e-4, abs=1e-4)
    outputs = run.outputs(run.problem.data.splits[split].inputs)
    np.testing.assert_allclose(outputs[:, 0], sums, rtol=1e-4, atol=1e-4)
