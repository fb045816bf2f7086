"""What a search may spend: seconds by the clock, or updates, which are the same on every machine."""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from thalweg.core.caller import argument, option
from thalweg.core.errors import RecipeError
from thalweg.run.progress import Progress, Status, TrainingPlan

SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}
# Less is over before the first program is compiled.
LEAST_SECONDS = 10.0


@dataclass
class Allowance:
    """A budget and what is spent of it.

    Args:
        total: Seconds, or updates of single lanes.
        seconds: Whether it is a time.
        before: What earlier processes have spent.
    """

    total: float
    seconds: bool
    before: float = 0.0
    updates: float = 0.0
    started: float = field(default_factory=time.monotonic)

    @classmethod
    def parse(cls, budget: Any, started: float | None = None) -> Self:
        """Return the budget of `30s`, `10m`, `2h`, or a number of updates.

        Args:
            budget: The text, or the number.
            started: When its clock started (`time.monotonic`); None for now.

        Raises:
            RecipeError: It is none of these, or too small.
        """
        who, hint = argument("budget"), f"for example {option('budget', '10m')}"
        if isinstance(budget, int) and not isinstance(budget, bool):
            budget = str(budget)
        found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smh]?)\s*", budget) if isinstance(budget, str) else None
        if found is None:
            rule = "must be a time such as 30s, 10m or 2h, or a whole number of updates"
            raise RecipeError(who, rule, got=budget, hint=hint)
        number, unit = float(found[1]), found[2]
        if unit and number * SECONDS[unit] < LEAST_SECONDS:
            rule = f"must be at least {LEAST_SECONDS:g}s: programs are compiled first"
            raise RecipeError(who, rule, got=budget, hint=hint)
        if not unit and (number < 1 or number != int(number)):
            raise RecipeError(who, "must be a whole number of updates, or a time", got=budget, hint=hint)
        began = time.monotonic() if started is None else started
        return cls(number * SECONDS.get(unit, 1.0), bool(unit), started=began)

    @property
    def spent(self) -> float:
        """Seconds or updates that are spent, those of earlier processes included."""
        return self.before + (time.monotonic() - self.started if self.seconds else self.updates)

    @property
    def left(self) -> float:
        """Seconds or updates that are left."""
        return self.total - self.spent

    def text(self, amount: float) -> str:
        """Return an amount in words."""
        return f"{amount:.0f} s" if self.seconds else f"{amount:,.0f} updates"


class Watched:
    """A listener that stops training at the first chunk after a time, and passes everything on.

    Args:
        inner: Who listens.
        allowance: The budget.
        reserved: What must be left of it; None never stops. A budget of updates is never overspent, because
            what is planned is known beforehand.
    """

    def __init__(self, inner: Progress, allowance: Allowance, reserved: float):
        self._inner, self._allowance, self._reserved = inner, allowance, reserved
        self.stopped = False

    def start(self, plan: TrainingPlan) -> None:
        """Pass on the plan."""
        self._inner.start(plan)

    def update(self, status: Status) -> None:
        """Pass on the status; stop the run where its time is over."""
        self._inner.update(status)
        if self._allowance.seconds and self._allowance.left <= self._reserved and status.requests is not None:
            self.stopped = True
            status.requests.everything = True

    def note(self, text: str) -> None:
        """Pass on the message."""
        self._inner.note(text)

    def finish(self, result: Mapping[str, Any]) -> None:
        """Pass on the end."""
        self._inner.finish(result)
