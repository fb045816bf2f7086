"""Recurrent networks over tokens or series: RNN, LSTM and GRU, one architecture with three cells.

An input of one axis is a sequence of tokens: they are embedded, and every position gives logits for the next
token. An input of two axes is a series of vectors, `time x features`: the last position gives the output.

Windows start from zeros. Under a recipe's `shuffle = "continued"` each goes on from where the one before it
ended: truncated backpropagation through time over the whole sequence, cut at the windows' borders.
`truncation` cuts within a window as well.
"""

import dataclasses
from typing import ClassVar, Self

import equinox as eqx
import jax
from jaxtyping import Array, Float, Key, PyTree, Shaped

from thalweg.core.choice import integer, number
from thalweg.core.errors import ModelError
from thalweg.problem.models.architecture import Architecture, completed, known
from thalweg.problem.models.layers.dropout import Dropout
from thalweg.problem.models.layers.linear import Embedding, Linear
from thalweg.problem.models.layers.recurrent import Cell, GRUCell, LSTMCell, RNNCell, unrolled


class RecurrentArchitecture(Architecture):
    """What the three share: everything but the cell."""

    bare: ClassVar[str] = "width"
    cell: ClassVar[type[Cell]]

    width: int = integer(128, low=1, doc="Units of a layer.")
    layers: int = integer(1, low=1, doc="Layers, one upon the other.")
    embedding: int = integer(64, low=1, doc="Features of a token.")
    dropout: float = number(0.0, low=0.0, high=1.0, open_high=True, doc="Share of a layer's outputs zeroed.")
    truncation: int | None = integer(
        None, low=1, optional=True, doc="Steps after which no gradient flows further back; none: all."
    )
    vocabulary: int | None = integer(
        None, low=0, optional=True, doc="Tokens; 0: a series; none: from the data."
    )
    features: int | None = integer(
        None, low=0, optional=True, doc="Features of a series; none: from the data."
    )
    outputs: int | None = integer(None, low=1, optional=True, doc="Logits or values; none: from the data.")

    def fitted(self, input_shape: tuple[int, ...], outputs: int) -> Self:
        """Return this with open sizes filled in; see `Architecture.fitted`."""
        if len(input_shape) not in (1, 2):
            rule = "takes tokens (one axis) or a series (time x features)"
            raise ModelError(
                self.name, rule, got=f"shape {input_shape} from the data", hint="an mlp takes any shape"
            )
        tokens = len(input_shape) == 1
        found = {"vocabulary": outputs if tokens else 0, "features": 0 if tokens else input_shape[1]}
        return dataclasses.replace(self, **completed(self, found | {"outputs": outputs}, input_shape))

    def __call__(self, key: Key[Array, ""]) -> "RecurrentNetwork":
        """Make the module."""
        vocabulary, features, outputs = known(self, "vocabulary", "features", "outputs")
        embedding_key, head_key, *keys = jax.random.split(key, self.layers + 2)
        # Unit variance, as a standardised series has it.
        table = (
            Embedding(vocabulary, self.embedding, key=embedding_key, start="normal(1)")
            if vocabulary
            else None
        )
        inputs = [self.embedding if vocabulary else features] + [self.width] * (self.layers - 1)
        return RecurrentNetwork(
            embedding=table,
            cells=tuple(self.cell.create(n, self.width, key=k) for n, k in zip(inputs, keys, strict=True)),
            dropout=Dropout(self.dropout),
            head=Linear(self.width, outputs, key=head_key, start="lecun", role="head"),
            truncation=self.truncation,
        )


class RNN(RecurrentArchitecture):
    """The plain recurrent network, `h = tanh(W x + U h + b)`."""

    name: ClassVar[str] = "rnn"
    formula: ClassVar[str] = "h = tanh(W x + U h + b)"
    cell: ClassVar[type[Cell]] = RNNCell
    when: ClassVar[str] = "To see why gates were invented: its gradient fades or bursts over long sequences."
    reference: ClassVar[str] = "Elman 1990"


class LSTM(RecurrentArchitecture):
    """Long short-term memory: a cell that adds to what it keeps."""

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
    """What `RNN`, `LSTM` and `GRU` make."""

    embedding: Embedding | None
    cells: tuple[Cell, ...]
    dropout: Dropout
    head: Linear
    truncation: int | None = eqx.field(static=True)

    def begin(self) -> PyTree:
        """Return what all layers carry before the first step: zeros."""
        return tuple(cell.begin() for cell in self.cells)

    def run(
        self, x: Shaped[Array, "time ..."], carry: PyTree, *, key: Key[Array, ""] | None = None
    ) -> tuple[Float[Array, "..."], PyTree]:
        """Go through a sequence from what was carried out of the one before.

        Returns:
            Logits at every position (tokens) or the output at the last (series); and what is carried on.
        """
        hidden = x if self.embedding is None else self.embedding(x)
        keys = self.dropout.keys(key, len(self.cells))
        carried = []
        for cell, start, noise in zip(self.cells, carry, keys, strict=True):
            end, hidden = unrolled(cell, hidden, start, self.truncation)
            hidden = self.dropout(hidden, key=noise)
            carried.append(end)
        return self.head(hidden if self.embedding is not None else hidden[-1]), tuple(carried)

    def __call__(
        self, x: Shaped[Array, "time ..."], *, key: Key[Array, ""] | None = None
    ) -> Float[Array, "..."]:
        """Return the output of one sequence, started from zeros."""
        return self.run(x, self.begin(), key=key)[0]
