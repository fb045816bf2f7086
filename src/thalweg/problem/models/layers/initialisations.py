"""Initialisations by name: the distribution of initial weights, from the fans of a unit.

Biases start at zero, except with `torch`, which draws them like the weights.
"""

import math
import re
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from thalweg.core.errors import ModelError, did_you_mean


class Fans(NamedTuple):
    """Fan in and fan out: inputs and outputs of a unit; for a kernel, both times its area."""

    inputs: int
    outputs: int


Sample = Callable[[Key[Array, ""], tuple[int, ...], Fans], Float[Array, "..."]]


class Initialisation(NamedTuple):
    """A distribution of initial weights.

    Args:
        name: Standard name; `normal` may have its standard deviation in brackets: `normal(0.02)`.
        formula: The distribution, in plain text.
        reference: Authors, title, year.
        sample: (key, shape, fans) -> weights in the default floating-point dtype.
        draws_bias: Whether biases are uniform in +-1/sqrt(inputs) rather than zero.
    """

    name: str
    formula: str
    reference: str
    sample: Sample
    draws_bias: bool = False

    def bias(self, key: Key[Array, ""], size: int, fans: Fans) -> Float[Array, " size"]:
        """Return initial biases."""
        if not self.draws_bias:
            return jnp.zeros(size)
        bound = 1.0 / math.sqrt(fans.inputs)
        return jax.random.uniform(key, (size,), minval=-bound, maxval=bound)


# Drawn as a vector and reshaped: a draw in four axes takes XLA four times as long to compile.
def _normal(deviation: Callable[[Fans], float]) -> Sample:
    def sample(key: Key[Array, ""], shape: tuple[int, ...], fans: Fans) -> Array:
        return (deviation(fans) * jax.random.normal(key, (math.prod(shape),))).reshape(shape)

    return sample


def _uniform(bound: Callable[[Fans], float]) -> Sample:
    def sample(key: Key[Array, ""], shape: tuple[int, ...], fans: Fans) -> Array:
        vector = jax.random.uniform(key, (math.prod(shape),), minval=-bound(fans), maxval=bound(fans))
        return vector.reshape(shape)

    return sample


def _orthogonal(key: Key[Array, ""], shape: tuple[int, ...], fans: Fans) -> Array:
    """Draw orthonormal rows or columns, whichever are fewer; a kernel is taken as outputs x the rest."""
    del fans
    rows, columns = shape[0], math.prod(shape[1:])
    square = jax.random.orthogonal(key, max(rows, columns))
    return square[:rows, :columns].reshape(shape)


def _zeros(key: Key[Array, ""], shape: tuple[int, ...], fans: Fans) -> Array:
    del key, fans
    return jnp.zeros(shape)


_HE = "He et al., Delving Deep into Rectifiers, 2015"
_GLOROT = "Glorot & Bengio, Understanding the Difficulty of Training Deep Feedforward Neural Networks, 2010"
_LECUN = "LeCun et al., Efficient BackProp, 1998"

_ALL = (
    Initialisation("he_normal", "N(0, 2/in)", _HE, _normal(lambda f: math.sqrt(2 / f.inputs))),
    Initialisation(
        "he_uniform", "U(-b, b), b = sqrt(6/in)", _HE, _uniform(lambda f: math.sqrt(6 / f.inputs))
    ),
    Initialisation(
        "glorot_normal", "N(0, 2/(in+out))", _GLOROT, _normal(lambda f: math.sqrt(2 / (f.inputs + f.outputs)))
    ),
    Initialisation(
        "glorot_uniform",
        "U(-b, b), b = sqrt(6/(in+out))",
        _GLOROT,
        _uniform(lambda f: math.sqrt(6 / (f.inputs + f.outputs))),
    ),
    Initialisation("lecun_normal", "N(0, 1/in)", _LECUN, _normal(lambda f: math.sqrt(1 / f.inputs))),
    Initialisation(
        "lecun_uniform", "U(-b, b), b = sqrt(3/in)", _LECUN, _uniform(lambda f: math.sqrt(3 / f.inputs))
    ),
    Initialisation(
        "orthogonal",
        "orthonormal rows or columns",
        "Saxe et al., Exact Solutions to the Nonlinear Dynamics of Learning, 2014",
        _orthogonal,
    ),
    Initialisation("normal", "N(0, 0.02^2)", "Radford et al., GPT-2, 2019 (0.02)", _normal(lambda f: 0.02)),
    Initialisation("zeros", "0", "for a convex problem, or a branch that starts without effect", _zeros),
    Initialisation(
        "torch",
        "U(-b, b), b = 1/sqrt(in), biases too",
        "PyTorch's default for Linear and Conv2d",
        _uniform(lambda f: math.sqrt(1 / f.inputs)),
        draws_bias=True,
    ),
)
INITIALISATIONS: dict[str, Initialisation] = {rule.name: rule for rule in _ALL}

# Short names of the forms in the papers (Glorot & Bengio's equation 16 is uniform).
ALIASES = {
    "he": "he_normal",
    "kaiming": "he_normal",
    "glorot": "glorot_uniform",
    "xavier": "glorot_uniform",
    "lecun": "lecun_normal",
}

_WITH_NUMBER = re.compile(r"(normal|truncated|uniform|constant)\(([0-9.eE+-]+)\)")


def initialisation(name: str) -> Initialisation:
    """Return an initialisation by name, by alias, or with a number.

    `normal(STD)`; `truncated(STD)`, a normal distribution without its values beyond two standard deviations,
    which are drawn again; `uniform(BOUND)`, from -BOUND to BOUND; `constant(VALUE)`.

    Raises:
        ModelError: The name is unknown, or the number impossible.
    """
    match = _WITH_NUMBER.fullmatch(str(name))
    if match:
        return _with_number(name, match[1], match[2])
    known = ALIASES.get(name, name) if isinstance(name, str) else ""
    if known not in INITIALISATIONS:
        names = [*INITIALISATIONS, *ALIASES]
        hint = did_you_mean(str(name), names)
        raise ModelError("initialisation", "must be a known name", got=name, hint=hint)
    return INITIALISATIONS[known]


def _with_number(name: str, kind: str, text: str) -> Initialisation:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or (kind != "constant" and value <= 0):
        rule = f"{kind} takes a {'' if kind == 'constant' else 'positive '}number in brackets"
        raise ModelError("initialisation", rule, got=name, hint=f"for example {kind}(0.02)")
    formula, sample = _WITH[kind]
    return Initialisation(name, formula.format(text), "the given number", sample(value))


def _truncated(deviation: float) -> Sample:
    def sample(key: Key[Array, ""], shape: tuple[int, ...], fans: Fans) -> Array:
        del fans
        return (deviation * jax.random.truncated_normal(key, -2.0, 2.0, (math.prod(shape),))).reshape(shape)

    return sample


def _constant(value: float) -> Sample:
    def sample(key: Key[Array, ""], shape: tuple[int, ...], fans: Fans) -> Array:
        del key, fans
        return jnp.zeros(shape) + value

    return sample


# By name: the distribution, and what draws from it.
_WITH: dict[str, tuple[str, Callable[[float], Sample]]] = {
    "normal": ("N(0, {}^2)", lambda deviation: _normal(lambda f: deviation)),
    "truncated": ("N(0, {}^2), redrawn beyond two standard deviations", _truncated),
    "uniform": ("U(-{0}, {0})", lambda bound: _uniform(lambda f: bound)),
    "constant": ("{}", _constant),
}
