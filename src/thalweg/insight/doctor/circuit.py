"""A module's call as one flat program, in which affine maps and activations can be found and replaced.

The doctor has to read and change networks that it did not write. It does so on the traced program (the jaxpr)
of one call: calls inside of it are inlined, so that what a user wrote in a function of its own looks the same
as what comes from a library. An *affine map* is a product or convolution of something computed from the input
with something computed from the parameters alone, with the bias that follows it. An *activation* is a
nonlinear function of one array that keeps its shape.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import equinox as eqx
import jax
from jax.core import eval_jaxpr
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, Var

# Calls that are activations of their own name in JAX, Equinox and Thalweg, and primitives that are one.
NAMED = (
    *("relu", "relu6", "leaky_relu", "elu", "celu", "selu", "silu", "swish", "mish", "softplus", "gelu"),
    *("sigmoid", "hard_tanh", "hard_sigmoid", "hard_silu", "log_sigmoid", "soft_sign"),
)
PRIMITIVES = {"tanh": "tanh", "logistic": "sigmoid", "erf": "erf"}
PRODUCTS = ("dot_general", "conv_general_dilated")
# Operations that leave the values of an array as they are.
MOVING = (
    "broadcast_in_dim",
    "reshape",
    "squeeze",
    "transpose",
    "convert_element_type",
    "copy",
    "expand_dims",
)
CALLS = ("jaxpr", "call_jaxpr", "fun_jaxpr")
# Operations with a program inside that are no plain calls.
LOOPS = ("scan", "while", "cond", "custom_vjp_call", "custom_vjp_call_jaxpr", "custom_linear_solve")

Change = Callable[[Any, Mapping[Var, Any]], Any]


class Affine(NamedTuple):
    """An affine map of a circuit.

    Args:
        entering: The variable that it maps.
        leaving: Its result, with the bias.
        parameters: Numbers of the parameter leaves that it reads.
        product: `dot_general` or `conv_general_dilated`.
    """

    entering: Any
    leaving: Any
    parameters: tuple[int, ...]
    product: str


class Activation(NamedTuple):
    """An activation of a circuit: its name, and the variables before and after it."""

    name: str
    entering: Var
    leaving: Var


@dataclass(frozen=True)
class Circuit:
    """The flat program of one call of a module.

    Args:
        program: Inputs are the leaves of the module, then those of the arguments.
        leaves: How many of its inputs belong to the module.
        rest: What turns the program's outputs into what the call returns.
        affines, activations: In the order in which they are computed.
    """

    program: ClosedJaxpr
    leaves: int
    rest: Callable[[Sequence[Any]], Any]
    affines: tuple[Affine, ...]
    activations: tuple[Activation, ...]

    @property
    def result(self) -> Any:
        """The variable of the call's first output."""
        return self.program.jaxpr.outvars[0]

    @property
    def hidden(self) -> tuple[Affine, ...]:
        """Every affine map but the last."""
        return self.affines[:-1]

    def between(self, number: int) -> list[Activation]:
        """Return the activations between an affine map and the next one (the output, after the last)."""
        order = {id(var): at for at, eqn in enumerate(self._eqns) for var in eqn.outvars}
        start = order[id(self.affines[number].leaving)]
        last = number + 1 == len(self.affines)
        stop = len(self._eqns) if last else order.get(id(self.affines[number + 1].leaving), start)
        return [site for site in self.activations if start <= order[id(site.leaving)] < stop]

    @property
    def _eqns(self) -> Sequence[JaxprEqn]:
        return self.program.jaxpr.eqns

    def run(self, values: Sequence[Any], changes: Mapping[Var, Change] = {}) -> tuple[list[Any], Any]:
        """Evaluate the program; return the value of every output, and of every variable by variable.

        Args:
            values: Of its inputs.
            changes: For a variable, a function of its value and of the values before it, whose result takes
                its place.
        """
        env = _evaluate(self.program.jaxpr, self.program.consts, values, changes)
        return [_read(env, var) for var in self.program.jaxpr.outvars], env


def circuit_of(
    function: Callable[..., Any], module: Any, args: Any, kwargs: Any
) -> tuple[Circuit, list[Any]]:
    """Trace `function(module, *args, **kwargs)`; return its circuit and the values of its inputs.

    It may be called inside of a trace: then the values are tracers.
    """
    arrays, static = eqx.partition((module, args, kwargs), eqx.is_array)
    leaves, treedef = jax.tree.flatten(arrays)
    kept: dict[str, Any] = {}

    def flat(*leaves: Any) -> list[Any]:
        module, args, kwargs = eqx.combine(jax.tree.unflatten(treedef, leaves), static)
        result = function(module, *args, **kwargs)
        dynamic, kept["static"] = eqx.partition(result, eqx.is_array)
        outputs, kept["treedef"] = jax.tree.flatten(dynamic)
        return outputs

    program = flattened(flat, leaves)

    def rest(outputs: Sequence[Any]) -> Any:
        return eqx.combine(jax.tree.unflatten(kept["treedef"], list(outputs)), kept["static"])

    own = len(jax.tree.leaves(eqx.filter(module, eqx.is_array)))
    affines = _affines(program.jaxpr, own)
    return Circuit(program, own, rest, affines, _activations(program.jaxpr)), leaves


