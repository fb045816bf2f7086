"""Update rules from functions: any factory of an `optax.GradientTransformation` as an optimizer.

A factory's numbers become settings of a recipe: traced, free per lane, found by `find`, written to the run
folder under the factory's import path. They are examined once, on a small model: a number that the factory
branches on (`if momentum > 0`), or whose traced value gives another update than the plain one, is no input of
the program. Each of its values selects a program of its own, as that of an option does.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, PyTree

from thalweg.core import imports
from thalweg.core.choice import number
from thalweg.core.compiler import jit
from thalweg.core.errors import RecipeError
from thalweg.recipe.functions import (
    Argument,
    MadeClasses,
    arguments_of,
    bound,
    define,
    refuse_unknown,
    remade,
    with_values,
)
from thalweg.recipe.optimizers.optimizer import Optimizer

# What factories call their learning rate.
SCALE = "update_scale"  # the setting of a rule whose factory has no learning rate
RATES = ("learning_rate", "lr", "step_size", "stepsize", SCALE)
# The learning rate of a factory that has none by default: Optax's own examples, and Adam's.
RATE = 1e-3
# A number without a default is examined at this value, if it is not given.
TRIED = 0.5
# Relative difference between updates with a traced and with a plain number that is more than rounding.
TOLERANCE = 1e-4
_UPDATES = 3

Transformation = (optax.GradientTransformation, optax.GradientTransformationExtraArgs)


class CustomRule(Optimizer):
    """An update rule made by a function; `Custom` makes one.

    Class attributes:
        function: The factory.
        passed: Names of the settings that the factory takes.
        branching: Those of them that are numbers and select the program, as the factory branches on them.
        averages: Whether the rule is schedule-free: what is evaluated is an average in its state.
    """

    function: ClassVar[Callable[..., Any]]
    passed: ClassVar[tuple[str, ...]]
    branching: ClassVar[tuple[str, ...]]
    formula = ""
    when = "A rule that the catalogue lacks."
    reference = ""

    @classmethod
    def of(cls, function: Callable[..., Any], settings: Mapping[str, Any]) -> "CustomRule":
        """Return the rule of a factory with these settings."""
        kind = class_of(function, settings)
        refuse_unknown(kind.name, kind.described(), settings)
        return kind(**settings)

    def rule(self, roles: PyTree, mask: PyTree) -> optax.GradientTransformation:
        """Build the rule; see `Optimizer.rule`. Weight decay applies as the factory says."""
        made = type(self).function(**{name: getattr(self, name) for name in self.passed})
        return made if SCALE in self.passed or self.rates != (SCALE,) else _scaled(made, getattr(self, SCALE))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the function by its name, or as it is where it has no import path."""
        function = None if imports.importable(self.name) else type(self).function
        return remade, (CustomRule, self.name, function, self._values())

    def _values(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in type(self).described()}


class AveragingRule(CustomRule):
    """A schedule-free rule made by a function."""

    def evaluated(self, state: Any, params: PyTree) -> PyTree:
        """Return the average that the rule keeps, in place of the weights that it trains."""
        kind = optax.contrib.ScheduleFreeState
        for node in jax.tree.leaves(state, is_leaf=lambda node: isinstance(node, kind)):
            if isinstance(node, kind):
                return optax.contrib.schedule_free_eval_params(node, params)
        return params


def custom(factory: Any, /, *args: Any, **settings: Any) -> CustomRule:
    """Return an update rule from a factory of an `optax.GradientTransformation`.

    Its numeric arguments are settings like those of every optimizer: traced, free per lane, `lr="auto"` finds
    its learning rate (`learning_rate`, `lr` or `step_size`), and a schedule multiplies it. A rule without one
    has the setting `update_scale`, 1 by default, which multiplies its updates. Flags and text select the
    program; so does a number that the factory branches on in Python.

    Weight decay applies to the parameters that the factory says: with Optax's own rules to all of them, with
    biases.

    Args:
        factory: A function that returns the rule, such as `optax.adabelief`; or a rule, `optax.adam(1e-3)`,
            whose numbers are fixed, so that only `update_scale` can vary. A run folder names a function by
            its import path. One without (a lambda, one that is defined in a script) must be used again,
            unchanged, in the process that resumes the run.
        args, settings: Its arguments: numbers, flags, text.

    Raises:
        RecipeError: It is not such a factory, an argument is unknown, or it cannot be in a recipe.

    Example:
        >>> import optax, thalweg as tw
        >>> recipe = tw.Recipe(tw.Custom(optax.adabelief, learning_rate=1e-3, b1=0.9), epochs=5)
        >>> [lane.optimizer.b1 for lane in recipe.vary(b1=[0.8, 0.9])]
        [0.8, 0.9]
    """
    if isinstance(factory, Transformation):
        return CustomRule.of(_constant(factory), settings)
    if isinstance(factory, type) or not callable(factory):
        rule = "must be a function that returns an optax.GradientTransformation"
        raise RecipeError("Custom", rule, got=factory, hint="for example Custom(optax.adabelief)")
    return CustomRule.of(factory, bound(factory, imports.name_of(factory), args) | settings)


def as_optimizer(value: Any) -> Any:
    """Return a factory, or a rule of Optax, as an optimizer; anything else as it is."""
    return custom(value) if is_rule(value) and not isinstance(value, Optimizer) else value


def is_rule(value: Any) -> bool:
    """Return whether a value is an optimizer, or what `Custom` makes one of."""
    is_function = callable(value) and not isinstance(value, type)
    return is_function or isinstance(value, (Optimizer, *Transformation))


