"""The affine map, and the embedding of tokens."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from thalweg.problem.models.layers.initialisations import Fans, initialisation
from thalweg.problem.models.layers.portable import is_portable


class Linear(eqx.Module):
    """`x W^T + b` along the last axis; W is [out, in], as in Equinox and PyTorch.

    Args:
        inputs, outputs: Features in and out.
        key: Randomness of the initial weights.
        start: Name of the initialisation.
        bias: Whether to add b; or the name of the initialisation of b, in place of what the weights' says.
        role: Role of the weight: `matrix`, or `head` for the last layer of a network, which matrix-wise
            optimizers leave to their companion.
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
        bias: bool | str = True,
        role: str = "matrix",
    ):
        rule, fans = initialisation(start), Fans(inputs, outputs)
        weight_key, bias_key = jax.random.split(key)
        self.weight = rule.sample(weight_key, (outputs, inputs), fans)
        own = initialisation(bias).sample(bias_key, (outputs,), fans) if isinstance(bias, str) else None
        self.bias = own if own is not None else rule.bias(bias_key, outputs, fans) if bias else None
        self.role = role

    @property
    def roles(self) -> dict[str, str]:
        """Role of each array; see `core.tree.roles`."""
        return {"weight": self.role}

    def __call__(self, x: Float[Array, "... in"]) -> Float[Array, "... out"]:
        """Apply the map to the last axis."""
        # For a single example, W x took half as long as x W^T on a CPU (80 instead of 180 microseconds a step
        # of 784-512-10); otherwise they are the same.
        product = self.weight @ x if x.ndim == 1 else _product(x, self.weight)
        return product if self.bias is None else product + self.bias


class Embedding(eqx.Module):
    """A vector for each token.

    Args:
        count: Tokens in the vocabulary.
        width: Features of a vector.
        key: Randomness of the initial vectors.
        start: Name of the initialisation; fans are (count, width).
    """

    roles: ClassVar[dict[str, str]] = {"weight": "embedding"}

    weight: Float[Array, "count width"]

    def __init__(self, count: int, width: int, *, key: Key[Array, ""], start: str = "normal"):
        self.weight = initialisation(start).sample(key, (count, width), Fans(count, width))

    def __call__(self, tokens: Int[Array, "..."]) -> Float[Array, "... width"]:
        """Look up tokens; one out of range gives NaN rather than the vector of another token."""
        if is_portable():  # ONNX has no such filling
            return jnp.take(self.weight, tokens, axis=0)
        return jnp.take(self.weight, tokens, axis=0, mode="fill", fill_value=jnp.nan)

    def logits(self, x: Float[Array, "... width"]) -> Float[Array, "... count"]:
        """Return the product of x with each vector: the head of a model with tied weights."""
        return _product(x, self.weight)


def _product(x: Float[Array, "... in"], weight: Float[Array, "out in"]) -> Float[Array, "... out"]:
    """Return `x W^T`, with the leading axes joined into one.

    For the gradient of the weight, XLA's CPU compiler copies the operands of a product over two leading axes
    into transposed order, together with the elementwise operations before them; those of a matrix product it
    uses in place. For the small GPT that is a third of a step (`benchmarks/gpt.py`).
    """
    flat = x if x.ndim <= 2 else x.reshape(-1, x.shape[-1])
    return (flat @ weight.T).reshape(*x.shape[:-1], weight.shape[0])
