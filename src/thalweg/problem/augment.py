"""Light augmentation of training images: crops after padding, flips, a blank square. No library of
distortions.

What a recipe's `augment` names; applied to a prepared batch inside the compiled step, so a border or a square
of zeros has the colour of the training images' mean.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key, Shaped

from thalweg.core.errors import BadInput, DataError, RecipeError
from thalweg.problem.data.inputs import Columns

# Border of a crop and side of a blank square as shares of an image's shorter side: 4 and 8 of CIFAR-10's 32
# pixels (He et al. 2016, section 4.2; half of the 16 of DeVries & Taylor 2017, whose square may lie partly
# outside).
BORDER, SQUARE = 8, 4


@dataclass(frozen=True)
class Augmentation:
    """What may happen to a training image. Frozen and hashable, so that it can select a compiled program.

    Args:
        crop: Shift each image by up to an eighth of its shorter side either way (at least 1 pixel).
        flip: Mirror every other image, left to right: right for photographs, wrong for digits and letters.
        cutout: Blank a square of a quarter of the shorter side, wherever it falls.

    Example:
        >>> Augmentation(crop=True, flip=True)(jax.random.key(0), images)

    References: Lee et al., Deeply-Supervised Nets, 2015, and He et al., Deep Residual Learning, 2016, section
    4.2 (crop and flip); DeVries & Taylor, Improved Regularization of Convolutional Neural Networks with
    Cutout, 2017.
    """

    crop: bool = False
    flip: bool = False
    cutout: bool = False

    def __call__(
        self, key: Key[Array, ""], images: Shaped[Array, "batch height width *channels"]
    ) -> Shaped[Array, "batch height width *channels"]:
        """Return the batch, each image changed in its own way.

        Args:
            key: Randomness; the same key gives the same images, and row i does not depend on the others.
            images: Any type; it is kept.

        Raises:
            DataError: The batch holds no images.
        """
        if images.ndim not in (3, 4):
            rule = "takes images, batch x height x width (x channels)"
            raise DataError("augmentation", rule, got=f"shape {images.shape}")
        crop_key, flip_key, cutout_key = jax.random.split(key, 3)
        if self.crop:
            images = cropped(crop_key, images, max(1, min(images.shape[1:3]) // BORDER))
        if self.flip:
            images = flipped(flip_key, images)
        return (
            blanked(cutout_key, images, max(1, min(images.shape[1:3]) // SQUARE)) if self.cutout else images
        )


# What a recipe may ask for, by name.
AUGMENTATIONS: dict[str, Augmentation] = {
    "none": Augmentation(),
    "flip": Augmentation(flip=True),
    "crop": Augmentation(crop=True),
    "crop-flip": Augmentation(crop=True, flip=True),
    "crop-flip-cutout": Augmentation(crop=True, flip=True, cutout=True),
}


def check(name: str, columns: Columns) -> None:
    """Refuse augmentation of anything but images.

    Args:
        name: The recipe's `augment`.
        columns: The host side of the data's preparation.

    Raises:
        RecipeError: There is something to change, and the inputs are no images.
    """
    if name != "none" and not columns.is_image:
        rule = "augment changes images, and these inputs are none"
        raise RecipeError(
            "recipe", rule, got=f"augment={name}, inputs of kind {columns.kind}", hint='augment = "none"'
        )


def cropped(
    key: Key[Array, ""], images: Shaped[Array, "batch height width *channels"], padding: int
) -> Shaped[Array, "batch height width *channels"]:
    """Pad images with zeros and cut each at a random place: a shift by up to `padding` pixels either way.

    Raises:
        BadInput: `padding` is no whole number of at least 0.
    """
    if isinstance(padding, bool) or not isinstance(padding, int) or padding < 0:
        raise BadInput("augmentation", "padding must be a whole number of at least 0", got=padding)
    border = [(0, 0), (padding, padding), (padding, padding)] + [(0, 0)] * (images.ndim - 3)
    padded = jnp.pad(images, border)
    starts = jax.random.randint(key, (images.shape[0], 2), 0, 2 * padding + 1)

    def crop(image: Array, start: Array) -> Array:
        corner = (start[0], start[1], *(0 for _ in range(image.ndim - 2)))
        return jax.lax.dynamic_slice(image, corner, images.shape[1:])

    return jax.vmap(crop)(padded, starts)


def flipped(
    key: Key[Array, ""], images: Shaped[Array, "batch height width *channels"]
) -> Shaped[Array, "batch height width *channels"]:
    """Mirror each image with probability 1/2, left to right."""
    chosen = jax.random.bernoulli(key, 0.5, (images.shape[0],))
    return jnp.where(_over_pixels(chosen, images), images[:, :, ::-1], images)


def blanked(
    key: Key[Array, ""], images: Shaped[Array, "batch height width *channels"], side: int
) -> Shaped[Array, "batch height width *channels"]:
    """Set a `side x side` square of each image to zero; every place that lies inside is as likely."""
    height, width = images.shape[1:3]
    room = jnp.array([height - side + 1, width - side + 1])
    starts = jax.random.randint(key, (images.shape[0], 2), 0, room)
    rows = _within(jnp.arange(height), starts[:, :1], side)
    columns = _within(jnp.arange(width), starts[:, 1:], side)
    mask = rows[:, :, None] & columns[:, None, :]
    return jnp.where(_over_pixels(mask, images), jnp.zeros((), images.dtype), images)


def _within(places: Array, start: Array, length: int) -> Bool[Array, "batch place"]:
    return (places >= start) & (places < start + length)


def _over_pixels(mask: Bool[Array, "batch ..."], images: Float[Array, "batch ..."]) -> Array:
    return jnp.expand_dims(mask, tuple(range(mask.ndim, images.ndim)))
