"""The splits of a data set (train, validation, test) as the compiled program sees them: batches by index.

A split is a pytree whose arrays are on the device and enter every program as arguments; programs never close
over them.
"""

import abc
import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PyTree, Shaped

# How far an input may lie from 0, in standard deviations: a typing error must not swamp all other inputs.
FURTHEST = 8.0


class Split(eqx.Module):
    """A train, validation or test split. Callers ask what it can do, not which class it is.

    Class attributes:
        weighted: Whether targets come with weights, `(targets, weights)`, as `losses.Weighted` takes them.
        is_text: Whether its examples are windows of one long text, so that a few examples hold many
            predictions.
        one_row: Whether an example is a single row, rather than a window or a sequence of rows.
        divided: Whether each device of a mesh has only its share of the rows of each batch.
    """

    weighted: ClassVar[bool] = False
    is_text: ClassVar[bool] = False
    one_row: ClassVar[bool] = False
    divided: ClassVar[bool] = False

    @abc.abstractmethod
    def count(self) -> int:
        """Return how many examples there are."""

    @property
    @abc.abstractmethod
    def input_shape(self) -> Any:
        """Shape of one example's inputs; for a tree of arrays, the tree of their shapes."""

    @abc.abstractmethod
    def batch(self, indices: Int[Array, " batch"]) -> tuple[PyTree, PyTree]:
        """Return (inputs, targets) of the examples at `indices`, with a leading batch axis. Pure."""

    def gather(self, indices: np.ndarray) -> tuple[PyTree, PyTree] | None:
        """Return the values of `batch` as NumPy arrays, read on the host; None where that cannot be done."""
        return None

    @property
    def known_targets(self) -> Array | np.ndarray | None:
        """One array with the target of every example; None if there is no such array."""
        return None

    @property
    def last_values(self) -> np.ndarray | None:
        """The naive forecast for every example; None if the data are not a time series."""
        return None

    @property
    def offsets(self) -> np.ndarray | None:
        """What is added to the targets of every example, and to the model's outputs for it, `example`; None
        for nothing. In the unit of standardised targets.
        """
        return None

    @property
    def successor(self) -> int | None:
        """Index distance from an example to the one that continues it; None if there is no such distance."""
        return None

    def fewer(self, most: int) -> "Split":
        """Return at most `most` evenly spaced examples; of one long text, its beginning."""
        return self

    @property
    def example_weights(self) -> np.ndarray | None:
        """The weight of every example, `example`; None where there is no such array."""
        return None

    def total_weight(self, stride: int = 1) -> float:
        """Return what every `stride`-th example weighs together."""
        own = self.example_weights
        return -(-self.count() // stride) if own is None else float(own[::stride].sum(dtype=np.float64))

    def with_targets(self, change: Callable[[np.ndarray], np.ndarray]) -> "Split | None":
        """Return the split with every target changed, on the host; None where that cannot be done."""
        return None


class Rows(Split):
    """Examples along the first axis of arrays.

    Args:
        inputs: One array, or a tree of arrays, `example ...`. Images may stay uint8.
        targets: One array or a tree, `example ...`: int32 classes or float32 values; empty where an objective
            sees examples as a whole.
    """

    one_row: ClassVar[bool] = True

    inputs: PyTree[Shaped[Array | np.ndarray, "example ..."]]
    targets: PyTree[Shaped[Array | np.ndarray, "example ..."]]

    def count(self) -> int:
        """Return the length of the first axis."""
        return first_leaf((self.inputs, self.targets)).shape[0]

    @property
    def input_shape(self) -> Any:
        """Shapes without the first axis."""
        if isinstance(self.inputs, (np.ndarray, jax.Array)):
            return tuple(self.inputs.shape[1:])
        return jax.tree.map(lambda leaf: tuple(leaf.shape[1:]), self.inputs)

    def batch(self, indices: Int[Array, " batch"]) -> tuple[PyTree, PyTree]:
        """Gather rows by index."""
        return _take(self.inputs, indices), _take(self.targets, indices)

    def gather(self, indices: np.ndarray) -> tuple[PyTree, PyTree] | None:
        """Gather rows by index, on the host."""
        return taken(self.inputs, indices), taken(self.targets, indices)

    @property
    def known_targets(self) -> Array | np.ndarray | None:
        """The targets, if they are one array rather than a tree."""
        return self.targets if isinstance(self.targets, (np.ndarray, jax.Array)) else None

    def fewer(self, most: int) -> "Rows":
        """Return at most `most` evenly spaced rows, on the host."""
        rows = _evenly_spaced(self.count(), most)
        return jax.tree.map(lambda leaf: np.asarray(leaf)[rows], self)

    def with_targets(self, change: Callable[[np.ndarray], np.ndarray]) -> "Rows | None":
        """Return the rows with every target changed, if the targets are one array."""
        targets = self.known_targets
        return None if targets is None else dataclasses.replace(self, targets=change(np.asarray(targets)))


class Windows(Split):
    """Windows of one long sequence; the target of each position is the token after it.

    Args:
        tokens: The sequence, int, `position`.
        length: Tokens in a window (context), in tokens.
        stride: Distance between the starts of neighbouring windows: 1 for training (every start),
            `length` for an evaluation that counts each token once.
    """

    is_text: ClassVar[bool] = True

    tokens: Shaped[Array | np.ndarray, " position"]
    length: int = eqx.field(static=True)
    stride: int = eqx.field(static=True, default=1)

    def count(self) -> int:
        """Return how many whole windows there are, each with a next token for its last position."""
        return max(0, (self.tokens.shape[0] - 1 - self.length) // self.stride + 1)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """`(length,)`."""
        return (self.length,)

    def batch(self, indices: Int[Array, " batch"]) -> tuple[Array, Array]:
        """Return (tokens, next tokens), both int32 `batch position`."""
        positions = indices[:, None] * self.stride + jnp.arange(self.length + 1)
        tokens = jnp.asarray(self.tokens)[positions].astype(jnp.int32)
        return tokens[:, :-1], tokens[:, 1:]

    def gather(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Do what `batch` does, on the host."""
        positions = indices[:, None] * np.int64(self.stride) + np.arange(self.length + 1)
        tokens = taken(self.tokens, positions).astype(np.int32)
        return tokens[:, :-1], tokens[:, 1:]

    @property
    def successor(self) -> int | None:
        """Windows until the one that begins where this one ends; None if none begins exactly there."""
        return self.length // self.stride if self.length % self.stride == 0 else None

    def fewer(self, most: int) -> "Windows":
        """Return the first `most` windows."""
        end = self.length + 1 + (min(self.count(), most) - 1) * self.stride
        return dataclasses.replace(self, tokens=self.tokens[:end])


class Sequences(Split):
    """Sequences of tokens of different lengths; the target of each position is the token after it.

    Targets come with weights that make the mean over all examples the mean over all tokens, whatever the
    lengths: with T positions and mean length m, a token weighs T / m and padding 0. A batch is not divided
    by its own number of tokens, so that every token counts the same in every batch.

    Args:
        tokens: From the first input to the last target, padded at the end, int, `example position`.
        lengths: Tokens to predict in each, int32, `example`.
        mean_length: Their mean over the split, in tokens, float32.
    """

    weighted: ClassVar[bool] = True

    tokens: Shaped[Array | np.ndarray, "example position"]
    lengths: Int[Array | np.ndarray, " example"]
    mean_length: Shaped[Array | np.ndarray, ""]

    def count(self) -> int:
        """Return how many sequences there are."""
        return self.tokens.shape[0]

    @property
    def input_shape(self) -> tuple[int, ...]:
        """`(positions,)`, the length of the longest sequence."""
        return (self.tokens.shape[1] - 1,)

    def batch(self, indices: Int[Array, " batch"]) -> tuple[Array, tuple[Array, Array]]:
        """Return (tokens, (next tokens, weights)), each `batch position`."""
        tokens = jnp.asarray(self.tokens)[indices].astype(jnp.int32)
        positions = self.tokens.shape[1] - 1
        counted = jnp.arange(positions) < jnp.asarray(self.lengths)[indices][:, None]
        weights = jnp.where(counted, positions / jnp.asarray(self.mean_length), 0.0)
        return tokens[:, :-1], (tokens[:, 1:], weights)

    def gather(self, indices: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
        """Do what `batch` does, on the host."""
        tokens = taken(self.tokens, indices).astype(np.int32)
        positions = self.tokens.shape[1] - 1
        counted = np.arange(positions) < taken(self.lengths, indices)[:, None]
        each = np.float32(positions) / np.float32(self.mean_length)
        return tokens[:, :-1], (tokens[:, 1:], np.where(counted, each, np.float32(0)))

    def fewer(self, most: int) -> "Sequences":
        """Return at most `most` evenly spaced sequences, with their own mean length."""
        rows = _evenly_spaced(self.count(), most)
        lengths = np.asarray(self.lengths)[rows]
        return Sequences(np.asarray(self.tokens)[rows], lengths, np.asarray(lengths.mean(), np.float32))


class SeriesWindows(Split):
    """Windows of one or several time series, each with the targets that follow it.

    With `change_scale`, a target is the change from the window's last known value, `offsets`, and the past
    of the target enters once more as its distance from that value: the levels of several series may differ
    by far more than what is to be predicted. The same subtraction is made by NLinear (Zeng et al., Are
    Transformers Effective for Time Series Forecasting?, 2023); here the level stays an input, too.

    Args:
        rows: Inputs, float32, `time feature`: one series after another, each in time order.
        following: The target at the same times, `time`: float32 values or int32 classes. With
            `change_scale`, less `base`.
        starts: First row of each window, int32, `example`. No window reaches into another series.
        window: Rows in a window.
        horizon: Number of targets after it: those of the window that starts at s are
            `following[s + window : s + window + horizon]`.
        known: For each row the last row at or before it whose target is present, int32, `time`; -1 if there
            is none. None: all targets are present.
        base: What was subtracted from the targets of each window's series, float32, `example`: near the
            level of the series, so that float32 resolves small changes of large values.
        change_scale: Factor from the unit of `following` to the inputs that are distances from the last
            known value; None: targets are values, and there are no such inputs.
    """

    rows: Shaped[Array | np.ndarray, "time feature"]
    following: Shaped[Array | np.ndarray, " time"]
    starts: Int[Array | np.ndarray, " example"]
    window: int = eqx.field(static=True)
    horizon: int = eqx.field(static=True, default=1)
    known: Int[Array | np.ndarray, " time"] | None = None
    base: Shaped[Array | np.ndarray, " example"] | None = None
    change_scale: float | None = eqx.field(static=True, default=None)

    def count(self) -> int:
        """Return how many windows there are."""
        return self.starts.shape[0]

    @property
    def input_shape(self) -> tuple[int, ...]:
        """`(window, features)`."""
        return (self.window, self.rows.shape[1] + (self.change_scale is not None))

    @property
    def targets(self) -> np.ndarray:
        """The targets of all windows, without `offsets`: values, `example horizon`, or classes, `example`."""
        return np.asarray(self.batch(np.arange(self.count()))[1])

    @property
    def known_targets(self) -> np.ndarray:
        """The targets of all windows."""
        return self.targets

    @property
    def last_values(self) -> np.ndarray:
        """The last target that is known in each window, `example`; 0, the mean, if all are missing."""
        starts = np.asarray(self.starts)
        values = np.asarray(self._last_known(starts))
        if self.base is None:
            return values
        known = np.asarray(self._known(starts + self.window - 1)) >= starts
        return np.where(known, values + np.asarray(self.base), 0).astype(np.float32)

    @property
    def offsets(self) -> np.ndarray | None:
        """With `change_scale`, the last known values."""
        return None if self.change_scale is None else self.last_values

    def batch(self, indices: Int[Array | np.ndarray, " batch"]) -> tuple[Array, Array]:
        """Return (windows, targets): `batch time feature`, and `batch horizon` values or `batch` classes."""
        return self._batch(indices, jnp)

    def gather(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Do what `batch` does, on the host."""
        return self._batch(indices, np)

    def windows(self, indices: Int[Array | np.ndarray, " batch"]) -> Array:
        """Return the inputs alone, `batch time feature`. Pure."""
        return self._windows(indices, jnp)

    def _batch(self, indices: Any, xp: Any) -> tuple[Any, Any]:
        """Compute batches with `jax.numpy` or `numpy`, which is `xp`."""
        starts = xp.asarray(self.starts)[indices]
        following = starts[:, None] + self.window + xp.arange(self.horizon)
        targets = xp.asarray(self.following)[following]
        if self.change_scale is not None:
            targets = targets - self._last_known(starts, xp)[:, None]
        classes = xp.issubdtype(targets.dtype, xp.integer)
        return self._windows(indices, xp), targets[:, 0] if classes else targets

    def _windows(self, indices: Any, xp: Any) -> Any:
        starts = xp.asarray(self.starts)[indices][:, None]
        times = starts + xp.arange(self.window)
        inputs = xp.asarray(self.rows)[times]
        if self.change_scale is None:
            return inputs
        distances = self._values(times, starts, xp) - self._last_known(starts[:, 0], xp)[:, None]
        known = self._known(times, xp) >= starts
        scaled = xp.clip(xp.where(known, distances * self.change_scale, 0.0), -FURTHEST, FURTHEST)
        return xp.concatenate([inputs, scaled[..., None]], axis=-1)

    @property
    def successor(self) -> int | None:
        """Windows until the one that begins where this one ends; None if windows were left out."""
        starts = np.asarray(self.starts)
        return self.window if np.array_equal(starts, np.arange(starts[0], starts[-1] + 1)) else None

    def with_targets(self, change: Callable[[np.ndarray], np.ndarray]) -> "SeriesWindows | None":
        """Return the windows with every target changed; None where targets are changes."""
        if self.change_scale is not None or self.base is not None:
            return None
        following = np.asarray(self.following)
        new = change(following[:, None] if following.dtype.kind == "f" else following)
        return dataclasses.replace(self, following=new.reshape(following.shape))

    def fewer(self, most: int) -> "SeriesWindows":
        """Return at most `most` evenly spaced windows."""
        rows = _evenly_spaced(self.count(), most)
        base = None if self.base is None else np.asarray(self.base)[rows]
        return dataclasses.replace(self, starts=np.asarray(self.starts)[rows], base=base)

    def _known(self, times: Any, xp: Any = jnp) -> Any:
        """Return the last rows at or before some times whose targets are present."""
        return times if self.known is None else xp.asarray(self.known)[times]

    def _values(self, times: Any, starts: Any, xp: Any) -> Any:
        """Return the last known targets at some times, of windows with these starts; 0 where none is."""
        known = self._known(times, xp)
        return xp.where(known >= starts, xp.asarray(self.following)[known], 0)

    def _last_known(self, starts: Any, xp: Any = jnp) -> Any:
        return self._values(starts + self.window - 1, starts, xp)


def first_leaf(tree: PyTree) -> Array | np.ndarray:
    """Return the first array of a tree."""
    return jax.tree.leaves(tree)[0]


def taken(tree: PyTree, indices: np.ndarray) -> PyTree:
    """Return rows of every array of a tree, on the host."""
    return jax.tree.map(lambda leaf: np.take(np.asarray(leaf), indices, axis=0), tree)


def _evenly_spaced(count: int, most: int) -> Int[np.ndarray, " example"]:
    return np.linspace(0, count - 1, min(count, most)).astype(np.int64)


def _take(tree: PyTree, indices: Int[Array, " batch"]) -> PyTree:
    return jax.tree.map(lambda leaf: jnp.asarray(leaf)[indices], tree)
