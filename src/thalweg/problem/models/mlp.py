"""The multilayer perceptron: layers of units, each taking everything from the layer before."""

import dataclasses
from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import ClassVar, Self

import jax
from jaxtyping import Array, Key

from thalweg.core.choice import number, option
from thalweg.problem.models.architecture import Architecture, fill, sizes
from thalweg.problem.models.layers.activations import ACTIVATIONS, activation
from thalweg.problem.models.layers.dropout import Dropout
from thalweg.problem.models.layers.initialisations import initialisation
from thalweg.problem.models.layers.linear import Linear
from thalweg.problem.models.layers.normalisation import NORMALISATIONS, normalisation
from thalweg.problem.models.perceptron import Perceptron, closed


class MLP(Architecture):
    """Hidden layers are `h = dropout(act(norm(W h + b)))`, the last layer `W h + b` alone.

    Inputs of any shape are laid out as a vector. With `skip`, a hidden layer as wide as the one before adds
    its input: `h = h + dropout(act(norm(W h + b)))`.

    Example:
        >>> MLP([784, 512, 10])  # all widths given
        >>> MLP([None, 512, None], activation="gelu", dropout=0.1)  # the ends come from the data
    """

    name: ClassVar[str] = "mlp"
    formula: ClassVar[str] = "h = dropout(act(norm(W h + b))), the last layer W h + b"
    bare: ClassVar[str] = "sizes"
    when: ClassVar[str] = "Tables, small images, anything without structure to exploit."
    reference: ClassVar[str] = "Rumelhart, Hinton & Williams 1986; He et al. 2015 (start) and 2016 (skip)"

    sizes: Sequence[int | None] = sizes(
        (None, 256, None), doc="Widths from input to output; None: from data."
    )
    activation: str = option("relu", among=tuple(ACTIVATIONS), doc="What hidden units apply.")
    initialisation: str = option("he", doc="First weights.", source="He et al. 2015")
    normalisation: str = option("none", among=tuple(NORMALISATIONS), doc="Norm before the activation.")
    dropout: float = number(0.0, low=0.0, high=1.0, open_high=True, doc="Share of hidden units zeroed.")
    skip: bool = option(False, among=(False, True), doc="Whether equally wide neighbours are bridged.")

    def __check_init__(self) -> None:
        initialisation(self.initialisation)

    def fitted(self, input_shape: tuple[int, ...], outputs: int) -> Self:
        """Return this with open ends filled in; see `Architecture.fitted`."""
        filled = fill(self.name, self.sizes, prod(input_shape), outputs, input_shape)
        return dataclasses.replace(self, sizes=filled)

    def __call__(self, key: Key[Array, ""]) -> Perceptron:
        """Make the module."""
        *hidden, last = pairwise(closed(self.name, self.sizes))
        *keys, last_key = jax.random.split(key, len(hidden) + 1)
        start = self.initialisation
        layers = [Linear(*pair, key=k, start=start) for pair, k in zip(hidden, keys, strict=True)]
        return Perceptron(
            layers=(*layers, Linear(*last, key=last_key, start=start, role="head")),
            norms=tuple(normalisation(self.normalisation, width) for _, width in hidden),
            dropout=Dropout(self.dropout),
            activation=activation(self.activation),
            skip=self.skip,
        )
