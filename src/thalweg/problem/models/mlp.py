"""Multilayer perceptron and linear model: affine maps with norms, activations and skips between them."""

import dataclasses
from collections.abc import Callable, Sequence
from itertools import pairwise
from math import prod
from typing import ClassVar, Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, Shaped

from thalweg.core.arguments import checked
from thalweg.core.choice import number, option
from thalweg.core.errors import ModelError
from thalweg.problem.models.architecture import Architecture, fill_ends, sizes
from thalweg.problem.models.layers.activations import (
    ACTIVATIONS,
    activation,
    activations,
    identity,
    per_layer,
)
from thalweg.problem.models.layers.dropout import Dropout
from thalweg.problem.models.layers.initialisations import initialisation
from thalweg.problem.models.layers.linear import Linear
from thalweg.problem.models.layers.normalisation import NORMALISATIONS, Norm, normalisation

# What `bias` may say besides an initialisation.
DRAWN, OFF = "drawn", "off"


class MLP(Architecture):
    """Hidden layers are `h = dropout(act(norm(W h + b)))`, the last layer `output(W h + b)`.

    Inputs of any shape are flattened. With `skip`, a hidden layer as wide as the one before it adds its
    input: `h = h + dropout(act(norm(W h + b)))`.

    Example:
        >>> MLP([784, 512, 10])  # all widths given
        >>> MLP([None, 512, None], activation="gelu", dropout=0.1)  # the ends come from the data
    """

    name: ClassVar[str] = "mlp"
    formula: ClassVar[str] = "h = dropout(act(norm(W h + b))), the last layer output(W h + b)"
    bare: ClassVar[str] = "sizes"
    when: ClassVar[str] = "Tables, small images, anything without structure to exploit."
    reference: ClassVar[str] = "Rumelhart, Hinton & Williams 1986; He et al. 2015 (start) and 2016 (skip)"

    sizes: Sequence[int | None] = sizes(
        (None, 256, None), doc="Widths from input to output; None: from data."
    )
    activation: str = option("relu", doc="Activation of hidden units; one for each layer as relu/tanh.")
    initialisation: str = option(
        "he", doc="Initial weights; one for each layer as he/he/constant(0.1).", source="He et al. 2015"
    )
    normalisation: str = option("none", among=tuple(NORMALISATIONS), doc="Norm before the activation.")
    dropout: float = number(0.0, low=0.0, high=1.0, open_high=True, doc="Share of hidden units zeroed.")
    skip: bool = option(False, among=(False, True), doc="Whether layers of equal width have a skip.")
    output: str = option("identity", among=tuple(ACTIVATIONS), doc="Activation of the last layer.")
    bias: str = option(
        DRAWN, doc="Initial biases: drawn as the initialisation says, off, or an initialisation of their own."
    )

    def __check_init__(self) -> None:
        if not isinstance(self.sizes, tuple) or len(self.sizes) < 2:
            return  # the check of the field says so
        layers = len(self.sizes) - 1
        for name in per_layer("initialisation", self.initialisation, layers):
            initialisation(name)
        activations(self.activation, layers - 1)
        if isinstance(self.bias, str) and self.bias not in (DRAWN, OFF):
            initialisation(self.bias)

    @checked(ModelError)
    def fitted(self, input_shape: tuple[int, ...], outputs: int) -> Self:
        """Return this with open ends filled in; see `Architecture.fitted`."""
        filled = fill_ends(self.name, self.sizes, prod(input_shape), outputs, input_shape)
        return dataclasses.replace(self, sizes=filled)

    def __call__(self, key: Key[Array, ""]) -> "Perceptron":
        """Make the module."""
        (widths,) = self.required("sizes")
        pairs = list(pairwise(widths))
        keys = jax.random.split(key, len(pairs))
        bias = {DRAWN: True, OFF: False}.get(self.bias, self.bias)
        starts = per_layer("initialisation", self.initialisation, len(pairs))
        *hidden, last = [
            Linear(*pair, key=k, start=start, bias=bias, role="head" if pair is pairs[-1] else "matrix")
            for pair, k, start in zip(pairs, keys, starts, strict=True)
        ]
        return Perceptron(
            layers=(*hidden, last),
            norms=tuple(normalisation(self.normalisation, width) for _, width in pairs[:-1]),
            dropout=Dropout(self.dropout),
            activations=activations(self.activation, len(hidden)),
            skip=self.skip,
            output=activation(self.output),
        )


