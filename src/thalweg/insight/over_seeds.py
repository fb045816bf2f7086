"""A figure over seeds: its mean, and the interval that says how much of it may be the luck of the seed."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from thalweg.core.lazy import special
from thalweg.insight.wording import measure


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds.

    Args:
        mean: In the figure's own unit.
        low, high: Ends of the 95 % interval of the mean; None for a single value.
        number: Values.
    """

    mean: float
    low: float | None
    high: float | None
    number: int

    @property
    def half(self) -> float | None:
        """Half the interval's width; None for a single value."""
        return None if self.high is None else self.high - self.mean

    def text(self, name: str | None = None) -> str:
        """Write the mean in its own form, with its interval where there is one."""
        shown = measure(name, self.mean)
        if self.low is None or self.high is None:
            return shown
        low, high = measure(name, self.low), measure(name, self.high)
        both = low.endswith(" %") and high.endswith(" %")
        return f"{shown} ({low.removesuffix(' %') if both else low} to {high})"


def over_seeds(values: Iterable[float]) -> Estimate | None:
    """Return mean and 95 % interval; None without values.

    `mean ± t s / sqrt(n)`, with s the standard deviation (n - 1) and t the 97.5 % point of Student's t with
    n - 1 degrees of freedom: exact for normally distributed values, and wide, as it should be, for few seeds
    (t = 12.7 for two, 4.3 for three, 2.8 for five).

    Reference: Student, The Probable Error of a Mean, 1908.
    """
    found = np.asarray(list(values), np.float64)
    if not len(found):
        return None
    mean = float(found.mean())
    if len(found) == 1:
        return Estimate(mean, None, None, 1)
    half = float(special.stdtrit(len(found) - 1, 0.975) * found.std(ddof=1) / np.sqrt(len(found)))
    return Estimate(mean, mean - half, mean + half, len(found))
