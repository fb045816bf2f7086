"""The small convolutional network: convolution, ReLU and pooling a few times; then one hidden layer."""

import dataclasses
from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar, Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, Shaped

from thalweg.core.arguments import checked
from thalweg.core.choice import integer, number, option
from thalweg.core.errors import ModelError
from thalweg.problem.models.architecture import Architecture, image_shape, widths
from thalweg.problem.models.layers.activations import RISING, activation, activations, per_layer, relu
from thalweg.problem.models.layers.convolution import Convolution, as_image, max_pool
from thalweg.problem.models.layers.dropout import Dropout
from thalweg.problem.models.layers.initialisations import initialisation
from thalweg.problem.models.layers.linear import Linear
from thalweg.problem.models.layers.normalisation import NORMALISATIONS, BatchNorm, Norm, normalisation

# The largest of 64, 32 and 16 that was as fast as the fastest, for the network of
# `benchmarks/convolutions.py` at batch 128 (two cores of an AMD EPYC, 1 MiB of second-level cache each).
BLOCK = 32


class CNN(Architecture):
    """`pool(relu(norm(conv 3x3)))` for each of `channels`, `relu(W h + b)` of `hidden` units, logits.

    Settings of the convolutions are one for all of them, or one for each, divided by slashes: `kernel=5/3`.

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
    kernel: str = option("3", doc="Rows and columns of each kernel.")
    padding: str = option(
        "same", among=("same", "valid"), doc="Zeros around an image, or only whole kernels: smaller outputs."
    )
    pool: str = option("2", doc="Side of the windows of max pooling after each convolution; 1 for none.")
    activation: str = option("relu", doc="Activation after each convolution; identity for none.")
    drop_channels: float = number(
        0.0, low=0.0, high=1.0, open_high=True, doc="Share of numbers zeroed after each pooling."
    )
    initialisation: str = option("he", doc="Initial weights of all layers.", source="He et al. 2015")
    height: int | None = integer(None, low=1, optional=True, doc="Rows of an image; none: from the data.")
    width: int | None = integer(None, low=1, optional=True, doc="Columns of an image; none: from the data.")
    inputs: int | None = integer(None, low=1, optional=True, doc="Channels of an image; none: from the data.")
    outputs: int | None = integer(None, low=1, optional=True, doc="Logits or values; none: from the data.")

    @checked(ModelError)
    def fitted(self, input_shape: tuple[int, ...], outputs: int) -> Self:
        """Return this with open sizes filled in; see `Architecture.fitted`."""
        height, width, inputs = image_shape(self.name, input_shape)
        if min(self._after(height), self._after(width)) < 1:
            least = next(size for size in range(1, 1 << 30) if self._after(size) >= 1)
            rule = f"{len(self.channels)} pooling layers need images of at least {least} pixels"
            hint = "use fewer channels, as in cnn:32"
            raise ModelError(self.name, rule, got=f"{height} x {width}", hint=hint)
        sizes = {"height": height, "width": width, "inputs": inputs, "outputs": outputs}
        return dataclasses.replace(self, **self.sizes_from_data(sizes, input_shape))

    def __check_init__(self) -> None:
        if not isinstance(self.channels, tuple):
            return  # the check of the field says so
        initialisation(self.initialisation)
        activations(self.activation, len(self.channels))
        for name in ("kernel", "pool"):
            self._whole(name)

    def _whole(self, name: str) -> list[int]:
        """Return the whole numbers of a setting, one for each convolution.

        Raises:
            ModelError: One is no whole number of at least 1.
        """
        words = per_layer(name, getattr(self, name), len(self.channels))
        if not all(word.isdecimal() and int(word) >= 1 for word in words):
            rule, hint = f"{name} must be whole numbers of at least 1", f"for example {name}=3"
            raise ModelError(self.name, rule, got=getattr(self, name), hint=hint)
        return [int(word) for word in words]

    def _after(self, extent: int) -> int:
        """Return the height or width after all convolutions and poolings."""
        for kernel, pool in zip(self._whole("kernel"), self._whole("pool"), strict=True):
            extent = (extent - kernel + 1 if self.padding == "valid" else extent) // pool
        return extent

    def __call__(self, key: Key[Array, ""]) -> "ConvolutionalNetwork":
        """Make the module."""
        height, width, inputs, outputs = self.required("height", "width", "inputs", "outputs")
        steps = list(pairwise((inputs, *self.channels)))
        *keys, hidden_key, last_key = jax.random.split(key, len(steps) + 2)
        features = self._after(height) * self._after(width) * self.channels[-1]
        start, kernels = self.initialisation, self._whole("kernel")
        return ConvolutionalNetwork(
            convolutions=tuple(
                Convolution(step, size, key=k, start=start, padding=self.padding)
                for step, size, k in zip(steps, kernels, keys, strict=True)
            ),
            norms=tuple(normalisation(self.normalisation, width) for width in self.channels),
            hidden=Linear(features, self.hidden, key=hidden_key, start=start),
            dropout=Dropout(self.dropout),
            head=Linear(self.hidden, outputs, key=last_key, start=start, role="head"),
            pools=tuple(self._whole("pool")),
            activations=tuple(per_layer("activation", self.activation, len(steps))),
            drop_channels=Dropout(self.drop_channels),
        )


class ConvolutionalNetwork(eqx.Module):
    """The module of `CNN`."""

    convolutions: tuple[Convolution, ...]
    norms: tuple[Norm | None, ...]
    hidden: Linear
    dropout: Dropout
    head: Linear
    pools: tuple[int, ...] = eqx.field(static=True)
    activations: tuple[str, ...] = eqx.field(static=True)
    drop_channels: Dropout

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
        drops = self.drop_channels.keys(key, len(self.pools))
        layers = zip(self.convolutions, self.norms, self.pools, self.activations, drops, strict=True)
        for convolution, norm, pool, name, drop_key in layers:
            image = convolution(image)
            if norm is not None:
                image, new_state = norm(image, new_state)
            act = activation(name)
            if name in RISING:  # the same as pooling last, over a quarter of the pixels
                image = act(max_pool(image, pool) if pool > 1 else image)
            else:
                image = max_pool(act(image), pool) if pool > 1 else act(image)
            image = self.drop_channels(image, key=drop_key)
        features = self.dropout(relu(self.hidden(jnp.ravel(image))), key=key)
        output = self.head(features)
        return output if new_state is None else (output, new_state)
