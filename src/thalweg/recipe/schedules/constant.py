"""The learning rate as it is."""

from typing import Any, ClassVar

from thalweg.recipe.schedules.schedule import Clock, Schedule


class Constant(Schedule):
    """The same learning rate at every step."""

    name: ClassVar[str] = "constant"
    formula: ClassVar[str] = "f(t) = 1"
    when: ClassVar[str] = "Baselines, and problems without gradient noise."
    reference: ClassVar[str] = "Robbins & Monro 1951 (as the case without decay)"

    def curve(self, clock: Clock, state: Any) -> float:
        """Return 1."""
        del clock, state
        return 1.0
