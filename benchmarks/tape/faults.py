"""Planted faults: small functions that go wrong in one line, which ends in `# fault: NAME`.

Each takes the activations h of one example (a vector) and returns some of the same shape, except where
noted. The names of the ops are those of the primitives that are at fault.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

FORWARD, BACKWARD, HARMLESS = "forward", "backward", "harmless"


@dataclass(frozen=True)
class Fault:
    """A planted fault.

    Args:
        name: As in the comment that marks the line.
        function: The function with the fault.
        ops: Primitives that may be named as the first faulty op.
        phase: Where it shows first: `forward`, `backward`, or `harmless`: neither output nor gradients
            hold it, as with a NaN that exists only inside of a `jit`.
    """

    name: str
    function: Callable[[Any], Any]
    ops: tuple[str, ...]
    phase: str = FORWARD

    @property
    def line(self) -> int:
        """The line that is at fault."""
        return line_of(f"# fault: {self.name}")


def line_of(mark: str, file: str = __file__) -> int:
    """Return the number of the line that ends in a mark."""
    lines = Path(file).read_text(encoding="utf-8").splitlines()
    return 1 + next(at for at, line in enumerate(lines) if line.endswith(mark))


def log_of_zero(h: Any) -> Any:
    """Take the logarithm of what a ReLU made zero."""
    positive = jax.nn.relu(h - jnp.max(h))
    return jnp.log(positive)  # fault: log of zero


def zero_over_zero(h: Any) -> Any:
    """Divide a vector of zeros by its norm."""
    centred = h - h
    return centred / jnp.sum(centred**2) ** 0.5  # fault: zero over zero


def inverse_of_zero(h: Any) -> Any:
    """Divide by a count that is zero."""
    active = jnp.sum(jnp.where(h > 1e9, h, 0.0))
    return h / active  # fault: inverse of zero


def overflow_in_exp(h: Any) -> Any:
    """Compute a softmax without subtracting the maximum."""
    weights = jnp.exp(200.0 + 100.0 * h**2)  # fault: overflow in exp
    return weights / jnp.sum(weights)


def overflow_in_f16(h: Any) -> Any:
    """Multiply large numbers in float16."""
    narrow = (h + 300.0).astype(jnp.float16)
    return (narrow * narrow).astype(h.dtype)  # fault: overflow in f16


def cast_to_f16(h: Any) -> Any:
    """Cast to a dtype that cannot hold it."""
    large = 1e6 * (1.0 + h**2)
    return large.astype(jnp.float16).astype(h.dtype)  # fault: cast to f16


def square_overflow(h: Any) -> Any:
    """Square what is already large."""
    large = 1e25 * (1.0 + h**2)
    return jnp.sqrt(large * large)  # fault: square overflow


def sqrt_at_zero(h: Any) -> Any:
    """Take a norm at zero: fine forward, infinite slope backward."""
    distance = jnp.sum((h - h) ** 2)
    return h + jnp.sqrt(distance)  # fault: sqrt at zero


def power_at_zero(h: Any) -> Any:
    """Raise zero to a power below one."""
    zero = h - h
    return h + zero**0.5  # fault: power at zero


def sqrt_of_negative(h: Any) -> Any:
    """Compute a standard deviation as E[x^2] - E[x]^2, which rounding made negative."""
    variance = jnp.mean(h) ** 2 * 0.0 - 1e-6
    return h / jnp.sqrt(variance)  # fault: sqrt of negative


def log_of_negative(h: Any) -> Any:
    """Take the logarithm of what may be negative."""
    return jnp.log(-(1.0 + h**2))  # fault: log of negative


def masked_log(h: Any) -> Any:
    """Hide log(0) with a where, which its gradient ignores."""
    distance = (h - jnp.max(h)) ** 2
    surprise = jnp.log(distance)  # fault: masked log
    return h + jnp.where(distance > 0, surprise, 0.0)


def masked_division(h: Any) -> Any:
    """Hide 0/0 with a where."""
    size = jnp.sum((h - h) ** 2)
    share = h / size  # fault: masked division
    return jnp.where(size > 0, share, h)


def masked_sqrt(h: Any) -> Any:
    """Hide the slope of sqrt at zero with a where."""
    zero = h - h
    root = jnp.sqrt(zero)  # fault: masked sqrt
    return h + jnp.where(zero > 0, root, 0.0)


def masked_exp(h: Any) -> Any:
    """Hide exp of a large number with a where."""
    large = jnp.exp(1000.0 + h)  # fault: masked exp
    return jnp.where(h > 1e9, large, h)


def infinity_minus_infinity(h: Any) -> Any:
    """Subtract the maximum of a row that is masked throughout."""
    scores = jnp.where(jnp.abs(h) > 1e9, h, -jnp.inf)
    return jnp.exp(scores - jnp.max(scores))  # fault: infinity minus infinity


def zero_times_infinity(h: Any) -> Any:
    """Multiply a mask of zeros with minus infinity."""
    mask = jnp.zeros_like(h)
    return h + mask * -jnp.inf  # fault: zero times infinity


def arccos_outside(h: Any) -> Any:
    """Take an angle from a cosine that is above one."""
    return jnp.arccos(1.5 + h**2)  # fault: arccos outside


def atanh_at_one(h: Any) -> Any:
    """Invert tanh at one."""
    return jnp.arctanh(jnp.ones_like(h) + 0 * h)  # fault: atanh at one


def variance_of_one(h: Any) -> Any:
    """Normalise by the deviation of a constant, without epsilon: zero slope of sqrt at zero."""
    constant = jnp.mean(h) * jnp.ones_like(h)
    deviation = jnp.sqrt(jnp.var(constant - jnp.mean(h)))  # fault: variance of one
    return h + deviation


def harmless_log(h: Any) -> Any:
    """Compute log(0) inside, only to replace it, with no gradient through it."""
    fixed = jax.lax.stop_gradient(jax.nn.relu(h - jnp.max(h)))
    surprise = jnp.log(fixed)  # fault: harmless log
    return h + jnp.where(fixed > 0, surprise, 0.0)


def harmless_division(h: Any) -> Any:
    """Compute 0/0 inside, only to replace it, with no gradient through it."""
    fixed = jax.lax.stop_gradient(h - h)
    share = fixed / jnp.sum(fixed)  # fault: harmless division
    return h + jnp.where(fixed > 0, share, 0.0)


@jax.custom_vjp
def _own_rule(h: Any) -> Any:
    return jnp.sqrt(jnp.abs(h))


def _own_forward(h: Any) -> Any:
    return _own_rule(h), h


def _own_backward(h: Any, gradient: Any) -> Any:
    scale = h - h
    return (gradient * 0.5 / jnp.sqrt(scale),)  # fault: own rule


_own_rule.defvjp(_own_forward, _own_backward)


def own_rule(h: Any) -> Any:
    """Divide by zero in the backward pass of a custom rule."""
    return h + _own_rule(h)


@jax.custom_jvp
def _own_value(h: Any) -> Any:
    return jnp.log(h - h)  # fault: own value


@_own_value.defjvp
def _own_tangent(primals: Any, tangents: Any) -> Any:
    return _own_value(*primals), tangents[0]


def own_value(h: Any) -> Any:
    """Take log(0) inside a function with a custom rule."""
    return _own_value(h)


FAULTS = (
    Fault("log of zero", log_of_zero, ("log",)),
    Fault("zero over zero", zero_over_zero, ("div",)),
    Fault("inverse of zero", inverse_of_zero, ("div",)),
    Fault("overflow in exp", overflow_in_exp, ("exp",)),
    Fault("overflow in f16", overflow_in_f16, ("mul",)),
    Fault("cast to f16", cast_to_f16, ("convert_element_type",)),
    Fault("square overflow", square_overflow, ("mul",)),
    Fault("sqrt at zero", sqrt_at_zero, ("sqrt",), BACKWARD),
    Fault("power at zero", power_at_zero, ("sqrt", "pow"), BACKWARD),
    Fault("sqrt of negative", sqrt_of_negative, ("sqrt",)),
    Fault("log of negative", log_of_negative, ("log",)),
    Fault("masked log", masked_log, ("log",)),
    Fault("masked division", masked_division, ("div",)),
    Fault("masked sqrt", masked_sqrt, ("sqrt",), BACKWARD),
    Fault("masked exp", masked_exp, ("exp",)),
    Fault("infinity minus infinity", infinity_minus_infinity, ("sub",)),
    Fault("zero times infinity", zero_times_infinity, ("mul",)),
    Fault("arccos outside", arccos_outside, ("acos",)),
    Fault("atanh at one", atanh_at_one, ("atanh",)),
    Fault("variance of one", variance_of_one, ("sqrt",), BACKWARD),
    Fault("harmless log", harmless_log, ("log",), HARMLESS),
    Fault("harmless division", harmless_division, ("div",), HARMLESS),
    Fault("own rule", own_rule, ("div", "mul", "sqrt"), BACKWARD),
    Fault("own value", own_value, ("log",)),
)
