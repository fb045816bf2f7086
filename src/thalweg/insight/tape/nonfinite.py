"""Where a NaN or an infinity is born, how it spreads, and where it is replaced.

The search goes backwards from what is not finite at the end: the output, or else the gradient of an input.
Step by step it follows the operand that was not finite either, element by element where the op works so, to
the op whose operands were all finite. An infinity that was written down as a constant (a mask of attention,
`max` from minus infinity) is nobody's fault; the op that first makes NaN of it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from thalweg.insight.tape.backward import rule_jaxpr
from thalweg.insight.tape.interpreter import CUSTOM, Interpreter
from thalweg.insight.tape.recording import Op, Recording, Source, Value, is_finite, is_inexact, numbers

FORWARD, BACKWARD, UPDATE = "forward", "backward", "update"
_ELEMENTWISE = frozenset(
    {
        *(
            "add",
            "sub",
            "mul",
            "div",
            "neg",
            "exp",
            "exp2",
            "log",
            "log1p",
            "expm1",
            "tanh",
            "logistic",
            "sin",
        ),
        *("cos", "tan", "asin", "acos", "atan", "atan2", "sinh", "cosh", "asinh", "acosh", "atanh", "pow"),
        *("integer_pow", "square", "sqrt", "rsqrt", "cbrt", "abs", "max", "min", "select_n", "sign", "floor"),
        *("ceil", "round", "erf", "erfc", "erf_inv", "lgamma", "digamma", "convert_element_type", "clamp"),
        *("add_any", "copy", "rem", "reduce_precision", "stop_gradient", "nextafter"),
    }
)


@dataclass(frozen=True)
class Birth:
    """The op that made the first NaN or infinity out of finite numbers.

    Args:
        phase: `forward`, `backward`, or `update`: what an optimizer makes of the gradient.
        kind: `NaN` or `infinity`.
        op: The op; None where an input held it already.
        given: That input.
        index: Where, in the op's output or, backward, in the gradient of its operand; None for a scalar.
        operands: The numbers it was made from, by name.
        inside: Name and line of the op within a custom rule; None elsewhere.
        turned: The op that made NaN of an infinity, later; None where it was NaN from the start, or never.
        through: The op whose backward pass met a value that the forward pass had masked.
        position: Which operand's gradient it is.
    """

    phase: str
    kind: str
    op: Op | None
    given: Value | None = None
    index: tuple[int, ...] | None = None
    operands: tuple[tuple[str, float], ...] = ()
    inside: tuple[str, Source | None] | None = None
    turned: Op | None = None
    through: Op | None = None
    position: int = 0

    @property
    def source(self) -> Source | None:
        """The line that made it."""
        line = self.inside[1] if self.inside is not None else None
        return line or (None if self.op is None else self.op.source)

    @property
    def name(self) -> str:
        """The primitive that made it; `input` where it was there from the start."""
        return "input" if self.op is None else self.inside[0] if self.inside is not None else self.op.name


@dataclass(frozen=True)
class NonFinite:
    """What is not finite on a tape.

    Args:
        birth: The first op at fault; None where output and gradients are finite.
        reaches: What it spoils: `the output`, or the names of inputs whose gradients it reaches.
        harmless: Ops that made NaN or infinity which reached neither the output nor a gradient.
        spread: Ops that passed it on, in the order in which they ran, forward and then backward.
        killed: Ops that read it and gave finite numbers: a `where`, an `exp(-inf)`.
    """

    birth: Birth | None
    reaches: tuple[str, ...] = ()
    harmless: tuple[Op, ...] = ()
    spread: tuple[Op, ...] = ()
    killed: tuple[Op, ...] = ()


def find_nonfinite(recording: Recording) -> NonFinite:
    """Find out what is not finite on a tape, after its backward pass."""
    output = recording.output
    assert output is not None
    spoilt = [
        value for value in recording.inputs if value.gradient is not None and not is_finite(value.gradient)
    ]
    birth, reaches = None, ()
    if not output.finite:
        birth, reaches = forward_birth(output), ("the output",)
    elif spoilt:
        users = recording.users
        births = [_backward_birth(value, users) for value in spoilt]
        birth = min(births, key=_when)
        reaches = tuple(value.name for value in spoilt)
    made = [op for op in recording.ops if _makes(op)]
    spread = [op for op in recording.ops if not all(value.finite for value in op.outputs)]
    if output.finite and spoilt:
        spread += [op for op in reversed(recording.ops) if not _all_finite(op.downstream)]
    killed = [op for op in recording.ops if _kills(op)]
    harmless = () if birth is not None else tuple(made)
    return NonFinite(birth, reaches, harmless, tuple(spread), tuple(killed))


def _when(birth: Birth) -> tuple[int, int]:
    """Order births by when they happen: forward first, then backward from the last op."""
    if birth.op is None:
        return (-1, 0)
    return (0, birth.op.number) if birth.phase == FORWARD else (1, -birth.op.number)


def _makes(op: Op) -> bool:
    return not all(value.finite for value in op.outputs) and all(value.finite for value in op.inputs)


def _kills(op: Op) -> bool:
    """Return whether an op reads NaN or infinity that was computed, and gives finite numbers."""
    read = [value for value in op.inputs if value.op is not None and not value.finite]
    numbers_out = [value for value in op.outputs if is_inexact(value.array)]
    return bool(read) and bool(numbers_out) and all(value.finite for value in numbers_out)


def _all_finite(arrays: Sequence[Any]) -> bool:
    return all(array is None or is_finite(array) for array in arrays)


def forward_birth(value: Value, index: tuple[int, ...] | None = None) -> Birth:
    """Return where the NaN or infinity of a value was born in the forward pass."""
    turned: tuple[Op, Value, tuple[int, ...]] | None = None
    last: tuple[Op, Value, tuple[int, ...]] | None = None
    while True:
        array = numbers(value.array)
        index = bad_index(array, index)
        if value.op is None:
            found = turned or last
            if not value.constant or found is None:
                kind = _kind(array[index])
                return Birth(FORWARD, kind, None, given=value, index=index, turned=turned and turned[0])
            return _born(*found)
        last = (value.op, value, index)
        nan = bool(np.isnan(array[index]))
        blamed = _blamed(value.op, value.shape, index, nan)
        if blamed is None:
            return _born(*last, turned and turned[0])
        before, position = blamed
        if nan and not np.isnan(numbers(before.array)[bad_index(numbers(before.array), position)]):
            turned = last
        value, index = before, position


def _born(op: Op, value: Value, index: tuple[int, ...], turned: Op | None = None) -> Birth:
    kind = _kind(numbers(value.array)[index])
    inside = _inside_forward(op)
    later = None if turned is op else turned
    return Birth(
        FORWARD,
        kind,
        op,
        index=index,
        operands=_operands(op, value.shape, index),
        inside=inside,
        turned=later,
    )


def _kind(number: Any) -> str:
    return "NaN" if np.isnan(number) else "infinity"


def bad_index(array: np.ndarray, index: tuple[int, ...] | None = None) -> tuple[int, ...]:
    """Return `index` if the element there is not finite, else the first NaN, else the first infinity."""
    if index is not None and len(index) == array.ndim and not np.isfinite(array[index]):
        return index
    wrong = np.isnan(array)
    wrong = wrong if wrong.any() else ~np.isfinite(array)
    return tuple(int(at) for at in np.unravel_index(int(np.argmax(wrong)), array.shape))


def _blamed(
    op: Op, shape: tuple[int, ...], index: tuple[int, ...], nan: bool
) -> tuple[Value, tuple[int, ...] | None] | None:
    """Return the operand that was not finite already, and where; None if they all were finite."""
    found: list[tuple[Value, tuple[int, ...] | None]] = []
    for value in _read_at(op, shape, index):
        if value.finite:
            continue
        at = _at(op, value, shape, index)
        array = numbers(value.array)
        if at is None or not np.isfinite(array[at]):
            found.append((value, at))
    if nan:  # rather one that is NaN
        for value, at in found:
            array = numbers(value.array)
            if np.isnan(array).any() if at is None else np.isnan(array[at]):
                return value, at
    return found[0] if found else None


def _read_at(op: Op, shape: tuple[int, ...], index: tuple[int, ...]) -> Sequence[Value]:
    """Return the operands of one element: of a `select_n`, only the case that was selected."""
    if op.name != "select_n":
        return op.inputs
    which = np.asarray(op.inputs[0].array)
    chosen = int(which if which.ndim == 0 else which[index])
    return [op.inputs[1 + chosen]]


def _at(op: Op, value: Value, shape: tuple[int, ...], index: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return the element of an operand that an element of the output depends on; None for any of them."""
    if value.shape == ():
        return ()
    return index if op.name in _ELEMENTWISE and value.shape == shape else None


