"""The GPT: a decoder-only transformer, in the architecture of nanoGPT (GPT-2, biases optional)."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, ClassVar, Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from thalweg.core.arguments import checked
from thalweg.core.choice import integer, number, option
from thalweg.core.errors import ModelError
from thalweg.problem.models.architecture import MOST_LAYERS, Architecture
from thalweg.problem.models.layers.activations import ACTIVATIONS, activation
from thalweg.problem.models.layers.dropout import Dropout
from thalweg.problem.models.layers.linear import Embedding, Linear
from thalweg.problem.models.layers.normalisation import LayerNorm

# Standard deviation of initial weights: Radford et al., GPT-2, 2019 (nanoGPT the same).
DEVIATION = 0.02
# Hidden units of a block per unit of width: Vaswani et al. 2017.
EXPANSION = 4
# Attention takes the queries in up to BLOCKS blocks of at least BLOCK_ROWS rows, each with the keys that it
# may see: four blocks leave out 3/8 of all pairs. Measured on a small GPT on a CPU with two cores: context
# 256 took 226 instead of 250 ms of processor time an update, context 128 192 instead of 198; blocks of 32
# rows were no faster.
BLOCKS, BLOCK_ROWS = 4, 64


class GPT(Architecture):
    """Blocks of `x = x + attention(norm(x)); x = x + W2 gelu(W1 norm(x))` over token plus position.

    With `norm = "post"` they are `x = norm(x + attention(x)); x = norm(x + W2 gelu(W1 x))`, as in Vaswani et
    al., 2017, and there is no norm at the end. Without `causal` every position sees all others, which a model
    that predicts the next token must not: it then needs an objective of its own.

    Learned positions, a norm at the end, logits from the token embedding itself (`tied`). Weights start as
    N(0, 0.02^2), the two that end a branch as N(0, 0.02^2 / (2 layers)). Defaults: nanoGPT on a CPU.

    Example:
        >>> GPT(layers=6, heads=6, width=384, dropout=0.2)
    """

    name: ClassVar[str] = "gpt"
    formula: ClassVar[str] = "x = x + attention(norm(x)); x = x + W2 gelu(W1 norm(x)); logits = norm(x) E^T"
    when: ClassVar[str] = "Text, and any sequence of tokens."
    reference: ClassVar[str] = "Radford et al. 2019; Karpathy, nanoGPT, 2022"

    layers: int = integer(
        4, low=1, high=MOST_LAYERS, doc="Blocks.", source="nanoGPT, train_shakespeare_char on a CPU"
    )
    heads: int = integer(4, low=1, doc="Attention heads of a block.", source="the same")
    width: int = integer(128, low=1, doc="Features of a position.", source="the same")
    context: int | None = integer(None, low=1, optional=True, doc="Longest sequence; none: from the data.")
    dropout: float = number(
        0.0, low=0.0, high=1.0, open_high=True, doc="Share zeroed: embedding, attention, branches."
    )
    bias: bool = option(
        False, among=(False, True), doc="Whether maps and norms have a bias.", source="nanoGPT"
    )
    tied: bool = option(True, among=(False, True), doc="Whether logits come from the token embedding.")
    activation: str = option("gelu", among=tuple(ACTIVATIONS), doc="Activation of a block's hidden layer.")
    norm: str = option(
        "pre",
        among=("pre", "post"),
        doc="Norm before each branch, or after each sum.",
        source="Radford et al. 2019",
    )
    causal: bool = option(True, among=(False, True), doc="Whether no position sees later ones.")
    vocabulary: int | None = integer(None, low=1, optional=True, doc="Tokens; none: from the data.")

    def __check_init__(self) -> None:
        whole = all(isinstance(each, int) and each > 0 for each in (self.width, self.heads))
        if whole and self.width % self.heads:  # else the check of each field reports it
            rule = "width must be a multiple of heads"
            got, hint = f"width={self.width}, heads={self.heads}", f"try width={self.heads * 16}"
            raise ModelError(self.name, rule, got=got, hint=hint)

    @checked(ModelError)
    def fitted(self, input_shape: tuple[int, ...], outputs: int) -> Self:
        """Return this with open sizes filled in; see `Architecture.fitted`."""
        if len(input_shape) != 1:
            rule, hint = "takes sequences of tokens (one axis)", "use a text file, for example"
            raise ModelError(self.name, rule, got=f"shape {input_shape} from the data", hint=hint)
        length = input_shape[0]
        if self.context is not None and self.context < length:
            rule, hint = f"positions.weight takes {self.context} positions", "leave context open"
            raise ModelError(self.name, rule, got=f"{length} from the data, shape {input_shape}", hint=hint)
        sizes = self.sizes_from_data({"vocabulary": outputs}, input_shape)
        return dataclasses.replace(self, **sizes, context=self.context or length)

    def __call__(self, key: Key[Array, ""]) -> "Transformer":
        """Make the module."""
        vocabulary, context = self.required("vocabulary", "context")
        token_key, position_key, head_key, *keys = jax.random.split(key, self.layers + 3)
        start = f"normal({DEVIATION})"
        head = Linear(self.width, vocabulary, key=head_key, start=start, bias=False, role="head")
        return Transformer(
            tokens=Embedding(vocabulary, self.width, key=token_key, start=start),
            positions=Embedding(context, self.width, key=position_key, start=start),
            dropout=Dropout(self.dropout),
            blocks=tuple(self._block(k) for k in keys),
            norm=None if self.norm == "post" else LayerNorm(self.width, shift=self.bias),
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
            attention=CausalAttention(mix, out, Dropout(self.dropout), self.heads, self.causal),
            second_norm=LayerNorm(width, shift=self.bias),
            expand=Linear(width, inner, key=keys[2], start=start, bias=self.bias),
            shrink=Linear(inner, width, key=keys[3], start=end, bias=self.bias),
            dropout=Dropout(self.dropout),
            activation=activation(self.activation),
            post_norm=self.norm == "post",
        )


class CausalAttention(eqx.Module):
    """Multi-head self-attention, `softmax(Q K^T / sqrt(d) + mask) V`: no position sees a later one.

    Queries, keys and values of all heads come from one product.

    Args:
        mix: width -> 3 width: queries, keys, values.
        out: width -> width.
        dropout: Applied to the attention weights.
        heads: Number of heads, which divide the width evenly.
        causal: Whether later positions are hidden.

    Reference: Vaswani et al., Attention Is All You Need, 2017.
    """

    mix: Linear
    out: Linear
    dropout: Dropout
    heads: int = eqx.field(static=True)
    causal: bool = eqx.field(static=True, default=True)

    def __call__(
        self, x: Float[Array, "*batch time width"], *, key: Key[Array, ""] | None = None
    ) -> Float[Array, "*batch time width"]:
        """Mix the positions of each sequence."""
        *batch, time, width = x.shape
        shape = (*batch, time, self.heads, width // self.heads)
        # Split, not indexed: the derivative of a split is one concatenation, that of three slices three sums.
        mixed = jnp.split(self.mix(x), 3, axis=-1)
        queries, keys, values = (jnp.swapaxes(array.reshape(shape), -3, -2) for array in mixed)
        queries = queries * (1.0 / math.sqrt(width // self.heads))
        rows = max(BLOCK_ROWS, -(-time // BLOCKS))
        starts = range(0, time, rows)
        blocks = [
            self._attend(queries[..., start : start + rows, :], keys, values, start, block_key)
            for start, block_key in zip(starts, self.dropout.keys(key, len(starts)), strict=True)
        ]
        joined = blocks[0] if len(blocks) == 1 else jnp.concatenate(blocks, axis=-2)
        return self.out(jnp.swapaxes(joined, -3, -2).reshape(x.shape))

    def _attend(self, queries: Array, keys: Array, values: Array, start: int, key: Any) -> Array:
        """Return the attention of a block of queries, whose first is at position `start`.

        With e = exp(s - max s) the result is (e V) / sum(e): the division, and with it its derivative, comes
        last, over the features of a head rather than over all pairs of positions.
        """
        end = start + queries.shape[-2]
        if self.causal:
            keys, values = keys[..., :end, :], values[..., :end, :]
        scores = queries @ jnp.swapaxes(keys, -1, -2)
        if self.causal:
            visible = jnp.arange(start, end)[:, None] >= jnp.arange(end)
            scores = scores + jnp.where(visible, 0.0, -jnp.inf).astype(scores.dtype)
        highest = jax.lax.stop_gradient(jnp.max(scores, axis=-1, keepdims=True))
        weights = jnp.exp(scores - highest)
        return (self.dropout(weights, key=key) @ values) / jnp.sum(weights, axis=-1, keepdims=True)


class TransformerBlock(eqx.Module):
    """Attention and a perceptron, each on a branch that adds to the residual stream."""

    first_norm: LayerNorm
    attention: CausalAttention
    second_norm: LayerNorm
    expand: Linear
    shrink: Linear
    dropout: Dropout
    activation: Callable[[Array], Array] = eqx.field(static=True)
    post_norm: bool = eqx.field(static=True, default=False)

    def __call__(
        self, x: Float[Array, "*batch time width"], *, key: Key[Array, ""] | None
    ) -> Float[Array, "*batch time width"]:
        """Return the residual stream after this block."""
        weights_key, first_key, second_key = self.dropout.keys(key, 3)
        if self.post_norm:
            x, _ = self.first_norm(x + self.dropout(self.attention(x, key=weights_key), key=first_key), None)
            inner = self.shrink(self.activation(self.expand(x)))
            return self.second_norm(x + self.dropout(inner, key=second_key), None)[0]
        normal, _ = self.first_norm(x, None)
        x = x + self.dropout(self.attention(normal, key=weights_key), key=first_key)
        normal, _ = self.second_norm(x, None)
        return x + self.dropout(self.shrink(self.activation(self.expand(normal))), key=second_key)


class Transformer(eqx.Module):
    """The module of `GPT`. It takes whole batches, so that its products are as large as possible."""

    whole_batches: ClassVar[bool] = True

    tokens: Embedding
    positions: Embedding
    dropout: Dropout
    blocks: tuple[TransformerBlock, ...]
    norm: LayerNorm | None
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
            hint = "cut the sequence, or use a larger context"
            raise ModelError("gpt", rule, got=f"a sequence of {time}", hint=hint)
        embedding_key, *keys = self.dropout.keys(key, len(self.blocks) + 1)
        hidden = self.dropout(self.tokens(x) + self.positions.weight[:time], key=embedding_key)
        for block, block_key in zip(self.blocks, keys, strict=True):
            hidden = block(hidden, key=block_key)
        if self.norm is not None:
            hidden, _ = self.norm(hidden, None)
        return self.tokens.logits(hidden) if self.head is None else self.head(hidden)
