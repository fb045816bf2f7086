"""Augmentation changes each image independently, depends on the key alone, and is for training only."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from thalweg.core.choice import choose
from thalweg.core.errors import BadInput, DataError, RecipeError
from thalweg.engine.dispatch import ChunkLength, run_chunks
from thalweg.engine.evaluate import evaluate
from thalweg.engine.group import init_group
from thalweg.problem.augment import AUGMENTATIONS, Augmentation, random_crop, random_cutout, random_flip
from thalweg.problem.data.data import Data
from thalweg.problem.data.inputs.array import ArrayInputs
from thalweg.problem.data.inputs.image import ImageInputs
from thalweg.problem.data.preparation import Preparation
from thalweg.problem.data.split import Rows
from thalweg.problem.problem import Problem
from thalweg.recipe.optimizers import SGD
from thalweg.recipe.recipe import Recipe
from thalweg.run.train import train

KEY = jax.random.key(0)
IMAGES = jnp.arange(1, 1 + 64 * 6 * 5 * 3, dtype=jnp.float32).reshape(64, 6, 5, 3)


def windows(image, padding):
    """Yield every image that a crop can give."""
    padded = np.pad(image, ((padding, padding), (padding, padding), (0, 0)))
    height, width, _ = image.shape
    for row in range(2 * padding + 1):
        for column in range(2 * padding + 1):
            yield (row, column), padded[row : row + height, column : column + width]


def test_every_crop_is_a_window_of_its_image_and_all_positions_occur():
    found = np.asarray(random_crop(KEY, IMAGES, 2))
    seen = set()
    for image, changed in zip(np.asarray(IMAGES), found, strict=True):
        places = [place for place, window in windows(image, 2) if np.array_equal(window, changed)]
        assert len(places) == 1
        seen.add(places[0])
    assert {place[0] for place in seen} == {place[1] for place in seen} == {0, 1, 2, 3, 4}


def test_about_half_are_mirrored_left_to_right_and_the_rest_unchanged():
    found = np.asarray(random_flip(KEY, IMAGES))
    same = [np.array_equal(a, b) for a, b in zip(found, IMAGES, strict=True)]
    mirrored = [np.array_equal(a, b[:, ::-1]) for a, b in zip(found, IMAGES, strict=True)]
    assert all(a != b for a, b in zip(same, mirrored, strict=True))
    assert 16 < sum(mirrored) < 48  # 32 expected, four standard deviations of 4


def test_a_cutout_square_lies_inside_and_reaches_every_edge():
    found = np.asarray(random_cutout(KEY, IMAGES, 2))
    seen = set()
    for image, changed in zip(np.asarray(IMAGES), found, strict=True):
        rows, columns = np.nonzero((changed == 0).all(axis=-1))
        assert len(rows) == 4
        assert rows.max() - rows.min() == columns.max() - columns.min() == 1
        assert np.array_equal(changed[changed != 0], image[changed != 0])
        seen.add((rows.min(), columns.min()))
    assert {row for row, _ in seen} == set(range(5))
    assert {column for _, column in seen} == set(range(4))


def test_images_depend_on_the_key_alone():
    change = jax.jit(AUGMENTATIONS["crop-flip-cutout"])
    np.testing.assert_array_equal(change(KEY, IMAGES), change(KEY, IMAGES))
    assert not np.array_equal(change(KEY, IMAGES), change(jax.random.key(1), IMAGES))


@pytest.mark.parametrize("kind", [jnp.uint8, jnp.float32])
@pytest.mark.parametrize("shape", [(4, 6, 5), (4, 6, 5, 3)])
def test_shape_and_type_are_kept(shape, kind):
    found = AUGMENTATIONS["crop-flip-cutout"](KEY, jnp.ones(shape, kind))
    assert found.shape == shape
    assert found.dtype == kind


def test_distances_at_32_pixels_are_those_of_the_papers():
    image = jnp.ones((256, 32, 32))
    moved = np.asarray(Augmentation(crop=True)(KEY, image))
    assert (moved == 0).all(axis=2).sum(axis=1).max() == 4
    assert ((np.asarray(Augmentation(cutout=True)(KEY, image)) == 0).sum(axis=(1, 2)) == 64).all()


def test_other_inputs_than_images_are_refused():
    with pytest.raises(DataError, match="takes images"):
        Augmentation(crop=True)(KEY, jnp.ones((4, 6)))
    with pytest.raises(BadInput, match="padding"):
        random_crop(KEY, IMAGES, -1)


def test_the_recipe_offers_all_augmentations():
    assert Recipe.described()["augment"].metadata["among"] == tuple(AUGMENTATIONS)
    with pytest.raises(RecipeError, match="augment must be one of"):
        Recipe(augment="mirror")
    assert choose({"recipe": Recipe}, {"name": "recipe", "augment": "flip"}, "recipe").augment == "flip"


class Mean(eqx.Module):
    """One weight for each pixel: its gradient shows the images that the model received."""

    weight: jax.Array

    def __call__(self, x: jax.Array) -> jax.Array:
        return jnp.stack([jnp.sum(self.weight * x[..., 0]), -jnp.sum(self.weight * x[..., 0])])


def pictures(columns=None) -> Data:
    """Return 32 random images of two classes."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (32, 8, 8, 1)).astype(np.uint8)
    labels = np.arange(32, dtype=np.int32) % 2
    split = Rows(images, labels)
    preparation = Preparation(
        columns or ImageInputs.fit(images), classes=(0, 1), input_shift=-128.0, input_scale=1 / 64
    )
    return Data(
        "pictures", "classification", split, split, None, preparation=preparation, fingerprint="pictures"
    )


