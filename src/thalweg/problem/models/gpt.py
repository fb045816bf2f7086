"""The GPT: a decoder-only transformer, in the architecture of nanoGPT (GPT-2, biases left out on request)."""

import dataclasses
import math
from collections.abc import Callable
from typing import ClassVar, Self

import equinox as eqx
import jax
from jaxtyping import Array, Float, Int, Key

from thalweg.core.choice import integer, number, option
from thalweg.core.errors import ModelError
from thalweg.problem.models.architecture import Architecture, completed, known
from thalweg.problem.models.layers.activations import ACTIVATIONS, activation
from thalweg.problem.models.layers.attention import CausalAttention
from thalweg.problem.models.layers.dropout import Dropout
from thalweg.problem.models.layers.linear import Embedding, Linear
from thalweg.problem.models.layers.normalisation import LayerNorm

# Deviation of first weights: Radford et al., GPT-2, 2019 (nanoGPT the same).
DEVIATION = 0.02
# Width of a block's hidden layer, in widths of the model: Vaswani et al. 2017.
EXPANSION = 4


class GPT(Architecture):
    """Blocks of `x = x + attention(norm(x)); x = x + W2 gelu(W1 norm(x))` over token plus position.

    Learned positions, a norm at the end, logits from the token embedding itself (`tied`). Weights start as
    N(0, 0.02^2), the two that end a branch as N(0, 0.02^2 / (2 layers)). Defaults: nanoGPT on a CPU.

    Example:
        >>> GPT(layers=6, heads=6, width=384, dropout=0.2)
    """

    name: ClassVar[str] = "gpt"
    formula: ClassVar[str] = "x = x + attention(norm(x)); x = x + W2 gelu(W1 norm(x)); logits = norm(x) E^T"
    when: ClassVar[str] = "Text, and any sequence of tokens."
    reference: ClassVar[str] = "Radford et al. 2019; Karpathy, nanoGPT, 2022"

    layers: int = integer(4, low=1, doc="Blocks.", source="nanoGPT, train_shakespeare_char on a CPU")
    heads: int = integer(4, low=1, doc="Heads of a block.", source="the same")
    width: int = integer(128, low=1, doc="Features of a position.", source="the same")
    context: int | None = integer(None, low=1, optional=True, doc="Longest sequence; none: from the data.")
    dropout: float = number(
        0.0, low=0.0, high=1.0, open_high=True, doc="Share zeroed: embedding, attention, branches."
    )
    bias: bool = option(
        False, among=(False, True), doc="Whether maps and norms have a bias.", source="nanoGPT"
    )
    tied: bool = option(True, among=(False, True), doc="Whether logits come from the token embedding.")
    activation: str = option("gelu", among=tuple(ACTIVATIONS), doc="Of a block's hidden layer.")
    vocabulary: int | None = integer(None, low=1, optional=True, doc="Tokens; none: from the data.")

    def __check_init__(self) -> None:
        if self.width % self.heads:
            rule = "width must be a multiple of heads"
            raise ModelError(self.name, rule, got=f"width={self.width}, heads={self.heads}")

    def fitted(self, input_shape: tuple[int, ...], outputs: int) -> Self:
        """Return this with open sizes filled in; see `Architecture.fitted`."""
        if len(input_shape) != 1:
            rule = "takes sequences of tokens (one axis)"
            raise ModelError(
                self.name, rule, got=f"shape {input_shape} from the data", hint="for example a text file"
            )
        length = input_shape[0]
        if self.context is not None and self.context < length:
            rule, hint = f"positions.weight takes {self.context} positions", "leave context open"
            raise ModelError(self.name, rule, got=f"{length} from the data, shape {input_shape}", hint=hint)
        filled = completed(self, {"vocabulary": outputs}, input_shape)
        return dataclasses.replace(self, **filled, context=self.context or length)

    def __call__(self, key: Key[Array, ""]) -> "Transformer":
        """Make the module."""
        vocabulary, context = known(self, "vocabulary", "context")
        token_key, position_key, head_key, *keys = jax.random.split(key, self.layers + 3)
        start = f"normal({DEVIATION})"
        head = Linear(self.width, vocabulary, key=head_key, start=start, bias=False, role="head")
        return Transformer(
            tokens=Embedding(vocabulary, self.width, key=token_key, start=start),
            positions=Embedding(context, self.width, key=position_key, start=start),
            dropout=Dropout(self.dropout),
            blocks=tuple(self._block(k) for k in keys),
            norm=LayerNorm(self.width, shift=self.bias),
            head=None if self.tied else head,
        )

    def _block(self, key: Key[Array, ""]) -> "TransformerBlock":
        keys = jax.random.split(key, 4)
        start, end = f"normal({DEVIATION})", f"normal({DEVIATION / math.sqrt(2 * self.layers)})"
        width, inner = self.width, EXPANSION * self.width
        mix = Linear(width, 3 * width, key=keys[0], start=start, bias=self.bias)
        out = Linear(width, width, key=keys[1], start=end, bias=self.bias)
        return TransformerBlock(
            first_norm=LayerNorm(width, shift=self.bias),
            attention=CausalAttention(mix, out, Dropout(self.dropout), self.heads),
            second_norm=LayerNorm(width, shift=self.bias),
            expand=Linear(width, inner, key=keys[2], start=start, bias=self.bias),
            shrink=Linear(inner, width, key=keys[3], start=end, bias=self.bias),
            dropout=Dropout(self.dropout),
            activation=activation(self.activation),
        )


class TransformerBlock(eqx.Module):
    """Attention and a perceptron, each on a branch that adds to the stream."""

    first_norm: LayerNorm
    attention: CausalAttention
    second_norm: LayerNorm
    expand: Linear
    shrink: Linear
    dropout: Dropout
    activation: Callable[[Array], Array] = eqx.field(static=True)

    def __call__(
        self, x: Float[Array, "*batch time width"], *, key: Key[Array, ""] | None
    ) -> Float[Array, "*batch time width"]:
        """Return the stream after this block."""
        weights_key, first_key, second_key = self.dropout.keys(key, 3)
        normal, _ = self.first_norm(x, None)
        x = x + self.dropout(self.attention(normal, key=weights_key), key=first_key)
        normal, _ = self.second_norm(x, None)
        return x + self.dropout(self.shrink(self.activation(self.expand(normal))), key=second_key)


class Transformer(eqx.Module):
    """What `GPT` makes. It takes whole batches, so that its products are as large as they can be."""

    whole_batches: ClassVar[bool] = True

    tokens: Embedding
    positions: Embedding
    dropout: Dropout
    blocks: tuple[TransformerBlock, ...]
    norm: LayerNorm
    head: Linear | None

    def __call__(
        self, x: Int[Array, "*batch time"], *, key: Key[Array, ""] | None = None
    ) -> Float[Array, "*batch time vocabulary"]:
        """Return logits for the token after each position.

        Raises:
            ModelError: The sequence is longer than the context.
        """
        context, time = self.positions.weight.shape[0], x.shape[-1]
        if time > context:
            rule = f"positions.weight takes {context} positions"
            hint = "cut it, or take a larger context"
            raise ModelError("gpt", rule, got=f"a sequence of {time}", hint=hint)
        start_key, *keys = self.dropout.keys(key, len(self.blocks) + 1)
        hidden = self.dropout(self.tokens(x) + self.positions.weight[:time], key=start_key)
        for block, noise in zip(self.blocks, keys, strict=True):
            hidden = block(hidden, key=noise)
        hidden, _ = self.norm(hidden, None)
        return self.tokens.logits(hidden) if self.head is None else self.head(hidden)
