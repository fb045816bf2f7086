"""What every schedule is: a pure function of the clock that returns a factor for the learning rate.

Optax's schedules branch in Python on lengths and rates, so they fail when those are traced. Branches here are
`jnp.where`, so every number may differ between lanes.
"""

import abc
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple, Self

import jax.numpy as jnp
from jaxtyping import Array, Float

from thalweg.core.caller import at_command_line, setting
from thalweg.core.choice import Choice, number, option
from thalweg.core.errors import RecipeError


class Clock(NamedTuple):
    """The position in a run. All are traced scalars in float32, or float64 with that precision.

    Args:
        step: Updates made so far, 0 at the first; float32 counts them exactly up to 16 million.
        total: Updates planned.
        epoch_steps: Updates in one epoch.
    """

    step: Float[Array, ""]
    total: Float[Array, ""]
    epoch_steps: Float[Array, ""]

    def steps(self, length: Float[Array, ""] | float, unit: str) -> Float[Array, ""]:
        """Return `length` in whole steps; `unit` is `fraction` (of the whole run), `epochs` or `steps`.

        Rounded, because 0.6 of 25 steps is 15.000001 in float32, and a drop at step 15 would come at 16.
        """
        scale = {"fraction": self.total, "epochs": self.epoch_steps, "steps": 1.0}[unit]
        return jnp.round(jnp.asarray(length * scale)).astype(self.total.dtype)

    def after(self, steps: Float[Array, ""]) -> "Clock":
        """Return the clock of a schedule that starts after `steps` steps and ends with the run."""
        return Clock(self.step - steps, jnp.maximum(self.total - steps, 1.0), self.epoch_steps)


class Timed(Choice):
    """What schedules and averages of weights share: a description, and lengths that belong to a run.

    Class attributes:
        name: Standard name in lower case, as in TOML.
        formula: The published equation, in plain text.
        when: When to use it, in one sentence.
        reference: Authors, title, year.
        lengths: Fields that are lengths, each with the field that holds its unit.
        inside: Those of them that together must end within the run.
        left: Updates that must be left after them.
        effect: What happens where they do not fit.
        component: Name of the recipe's setting that holds it.
    """

    formula: ClassVar[str]
    when: ClassVar[str]
    reference: ClassVar[str]
    lengths: ClassVar[Mapping[str, str]] = {}
    inside: ClassVar[tuple[str, ...]] = ()
    left: ClassVar[int] = 0
    effect: ClassVar[str] = "the learning rate is never the full one"
    component: ClassVar[str] = "schedule"

    def __check_init__(self) -> None:
        super().__check_init__()
        for name, unit in self.lengths.items():
            if getattr(self, unit) == "fraction" and _above_one(getattr(self, name)):
                self._reject_fraction(name, unit)

    def _reject_fraction(self, name: str, unit: str) -> None:
        """Reject a length above the whole run, which nobody means: mostly it was to be in steps or epochs."""
        length, steps = getattr(self, name), option_text(self, unit, "steps")
        rule = f"{name} is a fraction of the run ({unit} = 'fraction') and must be at most 1"
        hint = f"for {_shown(length)} steps also give {steps}; for epochs {option_text(self, unit, 'epochs')}"
        raise RecipeError(self.name, rule, got=_shown(length), hint=hint)

    def check_inside(self, total: int, epoch_steps: int) -> str:
        """Reject fractions (the lengths in `inside`) that sum to more than the run.

        Args:
            total: Updates of the run.
            epoch_steps: Updates in one epoch.

        Returns:
            A sentence on lengths in steps or epochs that do not fit into this run, as those of a named recipe
            in a short trial; empty if all fit.

        Raises:
            RecipeError: Fractions do not fit into any run.
        """
        if not self.inside:
            return ""
        unit = getattr(self, self.lengths[self.inside[0]])
        scale = {"fraction": total, "epochs": epoch_steps, "steps": 1}[unit]
        needed = sum(round(getattr(self, name) * scale) for name in self.inside)
        if needed <= total - self.left:
            return ""
        names, most = " and ".join(self.inside), f"give at most {(total - self.left) / scale:.4g}"
        several = len(self.inside) > 1
        if unit == "fraction":
            share = "they are fractions" if several else "it is a fraction"
            rule = f"{names} must fit into the run, of which {share}: else {self.effect}"
            got = " + ".join(f"{getattr(self, name):g}" for name in self.inside)
            raise RecipeError(self.name, rule, got=got, hint=most + " together" * several)
        take = "take" if several else "takes"
        return (
            f"{self.name}: {names} {take} {needed:,} updates, and the run makes {total:,}: {self.effect}. "
            f"{most.capitalize()} {unit}{' together' * several}, or train longer."
        )

    def shortened(self, share: float) -> Self:
        """Return the schedule stretched to a run `share` times as long.

        Lengths in steps or epochs are multiplied by `share`; fractions of the run need no change.
        """
        lengths = {
            name: getattr(self, name)
            for name, unit in self.lengths.items()
            if getattr(self, unit) != "fraction"
        }
        return replace(self, **{name: _times(length, share) for name, length in lengths.items()})


