"""Blocks of about one second, for contestants of very different speed."""

from collections.abc import Callable
from typing import Any

SECONDS, FEWEST, MOST = 1.0, 2, 400


def paced(seconds: Callable[[int], float], batch: int) -> Callable[[], dict[str, Any]]:
    """Return a block of as many steps as take about one second.

    Args:
        seconds: Runs a number of steps and returns how many seconds they took.
        batch: Examples in a step.
    """
    seconds(FEWEST)  # compiles and warms up
    steps = max(FEWEST, min(MOST, int(FEWEST * SECONDS / seconds(FEWEST))))

    def block() -> dict[str, Any]:
        return {"seconds": seconds(steps), "steps": steps, "examples": steps * batch}

    return block
