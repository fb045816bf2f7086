"""Checks that a problem and a recipe fit together, before any work starts."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from thalweg.core.errors import DataError, RecipeError
from thalweg.core.tree import lane
from thalweg.engine.group import initial
from thalweg.problem import augment
from thalweg.problem.data.split import Rows, Split
from thalweg.problem.models.adapter import PartitionedModel, initial_carry
from thalweg.problem.models.architecture import Architecture
from thalweg.problem.problem import Problem
from thalweg.recipe.precision import check_available
from thalweg.recipe.recipe import CONTINUED, Recipe
from thalweg.run.run import outputs

# Examples that a loss is checked on: enough to tell probabilities from logits, few enough to cost nothing.
SAMPLE = 64


def check_recipe(problem: Problem, recipe: Recipe) -> None:
    """Reject a recipe that does not fit the data, the metric or the machine.

    Raises:
        RecipeError: A batch larger than the training split, a target that cannot be reached, or a precision
            that is switched off.
    """
    augment.check(recipe.augment, problem.data.preparation.columns)
    count = problem.data.train.count()
    if recipe.batch(count) > count:
        raise RecipeError(
            "recipe",
            f"batch_size must be at most the training split's {count} examples",
            got=recipe.batch_size,
            hint=f"try {max(1, count // 10)}, or more data",
        )
    if recipe.shuffle == CONTINUED:
        initial_carry(problem.shapes, 1, 1)
    check_available(recipe.precision)
    if recipe.target is not None:
        _check_target(problem, recipe.target)


def check_loss(problem: Problem) -> None:
    """Reject outputs and targets that the loss does not take: `Loss.check` on a sample of the training split.

    The sample is spread evenly over the split, so that sorted labels are seen, and holds the examples with
    the smallest and the largest target. Outputs are those of the initial weights of seed 0. The library's own
    architectures give logits or values by construction: there the shape of the outputs is enough, and nothing
    is compiled.

    Raises:
        ModelError: The loss does not take the outputs: probabilities for logits, another shape.
        DataError: The loss does not take the targets: labels out of range, values that are not finite.
    """
    sample = _sample(problem.data.train)
    if isinstance(problem.model, Architecture):
        predicted = np.zeros((sample.count(), *problem.output.shape), problem.output.dtype)
    else:
        params, model_state, fixed = initial(problem, [0])
        inputs = problem.data.preparation.scale(sample.inputs)
        predicted = outputs(PartitionedModel(lane(params, 0), lane(model_state, 0), fixed), inputs)
    jax.eval_shape(problem.loss, predicted, sample.targets)
    try:
        problem.loss.check(predicted, sample.targets)
    except DataError as error:  # it names a position in the sample, which the user does not know
        where = "in the training split"
        raise DataError(error.who, error.rule, got=error.got, where=where, hint=error.hint) from error


def _check_target(problem: Problem, target: float) -> None:
    metric = problem.metric
    if problem.data.validation is None:
        raise RecipeError(
            "recipe",
            "target needs a validation split to be reached on",
            got=target,
            hint="give the data a validation split, or leave target out",
        )
    if metric.best is None:
        return
    if target > metric.best if metric.higher_is_better else target < metric.best:
        percent = metric.best == 1.0 and metric.higher_is_better and target <= 100.0
        raise RecipeError(
            "recipe",
            f"target must be at {'most' if metric.higher_is_better else 'least'} {metric.best:g}, the best "
            f"possible {metric.name}",
            got=target,
            hint=f"{metric.name} is a fraction: try {target / 100:g}" if percent else None,
        )


def _sample(split: Split) -> Rows:
    count = split.count()
    index = np.linspace(0, count - 1, min(SAMPLE, count)).astype(np.int32)
    if isinstance(split, Rows):  # on the host: a gather on the device would be compiled first
        index = np.concatenate([index, *map(_extremes, jax.tree.leaves(split.targets))])
        return jax.tree.map(lambda leaf: np.asarray(leaf)[index], split)
    inputs, targets = split.batch(jnp.asarray(index))
    return Rows(inputs, targets)


def _extremes(targets: Array | np.ndarray) -> Int[np.ndarray, " 2"]:
    """Return the indices of the smallest and the largest target; a NaN counts as both."""
    values = np.asarray(targets)
    ends = values.argmin(), values.argmax()
    return np.array([np.unravel_index(end, values.shape)[0] for end in ends], np.int32)
