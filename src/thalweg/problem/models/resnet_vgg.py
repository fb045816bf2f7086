"""Deep convolutional networks for images: residual (ResNet) and plain (VGG), the same but for the skip.

Blocks of two 3x3 convolutions; a stage that halves the image doubles the channels. The skip has no
parameters: where shapes change it takes every second pixel and fills new channels with zeros (option A of He
et al.), so that a plain and a residual network of one depth have the same parameters from the same key.
"""

import dataclasses
from typing import ClassVar, NamedTuple, Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, Shaped

from thalweg.core.arguments import checked
from thalweg.core.choice import integer, option
from thalweg.core.errors import ModelError
from thalweg.problem.models.architecture import MOST_LAYERS, Architecture, image_shape
from thalweg.problem.models.layers.activations import relu
from thalweg.problem.models.layers.convolution import Convolution, Image, as_image, max_pool
from thalweg.problem.models.layers.linear import Linear
from thalweg.problem.models.layers.normalisation import NORMALISATIONS, Norm, normalisation
from thalweg.problem.models.layers.portable import is_portable

# Images of at least this height are first shrunk to a quarter, as 224 pixels are in He et al., table 1.
LARGE = 128


class Stages(NamedTuple):
    """Number of blocks in each stage, and the channels of the first stage."""

    blocks: tuple[int, ...]
    channels: int


# 18 and 34: He et al., table 1. The others are from their section 4.2 (CIFAR-10): 6 n + 2 layers, three
# stages.
STAGES = {6 * n + 2: Stages((n, n, n), 16) for n in (1, 2, 3, 4, 5, 7, 9, 18)} | {
    18: Stages((2, 2, 2, 2), 64),
    34: Stages((3, 4, 6, 3), 64),
}


class DeepArchitecture(Architecture):
    """Settings of plain and residual networks: all but `skip`."""

    bare: ClassVar[str] = "depth"
    skip: ClassVar[bool]

    depth: int = integer(14, low=1, high=MOST_LAYERS, doc="Layers with weights; 18 and 34 are wide.")
    channels: int | None = integer(
        None, low=1, optional=True, doc="Channels of the first stage; none: by depth."
    )
    normalisation: str = option("batch", among=tuple(NORMALISATIONS), doc="Norm after each convolution.")
    inputs: int | None = integer(None, low=1, optional=True, doc="Channels of an image; none: from the data.")
    outputs: int | None = integer(None, low=1, optional=True, doc="Logits or values; none: from the data.")
    shrink: bool | None = option(
        None, among=(None, False, True), doc="Whether images are first shrunk to a quarter."
    )
    stride: int | None = integer(
        None, low=1, optional=True, doc="Stride of the first convolution; none: 2 where shrunk, else 1."
    )

    def __check_init__(self) -> None:
        if isinstance(self.depth, int) and self.depth not in STAGES:  # else the field's own check reports it
            rule = f"depth must be one of {', '.join(map(str, sorted(STAGES)))}"
            raise ModelError(self.name, rule, got=self.depth, hint=f"try {min(STAGES)}")

    @checked(ModelError)
    def fitted(self, input_shape: tuple[int, ...], outputs: int) -> Self:
        """Return this with open sizes filled in; see `Architecture.fitted`."""
        height, _, inputs = image_shape(self.name, input_shape)
        sizes = self.sizes_from_data({"inputs": inputs, "outputs": outputs}, input_shape)
        shrink = height >= LARGE if self.shrink is None else self.shrink
        return dataclasses.replace(self, **sizes, shrink=shrink)

    def __call__(self, key: Key[Array, ""]) -> "DeepNetwork":
        """Make the module."""
        inputs, outputs, _ = self.required("inputs", "outputs", "shrink")
        stages = STAGES[self.depth]
        width = self.channels or stages.channels
        stem_key, head_key, blocks_key = jax.random.split(key, 3)
        size, default_stride = (7, 2) if self.shrink else (3, 1)
        stride = default_stride if self.stride is None else self.stride
        return DeepNetwork(
            stem=Convolution((inputs, width), size, stride=stride, key=stem_key, bias=self._bias),
            norm=normalisation(self.normalisation, width),
            blocks=self._blocks(width, stages.blocks, blocks_key),
            head=Linear(width * 2 ** (len(stages.blocks) - 1), outputs, key=head_key, role="head"),
            shrink=bool(self.shrink),
        )

    @property
    def _bias(self) -> bool:
        """Whether convolutions have a bias: not before a norm, whose shift does the same."""
        return self.normalisation in ("none", "rms")

    def _blocks(
        self, width: int, counts: tuple[int, ...], key: Key[Array, ""]
    ) -> tuple["ConvolutionBlock", ...]:
        keys = iter(jax.random.split(key, 2 * sum(counts)))
        blocks, inputs = [], width
        for stage, count in enumerate(counts):
            outputs = width * 2**stage
            for index in range(count):
                stride = 2 if stage and not index else 1
                first = Convolution((inputs, outputs), stride=stride, key=next(keys), bias=self._bias)
                second = Convolution((outputs, outputs), key=next(keys), bias=self._bias)
                norms = [normalisation(self.normalisation, outputs) for _ in range(2)]
                blocks.append(ConvolutionBlock((first, second), (norms[0], norms[1]), skip=self.skip))
                inputs = outputs
        return tuple(blocks)


