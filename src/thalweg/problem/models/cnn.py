"""The small convolutional network: convolution, ReLU and pooling a few times; then one hidden layer."""

import dataclasses
from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar, Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, Shaped

from thalweg.core.choice import integer, number, option
from thalweg.core.errors import ModelError
from thalweg.problem.models.architecture import Architecture, image_shape, widths
from thalweg.problem.models.layers.activations import relu
from thalweg.problem.models.layers.convolution import Convolution, as_image, max_pool
from thalweg.problem.models.layers.dropout import Dropout
from thalweg.problem.models.layers.linear import Linear
from thalweg.problem.models.layers.normalisation import NORMALISATIONS, BatchNorm, Norm, normalisation

# The largest of 64, 32 and 16 that was as fast as the fastest, for the network of
# `benchmarks/convolutions.py` at batch 128 (two cores of an AMD EPYC, 1 MiB of second-level cache each).
BLOCK = 32


class CNN(Architecture):
    """`pool(relu(norm(conv 3x3)))` for each of `channels`, `relu(W h + b)` of `hidden` units, logits.

    Example:
        >>> CNN([32, 64])  # 28 x 28 pixels become 7 x 7 x 64 features
    """

    name: ClassVar[str] = "cnn"
    formula: ClassVar[str] = "h = pool(relu(norm(conv 3x3 h))), then relu(W h + b), then W h + b"
    bare: ClassVar[str] = "channels"
    when: ClassVar[str] = "Small images; the first thing to try after an mlp."
    reference: ClassVar[str] = "LeCun et al. 1998 (LeNet-5, with ReLU, max pooling and norms)"

    channels: Sequence[int] = widths((32, 64), doc="Channels of each convolution.")
    hidden: int = integer(128, low=1, doc="Units between the convolutions and the logits.")
    normalisation: str = option(
        "none", among=tuple(NORMALISATIONS), doc="Norm before each ReLU of a convolution."
    )
    dropout: float = number(0.0, low=0.0, high=1.0, open_high=True, doc="Share of hidden units zeroed.")
    height: int | None = integer(None, low=1, optional=True, doc="Rows of an image; none: from the data.")
    width: int | None = integer(None, low=1, optional=True, doc="Columns of an image; none: from the data.")
    inputs: int | None = integer(None, low=1, optional=True, doc="Channels of an image; none: from the data.")
    outputs: int | None = integer(None, low=1, optional=True, doc="Logits or values; none: from the data.")

    def fitted(self, input_shape: tuple[int, ...], outputs: int) -> Self:
        """Return this with open sizes filled in; see `Architecture.fitted`."""
        height, width, inputs = image_shape(self.name, input_shape)
        least = 2 ** len(self.channels)
        if min(height, width) < least:
            rule = f"{len(self.channels)} pooling layers need images of at least {least} pixels"
            hint = "use fewer channels, as in cnn:32"
            raise ModelError(self.name, rule, got=f"{height} x {width}", hint=hint)
        sizes = {"height": height, "width": width, "inputs": inputs, "outputs": outputs}
        return dataclasses.replace(self, **self.sizes_from_data(sizes, input_shape))

    def __call__(self, key: Key[Array, ""]) -> "ConvolutionalNetwork":
        """Make the module."""
        height, width, inputs, outputs = self.required("height", "width", "inputs", "outputs")
        steps = list(pairwise((inputs, *self.channels)))
        *keys, hidden_key, last_key = jax.random.split(key, len(steps) + 2)
        shrink = 2 ** len(steps)
        features = (height // shrink) * (width // shrink) * self.channels[-1]
        return ConvolutionalNetwork(
            convolutions=tuple(Convolution(step, key=k) for step, k in zip(steps, keys, strict=True)),
            norms=tuple(normalisation(self.normalisation, width) for width in self.channels),
            hidden=Linear(features, self.hidden, key=hidden_key),
            dropout=Dropout(self.dropout),
            head=Linear(self.hidden, outputs, key=last_key, role="head"),
        )


class ConvolutionalNetwork(eqx.Module):
    """The module of `CNN`."""

    convolutions: tuple[Convolution, ...]
    norms: tuple[Norm | None, ...]
    hidden: Linear
    dropout: Dropout
    head: Linear

    @property
    def block(self) -> int | None:
        """Examples whose arrays stay in the cache between forward and backward pass; see `models.adapter`.

        None with batch norm, whose statistics are those of the whole batch.
        """
        return None if any(isinstance(norm, BatchNorm) for norm in self.norms) else BLOCK

    def __call__(
        self,
        x: Shaped[Array, "height width *channels"],
        state: eqx.nn.State | None = None,
        *,
        key: Key[Array, ""] | None = None,
    ) -> Float[Array, " out"] | tuple[Float[Array, " out"], eqx.nn.State]:
        """Return logits or values of one image, and the state if one was given."""
        image, new_state = as_image(x), state
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            image = convolution(image)
            if norm is not None:
                image, new_state = norm(image, new_state)
            image = relu(max_pool(image))  # the same as pooling last, over a quarter of the pixels
        features = self.dropout(relu(self.hidden(jnp.ravel(image))), key=key)
        output = self.head(features)
        return output if new_state is None else (output, new_state)