def _operands(op: Op, shape: tuple[int, ...], index: tuple[int, ...]) -> tuple[tuple[str, float], ...]:
    """Return the numbers that an element was made from; of larger operands, their range."""
    named: list[tuple[str, float]] = []
    for letter, value in zip("abcdefgh", op.inputs, strict=False):
        if not is_inexact(value.array) and op.name == "select_n":
            continue
        array, at = numbers(value.array), _at(op, value, shape, index)
        if array.size == 0 or array.dtype.kind not in "fiub":
            continue
        if at is not None:
            named.append((letter, float(array[at])))
        elif array.size == 1:
            named.append((letter, float(array.reshape(()))))
        else:
            named += [(f"min {letter}", float(np.min(array))), (f"max {letter}", float(np.max(array)))]
    return tuple(named)


def _backward_birth(value: Value, users: dict[int, list[Op]]) -> Birth:
    """Return where the NaN or infinity in a value's gradient was born."""
    index: tuple[int, ...] | None = None
    turned: Op | None = None
    while True:
        total = numbers(value.gradient)
        index = bad_index(total, index)
        nan = bool(np.isnan(total[index]))
        contribution = _contribution(value, users, index)
        if contribution is None:  # every summand is finite: their sum is not
            op = users[value.number][-1]
            return Birth(BACKWARD, _kind(total[index]), op, index=index, turned=turned)
        op, position, array = contribution
        upstream = _upstream(op, value, index)
        if upstream is not None:
            before, at = upstream
            if nan and not np.isnan(numbers(before.gradient)[bad_index(numbers(before.gradient), at)]):
                turned = turned or op
            value, index = before, at
            continue
        masked = _masked(op, value, index)
        if masked is not None:
            born = forward_birth(*masked)
            if born.op is not None or (born.given is not None and not born.given.constant):
                return Birth(**{**vars(born), "through": op, "position": position})
        operands = _backward_operands(op, value, index)
        kind = _kind(array[index])
        inside = _inside_backward(op)
        return Birth(BACKWARD, kind, op, None, index, operands, inside, turned, position=position)


