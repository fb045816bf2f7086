"""Runs a jaxpr equation by equation, keeps every value, and takes each equation's own VJP.

Calls (`jit`, `remat`), branches and loops are run through, so that the tape is flat: what a compiled program
hides inside is on it, with the iteration of a loop and the branch that was taken. Functions with custom rules
of differentiation stay one op, whose rule is the user's; what happens inside them is looked at on demand.

Each operation runs by itself, as JAX runs it outside of `jit`. So values and gradients are those of
`jax.grad` under `jax.disable_jit()`; a compiled program may round differently, since XLA fuses operations.
"""

import contextlib
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, jaxprs_in_params
from jax.interpreters import ad

from thalweg.insight.tape.recording import Op, Recording, Scope, Source, Value, is_inexact, line_of

# Primitives that only call a function: the parameter that holds it, and what the scope is called.
_CALLS = {
    "jit": ("jaxpr", "jit"),
    "pjit": ("jaxpr", "jit"),
    "closed_call": ("call_jaxpr", "call"),
    "core_call": ("call_jaxpr", "call"),
    "core_closed_call": ("call_jaxpr", "call"),
    "remat2": ("jaxpr", "remat"),
    "checkpoint": ("jaxpr", "remat"),
}
CUSTOM = {"custom_jvp_call": "call_jaxpr", "custom_vjp_call": "call_jaxpr"}
# The most ops of a tape. A loop that would exceed it runs as one op. An op takes about half a millisecond.
MOST_OPS = 60_000


