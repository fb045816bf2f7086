"""Recurrent networks over tokens or series: RNN, LSTM and GRU, one architecture with three cells.

An input of one axis is a sequence of tokens: they are embedded, and every position gives logits for the next
token. An input of two axes is a series of vectors, `time x features`: the last position gives the output.

Windows start from zeros. Under a recipe's `shuffle = "continued"` each window starts from the state at the
end of the one before it: truncated backpropagation through time over the whole sequence, cut at the borders
of the windows. `truncation` cuts within a window as well.
"""

import abc
import dataclasses
from typing import ClassVar, Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree, Shaped

from thalweg.core.arguments import checked
from thalweg.core.choice import integer, number
from thalweg.core.errors import ModelError
from thalweg.problem.models.architecture import MOST_LAYERS, Architecture
from thalweg.problem.models.layers.dropout import Dropout
from thalweg.problem.models.layers.initialisations import Fans, initialisation
from thalweg.problem.models.layers.linear import Embedding, Linear

Vector = Float[Array, " width"]


class Cell(eqx.Module):
    """One step of a recurrent layer.

    Weights of the gates are stacked along the first axis, in PyTorch's order. They start gate by gate, as if
    each gate were a layer of its own: Glorot uniform for the input, orthogonal for the recurrence.

    Args:
        weight: Weights of the input, for all gates.
        recurrent: Weights of the previous output, for all gates.
        bias: One for each gate and unit.
    """

    gates: ClassVar[int]

    weight: Float[Array, "gates_width in"]
    recurrent: Float[Array, "gates_width width"]
    bias: Float[Array, " gates_width"]

    def __init__(self, inputs: int, width: int, *, key: Key[Array, ""]):
        input_key, recurrent_key = jax.random.split(key)
        self.weight = _gate_weights("glorot_uniform", self.gates, (width, inputs), input_key)
        self.recurrent = _gate_weights("orthogonal", self.gates, (width, width), recurrent_key)
        self.bias = jnp.zeros(self.gates * width)

    @abc.abstractmethod
    def begin(self) -> PyTree:
        """Return the carry before the first step: zeros."""

    @abc.abstractmethod
    def step(self, carry: PyTree, projected: Float[Array, " gates_width"]) -> tuple[PyTree, Vector]:
        """Take one step.

        Args:
            carry: The carry after the previous step.
            projected: `W x + b`, the share of the input in all gates.

        Returns:
            The next carry, and the output.
        """


class RNNCell(Cell):
    """`h = tanh(W x + U h + b)`.

    Reference: Elman, Finding Structure in Time, 1990.
    """

    gates: ClassVar[int] = 1

    def begin(self) -> Vector:
        """Return a zero output."""
        return jnp.zeros_like(self.bias)

    def step(self, carry: Vector, projected: Array) -> tuple[Vector, Vector]:
        """Take one step; see `Cell.step`."""
        output = jnp.tanh(projected + carry @ self.recurrent.T)
        return output, output


