"""Schedules from functions: any `fn(step, total) -> factor` that JAX can trace."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from thalweg.core import imports
from thalweg.core.compiler import jit
from thalweg.core.errors import RecipeError
from thalweg.recipe.functions import (
    BRANCHES,
    Argument,
    MadeClasses,
    arguments_of,
    define,
    refuse_unknown,
    remade,
    with_values,
)
from thalweg.recipe.schedules.schedule import Clock, Schedule

# A function is examined at every step of runs of these lengths.
TRIED_TOTALS = (1, 7, 100)


class FunctionSchedule(Schedule):
    """A schedule that a function computes; `CustomSchedule` makes one.

    Class attributes:
        function: The function.
        passed: Names of the settings that it takes.
        branching: Those of them that are numbers and select the program, as the function branches on them.
    """

    function: ClassVar[Callable[..., Any]]
    passed: ClassVar[tuple[str, ...]]
    branching: ClassVar[tuple[str, ...]]
    formula = ""
    when = "A schedule that the catalogue lacks."
    reference = ""

    @classmethod
    def of(cls, function: Callable[..., Any], settings: Mapping[str, Any]) -> "FunctionSchedule":
        """Return the schedule of a function with these settings."""
        kind = class_of(function, settings)
        refuse_unknown(kind.name, kind.described(), settings)
        schedule = kind(**settings)
        clocks = [(step, total) for total in TRIED_TOTALS for step in range(total)]
        check_factors(schedule, *zip(*clocks, strict=True), epoch_steps=10)
        return schedule

    def curve(self, clock: Clock, state: Any) -> Float[Array, ""]:
        """Return what the function gives."""
        settings = {name: getattr(self, name) for name in self.passed}
        return type(self).function(clock.step, clock.total, **settings)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the function by its name, or as it is where it has no import path."""
        function = None if imports.importable(self.name) else type(self).function
        values = {name: getattr(self, name) for name in type(self).described()}
        return remade, (FunctionSchedule, self.name, function, values)


def custom_schedule(function: Callable[..., Any], /, **settings: Any) -> FunctionSchedule:
    """Return a schedule from a function `(step, total, ...) -> factor`.

    `Recipe(schedule=function)` does the same for a function without settings.

    Args:
        function: Gives the factor of the learning rate, a scalar of at least 0, from the number of updates
            made so far (0 at the first) and the number planned. Both are traced, as floating-point scalars:
            it chooses by `jnp.where`, not by `if`. Further arguments that are numbers are settings: traced,
            and free per lane. A run folder names it by its import path; see `Custom`.
        settings: Its further arguments.

    Raises:
        RecipeError: It branches on the step in Python, gives no scalar, or a factor that is negative or not
            finite.

    Example:
        >>> import jax.numpy as jnp, thalweg as tw
        >>> def ramp(step, total, warmup=0.1):
        ...     return jnp.minimum(1.0, (step + 1) / jnp.maximum(warmup * total, 1.0))
        >>> recipe = tw.Recipe(tw.AdamW(), schedule=tw.CustomSchedule(ramp, warmup=0.2), epochs=5)
        >>> [lane.schedule.warmup for lane in recipe.vary(warmup=[0.1, 0.2])]
        [0.1, 0.2]
    """
    if isinstance(function, type) or not callable(function):
        rule, hint = (
            "must be a function (step, total) -> factor",
            "for example lambda step, total: 1 - step / total",
        )
        raise RecipeError("schedule", rule, got=function, hint=hint)
    return FunctionSchedule.of(function, settings)


def as_schedule(value: Any) -> Any:
    """Return a function as a schedule; anything else as it is."""
    if isinstance(value, (Schedule, type)) or not callable(value):
        return value
    return custom_schedule(value)