def flattened(function: Callable[..., Any], leaves: Sequence[Any]) -> ClosedJaxpr:
    """Return the program of a function of arrays, with calls inlined except for named activations."""
    traced = jax.make_jaxpr(function)(*leaves)

    def inlined(*values: Any) -> list[Any]:
        env = _evaluate(traced.jaxpr, traced.consts, values, {}, inline=True)
        return [_read(env, var) for var in traced.jaxpr.outvars]

    return jax.make_jaxpr(inlined)(*leaves)


def _evaluate(
    jaxpr: Jaxpr,
    consts: Sequence[Any],
    values: Sequence[Any],
    changes: Mapping[Var, Change],
    inline: bool = False,
) -> dict[Var, Any]:
    env: dict[Var, Any] = {}

    def write(var: Any, value: Any) -> None:
        change = changes.get(var)
        env[var] = value if change is None else change(value, env)

    for var, value in zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *values], strict=True):
        write(var, value)
    for eqn in jaxpr.eqns:
        given = [_read(env, var) for var in eqn.invars]
        inner = _called(eqn) if inline and named(eqn) is None else None
        if inner is not None:
            inside = _evaluate(inner.jaxpr, inner.consts, given, {}, inline=True)
            results = [_read(inside, var) for var in inner.jaxpr.outvars]
        else:
            results = _bound(jaxpr, eqn, env)
        for var, value in zip(eqn.outvars, results, strict=True):
            write(var, value)
    return env


def _bound(jaxpr: Jaxpr, eqn: JaxprEqn, env: Mapping[Var, Any]) -> list[Any]:
    """Evaluate a single equation, by the public evaluator of programs."""
    read = list(dict.fromkeys(var for var in eqn.invars if isinstance(var, Var)))
    alone = jaxpr.replace(constvars=[], invars=read, outvars=eqn.outvars, eqns=[eqn])
    return eval_jaxpr(alone, (), *[env[var] for var in read])


def named(eqn: JaxprEqn) -> str | None:
    """Return the name of the activation that an equation is, if it is one."""
    name = eqn.primitive.name
    if name in PRIMITIVES:
        return PRIMITIVES[name]
    if name == "max" and any(isinstance(var, Literal) and var.val == 0 for var in eqn.invars):
        return "relu"
    called = str(eqn.params.get("name", ""))
    return called if called in NAMED and name != "name" else None


def _called(eqn: JaxprEqn) -> ClosedJaxpr | None:
    if eqn.primitive.name in LOOPS:
        return None
    for key in CALLS:
        inner = eqn.params.get(key)
        if inner is not None:
            return inner if hasattr(inner, "consts") else ClosedJaxpr(inner, ())
    return None


def _read(env: Mapping[Var, Any], var: Any) -> Any:
    return var.val if isinstance(var, Literal) else env[var]


def sources(jaxpr: Jaxpr, starts: Mapping[Var, frozenset[int]]) -> dict[Var, frozenset[int]]:
    """Return for every variable the numbers of the inputs that it depends on."""
    found: dict[Var, frozenset[int]] = dict(starts)
    for eqn in jaxpr.eqns:
        reached = frozenset().union(*(found.get(v, frozenset()) for v in eqn.invars if isinstance(v, Var)))
        found.update(dict.fromkeys(eqn.outvars, reached))
    return found


def _affines(jaxpr: Jaxpr, leaves: int) -> tuple[Affine, ...]:
    """Return the affine maps; `leaves` inputs are the module's."""
    reach = sources(jaxpr, {var: frozenset([at]) for at, var in enumerate(jaxpr.invars)})

    def of_module(var: Any) -> bool:
        return all(number < leaves for number in reach.get(var, ())) if isinstance(var, Var) else True

    found = []
    for at, eqn in enumerate(jaxpr.eqns):
        if eqn.primitive.name not in PRODUCTS:
            continue
        fixed = [of_module(var) for var in eqn.invars]
        if fixed.count(True) != 1:
            continue
        entering, weight = eqn.invars[fixed.index(False)], eqn.invars[fixed.index(True)]
        numbers = reach.get(weight, frozenset()) if isinstance(weight, Var) else frozenset()
        leaving, bias = _with_bias(jaxpr.eqns[at + 1 :], eqn.outvars[0], of_module)
        numbers |= reach.get(bias, frozenset()) if isinstance(bias, Var) else frozenset()
        found.append(Affine(entering, leaving, tuple(sorted(numbers)), eqn.primitive.name))
    return tuple(found)


def _with_bias(eqns: Sequence[JaxprEqn], var: Var, of_module: Callable[[Any], bool]) -> tuple[Var, Any]:
    """Follow a product through changes of shape to the sum with its bias, if there is one."""
    current = var
    for eqn in eqns:
        if not any(each is current for each in eqn.invars):
            continue
        if eqn.primitive.name in ("add", "add_any", "sub"):
            others = [each for each in eqn.invars if each is not current]
            if len(others) == 1 and of_module(others[0]):
                return eqn.outvars[0], others[0]
            return current, None
        if eqn.primitive.name not in MOVING:
            return current, None
        current = eqn.outvars[0]
    return current, None


def shape_of(var: Any) -> tuple[int, ...]:
    """Return the shape of a variable."""
    return tuple(getattr(var.aval, "shape", ()))


def _activations(jaxpr: Jaxpr) -> tuple[Activation, ...]:
    found = []
    for eqn in jaxpr.eqns:
        name = named(eqn)
        entering = [var for var in eqn.invars if isinstance(var, Var)]
        if name and len(entering) == 1 and shape_of(entering[0]) == shape_of(eqn.outvars[0]):
            found.append(Activation(name, entering[0], eqn.outvars[0]))
    return tuple(found)