class LSTMCell(Cell):
    """`c = f c + i g; h = o tanh(c)`, with i, f, o sigmoids and g a tanh of `W x + U h + b`.

    The bias of the forget gate starts at 1, so that the cell remembers until it has learned to forget.

    Reference: Hochreiter & Schmidhuber, Long Short-Term Memory, 1997; Gers et al., Learning to Forget, 2000;
    Jozefowicz et al., An Empirical Exploration of Recurrent Network Architectures, 2015 (bias 1).
    """

    gates: ClassVar[int] = 4

    def __init__(self, inputs: int, width: int, *, key: Key[Array, ""]):
        super().__init__(inputs, width, key=key)
        self.bias = jnp.zeros((4, width)).at[1].set(1.0).reshape(-1)

    def begin(self) -> tuple[Vector, Vector]:
        """Return zeros for output and memory."""
        zeros = jnp.zeros_like(self.bias[: self.bias.shape[0] // 4])
        return zeros, zeros

    def step(self, carry: tuple[Vector, Vector], projected: Array) -> tuple[tuple[Vector, Vector], Vector]:
        """Take one step; see `Cell.step`."""
        output, memory = carry
        enter, forget, new, leave = jnp.split(projected + output @ self.recurrent.T, 4, axis=-1)
        memory = jax.nn.sigmoid(forget) * memory + jax.nn.sigmoid(enter) * jnp.tanh(new)
        output = jax.nn.sigmoid(leave) * jnp.tanh(memory)
        return (output, memory), output


class GRUCell(Cell):
    """`h = (1 - z) n + z h` with `n = tanh(W x + b + r (U h + c))`, and r, z sigmoids of `W x + U h + b`.

    The reset gate r acts after the product, as in cuDNN and PyTorch; in the paper it acts before it.

    Args:
        inner: The bias c.

    Reference: Cho et al., Learning Phrase Representations using RNN Encoder-Decoder, 2014.
    """

    gates: ClassVar[int] = 3

    inner: Float[Array, " width"]

    def __init__(self, inputs: int, width: int, *, key: Key[Array, ""]):
        super().__init__(inputs, width, key=key)
        self.inner = jnp.zeros(width)

    def begin(self) -> Vector:
        """Return a zero output."""
        return jnp.zeros_like(self.inner)

    def step(self, carry: Vector, projected: Array) -> tuple[Vector, Vector]:
        """Take one step; see `Cell.step`."""
        reset, keep, new = jnp.split(projected, 3, axis=-1)
        past_reset, past_keep, past_new = jnp.split(carry @ self.recurrent.T, 3, axis=-1)
        keep = jax.nn.sigmoid(keep + past_keep)
        new = jnp.tanh(new + jax.nn.sigmoid(reset + past_reset) * (past_new + self.inner))
        output = (1.0 - keep) * new + keep * carry
        return output, output


def unroll(
    cell: Cell, inputs: Float[Array, "time in"], carry: PyTree, truncation: int | None = None
) -> tuple[PyTree, Float[Array, "time width"]]:
    """Run a cell over a sequence. The projection of all inputs is one product before the scan.

    Args:
        cell: The cell.
        inputs: One sequence.
        carry: The carry before its first step.
        truncation: Number of steps that a gradient flows back. None: all of them.

    Returns:
        The carry after the last step, and all outputs.

    Reference: Williams & Peng, An Efficient Gradient-Based Algorithm for On-Line Training of Recurrent
    Network Trajectories, 1990 (truncation).
    """
    projected = inputs @ cell.weight.T + cell.bias

    def step(carry: PyTree, xs: tuple[Array, Array]) -> tuple[PyTree, Array]:
        projected, cut = xs
        if truncation is not None:
            carry = jax.tree.map(lambda leaf: jnp.where(cut, jax.lax.stop_gradient(leaf), leaf), carry)
        return cell.step(carry, projected)

    cuts = jnp.arange(projected.shape[0]) % (truncation or projected.shape[0]) == 0
    return jax.lax.scan(step, carry, (projected, cuts))


class RecurrentArchitecture(Architecture):
    """Settings of RNN, LSTM and GRU: all but the cell."""

    bare: ClassVar[str] = "width"
    cell: ClassVar[type["Cell"]]

    width: int = integer(128, low=1, doc="Units of a layer.")
    layers: int = integer(1, low=1, high=MOST_LAYERS, doc="Stacked layers.")
    embedding: int = integer(64, low=1, doc="Features of a token.")
    dropout: float = number(0.0, low=0.0, high=1.0, open_high=True, doc="Share of a layer's outputs zeroed.")
    truncation: int | None = integer(
        None, low=1, optional=True, doc="Steps that a gradient flows back; none: all."
    )
    vocabulary: int | None = integer(
        None, low=0, optional=True, doc="Tokens; 0: a series; none: from the data."
    )
    features: int | None = integer(
        None, low=0, optional=True, doc="Features of a series; none: from the data."
    )
    outputs: int | None = integer(None, low=1, optional=True, doc="Logits or values; none: from the data.")

    @checked(ModelError)
    def fitted(self, input_shape: tuple[int, ...], outputs: int) -> Self:
        """Return this with open sizes filled in; see `Architecture.fitted`."""
        if len(input_shape) not in (1, 2):
            rule = "takes tokens (one axis) or a series (time x features)"
            hint = "use an mlp, which takes any shape"
            raise ModelError(self.name, rule, got=f"shape {input_shape} from the data", hint=hint)
        vocabulary, features = (outputs, 0) if len(input_shape) == 1 else (0, input_shape[1])
        sizes = {"vocabulary": vocabulary, "features": features, "outputs": outputs}
        return dataclasses.replace(self, **self.sizes_from_data(sizes, input_shape))

    def __call__(self, key: Key[Array, ""]) -> "RecurrentNetwork":
        """Make the module."""
        vocabulary, features, outputs = self.required("vocabulary", "features", "outputs")
        embedding_key, head_key, *keys = jax.random.split(key, self.layers + 2)
        embedding = None
        if vocabulary:  # unit variance, as a standardised series has
            embedding = Embedding(vocabulary, self.embedding, key=embedding_key, start="normal(1)")
        inputs = [self.embedding if vocabulary else features] + [self.width] * (self.layers - 1)
        return RecurrentNetwork(
            embedding=embedding,
            cells=tuple(self.cell(n, self.width, key=k) for n, k in zip(inputs, keys, strict=True)),
            dropout=Dropout(self.dropout),
            head=Linear(self.width, outputs, key=head_key, start="lecun", role="head"),
            truncation=self.truncation,
        )


class RNN(RecurrentArchitecture):
    """The plain recurrent network, `h = tanh(W x + U h + b)`."""

    name: ClassVar[str] = "rnn"
    formula: ClassVar[str] = "h = tanh(W x + U h + b)"
    cell: ClassVar[type[Cell]] = RNNCell
    when: ClassVar[str] = (
        "To see why gates were invented: its gradient vanishes or explodes over long sequences."
    )
    reference: ClassVar[str] = "Elman 1990"


class LSTM(RecurrentArchitecture):
    """Long short-term memory: a cell that adds to its memory."""

    name: ClassVar[str] = "lstm"
    formula: ClassVar[str] = "c = f c + i g; h = o tanh(c)"
    cell: ClassVar[type[Cell]] = LSTMCell
    when: ClassVar[str] = "Sequences and series of any length, with little data."
    reference: ClassVar[str] = "Hochreiter & Schmidhuber 1997; Gers et al. 2000"


class GRU(RecurrentArchitecture):
    """Gated recurrent units: about as good as an LSTM, with three quarters of its parameters."""

    name: ClassVar[str] = "gru"
    formula: ClassVar[str] = "h = (1-z) n + z h, n = tanh(W x + b + r (U h + c))"
    cell: ClassVar[type[Cell]] = GRUCell
    when: ClassVar[str] = "As an LSTM, somewhat smaller and faster."
    reference: ClassVar[str] = "Cho et al. 2014"


class RecurrentNetwork(eqx.Module):
    """The module of `RNN`, `LSTM` and `GRU`."""

    embedding: Embedding | None
    cells: tuple[Cell, ...]
    dropout: Dropout
    head: Linear
    truncation: int | None = eqx.field(static=True)

    def begin(self) -> PyTree:
        """Return the carry of all layers before the first step: zeros."""
        return tuple(cell.begin() for cell in self.cells)

    def run(
        self, x: Shaped[Array, "time ..."], carry: PyTree, *, key: Key[Array, ""] | None = None
    ) -> tuple[Float[Array, "..."], PyTree]:
        """Run over a sequence from the carry at the end of the one before it.

        Returns:
            Logits at every position (tokens) or the output at the last (series), and the next carry.
        """
        hidden = x if self.embedding is None else self.embedding(x)
        keys = self.dropout.keys(key, len(self.cells))
        carries = []
        for cell, start, dropout_key in zip(self.cells, carry, keys, strict=True):
            end, hidden = unroll(cell, hidden, start, self.truncation)
            hidden = self.dropout(hidden, key=dropout_key)
            carries.append(end)
        return self.head(hidden if self.embedding is not None else hidden[-1]), tuple(carries)

    def __call__(
        self, x: Shaped[Array, "time ..."], *, key: Key[Array, ""] | None = None
    ) -> Float[Array, "..."]:
        """Return the output of one sequence, started from zeros."""
        return self.run(x, self.begin(), key=key)[0]


def _gate_weights(rule: str, gates: int, shape: tuple[int, int], key: Key[Array, ""]) -> Array:
    """Draw initial weights gate by gate and stack them."""
    width, inputs = shape
    sample = initialisation(rule).sample
    return jnp.concatenate([sample(k, shape, Fans(inputs, width)) for k in jax.random.split(key, gates)])