class VGG(DeepArchitecture):
    """The plain network: 3x3 convolutions in sequence as in VGG, strides in place of pooling."""

    name: ClassVar[str] = "vgg"
    formula: ClassVar[str] = "h = relu(norm(conv(relu(norm(conv h))))), mean over pixels, W h + b"
    skip: ClassVar[bool] = False
    when: ClassVar[str] = "To see what the skip of `resnet` is for."
    reference: ClassVar[str] = "Simonyan & Zisserman 2015; He et al. 2016 (the plain nets of table 1)"


class ResNet(DeepArchitecture):
    """The residual network: every two convolutions add to their input, `relu(x + F(x))`."""

    name: ClassVar[str] = "resnet"
    formula: ClassVar[str] = "h = relu(h + norm(conv(relu(norm(conv h))))), mean over pixels, W h + b"
    skip: ClassVar[bool] = True
    when: ClassVar[str] = "Images, when accuracy matters more than time."
    reference: ClassVar[str] = "He et al., Deep Residual Learning for Image Recognition, 2016"


class ConvolutionBlock(eqx.Module):
    """Two convolutions, with or without a skip around them."""

    convolutions: tuple[Convolution, Convolution]
    norms: tuple[Norm | None, Norm | None]
    skip: bool = eqx.field(static=True)

    def __call__(self, x: Image, state: eqx.nn.State | None) -> tuple[Image, eqx.nn.State | None]:
        """Return the output of the block, and the state."""
        inner, state = _normalise(self.norms[0], self.convolutions[0](x), state)
        inner, state = _normalise(self.norms[1], self.convolutions[1](relu(inner)), state)
        return relu(inner + _shortcut(x, inner.shape) if self.skip else inner), state


class DeepNetwork(eqx.Module):
    """The module of `VGG` and `ResNet`."""

    stem: Convolution
    norm: Norm | None
    blocks: tuple[ConvolutionBlock, ...]
    head: Linear
    shrink: bool = eqx.field(static=True)

    def __call__(
        self, x: Shaped[Array, "height width *channels"], state: eqx.nn.State | None = None
    ) -> Float[Array, " out"] | tuple[Float[Array, " out"], eqx.nn.State]:
        """Return logits or values of one image, and the state if one was given."""
        image, new_state = _normalise(self.norm, self.stem(as_image(x)), state)
        image = relu(image)
        image = max_pool(image) if self.shrink else image
        for block in self.blocks:
            image, new_state = block(image, new_state)
        output = self.head(jnp.mean(image, axis=(0, 1)))
        return output if new_state is None else (output, new_state)


def _shortcut(x: Image, shape: tuple[int, ...]) -> Image:
    """Bring the input of a block to the shape of its output: every n-th pixel, zeros in new channels."""
    stride = -(-x.shape[0] // shape[0])
    strided = x[::stride, ::stride]
    if is_portable():  # jax2onnx cannot pad rows whose number is a symbol
        return strided @ jnp.eye(strided.shape[2], shape[2], dtype=strided.dtype)
    return jnp.pad(strided, ((0, 0), (0, 0), (0, shape[2] - strided.shape[2])))


def _normalise(norm: Norm | None, x: Image, state: eqx.nn.State | None) -> tuple[Image, eqx.nn.State | None]:
    return (x, state) if norm is None else norm(x, state)
