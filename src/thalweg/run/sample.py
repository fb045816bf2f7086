"""A sample of what a character model writes, at the end of a run: a person sees what the loss means."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from thalweg.core import keys
from thalweg.core.tree import count
from thalweg.problem.data.inputs.text import LineInputs, TextInputs
from thalweg.problem.data.preparation import Preparation
from thalweg.problem.models.adapter import Built, apply
from thalweg.problem.models.sampling import Sampling, sample

FILE = "sample.txt"
# Characters of a running text, and lines where every line is an example: half a screen.
CHARACTERS, LINES = 500, 12
# A little below 1, so that rare slips of the pen do not hide what was learned; nanoGPT's sample.py has 0.8.
TEMPERATURE = 0.8
# Floating-point operations that a sample may take: seconds on a processor. Every character runs the model
# over its whole window, at about 2 operations for each parameter and token.
BUDGET = 1e12
# Below so many characters a sample tells nothing.
FEWEST = 20


class _Reader(eqx.Module):
    """A trained model as a function of one sequence of tokens."""

    built: Built

    def __call__(self, x: Int[Array, " time"]) -> Float[Array, "time vocabulary"]:
        return apply(self.built, x[None], key=None, training=False)[0][0]


def sampled(preparation: Preparation, built: Built, seed: int) -> str | None:
    """Return a sample of text, a pure function of the weights and the seed.

    Running text goes on from a line break (or from the first character of the vocabulary, where there is no
    line break); of lines a few are drawn from their beginning to their end.

    Args:
        preparation: The data's; it holds the vocabulary.
        built: The trained model, without a lane axis.
        seed: The run's seed.

    Returns:
        The text; None where the data is no text, the model does not give a token for each position, or is so
        large that sampling would take more than `BUDGET`.
    """
    columns: Any = preparation.columns
    if not columns.writes_text:
        return None
    affordable = int(BUDGET / (2 * count(built.params) * columns.length))
    length = min(CHARACTERS, affordable)
    if length < FEWEST:
        return None
    reader, key = _Reader(built), keys.purpose_key(keys.lane_key(seed), keys.SAMPLE)
    if columns.boundary is None:
        return _running(reader, columns, length, key)
    return _lines(reader, columns, max(1, min(LINES, affordable // columns.length)), key)


def _running(reader: _Reader, columns: TextInputs, length: int, key: Key[Array, ""]) -> str:
    start = max(columns.characters.find("\n"), 0)
    how = Sampling(length, columns.length, TEMPERATURE)
    return columns.text(np.asarray(sample(reader, jnp.asarray([start]), how, key=key)))


def _lines(reader: _Reader, columns: LineInputs, lines: int, key: Key[Array, ""]) -> str:
    how = Sampling(columns.length, columns.length, TEMPERATURE)
    start = jnp.asarray([columns.boundary])
    found = [np.asarray(sample(reader, start, how, key=one)) for one in jax.random.split(key, lines)]
    return "".join(columns.text.text(tokens).split("\n")[0] + "\n" for tokens in found)
