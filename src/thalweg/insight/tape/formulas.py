"""What an op computes and its local rule of differentiation, as formulas.

`a`, `b`, ... are the operands, `z` is the result; `dz` is the gradient that comes from above, and `da` what
the op passes on. The rules are those of the textbooks; JAX's own compute the same.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from thalweg.insight.tape.recording import Op, Value


class Formula(NamedTuple):
    """An op as formulas.

    Args:
        value: What it computes: `z = a * b`.
        rule: How gradients pass back: `da = dz * b, db = dz * a`; empty where none do.
    """

    value: str
    rule: str


# Functions of one number or of each element: what they compute, and the derivative.
_UNARY = {
    "neg": ("-a", "-dz"),
    "exp": ("exp(a)", "dz * z"),
    "exp2": ("2^a", "dz * z * log 2"),
    "log": ("log(a)", "dz / a"),
    "log1p": ("log(1 + a)", "dz / (1 + a)"),
    "expm1": ("exp(a) - 1", "dz * (z + 1)"),
    "tanh": ("tanh(a)", "dz * (1 - z^2)"),
    "logistic": ("1 / (1 + exp(-a))", "dz * z * (1 - z)"),
    "sin": ("sin(a)", "dz * cos(a)"),
    "cos": ("cos(a)", "-dz * sin(a)"),
    "tan": ("tan(a)", "dz * (1 + z^2)"),
    "asin": ("asin(a)", "dz / sqrt(1 - a^2)"),
    "acos": ("acos(a)", "-dz / sqrt(1 - a^2)"),
    "atan": ("atan(a)", "dz / (1 + a^2)"),
    "sinh": ("sinh(a)", "dz * cosh(a)"),
    "cosh": ("cosh(a)", "dz * sinh(a)"),
    "sqrt": ("sqrt(a)", "dz / (2 z)"),
    "rsqrt": ("1 / sqrt(a)", "-dz * z / (2 a)"),
    "cbrt": ("cbrt(a)", "dz * z / (3 a)"),
    "square": ("a^2", "2 a dz"),
    "abs": ("|a|", "dz * sign(a)"),
    "erf": ("erf(a)", "dz * 2/sqrt(pi) * exp(-a^2)"),
    "erfc": ("1 - erf(a)", "-dz * 2/sqrt(pi) * exp(-a^2)"),
    "erf_inv": ("erf^-1(a)", "dz * sqrt(pi)/2 * exp(z^2)"),
    "lgamma": ("log Gamma(a)", "dz * digamma(a)"),
    "sign": ("sign(a)", ""),
    "floor": ("floor(a)", ""),
    "ceil": ("ceil(a)", ""),
    "round": ("round(a)", ""),
    "is_finite": ("is_finite(a)", ""),
    "not": ("not a", ""),
    "stop_gradient": ("stop_gradient(a)", ""),
    "copy": ("a", "dz"),
    "real": ("real(a)", "dz"),
    "imag": ("imag(a)", "-i dz"),
}
_BINARY = {
    "add": ("a + b", "dz", "dz"),
    "add_any": ("a + b", "dz", "dz"),
    "sub": ("a - b", "dz", "-dz"),
    "mul": ("a * b", "dz * b", "dz * a"),
    "div": ("a / b", "dz / b", "-dz * z / b"),
    "pow": ("a^b", "dz * b * a^(b-1)", "dz * z * log(a)"),
    "max": ("max(a, b)", "dz where a is larger, dz/2 where equal", "dz where b is larger, dz/2 where equal"),
    "min": (
        "min(a, b)",
        "dz where a is smaller, dz/2 where equal",
        "dz where b is smaller, dz/2 where equal",
    ),
    "atan2": ("atan2(a, b)", "dz * b / (a^2 + b^2)", "-dz * a / (a^2 + b^2)"),
    "rem": ("a mod b", "dz", "-dz * trunc(a / b)"),
}
_COMPARED = {"gt": ">", "ge": ">=", "lt": "<", "le": "<=", "eq": "=", "ne": "!=", "and": "and", "or": "or"}


def formula(op: Op) -> Formula:
    """Return an op's formulas; those without an entry name the primitive and its rule as JAX's own."""
    name = op.name
    if name in _UNARY:
        value, rule = _UNARY[name]
        return Formula(f"z = {value}", f"da = {rule}" if rule and op.live else "")
    if name in _BINARY:
        value, *rules = _BINARY[name]
        return Formula(f"z = {value}", ", ".join(f"d{'ab'[at]} = {rules[at]}" for at in op.live))
    if name in _COMPARED:
        return Formula(f"z = a {_COMPARED[name]} b", "")
    special = _SPECIAL.get(name)
    if special is not None:
        return Formula(*special(op))
    letters = ", ".join("abcdefgh"[: len(op.inputs)])
    rule = "JAX's rule of this primitive" if op.live else ""
    if name.startswith("custom_"):
        rule = "the function's own rule" if op.live else ""
    return Formula(f"z = {op.title}({letters})", "no rule: no gradient passes" if op.no_rule else rule)


def _power(op: Op) -> tuple[str, str]:
    y = op.params["y"]
    lower = "a" if y == 2 else f"a^{y - 1}"
    return f"z = a^{y}", f"da = dz * {y} {lower}" if op.live else ""


def _product(op: Op) -> tuple[str, str]:
    rules = ["da = dz @ b^T", "db = a^T @ dz"]
    return "z = a @ b", ", ".join(rules[at] for at in op.live)


def _reduced(word: str, rule: str) -> Callable[[Op], tuple[str, str]]:
    def of(op: Op) -> tuple[str, str]:
        axes = op.params["axes"]
        every = len(axes) == len(op.inputs[0].shape)
        where = "" if every else f", axis {', '.join(map(str, axes))}"
        return f"z = {word}(a{where})", rule if op.live else ""

    return of


def _select(op: Op) -> tuple[str, str]:
    cases = "bcdefgh"[: len(op.inputs) - 1]
    rules = [f"d{cases[at - 1]} = dz where chosen, else 0" for at in op.live if at]
    if len(cases) == 2:  # jnp.where lists the case for true first, select_n that for false
        cases = cases[::-1]
    return f"z = where(a, {', '.join(cases)})", ", ".join(rules)


def _plain(value: str, rule: str) -> Callable[[Op], tuple[str, str]]:
    return lambda op: (f"z = {value}", f"da = {rule}" if op.live and rule else "")


def _listed(name: str, rule: str) -> Callable[[Op], tuple[str, str]]:
    def of(op: Op) -> tuple[str, str]:
        return f"z = {name}({', '.join('abcdefgh'[: len(op.inputs)])})", rule if op.live else ""

    return of


_SPECIAL: dict[str, Callable[[Op], tuple[str, str]]] = {
    "integer_pow": _power,
    "dot_general": _product,
    "reduce_sum": _reduced("sum", "da = dz, repeated"),
    "reduce_max": _reduced("max", "da = dz at the largest, shared where equal"),
    "reduce_min": _reduced("min", "da = dz at the smallest, shared where equal"),
    "reduce_prod": _reduced("product", "da = dz * product of the others"),
    "reduce_and": _reduced("all", ""),
    "reduce_or": _reduced("any", ""),
    "argmax": lambda op: ("z = argmax(a)", ""),
    "argmin": lambda op: ("z = argmin(a)", ""),
    "select_n": _select,
    "broadcast_in_dim": _plain("repeat(a)", "dz summed over the repetitions"),
    "reshape": _plain("reshape(a)", "reshape(dz)"),
    "squeeze": _plain("squeeze(a)", "reshape(dz)"),
    "expand_dims": _plain("reshape(a)", "reshape(dz)"),
    "transpose": _plain("transpose(a)", "transpose(dz)"),
    "rev": _plain("reverse(a)", "reverse(dz)"),
    "convert_element_type": lambda op: (
        f"z = {np.dtype(op.params['new_dtype']).name}(a)",
        "da = dz in the dtype of the operand" if op.live else "",
    ),
    "slice": _plain("slice(a)", "dz at the slice, else 0"),
    "dynamic_slice": _listed("slice", "da = dz at the slice, else 0"),
    "gather": _listed("rows", "da = dz added up at the rows, else 0"),
    "pad": _listed("pad", "da = dz without the border"),
    "concatenate": _listed("concatenate", "each operand: its part of dz"),
    "unstack": _plain("rows(a)", "the gradients of the rows, stacked"),
    "stack": _listed("stack", "each operand: its row of dz"),
    "cumsum": _plain("cumsum(a)", "cumsum of dz from the end"),
    "conv_general_dilated": lambda op: (
        "z = conv(a, b)",
        ", ".join(["da = conv(dz, b flipped)", "db = correlation(a, dz)"][at] for at in op.live if at < 2),
    ),
    "while": _listed("while", ""),
    "clamp": _listed("clamp", "db = dz where it lies between the bounds, else 0"),
}


def named(text: str, op: Op, names: Callable[[Value], str]) -> str:
    """Write a formula with the names of the values in place of letters: `dx = dv4 * 5`."""
    letters = dict(zip("abcdefgh", op.inputs, strict=False)) | {"z": op.outputs[0]}

    def replaced(match: re.Match[str]) -> str:
        value = letters.get(match[2])
        return match[0] if value is None else f"{match[1]}{names(value)}"

    return re.sub(r"(?<![A-Za-z.\d])(d?)([a-hz])(?![A-Za-z])", replaced, text)
