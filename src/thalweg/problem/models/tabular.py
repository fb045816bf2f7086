"""A multilayer perceptron for tables: embedded numbers, and several members that are averaged."""

import dataclasses
import math
import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from math import prod
from typing import Any, ClassVar, Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from thalweg.core.arguments import checked
from thalweg.core.choice import integer, number, option
from thalweg.core.errors import ModelError
from thalweg.problem.members import Folded, Members, chosen
from thalweg.problem.models.architecture import Architecture, fill_ends, sizes
from thalweg.problem.models.layers.activations import ACTIVATIONS, activation
from thalweg.problem.models.layers.dropout import Dropout

# What is averaged over members: outputs, or the probabilities that they stand for.
MEAN, SOFTMAX, SIGMOID = "mean", "softmax", "sigmoid"
NONE, PERIODIC, ALL = "none", "periodic", "all"
# Frequencies of a periodic embedding, and numbers that it makes of them (besides the input itself).
FREQUENCIES, EMBEDDED = 16, 3


class Tabular(Architecture):
    """An ensemble of MLPs on rows of a table: `h = dropout(act(W h + b))` in each member.

    With `embedding = "periodic"`, a number x enters as x and three linear functions of
    `cos(2 pi (f x + c))` with 16 learnt frequencies f for each input. The members share that embedding and
    the batches, not the weights. While training, the loss is the mean of the members' losses; a prediction
    is the mean of theirs, of probabilities for classes.

    Example:
        >>> Tabular([None, 256, 256, None], members=8)
    """

    name: ClassVar[str] = "tabular"
    formula: ClassVar[str] = (
        "mean over members of W h + b, h = dropout(act(W h + b)), h = (x, V cos(2 pi (f x + c)))"
    )
    bare: ClassVar[str] = "sizes"
    when: ClassVar[str] = "Tables: several networks, trained side by side and averaged."
    reference: ClassVar[str] = (
        "Hansen & Salamon 1990 (ensembles); Gorishniy, Rubachev & Babenko 2022 (embeddings); "
        "Holzmueller, Grinsztajn & Steinwart 2024 (their form)"
    )

    sizes: tuple[int | None, ...] = sizes(
        (None, 256, 256, None), doc="Widths from input to output; None: from data."
    )
    members: int = integer(1, low=1, doc="Networks that are trained side by side and averaged.")
    folds: int = integer(1, low=1, doc="Folds of the rows; member m does not learn from fold m % folds.")
    embedding: str = option(NONE, among=(NONE, PERIODIC), doc="How numbers enter.")
    embedded: str = option(ALL, doc="Inputs that are embedded: all, or their places from 0 as 0-3+7.")
    deviation: float = number(
        0.1, low=0.0, doc="Standard deviation of the initial frequencies.", source="Holzmueller et al. 2024"
    )
    activation: str = option("relu", among=tuple(ACTIVATIONS), doc="Activation of hidden units.")
    dropout: float = number(0.0, low=0.0, high=1.0, open_high=True, doc="Share of hidden units zeroed.")
    averaged: str = option(MEAN, among=(MEAN, SOFTMAX, SIGMOID), doc="What is averaged over members.")

    def __check_init__(self) -> None:
        if not isinstance(self.embedded, str) or self.embedded != ALL:
            places_of(self.embedded)

    @checked(ModelError)
    def fitted(self, input_shape: tuple[int, ...], outputs: int) -> Self:
        """Return this with open ends filled in; see `Architecture.fitted`."""
        filled = fill_ends(self.name, self.sizes, prod(input_shape), outputs, input_shape)
        return dataclasses.replace(self, sizes=filled)

    def __call__(self, key: Key[Array, ""]) -> "TabularNetwork":
        """Make the module."""
        (own,) = self.required("sizes")
        embed_key, key = jax.random.split(key)
        embedding = None
        if self.embedding == PERIODIC:
            places = tuple(range(own[0])) if self.embedded == ALL else places_of(self.embedded)
            embedding = Periodic(places, self.deviation, key=embed_key)
            own = (own[0] + len(places) * EMBEDDED, *own[1:])
        pairs = list(pairwise(own))
        keys = jax.random.split(key, len(pairs))
        roles = ["matrix"] * (len(pairs) - 1) + ["head"]
        layers = [
            MemberLinear(self.members, *pair, key=k, role=role)
            for pair, k, role in zip(pairs, keys, roles, strict=True)
        ]
        return TabularNetwork(
            embedding,
            tuple(layers),
            Dropout(self.dropout),
            activation(self.activation),
            self.members,
            self.folds,
            self.averaged,
        )


def places_of(text: str) -> tuple[int, ...]:
    """Return the places that a text such as `0-3+7` stands for; the inverse of `as_text`.

    Raises:
        ModelError: It is none.
    """
    if not isinstance(text, str) or not re.fullmatch(r"\d+(-\d+)?(\+\d+(-\d+)?)*", text):
        raise ModelError("tabular", "embedded must be all, or places", got=text, hint="for example 0-3+7")
    ends = [part.partition("-") for part in text.split("+")]
    return tuple(at for first, _, last in ends for at in range(int(first), int(last or first) + 1))


def as_text(places: Sequence[int]) -> str:
    """Return ascending places as text, runs of them as `first-last`."""
    runs: list[list[int]] = []
    for at in places:
        if runs and runs[-1][1] == at - 1:
            runs[-1][1] = at
        else:
            runs.append([at, at])
    return "+".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