class Interpreter:
    """Runs jaxprs onto a tape.

    Args:
        recording: The tape.
        differentiate: Whether VJPs are taken; without, only values are recorded.
    """

    def __init__(self, recording: Recording, differentiate: bool = True):
        self.recording, self._differentiate = recording, differentiate
        self._lines: dict[int, tuple[Source | None, Source | None]] = {}
        self._kept: list[Any] = []  # equations whose `id` is a key

    def run(
        self,
        closed: ClosedJaxpr | Jaxpr,
        inputs: Sequence[Value],
        scopes: tuple[Scope, ...] = (),
        stack: str = "",
    ) -> list[Value]:
        """Run a jaxpr on values of the tape; return its outputs."""
        jaxpr: Any = getattr(closed, "jaxpr", closed)
        consts = getattr(closed, "consts", ())
        values = dict(zip(jaxpr.invars, inputs, strict=True))
        for var, const in zip(jaxpr.constvars, consts, strict=True):
            values[var] = self._constant(const)
        for equation in jaxpr.eqns:
            read = [self._read(values, atom) for atom in equation.invars]
            with getattr(equation.ctx, "manager", contextlib.nullcontext()):
                outputs = self._equation(equation, read, scopes, stack)
            values.update(zip(equation.outvars, outputs, strict=True))
        return [self._read(values, atom) for atom in jaxpr.outvars]

    def _read(self, values: dict[Any, Value], atom: Any) -> Value:
        if isinstance(atom, Literal):
            return self._constant(jnp.asarray(atom.val, _typed(atom).dtype))
        return values[atom]

    def _constant(self, array: Any) -> Value:
        return self.recording.add(jnp.asarray(array) if not hasattr(array, "dtype") else array, constant=True)

    def _equation(
        self, equation: JaxprEqn, inputs: list[Value], scopes: tuple[Scope, ...], stack: str
    ) -> Sequence[Value]:
        name, params = equation.primitive.name, equation.params
        own = str(equation.source_info.name_stack)
        stack = "/".join(part for part in (stack, own) if part)
        if name in _CALLS:
            key, kind = _CALLS[name]
            scope = Scope(kind, str(params.get("name", "")), None, self._line(equation, scopes))
            return self.run(params[key], inputs, (*scopes, scope), stack)
        if name == "cond":
            at = int(np.asarray(inputs[0].array))
            at = min(max(at, 0), len(params["branches"]) - 1)
            scope = Scope("cond", "", at, self._line(equation, scopes))
            return self.run(params["branches"][at], inputs[1:], (*scopes, scope), stack)
        if name == "while":
            return self._while(equation, inputs, scopes, stack)
        if name == "scan" and self._fits(params["jaxpr"], params["length"]):
            return self._scan(equation, inputs, scopes, stack)
        if name in CUSTOM and not (self._differentiate and any(value.live for value in inputs)):
            scope = Scope("custom", str(params.get("name", "")), None, self._line(equation, scopes))
            return self.run(params[CUSTOM[name]], inputs, (*scopes, scope), stack)
        if name == "convert_element_type" and inputs[0].array.dtype == params["new_dtype"]:
            return inputs  # a weak type became a strong one: the same number
        if name == "integer_pow" and inputs[0].shape == () and 2 < params["y"] <= 8:
            return [self._power(equation, inputs[0], scopes, stack)]
        return self._leaf(equation, inputs, scopes, stack).outputs

    def _line(self, equation: JaxprEqn, scopes: tuple[Scope, ...]) -> Source | None:
        """Return the user's line of an equation, or that of the call around it; else one of ours."""
        if id(equation) not in self._lines:
            self._kept.append(equation)
            self._lines[id(equation)] = line_of(equation)
        user, ours = self._lines[id(equation)]
        around = scopes[-1].source if scopes else None
        return user or (around if around is not None and around.user else ours or around)

    def _fits(self, body: Any, length: int) -> bool:
        return len(self.recording.ops) + length * max(1, _size(body)) <= MOST_OPS

    def _leaf(self, equation: JaxprEqn, inputs: list[Value], scopes: tuple[Scope, ...], stack: str) -> Op:
        primitive, params = equation.primitive, equation.params
        bind_params = primitive.get_bind_params(params)

        def bind(*arrays: Any) -> list[Any]:
            result = primitive.bind(*arrays, **bind_params)
            return list(result) if primitive.multiple_results else [result]

        wanted = self._wanted(inputs) if any(is_inexact(_typed(var)) for var in equation.outvars) else ()
        has_rule = primitive in ad.primitive_jvps or primitive.name in CUSTOM
        live = _live(equation, wanted) if wanted and has_rule else ()
        outputs, pull = _called(bind, [value.array for value in inputs], live)
        op = self.record(primitive.name, inputs, outputs, (live, pull), scopes, self._line(equation, scopes))
        op.params, op.stack = params, stack
        if wanted and not has_rule:
            _without_rule(op)
        op.inside = equation if next(iter(jaxprs_in_params(params)), None) is not None else None
        if primitive.name == "scan":
            self.recording.opaque.append(op)
        return op

    def _wanted(self, inputs: Sequence[Value]) -> tuple[int, ...]:
        return tuple(at for at, value in enumerate(inputs) if value.live) if self._differentiate else ()

    def record(
        self,
        name: str,
        inputs: Sequence[Value],
        arrays: Sequence[Any],
        rule: tuple[tuple[int, ...], Callable[..., Any] | None],
        scopes: tuple[Scope, ...],
        source: Source | None,
    ) -> Op:
        """Record an op with its outputs."""
        live, pull = rule
        op = Op(len(self.recording.ops), name, {}, tuple(inputs), (), scopes, source, live=live, pull=pull)
        op.outputs = tuple(
            self.recording.add(array, bool(live) and is_inexact(array), op=op) for array in arrays
        )
        self.recording.ops.append(op)
        return op

    def _power(self, equation: JaxprEqn, base: Value, scopes: tuple[Scope, ...], stack: str) -> Value:
        """Multiply one number by itself, as one would by hand."""
        product, line = base, self._line(equation, scopes)
        for _ in range(equation.params["y"] - 1):
            pair = [product, base]
            live = self._wanted(pair)
            outputs, pull = _called(lambda a, b: [jax.lax.mul(a, b)], [each.array for each in pair], live)
            op = self.record("mul", pair, outputs, (live, pull), scopes, line)
            op.stack = stack
            product = op.outputs[0]
        return product

    def _while(
        self, equation: JaxprEqn, inputs: list[Value], scopes: tuple[Scope, ...], stack: str
    ) -> Sequence[Value]:
        """Run a loop of unknown length. It has no reverse rule, so no gradient leads out of it."""
        params, line = equation.params, self._line(equation, scopes)
        split = params["cond_nconsts"], params["cond_nconsts"] + params["body_nconsts"]
        cond_consts, body_consts, carry = inputs[: split[0]], inputs[split[0] : split[1]], inputs[split[1] :]
        wanted = self._wanted(inputs)
        before, self._differentiate = self._differentiate, False
        try:
            iteration = 0
            while True:
                inner = (*scopes, Scope("while", "", iteration, line))
                going = self.run(params["cond_jaxpr"], [*cond_consts, *carry], inner, stack)[0]
                if not bool(np.asarray(going.array)) or len(self.recording.ops) > MOST_OPS:
                    break
                carry = self.run(params["body_jaxpr"], [*body_consts, *carry], inner, stack)
                iteration += 1
        finally:
            self._differentiate = before
        if bool(np.asarray(going.array)):  # too long: the rest as JAX runs it
            rest = [*cond_consts, *body_consts, *carry]
            carry = self._leaf(equation, rest, scopes, stack).outputs
        op = self.record("while", inputs, [value.array for value in carry], ((), None), scopes, line)
        op.params, op.stack = params, stack
        if wanted:
            _without_rule(op)
        return op.outputs

    def _scan(
        self, equation: JaxprEqn, inputs: list[Value], scopes: tuple[Scope, ...], stack: str
    ) -> Sequence[Value]:
        params, line = equation.params, self._line(equation, scopes)
        first, second = params["num_consts"], params["num_consts"] + params["num_carry"]
        consts, carry, sequences = inputs[:first], list(inputs[first:second]), inputs[second:]
        length, order = params["length"], list(range(params["length"]))
        if params["reverse"]:
            order.reverse()
        slices = [self._unstacked(value, length, (*scopes,), line) for value in sequences]
        stacked: dict[int, list[Value]] = {at: [] for at in range(len(equation.outvars) - len(carry))}
        for at in order:
            inner = (*scopes, Scope("scan", "", at, line))
            results = self.run(
                params["jaxpr"], [*consts, *carry, *(rows[at] for rows in slices)], inner, stack
            )
            carry = results[: len(carry)]
            for column, value in enumerate(results[len(carry) :]):
                stacked[column].append(value)
        columns = []
        for column, var in zip(stacked.values(), equation.outvars[len(carry) :], strict=True):
            rows = column[::-1] if params["reverse"] else column
            columns.append(self._stacked(rows, var.aval, scopes, line))
        return [*carry, *columns]

    def _unstacked(
        self, value: Value, length: int, scopes: tuple[Scope, ...], line: Source | None
    ) -> Sequence[Value]:
        rows = [
            jax.lax.dynamic_index_in_dim(value.array, np.int32(at), 0, keepdims=False) for at in range(length)
        ]
        live = self._wanted([value])
        zeros = jnp.zeros(value.shape[1:], value.array.dtype) if live and length else None

        def pull(*gradients: Any) -> list[Any]:
            rows: list[Any] = [zeros if gradient is None else gradient for gradient in gradients]
            return [jnp.stack(rows)]

        return self.record("unstack", [value], rows, (live, pull if live else None), scopes, line).outputs

    def _stacked(self, rows: list[Value], aval: Any, scopes: tuple[Scope, ...], line: Source | None) -> Value:
        arrays = [value.array for value in rows]
        array = jnp.stack(arrays) if arrays else jnp.zeros(aval.shape, aval.dtype)
        live = self._wanted(rows)

        def pull(gradient: Any) -> list[Any]:
            return [jax.lax.dynamic_index_in_dim(gradient, np.int32(at), 0, keepdims=False) for at in live]

        return self.record("stack", rows, [array], (live, pull if live else None), scopes, line).outputs[0]


