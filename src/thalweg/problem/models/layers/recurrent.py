"""Recurrent cells. The input's share of all steps is one product before the scan; the scan holds the rest.

Gates lie one below the other in the first axis of the weights, in PyTorch's order.
"""

import abc
from typing import ClassVar, Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

from thalweg.problem.models.layers.initialisations import Fans, initialisation

Vector = Float[Array, " width"]


class Cell(eqx.Module):
    """One step of a recurrent layer. Start: Glorot for inputs, orthogonal for the recurrence, per gate.

    Args:
        weight: Input's part of all gates.
        recurrent: The former output's part of all gates.
        bias: One for each gate and unit.
    """

    gates: ClassVar[int]

    weight: eqx.AbstractVar[Float[Array, "gates_width in"]]
    recurrent: eqx.AbstractVar[Float[Array, "gates_width width"]]
    bias: eqx.AbstractVar[Float[Array, " gates_width"]]

    @classmethod
    @abc.abstractmethod
    def create(cls, inputs: int, width: int, *, key: Key[Array, ""]) -> Self:
        """Make a cell with first weights."""

    @abc.abstractmethod
    def begin(self) -> PyTree:
        """Return what is carried before the first step: zeros."""

    @abc.abstractmethod
    def step(self, carry: PyTree, share: Float[Array, " gates_width"]) -> tuple[PyTree, Vector]:
        """Make one step, from the input's share of the gates. Returns what is carried on, and the output."""


class RNNCell(Cell):
    """`h = tanh(W x + U h + b)`.

    Reference: Elman, Finding Structure in Time, 1990.
    """

    gates: ClassVar[int] = 1

    weight: Float[Array, "width in"]
    recurrent: Float[Array, "width width"]
    bias: Float[Array, " width"]

    @classmethod
    def create(cls, inputs: int, width: int, *, key: Key[Array, ""]) -> Self:
        """Make a cell."""
        return cls(*_weights(1, inputs, width, key), jnp.zeros(width))

    def begin(self) -> Vector:
        """Return zeros."""
        return jnp.zeros_like(self.bias)

    def step(self, carry: Vector, share: Array) -> tuple[Vector, Vector]:
        """Make one step."""
        output = jnp.tanh(share + carry @ self.recurrent.T)
        return output, output


class LSTMCell(Cell):
    """`c = f c + i g; h = o tanh(c)`, with i, f, o sigmoids and g a tanh of `W x + U h + b`.

    The forget gate's bias starts at 1, so that the cell remembers until it has learned to forget.

    Reference: Hochreiter & Schmidhuber, Long Short-Term Memory, 1997; Gers et al., Learning to Forget, 2000;
    Jozefowicz et al., An Empirical Exploration of Recurrent Network Architectures, 2015 (bias 1).
    """

    gates: ClassVar[int] = 4

    weight: Float[Array, "four_width in"]
    recurrent: Float[Array, "four_width width"]
    bias: Float[Array, " four_width"]

    @classmethod
    def create(cls, inputs: int, width: int, *, key: Key[Array, ""]) -> Self:
        """Make a cell."""
        bias = jnp.zeros((4, width)).at[1].set(1.0).reshape(-1)
        return cls(*_weights(4, inputs, width, key), bias)

    def begin(self) -> tuple[Vector, Vector]:
        """Return zeros for output and memory."""
        zeros = jnp.zeros_like(self.bias[: self.bias.shape[0] // 4])
        return zeros, zeros

    def step(self, carry: tuple[Vector, Vector], share: Array) -> tuple[tuple[Vector, Vector], Vector]:
        """Make one step."""
        output, memory = carry
        enter, forget, new, leave = jnp.split(share + output @ self.recurrent.T, 4, axis=-1)
        memory = jax.nn.sigmoid(forget) * memory + jax.nn.sigmoid(enter) * jnp.tanh(new)
        output = jax.nn.sigmoid(leave) * jnp.tanh(memory)
        return (output, memory), output


class GRUCell(Cell):
    """`h = (1 - z) n + z h` with `n = tanh(W x + b + r (U h + c))`, and r, z sigmoids of `W x + U h + b`.

    The reset gate r acts after the product, as in cuDNN and PyTorch; the paper's acts before it.

    Reference: Cho et al., Learning Phrase Representations using RNN Encoder-Decoder, 2014.
    """

    gates: ClassVar[int] = 3

    weight: Float[Array, "three_width in"]
    recurrent: Float[Array, "three_width width"]
    bias: Float[Array, " three_width"]
    inner: Float[Array, " width"]

    @classmethod
    def create(cls, inputs: int, width: int, *, key: Key[Array, ""]) -> Self:
        """Make a cell."""
        return cls(*_weights(3, inputs, width, key), jnp.zeros(3 * width), jnp.zeros(width))

    def begin(self) -> Vector:
        """Return zeros."""
        return jnp.zeros_like(self.inner)

    def step(self, carry: Vector, share: Array) -> tuple[Vector, Vector]:
        """Make one step."""
        reset, keep, new = jnp.split(share, 3, axis=-1)
        past_reset, past_keep, past_new = jnp.split(carry @ self.recurrent.T, 3, axis=-1)
        keep = jax.nn.sigmoid(keep + past_keep)
        new = jnp.tanh(new + jax.nn.sigmoid(reset + past_reset) * (past_new + self.inner))
        output = (1.0 - keep) * new + keep * carry
        return output, output


def unrolled(
    cell: Cell, inputs: Float[Array, "time in"], carry: PyTree, truncation: int | None = None
) -> tuple[PyTree, Float[Array, "time width"]]:
    """Run a cell over a sequence.

    Args:
        cell: The cell.
        inputs: One sequence.
        carry: What is carried before its first step.
        truncation: Steps after which no gradient flows further back; None: all of them.

    Returns:
        What is carried after the last step, and all outputs.

    Reference: Williams & Peng, An Efficient Gradient-Based Algorithm for On-Line Training of Recurrent
    Network Trajectories, 1990 (truncation).
    """
    shares = inputs @ cell.weight.T + cell.bias

    def step(carry: PyTree, now: tuple[Array, Array]) -> tuple[PyTree, Array]:
        share, cut = now
        if truncation is not None:
            carry = jax.tree.map(lambda leaf: jnp.where(cut, jax.lax.stop_gradient(leaf), leaf), carry)
        return cell.step(carry, share)

    cuts = jnp.arange(shares.shape[0]) % (truncation or shares.shape[0]) == 0
    return jax.lax.scan(step, carry, (shares, cuts))


def _weights(gates: int, inputs: int, width: int, key: Key[Array, ""]) -> tuple[Array, Array]:
    """Return first weights, gate by gate, so that each gate starts as a layer of its own would."""
    input_key, recurrent_key = jax.random.split(key)
    drawn = [
        initialisation("glorot_uniform").sample(k, (width, inputs), Fans(inputs, width))
        for k in jax.random.split(input_key, gates)
    ]
    past = [
        initialisation("orthogonal").sample(k, (width, width), Fans(width, width))
        for k in jax.random.split(recurrent_key, gates)
    ]
    return jnp.concatenate(drawn), jnp.concatenate(past)
