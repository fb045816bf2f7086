"""The base of every loss: a frozen, named, hashable rule from (outputs, targets) to one number per example.

A loss takes a batch. Sequence models give one value per position; the loss of an example is then the mean
over its positions. The engine takes the mean over the batch, so that padding, weights and lanes are handled
in one place. Shapes are checked on every call (they are static, so this costs nothing at run time); `check`
validates the values of a first, concrete batch.
"""

import abc
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

from thalweg.core.errors import ModelError, ThalwegError
from thalweg.problem.members import Members

# Two artificial batch sizes, both prime and unlike any width that users choose. A result whose first axis
# follows both is batched; one whose first axis merely happens to equal the batch size is not.
_PROBE_SIZES = (1009, 1013)
# How losses take targets; see `Loss`.
STANDARDISED, RATIOS, ORDERED = "standardised", "ratios", "ordered"


class Elements(NamedTuple):
    """A loss before it is averaged over positions.

    Args:
        values: One loss per example, or per example and position.
        mask: Same shape as `values`, True where a value counts. None: all count.
    """

    values: Float[Array, "batch ..."]
    mask: Bool[Array, "batch ..."] | None = None

    def example_means(self) -> Float[Array, " batch"]:
        """Average over all axes but the first; an example whose positions are all masked has loss 0."""
        values, mask = self
        if mask is not None:
            values = jnp.where(mask, values, 0.0)
        axes = tuple(range(1, values.ndim))
        if not axes:
            return values
        if mask is None:
            return jnp.mean(values, axis=axes)
        return jnp.sum(values, axis=axes) / jnp.maximum(jnp.sum(mask, axis=axes), 1)


@dataclass(frozen=True)
class Loss(abc.ABC):
    """Base class of losses. The fields of a subclass are its options: plain, hashable values.

    Class attributes:
        name: Standard name, as on the command line.
        formula: The published formula, in plain text.
        when: When to use it, one sentence.
        reference: Authors, title, year, or the library whose convention is followed.
        takes_logits: Whether outputs are logits, so that a model ending in softmax or sigmoid is a mistake.
        meaning: What outputs mean, a key of `outputs.MEANINGS`; None where the loss alone does not say it.
        target_form: How it takes targets: `STANDARDISED`, or values as `RATIOS` to their mean, or classes
            that are `ORDERED`.
        listed: The option whose items stand alone in the short form: `quantile:0.1,0.9`.
    """

    name: ClassVar[str]
    formula: ClassVar[str]
    when: ClassVar[str]
    reference: ClassVar[str]
    takes_logits: ClassVar[bool] = False
    meaning: ClassVar[str | None] = None
    target_form: ClassVar[str] = STANDARDISED
    listed: ClassVar[str | None] = None

    @abc.abstractmethod
    def elements(self, outputs: Float[Array, "batch ..."], targets: Array) -> Elements:
        """Return the loss of every example and position. Pure.

        Raises:
            ModelError: The shapes do not fit.
        """

    @abc.abstractmethod
    def check(self, outputs: Array, targets: Array) -> None:
        """Check the values of a first batch.

        Raises:
            ModelError: This loss cannot take the outputs.
            DataError: This loss cannot take the targets.
        """

    def output_counts(self, task: str, count: int) -> tuple[int, ...]:
        """Return the numbers of outputs that a model may have, the usual number first.

        Args:
            task: As in `Data.task`.
            count: Number of classes, of target values, or of tokens in the vocabulary.

        Raises:
            ModelError: The loss does not support this number of classes.
        """
        del task
        return (count,)

    def __call__(self, outputs: PyTree, targets: PyTree) -> Float[Array, " batch"]:
        """Return one loss per example.

        Args:
            outputs: Outputs of the model, with a leading batch axis; of an ensemble in training `Members`.
            targets: Targets of the same batch.

        Returns:
            Losses, `batch` (of members their mean), in the dtype of the outputs; half precision is computed
            and returned in float32.

        Raises:
            ModelError: The shapes do not fit.
        """
        if isinstance(outputs, Members):
            each = jax.vmap(self.__call__, in_axes=(1, None), out_axes=1)(outputs.outputs, targets)
            return jnp.sum(each * outputs.weights.astype(each.dtype), axis=1)
        return self.elements(at_least_f32(outputs), targets).example_means()

    def spec(self) -> str:
        """Return the short form: the name, and the options that differ from their defaults."""
        changed = [f.name for f in dataclasses.fields(self) if getattr(self, f.name) != f.default]
        items = (
            [_format_option(item) for item in getattr(self, self.listed)] if self.listed in changed else []
        )
        items += [f"{n}={_format_option(getattr(self, n))}" for n in changed if n != self.listed]
        options = ",".join(items)
        return f"{self.name}:{options}" if options else self.name


