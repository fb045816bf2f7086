"""Parting a lane's program: what lanes share, what is made for all lanes at once, what goes lane by lane.

With all lanes in one product the gradients of their weights are written out together and read again by the
update: for 16 lanes of 784-32-10 that is 1.6 MB, more than a core's cache holds, and moving it takes nearly
as long as the product. Lane after lane the gradient is still near when the update reads it. So the program
is parted where its last large products begin, those that no other large product waits for: the gradients of
weights. They and what follows from them (the update, with whatever the rule keeps) are the late part.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from jax.core import eval_jaxpr
from jax.extend.core import Jaxpr, JaxprEqn, Literal, Var, jaxprs_in_params

# Numbers in a product's result from which on it is large: 32 kB a lane, so that a few lanes fill a core's
# nearest cache.
LARGE = 8192


class Parts(NamedTuple):
    """A lane's program in three; each takes what those before it made.

    Args:
        shared: What depends on no argument.
        early: What comes before the last large products; all, where there is none.
        late: The last large products, and all that follows from them.
        aside: Of the late part what results need that are asked for now and then only.
    """

    shared: Jaxpr
    early: Jaxpr
    late: Jaxpr
    aside: Jaxpr


def parted(program: Jaxpr, asides: int, late: bool = True) -> Parts:
    """Part a program.

    Args:
        program: What a lane computes from its arguments.
        asides: So many of its results, the last ones, are asked for now and then only.
        late: Whether there is to be a late part.
    """
    shared, own = _apart(program.eqns, set(program.invars))
    early, after = _apart(own, set(), _last_products(own) if late else ())
    results = [None if isinstance(var, Literal) else var for var in program.outvars]
    always, aside = (
        [var for var in some if var is not None] for some in (results[:-asides], results[-asides:])
    )
    return Parts(
        piece_of(program, shared, [*read_by(early), *read_by(after), *always, *aside]),
        piece_of(program, early, [*read_by(after), *always, *aside]),
        piece_of(program, after, always),
        piece_of(program, after, aside),
    )


def made(piece: Jaxpr, known: Mapping[Var, Any]) -> dict[Var, Any]:
    """Return the values that a piece makes from known ones."""
    found = eval_jaxpr(piece, (), *[known[var] for var in piece.invars])
    return dict(zip(piece.outvars, found, strict=True))  # type: ignore[arg-type]


def piece_of(program: Jaxpr, equations: Sequence[JaxprEqn], wanted: Sequence[Var]) -> Jaxpr:
    """Return these equations as a program of their own, which gives those of the wanted values it makes."""
    inside = {var for equation in equations for var in equation.outvars}
    given = dict.fromkeys(var for var in wanted if var in inside)
    needed, kept = set(given), []
    for equation in reversed(equations):
        if not needed.isdisjoint(equation.outvars):
            kept.insert(0, equation)
            needed.update(read_by([equation]))
    taken = dict.fromkeys(var for var in read_by(kept) if var not in inside)
    return program.replace(constvars=[], invars=[*taken], outvars=[*given], eqns=kept)


def read_by(equations: Sequence[JaxprEqn]) -> list[Var]:
    """Return the variables that equations read."""
    return [var for equation in equations for var in equation.invars if not isinstance(var, Literal)]


def _apart(
    equations: Sequence[JaxprEqn], touched: set[Var], begun: Sequence[JaxprEqn] = ()
) -> tuple[list[JaxprEqn], list[JaxprEqn]]:
    """Return the equations that do not follow from what was touched or begun, and those that do or are it."""
    first, rest, reached, starts = [], [], set(touched), {id(equation) for equation in begun}
    for equation in equations:
        if id(equation) in starts or not reached.isdisjoint(read_by([equation])):
            rest.append(equation)
            reached.update(equation.outvars)
        else:
            first.append(equation)
    return first, rest


def _last_products(equations: Sequence[JaxprEqn]) -> list[JaxprEqn]:
    """Return the large products that no other large product waits for."""
    found, waited_for = [], set()
    for equation in reversed(equations):
        large, waits = _large(equation), not waited_for.isdisjoint(equation.outvars)
        if large and not waits and equation.primitive.name == "dot_general":
            found.append(equation)
        if large or waits:
            waited_for.update(read_by([equation]))
    return found


def _large(equation: JaxprEqn) -> bool:
    """Tell whether an equation is a large product, or holds one inside."""
    if equation.primitive.name in ("dot_general", "conv_general_dilated"):
        return any(var.aval.size >= LARGE for var in equation.outvars)  # type: ignore[attr-defined]
    return any(_large(inner) for piece in jaxprs_in_params(equation.params) for inner in piece.eqns)
