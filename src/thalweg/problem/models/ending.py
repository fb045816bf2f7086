"""What a model ends in: a softmax or a sigmoid is a mistake before a loss that takes logits.

Read off the traced program, not off values: logits may happen to lie between 0 and 1, but a program says
what it does.
"""

from typing import Any

# What may follow the last operation without changing its values.
_SHAPING = ("broadcast_in_dim", "convert_element_type", "copy", "reshape", "squeeze", "transpose")


def ending(program: Any) -> str | None:
    """Return `softmax` or `sigmoid` when that is what a function's output is, else None.

    Args:
        program: What tracing a function gave (`jax.make_jaxpr`); its first output is looked at.
    """
    return _named(program.jaxpr, program.jaxpr.outvars[0]) if program.jaxpr.outvars else None


def _named(program: Any, wanted: Any) -> str | None:
    """Say what operation gives a variable of a program, looking through mere changes of shape."""
    producer = _producer(program, wanted)
    if producer is None:
        return None
    name = producer.primitive.name
    inner = _inner(producer)
    if inner is not None:
        return _named(inner, inner.outvars[producer.outvars.index(wanted)])
    if name in _SHAPING:
        return _named(program, producer.invars[0])
    if name == "logistic":
        return "sigmoid"
    return _quotient(program, *producer.invars) if name == "div" else None


def _quotient(program: Any, above: Any, below: Any) -> str | None:
    """Tell exp(z) / sum, a softmax, and 1 / (1 + exp(-z)), a sigmoid written out."""
    if _is_exponential(program, above):
        return "softmax"
    total = _producer(program, below)
    if total is None or total.primitive.name != "add":
        return None
    return "sigmoid" if any(_is_exponential(program, term) for term in total.invars) else None


def _is_exponential(program: Any, variable: Any) -> bool:
    producer = _producer(program, variable)
    return producer is not None and producer.primitive.name == "exp"


def _producer(program: Any, variable: Any) -> Any:
    """Return the step of a program that gives a variable; None for inputs and constants."""
    return next((step for step in program.eqns if any(out is variable for out in step.outvars)), None)


def _inner(step: Any) -> Any:
    """Return the program that a call runs, when the step is a call that gives its program's outputs."""
    for key in ("jaxpr", "call_jaxpr", "fun_jaxpr"):
        found = step.params.get(key)
        if found is not None and step.primitive.name not in ("scan", "while", "cond"):
            return getattr(found, "jaxpr", found)
    return None
