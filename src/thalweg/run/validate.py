"""Checks that a problem and a recipe fit together, before any work starts."""

from collections.abc import Callable, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PyTree

from thalweg.core import keys
from thalweg.core.caller import argument, option
from thalweg.core.device import free_on_accelerator
from thalweg.core.errors import BadInput, DataError, RecipeError
from thalweg.core.limits import as_bytes
from thalweg.core.tree import dotted, lane, roles
from thalweg.engine.feeds.gathered import DEVICE, HOST, check_gathered
from thalweg.engine.group import feed_of, initial, length
from thalweg.engine.plan import LanePlan
from thalweg.engine.program import structure
from thalweg.engine.update import Adapted, as_trained
from thalweg.engine.update import initial as first_state
from thalweg.problem import augment
from thalweg.problem.data.fold_rows import FoldRows
from thalweg.problem.data.split import Rows, Split
from thalweg.problem.data.weights import WeightedRows
from thalweg.problem.models.adapter import PartitionedModel, initial_carry
from thalweg.problem.models.architecture import Architecture, ends_in_activation
from thalweg.problem.players import Alternating
from thalweg.problem.problem import Problem
from thalweg.recipe.optimizers import CustomRule, Optimizer
from thalweg.recipe.precision import check_available
from thalweg.recipe.recipe import CONTINUED, MOST_STEPS, Recipe
from thalweg.recipe.schedules import FunctionSchedule, check_factors
from thalweg.recipe.settings import per_recipe
from thalweg.run.outputs import outputs

# Examples that a loss is checked on: enough to tell probabilities from logits, few enough to cost nothing.
SAMPLE = 64
# Training splits smaller than this are advised to use whole batches: a tenth of them is no batch.
FEW_EXAMPLES = 80
# Steps of the run at which a schedule that is a function is tried.
TRIED_STEPS = 256