def _made(function: Callable[..., Any], name: str, settings: Mapping[str, Any]) -> type[FunctionSchedule]:
    """Examine a function, and define its class."""
    _check_arguments(function, name)
    arguments = with_values(arguments_of(function, name, skip=2), settings, name)
    values = {each: settings.get(each, argument.default) for each, argument in arguments.items()}
    numeric = {
        each: values[each]
        for each, argument in arguments.items()
        if argument.is_number and values[each] is not None
    }
    fixed = {each: value for each, value in values.items() if each not in numeric}

    def factor(traced: Mapping[str, Any], rest: Mapping[str, Any], step: Any, total: Any) -> Any:
        return function(step, total, **fixed, **rest, **traced)

    def fails(each: str) -> bool:
        rest = {other: value for other, value in numeric.items() if other != each}
        scalar = jax.ShapeDtypeStruct((), jnp.float32)
        try:
            jax.eval_shape(
                lambda traced, *clock: factor(traced, rest, *clock), {each: scalar}, scalar, scalar
            )
        except Exception:  # the user's code may do anything with a number that it cannot read
            return True
        return False

    _check_traced(lambda step, total: factor({}, numeric, step, total), name)
    branching = tuple(sorted(filter(fails, numeric)))
    fields = {
        each: Argument(
            each, argument.is_number and each not in branching, argument.default, argument.optional
        ).field(f"Argument {each} of {name}.")
        for each, argument in arguments.items()
    }
    return define(FunctionSchedule, function, fields, name=name, passed=tuple(arguments), branching=branching)


def _check_arguments(function: Callable[..., Any], name: str) -> None:
    rule = "must take the step and the total number of steps: (step, total) -> factor"
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        raise RecipeError(name, rule, hint="wrap it in a function of your own") from None
    try:
        signature.bind_partial(None, None)
    except TypeError:
        hint = (
            "an Optax schedule gives rates for a step; as factors of the learning rate: "
            "lambda step, total: schedule(step) / peak_rate"
        )
        raise RecipeError(name, rule, got=str(signature), hint=hint) from None


def _check_traced(factor: Callable[[Any, Any], Any], name: str) -> None:
    """Reject a function that cannot be traced, or gives no scalar.

    Raises:
        RecipeError: It is one.
    """
    scalar = jax.ShapeDtypeStruct((), jnp.float32)
    try:
        result = jax.eval_shape(factor, scalar, scalar)
    except BRANCHES as error:
        rule = "must not branch in Python on the step or the total, which are traced"
        hint = "choose with jnp.where(step < warmup, a, b), and convert nothing by float() or int()"
        raise RecipeError(name, rule, got=str(error).splitlines()[0], hint=hint) from error
    except Exception as error:  # the user's code may raise anything
        got = f"{type(error).__name__}: {error}"
        hint = "call it by hand with two floating-point numbers"
        raise RecipeError(name, "must give a factor for a step and a total", got=got, hint=hint) from error
    leaves = jax.tree.leaves(result)
    if (
        len(leaves) != 1
        or leaves[0] is not result
        or leaves[0].shape != ()
        or leaves[0].dtype.kind not in "fi"
    ):
        got = ", ".join(f"shape {leaf.shape} of {leaf.dtype}" for leaf in leaves) or "nothing"
        rule = "must give one number, the factor of the learning rate"
        raise RecipeError(name, rule, got=got, hint="return a scalar such as 1 - step / total")


def check_factors(
    schedule: FunctionSchedule, steps: Sequence[int], totals: Sequence[int], epoch_steps: int
) -> None:
    """Reject a schedule that gives a negative factor, or one that is not finite, at one of some steps.

    Args:
        schedule: The schedule.
        steps, totals: Updates made so far, and updates planned.
        epoch_steps: Updates in an epoch.

    Raises:
        RecipeError: It gives one.
    """
    numbers, structure = jax.tree.flatten(schedule)
    clock = (jnp.asarray(steps, jnp.float32), jnp.asarray(totals, jnp.float32), jnp.float32(epoch_steps))
    values = np.asarray(_factors(structure, [jnp.float32(number) for number in numbers], *clock))
    wrong = ~np.isfinite(values) | (values < 0)
    if wrong.any():
        at = int(np.argmax(wrong))
        where = f"step {steps[at]} of {totals[at]}; steps count from 0"
        rule, hint = "must give finite factors of at least 0", "guard divisions with jnp.maximum(total, 1)"
        raise RecipeError(schedule.name, rule, got=float(values[at]), where=where, hint=hint)


@partial(jit, static_argnums=0)
def _factors(structure: Any, numbers: list[Any], steps: Array, totals: Array, epoch_steps: Array) -> Array:
    schedule = jax.tree.unflatten(structure, numbers)
    return jax.vmap(lambda step, total: schedule.factor(Clock(step, total, epoch_steps)))(steps, totals)


_CLASSES = MadeClasses(_made, "recipe.schedule")
class_of, class_named = _CLASSES.of, _CLASSES.named
