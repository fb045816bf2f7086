"""The module behind `mlp` and `linear`: affine maps with norms, activations and skips between them."""

from collections.abc import Callable, Sequence

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, Shaped

from thalweg.core.errors import ModelError
from thalweg.problem.models.layers.dropout import Dropout
from thalweg.problem.models.layers.linear import Linear
from thalweg.problem.models.layers.normalisation import Norm


class Perceptron(eqx.Module):
    """What `MLP` and `LinearModel` make.

    Args:
        layers: Affine maps, one more than there are hidden layers.
        norms: Normalisation of each hidden layer, or None.
        dropout: Applied to each hidden layer.
        activation: Applied to each hidden layer.
        skip: Whether a hidden layer as wide as its input adds it.
    """

    layers: tuple[Linear, ...]
    norms: tuple[Norm | None, ...]
    dropout: Dropout
    activation: Callable[[Array], Array] = eqx.field(static=True)
    skip: bool = eqx.field(static=True)

    def __call__(
        self,
        x: Shaped[Array, "..."],
        state: eqx.nn.State | None = None,
        *,
        key: Key[Array, ""] | None = None,
    ) -> Float[Array, " out"] | tuple[Float[Array, " out"], eqx.nn.State]:
        """Return logits or values of one example, with the state when one was given."""
        hidden, now = as_vector(x), state
        hidden_layers = self.layers[:-1]
        keys = self.dropout.keys(key, len(self.layers))
        for layer, norm, noise in zip(hidden_layers, self.norms, keys, strict=False):
            output = layer(hidden)
            if norm is not None:
                output, now = norm(output, now)
            output = self.dropout(self.activation(output), key=noise)
            hidden = hidden + output if self.skip and output.shape == hidden.shape else output
        output = self.layers[-1](hidden)
        return output if now is None else (output, now)


def closed(who: str, given: Sequence[int | None]) -> tuple[int, ...]:
    """Return sizes of which none is open.

    Raises:
        ModelError: One is still open: nobody called `fitted`.
    """
    known = tuple(size for size in given if size is not None)
    if len(known) != len(given):
        rule, hint = (
            "all sizes must be known before the model is made",
            "call fitted(input_shape, outputs) first",
        )
        raise ModelError(who, rule, got=list(given), hint=hint)
    return known


def as_vector(x: Shaped[Array, "..."]) -> Float[Array, " features"]:
    """Lay one example out as a vector of floating-point numbers."""
    flat = jnp.ravel(x)
    return flat if jnp.issubdtype(flat.dtype, jnp.floating) else flat.astype(jnp.result_type(float))