class Schedule(Timed):
    """A learning-rate schedule. To add one, define it in a module of this folder, which also registers it."""

    @abc.abstractmethod
    def curve(self, clock: Clock, state: Any) -> Float[Array, ""] | float:
        """Return the factor of the learning rate at this step: the schedule's equation."""

    def factor(self, clock: Clock, state: Any = ()) -> Float[Array, ""]:
        """Return `curve` in the clock's dtype. Pure, traceable."""
        return jnp.asarray(self.curve(clock, state)).astype(clock.step.dtype)

    def momentum(self, clock: Clock) -> Float[Array, ""] | None:
        """Return the momentum at this step, or None to keep the optimizer's own."""
        return None

    def init(self) -> Any:
        """Return the first state; only schedules that watch a metric have one."""
        return ()

    def observe(self, state: Any, value: Float[Array, ""]) -> Any:
        """Return the state after an evaluation; `value` is the validation loss, lower is better."""
        return state


UNITS = ("fraction", "epochs", "steps")


def unit_of(default: str, what: str) -> Any:
    """Declare the unit of `what`: a length, several, or time."""
    return option(default, among=UNITS, doc=f"Unit of {what}.")


def lowest_factor(source: str, doc: str = "Last factor.") -> Any:
    """Declare the lowest factor of a schedule, 0 by default."""
    return number(0.0, low=0.0, high=1.0, doc=doc, source=source)


def between(start: Any, end: Any, progress: Any, shape: str) -> Float[Array, ""]:
    """Move from `start` to `end` as `progress` goes from 0 to 1: `linear`, `cosine` or `sqrt` (1 - sqrt)."""
    share = jnp.clip(progress, 0.0, 1.0)
    bent = {
        "linear": lambda: share,
        "cosine": lambda: 0.5 * (1.0 - jnp.cos(jnp.pi * share)),
        "sqrt": lambda: jnp.sqrt(share),
    }[shape]()
    return start + (end - start) * bent


def option_text(rule: Timed, name: str, value: Any) -> str:
    """Return a setting of a schedule or an average as the caller would write it."""
    return setting(f"{rule.component}.{name}" if at_command_line() else name, value)


def _above_one(length: Any) -> bool:
    """Return whether a length, or one of several, is above 1; those inside a program were checked before."""
    items = length if isinstance(length, tuple) else (length,)
    return any(isinstance(item, float) and item > 1 for item in items)


def _shown(length: Any) -> str:
    return ", ".join(f"{item:g}" for item in (length if isinstance(length, tuple) else (length,)))


def _times(length: Any, share: float) -> Any:
    return tuple(item * share for item in length) if isinstance(length, tuple) else length * share
