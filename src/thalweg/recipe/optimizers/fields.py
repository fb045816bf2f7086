"""Numbers that many update rules have, described once."""

from typing import Any

from thalweg.core.choice import number


def rate(default: float, source: str, doc: str = "Learning rate.") -> Any:
    """Declare a learning rate."""
    return number(default, low=0.0, doc=doc, source=source)


def decay_rate(default: float, source: str, doc: str) -> Any:
    """Declare the decay of a running mean, in [0, 1)."""
    return number(default, low=0.0, high=1.0, open_high=True, doc=doc, source=source)


def first_moment(default: float, source: str) -> Any:
    """Declare b1, the decay of the running mean of gradients."""
    return decay_rate(default, source, "Decay b1 of the mean of gradients.")


def second_moment(default: float, source: str) -> Any:
    """Declare b2, the decay of the running mean of squared gradients."""
    return decay_rate(default, source, "Decay b2 of the mean of squared gradients.")


def momentum(default: float | None, source: str = "") -> Any:
    """Declare a momentum; None is off."""
    return number(
        default,
        low=0.0,
        high=1.0,
        open_high=True,
        optional=True,
        source=source,
        doc="Momentum b; off when absent.",
    )


def epsilon(default: float, source: str) -> Any:
    """Declare the number that keeps a root or a quotient away from zero."""
    return number(default, low=0.0, doc="Keeps the denominator from zero.", source=source)


def decoupled(default: float, source: str) -> Any:
    """Declare a weight decay apart from the gradient: `w = w - lr weight_decay w`."""
    return number(
        default, low=0.0, doc="Decay, times the learning rate, apart from the gradient.", source=source
    )


def penalty() -> Any:
    """Declare an L2 penalty `weight_decay/2 |w|^2`, whose gradient is added; None is off."""
    return number(None, low=0.0, optional=True, doc="L2 penalty weight_decay/2 |w|^2, added to the gradient.")
