"""Light augmentation of training images: random crops, flips and cutout.

A recipe's `augment` names one of `AUGMENTATIONS`. It is applied to a prepared batch inside the compiled step,
so that a border or a square of zeros has the mean colour of the training images.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Key, Shaped

from thalweg.core.caller import setting
from thalweg.core.errors import BadInput, DataError, RecipeError
from thalweg.problem.data.inputs import Columns

Images = Shaped[Array, "batch height width *channels"]

# Padding of a crop and side of a cutout square as fractions of the shorter side of an image: 4 and 8 of the
# 32 pixels of CIFAR-10 (He et al. 2016, section 4.2; half of the 16 of DeVries & Taylor 2017, whose square
# may lie partly outside).
CROP_FRACTION, CUTOUT_FRACTION = 8, 4


@dataclass(frozen=True)
class Augmentation:
    """Random changes of training images. Frozen and hashable, so that it can select a compiled program.

    Args:
        crop: Shift each image by up to an eighth of its shorter side in each direction (at least 1 pixel).
        flip: Mirror an image left to right with probability 1/2: right for photographs, wrong for digits and
            letters.
        cutout: Set a square of a quarter of the shorter side to zero, at a random position.

    Example:
        >>> Augmentation(crop=True, flip=True)(jax.random.key(0), images)

    References: Lee et al., Deeply-Supervised Nets, 2015, and He et al., Deep Residual Learning, 2016, section
    4.2 (crop and flip); DeVries & Taylor, Improved Regularization of Convolutional Neural Networks with
    Cutout, 2017.
    """

    crop: bool = False
    flip: bool = False
    cutout: bool = False

    def __call__(self, key: Key[Array, ""], images: Images) -> Images:
        """Return the batch, each image changed independently.

        Args:
            key: Randomness. The same key gives the same images, and row i does not depend on the others.
            images: Any dtype, which is kept.

        Raises:
            DataError: The batch does not hold images.
        """
        if images.ndim not in (3, 4):
            rule = "takes images, batch x height x width (x channels)"
            hint = "add the axis of the batch: images[None]"
            raise DataError("augmentation", rule, got=f"shape {images.shape}", hint=hint)
        crop_key, flip_key, cutout_key = jax.random.split(key, 3)
        shorter = min(images.shape[1:3])
        if self.crop:
            images = random_crop(crop_key, images, max(1, shorter // CROP_FRACTION))
        if self.flip:
            images = random_flip(flip_key, images)
        if self.cutout:
            images = random_cutout(cutout_key, images, max(1, shorter // CUTOUT_FRACTION))
        return images


AUGMENTATIONS: dict[str, Augmentation] = {
    "none": Augmentation(),
    "flip": Augmentation(flip=True),
    "crop": Augmentation(crop=True),
    "crop-flip": Augmentation(crop=True, flip=True),
    "crop-flip-cutout": Augmentation(crop=True, flip=True, cutout=True),
}


def check(name: str, columns: Columns) -> None:
    """Reject augmentation of anything but images.

    Args:
        name: The recipe's `augment`.
        columns: The host side of the data's preparation.

    Raises:
        RecipeError: `name` is not `none`, and the inputs are not images.
    """
    if name != "none" and not columns.is_image:
        rule = "augment is for images, and these inputs are not images"
        raise RecipeError(
            "recipe",
            rule,
            got=f"augment={name}, inputs of kind {columns.kind}",
            hint=f"use {setting('augment', 'none')}",
        )


def random_crop(key: Key[Array, ""], images: Images, padding: int) -> Images:
    """Pad images with zeros and crop each at a random position: a shift by up to `padding` pixels.

    Raises:
        BadInput: `padding` is not a whole number of at least 0.
    """
    if isinstance(padding, bool) or not isinstance(padding, int) or padding < 0:
        raise BadInput(
            "augmentation", "padding must be a whole number of at least 0", got=padding, hint="try 4"
        )
    border = [(0, 0), (padding, padding), (padding, padding)] + [(0, 0)] * (images.ndim - 3)
    padded = jnp.pad(images, border)
    starts = jax.random.randint(key, (images.shape[0], 2), 0, 2 * padding + 1)

    def crop(image: Array, start: Array) -> Array:
        corner = (start[0], start[1], *(0 for _ in range(image.ndim - 2)))
        return jax.lax.dynamic_slice(image, corner, images.shape[1:])

    return jax.vmap(crop)(padded, starts)


def random_flip(key: Key[Array, ""], images: Images) -> Images:
    """Mirror each image left to right with probability 1/2."""
    flip = jax.random.bernoulli(key, 0.5, (images.shape[0],))
    return jnp.where(_over_pixels(flip, images), images[:, :, ::-1], images)


def random_cutout(key: Key[Array, ""], images: Images, side: int) -> Images:
    """Set a `side x side` square of each image to zero, at a random position inside the image."""
    height, width = images.shape[1:3]
    room = jnp.array([height - side + 1, width - side + 1])
    starts = jax.random.randint(key, (images.shape[0], 2), 0, room)
    rows = _is_within(jnp.arange(height), starts[:, :1], side)
    columns = _is_within(jnp.arange(width), starts[:, 1:], side)
    mask = rows[:, :, None] & columns[:, None, :]
    return jnp.where(_over_pixels(mask, images), jnp.zeros((), images.dtype), images)


def _is_within(positions: Array, start: Array, length: int) -> Bool[Array, "batch position"]:
    return (positions >= start) & (positions < start + length)


def _over_pixels(mask: Bool[Array, "batch ..."], images: Images) -> Array:
    """Add axes to a mask so that it broadcasts over the pixels of images."""
    return jnp.expand_dims(mask, tuple(range(mask.ndim, images.ndim)))
