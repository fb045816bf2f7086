"""Tools for jaxprs: walk over equations, cut a jaxpr into sections, evaluate a section.

A *section* is a jaxpr made of some equations of another one. It shares that one's variables, so the values
that one section computes are the inputs of the next.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jax.core import eval_jaxpr
from jax.extend.core import Jaxpr, JaxprEqn, Literal, Var, jaxprs_in_params


def walk(equations: Sequence[JaxprEqn]) -> Iterator[JaxprEqn]:
    """Yield each equation, and after it the equations of the jaxprs inside it (loops, branches, calls)."""
    for equation in equations:
        yield equation
        for inner in jaxprs_in_params(equation.params):
            yield from walk(inner.eqns)


def variables_read(equations: Sequence[JaxprEqn]) -> list[Var]:
    """Return the variables that equations read, in order and with repetitions."""
    return [var for equation in equations for var in equation.invars if not isinstance(var, Literal)]


def section(jaxpr: Jaxpr, equations: Sequence[JaxprEqn], outputs: Sequence[Var]) -> Jaxpr:
    """Return a section: those of the equations that are needed for the outputs that they compute."""
    computed = {var for equation in equations for var in equation.outvars}
    outvars = dict.fromkeys(var for var in outputs if var in computed)
    needed, used = set(outvars), []
    for equation in reversed(equations):
        if not needed.isdisjoint(equation.outvars):
            used.insert(0, equation)
            needed.update(variables_read([equation]))
    invars = dict.fromkeys(var for var in variables_read(used) if var not in computed)
    return jaxpr.replace(constvars=[], invars=[*invars], outvars=[*outvars], eqns=used)


def evaluate(jaxpr: Jaxpr, values: Mapping[Var, Any]) -> dict[Var, Any]:
    """Return the values of a jaxpr's outputs from those of its inputs; other values are ignored."""
    outputs = eval_jaxpr(jaxpr, (), *[values[var] for var in jaxpr.invars])
    return dict(zip(jaxpr.outvars, outputs, strict=True))  # type: ignore[arg-type]


def dependents(
    equations: Sequence[JaxprEqn], variables: set[Var], sources: Sequence[JaxprEqn] = ()
) -> tuple[list[JaxprEqn], list[JaxprEqn]]:
    """Divide equations into those that are independent of `variables` and `sources`, and the others.

    The sources themselves belong to the others.
    """
    independent, dependent = [], []
    reached, starts = set(variables), {id(equation) for equation in sources}
    for equation in equations:
        if id(equation) in starts or not reached.isdisjoint(variables_read([equation])):
            dependent.append(equation)
            reached.update(equation.outvars)
        else:
            independent.append(equation)
    return independent, dependent
