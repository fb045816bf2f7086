"""The linear model: linear regression, and logistic regression under cross-entropy."""

import dataclasses
from collections.abc import Sequence
from math import prod
from typing import ClassVar, Self

from jaxtyping import Array, Key

from thalweg.core.choice import option
from thalweg.core.errors import ModelError
from thalweg.problem.models.architecture import Architecture, fill, sizes
from thalweg.problem.models.layers.activations import identity
from thalweg.problem.models.layers.dropout import Dropout
from thalweg.problem.models.layers.initialisations import initialisation
from thalweg.problem.models.layers.linear import Linear
from thalweg.problem.models.perceptron import Perceptron, closed


class LinearModel(Architecture):
    """`W x + b`: linear regression, or logistic regression when the loss is cross-entropy.

    Starts at zero: the problem is convex, so that start is as good as any, and the same for all seeds.
    """

    name: ClassVar[str] = "linear"
    formula: ClassVar[str] = "W x + b"
    bare: ClassVar[str] = "sizes"
    when: ClassVar[str] = "The baseline; convex, so that training can be judged without excuses."
    reference: ClassVar[str] = "Legendre 1805; Cox 1958"

    sizes: Sequence[int | None] = sizes((None, None), doc="Inputs and outputs; None: from the data.")
    initialisation: str = option("zeros", doc="First weights.")

    def __check_init__(self) -> None:
        initialisation(self.initialisation)
        if isinstance(self.sizes, tuple) and len(self.sizes) != 2:
            rule = "sizes must be inputs and outputs"
            raise ModelError(self.name, rule, got=list(self.sizes), hint="an mlp has hidden layers")

    def fitted(self, input_shape: tuple[int, ...], outputs: int) -> Self:
        """Return this with open ends filled in; see `Architecture.fitted`."""
        filled = fill(self.name, self.sizes, prod(input_shape), outputs, input_shape)
        return dataclasses.replace(self, sizes=filled)

    def __call__(self, key: Key[Array, ""]) -> Perceptron:
        """Make the module."""
        inputs, outputs = closed(self.name, self.sizes)
        layer = Linear(inputs, outputs, key=key, start=self.initialisation, role="head")
        return Perceptron((layer,), (), Dropout(0.0), identity, skip=False)
