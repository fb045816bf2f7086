"""What every loss is: a frozen, named, hashable rule from (outputs, targets) to one number per example.

A loss sees a batch. Sequence models give one value per position; an example's loss is then the mean over its
positions. The mean over the batch is the engine's business, so that padding, weights and lanes are
handled in one place. Shapes are checked whenever a loss is called (they are static, so it costs nothing
at run time); `check` looks at the values of a first, concrete batch.
"""

import abc
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from thalweg.core.errors import ModelError

# Two artificial batch sizes, both prime and unlike any width people choose: a result whose first axis follows
# them is batched; one whose axis merely happens to equal the batch does not.
_PROBES = (1009, 1013)


class Elements(NamedTuple):
    """A loss before averaging over positions.

    Args:
        values: One loss per example, or per example and position.
        counted: Of the same shape, True where a value counts; None: all do.
    """

    values: Float[Array, "batch ..."]
    counted: Array | None = None


@dataclass(frozen=True)
class Loss(abc.ABC):
    """A loss. Subclasses are final; their fields are its options, plain hashable values.

    Class attributes:
        name: Standard name, as on the command line.
        formula: The published formula, in plain text.
        when: When to use it, one sentence.
        reference: Authors, title, year, or the library whose convention is followed.
        takes_logits: Whether outputs are logits, so that a model ending in softmax or sigmoid is a mistake.
    """

    name: ClassVar[str]
    formula: ClassVar[str]
    when: ClassVar[str]
    reference: ClassVar[str]
    takes_logits: ClassVar[bool] = False

    @abc.abstractmethod
    def elements(self, outputs: Float[Array, "batch ..."], targets: Array) -> Elements:
        """Return the loss of every example and position; `ModelError` for shapes that do not fit. Pure."""

    @abc.abstractmethod
    def check(self, outputs: Array, targets: Array) -> None:
        """Look at the values of a first batch.

        Raises:
            ModelError: The outputs are not what this loss takes.
            DataError: The targets are not what this loss takes.
        """

    def widths(self, task: str, count: int) -> tuple[int, ...]:
        """Return how many outputs a model may have, the usual number first.

        Args:
            task: As in `Data.task`.
            count: Classes, target values, or the vocabulary.

        Raises:
            ModelError: The loss is not for so many classes.
        """
        del task
        return (count,)

    def __call__(self, outputs: PyTree, targets: PyTree) -> Float[Array, " batch"]:
        """Return one loss per example.

        Args:
            outputs: What the model gave, with a leading batch axis.
            targets: What it should have given.

        Returns:
            Losses, `batch`, in the outputs' type (half precision is computed and given in float32).

        Raises:
            ModelError: The shapes do not fit.
        """
        found = self.elements(at_least_f32(outputs), targets)
        return averaged(found)

    def spec(self) -> str:
        """Return the short form: the name, and the options that differ from their defaults."""
        changed = [f for f in dataclasses.fields(self) if getattr(self, f.name) != f.default]
        options = ",".join(f"{f.name}={_plain(getattr(self, f.name))}" for f in changed)
        return f"{self.name}:{options}" if options else self.name


@dataclass(frozen=True)
class Custom(Loss):
    """A function of the user's: `(outputs, targets)` of a batch -> `batch`, or of one example -> a number.

    Which of the two it is, is found from the shapes it gives for two artificial batch sizes.

    Args:
        function: The function; two losses are equal when their functions are the same object.
    """

    name: ClassVar[str] = "custom"
    formula: ClassVar[str] = "the given function"
    when: ClassVar[str] = "Whatever is not in the table."
    reference: ClassVar[str] = "the user"

    function: Callable[..., Any]

    def elements(self, outputs: Array, targets: Array) -> Elements:
        """Call the function on the batch, or on each example; see the class."""
        values = batched(self.function, outputs, targets)(outputs, targets)
        return Elements(jnp.asarray(values))

    def widths(self, task: str, count: int) -> tuple[int, ...]:
        """Return the usual number; for two classes also the one output of a logit for both."""
        return (2, 1) if task == "classification" and count == 2 else (count,)

    def check(self, outputs: Array, targets: Array) -> None:
        """Look at nothing: what a function of the user's takes is the user's to say."""
        del outputs, targets

    @property
    def label(self) -> str:
        """The function's own name."""
        return getattr(self.function, "__name__", type(self.function).__name__)


def batched(function: Callable[..., Any], outputs: PyTree, targets: PyTree) -> Callable[..., Any]:
    """Return `function` as one over batches: itself if it is one, else mapped over the examples.

    Raises:
        ModelError: It fits neither, or does not give numbers.
    """
    if all(_follows(function, outputs, targets, size) for size in _PROBES):
        return function
    mapped = jax.vmap(function)
    one = jax.eval_shape(mapped, outputs, targets)
    leaves = jax.tree.leaves(one)
    if len(leaves) != 1 or not jnp.issubdtype(leaves[0].dtype, jnp.floating) or leaves[0].ndim != 1:
        raise ModelError(
            "loss",
            "must give one floating-point number per example",
            got=f"for one example: {', '.join(f'{leaf.dtype} {leaf.shape[1:]}' for leaf in leaves) or None}",
            hint="return losses of shape (batch,), or a single number for one example",
        )
    return mapped


def _follows(function: Callable[..., Any], outputs: PyTree, targets: PyTree, size: int) -> bool:
    resized = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((size, *leaf.shape[1:]), leaf.dtype), (outputs, targets)
    )
    try:
        found = jax.tree.leaves(jax.eval_shape(function, *resized))
    except Exception:  # whatever a function for one example makes of a batch
        return False
    return len(found) == 1 and found[0].shape == (size,)


def averaged(found: Elements) -> Float[Array, " batch"]:
    """Average over everything but the batch axis; an example of which nothing counts has loss 0."""
    values, counted = found
    if counted is not None:
        values = jnp.where(counted, values, 0.0)
    axes = tuple(range(1, values.ndim))
    if not axes:
        return values
    if counted is None:
        return jnp.mean(values, axis=axes)
    return jnp.sum(values, axis=axes) / jnp.maximum(jnp.sum(counted, axis=axes), 1)


def at_least_f32(outputs: PyTree) -> PyTree:
    """Return half-precision outputs in float32; wider ones as they are."""
    halves = (jnp.float16, jnp.bfloat16)
    return jax.tree.map(lambda leaf: leaf.astype(jnp.float32) if leaf.dtype in halves else leaf, outputs)


def _plain(value: Any) -> str:
    return "/".join(map(_plain, value)) if isinstance(value, tuple) else f"{value:g}"
