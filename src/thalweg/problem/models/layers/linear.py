"""The affine map, and the table of vectors that is one without its product."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from thalweg.problem.models.layers.initialisations import Fans, initialisation


class Linear(eqx.Module):
    """`x W^T + b` along the last axis; weights lie as [out, in], as in Equinox and PyTorch.

    Args:
        inputs, outputs: Features in and out.
        key: Randomness of the first weights.
        start: Name of the initialisation.
        bias: Whether there is a b.
        role: What the weight is for: `matrix`, or `head` for the last layer of a network, which
            matrix-wise optimizers leave to their companion.
    """

    weight: Float[Array, "out in"]
    bias: Float[Array, " out"] | None
    role: str = eqx.field(static=True)

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        key: Key[Array, ""],
        start: str = "he",
        bias: bool = True,
        role: str = "matrix",
    ):
        rule, fans = initialisation(start), Fans(inputs, outputs)
        weight_key, bias_key = jax.random.split(key)
        self.weight = rule.sample(weight_key, (outputs, inputs), fans)
        self.bias = rule.bias(bias_key, outputs, fans) if bias else None
        self.role = role

    @property
    def roles(self) -> dict[str, str]:
        """What each array is for; see `core.tree.roles`."""
        return {"weight": self.role}

    def __call__(self, x: Float[Array, "... in"]) -> Float[Array, "... out"]:
        """Map the last axis."""
        # Equal but for a batch of one example, where W x took half as long as x W^T on CPU (80 against 180
        # microseconds a step of 784-512-10).
        product = self.weight @ x if x.ndim == 1 else _product(x, self.weight)
        return product if self.bias is None else product + self.bias


class Embedding(eqx.Module):
    """A vector for each token.

    Args:
        count: Tokens in the vocabulary.
        width: Features of a vector.
        key: Randomness of the first vectors.
        start: Name of the initialisation; fans are (count, width).
    """

    roles: ClassVar[dict[str, str]] = {"weight": "embedding"}

    weight: Float[Array, "count width"]

    def __init__(self, count: int, width: int, *, key: Key[Array, ""], start: str = "normal"):
        self.weight = initialisation(start).sample(key, (count, width), Fans(count, width))

    def __call__(self, tokens: Int[Array, "..."]) -> Float[Array, "... width"]:
        """Look tokens up; one out of range gives NaN rather than another token's vector."""
        return jnp.take(self.weight, tokens, axis=0, mode="fill", fill_value=jnp.nan)

    def logits(self, x: Float[Array, "... width"]) -> Float[Array, "... count"]:
        """Return how well x fits each token's vector: the head of a model whose weights are tied."""
        return _product(x, self.weight)


def _product(x: Float[Array, "... in"], weight: Float[Array, "out in"]) -> Float[Array, "... out"]:
    """Return `x W^T`, several leading axes made one.

    For the gradient of the weight XLA's CPU compiler copies the operands of a product over two leading axes
    into transposed order, with whatever elementwise work feeds them; those of a matrix product it takes as
    they are. For the small GPT that is a third of a step (`benchmarks/gpt.py`).
    """
    flat = x if x.ndim <= 2 else x.reshape(-1, x.shape[-1])
    return (flat @ weight.T).reshape(*x.shape[:-1], weight.shape[0])