def _contribution(
    value: Value, users: dict[int, list[Op]], index: tuple[int, ...]
) -> tuple[Op, int, np.ndarray] | None:
    """Return the first summand of a value's gradient that is not finite at the index, as backprop runs."""
    for op in reversed(users.get(value.number, [])):
        for position, read in enumerate(op.inputs):
            if read is value and op.downstream and op.downstream[position] is not None:
                array = numbers(op.downstream[position])
                if not np.isfinite(array[index]):
                    return op, position, array
    return None


def _upstream(op: Op, value: Value, index: tuple[int, ...]) -> tuple[Value, tuple[int, ...] | None] | None:
    for output, gradient in zip(op.outputs, op.upstream, strict=True):
        if gradient is None or is_finite(gradient):
            continue
        at = index if op.name in _ELEMENTWISE and output.shape == value.shape else None
        if at is None or not np.isfinite(numbers(gradient)[at]):
            return output, at
    return None


def _masked(op: Op, value: Value, index: tuple[int, ...]) -> tuple[Value, tuple[int, ...] | None] | None:
    """Return a value of the forward pass that is not finite where the backward pass reads it."""
    for each in (*op.inputs, *op.outputs):
        if each.finite or (op.name == "select_n"):
            continue
        at = _at(op, each, value.shape, index)
        if at is None or not np.isfinite(numbers(each.array)[at]):
            return each, at
    return None


def _backward_operands(op: Op, value: Value, index: tuple[int, ...]) -> tuple[tuple[str, float], ...]:
    named = list(_operands(op, value.shape, index))
    for output, gradient in zip(op.outputs, op.upstream, strict=True):
        if gradient is None:
            continue
        array = numbers(gradient)
        at = index if op.name in _ELEMENTWISE and output.shape == value.shape else None
        if at is not None or array.size == 1:
            named.append(("dz", float(array[at] if at is not None else array.reshape(()))))
    return tuple(named)


def _inside_forward(op: Op) -> tuple[str, Source | None] | None:
    """Return the op within a custom rule that made it."""
    if op.name not in CUSTOM or op.inside is None:
        return None
    body = op.params[CUSTOM[op.name]]
    return _within(op, body, [value.array for value in op.inputs])


def _inside_backward(op: Op) -> tuple[str, Source | None] | None:
    """Return the op within the backward pass of a custom rule that made it."""
    if op.name not in CUSTOM or op.inside is None:
        return None
    closed, given = rule_jaxpr(op)
    return _within(op, closed, given)


def _within(op: Op, closed: Any, arrays: list[Any]) -> tuple[str, Source | None] | None:
    recording = Recording()
    inputs = [recording.add(array) for array in arrays]
    outputs = Interpreter(recording, differentiate=False).run(closed, inputs)
    for value in outputs:
        if not value.finite:
            born = forward_birth(value)
            if born.op is not None:
                line = born.source
                return born.name, line if line is not None and line.user else op.source or line
    return None


def births_of(closed: Any, arrays: Sequence[Any]) -> Birth | None:
    """Run a jaxpr forward only, and return where the first output that is not finite got it from."""
    recording = Recording()
    inputs = [recording.add(array) for array in arrays]
    outputs = Interpreter(recording, differentiate=False).run(closed, inputs)
    births = [forward_birth(value) for value in outputs if is_inexact(value.array) and not value.finite]
    return min(births, key=_when) if births else None