def _eighth(count: int) -> int:
    """Return the power of two next below an eighth of the examples: at least eight updates an epoch."""
    return 2 ** max(0, (count // 8).bit_length() - 1)


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
            hint=f"try batch_size={'full' if count < FEW_EXAMPLES else _eighth(count)}, or more data",
            cause="batch_large",
        )
    updates = length(problem, recipe)
    if updates > MOST_STEPS:
        rule, hint = f"must make at most {MOST_STEPS:,} updates", "give fewer epochs, or a larger batch_size"
        raise RecipeError("recipe", rule, got=f"{updates:,}", hint=hint)
    _check_scalars(recipe)
    if isinstance(problem.objective, Alternating):
        _check_alternating(recipe)
    if problem.whole_batches and recipe.batch(count) % recipe.accumulate:
        rule = "accumulate must divide batch_size, as the objective gives one number for a batch"
        hint = "return one loss for each row, or choose another batch_size"
        got = f"{recipe.accumulate} and {recipe.batch(count)}"
        raise RecipeError("recipe", rule, got=got, hint=hint)
    lengths_that_do_not_fit(problem, recipe)
    if recipe.shuffle == CONTINUED:
        initial_carry(problem.shapes, 1, 1)
    check_available(recipe.precision)
    if recipe.target is not None:
        _check_target(problem, recipe.target)


def notes_on(problem: Problem, recipes: Sequence[Recipe]) -> list[str]:
    """Return sentences on what the user should know before the recipes are trained together.

    Raises:
        RecipeError: Fractions of a schedule or an average do not fit into any run.
    """
    lengths = per_recipe(lambda recipe: lengths_that_do_not_fit(problem, recipe), recipes)
    notes = [sentence for sentences in lengths for sentence in sentences]
    for component in [part for recipe in recipes[:1] for part in (recipe.optimizer, recipe.schedule)]:
        for name in getattr(component, "branching", ()):
            parts = [part for recipe in recipes for part in (recipe.optimizer, recipe.schedule)]
            values = {getattr(part, name) for part in parts if type(part) is type(component)}
            if len(values) > 1:
                notes.append(
                    f"{component.name} branches in Python on {name}: each of its {len(values)} values "
                    "is compiled to a program of its own."
                )
    return list(dict.fromkeys(notes))


def lengths_that_do_not_fit(problem: Problem, recipe: Recipe) -> list[str]:
    """Return a sentence for each schedule or average whose lengths do not fit into the run.

    Raises:
        RecipeError: Their fractions do not fit into any run.
    """
    epoch = feed_of(problem, [recipe]).epoch_steps
    updates = recipe.length(epoch)
    return list(
        filter(None, (part.check_inside(updates, epoch) for part in (recipe.schedule, recipe.averaging)))
    )


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
    if problem.objective is not None:  # it was traced, and takes whatever the data hold
        return
    sample = _sample(problem.data.train)
    if isinstance(problem.model, Architecture) and not ends_in_activation(problem.model):
        predicted = np.zeros((sample.count(), *problem.output.shape), problem.output.dtype)
    else:
        params, model_state, fixed = initial(problem, [0])
        inputs = problem.data.preparation.scale(sample.inputs)
        predicted = outputs(PartitionedModel(lane(params, 0), lane(model_state, 0), fixed), inputs)
    targets = (sample.targets, sample.weights) if isinstance(sample, WeightedRows) else sample.targets
    jax.eval_shape(problem.loss, predicted, targets)
    try:
        problem.loss.check(predicted, targets)
    except DataError as error:  # it names a position in the sample, which the user does not know
        where = "in the training split"
        raise DataError(
            error.who, error.rule, got=error.got, where=where, hint=error.hint, cause=error.cause
        ) from error


def check_functions(problem: Problem, recipes: Sequence[Recipe]) -> None:
    """Reject a rule or a schedule of the user's own that fails on this model, or in a run of this length.

    Raises:
        RecipeError: The function fails; the message has its error.
    """
    rules = {}
    for recipe in recipes:
        if isinstance(recipe.schedule, FunctionSchedule):
            updates, epoch = length(problem, recipe), feed_of(problem, [recipe]).epoch_steps
            steps = np.unique(np.linspace(0, updates - 1, TRIED_STEPS).astype(int)).tolist()
            check_factors(recipe.schedule, steps, [updates] * len(steps), epoch)
        if isinstance(recipe.optimizer, CustomRule):
            rules[structure(recipe)] = recipe
    for recipe in rules.values():
        _check_rule(problem, recipe)


def _check_rule(problem: Problem, recipe: Recipe) -> None:
    def update(params: PyTree, recipe: Recipe) -> PyTree:
        rule = recipe.update_rule(roles(params))
        state = first_state(problem.loss, recipe, params, jnp.asarray(keys.lane_words(0)))
        trained, grads = as_trained(recipe, state, params, params)
        facts = {"value": jnp.float32(0), "grad": grads, "value_fn": lambda params: jnp.float32(0)}
        return rule.update(grads, state.rule if isinstance(state, Adapted) else state, trained, **facts)

    try:
        eqx.filter_eval_shape(update, problem.shapes.params, jax.tree.map(jnp.float32, recipe))
    except BadInput:
        raise
    except Exception as error:  # the factory is the user's code, which may raise anything
        got = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        rule = "must make an update of this model's parameters"
        hint = "call its init and update by hand on the model's arrays; choose by jnp.where, not by if"
        raise RecipeError(recipe.optimizer.name, rule, got=got, hint=hint) from error


def _check_alternating(recipe: Recipe) -> None:
    """Reject rules that need the whole model at once, where models are trained in turn."""
    rule = recipe.optimizer
    if rule.line_search or type(rule).evaluated is not Optimizer.evaluated:
        hint = "use for example adam"
        raise RecipeError(
            "recipe", "models in turn need a rule without a line search", got=rule.name, hint=hint
        )


def _check_scalars(recipe: Recipe) -> None:
    """Reject arrays in place of numbers: several values are several recipes."""
    for path, value in jax.tree_util.tree_flatten_with_path(recipe)[0]:
        if np.ndim(value):
            hint = "give one recipe for each value: recipe.vary(...)"
            raise RecipeError("recipe", f"{dotted(path)} must be one number", got=value, hint=hint)


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
            hint=f"{metric.name} is a fraction: try {target / 100:g}" if percent else "leave target out",
        )


def _sample(split: Split) -> Rows:
    split = Rows(split.inputs, split.targets) if isinstance(split, FoldRows) else split
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


def data_place(
    problem: Problem,
    recipes: Sequence[Recipe],
    plan: LanePlan,
    given: str | None,
    note: Callable[[str], object] | None,
) -> str:
    """Return where the training rows are while a run trains, `device` or `host`.

    Args:
        problem, recipes: Of the run.
        plan: Of its lanes, whose states need memory, too.
        given: What was asked for; None for the device, but for the host where an accelerator has too little
            free memory for data and states.
        note: Is told when the host was chosen; None where other machines train, of which nothing is known.

    Raises:
        BadInput: It is neither, or the rows cannot be read from the host.
    """
    if given == HOST:
        check_gathered(problem.data, recipes)
    if given in (DEVICE, HOST):
        return given
    if given is not None:
        rule, hint = f"must be {DEVICE} or {HOST}", f"for example {option('data_on', HOST)}"
        raise BadInput(argument("data_on"), rule, got=given, hint=hint)
    free = None if note is None else free_on_accelerator()
    if free is None:
        return DEVICE
    data = sum(leaf.nbytes for leaf in jax.tree.leaves(problem.data.splits))
    states = max(shard.width * plan.bytes[shard.group] for shard in plan.shards)
    if data + states <= free:
        return DEVICE
    try:
        check_gathered(problem.data, recipes)
    except BadInput:  # the device may still do: what is free is not known exactly
        return DEVICE
    assert note is not None
    note(
        f"the training rows stay on the host ({option('data_on', HOST)}): data and states need "
        f"{as_bytes(data + states)}, and the accelerator has {as_bytes(free)} free"
    )
    return HOST