def _without_rule(op: Op) -> None:
    """Mark an op that a gradient reaches and does not leave."""
    for value in op.outputs:
        value.live = is_inexact(value.array)
    op.no_rule = any(value.live for value in op.outputs)


def _typed(atom: Any) -> Any:
    """Return an atom's type; that of an array, here."""
    return atom.aval


def _called(
    bind: Callable[..., list[Any]], arrays: list[Any], live: tuple[int, ...]
) -> tuple[list[Any], Callable[..., Any] | None]:
    """Call a primitive; where gradients flow, return its VJP too: one argument for each output, or None."""
    if not live:
        return bind(*arrays), None

    def of_live(*those: Any) -> list[Any]:
        merged = list(arrays)
        for at, array in zip(live, those, strict=True):
            merged[at] = array
        return bind(*merged)

    outputs, vjp = jax.vjp(of_live, *[arrays[at] for at in live])

    def pull(*gradients: Any) -> Sequence[Any]:
        return vjp([_gradient(output, given) for output, given in zip(outputs, gradients, strict=True)])

    return outputs, pull


def _gradient(output: Any, gradient: Any) -> Any:
    if not is_inexact(output):
        return np.zeros(output.shape, jax.dtypes.float0)
    return jnp.zeros(output.shape, output.dtype) if gradient is None else gradient