class LinearModel(Architecture):
    """`W x + b`: linear regression, or logistic regression when the loss is cross-entropy.

    Weights start at zero: the problem is convex, so that this start is as good as any other, and the same
    for all seeds.
    """

    name: ClassVar[str] = "linear"
    formula: ClassVar[str] = "W x + b"
    bare: ClassVar[str] = "sizes"
    when: ClassVar[str] = "The baseline; convex, so that the optimum is unique and training easy to judge."
    reference: ClassVar[str] = "Legendre 1805; Cox 1958"

    sizes: Sequence[int | None] = sizes((None, None), doc="Inputs and outputs; None: from the data.")
    initialisation: str = option("zeros", doc="Initial weights.")

    def __check_init__(self) -> None:
        initialisation(self.initialisation)
        if isinstance(self.sizes, tuple) and len(self.sizes) != 2:
            rule = "sizes must be inputs and outputs"
            raise ModelError(self.name, rule, got=list(self.sizes), hint="use an mlp for hidden layers")

    @checked(ModelError)
    def fitted(self, input_shape: tuple[int, ...], outputs: int) -> Self:
        """Return this with open ends filled in; see `Architecture.fitted`."""
        filled = fill_ends(self.name, self.sizes, prod(input_shape), outputs, input_shape)
        return dataclasses.replace(self, sizes=filled)

    def __call__(self, key: Key[Array, ""]) -> "Perceptron":
        """Make the module."""
        ((inputs, outputs),) = self.required("sizes")
        layer = Linear(inputs, outputs, key=key, start=self.initialisation, role="head")
        return Perceptron((layer,), (), Dropout(0.0), (), skip=False)


class Perceptron(eqx.Module):
    """The module of `MLP` and `LinearModel`.

    Args:
        layers: Affine maps, one more than there are hidden layers.
        norms: Norm of each hidden layer, or None.
        dropout: Applied to each hidden layer.
        activations: That of each hidden layer.
        skip: Whether a hidden layer as wide as its input adds it.
        output: Applied to the last layer.
    """

    layers: tuple[Linear, ...]
    norms: tuple[Norm | None, ...]
    dropout: Dropout
    activations: tuple[Callable[[Array], Array], ...] = eqx.field(static=True)
    skip: bool = eqx.field(static=True)
    output: Callable[[Array], Array] = eqx.field(static=True, default=identity)

    def __call__(
        self,
        x: Shaped[Array, "..."],
        state: eqx.nn.State | None = None,
        *,
        key: Key[Array, ""] | None = None,
    ) -> Float[Array, " out"] | tuple[Float[Array, " out"], eqx.nn.State]:
        """Return logits or values of one example, and the state if one was given."""
        hidden, new_state = _as_vector(x), state
        keys = self.dropout.keys(key, len(self.layers))
        hidden_layers = zip(self.layers[:-1], self.norms, self.activations, strict=True)
        for (layer, norm, act), dropout_key in zip(hidden_layers, keys, strict=False):
            output = layer(hidden)
            if norm is not None:
                output, new_state = norm(output, new_state)
            output = self.dropout(act(output), key=dropout_key)
            hidden = hidden + output if self.skip and output.shape == hidden.shape else output
        output = self.output(self.layers[-1](hidden))
        return output if new_state is None else (output, new_state)


def _as_vector(x: Shaped[Array, "..."]) -> Float[Array, " features"]:
    """Flatten one example to a vector of floating-point numbers."""
    flat = jnp.ravel(x)
    return flat if jnp.issubdtype(flat.dtype, jnp.floating) else flat.astype(jnp.result_type(float))
