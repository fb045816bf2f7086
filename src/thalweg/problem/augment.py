"""Light augmentation of images: a random crop after padding, a random flip. No library of distortions."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key, Shaped

from thalweg.core.errors import BadInput, DataError


@dataclass(frozen=True)
class CropAndFlip:
    """Shift each image by up to `padding` pixels either way, and mirror every other one.

    A pure function of (key, images); frozen and hashable, so that it can select a compiled program. For
    training batches only.

    Args:
        padding: Pixels of border on each side before the crop. Default: 4, as for CIFAR-10.
        flip: Whether left and right may change places: right for photographs, wrong for digits and letters.
        fill: Value of the border: 0 is black for raw pixels, and the mean for standardised ones.

    Example:
        >>> CropAndFlip(padding=4)(jax.random.key(0), images)

    Reference: Lee et al., Deeply-Supervised Nets, 2015; He et al., Deep Residual Learning, 2016, section 4.2.
    """

    padding: int = 4
    flip: bool = True
    fill: float = 0.0

    def __post_init__(self) -> None:
        if isinstance(self.padding, bool) or not isinstance(self.padding, int) or self.padding < 0:
            raise BadInput("augmentation", "padding must be a whole number of at least 0", got=self.padding)

    def __call__(
        self, key: Key[Array, ""], images: Shaped[Array, "batch height width *channels"]
    ) -> Shaped[Array, "batch height width *channels"]:
        """Return the batch, each image changed in its own way.

        Args:
            key: Randomness; the same key gives the same images.
            images: Any type; it is kept.

        Raises:
            DataError: The batch holds no images.
        """
        if images.ndim not in (3, 4):
            rule = "takes images, batch x height x width (x channels)"
            raise DataError("augmentation", rule, got=f"shape {images.shape}")
        crop_key, flip_key = jax.random.split(key)
        cropped = _cropped(crop_key, images, self.padding, self.fill) if self.padding else images
        return _flipped(flip_key, cropped) if self.flip else cropped


def _cropped(key: Key[Array, ""], images: Array, padding: int, fill: float) -> Array:
    border = [(0, 0), (padding, padding), (padding, padding)] + [(0, 0)] * (images.ndim - 3)
    padded = jnp.pad(images, border, constant_values=fill)
    starts = jax.random.randint(key, (images.shape[0], 2), 0, 2 * padding + 1)

    def crop(image: Array, start: Array) -> Array:
        corner = (start[0], start[1], *(0 for _ in range(image.ndim - 2)))
        return jax.lax.dynamic_slice(image, corner, images.shape[1:])

    return jax.vmap(crop)(padded, starts)


def _flipped(key: Key[Array, ""], images: Array) -> Array:
    chosen = jax.random.bernoulli(key, 0.5, (images.shape[0],))
    mask = jnp.expand_dims(chosen, tuple(range(1, images.ndim)))
    return jnp.where(mask, images[:, :, ::-1], images)