def trained(recipes: list[Recipe], steps: int = 4, pace: int = 4):
    """Return the weights of each lane after some steps, and the validation losses before them."""
    problem = Problem(Mean(jnp.full((8, 8), 0.01)), pictures())
    group, states = init_group(problem, recipes)
    before = evaluate(
        group.program, group.inputs, group.splits["validation"], (states.params, states.model_state)
    )
    fixed = ChunkLength(pace)
    fixed.observe = lambda steps, seconds: None
    fixed.steps = pace
    for moved in run_chunks(group, states, 0, steps, fixed):
        states = moved.states
    return np.asarray(jax.tree.leaves(states.params)[0]), before.loss


def recipe(**settings) -> Recipe:
    return Recipe(SGD(lr=0.1), batch_size=8, steps=4, **settings)


def test_training_augments_and_the_same_seed_gives_the_same_images():
    plain, loss = trained([recipe()])
    changed, loss_changed = trained([recipe(augment="crop-flip")])
    again, _ = trained([recipe(augment="crop-flip")], pace=1)
    assert not np.array_equal(plain, changed)
    np.testing.assert_array_equal(changed, again)  # the same images whatever the chunks
    np.testing.assert_array_equal(loss, loss_changed)  # evaluation does not augment


def test_lanes_of_one_seed_are_paired_and_seeds_differ():
    lanes, _ = trained([recipe(augment="flip"), recipe(augment="flip"), recipe(augment="flip", seed=1)])
    alone, _ = trained([recipe(augment="flip")])
    np.testing.assert_array_equal(lanes[0], alone[0])
    np.testing.assert_array_equal(lanes[0], lanes[1])
    assert not np.array_equal(lanes[0], lanes[2])


def test_every_step_augments_anew():
    # In order and with a tiny rate, the two gradients differ by nothing but the images.
    whole = Recipe(SGD(lr=1e-4), batch_size="full", shuffle="none", steps=2, augment="flip")
    one, _ = trained([whole], steps=1)
    two, _ = trained([whole], steps=2)
    first, second = one[0] - np.float32(0.01), two[0] - one[0]
    assert np.abs(first - second).max() > 0.1 * np.abs(first).max()


def test_anything_but_images_is_refused_before_training():
    columns = ArrayInputs.fit(np.zeros((4, 8, 8, 1), np.float32), standardise=False)
    problem = Problem(Mean(jnp.zeros((8, 8))), pictures(columns))
    with pytest.raises(RecipeError, match="augment is for images"):
        train(problem, recipe(augment="crop"))