def _size(body: Any) -> int:
    """Return the number of equations of a jaxpr, with those inside it as often as their loops run."""
    jaxpr = getattr(body, "jaxpr", body)
    return sum(
        1
        + equation.params.get("length", 1) * sum(_size(inner) for inner in jaxprs_in_params(equation.params))
        for equation in jaxpr.eqns
    )


def _live(equation: JaxprEqn, wanted: tuple[int, ...]) -> tuple[int, ...]:
    """Return those of the inputs whose derivative is not zero whatever the values (`floor`, `stop_gradient`).

    JAX passes no gradient along a symbolic zero. A zero array in its place would meet an infinity further
    up, and 0 * inf is NaN.
    """
    if equation.primitive not in ad.primitive_jvps or next(iter(jaxprs_in_params(equation.params)), None):
        return wanted
    shapes = tuple((tuple(_typed(var).shape), _typed(var).dtype) for var in equation.invars)
    return _live_of(equation.primitive, _Hashed(equation.params), shapes, wanted)


class _Hashed:
    """Parameters of a primitive as a key of a cache."""

    def __init__(self, params: dict[str, Any]):
        self.params, self._text = params, repr(sorted(params.items(), key=lambda item: item[0]))

    def __hash__(self) -> int:
        return hash(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Hashed) and self._text == other._text


@cache
def _live_of(
    primitive: Any, params: _Hashed, shapes: tuple[Any, ...], wanted: tuple[int, ...]
) -> tuple[int, ...]:
    rule = ad.primitive_jvps[primitive]

    def depends(at: int) -> bool:
        nonzero = []

        def trace(*arrays: Any) -> None:
            tangents = [
                array if position == at else ad.Zero(jax.typeof(array).to_tangent_aval())
                for position, array in enumerate(arrays)
            ]
            _, result = rule(arrays, tangents, **params.params)
            results = result if primitive.multiple_results else [result]
            nonzero.extend(not isinstance(each, ad.Zero) for each in results)

        jax.eval_shape(trace, *[jax.ShapeDtypeStruct(*shape) for shape in shapes])
        return any(nonzero)

    return tuple(at for at in wanted if depends(at))


def execute(
    closed: Any, arrays: Sequence[Any], live: Sequence[bool] | None = None, names: Sequence[str] = ()
) -> Recording:
    """Run a closed jaxpr with one output of interest, the first.

    Args:
        closed: The jaxpr.
        arrays: Its inputs.
        live: Which of them gradients are taken for; None for none.
        names: Of the inputs.
    """
    recording = Recording()
    which = list(live or [False] * len(arrays))
    labels = [*names, *[""] * (len(arrays) - len(names))]
    recording.inputs = [
        recording.add(array, flag, name=name) for array, flag, name in zip(arrays, which, labels, strict=True)
    ]
    outputs = Interpreter(recording, differentiate=live is not None).run(closed, recording.inputs)
    recording.output = outputs[0] if outputs else None
    return recording