class Periodic(eqx.Module):
    """Of some inputs x also `V cos(2 pi (f x + c))`, with frequencies, phases and V of each input's own.

    Args:
        places: Which inputs.
        deviation: Standard deviation of the initial frequencies; phases start anywhere.
        key: Randomness of the initial weights.

    Reference: PBLD of Holzmueller et al. 2024.
    """

    frequency: Float[Array, "input frequency"]
    phase: Float[Array, "input frequency"]
    weight: Float[Array, "input frequency embedded"]
    bias: Float[Array, "input embedded"]
    places: tuple[int, ...] = eqx.field(static=True)

    roles: ClassVar[dict[str, str]] = {"frequency": "embedding", "phase": "embedding", "weight": "embedding"}

    def __init__(self, places: tuple[int, ...], deviation: float, *, key: Key[Array, ""]):
        first, second, third = jax.random.split(key, 3)
        count, bound = len(places), 1 / math.sqrt(FREQUENCIES)
        self.frequency = deviation * jax.random.normal(first, (count, FREQUENCIES))
        self.phase = jax.random.uniform(second, (count, FREQUENCIES), minval=-0.5, maxval=0.5)
        self.weight = jax.random.uniform(third, (count, FREQUENCIES, EMBEDDED), minval=-bound, maxval=bound)
        self.bias = jnp.zeros((count, EMBEDDED))
        self.places = places

    def __call__(self, x: Float[Array, "example input"]) -> Float[Array, "example more"]:
        """Return the inputs and, after them, what is made of some of them."""
        own = x if len(self.places) == x.shape[1] else x[:, jnp.array(self.places)]
        waves = jnp.cos(2 * jnp.pi * (own[:, :, None] * self.frequency + self.phase))
        made = jnp.einsum("bif,ife->bie", waves, self.weight) + self.bias
        return jnp.concatenate([x, made.reshape(x.shape[0], -1)], axis=1)


class MemberLinear(eqx.Module):
    """`x W + b` of each member of an ensemble; He's initialisation for W, PyTorch's for b.

    Args:
        members, inputs, outputs: Sizes.
        key: Randomness of the initial weights.
        role: As in `Linear`.
    """

    weight: Float[Array, "member in out"]
    bias: Float[Array, "member out"]
    role: str = eqx.field(static=True)

    def __init__(self, members: int, inputs: int, outputs: int, *, key: Key[Array, ""], role: str = "matrix"):
        first, second = jax.random.split(key)
        self.weight = math.sqrt(2 / inputs) * jax.random.normal(first, (members, inputs, outputs))
        bound = 1 / math.sqrt(inputs)
        self.bias = jax.random.uniform(second, (members, outputs), minval=-bound, maxval=bound)
        self.role = role

    @property
    def roles(self) -> dict[str, str]:
        """Role of each array; see `core.tree.roles`."""
        return {"weight": self.role}

    def __call__(self, x: Float[Array, "... example in"]) -> Float[Array, "member example out"]:
        """Apply each member's map to its own examples, `member example in`, or all to the same."""
        return jnp.matmul(x, self.weight) + self.bias[:, None]


class TabularNetwork(eqx.Module):
    """The module of `Tabular`."""

    whole_batches: ClassVar[bool] = True

    embedding: Periodic | None
    layers: tuple[MemberLinear, ...]
    dropout: Dropout
    activation: Callable[[Array], Array] = eqx.field(static=True)
    members: int = eqx.field(static=True)
    folds: int = eqx.field(static=True)
    averaged: str = eqx.field(static=True)
    inference: bool = False

    def __call__(self, x: Any, *, key: Key[Array, ""] | None = None) -> Any:
        """Return the outputs for a batch: while training those of all members, else their mean.

        Args:
            x: `example ...`, or `Folded`.
            key: Noise of dropout.
        """
        x, fold = (x.inputs, x.fold) if isinstance(x, Folded) else (x, None)
        flat = x.reshape(x.shape[0], -1)
        flat = flat if jnp.issubdtype(flat.dtype, jnp.floating) else flat.astype(jnp.result_type(float))
        hidden = flat if self.embedding is None else self.embedding(flat)
        keys = self.dropout.keys(key, len(self.layers))
        for layer, own in zip(self.layers[:-1], keys, strict=False):
            hidden = self.dropout(self.activation(layer(hidden)), key=own)
        outputs = jnp.moveaxis(self.layers[-1](hidden), 0, 1)
        counted = self._counted(fold, outputs)
        if self.members == 1:
            return outputs[:, 0]
        return _average(outputs, counted, self.averaged) if self.inference else Members(outputs, counted)

    def _counted(
        self, fold: Any, outputs: Float[Array, "example member out"]
    ) -> Float[Array, "example member"]:
        """Return the share of each member for each row, or for all rows at once."""
        if fold is None:  # jax2onnx fills no array whose size is not known
            return jnp.full(
                (1 if self.inference else len(outputs), self.members), 1 / self.members, outputs.dtype
            )
        own = chosen(fold, self.members, self.folds)
        return (own / jnp.maximum(own.sum(axis=1, keepdims=True), 1)).astype(outputs.dtype)


def _average(
    outputs: Float[Array, "example member out"], shares: Float[Array, "example member"], what: str
) -> Float[Array, "example out"]:
    """Return the mean over members: of outputs, or the logarithm of that of their probabilities."""
    shares = shares[:, :, None]
    if what == MEAN:
        return jnp.sum(shares * outputs, axis=1)
    if what == SOFTMAX:
        return jax.nn.logsumexp(jax.nn.log_softmax(outputs, axis=-1), b=shares, axis=1)
    positive, negative = (
        jax.nn.logsumexp(jax.nn.log_sigmoid(sign * outputs), b=shares, axis=1) for sign in (1, -1)
    )
    return positive - negative
