"""Augmentation moves and mirrors images, each in its own way, and is a pure function of the key."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from thalweg.core.errors import BadInput, DataError
from thalweg.problem.augment import CropAndFlip

KEY = jax.random.key(0)
IMAGES = jnp.arange(1, 1 + 64 * 6 * 5 * 3, dtype=jnp.float32).reshape(64, 6, 5, 3)


def windows(image, padding, fill):
    """Every image that a crop, mirrored or not, could give."""
    padded = np.pad(image, ((padding, padding), (padding, padding), (0, 0)), constant_values=fill)
    height, width, _ = image.shape
    for row in range(2 * padding + 1):
        for column in range(2 * padding + 1):
            found = padded[row : row + height, column : column + width]
            yield (row, column, False), found
            yield (row, column, True), found[:, ::-1]


def test_every_image_is_one_of_its_own_windows_and_all_kinds_occur():
    found = np.asarray(CropAndFlip(padding=2, fill=-1.0)(KEY, IMAGES))
    seen = set()
    for image, changed in zip(np.asarray(IMAGES), found, strict=True):
        kinds = [kind for kind, window in windows(image, 2, -1.0) if np.array_equal(window, changed)]
        assert len(kinds) == 1
        seen.add(kinds[0])
    assert {kind[0] for kind in seen} == {kind[1] for kind in seen} == {0, 1, 2, 3, 4}
    assert {kind[2] for kind in seen} == {False, True}


def test_the_same_key_gives_the_same_images_and_another_others():
    change = jax.jit(CropAndFlip())
    np.testing.assert_array_equal(change(KEY, IMAGES), change(KEY, IMAGES))
    assert not np.array_equal(change(KEY, IMAGES), change(jax.random.key(1), IMAGES))


@pytest.mark.parametrize("kind", [jnp.uint8, jnp.float32])
@pytest.mark.parametrize("shape", [(4, 6, 5), (4, 6, 5, 3)])
def test_shape_and_type_are_kept(shape, kind):
    found = CropAndFlip()(KEY, jnp.ones(shape, kind))
    assert found.shape == shape
    assert found.dtype == kind


def test_without_padding_and_flip_nothing_changes():
    np.testing.assert_array_equal(CropAndFlip(padding=0, flip=False)(KEY, IMAGES), IMAGES)


def test_what_holds_no_images_is_refused():
    with pytest.raises(DataError, match="takes images"):
        CropAndFlip()(KEY, jnp.ones((4, 6)))
    with pytest.raises(BadInput, match="padding"):
        CropAndFlip(padding=-1)


def test_it_can_select_a_program():
    assert hash(CropAndFlip(3)) == hash(CropAndFlip(3))
    assert CropAndFlip(3) != CropAndFlip(4)