def _made(function: Callable[..., Any], name: str, settings: Mapping[str, Any]) -> type[CustomRule]:
    """Examine a factory, and define its class."""
    arguments = with_values(arguments_of(function, name), settings, name)
    rate = next((each for each in RATES if each in arguments), None)
    required = rate is not None and arguments[rate].default is None
    if rate is not None:
        arguments[rate] = Argument(rate, True, RATE if required else arguments[rate].default)
    values = {each: settings.get(each, argument.default) for each, argument in arguments.items()}
    branching, averages = _examined(function, name, arguments, values)
    numbers = {each for each, argument in arguments.items() if argument.is_number}
    fields = {
        each: Argument(each, each in numbers - branching, argument.default, argument.optional).field(
            f"Argument {each} of {name}."
        )
        for each, argument in arguments.items()
    }
    if rate is not None and rate not in branching:
        source = "ours, as Adam's" if required else "the function's default"
        fields[rate] = number(arguments[rate].default, low=0.0, doc="Learning rate.", source=source)
    if rate is None or rate in branching:
        rate = SCALE
        fields[SCALE] = number(1.0, low=0.0, doc="Factor of every update; a schedule multiplies it.")
    attributes = {"name": name, "passed": tuple(arguments), "branching": tuple(sorted(branching))}
    base = AveragingRule if averages else CustomRule
    return define(base, function, fields, rates=(rate,), **attributes)


def _examined(
    function: Callable[..., Any], name: str, arguments: Mapping[str, Argument], values: Mapping[str, Any]
) -> tuple[set[str], bool]:
    """Return which numbers a factory cannot take as traced values, and whether its rule is schedule-free.

    Raises:
        RecipeError: The factory fails, or returns no rule.
    """
    plain = {each: value for each, value in values.items() if value is not None or arguments[each].optional}
    numeric = {
        each: TRIED if plain.get(each) is None else plain[each]
        for each, argument in arguments.items()
        if argument.is_number
    }
    _check_factory(function, name, {**plain, **{each: numeric[each] for each in numeric if each in plain}})
    fixed = {each: value for each, value in plain.items() if each not in numeric}

    def updated(names: Collection[str], traced: Mapping[str, Array]) -> tuple[PyTree, Any]:
        """Train with the numbers of these names traced."""
        rest = {each: value for each, value in numeric.items() if each not in names}
        return _trained(function(**fixed, **rest, **traced))

    def fails(names: Collection[str]) -> bool:
        traced = {each: jax.ShapeDtypeStruct((), jnp.float32) for each in names}
        try:
            jax.eval_shape(lambda traced: updated(names, traced), traced)
        except Exception:  # a factory, which is the user's code, may do anything with a number it cannot read
            return True
        return False

    def differs(names: Collection[str]) -> bool:
        traced = {each: jnp.float32(numeric[each]) for each in names}
        return not _same(jit(lambda traced: updated(names, traced)[0])(traced), expected)

    if fails(()):  # it may need the real model, as a rule for its parameters by name: tried before training
        return set(), False
    state = jax.eval_shape(lambda: updated((), {})[1])
    kind = optax.contrib.ScheduleFreeState
    nodes = jax.tree.leaves(state, is_leaf=lambda node: isinstance(node, kind))
    averages = any(isinstance(node, kind) for node in nodes)
    branching = {each for each in numeric if fails((each,))} if fails(tuple(numeric)) else set()
    free = numeric.keys() - branching
    if free:
        expected = jit(lambda: updated((), {})[0])()
        branching |= {each for each in free if differs((each,))} if differs(free) else set()
    return branching, averages


def _check_factory(function: Callable[..., Any], name: str, values: Mapping[str, Any]) -> None:
    try:
        made = function(**values)
    except Exception as error:  # the factory is the user's code, which may raise anything
        got = f"{type(error).__name__}: {error}"
        hint = "give its arguments: Custom(factory, learning_rate=1e-3, ...)"
        raise RecipeError(
            name, "the factory must return a rule for its arguments", got=got, hint=hint
        ) from error
    if not isinstance(made, Transformation):
        hint = "return what optax.adam(...) or optax.chain(...) returns"
        got = type(made).__name__
        raise RecipeError(name, "must return an optax.GradientTransformation", got=got, hint=hint)


def _trained(rule: optax.GradientTransformation) -> tuple[PyTree, Any]:
    """Return small parameters after some updates, and the rule's state."""
    rule = optax.with_extra_args_support(rule)
    params = {"matrix": jnp.linspace(-1.0, 1.0, 12).reshape(4, 3), "vector": jnp.linspace(0.1, 1.0, 3)}
    state = rule.init(params)

    def loss(params: PyTree) -> Array:
        return sum(jnp.sum((leaf - 0.3) ** 2) for leaf in jax.tree.leaves(params))  # type: ignore[return-value]

    for _ in range(_UPDATES):
        value, grads = jax.value_and_grad(loss)(params)
        updates, state = rule.update(grads, state, params, value=value, grad=grads, value_fn=loss)
        params = optax.apply_updates(params, updates)
    return params, state


def _same(tree: PyTree, other: PyTree) -> bool:
    leaves = zip(jax.tree.leaves(tree), jax.tree.leaves(other), strict=True)
    return all(np.allclose(a, b, rtol=TOLERANCE, atol=1e-6, equal_nan=True) for a, b in leaves)


def _scaled(rule: optax.GradientTransformation, factor: Any) -> optax.GradientTransformation:
    return optax.chain(rule, optax.scale(factor))


def _constant(rule: optax.GradientTransformation) -> Callable[..., Any]:
    """Return a factory of a rule that is ready."""

    def ready() -> optax.GradientTransformation:
        return rule

    ready.__module__, ready.__qualname__ = "optax", "GradientTransformation"
    return ready


_CLASSES = MadeClasses(_made, "recipe.optimizer")
class_of, class_named = _CLASSES.of, _CLASSES.named
