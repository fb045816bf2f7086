"""Deep convolutional networks, plain and residual. The two are one network but for the skip.

Blocks of two 3x3 convolutions; where a stage halves the image, it doubles the channels. The skip has no
parameters: where shapes change it takes every second pixel and fills new channels with zeros (option A of
He et al.), so that a plain and a residual net of one depth have the same parameters from the same key.
"""

import dataclasses
from typing import ClassVar, NamedTuple, Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, Shaped

from thalweg.core.choice import integer, option
from thalweg.core.errors import ModelError
from thalweg.problem.models.architecture import Architecture, completed, image_shape, known
from thalweg.problem.models.layers.activations import relu
from thalweg.problem.models.layers.convolution import Convolution, Image, as_image, pooled
from thalweg.problem.models.layers.linear import Linear
from thalweg.problem.models.layers.normalisation import NORMALISATIONS, Norm, normalisation

# From this height on an image is first shrunk to a quarter, as 224 pixels are in He et al., table 1.
LARGE = 128


class BlockPlan(NamedTuple):
    """Blocks in each stage, and the channels of the first."""

    blocks: tuple[int, ...]
    width: int


# 18 and 34: He et al., table 1. The others are its section 4.2 (CIFAR-10): 6 n + 2 layers, three stages.
PLANS = {6 * n + 2: BlockPlan((n, n, n), 16) for n in (1, 2, 3, 4, 5, 7, 9, 18)} | {
    18: BlockPlan((2, 2, 2, 2), 64),
    34: BlockPlan((3, 4, 6, 3), 64),
}


class DeepArchitecture(Architecture):
    """What plain and residual nets share: everything but `skip`."""

    bare: ClassVar[str] = "depth"
    skip: ClassVar[bool]

    depth: int = integer(14, low=1, doc="Layers with weights; 18 and 34 are wide.")
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
        if self.depth not in PLANS:
            rule = f"depth must be one of {', '.join(map(str, sorted(PLANS)))}"
            raise ModelError(self.name, rule, got=self.depth)

    def fitted(self, input_shape: tuple[int, ...], outputs: int) -> Self:
        """Return this with open sizes filled in; see `Architecture.fitted`."""
        height, _, inputs = image_shape(self.name, input_shape)
        filled = completed(self, {"inputs": inputs, "outputs": outputs}, input_shape)
        shrink = height >= LARGE if self.shrink is None else self.shrink
        return dataclasses.replace(self, **filled, shrink=shrink)

    def __call__(self, key: Key[Array, ""]) -> "DeepNetwork":
        """Make the module."""
        inputs, outputs, _ = known(self, "inputs", "outputs", "shrink")
        plan = PLANS[self.depth]
        width = self.channels or plan.width
        stem_key, head_key, blocks_key = jax.random.split(key, 3)
        size, usual = (7, 2) if self.shrink else (3, 1)
        stride = usual if self.stride is None else self.stride
        return DeepNetwork(
            stem=Convolution((inputs, width), size, stride=stride, key=stem_key, bias=self._bias),
            norm=normalisation(self.normalisation, width),
            blocks=self._blocks(width, plan.blocks, blocks_key),
            head=Linear(width * 2 ** (len(plan.blocks) - 1), outputs, key=head_key, role="head"),
            shrink=bool(self.shrink),
        )

    @property
    def _bias(self) -> bool:
        """A norm's shift does the work of a bias."""
        return self.normalisation in ("none", "rms")

    def _blocks(self, width: int, counts: tuple[int, ...], key: Key[Array, ""]) -> tuple["Block", ...]:
        keys = iter(jax.random.split(key, 2 * sum(counts)))
        found, before = [], width
        for stage, count in enumerate(counts):
            after = width * 2**stage
            for place in range(count):
                stride = 2 if stage and not place else 1
                first = Convolution((before, after), stride=stride, key=next(keys), bias=self._bias)
                second = Convolution((after, after), key=next(keys), bias=self._bias)
                norms = [normalisation(self.normalisation, after) for _ in range(2)]
                found.append(Block((first, second), (norms[0], norms[1]), skip=self.skip))
                before = after
        return tuple(found)


class VGG(DeepArchitecture):
    """The plain net: 3x3 convolutions one after another, as in VGG nets, strides in place of pooling."""

    name: ClassVar[str] = "vgg"
    formula: ClassVar[str] = "h = relu(norm(conv(relu(norm(conv h))))), mean over pixels, W h + b"
    skip: ClassVar[bool] = False
    when: ClassVar[str] = "To see what the skip of `resnet` is for."
    reference: ClassVar[str] = "Simonyan & Zisserman 2015; He et al. 2016 (the plain nets of table 1)"


class ResNet(DeepArchitecture):
    """The residual net: every two convolutions add to what came in, `relu(x + F(x))`."""

    name: ClassVar[str] = "resnet"
    formula: ClassVar[str] = "h = relu(h + norm(conv(relu(norm(conv h))))), mean over pixels, W h + b"
    skip: ClassVar[bool] = True
    when: ClassVar[str] = "Images, when accuracy matters more than time."
    reference: ClassVar[str] = "He et al., Deep Residual Learning for Image Recognition, 2016"


class Block(eqx.Module):
    """Two convolutions, with or without a skip around them."""

    convolutions: tuple[Convolution, Convolution]
    norms: tuple[Norm | None, Norm | None]
    skip: bool = eqx.field(static=True)

    def __call__(self, x: Image, state: eqx.nn.State | None) -> tuple[Image, eqx.nn.State | None]:
        """Return the block's output and the state."""
        inner, state = _normed(self.norms[0], self.convolutions[0](x), state)
        inner, state = _normed(self.norms[1], self.convolutions[1](relu(inner)), state)
        return relu(inner + bridged(x, inner.shape) if self.skip else inner), state


class DeepNetwork(eqx.Module):
    """What `VGG` and `ResNet` make."""

    stem: Convolution
    norm: Norm | None
    blocks: tuple[Block, ...]
    head: Linear
    shrink: bool = eqx.field(static=True)

    def __call__(
        self, x: Shaped[Array, "height width *channels"], state: eqx.nn.State | None = None
    ) -> Float[Array, " out"] | tuple[Float[Array, " out"], eqx.nn.State]:
        """Return logits or values of one image, with the state when one was given."""
        image, now = _normed(self.norm, self.stem(as_image(x)), state)
        image = relu(image)
        image = pooled(image) if self.shrink else image
        for block in self.blocks:
            image, now = block(image, now)
        output = self.head(jnp.mean(image, axis=(0, 1)))
        return output if now is None else (output, now)


def bridged(x: Image, shape: tuple[int, ...]) -> Image:
    """Bring a block's input to the shape of its output: every n-th pixel, zeros in new channels."""
    stride = -(-x.shape[0] // shape[0])
    taken = x[::stride, ::stride]
    return jnp.pad(taken, ((0, 0), (0, 0), (0, shape[2] - taken.shape[2])))


def _normed(norm: Norm | None, x: Image, state: eqx.nn.State | None) -> tuple[Image, eqx.nn.State | None]:
    return (x, state) if norm is None else norm(x, state)