@dataclass(frozen=True)
class Custom(Loss):
    """A user's function `(outputs, targets)`: of a batch -> `batch`, or of one example -> a number.

    Which of the two it is follows from the shapes that it returns for two artificial batch sizes.

    Args:
        function: The function. Two losses are equal when they hold the same function object.
    """

    name: ClassVar[str] = "custom"
    formula: ClassVar[str] = "the given function"
    when: ClassVar[str] = "Whatever is not in the table."
    reference: ClassVar[str] = "the user"

    function: Callable[..., Any]

    def elements(self, outputs: Array, targets: Array) -> Elements:
        """Call the function on the batch, or on each example."""
        values = batched(self.function, outputs, targets)(outputs, targets)
        return Elements(jnp.asarray(values))

    def output_counts(self, task: str, count: int) -> tuple[int, ...]:
        """Return the usual number; for two classes also 1, a single logit for both."""
        return (2, 1) if task == "classification" and count == 2 else (count,)

    def check(self, outputs: Array, targets: Array) -> None:
        """Accept everything: only the user knows what the function takes."""
        del outputs, targets

    @property
    def label(self) -> str:
        """Name of the function."""
        return getattr(self.function, "__name__", type(self.function).__name__)


def batched(function: Callable[..., Any], outputs: PyTree, targets: PyTree) -> Callable[..., Any]:
    """Return `function` as a function of a batch: unchanged if it is one, else mapped over the examples.

    Raises:
        ModelError: The function returns no floating-point number per example.
    """
    if all(_is_batched(function, outputs, targets, size) for size in _PROBE_SIZES):
        return function
    mapped = jax.vmap(function)
    try:
        leaves = jax.tree.leaves(jax.eval_shape(mapped, outputs, targets))
    except ThalwegError:
        raise
    except Exception as error:
        raise _failing(function, outputs, targets) from error
    if len(leaves) != 1 or not jnp.issubdtype(leaves[0].dtype, jnp.floating) or leaves[0].ndim != 1:
        raise ModelError(
            "loss",
            "must give one floating-point number per example",
            got=f"for one example: {', '.join(f'{leaf.dtype} {leaf.shape[1:]}' for leaf in leaves) or None}",
            hint="return losses of shape (batch,), or a single number for one example",
        )
    return mapped


def _failing(function: Callable[..., Any], outputs: PyTree, targets: PyTree) -> ModelError:
    """Return the error for a function that fails on a batch and on an example; it shows that on the batch."""
    try:
        jax.eval_shape(function, outputs, targets)
        reason = "it fails on a single example"
    except Exception as error:
        reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    shapes = [", ".join(str(leaf.shape) for leaf in jax.tree.leaves(tree)) for tree in (outputs, targets)]
    return ModelError(
        "loss",
        "must take the outputs and targets of a batch, or of one example",
        got=f"outputs {shapes[0]}, targets {shapes[1]} (batch first)",
        where=reason,
        hint="write it for these shapes; a loss of o[:, 0] needs outputs of shape (batch, 1) or wider",
    )


def _is_batched(function: Callable[..., Any], outputs: PyTree, targets: PyTree, size: int) -> bool:
    resized = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((size, *leaf.shape[1:]), leaf.dtype), (outputs, targets)
    )
    try:
        leaves = jax.tree.leaves(jax.eval_shape(function, *resized))
    except Exception:  # a function of one example may fail on a batch in any way
        return False
    return len(leaves) == 1 and leaves[0].shape == (size,)


def at_least_f32(outputs: PyTree) -> PyTree:
    """Return half-precision outputs as float32 and wider ones unchanged."""
    halves = (jnp.float16, jnp.bfloat16)
    return jax.tree.map(lambda leaf: leaf.astype(jnp.float32) if leaf.dtype in halves else leaf, outputs)


def _format_option(value: Any) -> str:
    if isinstance(value, tuple):
        return "/".join(map(_format_option, value))
    return value if isinstance(value, str) else f"{value:g}"
