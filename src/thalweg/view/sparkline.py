"""A curve in one line of text."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from thalweg.insight.curves import Curve, buckets

_BLOCKS = "▁▂▃▄▅▆▇█"
_ASCII = "_.-=+*#@"
WIDE = 20.0  # highest against lowest, from which a logarithmic scale shows more


@dataclass(frozen=True)
class Sparkline:
    """A curve as small bars; plain ASCII where the terminal's encoding has no blocks.

    Args:
        curve: Values over steps; what is not finite is left blank.
        width: Characters.
    """

    curve: Curve
    width: int = 40

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw in at most the width that there is."""
        yield Text(
            sparkline(self.curve, min(self.width, options.max_width), ascii_only=options.ascii_only),
            no_wrap=True,
        )


def sparkline(curve: Curve, width: int = 40, *, ascii_only: bool = False) -> str:
    """Draw a curve's bucket means, lowest to highest, in `width` characters or fewer.

    The scale is logarithmic when all values are positive and the highest is 20 times the lowest or more.
    """
    means = buckets(curve, max(1, width)).mean
    levels = _levels(means)
    marks = _ASCII if ascii_only else _BLOCKS
    return "".join(" " if math.isnan(level) else marks[int(level)] for level in levels)


def _levels(values: Float[np.ndarray, " bucket"]) -> Float[np.ndarray, " bucket"]:
    """Map values to 0..7; NaN stays NaN."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return np.full(len(values), np.nan)
    low, high = float(finite.min()), float(finite.max())
    if low > 0 and high >= WIDE * low:
        values, low, high = np.log(values), math.log(low), math.log(high)
    if high == low:
        return np.where(np.isfinite(values), 0.0, np.nan)
    return np.where(np.isfinite(values), np.floor((values - low) / (high - low) * 7.999), np.nan)
